#include "tunnel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept.h"
#include "hold.h"

/* A limit is kept to within this part of it, so that tunnels opened together are looked at together. */
#define LIMIT_GRAINS 64

static const struct relay_policy no_policy = {
	.idle_ms = NO_LIMIT,
	.lifetime_ms = NO_LIMIT,
	.ping_ms = NO_LIMIT,
	.timeout_ms = NO_LIMIT,
};

static const struct relay_policy *policy_of(const struct tunnel *tunnel)
{
	return tunnel->policy != NULL ? tunnel->policy : &no_policy;
}

static enum side other(enum side side)
{
	return side == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
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

static void finish(struct worker *worker, struct tunnel *tunnel, bool reset)
{
	tunnel->over_at_ns = clock_ns();
	accept_leave(tunnel->listener);
	for (unsigned side = 0; side < SIDES; side++) {
		struct end *end = &tunnel->ends[side];

		end_close(end, reset);
		hold_free(end->hold);
		end->hold = NULL;
	}
	worker_forget(worker, tunnel, EVENT_ENDED);
}

/* One peer broke the connection: the other one must not take it for an orderly end. */
static void fail(struct worker *worker, struct tunnel *tunnel, enum side side, int error)
{
	bool is_reset = error == ECONNRESET || error == EPIPE;

	note(tunnel, side == SIDE_CLIENT ? BY_CLIENT : BY_UPSTREAM,
	     is_reset ? REASON_RESET : REASON_ERROR, error);
	finish(worker, tunnel, true);
}

static void fail_ourselves(struct worker *worker, struct tunnel *tunnel, int error)
{
	note(tunnel, BY_GATEWAY, REASON_ERROR, error);
	finish(worker, tunnel, true);
}

static uint64_t plus(uint64_t at_ms, uint64_t limit_ms)
{
	uint64_t grain = limit_ms / LIMIT_GRAINS + 1;
	uint64_t due;

	if (limit_ms == NO_LIMIT || __builtin_add_overflow(at_ms, limit_ms, &due))
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
static void start_limits(struct worker *worker, struct tunnel *tunnel)
{
	uint64_t idle_at = plus(moved_at_ms(tunnel), policy_of(tunnel)->idle_ms);
	uint64_t over_at = plus(tunnel->born_at_ms, policy_of(tunnel)->lifetime_ms);

	wheel_start(&worker->wheel, &tunnel->timer, idle_at < over_at ? idle_at : over_at);
}

/* Keeps what a peer does not take yet. */
static bool keep(struct worker *worker, struct tunnel *tunnel, struct end *to,
                 const unsigned char *bytes, size_t length)
{
	struct hold *hold = hold_new(length);

	if (hold == NULL) {
		fail_ourselves(worker, tunnel, ENOMEM);
		return false;
	}
	memcpy(hold->bytes, bytes, length);
	to->hold = hold;
	return true;
}

/* Sends what is held for an end. False when it does not take all, or when the tunnel is over. */
static bool flush(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];

	if (end->hold == NULL)
		return true;
	switch (hold_flush(&end->hold, end->fd)) {
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

static void send_fin(struct end *end)
{
	if (end->write_done)
		return;
	/* Fails after a reset, which epoll tells as well. */
	(void)shutdown(end->fd, SHUT_WR);
	end->write_done = true;
}

/* Reads once. Returns the bytes read, 0 when there are none for now or no more, and -1 when the tunnel is over. */
static ssize_t read_once(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	ssize_t got = recv_some(end->fd, worker->buffer, worker->buffer_bytes);

	if (got > 0) {
		/* A short read has emptied the socket; what comes later is another edge. */
		if ((size_t)got < worker->buffer_bytes && !end->hung_up)
			end->readable = false;
		return got;
	}
	end->readable = false;
	if (got == 0) {
		end->read_done = true;
		return 0;
	}
	if (errno == EAGAIN)
		return 0;
	fail(worker, tunnel, side, errno);
	return -1;
}

/* Adds what was read to the numbers of the tunnel; nobody else writes them. */
static void note_bytes(const struct worker *worker, const struct tunnel *tunnel, struct end *from,
                       size_t length)
{
	uint64_t before = atomic_load_explicit(&from->read_bytes, memory_order_relaxed);
	uint64_t age_ms;

	atomic_store_explicit(&from->read_bytes, before + length, memory_order_relaxed);
	atomic_store_explicit(&from->heard_at_ms, worker->now_ms, memory_order_relaxed);
	if (before > 0)
		return;
	age_ms = worker->now_ms - tunnel->born_at_ms;
	atomic_store_explicit(&from->first_ms, age_ms < UINT32_MAX ? (uint32_t)age_ms + 1 : UINT32_MAX,
	                      memory_order_relaxed);
}

/* One turn of one direction. Returns false when the tunnel is over. */
static bool pump(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *from = &tunnel->ends[side];
	struct end *to = &tunnel->ends[other(side)];

	if (to->hold != NULL && !flush(worker, tunnel, other(side)))
		return tunnel->state != STATE_OVER;
	if (from->readable && !from->read_done) {
		ssize_t got = read_once(worker, tunnel, side);
		ssize_t sent;

		if (got < 0)
			return false;
		if (got > 0) {
			note_bytes(worker, tunnel, from, (size_t)got);
			sent = send_some(to->fd, worker->buffer, (size_t)got);
			if (sent < 0) {
				if (errno != EAGAIN) {
					fail(worker, tunnel, other(side), errno);
					return false;
				}
				sent = 0;
			}
			if (sent < got) {
				if (!keep(worker, tunnel, to, worker->buffer + sent,
				          (size_t)(got - sent)))
					return false;
				/* A reset may stand behind what is not read for now, and was told already. */
				if (from->hung_up)
					tunnel_check(worker, tunnel, side);
				return tunnel->state != STATE_OVER;
			}
			/* The next turn is for the others first. */
			if (from->readable)
				worker_ready(worker, tunnel);
			return true;
		}
	}
	if (from->read_done && !to->write_done) {
		note(tunnel, side == SIDE_CLIENT ? BY_CLIENT : BY_UPSTREAM, REASON_EOF, 0);
		/* The second FIN goes out with the close. */
		if (from->write_done)
			to->write_done = true;
		else
			send_fin(to);
	}
	return true;
}

static void run_open(struct worker *worker, struct tunnel *tunnel)
{
	if (!pump(worker, tunnel, SIDE_CLIENT) || !pump(worker, tunnel, SIDE_UPSTREAM))
		return;
	if (tunnel->ends[SIDE_CLIENT].write_done && tunnel->ends[SIDE_UPSTREAM].write_done)
		finish(worker, tunnel, false);
}

/* What still comes has nowhere to go: it is read and dropped, so that the peer's FIN is seen. One turn of one end. */
static bool drain(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];

	if (!flush(worker, tunnel, side)) {
		if (tunnel->state == STATE_OVER)
			return false;
	} else {
		send_fin(end);
	}
	if (!end->readable || end->read_done)
		return true;
	if (read_once(worker, tunnel, side) < 0)
		return false;
	if (end->readable)
		worker_ready(worker, tunnel);
	return true;
}

static void run_closing(struct worker *worker, struct tunnel *tunnel)
{
	const struct end *ends = tunnel->ends;

	if (!drain(worker, tunnel, SIDE_CLIENT) || !drain(worker, tunnel, SIDE_UPSTREAM))
		return;
	if (ends[SIDE_CLIENT].write_done && ends[SIDE_CLIENT].read_done &&
	    ends[SIDE_UPSTREAM].write_done && ends[SIDE_UPSTREAM].read_done)
		finish(worker, tunnel, false);
}

void tunnel_run(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->state == STATE_OPEN)
		run_open(worker, tunnel);
	else
		run_closing(worker, tunnel);
}

void tunnel_check(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	int error = 0;
	socklen_t length = sizeof error;

	/* With data before the error, and somebody to take it, a read comes first and finds the error behind it. */
	if (!end->read_done && tunnel->ends[other(side)].hold == NULL)
		return;
	if (getsockopt(end->fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0)
		fail(worker, tunnel, side, error);
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
	start_limits(worker, tunnel);
	run_open(worker, tunnel);
}

void tunnel_close(struct worker *worker, struct tunnel *tunnel, enum ended_by by,
                  enum end_reason reason, uint64_t timeout_ms, const struct close_words *words)
{
	uint64_t due_ms;

	(void)words;
	if (__builtin_add_overflow(worker->now_ms, timeout_ms, &due_ms))
		due_ms = WHEEL_NEVER;
	wheel_start(&worker->wheel, &tunnel->timer, due_ms);
	if (tunnel->state == STATE_CLOSING)
		return;
	note(tunnel, by, reason, 0);
	tunnel->state = STATE_CLOSING;
	run_closing(worker, tunnel);
}

static bool is_over(uint64_t since_ms, uint64_t limit_ms, uint64_t now_ms)
{
	return limit_ms != NO_LIMIT && now_ms - since_ms >= limit_ms;
}

void tunnel_expired(struct worker *worker, struct tunnel *tunnel)
{
	const struct relay_policy *policy = policy_of(tunnel);
	uint64_t now_ms = worker->now_ms;

	if (tunnel->state == STATE_CLOSING)
		finish(worker, tunnel, true);
	else if (is_over(tunnel->born_at_ms, policy->lifetime_ms, now_ms))
		tunnel_close(worker, tunnel, BY_GATEWAY, REASON_LIFETIME, policy->close_timeout_ms,
		             &policy->lifetime);
	else if (is_over(moved_at_ms(tunnel), policy->idle_ms, now_ms))
		tunnel_close(worker, tunnel, BY_GATEWAY, REASON_IDLE, policy->close_timeout_ms,
		             &policy->idle);
	else
		start_limits(worker, tunnel);
}
