/* What goes through a tunnel, open or closing: it is read, followed, and sent or held. */
#ifndef UPGATE_STREAM_H
#define UPGATE_STREAM_H

#include <sys/types.h>

#include "hold.h"
#include "worker.h"

static inline enum side other(enum side side)
{
	return side == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
}

/* What of a read goes on; it stays until the next one. */
struct chunk {
	const unsigned char *bytes;
	size_t length;
};

/*
 * Reads once from a side. Returns the bytes read, 0 when there are none for now or no more, and -1 with errno for an error.
 */
ssize_t stream_read(struct worker *worker, struct tunnel *tunnel, enum side side,
                  struct chunk *chunk);

/* After the FIN of a side: what was held back of it goes on. */
void stream_end(struct worker *worker, struct tunnel *tunnel, enum side side, struct chunk *chunk);

enum put {
	/* Sent, or held. */
	PUT_DONE,
	/* The peer's connection is broken: errno says how. */
	PUT_BROKEN,
	PUT_WITHOUT_MEMORY,
};

/* Sends to a side, behind what is held for it; what it does not take is held. */
enum put stream_put(struct tunnel *tunnel, enum side side, const unsigned char *bytes, size_t length);

/* Sends what is held for a side. */
enum flushed stream_flush(struct worker *worker, struct tunnel *tunnel, enum side side);

void stream_send_fin(struct end *end);

/* The first Close frame is the one that counts. */
void stream_note_close(struct tunnel *tunnel, enum ended_by by, uint16_t code);

#endif
