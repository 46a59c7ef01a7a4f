/* The lengths of a frame and of its echo differ in the last byte alone, so that a header split over reads can be rewritten as it comes. */
#include "message.h"

#include <string.h>

#include "load.h"

#define MASK_BYTES 4
#define SHORT_MAX 125
#define LENGTH_16 126
#define MASKED 0x80
#define BINARY 0x82
/* A prime, so that no message size hides a shift. */
#define PERIOD 251

static unsigned size;
static unsigned header_bytes; /* without the mask's */
static uint8_t sent_header[4], echo_header[4];
static char pattern[MESSAGE_SIZE_MAX];

static void write_header(uint8_t *header, unsigned payload, uint8_t mask_bit) {
  header[0] = BINARY;
  if (header_bytes == 2) {
    header[1] = (uint8_t)(mask_bit | payload);
    return;
  }
  header[1] = mask_bit | LENGTH_16;
  header[2] = (uint8_t)(payload >> 8);
  header[3] = (uint8_t)payload;
}

void message_init(unsigned bytes) {
  if (bytes < MESSAGE_SIZE_MIN || bytes > MESSAGE_SIZE_MAX) die("a message has %d to %d bytes", MESSAGE_SIZE_MIN, MESSAGE_SIZE_MAX);
  size = bytes;
  header_bytes = bytes - 2 <= SHORT_MAX ? 2 : 4;
  write_header(sent_header, size - header_bytes - MASK_BYTES, MASKED);
  write_header(echo_header, size - header_bytes, 0);
  if (sent_header[2] != echo_header[2] || (header_bytes == 4 && size - header_bytes - MASK_BYTES <= SHORT_MAX)) {
    die("messages of %u bytes have another length of header than their echoes", size);
  }
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (char)(i % PERIOD);
}

static char byte_of_mask(unsigned tunnel, size_t at) {
  return (char)(tunnel >> (8 * (at - header_bytes)));
}

void message_fill(unsigned tunnel, uint64_t offset, char *out, size_t length) {
  size_t payload_at = header_bytes + MASK_BYTES;
  while (length > 0) {
    size_t at = offset % size;
    size_t part = 1;
    if (at < header_bytes) {
      *out = (char)sent_header[at];
    } else if (at < payload_at) {
      *out = byte_of_mask(tunnel, at);
    } else {
      part = size - at < length ? size - at : length;
      memcpy(out, pattern + at, part);
    }
    out += part;
    offset += part;
    length -= part;
  }
}

bool message_matches(unsigned tunnel, uint64_t offset, const char *bytes, size_t length) {
  size_t payload_at = header_bytes + MASK_BYTES;
  while (length > 0) {
    size_t at = offset % size;
    size_t part = 1;
    bool same;
    if (at < header_bytes) {
      same = *bytes == (char)echo_header[at];
    } else if (at < payload_at) {
      same = *bytes == byte_of_mask(tunnel, at);
    } else {
      part = size - at < length ? size - at : length;
      same = memcmp(bytes, pattern + at, part) == 0;
    }
    if (!same) return false;
    bytes += part;
    offset += part;
    length -= part;
  }
  return true;
}

/* Takes one byte of a header and makes it that of the echo's; false for a frame of somebody else's. */
static bool echo_header_byte(struct echo *echo, char *byte) {
  uint8_t *header = echo->header;
  uint8_t value = (uint8_t)*byte;
  header[echo->at] = value;
  switch (echo->at++) {
    case 0:
      return value == BINARY;
    case 1:
      if ((value & MASKED) == 0) return false;
      if (value == (MASKED | LENGTH_16)) {
        *byte = LENGTH_16;
        return true;
      }
      value &= (uint8_t)~MASKED;
      if (value + MASK_BYTES > SHORT_MAX) return false;
      *byte = (char)(value + MASK_BYTES);
      echo->size = 2u + MASK_BYTES + value;
      return true;
    case 2:
      return true;
    default:
      if (value + MASK_BYTES > UINT8_MAX) return false;
      *byte = (char)(value + MASK_BYTES);
      echo->size = 4u + MASK_BYTES + (unsigned)(header[2] << 8) + value;
      return true;
  }
}

bool echo_frames(struct echo *echo, char *bytes, size_t length) {
  while (length > 0) {
    size_t part = 1;
    if (echo->size == 0) {
      if (!echo_header_byte(echo, bytes)) return false;
    } else {
      uint64_t left = echo->size - echo->at;
      part = left < length ? (size_t)left : length;
      echo->at += part;
    }
    if (echo->at == echo->size) echo->at = echo->size = 0;
    bytes += part;
    length -= part;
  }
  return true;
}
