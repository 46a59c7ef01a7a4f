/*
 * Open loop: messages are due at times that do not depend on the echoes, `rate` a second at random (a Poisson process,
 * the same in every run), on the active tunnels in turns. A latency counts from the time a message was due, so that
 * one that had to wait for its turn is not made to look fast.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include "flow.h"

#define GRACE_SECONDS 15
/* Left out of the latencies: the first messages of a tunnel make its buffers. */
#define LEAD_NS 200000000ll

static struct run run;
static struct histogram lateness;
static uint64_t due_count;

/* Nanoseconds to the next message. */
static int64_t next_gap(unsigned rate) {
  static uint64_t state = 0x9e3779b97f4a7c15ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  double share = (double)((state >> 11) + 1) / 9007199254740993.0; /* above 0, below 1 */
  return (int64_t)(-log(share) * 1e9 / rate);
}

static void send_due(struct flow *flows, const struct options *options, int64_t due, int64_t now) {
  struct flow *flow = flow_active(flows, options, (unsigned)(due_count++ % options->active));
  if (exchange_in_flight(&flow->exchange, &run) == EXCHANGE_DEPTH_MAX) die("%u messages a second are too many", options->rate);
  exchange_start(&flow->exchange, &run, due);
  flow_push(flow, &run);
  if (due >= run.count_from) histogram_add(&lateness, now - due);
}

static void wait_until(int epoll, struct epoll_event *events, int *ready, int64_t until) {
  int64_t left = until - now_ns();
  if (left < 0) left = 0;
  struct timespec timeout = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
  *ready = epoll_pwait2(epoll, events, EVENT_BATCH, &timeout, NULL);
}

static void print_result(double seconds, double cpu) {
  printf("{\"messages\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,\"lateP99us\":%.1f,",
         (unsigned long long)run.done, (unsigned long long)run.bytes, seconds, cpu, histogram_us(&lateness, 0.99));
  histogram_print(&run.latency);
  puts("}");
  fflush(stdout);
}

void run_paced(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  struct flow *flows = flows_open(options, epoll);
  /* A timer may otherwise be 50 µs late to wake the processor less often. */
  prctl(PR_SET_TIMERSLACK, 1ul);

  int64_t start = now_ns();
  int64_t stop_at = start + options->seconds * 1000000000ll;
  int64_t give_up_at = stop_at + GRACE_SECONDS * 1000000000ll;
  int64_t due = start + next_gap(options->rate);
  double cpu = cpu_seconds();
  run.size = options->size;
  run.count_from = start + LEAD_NS;
  while (run.done < run.started || due < stop_at) {
    int ready;
    wait_until(epoll, events, &ready, due < stop_at ? due : give_up_at);
    for (int64_t now; due < stop_at && due <= (now = now_ns()); due += next_gap(options->rate)) {
      send_due(flows, options, due, now);
    }
    for (int i = 0; i < ready; i++) {
      flow_take(events[i].data.ptr, &run);
      flow_push(events[i].data.ptr, &run);
    }
    if (now_ns() > give_up_at) {
      die("%llu of %llu messages came back", (unsigned long long)run.done, (unsigned long long)run.started);
    }
  }
  print_result((double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
  free(flows);
}
