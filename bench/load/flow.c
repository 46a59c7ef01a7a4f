/* The bytes of messages to and from a connection. */
#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define BUFFER_BYTES (256 * 1024)

static char buffer[BUFFER_BYTES];

struct flow *flows_open(const struct options *options, int epoll) {
  struct flow *flows = calloc(options->tunnels, sizeof *flows);
  if (flows == NULL) die("no memory");
  message_init(options->size);
  for (unsigned i = 0; i < options->tunnels; i++) flows[i].exchange.tunnel = i;
  tunnels_open((char *)flows, sizeof *flows, options, epoll);
  wait_for_go();
  return flows;
}

struct flow *flow_active(struct flow *flows, const struct options *options, unsigned nth) {
  return &flows[(uint64_t)nth * options->tunnels / options->active];
}

bool flow_push(struct flow *flow, const struct run *run) {
  struct exchange *exchange = &flow->exchange;
  uint64_t owed;
  while ((owed = exchange_owed(exchange, run)) > 0) {
    if (owed > BUFFER_BYTES) owed = BUFFER_BYTES;
    message_fill(exchange->tunnel, exchange->sent, buffer, owed);
    ssize_t sent = wire_send(&flow->tunnel.wire, buffer, owed);
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0) die("tunnel %u: send: %s", exchange->tunnel, strerror(errno));
    exchange->sent += (uint64_t)sent;
  }
  return true;
}

void flow_take(struct flow *flow, struct run *run) {
  struct exchange *exchange = &flow->exchange;
  for (;;) {
    ssize_t got = wire_recv(&flow->tunnel.wire, buffer, BUFFER_BYTES);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("tunnel %u: recv: %s", exchange->tunnel, strerror(errno));
    if (got == 0) die("tunnel %u ended after %llu bytes", exchange->tunnel, (unsigned long long)exchange->received);
    exchange_take(exchange, run, buffer, (size_t)got);
    if (got < BUFFER_BYTES) return;
  }
}
