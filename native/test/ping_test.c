/* Pings to peers that are silent, and what becomes of those that do not answer. */
#include <string.h>
#include <sys/socket.h>

#include "made_frames.h"
#include "stream.h"

#define BUFFER_BYTES 65536
#define HOUR_MS 3600000
#define PING_MS 20
#define MANY (1U << 30)

static struct rig rig;

static struct relay_policy frame_pings(uint64_t ping_ms, uint64_t timeout_ms, bool ping_upstream)
{
	struct relay_policy policy = ping_policy(ping_ms, timeout_ms, ping_upstream);

	policy.frames = true;
	policy.idle = (struct close_words){.code = 1001, .length = 4, .text = "idle"};
	return policy;
}

static struct joint join_pinged(struct relay_policy policy, enum transport transport)
{
	return join_with(&rig, transport, transport, request_with(&policy));
}

static void expect_ping(int fd, enum side side, unsigned char payload[125])
{
	CHECK_EQUAL(expect_own(fd, side, FIN | PING, payload), PING_BYTES);
}

static void check_no_frames(const struct frame_counts *counts)
{
	CHECK_EQUAL(counts->text, 0);
	CHECK_EQUAL(counts->pong, 0);
	CHECK_EQUAL(counts->ping, 0);
}

/* Its pongs, whole or byte by byte, go no further. */
static void silent_peers_are_pinged(void)
{
	struct joint joint;
	struct reading reading;
	unsigned char first[125];
	unsigned char payload[125];

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_pinged(frame_pings(PING_MS, HOUR_MS, true), TCP);
	for (enum side side = 0; side < SIDES; side++) {
		expect_ping(joint.peers[side], side, first);
		for (unsigned turn = 0; turn < 4; turn++) {
			struct bytes pong = {0};
			struct bytes byte = {.length = 1};

			add_frame(&pong, side, FIN | PONG, first, PING_BYTES);
			for (size_t at = 0; turn % 2 == 0 && at < pong.length; at++) {
				byte.at = pong.at + at;
				put_bytes(joint.peers[side], &byte);
			}
			if (turn % 2 == 1)
				put_bytes(joint.peers[side], &pong);
			expect_ping(joint.peers[side], side, payload);
			/* The same all the time. */
			CHECK_EQUAL(memcmp(payload, first, PING_BYTES), 0);
			bytes_free(&pong);
		}
	}
	relay_read(joint.tunnel, &reading);
	check_no_frames(&reading.counts[SIDE_CLIENT]);
	check_no_frames(&reading.counts[SIDE_UPSTREAM]);
	CHECK_EQUAL(reading.read_bytes[SIDE_CLIENT], 4 * 14);
	CHECK_EQUAL(reading.read_bytes[SIDE_UPSTREAM], 4 * 10);
	CHECK(reading.silent_ms[SIDE_CLIENT] >= 5 * PING_MS - 1);
	close_peers(&joint);
	(void)await_end(&rig);
	rig_stop(&rig);
}

static void the_upstream_is_left_alone(void)
{
	struct joint joint;
	unsigned char payload[125];

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_pinged(frame_pings(PING_MS, HOUR_MS, false), UNIX);
	for (unsigned turn = 0; turn < 4; turn++) {
		expect_ping(joint.peers[SIDE_CLIENT], SIDE_CLIENT, payload);
		put_frame(joint.peers[SIDE_CLIENT], SIDE_CLIENT, FIN | PONG, payload, PING_BYTES);
	}
	put_text(joint.peers[SIDE_CLIENT], SIDE_CLIENT, FIN | TEXT, "the first");
	expect_text(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, FIN | TEXT, "the first");
	close_peers(&joint);
	(void)await_end(&rig);
	rig_stop(&rig);
}

