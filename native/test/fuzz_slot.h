/* A tunnel of the fuzz target, with what its peers do. */
#ifndef UPGATE_FUZZ_SLOT_H
#define UPGATE_FUZZ_SLOT_H

#include "harness.h"

/* The most that is written or read at once. */
#define BYTES_MAX (15U << 12)
#define HEAD_BYTES 4

enum phase {
	PHASE_NONE,
	/* The dial is under way; its answer is awaited. */
	PHASE_DIAL,
	/* A part of the answer is here. */
	PHASE_ANSWER,
	PHASE_OPEN,
	/* The socket of the dial is released. */
	PHASE_RELEASED,
};

struct slot {
	enum phase phase;
	struct tunnel *tunnel;
	/* -1 for a peer that is gone, or not there yet. */
	int peers[SIDES];
	/* What the peer has written, and what of that has come to the other one. */
	uint64_t written[SIDES];
	uint64_t arrived[SIDES];
	bool has_fin[SIDES];
	/* Of a dial: how much of the head the endpoint has not read, and how much of the answer the owner has. */
	size_t head_left;
	uint64_t answered;
	/* Somebody went away or ended it: no longer does everything arrive. */
	bool is_broken;
	bool is_closed;
};

/* Compares with what the peer at `from` writes. */
void check_pattern(const unsigned char *got, size_t length, enum side from, uint64_t offset);

void slot_write(struct slot *slot, enum side side, size_t length);

/* Waits for what has to come, and else takes what is there. Returns false when nothing more comes. */
bool slot_read(struct slot *slot, enum side side, size_t length);

void slot_half_close(struct slot *slot, enum side side);

/* Closes the peer's socket, which is a reset where something is still to be read. */
void slot_leave(struct slot *slot, enum side side);

#endif
