/* A closed loop: each exchange has a bounded number of messages in flight, and starts the next at an echo. */
#ifndef LOOP_H
#define LOOP_H

#include "exchange.h"

struct loop {
  struct run run;
  const struct options *options;
  int64_t started_at, stop_at, give_up_at;
  int64_t now; /* as of the last events */
  double cpu;  /* before the start */
};

void loop_begin(struct loop *loop, const struct options *options);
/* Whether there is more to do or to wait for; dies once it takes too long. */
bool loop_goes_on(struct loop *loop);
bool loop_may_start(const struct loop *loop, const struct exchange *exchange);
/* Prints the result. */
void loop_end(const struct loop *loop);

#endif
