/* A client of the fuzz target for accepts, with what it and its endpoint do. */
#ifndef UPGATE_ACCEPT_VISITOR_H
#define UPGATE_ACCEPT_VISITOR_H

#include "accept_door.h"

/* The most that is written or read at once. */
#define BYTES_MAX 4096

enum phase {
	PHASE_NONE,
	/* Connected, and nobody has been told of it. */
	PHASE_COMING,
	PHASE_HEARING,
	PHASE_ASKED,
	PHASE_DIALING,
	PHASE_ANSWERED,
	/* Dropped before its answer was told: it may be released or closed. */
	PHASE_DROPPED,
	PHASE_OPEN,
	/* Closed, or without a side: its last event is awaited. */
	PHASE_LET_GO,
};

struct visitor {
	/* Decides what its peers write, over and over, which nobody else writes. */
	unsigned number;
	enum phase phase;
	struct tunnel *tunnel;
	/* -1 for one that is gone, or not there. */
	int peers[SIDES];
	/* What each has written, and what of it has come to the owner or to the other one. */
	size_t written[SIDES];
	size_t arrived[SIDES];
	bool has_fin[SIDES];
	bool told_fin;
	bool told_reset;
	/* Its socket is the owner's, or was. */
	/* As the owner is told of it. */
	struct peer_address address;
	bool is_released;
	/* Somebody went away or ended it: no longer does everything arrive. */
	bool is_broken;
};

/* Back to nobody. */
void visitor_clear(struct visitor *visitor);

/* Connects: from one address after the other, as the ports of one would be used up. */
void visitor_come(struct visitor *visitor, const struct door *door);

/* Compares with what the peer at `from` writes, and counts. */
void visitor_check(struct visitor *visitor, enum side from, const void *bytes, size_t length);

void visitor_write(struct visitor *visitor, enum side side, size_t length);

/* Reads what is there; false at its end. */
bool visitor_read(struct visitor *visitor, enum side side);

void visitor_half_close(struct visitor *visitor, enum side side);

void visitor_leave(struct visitor *visitor, enum side side, bool reset);

#endif
