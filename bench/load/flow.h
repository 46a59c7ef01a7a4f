/* The messages of a tunnel that has a connection to itself, for the modes `echo` and `paced`. */
#ifndef FLOW_H
#define FLOW_H

#include "exchange.h"

struct flow {
  struct tunnel tunnel; /* first: events point to it */
  struct exchange exchange;
};

/* Opens the tunnels and waits for the word to go; the events point to the flows. */
struct flow *flows_open(const struct options *options, int epoll);
/* The flow that sends as the nth of `options->active`: they are spread over all tunnels. */
struct flow *flow_active(struct flow *flows, const struct options *options, unsigned nth);
/* Sends what is owed; false if the socket takes no more now. */
bool flow_push(struct flow *flow, const struct run *run);
/* Takes what has come back, and dies unless it is what was sent. */
void flow_take(struct flow *flow, struct run *run);

#endif
