/* The way to an endpoint on a thread: connect, send the request head, read what is answered. */
#ifndef UPGATE_DIAL_H
#define UPGATE_DIAL_H

#include "worker.h"

/* TASK_DIAL: the address, the head (held for the upstream's end) and the times are in place. */
void dial_start(struct worker *worker, struct tunnel *tunnel);

/* The socket can be read or written. */
void dial_run(struct worker *worker, struct tunnel *tunnel);

/* TASK_PROCEED */
void dial_proceed(struct worker *worker, struct tunnel *tunnel, bool refresh);

/* TASK_RELEASE_CLIENT, TASK_RELEASE_UPSTREAM: the owner has the socket. */
void dial_released(struct worker *worker, struct tunnel *tunnel, enum side side);

/* TASK_DROP */
void dial_drop(struct worker *worker, struct tunnel *tunnel);

/* TASK_CLOSE before a TASK_OPEN. */
void dial_abandon(struct worker *worker, struct tunnel *tunnel);

/* The timer has expired. */
void dial_expired(struct worker *worker, struct tunnel *tunnel);

#endif
