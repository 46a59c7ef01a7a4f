/* Control frames of the relay's own (RFC 6455 5.5). Those to an upstream are masked, as those of every client. */
#ifndef UPGATE_CONTROL_H
#define UPGATE_CONTROL_H

#include "frames.h"

/* A masked Close frame that says as much as there may be said. */
#define CONTROL_FRAME_BYTES_MAX (2 + 4 + 2 + CLOSE_TEXT_MAX)

/* Both write a frame for that side, of at most CONTROL_FRAME_BYTES_MAX, and return its length. */
size_t write_close_frame(unsigned char *to, enum side side, const struct close_words *words);
size_t write_ping_frame(unsigned char *to, enum side side, const unsigned char ping[PING_BYTES]);

/* Bytes that nobody foresees. False, with errno, where the system has none. */
bool random_bytes(unsigned char *to, size_t length);

#endif
