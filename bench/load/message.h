/*
 * Messages as binary frames of RFC 6455, each `size` bytes long with its header: masked by the client, with a key that
 * tells the tunnel; the echo is as long, without a mask, so that the key comes back as the first bytes of its payload.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_SIZE_MIN 16
#define MESSAGE_SIZE_MAX 65536

/* All messages of this run are so long. Dies where a frame cannot be. */
void message_init(unsigned size);
/* What a tunnel sends from this offset of its stream on. */
void message_fill(unsigned tunnel, uint64_t offset, char *out, size_t length);
/* Whether these bytes are what has to come back from this offset on. */
bool message_matches(unsigned tunnel, uint64_t offset, const char *bytes, size_t length);

/* Where the upstream is in what one client sends. */
struct echo {
  uint64_t at;    /* of this frame, or of the bytes of its header that are there */
  uint64_t size;  /* of the whole frame; 0 while its header is not whole */
  uint8_t header[4];
};

/* Makes echoes of the frames in `bytes`, in place; false where they are none of this program's. */
bool echo_frames(struct echo *echo, char *bytes, size_t length);

#endif
