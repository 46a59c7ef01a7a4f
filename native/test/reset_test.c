/* A connection that one peer breaks is broken for the other one, and does not end as if all were in order. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define BUFFER_BYTES 65536

static struct rig rig;

static void start(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
}

static void reset_by(enum side side, bool after_fin)
{
	enum side other = side == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct joint joint = join(&rig, TCP);
	struct event event;

	put(joint.peers[side], "x");
	expect(joint.peers[other], "x");
	if (after_fin) {
		send_fin(joint.peers[side]);
		expect_fin(joint.peers[other]);
	}
	send_reset(joint.peers[side]);
	event = await_end(&rig);
	check_end(&event, (enum ended_by)side, REASON_RESET);
	CHECK_EQUAL(event.error, after_fin ? EPIPE : ECONNRESET);
	if (after_fin)
		expect_cut(joint.peers[other]);
	else
		expect_reset(joint.peers[other]);
	(void)close(joint.peers[other]);
}

static void a_reset_is_passed_on(void)
{
	start();
	for (unsigned side = 0; side < SIDES; side++) {
		reset_by((enum side)side, false);
		reset_by((enum side)side, true);
	}
	rig_stop(&rig);
}

static void reset_of_stalled(enum side source, bool by_source)
{
	enum side sink = source == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	enum side by = by_source ? source : sink;
	struct joint joint = join(&rig, TCP);
	struct event event;

	(void)stalled_flow(&joint, source, UINT64_MAX);
	send_reset(joint.peers[by]);
	event = await_end(&rig);
	check_end(&event, (enum ended_by)by, REASON_RESET);
	expect_reset(joint.peers[by_source ? sink : source]);
	(void)close(joint.peers[by_source ? sink : source]);
}

static void a_reset_is_seen_while_nothing_moves(void)
{
	start();
	for (unsigned source = 0; source < SIDES; source++) {
		reset_of_stalled((enum side)source, true);
		reset_of_stalled((enum side)source, false);
	}
	rig_stop(&rig);
}

/* When the relay first looks, there is more than the sink takes, and the reset behind it. */
static void reset_behind(enum side source)
{
	enum side sink = source == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct open_request request = plain_request();
	struct flow flow = {.total = UINT64_MAX};
	int pairs[SIDES][2];
	struct event event;
	int error = 0;

	for (unsigned side = 0; side < SIDES; side++) {
		connect_pair(TCP, pairs[side]);
		request.fds[side] = pairs[side][1];
	}
	set_buffers(pairs[sink][0], 1);
	set_buffers(pairs[sink][1], 1);
	flow.from = pairs[source][0];
	flow_until_stalled(&flow);
	send_reset(pairs[source][0]);
	CHECK(relay_open(rig.relay, NULL, &request, &error) != NULL);
	(void)close(pairs[SIDE_CLIENT][1]);
	(void)close(pairs[SIDE_UPSTREAM][1]);
	event = await_end(&rig);
	check_end(&event, (enum ended_by)source, REASON_RESET);
	expect_reset(pairs[sink][0]);
	(void)close(pairs[sink][0]);
}

static void a_reset_is_seen_behind_what_nobody_takes(void)
{
	start();
	reset_behind(SIDE_CLIENT);
	reset_behind(SIDE_UPSTREAM);
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"a reset by one side is a reset for the other", a_reset_is_passed_on},
		{"a reset is seen while nothing moves", a_reset_is_seen_while_nothing_moves},
		{"a reset is seen behind bytes that nobody takes", a_reset_is_seen_behind_what_nobody_takes},
	};

	return RUN_TESTS(tests);
}
