/* How tunnels end: by their limits, by their owner, for want of descriptors, with the relay itself. */
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "harness.h"

#define BUFFER_BYTES 65536
#define HOUR_MS 3600000
#define REASON_DRAIN ((enum end_reason)(REASON_CALLER + 1))
#define REASON_RELOAD ((enum end_reason)(REASON_CALLER + 2))

static struct rig rig;

static void start(void)
{
	rig_start(&rig, 2, BUFFER_BYTES);
}

static void expect_fins(const struct joint *joint)
{
	expect_fin(joint->peers[SIDE_CLIENT]);
	expect_fin(joint->peers[SIDE_UPSTREAM]);
}

static bool is_silent(void)
{
	struct event event;

	return !relay_take(rig.relay, &event);
}

static void limits_end_a_tunnel_in_order(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		const struct open_request requests[] = {
			request_within(30, NO_LIMIT),
			request_within(NO_LIMIT, 30),
			request_within(0, HOUR_MS),
		};
		const enum end_reason reasons[] = {REASON_IDLE, REASON_LIFETIME, REASON_IDLE};
		const uint64_t limits_ms[] = {30, 30, 0};

		for (unsigned index = 0; index < 3; index++) {
			struct joint joint = join_with(&rig, transport, transport, requests[index]);
			struct event event;

			expect_fins(&joint);
			close_peers(&joint);
			event = await_end(&rig);
			check_end(&event, BY_GATEWAY, reasons[index]);
			/* A thread's time is that of its last look at the clock. */
			CHECK(event.duration_ns / 1000000U >= limits_ms[index] / 2);
		}
	}
	rig_stop(&rig);
}

/* Who goes on moving bytes lives until its time is over, and not just until its idle limit. */
static void bytes_put_the_idle_limit_off(void)
{
	struct open_request request = request_within(1000, 1300);
	struct joint joint;
	struct event event;
	char byte;

	start();
	joint = join_with(&rig, TCP, TCP, request);
	do
		put(joint.peers[SIDE_CLIENT], "x");
	while (read(joint.peers[SIDE_UPSTREAM], &byte, 1) == 1);
	close_peers(&joint);
	event = await_end(&rig);
	check_end(&event, BY_GATEWAY, REASON_LIFETIME);
	rig_stop(&rig);
}

static void a_limit_resets_who_does_not_answer(void)
{
	struct open_request request = request_within(1, NO_LIMIT);
	struct joint joint;
	struct event event;

	start();
	joint = join_with(&rig, TCP, TCP, request);
	expect_fins(&joint);
	expect_cut(joint.peers[SIDE_CLIENT]);
	expect_cut(joint.peers[SIDE_UPSTREAM]);
	event = await_end(&rig);
	check_end(&event, BY_GATEWAY, REASON_IDLE);
	close_peers(&joint);
	rig_stop(&rig);
}

static void a_close_waits_for_both_answers(uint64_t grace_ms)
{
	struct joint joint = join(&rig, TCP);
	struct event event;

	relay_close(joint.tunnel, BY_ADMIN, REASON_DRAIN, grace_ms, NULL);
	expect_fins(&joint);
	/* What still comes goes nowhere, and does no harm. */
	put(joint.peers[SIDE_CLIENT], "too late");
	send_fin(joint.peers[SIDE_CLIENT]);
	CHECK(is_silent());
	send_fin(joint.peers[SIDE_UPSTREAM]);
	event = await_end(&rig);
	check_end(&event, BY_ADMIN, REASON_DRAIN);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 0);
	close_peers(&joint);
}

static void a_close_is_answered(void)
{
	start();
	a_close_waits_for_both_answers(HOUR_MS);
	a_close_waits_for_both_answers(NO_LIMIT);
	rig_stop(&rig);
}

static void a_second_close_changes_the_time_alone(void)
{
	struct joint joint;
	struct event event;

	start();
	joint = join(&rig, TCP);
	relay_close(joint.tunnel, BY_ADMIN, REASON_DRAIN, HOUR_MS, NULL);
	expect_fins(&joint);
	relay_close(joint.tunnel, BY_GATEWAY, REASON_RELOAD, 0, NULL);
	event = await_end(&rig);
	check_end(&event, BY_ADMIN, REASON_DRAIN);
	expect_cut(joint.peers[SIDE_CLIENT]);
	expect_cut(joint.peers[SIDE_UPSTREAM]);
	close_peers(&joint);
	rig_stop(&rig);
}

static void a_close_comes_after_what_is_held(void)
{
	struct joint joint;
	struct flow flow = {.seed = 1, .total = UINT64_MAX};
	struct event event;
	uint64_t read_bytes;

	start();
	joint = join(&rig, TCP);
	flow.from = joint.peers[SIDE_CLIENT];
	flow.to = joint.peers[SIDE_UPSTREAM];
	flow_until_stalled(&flow);
	read_bytes = tunnel_bytes(joint.tunnel, SIDE_CLIENT);
	relay_close(joint.tunnel, BY_ADMIN, REASON_DRAIN, HOUR_MS, NULL);
	expect_fin(joint.peers[SIDE_CLIENT]);
	/* The source is told at once; the reader gets its bytes and then the FIN. */
	flow.total = read_bytes;
	while (!flow.is_over) {
		await_input(flow.to);
		while (flow_read(&flow, SIZE_MAX))
			continue;
	}
	close_peers(&joint);
	event = await_end(&rig);
	check_end(&event, BY_ADMIN, REASON_DRAIN);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], read_bytes);
	rig_stop(&rig);
}

