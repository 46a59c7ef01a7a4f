#include "tunnel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "accept.h"
#include "closing.h"
#include "stream.h"
#include "keepalive.h"
#include "ping.h"

/* A limit is kept to within this part of it, so that tunnels opened together are looked at together. */
#define LIMIT_GRAINS 64

static const struct relay_policy no_policy = {
	.idle_ms = NO_LIMIT,
	.lifetime_ms = NO_LIMIT,
	.ping_ms = NO_LIMIT,
	.timeout_ms = NO_LIMIT,
};

const struct relay_policy *tunnel_policy(const struct tunnel *tunnel)
{
	return tunnel->policy != NULL ? tunnel->policy : &no_policy;
}

/* The first cause of the end is kept, save that anything outranks an orderly FIN. */
static void note(struct tunnel *tunnel, enum ended_by by, enum end_reason reason, int error)
{
	if (tunnel->has_reason && (tunnel->reason != REASON_EOF || reason == REASON_EOF))
		return;
	tunnel->has_reason = true;
	tunnel->by = by;
	tunnel->reason = reason;
	tunnel->error = error;
}

void tunnel_finish(struct worker *worker, struct tunnel *tunnel, bool reset)
{
	tunnel->over_at_ns = clock_ns();
	accept_leave(tunnel);
	for (unsigned side = 0; side < SIDES; side++) {
		struct end *end = &tunnel->ends[side];

		end_close(end, reset);
		hold_free(end->hold);
		end->hold = NULL;
	}
	free(tunnel->words);
	tunnel->words = NULL;
	worker_forget(worker, tunnel, EVENT_ENDED);
}

/* TCP has found that a peer which the policy has watched is not there any more. */
static bool is_dead(const struct tunnel *tunnel, enum side side, int error)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);

	return error == ETIMEDOUT && policy->ping_ms != NO_LIMIT &&
	       (side == SIDE_CLIENT || policy->ping_upstream);
}

/*
 * One peer broke the connection: the other one must not take it for an orderly end, and is told where that can be said in
 * words. The tunnel is not open any more then.
 */
static void fail(struct worker *worker, struct tunnel *tunnel, enum side side, int error)
{
	bool is_reset = error == ECONNRESET || error == EPIPE;

	if (is_dead(tunnel, side, error)) {
		if (tunnel_policy(tunnel)->frames) {
			closing_bury(worker, tunnel, side);
			return;
		}
		note(tunnel, BY_GATEWAY, REASON_DEAD, error);
	}
	note(tunnel, side == SIDE_CLIENT ? BY_CLIENT : BY_UPSTREAM,
	     is_reset ? REASON_RESET : REASON_ERROR, error);
	tunnel_finish(worker, tunnel, true);
}

static void fail_ourselves(struct worker *worker, struct tunnel *tunnel, int error)
{
	note(tunnel, BY_GATEWAY, REASON_ERROR, error);
	tunnel_finish(worker, tunnel, true);
}

uint64_t tunnel_due_ms(uint64_t since_ms, uint64_t limit_ms)
{
	uint64_t grain = limit_ms / LIMIT_GRAINS + 1;
	uint64_t due;

	if (limit_ms == NO_LIMIT || __builtin_add_overflow(since_ms, limit_ms, &due))
		return WHEEL_NEVER;
	return due + (grain - due % grain) % grain;
}

static uint64_t heard_at_ms(const struct tunnel *tunnel, enum side side)
{
	return atomic_load_explicit(&tunnel->ends[side].heard_at_ms, memory_order_relaxed);
}

/* The last byte in either direction. */
static uint64_t moved_at_ms(const struct tunnel *tunnel)
{
	uint64_t up = heard_at_ms(tunnel, SIDE_CLIENT);
	uint64_t down = heard_at_ms(tunnel, SIDE_UPSTREAM);

	return up > down ? up : down;
}

