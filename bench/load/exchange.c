/* What comes back is compared byte for byte with what has to. */
#include "exchange.h"

#include "message.h"

uint64_t exchange_in_flight(const struct exchange *exchange, const struct run *run) {
  return exchange->started - exchange->received / run->size;
}

void exchange_start(struct exchange *exchange, struct run *run, int64_t at) {
  exchange->started_at[exchange->started++ % EXCHANGE_DEPTH_MAX] = at;
  run->started++;
}

uint64_t exchange_owed(const struct exchange *exchange, const struct run *run) {
  return exchange->started * run->size - exchange->sent;
}

void exchange_take(struct exchange *exchange, struct run *run, const char *bytes, size_t length) {
  if (exchange->received + length > exchange->sent ||
      !message_matches(exchange->tunnel, exchange->received, bytes, length)) {
    die("tunnel %u: wrong bytes after %llu", exchange->tunnel, (unsigned long long)exchange->received);
  }
  int64_t now = now_ns();
  uint64_t done = exchange->received / run->size;
  exchange->received += length;
  run->bytes += length;
  for (; done < exchange->received / run->size; done++) {
    int64_t started_at = exchange->started_at[done % EXCHANGE_DEPTH_MAX];
    if (started_at >= run->count_from) histogram_add(&run->latency, now - started_at);
    run->done++;
  }
}
