/* How WebSockets are closed: a Close frame to both peers, at a border, and a FIN when theirs has come. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "closings.h"
#include "stream.h"

#define BUFFER_BYTES 65536
#define STALL_MS 100

static struct rig rig;

static void both_peers_are_told(void)
{
	rig_start(&rig, 2, BUFFER_BYTES);
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		for (enum side first = 0; first < SIDES; first++) {
			struct joint joint = join_frames(&rig, transport);

			put_text(joint.peers[SIDE_CLIENT], SIDE_CLIENT, FIN | TEXT, "hello");
			expect_text(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, FIN | TEXT, "hello");
			drain(&joint, NO_LIMIT);
			agree(&joint, first);
			agree(&joint, other(first));
			end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
		}
	}
	rig_stop(&rig);
}

static void limits_say_why(void)
{
	struct relay_policy policy = frames_policy();
	struct joint joint;
	struct event event;

	rig_start(&rig, 1, BUFFER_BYTES);
	policy.idle_ms = 20;
	for (unsigned turn = 0; turn < 2; turn++) {
		joint = join_with(&rig, TCP, UNIX, request_with(&policy));
		for (enum side side = 0; side < SIDES; side++) {
			if (turn == 0)
				expect_close(joint.peers[side], side, 1001, "idle");
			else
				expect_close(joint.peers[side], side, 1012, "");
			put_close(joint.peers[side], side, 1001);
			expect_fin(joint.peers[side]);
			send_fin(joint.peers[side]);
		}
		event = await_end(&rig);
		check_end(&event, BY_GATEWAY, turn == 0 ? REASON_IDLE : REASON_LIFETIME);
		CHECK_EQUAL(event.reading.close_by, BY_GATEWAY);
		CHECK_EQUAL(event.reading.close_code, turn == 0 ? 1001 : 1012);
		close_peers(&joint);
		policy.idle_ms = NO_LIMIT;
		policy.lifetime_ms = 20;
	}
	rig_stop(&rig);
}

/* At each place of a frame, whose rest comes in one read with what is dropped. */
static void a_frame_that_has_begun_is_finished(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side from = 0; from < SIDES; from++) {
		struct bytes frame = {0};

		add_text(&frame, from, BINARY, "has begun, and is a part of a message");
		for (size_t at = 1; at < frame.length; at++) {
			struct joint joint = join_frames(&rig, UNIX);
			struct bytes begin = {.at = frame.at, .length = at};
			struct bytes rest = {0};

			bytes_add(&rest, frame.at + at, frame.length - at);
			pass(&joint, from, &begin);
			drain(&joint, NO_LIMIT);
			expect_close(joint.peers[from], from, closing_words.code, "soon");
			add_text(&rest, from, FIN | CONTINUATION, "dropped");
			add_close(&rest, from, closing_words.code, "");
			put_bytes(joint.peers[from], &rest);
			rest.length = frame.length - at;
			expect_bytes(joint.peers[other(from)], &rest);
			agree(&joint, other(from));
			expect_fin(joint.peers[from]);
			send_fin(joint.peers[from]);
			end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
			bytes_free(&rest);
		}
		bytes_free(&frame);
	}
	rig_stop(&rig);
}

static void no_second_close_goes_to_a_peer(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side from = 0; from < SIDES; from++) {
		struct bytes frame = {0};

		add_close(&frame, from, 3000, "mine");
		/* In the middle of the frame, too: even its first byte says that it is no place for ours. */
		for (size_t at = 1; at <= frame.length; at++) {
			bool is_code_known = at >= frame.length - 4;
			struct joint joint = join_frames(&rig, TCP);
			struct bytes begin = {.at = frame.at, .length = at};
			struct bytes rest = {.at = frame.at + at, .length = frame.length - at};

			pass(&joint, from, &begin);
			drain(&joint, NO_LIMIT);
			expect_close(joint.peers[from], from, closing_words.code, "soon");
			put_bytes(joint.peers[from], &rest);
			expect_fin(joint.peers[from]);
			expect_bytes(joint.peers[other(from)], &rest);
			put_close(joint.peers[other(from)], other(from), 3000);
			expect_fin(joint.peers[other(from)]);
			send_fin(joint.peers[SIDE_CLIENT]);
			send_fin(joint.peers[SIDE_UPSTREAM]);
			if (is_code_known)
				end_as_drained(&rig, &joint, (enum ended_by)from, 3000);
			else
				end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
		}
		bytes_free(&frame);
	}
	rig_stop(&rig);
}

