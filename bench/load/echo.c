/*
 * Messages through open tunnels, each answered by its echo, with a bounded number in flight. What comes back is
 * compared byte for byte with a pattern that differs from tunnel to tunnel.
 */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define MAX_DEPTH 64
#define BUFFER_BYTES (256 * 1024)
/* A prime, so that no message size hides a shift. */
#define PERIOD 251
#define GRACE_SECONDS 15

struct flow {
  struct tunnel tunnel; /* first: events point to it */
  uint64_t sent, received;
  uint64_t started; /* messages */
  int64_t started_at[MAX_DEPTH];
};

static struct {
  const struct options *options;
  struct histogram latency;
  uint64_t started, done, bytes;
  int64_t now, stop_at;
} run;
static char pattern[BUFFER_BYTES + PERIOD];
static char buffer[BUFFER_BYTES];

static const char *expected(const struct flow *flow, uint64_t offset) {
  return pattern + (offset + flow->tunnel.index) % PERIOD;
}

static bool may_start(const struct flow *flow) {
  const struct options *options = run.options;
  if (flow->started - flow->received / options->size >= options->depth) return false;
  if (options->count > 0 && run.started >= options->count) return false;
  return options->seconds == 0 || run.now < run.stop_at;
}

static void pump(struct flow *flow) {
  for (;;) {
    uint64_t owed = flow->started * run.options->size - flow->sent;
    if (owed == 0) {
      if (!may_start(flow)) return;
      flow->started_at[flow->started++ % MAX_DEPTH] = run.now;
      run.started++;
      owed = run.options->size;
    }
    if (owed > BUFFER_BYTES) owed = BUFFER_BYTES;
    ssize_t sent = send(flow->tunnel.fd, expected(flow, flow->sent), owed, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) die("tunnel %u: send: %s", flow->tunnel.index, strerror(errno));
    flow->sent += (uint64_t)sent;
  }
}

static void take(struct flow *flow) {
  const unsigned size = run.options->size;
  for (;;) {
    ssize_t got = recv(flow->tunnel.fd, buffer, BUFFER_BYTES, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("tunnel %u: recv: %s", flow->tunnel.index, strerror(errno));
    if (got == 0) die("tunnel %u ended after %llu bytes", flow->tunnel.index, (unsigned long long)flow->received);
    if (flow->received + (uint64_t)got > flow->sent || memcmp(buffer, expected(flow, flow->received), (size_t)got) != 0) {
      die("tunnel %u: wrong bytes after %llu", flow->tunnel.index, (unsigned long long)flow->received);
    }
    uint64_t done = flow->received / size;
    flow->received += (uint64_t)got;
    run.bytes += (uint64_t)got;
    for (; done < flow->received / size; done++) {
      histogram_add(&run.latency, run.now - flow->started_at[done % MAX_DEPTH]);
      run.done++;
    }
    if (got < BUFFER_BYTES) return; /* a short read has emptied the socket: epoll(7) */
  }
}

static void print_result(double seconds, double cpu) {
  printf("{\"messages\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,"
         "\"p50us\":%.1f,\"p99us\":%.1f,\"p999us\":%.1f}\n",
         (unsigned long long)run.done, (unsigned long long)run.bytes, seconds, cpu,
         histogram_us(&run.latency, 0.5), histogram_us(&run.latency, 0.99), histogram_us(&run.latency, 0.999));
  fflush(stdout);
}

void run_echo(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  struct flow *flows = calloc(options->tunnels, sizeof *flows);
  if (flows == NULL) die("no memory");
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i % PERIOD);
  tunnels_open((char *)flows, sizeof *flows, options, epoll);
  wait_for_go();

  int64_t start = run.now = now_ns();
  double cpu = cpu_seconds();
  run.options = options;
  run.stop_at = start + options->seconds * 1000000000ll;
  int64_t give_up_at = (options->seconds > 0 ? run.stop_at : start + 600000000000ll) + GRACE_SECONDS * 1000000000ll;
  for (unsigned i = 0; i < options->active; i++) pump(&flows[i]);
  while (run.done < run.started || (options->seconds > 0 && run.now < run.stop_at && options->count == 0)) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 100);
    run.now = now_ns();
    for (int i = 0; i < ready; i++) {
      struct flow *flow = events[i].data.ptr;
      take(flow);
      if (flow->tunnel.index < options->active) pump(flow);
    }
    if (run.now > give_up_at) die("%llu of %llu messages came back", (unsigned long long)run.done, (unsigned long long)run.started);
  }
  print_result((double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
  free(flows);
}
