/* The life of a tunnel on its thread, from the moment two sockets are joined. */
#ifndef UPGATE_TUNNEL_H
#define UPGATE_TUNNEL_H

#include "worker.h"

/* TASK_OPEN: the ends, what goes to them first and the limits are in place. */
void tunnel_start(struct worker *worker, struct tunnel *tunnel);

/* TASK_CLOSE, or a limit. `words` are NULL for none. */
void tunnel_close(struct worker *worker, struct tunnel *tunnel, enum ended_by by,
                  enum end_reason reason, uint64_t timeout_ms,
                  const struct close_words *words);

/* An end can be read or written, or both. */
void tunnel_run(struct worker *worker, struct tunnel *tunnel);

/* epoll tells of an error at an end that is not being read, so no read would find it. */
void tunnel_check(struct worker *worker, struct tunnel *tunnel, enum side side);

/* The timer of an open or closing tunnel has expired. */
void tunnel_expired(struct worker *worker, struct tunnel *tunnel);

#endif