static void who_does_not_answer_is_dead(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side dead = 0; dead < SIDES; dead++) {
		/* With a frame of the dead one's that has no end, the other one gets a FIN alone. */
		for (unsigned is_within = 0; is_within < 2; is_within++) {
			struct joint joint = join_pinged(frame_pings(200, 100, dead == SIDE_UPSTREAM), TCP);
			unsigned char payload[125];
			struct bytes frame = {0};
			struct event event;
			int alive = joint.peers[other(dead)];

			add_text(&frame, dead, FIN | TEXT, "without end");
			frame.length = is_within ? frame.length - 1 : 0;
			put_bytes(joint.peers[dead], &frame);
			expect_bytes(alive, &frame);
			expect_ping(joint.peers[dead], dead, payload);
			if (dead == SIDE_UPSTREAM && !is_within) {
				expect_ping(alive, SIDE_CLIENT, payload);
				put_frame(alive, SIDE_CLIENT, FIN | PONG, payload, PING_BYTES);
			}
			if (!is_within) {
				expect_close(alive, other(dead), 1001, "dead");
				put_close(alive, other(dead), 1001);
			}
			expect_fin(alive);
			send_fin(alive);
			expect_reset(joint.peers[dead]);
			event = await_end(&rig);
			check_end(&event, BY_GATEWAY, REASON_DEAD);
			CHECK_EQUAL(event.reading.close_code, is_within ? 0 : 1001);
			CHECK(event.duration_ns >= 290 * UINT64_C(1000000));
			close_peers(&joint);
			bytes_free(&frame);
		}
	}
	rig_stop(&rig);
}

/* Its time runs from there on. */
static void a_ping_waits_for_the_border(void)
{
	struct joint joint;
	struct bytes frame = {0};
	struct bytes begin;
	struct bytes rest = {0};
	unsigned char payload[125];

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_pinged(frame_pings(PING_MS, HOUR_MS, true), TCP);
	add_text(&frame, SIDE_UPSTREAM, TEXT, "in two parts");
	begin = (struct bytes){.at = frame.at, .length = 5};
	put_bytes(joint.peers[SIDE_UPSTREAM], &begin);
	expect_bytes(joint.peers[SIDE_CLIENT], &begin);
	/* The client has been silent for even longer. */
	expect_ping(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, payload);
	bytes_add(&rest, frame.at + 5, frame.length - 5);
	add_text(&rest, SIDE_UPSTREAM, FIN | CONTINUATION, "of a message");
	put_bytes(joint.peers[SIDE_UPSTREAM], &rest);
	rest.length = frame.length - 5;
	expect_bytes(joint.peers[SIDE_CLIENT], &rest);
	expect_ping(joint.peers[SIDE_CLIENT], SIDE_CLIENT, payload);
	expect_text(joint.peers[SIDE_CLIENT], SIDE_CLIENT, FIN | CONTINUATION, "of a message");
	bytes_free(&frame);
	bytes_free(&rest);
	close_peers(&joint);
	(void)await_end(&rig);
	rig_stop(&rig);
}

/* Of a pong that is not whole it cannot be said whose it is; the FIN says that it is the other one's. */
static void what_is_held_back_goes_before_a_fin(void)
{
	struct joint joint;
	struct bytes pong = {0};
	unsigned char payload[125];

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_pinged(frame_pings(PING_MS, HOUR_MS, false), TCP);
	expect_ping(joint.peers[SIDE_CLIENT], SIDE_CLIENT, payload);
	add_frame(&pong, SIDE_CLIENT, FIN | PONG, payload, PING_BYTES);
	pong.length--;
	put_bytes(joint.peers[SIDE_CLIENT], &pong);
	send_fin(joint.peers[SIDE_CLIENT]);
	expect_bytes(joint.peers[SIDE_UPSTREAM], &pong);
	expect_fin(joint.peers[SIDE_UPSTREAM]);
	send_fin(joint.peers[SIDE_UPSTREAM]);
	check_end(&(struct event[]){await_end(&rig)}[0], BY_CLIENT, REASON_EOF);
	close_peers(&joint);
	bytes_free(&pong);
	rig_stop(&rig);
}

/* Whatever comes in time is an answer. */
static void any_byte_is_a_sign_of_life(void)
{
	struct joint joint;
	struct event event;
	unsigned char payload[125];

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_pinged(frame_pings(PING_MS, 2000, false), TCP);
	for (unsigned turn = 0; turn < 4; turn++) {
		expect_ping(joint.peers[SIDE_CLIENT], SIDE_CLIENT, payload);
		put_text(joint.peers[SIDE_CLIENT], SIDE_CLIENT, FIN | TEXT, "busy");
		expect_text(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, FIN | TEXT, "busy");
	}
	close_peers(&joint);
	event = await_end(&rig);
	CHECK(event.reason != REASON_DEAD);
	rig_stop(&rig);
}