/* Long enough for a thread to read what is there. */
static bool takes_more(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLOUT};

	return poll(&poller, 1, STALL_MS) > 0;
}

/* The client stalls: the upstream is told at once, and the client gets all that is held before its Close frame. */
static void a_close_comes_behind_what_is_held(void)
{
	static unsigned char payload[3100];
	struct joint joint;
	struct bytes frame = {0};
	uint64_t sent = 0;
	uint64_t got = 0;

	rig_start(&rig, 1, BUFFER_BYTES);
	joint = join_frames(&rig, TCP);
	set_blocking(joint.peers[SIDE_UPSTREAM], false);
	add_frame(&frame, SIDE_UPSTREAM, FIN | BINARY, payload, 3000);
	do {
		size_t begin = sent % frame.length;
		ssize_t written;

		written = write(joint.peers[SIDE_UPSTREAM], frame.at + begin, frame.length - begin);
		sent += written > 0 ? (uint64_t)written : 0;
	} while (takes_more(joint.peers[SIDE_UPSTREAM]));
	set_blocking(joint.peers[SIDE_UPSTREAM], true);
	drain(&joint, NO_LIMIT);
	expect_close(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, closing_words.code, "soon");
	for (;;) {
		unsigned char head[4];

		CHECK_EQUAL(recv(joint.peers[SIDE_CLIENT], head, 2, MSG_WAITALL), 2);
		if (head[0] == (FIN | CLOSE))
			break;
		CHECK_EQUAL(head[0], FIN | BINARY);
		for (size_t left = frame.length - 2; left > 0;) {
			ssize_t more = recv(joint.peers[SIDE_CLIENT], payload, left, 0);

			CHECK(more > 0);
			left -= (size_t)more;
		}
		got += frame.length;
	}
	CHECK(got > BUFFER_BYTES && got <= sent + frame.length);
	CHECK_EQUAL(recv(joint.peers[SIDE_CLIENT], payload, 6, MSG_WAITALL), 6);
	put_close(joint.peers[SIDE_CLIENT], SIDE_CLIENT, closing_words.code);
	expect_fin(joint.peers[SIDE_CLIENT]);
	close_peers(&joint);
	CHECK_EQUAL(await_end(&rig).reason, REASON_DRAIN);
	bytes_free(&frame);
	rig_stop(&rig);
}

