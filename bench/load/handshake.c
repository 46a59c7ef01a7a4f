/* A storm of handshakes: connect, upgrade, check the 101, close; by FIN and by RST in turns. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct attempt {
  struct tunnel tunnel; /* first: events point to it */
  int64_t started_at;
};

static void start(struct attempt *attempt, unsigned index, uint16_t port, int epoll) {
  attempt->started_at = now_ns();
  tunnel_start(&attempt->tunnel, index, port, epoll);
}

void run_handshake(const struct options *options) {
  static struct histogram latency;
  struct epoll_event events[EVENT_BATCH];
  unsigned started = 0, done = 0, failed = 0;
  char failure[64] = "";
  int epoll = epoll_new();
  struct attempt *attempts = calloc(options->concurrent, sizeof *attempts);
  if (attempts == NULL) die("no memory");
  wait_for_go();

  int64_t begin = now_ns();
  int64_t give_up_at = begin + 120000000000ll;
  double cpu = cpu_seconds();
  while (started < options->concurrent && started < options->count) {
    start(&attempts[started], started, options->port, epoll);
    started++;
  }
  while (done + failed < options->count) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 1000);
    for (int i = 0; i < ready; i++) {
      struct attempt *attempt = events[i].data.ptr;
      enum tunnel_state state = tunnel_step(&attempt->tunnel);
      if (state != TUNNEL_OPEN && state != TUNNEL_FAILED) continue;
      if (state == TUNNEL_OPEN) {
        done++;
        histogram_add(&latency, now_ns() - attempt->started_at);
      } else if (failed++ == 0) {
        snprintf(failure, sizeof failure, "%s", attempt->tunnel.failure);
      }
      if (attempt->tunnel.index % 2 == 0) {
        wire_close(&attempt->tunnel.wire);
      } else {
        wire_reset(&attempt->tunnel.wire);
      }
      if (started < options->count) start(attempt, started++, options->port, epoll);
    }
    if (now_ns() > give_up_at) die("%u of %u handshakes done", done, options->count);
  }
  printf("{\"handshakes\":%u,\"failed\":%u,\"failure\":\"%s\",\"seconds\":%.6f,\"cpuSeconds\":%.6f,", done, failed,
         failure, (double)(now_ns() - begin) / 1e9, cpu_seconds() - cpu);
  histogram_print(&latency);
  puts("}");
  fflush(stdout);
  free(attempts);
}
