/* As `echo`, with tunnels that are streams of HTTP/2, all of which are active. */
#include <stdlib.h>
#include <sys/epoll.h>

#include "h2.h"
#include "loop.h"
#include "message.h"

static struct loop loop;

static void take(struct h2_stream *stream, const char *bytes, size_t length) {
  exchange_take(&stream->exchange, &loop.run, bytes, length);
}

/* A window may have opened for any of them. */
static void fill(struct h2 *connection) {
  for (unsigned i = 0; i < connection->streams_count; i++) {
    struct h2_stream *stream = &connection->streams[i];
    while (h2_push(stream, &loop.run) && loop_may_start(&loop, &stream->exchange)) {
      exchange_start(&stream->exchange, &loop.run, now_ns());
    }
  }
  h2_flush(connection);
}

void run_echo_h2(const struct options *options) {
  struct epoll_event events[EVENT_BATCH];
  int epoll = epoll_new();
  message_init(options->size);
  struct h2 *connections = h2_open(options, epoll);
  wait_for_go();

  loop_begin(&loop, options);
  for (unsigned i = 0; i < h2_connections(options); i++) fill(&connections[i]);
  while (loop_goes_on(&loop)) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 100);
    loop.now = now_ns();
    for (int i = 0; i < ready; i++) {
      h2_read(events[i].data.ptr, take);
      fill(events[i].data.ptr);
    }
  }
  loop_end(&loop);
  free(connections);
}
