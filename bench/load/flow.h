/* The messages of one open tunnel and their echoes, for the modes `echo` and `paced`. */
#ifndef FLOW_H
#define FLOW_H

#include "load.h"

#define FLOW_DEPTH_MAX 64

struct flow {
  struct tunnel tunnel; /* first: events point to it */
  uint64_t sent, received; /* bytes */
  uint64_t started; /* messages */
  int64_t started_at[FLOW_DEPTH_MAX];
};

/* What all flows of a run have in common. */
struct flow_run {
  unsigned size; /* bytes of one message */
  int64_t count_from; /* latencies of messages that started before are left out */
  struct histogram latency;
  uint64_t started, done, bytes;
};

/* Opens the tunnels and waits for the word to go; the events point to the flows. */
struct flow *flows_open(const struct options *options, int epoll);
/* The flow that sends as the nth of `options->active`: they are spread over all tunnels. */
struct flow *flow_active(struct flow *flows, const struct options *options, unsigned nth);
uint64_t flow_in_flight(const struct flow *flow, const struct flow_run *run);
/* A message whose latency counts from `at`; flow_push sends it. */
void flow_start(struct flow *flow, struct flow_run *run, int64_t at);
/* Sends what is owed; false if the socket takes no more now. */
bool flow_push(struct flow *flow, const struct flow_run *run);
/* Takes what has come back, and dies unless it is what was sent. */
void flow_take(struct flow *flow, struct flow_run *run);

#endif