/* A client that is not read, because the upstream stalls, cannot answer: what waits to be read speaks for it. */
static void who_is_not_read_is_not_dead(void)
{
	struct relay_policy policy = frame_pings(30, 30, false);
	struct joint joint;
	struct bytes header = {0};
	struct event event;
	struct flow flow;
	char text[64];

	rig_start(&rig, 1, BUFFER_BYTES);
	policy.lifetime_ms = 800;
	policy.close_timeout_ms = HOUR_MS;
	policy.lifetime = policy.idle;
	joint = join_pinged(policy, TCP);
	add_header(&header, SIDE_CLIENT, FIN | BINARY, MANY, 8);
	put_bytes(joint.peers[SIDE_CLIENT], &header);
	flow = stalled_flow(&joint, SIDE_CLIENT, MANY);
	CHECK(flow.written < MANY);
	/* The lifetime ends it, long after it would have been dead. */
	for (;;) {
		unsigned char payload[125];
		unsigned char head[2];

		CHECK_EQUAL(recv(joint.peers[SIDE_CLIENT], head, 2, MSG_WAITALL), 2);
		CHECK_EQUAL(recv(joint.peers[SIDE_CLIENT], payload, head[1], MSG_WAITALL), head[1]);
		if (head[0] == (FIN | CLOSE)) {
			memcpy(text, payload + 2, 4);
			break;
		}
		CHECK_EQUAL(head[0], FIN | PING);
	}
	CHECK_EQUAL(memcmp(text, "idle", 4), 0);
	close_peers(&joint);
	event = await_end(&rig);
	check_end(&event, BY_GATEWAY, REASON_LIFETIME);
	bytes_free(&header);
	rig_stop(&rig);
}

static void pongs_to_us_are_no_activity(void)
{
	struct relay_policy policy = frame_pings(PING_MS, HOUR_MS, false);
	struct joint joint;
	struct event event;
	int client;

	rig_start(&rig, 1, BUFFER_BYTES);
	policy.idle_ms = 150;
	joint = join_pinged(policy, TCP);
	client = joint.peers[SIDE_CLIENT];
	for (;;) {
		unsigned char head[2];
		unsigned char payload[125];

		CHECK_EQUAL(recv(client, head, 2, MSG_WAITALL), 2);
		CHECK_EQUAL(recv(client, payload, head[1], MSG_WAITALL), head[1]);
		if (head[0] == (FIN | CLOSE))
			break;
		CHECK_EQUAL(head[0], FIN | PING);
		put_frame(client, SIDE_CLIENT, FIN | PONG, payload, PING_BYTES);
	}
	expect_close(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, 1001, "idle");
	close_peers(&joint);
	event = await_end(&rig);
	check_end(&event, BY_GATEWAY, REASON_IDLE);
	rig_stop(&rig);
}

static void no_ping_goes_where_frames_are_not_followed(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side blind = 0; blind < SIDES; blind++) {
		struct relay_policy policy = frame_pings(10, 10, true);
		struct joint joint;
		struct bytes frame = {0};
		struct event event;

		policy.lifetime_ms = 200;
		joint = join_pinged(policy, TCP);
		add_text(&frame, blind, FIN | CONTINUATION, "of nothing");
		put_bytes(joint.peers[blind], &frame);
		expect_bytes(joint.peers[other(blind)], &frame);
		expect_fin(joint.peers[other(blind)]);
		expect_fin(joint.peers[blind]);
		close_peers(&joint);
		event = await_end(&rig);
		check_end(&event, BY_GATEWAY, REASON_LIFETIME);
		bytes_free(&frame);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"silent peers are pinged, and their pongs go no further", silent_peers_are_pinged},
		{"the upstream is left alone unless it is asked for", the_upstream_is_left_alone},
		{"who does not answer is dead, and the other one is told", who_does_not_answer_is_dead},
		{"a ping waits for the border", a_ping_waits_for_the_border},
		{"what is held back goes before a FIN", what_is_held_back_goes_before_a_fin},
		{"any byte is a sign of life", any_byte_is_a_sign_of_life},
		{"who is not read is not dead", who_is_not_read_is_not_dead},
		{"pongs to us are no activity", pongs_to_us_are_no_activity},
		{"no ping goes where frames are not followed", no_ping_goes_where_frames_are_not_followed},
	};

	return RUN_TESTS(tests);
}