static void a_close_after_a_fin_is_the_reason(void)
{
	struct joint joint;
	struct event event;

	start();
	joint = join(&rig, TCP);
	send_fin(joint.peers[SIDE_CLIENT]);
	expect_fin(joint.peers[SIDE_UPSTREAM]);
	relay_close(joint.tunnel, BY_ADMIN, REASON_DRAIN, HOUR_MS, NULL);
	expect_fin(joint.peers[SIDE_CLIENT]);
	close_peers(&joint);
	event = await_end(&rig);
	check_end(&event, BY_ADMIN, REASON_DRAIN);
	rig_stop(&rig);
}

static void an_open_without_descriptors_touches_nothing(void)
{
	start();
	for (rlim_t more = 0; more < SIDES; more++) {
		int client[2];
		int upstream[2];
		struct open_request request = plain_request();
		struct rlimit before;
		int error = 0;

		connect_pair(TCP, client);
		connect_pair(UNIX, upstream);
		request.fds[SIDE_CLIENT] = client[1];
		request.fds[SIDE_UPSTREAM] = upstream[1];
		request.to[SIDE_CLIENT] = hold_text("never sent");
		request.to[SIDE_UPSTREAM] = hold_text("never sent");
		before = limit_descriptors(more);
		CHECK(relay_open(rig.relay, NULL, &request, &error) == NULL);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
		CHECK_EQUAL(error, EMFILE);
		for (unsigned index = 0; index < 2; index++) {
			put(client[index], "still here");
			expect(client[1 - index], "still here");
			put(upstream[index], "still here");
			expect(upstream[1 - index], "still here");
		}
		for (unsigned index = 0; index < 2; index++) {
			(void)close(client[index]);
			(void)close(upstream[index]);
		}
	}
	CHECK(is_silent());
	rig_stop(&rig);
}

static void a_relay_without_descriptors_is_not_created(void)
{
	struct relay_options options = {.threads = 4, .buffer_bytes = BUFFER_BYTES};

	for (rlim_t more = 0; more < 8; more++) {
		struct rlimit before = limit_descriptors(more);
		int error = 0;

		CHECK(relay_create(&options, &error) == NULL);
		CHECK_EQUAL(error, EMFILE);
		CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	}
}

static void a_relay_takes_its_tunnels_with_it(void)
{
	enum { TUNNELS = 100 };
	struct joint joints[TUNNELS];
	struct flow flow = {.total = UINT64_MAX};

	start();
	for (unsigned index = 0; index < TUNNELS; index++)
		joints[index] = join(&rig, TCP);
	flow.from = joints[0].peers[SIDE_CLIENT];
	flow.to = joints[0].peers[SIDE_UPSTREAM];
	flow_until_stalled(&flow);
	/* One that is closing, and one whose end nobody has taken. */
	relay_close(joints[1].tunnel, BY_ADMIN, REASON_DRAIN, HOUR_MS, NULL);
	expect_fins(&joints[1]);
	close_peers(&joints[2]);
	rig_stop(&rig);
	for (unsigned index = 0; index < TUNNELS; index++) {
		if (index == 2)
			continue;
		if (index == 1)
			expect_cut(joints[index].peers[SIDE_CLIENT]);
		else
			expect_reset(joints[index].peers[SIDE_CLIENT]);
		close_peers(&joints[index]);
	}
}

/* The threads' share is equal, and what was used is used anew. */
static void tunnels_are_used_anew(void)
{
	uint32_t highest = 0;

	start();
	for (unsigned turn = 0; turn < 500; turn++) {
		struct joint joint = join(&rig, UNIX);
		struct event event;

		CHECK(relay_tunnel(rig.relay, tunnel_id(joint.tunnel)) == joint.tunnel);
		CHECK_EQUAL(tunnel_bytes(joint.tunnel, SIDE_CLIENT), 0);
		if (tunnel_id(joint.tunnel) > highest)
			highest = tunnel_id(joint.tunnel);
		put(joint.peers[SIDE_CLIENT], "x");
		expect(joint.peers[SIDE_UPSTREAM], "x");
		close_peers(&joint);
		event = await_end(&rig);
		CHECK_EQUAL(event.id, tunnel_id(joint.tunnel));
	}
	CHECK(highest < 256);
	CHECK(relay_tunnel(rig.relay, 1U << 20) == NULL);
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"an idle limit or a lifetime ends a tunnel with FINs", limits_end_a_tunnel_in_order},
		{"bytes put the idle limit off, but not the end of the lifetime",
		 bytes_put_the_idle_limit_off},
		{"a limit resets who does not answer its FIN", a_limit_resets_who_does_not_answer},
		{"a close waits for the answers to its FINs", a_close_is_answered},
		{"a second close changes the time alone", a_second_close_changes_the_time_alone},
		{"a close comes after what is held", a_close_comes_after_what_is_held},
		{"a close after a FIN is the reason for the end", a_close_after_a_fin_is_the_reason},
		{"an open without descriptors leaves the caller's sockets as they are",
		 an_open_without_descriptors_touches_nothing},
		{"a relay without descriptors is not created", a_relay_without_descriptors_is_not_created},
		{"a relay that is destroyed resets its tunnels", a_relay_takes_its_tunnels_with_it},
		{"tunnels that are over are used anew", tunnels_are_used_anew},
	};

	return RUN_TESTS(tests);
}
