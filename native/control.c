#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define FINAL_CLOSE 0x88
#define FINAL_PING 0x89
#define MASK_BIT 0x80
#define MASK_BYTES 4

bool random_bytes(unsigned char *to, size_t length)
{
	ssize_t got;

	/* As few bytes as these come whole. */
	do {
		got = getrandom(to, length, 0);
	} while (got < 0 && errno == EINTR);
	return got == (ssize_t)length;
}

static size_t write_frame(unsigned char *to, enum side side, unsigned char first,
                          const unsigned char *payload, size_t length)
{
	unsigned char *mask = to + 2;

	to[0] = first;
	to[1] = (unsigned char)length;
	if (side == SIDE_CLIENT) {
		memcpy(to + 2, payload, length);
		return 2 + length;
	}
	/* RFC 6455 5.3: a fresh key for each frame. Without one the frame is still right. */
	if (!random_bytes(mask, MASK_BYTES))
		memset(mask, 0, MASK_BYTES);
	to[1] |= MASK_BIT;
	for (size_t index = 0; index < length; index++)
		to[2 + MASK_BYTES + index] = payload[index] ^ mask[index % MASK_BYTES];
	return 2 + MASK_BYTES + length;
}

size_t write_close_frame(unsigned char *to, enum side side, const struct close_words *words)
{
	unsigned char payload[2 + CLOSE_TEXT_MAX];

	payload[0] = (unsigned char)(words->code >> 8);
	payload[1] = (unsigned char)words->code;
	memcpy(payload + 2, words->text, words->length);
	return write_frame(to, side, FINAL_CLOSE, payload, 2U + words->length);
}

size_t write_ping_frame(unsigned char *to, enum side side, const unsigned char ping[PING_BYTES])
{
	return write_frame(to, side, FINAL_PING, ping, PING_BYTES);
}
