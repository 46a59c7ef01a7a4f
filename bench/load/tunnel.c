/* The client side of a WebSocket handshake: a request as a browser sends it, and a 101 that is checked. */
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define OPENING_AT_ONCE 64
#define OPEN_SECONDS 60

static void make_key(struct tunnel *tunnel) {
  uint8_t nonce[16];
  uint32_t seed = tunnel->index * 2654435761u + (uint32_t)tunnel->wire.fd;
  for (size_t i = 0; i < sizeof nonce; i++) {
    seed = seed * 1664525u + 1013904223u;
    nonce[i] = (uint8_t)(seed >> 24);
  }
  base64(nonce, sizeof nonce, tunnel->key);
}

static enum tunnel_state fail(struct tunnel *tunnel, const char *why) {
  tunnel->failure = why;
  return tunnel->state = TUNNEL_FAILED;
}

void tunnel_start(struct tunnel *tunnel, unsigned index, uint16_t port, int epoll) {
  tunnel->index = index;
  tunnel->state = TUNNEL_CONNECTING;
  tunnel->failure = NULL;
  tunnel->have = 0;
  wire_open(&tunnel->wire, connect_from(index, port));
  make_key(tunnel);
  epoll_watch(epoll, tunnel->wire.fd, tunnel);
}

static enum tunnel_state send_request(struct tunnel *tunnel) {
  char request[1024];
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(tunnel->wire.fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return fail(tunnel, strerror(error));
  int size = snprintf(request, sizeof request,
                      "GET /chat?room=%u HTTP/1.1\r\n"
                      "Host: chat.example.com\r\n"
                      "Connection: Upgrade\r\n"
                      "Pragma: no-cache\r\n"
                      "Cache-Control: no-cache\r\n"
                      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
                      "Upgrade: websocket\r\n"
                      "Origin: https://chat.example.com\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "Accept-Encoding: gzip, deflate, br\r\n"
                      "Accept-Language: en-GB,en;q=0.9\r\n"
                      "Cookie: session=3f2504e04f8941d39a0c0305e82c3301\r\n"
                      "Sec-WebSocket-Key: %s\r\n"
                      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                      "\r\n",
                      tunnel->index, tunnel->key);
  ssize_t sent = wire_send(&tunnel->wire, request, (size_t)size);
  if (sent < 0 && errno == EAGAIN) return tunnel->state;
  if (sent != size) return fail(tunnel, "request not sent");
  return tunnel->state = TUNNEL_WAITING;
}

static enum tunnel_state check_answer(struct tunnel *tunnel, size_t length) {
  const char *value;
  size_t value_length;
  char accept[ACCEPT_SIZE];
  if (memcmp(tunnel->head, "HTTP/1.1 101 ", 13) != 0) {
    static char text[32];
    snprintf(text, sizeof text, "answered %.12s", tunnel->head);
    return fail(tunnel, text);
  }
  accept_of_key(tunnel->key, KEY_SIZE - 1, accept);
  if (!head_field(tunnel->head, length, "Sec-WebSocket-Accept", &value, &value_length) ||
      value_length != ACCEPT_SIZE - 1 || memcmp(value, accept, value_length) != 0) {
    return fail(tunnel, "wrong Sec-WebSocket-Accept");
  }
  if (tunnel->have != length) return fail(tunnel, "bytes after the 101");
  return tunnel->state = TUNNEL_OPEN;
}

static enum tunnel_state read_answer(struct tunnel *tunnel) {
  for (;;) {
    ssize_t got = wire_recv(&tunnel->wire, tunnel->head + tunnel->have, sizeof tunnel->head - tunnel->have);
    if (got < 0 && errno == EAGAIN) return tunnel->state;
    if (got < 0) return fail(tunnel, strerror(errno));
    if (got == 0) return fail(tunnel, "closed before the 101");
    tunnel->have += (size_t)got;
    size_t length = head_length(tunnel->head, tunnel->have);
    if (length > 0) return check_answer(tunnel, length);
    if (tunnel->have == sizeof tunnel->head) return fail(tunnel, "answer too long");
  }
}

enum tunnel_state tunnel_step(struct tunnel *tunnel) {
  if (tunnel->state == TUNNEL_CONNECTING) send_request(tunnel);
  if (tunnel->state == TUNNEL_WAITING) read_answer(tunnel);
  return tunnel->state;
}

void tunnels_open(char *first, size_t stride, const struct options *options, int epoll) {
  struct epoll_event events[EVENT_BATCH];
  unsigned started = 0, open = 0;
  int64_t deadline = now_ns() + OPEN_SECONDS * 1000000000ll;
  while (open < options->tunnels) {
    while (started < options->tunnels && started - open < OPENING_AT_ONCE) {
      tunnel_start((struct tunnel *)(void *)(first + stride * started), started, options->port, epoll);
      started++;
    }
    int ready = epoll_wait(epoll, events, EVENT_BATCH, 1000);
    for (int i = 0; i < ready; i++) {
      struct tunnel *tunnel = events[i].data.ptr;
      if (tunnel->state == TUNNEL_OPEN) {
        if (breaks_silence(events[i].events)) die("tunnel %u ended while others opened", tunnel->index);
        continue;
      }
      tunnel_step(tunnel);
      if (tunnel->state == TUNNEL_FAILED) die("tunnel %u: %s", tunnel->index, tunnel->failure);
      if (tunnel->state == TUNNEL_OPEN) open++;
    }
    if (now_ns() > deadline) die("%u of %u tunnels open after %d s", open, options->tunnels, OPEN_SECONDS);
  }
}
