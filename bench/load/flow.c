/* What comes back is compared byte for byte with what has to. */
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
  tunnels_open((char *)flows, sizeof *flows, options, epoll);
  wait_for_go();
  return flows;
}

struct flow *flow_active(struct flow *flows, const struct options *options, unsigned nth) {
  return &flows[(uint64_t)nth * options->tunnels / options->active];
}

uint64_t flow_in_flight(const struct flow *flow, const struct flow_run *run) {
  return flow->started - flow->received / run->size;
}

void flow_start(struct flow *flow, struct flow_run *run, int64_t at) {
  flow->started_at[flow->started++ % FLOW_DEPTH_MAX] = at;
  run->started++;
}

bool flow_push(struct flow *flow, const struct flow_run *run) {
  uint64_t owed;
  while ((owed = flow->started * run->size - flow->sent) > 0) {
    if (owed > BUFFER_BYTES) owed = BUFFER_BYTES;
    message_fill(flow->tunnel.index, flow->sent, buffer, owed);
    ssize_t sent = wire_send(&flow->tunnel.wire, buffer, owed);
    if (sent < 0 && errno == EAGAIN) return false;
    if (sent < 0) die("tunnel %u: send: %s", flow->tunnel.index, strerror(errno));
    flow->sent += (uint64_t)sent;
  }
  return true;
}

void flow_take(struct flow *flow, struct flow_run *run) {
  for (;;) {
    ssize_t got = wire_recv(&flow->tunnel.wire, buffer, BUFFER_BYTES);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("tunnel %u: recv: %s", flow->tunnel.index, strerror(errno));
    if (got == 0) die("tunnel %u ended after %llu bytes", flow->tunnel.index, (unsigned long long)flow->received);
    if (flow->received + (uint64_t)got > flow->sent ||
        !message_matches(flow->tunnel.index, flow->received, buffer, (size_t)got)) {
      die("tunnel %u: wrong bytes after %llu", flow->tunnel.index, (unsigned long long)flow->received);
    }
    int64_t now = now_ns();
    uint64_t done = flow->received / run->size;
    flow->received += (uint64_t)got;
    run->bytes += (uint64_t)got;
    for (; done < flow->received / run->size; done++) {
      int64_t started_at = flow->started_at[done % FLOW_DEPTH_MAX];
      if (started_at >= run->count_from) histogram_add(&run->latency, now - started_at);
      run->done++;
    }
    if (got < BUFFER_BYTES) return;
  }
}
