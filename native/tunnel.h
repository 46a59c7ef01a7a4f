/* The life of a tunnel on its thread, from the moment two sockets are joined. */
#ifndef UPGATE_TUNNEL_H
#define UPGATE_TUNNEL_H

#include "worker.h"

/* TASK_OPEN: the ends, what goes to them first and the policy are in place. */
void tunnel_start(struct worker *worker, struct tunnel *tunnel);

/* TASK_CLOSE, or a limit. `words` are NULL for none. */
void tunnel_close(struct worker *worker, struct tunnel *tunnel, enum ended_by by,
                  enum end_reason reason, uint64_t timeout_ms, const struct close_words *words);

/* An end can be read or written, or both. */
void tunnel_run(struct worker *worker, struct tunnel *tunnel);

/* epoll tells of an error at an end that is not being read, so no read would find it. */
void tunnel_check(struct worker *worker, struct tunnel *tunnel, enum side side);

/* The timer of an open or closing tunnel has expired. */
void tunnel_expired(struct worker *worker, struct tunnel *tunnel);

/* The rest is for its parts: closing.c and ping.c. */

const struct relay_policy *tunnel_policy(const struct tunnel *tunnel);

/* Sends to one side of an open tunnel, or holds. False when the tunnel is not open any more. */
bool tunnel_put(struct worker *worker, struct tunnel *tunnel, enum side side,
                const unsigned char *bytes, size_t length);

/* When a limit is reached, to within a part of it; WHEEL_NEVER for no limit. */
uint64_t tunnel_due_ms(uint64_t since_ms, uint64_t limit_ms);

/* Starts the timer of an open tunnel anew; nothing for a closing one. */
void tunnel_start_limits(struct worker *worker, struct tunnel *tunnel);

/* Both sockets are closed, with a reset or in an orderly way. */
void tunnel_finish(struct worker *worker, struct tunnel *tunnel, bool reset);

#endif
