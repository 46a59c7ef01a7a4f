/*
 * Client connections of HTTP/2 with prior knowledge (RFC 9113), whose streams are WebSockets by extended CONNECT
 * (RFC 8441). The windows that it gives are so large that nothing that it is sent needs a WINDOW_UPDATE; those that it is
 * given it keeps to. Whatever ends a stream or a connection ends the program, with its words.
 */
#ifndef H2_H
#define H2_H

#include "exchange.h"

struct h2 {
  struct wire wire;
  unsigned index;
  bool ready; /* the server has offered extended CONNECT */
  unsigned opened; /* streams that were granted */
  int64_t window;
  int64_t initial_window; /* of each stream */
  unsigned streams_count;
  struct h2_stream *streams;
  /* What comes is passed on frame by frame. */
  uint8_t *in;
  size_t in_have;
  uint8_t *out;
  size_t out_at, out_have, out_room;
};

struct h2_stream {
  struct h2 *connection;
  bool open; /* answered with 200 */
  int64_t window;
  struct exchange exchange;
};

/* Takes the bytes of a DATA frame. */
typedef void h2_take(struct h2_stream *stream, const char *bytes, size_t length);

/*
 * Opens `options->tunnels` streams on connections of `options->streams` each, the last one perhaps with fewer; dies if one
 * fails. The events point to the connections.
 */
struct h2 *h2_open(const struct options *options, int epoll);
unsigned h2_connections(const struct options *options);
/* Reads what there is. */
void h2_read(struct h2 *connection, h2_take *take);
/* Puts what is owed into DATA frames, as far as the windows let it; false where they or the socket take no more now. */
bool h2_push(struct h2_stream *stream, const struct run *run);
/* Sends the frames that were put together. */
void h2_flush(struct h2 *connection);

#endif
