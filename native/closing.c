#include "closing.h"

#include <stdlib.h>

#include "control.h"
#include "stream.h"
#include "tunnel.h"

/* How much more than one read may be held for a peer that is getting the rest of its last frame, in reads. */
#define LAST_FRAME_READS 2

static void cut(struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];

	end_close(end, true);
	hold_free(end->hold);
	end->hold = NULL;
	end->readable = false;
	end->read_done = true;
	end->write_done = true;
	end->ping_waits = false;
	end->close_waits = false;
	end->is_shut = true;
}

/* Puts our Close frame where a frame may be put. */
static void put_close(struct tunnel *tunnel, enum side side, const struct close_words *words)
{
	unsigned char frame[CONTROL_FRAME_BYTES_MAX];
	size_t length = write_close_frame(frame, side, words);

	tunnel->ends[side].is_shut = true;
	if (stream_put(tunnel, side, frame, length) != PUT_DONE) {
		cut(tunnel, side);
		return;
	}
	tunnel->ends[side].is_told = true;
	stream_note_close(tunnel, tunnel->by, words->code);
}

/* Without memory for the words the end alone waits. */
static void keep_words(struct tunnel *tunnel, const struct close_words *words)
{
	if (tunnel->words == NULL)
		tunnel->words = malloc(sizeof *tunnel->words);
	if (tunnel->words != NULL)
		*tunnel->words = *words;
}

static void tell(struct tunnel *tunnel, enum side side, const struct close_words *words)
{
	const struct frames *frames = &tunnel->frames[other(side)];
	struct end *end = &tunnel->ends[side];

	end->ping_waits = false;
	if (end->write_done || !frames_are_followed(frames)) {
		end->is_told = frames->part == PART_OVER;
		end->is_shut = true;
	} else if (frames_are_between(frames)) {
		put_close(tunnel, side, words);
	} else {
		end->close_waits = true;
		keep_words(tunnel, words);
	}
}

void closing_start(struct worker *worker, struct tunnel *tunnel, const struct close_words *words)
{
	tunnel->is_telling = words != NULL && words->code != 0 && tunnel_policy(tunnel)->frames;
	for (unsigned side = 0; side < SIDES; side++) {
		if (tunnel->is_telling) {
			tell(tunnel, (enum side)side, words);
		} else {
			tunnel->ends[side].ping_waits = false;
			tunnel->ends[side].is_shut = true;
		}
	}
	closing_run(worker, tunnel);
}

void closing_lose(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	/* Who was told that the tunnel ends may answer in peace; who got a part of a frame must not take it for the whole. */
	if (tunnel->is_telling && tunnel->ends[other(side)].is_shut)
		cut(tunnel, side);
	else
		tunnel_finish(worker, tunnel, true);
}

/* What a side sends while the tunnel closes is read, unless it is the rest of a frame for a peer that stalls. */
static bool may_read(const struct worker *worker, const struct tunnel *tunnel, enum side side)
{
	const struct end *end = &tunnel->ends[side];
	const struct end *to = &tunnel->ends[other(side)];

	return end->readable && !end->read_done &&
	       (to->is_shut || hold_length(to->hold) < LAST_FRAME_READS * worker->buffer_bytes);
}

static void flush_end(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	if (tunnel->ends[side].hold != NULL && stream_flush(worker, tunnel, side) == FLUSH_FAILED)
		closing_lose(worker, tunnel, side);
}

/* Reads once from one end, and passes the rest of a frame on. */
static void read_end(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	struct chunk chunk;

	if (!may_read(worker, tunnel, side))
		return;
	if (stream_read(worker, tunnel, side, &chunk) < 0) {
		closing_lose(worker, tunnel, side);
		return;
	}
	if (chunk.length > 0 && stream_put(tunnel, other(side), chunk.bytes, chunk.length) != PUT_DONE)
		closing_lose(worker, tunnel, other(side));
	if (end->readable && tunnel->state == STATE_CLOSING)
		worker_ready(worker, tunnel);
}

static bool is_fin_due(const struct tunnel *tunnel, enum side side)
{
	const struct frames *frames = &tunnel->frames[side];
	const struct end *end = &tunnel->ends[side];

	if (end->close_waits)
		return tunnel->ends[other(side)].read_done;
	return !end->is_told || end->read_done || !frames_are_followed(frames);
}

static void end_writing(struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];

	if (end->write_done || end->hold != NULL || !is_fin_due(tunnel, side))
		return;
	end->close_waits = false;
	end->is_shut = true;
	stream_send_fin(end);
}

static bool is_done(const struct end *end)
{
	return end->read_done && end->write_done;
}

void closing_run(struct worker *worker, struct tunnel *tunnel)
{
	/* What goes out makes room for what comes in. */
	for (unsigned side = 0; side < SIDES && tunnel->state == STATE_CLOSING; side++)
		flush_end(worker, tunnel, (enum side)side);
	for (unsigned side = 0; side < SIDES && tunnel->state == STATE_CLOSING; side++)
		read_end(worker, tunnel, (enum side)side);
	if (tunnel->state != STATE_CLOSING)
		return;
	for (unsigned side = 0; side < SIDES; side++)
		end_writing(tunnel, (enum side)side);
	if (is_done(&tunnel->ends[SIDE_CLIENT]) && is_done(&tunnel->ends[SIDE_UPSTREAM]))
		tunnel_finish(worker, tunnel, false);
}

void closing_expired(struct worker *worker, struct tunnel *tunnel)
{
	for (unsigned side = 0; side < SIDES; side++) {
		if (!is_done(&tunnel->ends[side]))
			cut(tunnel, (enum side)side);
	}
	tunnel_finish(worker, tunnel, false);
}

void closing_bury(struct worker *worker, struct tunnel *tunnel, enum side dead)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);

	cut(tunnel, dead);
	tunnel_close(worker, tunnel, BY_GATEWAY, REASON_DEAD, policy->close_timeout_ms,
	             &policy->dead);
}
