#include "ping.h"

#include <sys/ioctl.h>

#include "closing.h"
#include "control.h"
#include "stream.h"
#include "parts.h"
#include "tunnel.h"

/* Frames can be put into this direction, and it has not come to its end. */
static bool is_open(const struct frames *frames)
{
	return frames_are_followed(frames) && frames->part != PART_CLOSE;
}

static bool is_pinged(const struct tunnel *tunnel, enum side side)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);
	const struct end *end = &tunnel->ends[side];

	if (policy->ping_ms == NO_LIMIT || !policy->frames)
		return false;
	if (side == SIDE_UPSTREAM && !policy->ping_upstream)
		return false;
	/* Who has said its last word answers no more, and whose pongs could not be told from others' is not asked. */
	return is_open(&tunnel->frames[SIDE_CLIENT]) && is_open(&tunnel->frames[SIDE_UPSTREAM]) &&
	       !end->read_done && !end->write_done;
}

static uint64_t alive_at_ms(const struct end *end)
{
	uint64_t heard_at_ms = atomic_load_explicit(&end->heard_at_ms, memory_order_relaxed);

	return heard_at_ms > end->alive_at_ms ? heard_at_ms : end->alive_at_ms;
}

static uint64_t next_of(const struct tunnel *tunnel, enum side side)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);
	const struct end *end = &tunnel->ends[side];

	if (!is_pinged(tunnel, side) || end->ping_waits)
		return WHEEL_NEVER;
	return end->pinged_at_ms != 0 ? tunnel_due_ms(end->pinged_at_ms, policy->timeout_ms)
	                              : tunnel_due_ms(alive_at_ms(end), policy->ping_ms);
}

uint64_t ping_next_ms(const struct tunnel *tunnel)
{
	uint64_t client = next_of(tunnel, SIDE_CLIENT);
	uint64_t upstream = next_of(tunnel, SIDE_UPSTREAM);

	return client < upstream ? client : upstream;
}

void ping_is_put(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];

	end->pinged_at_ms = worker->now_ms;
	if (end->pongs_due < UINT8_MAX)
		end->pongs_due++;
	tunnel_start_limits(worker, tunnel);
}

void ping_is_answered(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	tunnel->ends[side].pinged_at_ms = 0;
	tunnel_start_limits(worker, tunnel);
}

/* It is not read as long as the other side stalls: what it has sent in that time is a sign of life too. */
static bool has_unread(const struct tunnel *tunnel, enum side side)
{
	int count = 0;

	return tunnel->ends[other(side)].hold != NULL &&
	       ioctl(tunnel->ends[side].fd, FIONREAD, &count) == 0 && count > 0;
}

static void ping(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	unsigned char frame[CONTROL_FRAME_BYTES_MAX];
	size_t length;

	if (!frames_are_between(&tunnel->frames[other(side)])) {
		tunnel->ends[side].ping_waits = true;
		return;
	}
	length = write_ping_frame(frame, side, worker->relay->ping);
	if (tunnel_put(worker, tunnel, side, frame, length))
		ping_is_put(worker, tunnel, side);
}

static void look_at(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	const struct relay_policy *policy = tunnel_policy(tunnel);
	struct end *end = &tunnel->ends[side];

	if (!is_pinged(tunnel, side) || end->ping_waits)
		return;
	if (end->pinged_at_ms == 0) {
		if (worker->now_ms - alive_at_ms(end) >= policy->ping_ms)
			ping(worker, tunnel, side);
	} else if (worker->now_ms - end->pinged_at_ms >= policy->timeout_ms) {
		if (has_unread(tunnel, side)) {
			end->alive_at_ms = worker->now_ms;
			ping_is_answered(worker, tunnel, side);
		} else {
			closing_bury(worker, tunnel, side);
		}
	}
}

void ping_look(struct worker *worker, struct tunnel *tunnel)
{
	for (unsigned side = 0; side < SIDES && tunnel->state == STATE_OPEN; side++)
		look_at(worker, tunnel, (enum side)side);
}
