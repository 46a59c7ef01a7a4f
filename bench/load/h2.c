/* Frames as they are needed here: no priorities, no padding, no CONTINUATION, and fields without compression. */
#include "h2.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "message.h"

#define FRAME_HEAD 9
#define FRAME_MAX 16384 /* what everybody takes */
#define IN_BYTES (4 * (FRAME_HEAD + FRAME_MAX))
#define WINDOW_DEFAULT 65535
#define WINDOW_MAX 0x7fffffff
#define OPENING_AT_ONCE 64
#define OPEN_SECONDS 60
/* So much is put together before it has to be sent. */
#define OUT_MAX (256 * 1024)

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4, PADDED = 8 };
enum { SETTING_STREAMS = 3, SETTING_WINDOW = 4, SETTING_CONNECT = 8 };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct frame {
  uint8_t type, flags;
  uint32_t stream;
  const uint8_t *payload;
  size_t length;
};

static uint32_t number(const uint8_t *bytes, size_t length) {
  uint32_t value = 0;
  for (size_t i = 0; i < length; i++) value = value << 8 | bytes[i];
  return value;
}

static void write_number(uint8_t *bytes, size_t length, uint32_t value) {
  for (size_t i = length; i > 0; i--, value >>= 8) bytes[i - 1] = (uint8_t)value;
}

/* Room for `length` more bytes to send. */
static uint8_t *append(struct h2 *connection, size_t length) {
  if (connection->out_have + length > connection->out_room) {
    connection->out_room = 2 * (connection->out_have + length);
    connection->out = realloc(connection->out, connection->out_room);
    if (connection->out == NULL) die("no memory");
  }
  uint8_t *at = connection->out + connection->out_have;
  connection->out_have += length;
  return at;
}

/* Writes the head of a frame; the answer is where its payload goes. */
static uint8_t *append_frame(struct h2 *connection, const struct frame *frame) {
  uint8_t *at = append(connection, FRAME_HEAD + frame->length);
  write_number(at, 3, (uint32_t)frame->length);
  at[3] = frame->type;
  at[4] = frame->flags;
  write_number(at + 5, 4, frame->stream);
  if (frame->payload != NULL) memcpy(at + FRAME_HEAD, frame->payload, frame->length);
  return at + FRAME_HEAD;
}

void h2_flush(struct h2 *connection) {
  while (connection->out_at < connection->out_have) {
    ssize_t sent =
        wire_send(&connection->wire, connection->out + connection->out_at, connection->out_have - connection->out_at);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) die("connection %u: send: %s", connection->index, strerror(errno));
    connection->out_at += (size_t)sent;
  }
  connection->out_at = connection->out_have = 0;
}

static uint32_t id_of(const struct h2_stream *stream) {
  return 2 * (uint32_t)(stream - stream->connection->streams) + 1;
}

bool h2_push(struct h2_stream *stream, const struct run *run) {
  struct h2 *connection = stream->connection;
  struct exchange *exchange = &stream->exchange;
  uint64_t owed;
  while ((owed = exchange_owed(exchange, run)) > 0) {
    int64_t room = stream->window < connection->window ? stream->window : connection->window;
    if (room <= 0 || connection->out_have > OUT_MAX) return false;
    size_t length = owed < FRAME_MAX ? (size_t)owed : FRAME_MAX;
    if (length > (size_t)room) length = (size_t)room;
    const struct frame frame = {.type = DATA, .stream = id_of(stream), .length = length};
    message_fill(exchange->tunnel, exchange->sent, (char *)append_frame(connection, &frame), length);
    exchange->sent += length;
    stream->window -= (int64_t)length;
    connection->window -= (int64_t)length;
  }
  return true;
}

/* A field as RFC 7541 6.2.2 has it, without an index and without Huffman's code. */
static uint8_t *write_field(uint8_t *at, const char *name, const char *value) {
  const char *const parts[] = {name, value};
  *at++ = 0;
  for (size_t i = 0; i < 2; i++) {
    size_t length = strlen(parts[i]);
    if (length >= 127) die("a field of %zu bytes", length);
    *at++ = (uint8_t)length;
    memcpy(at, parts[i], length);
    at += length;
  }
  return at;
}

