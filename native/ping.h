/* Pings to peers that are silent, and the end of those that do not answer. All on the tunnel's thread. */
#ifndef UPGATE_PING_H
#define UPGATE_PING_H

#include "worker.h"

/* Of an open tunnel, when there is something to do: WHEEL_NEVER for no time. */
uint64_t ping_next_ms(const struct tunnel *tunnel);

/* Pings who is silent, and ends the tunnel of who does not answer; nothing where it is too early. */
void ping_look(struct worker *worker, struct tunnel *tunnel);

/* The frame is in the stream to this side. */
void ping_is_put(struct worker *worker, struct tunnel *tunnel, enum side side);

/* A pinged side has given a sign of life. */
void ping_is_answered(struct worker *worker, struct tunnel *tunnel, enum side side);

#endif
