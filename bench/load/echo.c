/* Closed loop: every active tunnel has a bounded number of messages in flight, and sends the next at an echo. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "flow.h"
#include "loop.h"

static struct loop loop;

static void fill(struct flow *flow) {
  while (flow_push(flow, &loop.run) && loop_may_start(&loop, &flow->exchange)) {
    exchange_start(&flow->exchange, &loop.run, now_ns());
  }
}

void run_echo(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  struct flow *flows = flows_open(options, epoll);

  loop_begin(&loop, options);
  for (unsigned i = 0; i < options->active; i++) fill(flow_active(flows, options, i));
  while (loop_goes_on(&loop)) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 100);
    loop.now = now_ns();
    for (int i = 0; i < ready; i++) {
      struct flow *flow = events[i].data.ptr;
      flow_take(flow, &loop.run);
      if (flow->exchange.started > 0) fill(flow);
    }
  }
  loop_end(&loop);
  free(flows);
}
