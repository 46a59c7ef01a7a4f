/* The messages of one open tunnel and their echoes, whatever the tunnel's bytes travel in. */
#ifndef EXCHANGE_H
#define EXCHANGE_H

#include "load.h"

#define EXCHANGE_DEPTH_MAX 64

struct exchange {
  unsigned tunnel;         /* its index, which its messages carry */
  uint64_t sent, received; /* bytes */
  uint64_t started;        /* messages */
  int64_t started_at[EXCHANGE_DEPTH_MAX];
};

/* What all exchanges of a run have in common. */
struct run {
  unsigned size;      /* bytes of one message */
  int64_t count_from; /* latencies of messages that started before are left out */
  struct histogram latency;
  uint64_t started, done, bytes;
};

uint64_t exchange_in_flight(const struct exchange *exchange, const struct run *run);
/* A message whose latency counts from `at`; its bytes are owed from now on. */
void exchange_start(struct exchange *exchange, struct run *run, int64_t at);
/* Bytes of started messages that are not sent yet. */
uint64_t exchange_owed(const struct exchange *exchange, const struct run *run);
/* Takes what has come back, and dies unless it is what was sent. */
void exchange_take(struct exchange *exchange, struct run *run, const char *bytes, size_t length);

#endif
