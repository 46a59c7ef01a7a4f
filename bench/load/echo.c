/* Closed loop: every active tunnel has a bounded number of messages in flight, and sends the next at an echo. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "flow.h"

#define GRACE_SECONDS 15

static struct flow_run run;
static int64_t now, stop_at;

static bool may_start(const struct flow *flow, const struct options *options) {
  if (flow_in_flight(flow, &run) >= options->depth) return false;
  if (options->count > 0 && run.started >= options->count) return false;
  return options->seconds == 0 || now < stop_at;
}

static void fill(struct flow *flow, const struct options *options) {
  while (flow_push(flow, &run) && may_start(flow, options)) flow_start(flow, &run, now_ns());
}

static void print_result(double seconds, double cpu) {
  printf("{\"messages\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,", (unsigned long long)run.done,
         (unsigned long long)run.bytes, seconds, cpu);
  histogram_print(&run.latency);
  puts("}");
  fflush(stdout);
}

void run_echo(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  struct flow *flows = flows_open(options, epoll);

  int64_t start = now = now_ns();
  double cpu = cpu_seconds();
  run.size = options->size;
  stop_at = start + options->seconds * 1000000000ll;
  int64_t give_up_at = (options->seconds > 0 ? stop_at : start + 600000000000ll) + GRACE_SECONDS * 1000000000ll;
  for (unsigned i = 0; i < options->active; i++) fill(flow_active(flows, options, i), options);
  while (run.done < run.started || (options->seconds > 0 && now < stop_at && options->count == 0)) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 100);
    now = now_ns();
    for (int i = 0; i < ready; i++) {
      struct flow *flow = events[i].data.ptr;
      flow_take(flow, &run);
      if (flow->started > 0) fill(flow, options);
    }
    if (now > give_up_at) {
      die("%llu of %llu messages came back", (unsigned long long)run.done, (unsigned long long)run.started);
    }
  }
  print_result((double)(now_ns() - start) / 1e9, cpu_seconds() - cpu);
  free(flows);
}