/* What a browser sends. */
static void ask(struct h2_stream *stream) {
  uint8_t block[1024];
  char path[32];
  snprintf(path, sizeof path, "/chat?room=%u", stream->exchange.tunnel);
  const char *const fields[][2] = {
      {":method", "CONNECT"},
      {":authority", "chat.example.com"},
      {":scheme", "http"},
      {":path", path},
      {":protocol", "websocket"},
      {"pragma", "no-cache"},
      {"cache-control", "no-cache"},
      {"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
      {"origin", "https://chat.example.com"},
      {"sec-websocket-version", "13"},
      {"accept-encoding", "gzip, deflate, br"},
      {"accept-language", "en-GB,en;q=0.9"},
      {"cookie", "session=3f2504e04f8941d39a0c0305e82c3301"},
      {"sec-websocket-extensions", "permessage-deflate; client_max_window_bits"},
  };
  uint8_t *end = block;
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) end = write_field(end, fields[i][0], fields[i][1]);
  append_frame(stream->connection, &(struct frame){.type = HEADERS,
                                                   .flags = END_HEADERS,
                                                   .stream = id_of(stream),
                                                   .payload = block,
                                                   .length = (size_t)(end - block)});
  h2_flush(stream->connection);
}

static void take_settings(struct h2 *connection, const struct frame *frame) {
  bool connect = false;
  if ((frame->flags & ACK) != 0) return;
  for (size_t at = 0; at + 6 <= frame->length; at += 6) {
    uint32_t value = number(frame->payload + at + 2, 4);
    switch (number(frame->payload + at, 2)) {
      case SETTING_STREAMS:
        if (value < connection->streams_count) die("no more than %u streams on a connection", value);
        break;
      case SETTING_WINDOW:
        for (unsigned i = 0; i < connection->streams_count; i++) {
          connection->streams[i].window += (int64_t)value - connection->initial_window;
        }
        connection->initial_window = value;
        break;
      case SETTING_CONNECT:
        connect = value == 1;
        break;
      default:
        break;
    }
  }
  if (!connection->ready && !connect) die("WebSockets over HTTP/2 are not offered");
  connection->ready = true;
  append_frame(connection, &(struct frame){.type = SETTINGS, .flags = ACK});
}

/* Every server's answer begins with `:status: 200` of the static table, behind changes of the dynamic one's size. */
static void take_answer(struct h2_stream *stream, const struct frame *frame) {
  const uint8_t *at = frame->payload, *end = at + frame->length;
  while (at < end && (*at & 0xe0) == 0x20) {
    bool more = (*at & 0x1f) == 0x1f;
    for (at++; more && at < end; at++) more = (*at & 0x80) != 0;
  }
  if (stream->open) die("tunnel %u: fields behind the answer", stream->exchange.tunnel);
  if (at == end || *at != 0x88) die("tunnel %u: not answered 200", stream->exchange.tunnel);
  stream->open = true;
  stream->connection->opened++;
}

static void take_of_stream(struct h2_stream *stream, const struct frame *frame, h2_take *take) {
  unsigned tunnel = stream->exchange.tunnel;
  switch (frame->type) {
    case RST_STREAM:
      die("tunnel %u: RST_STREAM %u", tunnel, number(frame->payload, frame->length));
    case WINDOW_UPDATE:
      stream->window += number(frame->payload, frame->length);
      return;
    case HEADERS:
      if (frame->flags != END_HEADERS) die("tunnel %u: HEADERS with flags %u", tunnel, frame->flags);
      take_answer(stream, frame);
      return;
    case DATA:
      if (frame->flags == END_STREAM) die("tunnel %u ended", tunnel);
      if (frame->flags != 0) die("tunnel %u: DATA with flags %u", tunnel, frame->flags);
      if (!stream->open || take == NULL) die("tunnel %u: DATA that nobody asked for", tunnel);
      take(stream, (const char *)frame->payload, frame->length);
      return;
    default:
      die("tunnel %u: a frame of type %u", tunnel, frame->type);
  }
}

static void take_frame(struct h2 *connection, const struct frame *frame, h2_take *take) {
  if (frame->stream > 0) {
    uint32_t index = frame->stream / 2;
    if (frame->stream % 2 == 0 || index >= connection->streams_count) die("no stream %u", frame->stream);
    take_of_stream(&connection->streams[index], frame, take);
    return;
  }
  switch (frame->type) {
    case SETTINGS:
      take_settings(connection, frame);
      return;
    case PING:
      if ((frame->flags & ACK) != 0) return;
      append_frame(connection, &(struct frame){PING, ACK, 0, frame->payload, frame->length});
      return;
    case WINDOW_UPDATE:
      connection->window += number(frame->payload, frame->length);
      return;
    default:
      die("connection %u: a frame of type %u", connection->index, frame->type);
  }
}

