/*
 * Follows the frames of one direction of a WebSocket (RFC 6455 5.2) from their headers alone: where they begin and end,
 * what they are, and the code of a Close frame.
 *
 *     header --complete--> payload --over--> header ...      behind a Close frame, and where the peer breaks the
 *        \______no payload______/                            protocol, it follows no further
 */
#ifndef UPGATE_FRAMES_H
#define UPGATE_FRAMES_H

#include <stdatomic.h>

#include "relay.h"

/* A header with a 64-bit length and a masking key. */
#define HEADER_BYTES_MAX 14
/* What a ping of ours carries, and the pong to it. */
#define PING_BYTES 8
/* RFC 6455 7.1.5: a Close frame without a code. */
#define NO_CODE 1005

enum frames_part {
	/* It is no WebSocket, or nobody asked. */
	PART_NONE = 0,
	/* The peer broke the protocol. */
	PART_BLIND,
	/* Behind the Close frame. */
	PART_OVER,
	/* From here on it is followed. Before a header, or in it: */
	PART_HEADER,
	/* In the same place, with bytes that are held back: they may become a pong to a ping of ours. */
	PART_PONG,
	PART_PAYLOAD,
	/* The payload of a Close frame. */
	PART_CLOSE,
};

/* Zeroed it follows nothing. The counters are written by one thread and read by others at any time. */
struct frames {
	_Atomic uint64_t text;
	_Atomic uint64_t binary;
	_Atomic uint32_t ping;
	_Atomic uint32_t pong;
	_Atomic uint32_t other;
	_Atomic uint8_t close;
	_Atomic bool is_blind;
	/* Clients mask what they send, upstreams do not. */
	bool is_masked;
	uint8_t part;
	/* Of the payload, still to come. */
	uint64_t left;
	/* Of the message that has begun and is not whole; else 0. */
	uint8_t message;
	/* How much of the header, of what may be a pong, or of the code of a Close frame was seen: it is below. */
	uint8_t seen;
	unsigned char header[HEADER_BYTES_MAX];
	/* Of the Close frame, as soon as it is known; else 0. */
	uint16_t close_code;
};

void frames_start(struct frames *frames, bool is_masked);

/* Follows bytes that are passed on as they are. */
void frames_scan(struct frames *frames, const unsigned char *bytes, size_t length);

void frames_count(const struct frames *frames, struct frame_counts *counts);

/* What comes is followed. */
static inline bool frames_are_followed(const struct frames *frames)
{
	return frames->part >= PART_HEADER;
}

/* A control frame may be put behind what was passed on (RFC 6455 5.4: even between the frames of one message). */
static inline bool frames_are_between(const struct frames *frames)
{
	return (frames->part == PART_HEADER && frames->seen == 0) || frames->part == PART_PONG;
}

/* The most that `frames_sift` adds to what it gets, a frame of ours left out. */
#define SIFT_MORE_BYTES HEADER_BYTES_MAX

/* What is done to the bytes of one direction on their way, while there is something to do. */
struct sift {
	/* The payload of our pings, and how many pongs of the sender's may still come: they go no further. */
	const unsigned char *ping;
	unsigned pongs_due;
	/* A frame of ours for the receiver, at the next border; NULL for none, and when it was put or has no place any more. */
	const unsigned char *own;
	size_t own_length;
	/* Nothing is passed on behind the border, and whether that is so by now. */
	bool ends;
	bool is_shut;
	/* Our frame was put. */
	bool is_put;
	/* Other bytes than those of pongs to us have come. */
	bool has_moved;
	/* What is to be passed on: room for the bytes, for SIFT_MORE_BYTES, and for the frame of ours. */
	unsigned char *to;
	size_t length;
};

/* The slow way: follows bytes and writes to `to` what is to be passed on of them. Without bytes our frame is put if it can. */
void frames_sift(struct frames *frames, struct sift *sift, const unsigned char *bytes,
                 size_t length);

/* No more comes: what is held back belongs to no pong of ours. */
void frames_end(struct frames *frames, struct sift *sift);

#endif
