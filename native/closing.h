/*
 * How a tunnel is ended that did not end by itself. Where the peers are told by Close frames, for each of them:
 *
 *     the frame that it is getting ends --> our Close frame --> its Close frame, or its FIN --> our FIN --> its FIN
 *
 * and otherwise, where a direction is blind, or for a bare end:                               our FIN --> its FIN
 */
#ifndef UPGATE_CLOSING_H
#define UPGATE_CLOSING_H

#include "worker.h"

/* The tunnel's state has become STATE_CLOSING. `words` are NULL for none. */
void closing_start(struct worker *worker, struct tunnel *tunnel, const struct close_words *words);

/* An end can be read or written, or both. */
void closing_run(struct worker *worker, struct tunnel *tunnel);

/* The connection of one side is broken. */
void closing_lose(struct worker *worker, struct tunnel *tunnel, enum side side);

/* The time is over: whoever has not closed is reset. */
void closing_expired(struct worker *worker, struct tunnel *tunnel);

/* One side of an open tunnel is dead: it is reset, and the other one is told. */
void closing_bury(struct worker *worker, struct tunnel *tunnel, enum side dead);

#endif
