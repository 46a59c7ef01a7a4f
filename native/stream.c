#include "stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "control.h"
#include "parts.h"
#include "ping.h"

void stream_note_close(struct tunnel *tunnel, enum ended_by by, uint16_t code)
{
	if (atomic_load_explicit(&tunnel->seen_close, memory_order_relaxed) == 0)
		atomic_store_explicit(&tunnel->seen_close, (uint32_t)by << CLOSE_BY_SHIFT | code,
		                      memory_order_relaxed);
}

/* Adds what was read to the numbers of the tunnel. */
static void note_bytes(const struct worker *worker, const struct tunnel *tunnel, struct end *from,
                       size_t length)
{
	uint64_t before = atomic_load_explicit(&from->read_bytes, memory_order_relaxed);
	uint64_t age_ms;

	atomic_store_explicit(&from->read_bytes, before + length, memory_order_relaxed);
	if (before > 0)
		return;
	age_ms = worker->now_ms - tunnel->born_at_ms;
	atomic_store_explicit(&from->first_ms, age_ms < UINT32_MAX ? (uint32_t)age_ms + 1 : UINT32_MAX,
	                      memory_order_relaxed);
}

/* Which frame of ours waits for `to`. Returns its length. */
static size_t write_own(const struct worker *worker, const struct tunnel *tunnel, enum side to,
                        unsigned char *own)
{
	if (tunnel->ends[to].ping_waits)
		return write_ping_frame(own, to, worker->relay->ping);
	if (tunnel->ends[to].close_waits && tunnel->words != NULL)
		return write_close_frame(own, to, tunnel->words);
	return 0;
}

static void note_own(struct worker *worker, struct tunnel *tunnel, enum side side,
                     const struct sift *sift)
{
	struct end *to = &tunnel->ends[side];

	if (to->ping_waits && sift->own == NULL) {
		to->ping_waits = false;
		if (sift->is_put)
			ping_is_put(worker, tunnel, side);
	} else if (to->close_waits && sift->is_shut) {
		to->close_waits = false;
		to->is_shut = true;
		/* Ours, or the one that the other side was sending. */
		to->is_told = sift->is_put || tunnel->frames[other(side)].part == PART_OVER;
		if (sift->is_put)
			stream_note_close(tunnel, tunnel->by, tunnel->words->code);
	}
}

/* The slow way from a side to the other one. Returns whether more has come than pongs to us. */
static bool sift(struct worker *worker, struct tunnel *tunnel, enum side side, bool is_end,
                 struct chunk *chunk)
{
	struct end *from = &tunnel->ends[side];
	struct end *to = &tunnel->ends[other(side)];
	unsigned char own[CONTROL_FRAME_BYTES_MAX];
	struct sift sift = {
		.ping = worker->relay->ping,
		.pongs_due = from->pongs_due,
		.own_length = write_own(worker, tunnel, other(side), own),
		.ends = to->close_waits,
		.is_shut = to->is_shut,
		.to = worker->sifted,
	};

	if (sift.own_length > 0)
		sift.own = own;
	if (is_end)
		frames_end(&tunnel->frames[side], &sift);
	else
		frames_sift(&tunnel->frames[side], &sift, chunk->bytes, chunk->length);
	from->pongs_due = (uint8_t)sift.pongs_due;
	note_own(worker, tunnel, other(side), &sift);
	chunk->bytes = sift.to;
	chunk->length = sift.length;
	return sift.has_moved;
}

/* Something is to be done between the frames of this chunk. */
static bool is_sifted(const struct tunnel *tunnel, enum side side, size_t length)
{
	const struct frames *frames = &tunnel->frames[side];
	const struct end *to = &tunnel->ends[other(side)];

	if ((tunnel->ends[side].pongs_due | to->ping_waits | to->close_waits | to->is_shut) == 0)
		return false;
	/* A big frame goes through as it is until its end comes. */
	return to->is_shut || frames->part != PART_PAYLOAD || frames->left <= length;
}

static void follow(struct worker *worker, struct tunnel *tunnel, enum side side,
                   struct chunk *chunk)
{
	struct frames *frames = &tunnel->frames[side];
	struct end *from = &tunnel->ends[side];
	size_t length = chunk->length;
	bool has_moved = true;

	if (frames->part == PART_NONE && tunnel->ends[other(side)].is_shut) {
		/* What comes after the end goes nowhere, and counts for nobody. */
		chunk->length = 0;
		return;
	}
	if (is_sifted(tunnel, side, length))
		has_moved = sift(worker, tunnel, side, false, chunk);
	else
		frames_scan(frames, chunk->bytes, length);
	note_bytes(worker, tunnel, from, length);
	if (has_moved)
		atomic_store_explicit(&from->heard_at_ms, worker->now_ms, memory_order_relaxed);
	else
		from->alive_at_ms = worker->now_ms;
	if (from->pinged_at_ms != 0)
		ping_is_answered(worker, tunnel, side);
	if (frames->close_code != 0)
		stream_note_close(tunnel, (enum ended_by)side, frames->close_code);
}

ssize_t stream_read(struct worker *worker, struct tunnel *tunnel, enum side side, struct chunk *chunk)
{
	struct end *end = &tunnel->ends[side];
	ssize_t got = recv_some(end->fd, worker->buffer, worker->buffer_bytes);

	chunk->length = 0;
	if (got > 0) {
		/* A short read has emptied the socket; what comes later is another edge. */
		if ((size_t)got < worker->buffer_bytes && !end->hung_up)
			end->readable = false;
		chunk->bytes = worker->buffer;
		chunk->length = (size_t)got;
		follow(worker, tunnel, side, chunk);
		return got;
	}
	end->readable = false;
	if (got == 0) {
		end->read_done = true;
		return 0;
	}
	return errno == EAGAIN ? 0 : -1;
}

void stream_end(struct worker *worker, struct tunnel *tunnel, enum side side, struct chunk *chunk)
{
	chunk->length = 0;
	if (tunnel->frames[side].part == PART_PONG)
		(void)sift(worker, tunnel, side, true, chunk);
}

enum put stream_put(struct tunnel *tunnel, enum side side, const unsigned char *bytes, size_t length)
{
	struct end *end = &tunnel->ends[side];
	ssize_t sent = end->hold == NULL ? send_some(end->fd, bytes, length) : 0;

	if (sent < 0) {
		if (errno != EAGAIN)
			return PUT_BROKEN;
		sent = 0;
	}
	if ((size_t)sent == length)
		return PUT_DONE;
	return hold_append(&end->hold, bytes + sent, length - (size_t)sent) ? PUT_DONE
	                                                                    : PUT_WITHOUT_MEMORY;
}

enum flushed stream_flush(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	size_t before = hold_length(end->hold);
	enum flushed flushed = hold_flush(&end->hold, end->fd);

	/* That the socket takes more again is the peer's doing. */
	if (flushed != FLUSH_FAILED && hold_length(end->hold) < before) {
		end->alive_at_ms = worker->now_ms;
		if (end->pinged_at_ms != 0)
			ping_is_answered(worker, tunnel, side);
	}
	return flushed;
}

void stream_send_fin(struct end *end)
{
	if (end->write_done)
		return;
	/* Fails after a reset, which epoll tells as well. */
	(void)shutdown(end->fd, SHUT_WR);
	end->write_done = true;
}
