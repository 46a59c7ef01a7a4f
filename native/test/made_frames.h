/* Frames as peers of a WebSocket make them. */
#ifndef UPGATE_MADE_FRAMES_H
#define UPGATE_MADE_FRAMES_H

#include "frames.h"
#include "harness.h"

#define FIN 0x80U
#define CONTINUATION 0U
#define TEXT 1U
#define BINARY 2U
#define CLOSE 8U
#define PING 9U
#define PONG 10U

/* What goes, or is expected to come. */
struct bytes {
	unsigned char *at;
	size_t length;
	size_t room;
};

void bytes_add(struct bytes *bytes, const void *more, size_t length);
void bytes_free(struct bytes *bytes);

/* A frame as the peer at `from` sends it: that of a client is masked. `first` has the opcode and FIN. */
void add_frame(struct bytes *bytes, enum side from, unsigned first, const void *payload,
               size_t length);
void add_text(struct bytes *bytes, enum side from, unsigned first, const char *payload);
/* With the code 0 the payload is empty. */
void add_close(struct bytes *bytes, enum side from, uint16_t code, const char *text);

/* Only the header, with a length of 1, 2 or 8 bytes. */
void add_header(struct bytes *bytes, enum side from, unsigned first, uint64_t length,
                unsigned length_bytes);

void check_counts(const struct frames *frames, const struct frame_counts *expected);

/* The rest is what a peer at `side` does, which waits as long as it takes. */

void put_bytes(int fd, const struct bytes *bytes);
/* Sends one frame. */
void put_frame(int fd, enum side side, unsigned first, const void *payload, size_t length);
void put_text(int fd, enum side side, unsigned first, const char *payload);
void put_close(int fd, enum side side, uint16_t code);

/* Reads as many bytes and compares. */
void expect_bytes(int fd, const struct bytes *bytes);
/* What the other side sends with `put_text` comes. */
void expect_text(int fd, enum side side, unsigned first, const char *payload);
/* A frame of the relay's own comes: masked for an upstream, with a payload of at most 125 bytes, whose length is returned. */
size_t expect_own(int fd, enum side side, unsigned first, unsigned char payload[125]);
void expect_close(int fd, enum side side, uint16_t code, const char *text);

#endif
