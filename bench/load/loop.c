/* When a closed loop starts messages, when it ends, and what it has to say then. */
#include "loop.h"

#include <stdio.h>

#define GRACE_SECONDS 15

void loop_begin(struct loop *loop, const struct options *options) {
  loop->options = options;
  loop->run.size = options->size;
  loop->started_at = loop->now = now_ns();
  loop->stop_at = loop->started_at + options->seconds * 1000000000ll;
  loop->give_up_at = (options->seconds > 0 ? loop->stop_at : loop->started_at + 600000000000ll) +
                     GRACE_SECONDS * 1000000000ll;
  loop->cpu = cpu_seconds();
}

bool loop_goes_on(struct loop *loop) {
  const struct options *options = loop->options;
  const struct run *run = &loop->run;
  if (loop->now > loop->give_up_at) {
    die("%llu of %llu messages came back", (unsigned long long)run->done, (unsigned long long)run->started);
  }
  return run->done < run->started || (options->seconds > 0 && loop->now < loop->stop_at && options->count == 0);
}

bool loop_may_start(const struct loop *loop, const struct exchange *exchange) {
  const struct options *options = loop->options;
  if (exchange_in_flight(exchange, &loop->run) >= options->depth) return false;
  if (options->count > 0 && loop->run.started >= options->count) return false;
  return options->seconds == 0 || loop->now < loop->stop_at;
}

void loop_end(const struct loop *loop) {
  const struct run *run = &loop->run;
  printf("{\"messages\":%llu,\"bytes\":%llu,\"seconds\":%.6f,\"cpuSeconds\":%.6f,", (unsigned long long)run->done,
         (unsigned long long)run->bytes, (double)(now_ns() - loop->started_at) / 1e9, cpu_seconds() - loop->cpu);
  histogram_print(&run->latency);
  puts("}");
  fflush(stdout);
}