/* Bytes that came with the handshake are followed: the tunnel begins in the middle of a frame. */
static void first_bytes_are_followed(void)
{
	static const char head[] = "HTTP/1.1 101 \x88\x88\x88\r\n\r\n";

	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side from = 0; from < SIDES; from++) {
		struct relay_policy policy = frames_policy();
		struct open_request request = request_with(&policy);
		struct bytes frame = {0};
		struct bytes first = {0};
		struct joint joint;
		struct reading reading;

		add_text(&frame, from, FIN | TEXT, "early");
		add_text(&frame, from, FIN | BINARY, "in two parts");
		if (from == SIDE_UPSTREAM)
			bytes_add(&first, head, sizeof head - 1);
		bytes_add(&first, frame.at, frame.length - 3);
		request.to[other(from)] = hold_new(first.length);
		memcpy(request.to[other(from)]->bytes, first.at, first.length);
		request.read_bytes[from] = frame.length - 3;
		joint = join_with(&rig, UNIX, UNIX, request);
		expect_bytes(joint.peers[other(from)], &first);
		relay_read(joint.tunnel, &reading);
		CHECK_EQUAL(reading.counts[from].text, 1);
		CHECK_EQUAL(reading.counts[from].binary, 1);
		CHECK_EQUAL(reading.first_ms[from], 0);
		CHECK_EQUAL(reading.first_ms[other(from)], NEVER_MS);
		drain(&joint, NO_LIMIT);
		expect_close(joint.peers[from], from, closing_words.code, "soon");
		first.length = 3;
		memcpy(first.at, frame.at + frame.length - 3, 3);
		put_bytes(joint.peers[from], &first);
		expect_bytes(joint.peers[other(from)], &first);
		agree(&joint, other(from));
		put_close(joint.peers[from], from, 1001);
		expect_fin(joint.peers[from]);
		send_fin(joint.peers[from]);
		end_as_drained(&rig, &joint, BY_ADMIN, closing_words.code);
		bytes_free(&frame);
		bytes_free(&first);
	}
	rig_stop(&rig);
}

static void the_first_close_is_told(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (enum side first = 0; first < SIDES; first++) {
		struct joint joint = join_frames(&rig, TCP);
		struct reading reading;
		struct event event;

		put_close(joint.peers[first], first, 4321);
		expect_text(joint.peers[other(first)], other(first), FIN | CLOSE, "\x10\xe1");
		relay_read(joint.tunnel, &reading);
		CHECK_EQUAL(reading.close_by, first);
		CHECK_EQUAL(reading.close_code, 4321);
		put_close(joint.peers[other(first)], other(first), 1000);
		expect_text(joint.peers[first], first, FIN | CLOSE, "\x03\xe8");
		close_peers(&joint);
		event = await_end(&rig);
		CHECK_EQUAL(event.reading.close_by, first);
		CHECK_EQUAL(event.reading.close_code, 4321);
		CHECK_EQUAL(event.reading.counts[SIDE_CLIENT].close, 1);
		CHECK_EQUAL(event.reading.counts[SIDE_UPSTREAM].close, 1);
	}
	rig_stop(&rig);
}

/* Places are used anew: nothing of a tunnel is left for the next one. */
static void a_place_is_left_clean(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (unsigned turn = 0; turn < 200; turn++) {
		struct joint joint = turn % 2 == 0 ? join_frames(&rig, UNIX) : join(&rig, UNIX);
		struct reading reading;
		struct event event;

		relay_read(joint.tunnel, &reading);
		CHECK_EQUAL(reading.counts[SIDE_CLIENT].text, 0);
		CHECK_EQUAL(reading.close_code, 0);
		put_text(joint.peers[SIDE_CLIENT], SIDE_CLIENT, TEXT, "begun");
		expect_text(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, TEXT, "begun");
		put_close(joint.peers[SIDE_CLIENT], SIDE_CLIENT, 1000);
		/* Twice, before the thread has looked or behind it. */
		drain(&joint, turn % 3 == 0 ? 0 : NO_LIMIT);
		drain(&joint, 0);
		event = await_end(&rig);
		check_end(&event, BY_ADMIN, REASON_DRAIN);
		close_peers(&joint);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"both peers are told, and get a FIN when they have answered", both_peers_are_told},
		{"limits say why", limits_say_why},
		{"a frame that has begun is finished, and what is behind it dropped",
		 a_frame_that_has_begun_is_finished},
		{"no second Close frame goes to a peer", no_second_close_goes_to_a_peer},
		{"a Close frame comes behind what is held", a_close_comes_behind_what_is_held},
		{"bytes that came with the handshake are followed", first_bytes_are_followed},
		{"the first Close frame is told", the_first_close_is_told},
		{"a place is left clean", a_place_is_left_clean},
	};

	return RUN_TESTS(tests);
}
