/*
 * The upstream: answers an upgrade with a right 101 and echoes the messages that follow; answers any other
 * request with a small 200. A line on stdin asks for the counts, the end of stdin ends it.
 */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"

#define HEAD_BYTES 8192
#define BUFFER_BYTES (256 * 1024)

struct peer {
  int fd;
  bool tunnel;
  bool ended; /* the other side has sent its FIN */
  struct echo echo;
  char *head; /* HEAD_BYTES, until the upgrade */
  size_t have;
  char *pending; /* not yet taken by the socket */
  size_t pending_at, pending_end;
};

static struct {
  uint64_t open, tunnels; /* now */
  uint64_t upgrades, requests, bytes; /* ever */
} counts;
static char buffer[BUFFER_BYTES];

static void drop(struct peer *peer) {
  close(peer->fd);
  free(peer->head);
  free(peer->pending);
  counts.open--;
  if (peer->tunnel) counts.tunnels--;
  free(peer);
}

/* Sends or keeps; false if the connection is gone. Nothing is read while something is kept. */
static bool put(struct peer *peer, const char *bytes, size_t length) {
  ssize_t sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return false;
  size_t done = sent < 0 ? 0 : (size_t)sent;
  if (done == length) return true;
  peer->pending = malloc(length - done);
  if (peer->pending == NULL) die("no memory");
  memcpy(peer->pending, bytes + done, length - done);
  peer->pending_at = 0;
  peer->pending_end = length - done;
  return true;
}

/* True once nothing is pending, or an error has to be found by the next read. */
static bool flush(struct peer *peer) {
  while (peer->pending != NULL) {
    ssize_t sent =
        send(peer->fd, peer->pending + peer->pending_at, peer->pending_end - peer->pending_at, MSG_NOSIGNAL);
    if (sent < 0) return errno != EAGAIN;
    peer->pending_at += (size_t)sent;
    if (peer->pending_at < peer->pending_end) continue;
    free(peer->pending);
    peer->pending = NULL;
  }
  return true;
}

static bool switch_protocols(struct peer *peer, const char *key, size_t key_length, size_t rest) {
  char answer[256];
  char accept[ACCEPT_SIZE];
  accept_of_key(key, key_length, accept);
  int size = snprintf(answer, sizeof answer,
                      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Accept: %s\r\n\r\n",
                      accept);
  counts.upgrades++;
  counts.tunnels++;
  peer->tunnel = true;
  if (!put(peer, answer, (size_t)size) || rest > 0) return false; /* bytes before the 101 break RFC 9931 */
  free(peer->head);
  peer->head = NULL;
  return true;
}

/* Answers every whole head that is there; false if the connection has to end. */
static bool answer_heads(struct peer *peer) {
  static const char ok[] =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";
  size_t length;
  while (!peer->tunnel && (length = head_length(peer->head, peer->have)) > 0) {
    const char *value, *key;
    size_t value_length, key_length;
    size_t rest = peer->have - length;
    if (head_field(peer->head, length, "Upgrade", &value, &value_length)) {
      if (!head_field(peer->head, length, "Sec-WebSocket-Key", &key, &key_length)) return false;
      return switch_protocols(peer, key, key_length, rest);
    }
    if (memcmp(peer->head, "GET ", 4) != 0) return false;
    counts.requests++;
    if (!put(peer, ok, sizeof ok - 1)) return false;
    memmove(peer->head, peer->head + length, rest);
    peer->have = rest;
  }
  return peer->tunnel || peer->have < HEAD_BYTES;
}

/* False if the connection has ended or has to. */
static bool serve_peer(struct peer *peer) {
  while (flush(peer) && !peer->ended) {
    char *to = peer->tunnel ? buffer : peer->head + peer->have;
    size_t room = peer->tunnel ? BUFFER_BYTES : HEAD_BYTES - peer->have;
    ssize_t got = recv(peer->fd, to, room, 0);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) {
      peer->ended = true;
    } else if (peer->tunnel) {
      counts.bytes += (uint64_t)got;
      if (!echo_frames(&peer->echo, buffer, (size_t)got) || !put(peer, buffer, (size_t)got)) return false;
    } else {
      peer->have += (size_t)got;
      if (!answer_heads(peer)) return false;
    }
  }
  return !peer->ended || peer->pending != NULL;
}

static void accept_all(int listener, int epoll) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && errno == ECONNABORTED) continue;
    if (fd < 0 && errno == EAGAIN) return;
    if (fd < 0) die("accept: %s", strerror(errno));
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL || (peer->head = malloc(HEAD_BYTES)) == NULL) die("no memory");
    peer->fd = fd;
    counts.open++;
    epoll_watch(epoll, fd, peer);
  }
}

static void answer_stdin(void) {
  char lines[256];
  ssize_t got = read(STDIN_FILENO, lines, sizeof lines);
  if (got == 0) exit(0);
  if (got < 0) return;
  printf("{\"open\":%llu,\"tunnels\":%llu,\"upgrades\":%llu,\"requests\":%llu,\"bytes\":%llu,\"cpuSeconds\":%.6f}\n",
         (unsigned long long)counts.open, (unsigned long long)counts.tunnels, (unsigned long long)counts.upgrades,
         (unsigned long long)counts.requests, (unsigned long long)counts.bytes, cpu_seconds());
  fflush(stdout);
}

void run_serve(const struct options *options) {
  static int listener_mark, stdin_mark;
  struct epoll_event events[EVENT_BATCH];
  uint16_t port = options->port;
  int listener = listen_on(&port);
  int epoll = epoll_new();
  epoll_watch(epoll, listener, &listener_mark);
  fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
  epoll_watch(epoll, STDIN_FILENO, &stdin_mark);
  printf("{\"port\":%u}\n", port);
  fflush(stdout);
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENT_BATCH, -1);
    for (int i = 0; i < ready; i++) {
      void *owner = events[i].data.ptr;
      if (owner == &listener_mark) {
        accept_all(listener, epoll);
      } else if (owner == &stdin_mark) {
        answer_stdin();
      } else if (!serve_peer(owner)) {
        drop(owner);
      }
    }
  }
}