/* Takes all frames that are whole. */
static void take_frames(struct h2 *connection, h2_take *take) {
  size_t at = 0;
  while (connection->in_have - at >= FRAME_HEAD) {
    const uint8_t *head = connection->in + at;
    size_t length = number(head, 3);
    if (length > FRAME_MAX) die("connection %u: a frame of %zu bytes", connection->index, length);
    if (connection->in_have - at < FRAME_HEAD + length) break;
    const struct frame frame = {head[3], head[4], number(head + 5, 4) & WINDOW_MAX, head + FRAME_HEAD, length};
    take_frame(connection, &frame, take);
    at += FRAME_HEAD + length;
  }
  connection->in_have -= at;
  memmove(connection->in, connection->in + at, connection->in_have);
}

void h2_read(struct h2 *connection, h2_take *take) {
  for (;;) {
    size_t room = IN_BYTES - connection->in_have;
    ssize_t got = wire_recv(&connection->wire, connection->in + connection->in_have, room);
    if (got < 0 && errno == EAGAIN) return;
    if (got < 0) die("connection %u: %s", connection->index, strerror(errno));
    if (got == 0) die("connection %u ended", connection->index);
    connection->in_have += (size_t)got;
    take_frames(connection, take);
    if ((size_t)got < room) return;
  }
}

static void begin(struct h2 *connection, const struct options *options, int epoll) {
  unsigned first = connection->index * options->streams;
  unsigned left = options->tunnels - first;
  connection->streams_count = left < options->streams ? left : options->streams;
  connection->streams = calloc(connection->streams_count, sizeof *connection->streams);
  connection->in = malloc(IN_BYTES);
  if (connection->streams == NULL || connection->in == NULL) die("no memory");
  connection->window = connection->initial_window = WINDOW_DEFAULT;
  for (unsigned i = 0; i < connection->streams_count; i++) {
    connection->streams[i] =
        (struct h2_stream){.connection = connection, .window = WINDOW_DEFAULT, .exchange.tunnel = first + i};
  }
  wire_open(&connection->wire, connect_from(connection->index, options->port));
  memcpy(append(connection, sizeof preface - 1), preface, sizeof preface - 1);
  uint8_t *window = append_frame(connection, &(struct frame){.type = SETTINGS, .length = 6});
  write_number(window, 2, SETTING_WINDOW);
  write_number(window + 2, 4, WINDOW_MAX);
  window = append_frame(connection, &(struct frame){.type = WINDOW_UPDATE, .length = 4});
  write_number(window, 4, WINDOW_MAX - WINDOW_DEFAULT);
  epoll_watch(epoll, connection->wire.fd, connection);
}

unsigned h2_connections(const struct options *options) {
  return (options->tunnels + options->streams - 1) / options->streams;
}

struct h2 *h2_open(const struct options *options, int epoll) {
  struct epoll_event events[EVENT_BATCH];
  unsigned begun = 0, asked = 0, open = 0;
  int64_t deadline = now_ns() + OPEN_SECONDS * 1000000000ll;
  struct h2 *connections = calloc(h2_connections(options), sizeof *connections);
  if (connections == NULL) die("no memory");
  while (open < options->tunnels) {
    while (asked < options->tunnels && asked - open < OPENING_AT_ONCE) {
      struct h2 *connection = &connections[asked / options->streams];
      if (asked / options->streams == begun) {
        connection->index = begun++;
        begin(connection, options, epoll);
      }
      if (!connection->ready) break;
      ask(&connection->streams[asked++ % options->streams]);
    }
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 1000);
    for (int i = 0; i < ready; i++) {
      struct h2 *connection = events[i].data.ptr;
      open -= connection->opened;
      h2_read(connection, NULL);
      open += connection->opened;
      h2_flush(connection);
    }
    if (now_ns() > deadline) die("%u of %u tunnels open after %d s", open, options->tunnels, OPEN_SECONDS);
  }
  return connections;
}