/* A lazy timer: moving bytes only note the time, and whether the limit is reached is looked up when the timer expires. */
void tunnel_start_limits(struct worker *worker, struct tunnel *tunnel)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);
	uint64_t due_ms = tunnel_due_ms(moved_at_ms(tunnel), policy->idle_ms);
	uint64_t over_ms = tunnel_due_ms(tunnel->born_at_ms, policy->lifetime_ms);
	uint64_t ping_ms = ping_next_ms(tunnel);

	if (tunnel->state != STATE_OPEN)
		return;
	if (over_ms < due_ms)
		due_ms = over_ms;
	if (ping_ms < due_ms)
		due_ms = ping_ms;
	wheel_start(&worker->wheel, &tunnel->timer, due_ms);
}

bool tunnel_put(struct worker *worker, struct tunnel *tunnel, enum side side,
                const unsigned char *bytes, size_t length)
{
	switch (stream_put(tunnel, side, bytes, length)) {
	case PUT_DONE:
		return true;
	case PUT_BROKEN:
		fail(worker, tunnel, side, errno);
		break;
	case PUT_WITHOUT_MEMORY:
		fail_ourselves(worker, tunnel, ENOMEM);
		break;
	}
	return false;
}

/* Sends what is held for an end. False when it does not take all, or when the tunnel is not open any more. */
static bool flush(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	switch (stream_flush(worker, tunnel, side)) {
	case FLUSHED_ALL:
		return true;
	case FLUSHED_PART:
		return false;
	case FLUSH_FAILED:
		break;
	}
	fail(worker, tunnel, side, errno);
	return false;
}

/* Passes the FIN of a side on, behind what was held back of it. */
static bool pass_fin(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *to = &tunnel->ends[other(side)];
	struct chunk chunk;

	stream_end(worker, tunnel, side, &chunk);
	if (chunk.length > 0 && !tunnel_put(worker, tunnel, other(side), chunk.bytes, chunk.length))
		return false;
	if (to->hold != NULL)
		return true;
	note(tunnel, side == SIDE_CLIENT ? BY_CLIENT : BY_UPSTREAM, REASON_EOF, 0);
	/* The second FIN goes out with the close. */
	if (tunnel->ends[side].write_done)
		to->write_done = true;
	else
		stream_send_fin(to);
	return true;
}

/* One turn of one direction. Returns false when the tunnel is not open any more. */
static bool pump(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *from = &tunnel->ends[side];
	struct end *to = &tunnel->ends[other(side)];

	if (to->hold != NULL && !flush(worker, tunnel, other(side)))
		return tunnel->state == STATE_OPEN;
	if (from->readable && !from->read_done) {
		struct chunk chunk;
		ssize_t got = stream_read(worker, tunnel, side, &chunk);

		if (got < 0) {
			fail(worker, tunnel, side, errno);
			return false;
		}
		if (got > 0) {
			if (chunk.length > 0 &&
			    !tunnel_put(worker, tunnel, other(side), chunk.bytes, chunk.length))
				return false;
			if (to->hold != NULL) {
				/* A reset may stand behind what is not read for now, and was told already. */
				if (from->hung_up)
					tunnel_check(worker, tunnel, side);
				return tunnel->state == STATE_OPEN;
			}
			/* The next turn is for the others first. */
			if (from->readable)
				worker_ready(worker, tunnel);
			return true;
		}
	}
	if (from->read_done && !to->write_done)
		return pass_fin(worker, tunnel, side);
	return true;
}

static void run_open(struct worker *worker, struct tunnel *tunnel)
{
	if (!pump(worker, tunnel, SIDE_CLIENT) || !pump(worker, tunnel, SIDE_UPSTREAM))
		return;
	if (tunnel->ends[SIDE_CLIENT].write_done && tunnel->ends[SIDE_UPSTREAM].write_done)
		tunnel_finish(worker, tunnel, false);
}

void tunnel_run(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->state == STATE_OPEN)
		run_open(worker, tunnel);
	else
		closing_run(worker, tunnel);
}

void tunnel_check(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	int error = 0;
	socklen_t length = sizeof error;

	/* With data before the error, and somebody to take it, a read comes first and finds the error behind it. */
	if (end->fd < 0 || (!end->read_done && tunnel->ends[other(side)].hold == NULL))
		return;
	if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error == 0)
		return;
	if (tunnel->state == STATE_OPEN)
		fail(worker, tunnel, side, error);
	else
		closing_lose(worker, tunnel, side);
}

