/*
 * Shared parts of the load generator: options, sockets, the client side of a WebSocket handshake and a latency
 * histogram. One process, one thread, one epoll set; every mode speaks JSON lines on stdout and is led by stdin.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define ACCEPT_SIZE 29 /* 28 characters and the final zero */
#define KEY_SIZE 25    /* 24 characters and the final zero */
#define EVENT_BATCH 256

struct options {
  uint16_t port;       /* to connect to, or to listen on (0: any) */
  unsigned tunnels;    /* opened before the work starts */
  unsigned streams;    /* of them on a connection, in `idle-h2` and `echo-h2` */
  unsigned active;     /* of them, that send; all in `echo-h2` */
  unsigned size;       /* bytes of one message */
  unsigned depth;      /* messages of one tunnel in flight */
  unsigned seconds;    /* end of the work, or 0 */
  unsigned rate;       /* messages a second of all tunnels, in `paced` */
  unsigned count;      /* units of work to do, or 0 for as many as fit into `seconds` */
  unsigned concurrent; /* connections at a time, in `handshake` and `get` */
};

/* accept.c: the Sec-WebSocket-Accept of a key (RFC 6455 4.2.2). */
void accept_of_key(const char *key, size_t key_length, char out[ACCEPT_SIZE]);
void base64(const uint8_t *bytes, size_t length, char *out);

/* head.c: HTTP/1.1 heads. A head's length includes its empty line; 0 means it is not complete. */
size_t head_length(const char *bytes, size_t length);
bool head_field(const char *head, size_t length, const char *name, const char **value, size_t *value_length);

/* net.c */
int64_t now_ns(void);
double cpu_seconds(void);
void raise_file_limit(void);
int listen_on(uint16_t *port);
int connect_from(unsigned index, uint16_t port);
int epoll_new(void);
void epoll_watch(int epoll, int fd, void *owner);
/* Whether the events say that the other side sent something or is gone: wrong where only silence is right. */
bool breaks_silence(uint32_t events);
void close_with_reset(int fd);
/* Prints {"ready":true} and blocks until a line or the end of stdin. */
void wait_for_go(void);
/* Prints {"error": ...} and exits with 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* histogram.c: nanoseconds, in buckets of at most 1.6 % width. */
#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS (1 << HISTOGRAM_STEP_BITS)
struct histogram {
  uint64_t total;
  uint32_t buckets[64 * HISTOGRAM_STEPS];
};
void histogram_add(struct histogram *histogram, int64_t ns);
double histogram_us(const struct histogram *histogram, double quantile);
/* Three quantiles as members of a JSON object. */
void histogram_print(const struct histogram *histogram);

/* tunnel.c: one client connection, up to its checked 101. */
enum tunnel_state { TUNNEL_CONNECTING, TUNNEL_WAITING, TUNNEL_OPEN, TUNNEL_FAILED };
struct tunnel {
  struct wire wire;
  unsigned index;
  enum tunnel_state state;
  const char *failure; /* why, where state is TUNNEL_FAILED */
  size_t have;
  char key[KEY_SIZE];
  char head[2048];
};
void tunnel_start(struct tunnel *tunnel, unsigned index, uint16_t port, int epoll);
/* Goes on after an event; the answer is the new state. */
enum tunnel_state tunnel_step(struct tunnel *tunnel);
/* Opens `options->tunnels` of them, the structs being `stride` bytes apart; dies if one fails. */
void tunnels_open(char *first, size_t stride, const struct options *options, int epoll);

/* The modes; each returns at the end of its work. */
void run_serve(const struct options *options);
void run_echo(const struct options *options);
void run_echo_h2(const struct options *options);
void run_paced(const struct options *options);
void run_idle(const struct options *options);
void run_idle_h2(const struct options *options);
void run_handshake(const struct options *options);
void run_get(const struct options *options);

#endif