/* What came from a side with the handshake is at the end of what goes to the other one first. */
static void follow_first(struct tunnel *tunnel, enum side side)
{
	const struct end *from = &tunnel->ends[side];
	const struct hold *hold = tunnel->ends[other(side)].hold;
	size_t length = hold_length(hold);
	uint64_t read_bytes = atomic_load_explicit(&from->read_bytes, memory_order_relaxed);
	struct frames *frames = &tunnel->frames[side];

	frames_start(frames, side == SIDE_CLIENT);
	if (read_bytes < length)
		length = (size_t)read_bytes;
	if (length == 0)
		return;
	frames_scan(frames, hold->bytes + hold->end - length, length);
	if (frames->close_code != 0)
		stream_note_close(tunnel, (enum ended_by)side, frames->close_code);
}

static void start_policy(struct worker *worker, struct tunnel *tunnel)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);

	for (unsigned side = 0; side < SIDES; side++) {
		if (policy->frames)
			follow_first(tunnel, (enum side)side);
		if (policy->ping_ms != NO_LIMIT && (side == SIDE_CLIENT || policy->ping_upstream))
			set_keepalive(tunnel->ends[side].fd, policy->ping_ms, policy->timeout_ms);
	}
	tunnel_start_limits(worker, tunnel);
}

void tunnel_start(struct worker *worker, struct tunnel *tunnel)
{
	wheel_stop(&worker->wheel, &tunnel->timer);
	tunnel->state = STATE_OPEN;
	tunnel->born_at_ns = clock_ns();
	tunnel->born_at_ms = worker->now_ms;
	for (unsigned side = 0; side < SIDES; side++) {
		struct end *end = &tunnel->ends[side];

		if (tunnel->given[side] >= 0)
			end->fd = tunnel->given[side];
		atomic_store_explicit(&end->heard_at_ms, worker->now_ms, memory_order_relaxed);
		end->hold = tunnel->first[side];
		tunnel->first[side] = NULL;
	}
	for (unsigned side = 0; side < SIDES; side++) {
		int error = tunnel->ends[side].is_watched
		                ? 0
		                : worker_watch(worker, tunnel, (enum side)side);

		if (error != 0) {
			fail_ourselves(worker, tunnel, error);
			return;
		}
	}
	start_policy(worker, tunnel);
	run_open(worker, tunnel);
}

void tunnel_close(struct worker *worker, struct tunnel *tunnel, enum ended_by by,
                  enum end_reason reason, uint64_t timeout_ms, const struct close_words *words)
{
	uint64_t due_ms;

	if (__builtin_add_overflow(worker->now_ms, timeout_ms, &due_ms))
		due_ms = WHEEL_NEVER;
	wheel_start(&worker->wheel, &tunnel->timer, due_ms);
	if (tunnel->state == STATE_CLOSING)
		return;
	note(tunnel, by, reason, 0);
	tunnel->state = STATE_CLOSING;
	closing_start(worker, tunnel, words);
}

static bool is_over(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms)
{
	return limit_ms != NO_LIMIT && now_ms - since_ms >= limit_ms;
}

/* An open one. */
static void look_at_limits(struct worker *worker, struct tunnel *tunnel)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);

	if (is_over(tunnel->born_at_ms, policy->lifetime_ms, worker->now_ms)) {
		tunnel_close(worker, tunnel, BY_GATEWAY, REASON_LIFETIME, policy->close_timeout_ms,
		             &policy->lifetime);
	} else if (is_over(moved_at_ms(tunnel), policy->idle_ms, worker->now_ms)) {
		tunnel_close(worker, tunnel, BY_GATEWAY, REASON_IDLE, policy->close_timeout_ms,
		             &policy->idle);
	} else {
		ping_look(worker, tunnel);
		tunnel_start_limits(worker, tunnel);
	}
}

void tunnel_expired(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->state == STATE_CLOSING)
		closing_expired(worker, tunnel);
	else
		look_at_limits(worker, tunnel);
}
