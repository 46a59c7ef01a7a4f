/* Dials for accepted clients, each in its client's place. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept_door.h"

static struct door door;

static void start(void)
{
	door_open(&door, 1, NO_LIMIT, NO_LIMIT);
}

/* A dial that does not get on, at a listener that is to be closed with its filler. */
static int dial_in_vain(const struct guest *guest, int *filler)
{
	struct dial_request request;
	int listener = listen_in_vain(TCP, &request, filler);

	request.tunnel = guest->tunnel;
	CHECK(dial(&door.rig, &request, NO_LIMIT, NO_LIMIT) == guest->tunnel);
	return listener;
}

static void dial_nobody(const struct guest *guest)
{
	struct dial_request request;
	struct event event;

	(void)close(listen_at(TCP, 1, &request));
	request.tunnel = guest->tunnel;
	CHECK(dial(&door.rig, &request, NO_LIMIT, NO_LIMIT) == guest->tunnel);
	event = await_event(&door.rig);
	CHECK_EQUAL(event.kind, EVENT_FAILED);
	CHECK_EQUAL(event.id, tunnel_id(guest->tunnel));
	CHECK_EQUAL(event.stage, STAGE_CONNECT);
	CHECK_EQUAL(event.error, ECONNREFUSED);
	CHECK(!event.is_last);
}

static void a_request_becomes_a_tunnel(void)
{
	struct guest guest;
	struct event event;
	int endpoint;

	start();
	guest = door_guest(&door);
	/* What comes meanwhile waits in the socket. */
	put(guest.peer, "early, ");
	endpoint = dial_answered(&door, &guest, "101");
	put(endpoint, "first, ");
	open_both(&door, &guest, "HTTP/1.1 101, ");
	put(guest.peer, "hello");
	put(endpoint, "welcome");
	expect(endpoint, "early, hello");
	expect(guest.peer, "HTTP/1.1 101, first, welcome");
	send_fin(guest.peer);
	expect_fin(endpoint);
	(void)close(endpoint);
	expect_fin(guest.peer);
	event = await_end(&door.rig);
	check_end(&event, BY_CLIENT, REASON_EOF);
	CHECK_EQUAL(event.id, tunnel_id(guest.tunnel));
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 7 + 5);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 7 + 7);
	(void)close(guest.peer);
	door_close(&door);
}

static void what_was_read_counts(void)
{
	struct guest guest;
	struct event event;
	struct open_request request = plain_request();
	int endpoint;
	int error = 0;

	start();
	guest = door_guest(&door);
	endpoint = dial_answered(&door, &guest, "101 and more");
	request.fds[SIDE_CLIENT] = -1;
	request.fds[SIDE_UPSTREAM] = -1;
	request.to[SIDE_UPSTREAM] = hold_text("behind the request");
	request.read_bytes[SIDE_CLIENT] = 18;
	request.to[SIDE_CLIENT] = hold_text("101 and more");
	request.read_bytes[SIDE_UPSTREAM] = 9;
	CHECK(relay_open(door.rig.relay, guest.tunnel, &request, &error) == guest.tunnel);
	expect(endpoint, "behind the request");
	expect(guest.peer, "101 and more");
	send_reset(guest.peer);
	event = await_end(&door.rig);
	check_end(&event, BY_CLIENT, REASON_RESET);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 18);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 9);
	expect_reset(endpoint);
	(void)close(endpoint);
	door_close(&door);
}

/* Nobody reads the client while the owner decides; its FIN and its reset are in the tunnel then. */
static void a_client_that_has_left_opens(void)
{
	struct guest guest;
	struct event event;
	int endpoint;

	start();
	guest = door_guest(&door);
	put(guest.peer, "bye");
	send_fin(guest.peer);
	await_word(&door, EVENT_FIN, guest.tunnel);
	endpoint = dial_answered(&door, &guest, "101");
	open_both(&door, &guest, "x");
	expect(endpoint, "bye");
	expect_fin(endpoint);
	expect(guest.peer, "x");
	(void)close(endpoint);
	expect_fin(guest.peer);
	(void)close(guest.peer);
	event = await_end(&door.rig);
	check_end(&event, BY_CLIENT, REASON_EOF);
	guest = door_guest(&door);
	endpoint = dial_answered(&door, &guest, "101");
	send_reset(guest.peer);
	await_word(&door, EVENT_RESET, guest.tunnel);
	open_both(&door, &guest, "x");
	event = await_end(&door.rig);
	check_end(&event, BY_CLIENT, REASON_RESET);
	expect_reset(endpoint);
	(void)close(endpoint);
	door_close(&door);
}

static void a_failed_dial_leaves_the_client(void)
{
	struct guest guest;
	int endpoint;

	start();
	guest = door_guest(&door);
	dial_nobody(&guest);
	dial_nobody(&guest);
	endpoint = dial_for(&door, &guest);
	send_reset(endpoint);
	await_failure(&door.rig, STAGE_ANSWER, false, ECONNRESET);
	endpoint = dial_answered(&door, &guest, "101");
	open_both(&door, &guest, "welcome");
	expect(guest.peer, "welcome");
	(void)close(guest.peer);
	expect_fin(endpoint);
	(void)close(endpoint);
	(void)await_end(&door.rig);
	door_close(&door);
}

static void a_late_answer_leaves_the_client(void)
{
	struct dial_request request;
	struct guest guest;
	int listener = listen_at(TCP, 8, &request);
	int endpoint;

	start();
	guest = door_guest(&door);
	request.tunnel = guest.tunnel;
	(void)dial(&door.rig, &request, NO_LIMIT, 20);
	endpoint = accept_from(listener);
	await_failure(&door.rig, STAGE_ANSWER, true, ETIMEDOUT);
	expect(endpoint, REQUEST);
	expect_fin(endpoint);
	(void)close(endpoint);
	(void)close(listener);
	dismiss(&door, &guest);
	door_close(&door);
}

static void a_dropped_answer_makes_room(void)
{
	struct guest guest;
	int endpoint;

	start();
	guest = door_guest(&door);
	for (unsigned count = 0; count < 3; count++) {
		endpoint = dial_answered(&door, &guest, "nonsense");
		relay_drop(guest.tunnel);
		expect_fin(endpoint);
		(void)close(endpoint);
	}
	/* Asked for at once, both are done in their order. */
	endpoint = dial_answered(&door, &guest, "nonsense");
	relay_drop(guest.tunnel);
	(void)close(endpoint);
	endpoint = dial_answered(&door, &guest, "101");
	open_both(&door, &guest, "welcome");
	expect(guest.peer, "welcome");
	(void)close(guest.peer);
	expect_fin(endpoint);
	(void)close(endpoint);
	(void)await_end(&door.rig);
	door_close(&door);
}

static void a_drop_at_any_time(void)
{
	struct guest guest;
	int endpoint;
	int filler;
	int listener;

	start();
	guest = door_guest(&door);
	listener = dial_in_vain(&guest, &filler);
	relay_drop(guest.tunnel);
	expect_quiet(&door);
	dismiss(&door, &guest);
	guest = door_guest(&door);
	endpoint = dial_for(&door, &guest);
	relay_drop(guest.tunnel);
	expect_fin(endpoint);
	expect_quiet(&door);
	(void)close(endpoint);
	dismiss(&door, &guest);
	guest = door_guest(&door);
	dial_nobody(&guest);
	relay_drop(guest.tunnel);
	dial_nobody(&guest);
	dismiss(&door, &guest);
	(void)close(filler);
	(void)close(listener);
	door_close(&door);
}

/* A dial without a client is over with a drop, and once: also when it has failed by itself meanwhile. */
static void a_drop_without_a_client(void)
{
	struct dial_request nobody;
	struct tunnel *tunnel;
	struct event event;
	unsigned failures = 0;
	int endpoint;

	start();
	tunnel = dial_endpoint(&door.rig, TCP, NO_LIMIT, &endpoint);
	relay_drop(tunnel);
	event = await_end(&door.rig);
	CHECK(event.is_last);
	expect_fin(endpoint);
	(void)close(endpoint);
	(void)close(listen_at(TCP, 1, &nobody));
	for (unsigned count = 0; count < 200; count++) {
		tunnel = dial(&door.rig, &nobody, NO_LIMIT, NO_LIMIT);
		/* The failure is told, and not taken. */
		if (count % 2 == 1)
			await_input(door.rig.notified_fd);
		relay_drop(tunnel);
		event = await_event(&door.rig);
		CHECK(event.kind == EVENT_FAILED || event.kind == EVENT_ENDED);
		CHECK(event.is_last);
		CHECK_EQUAL(event.id, tunnel_id(tunnel));
		failures += event.kind == EVENT_FAILED;
		expect_quiet(&door);
	}
	CHECK(failures > 0);
	door_close(&door);
}

/* FIN and reset of one client, told once each where `guest` is. */
static void leave_in_steps(struct guest *guest)
{
	send_fin(guest->peer);
	await_word(&door, EVENT_FIN, guest->tunnel);
	expect_quiet(&door);
	send_reset(guest->peer);
	await_word(&door, EVENT_RESET, guest->tunnel);
	expect_quiet(&door);
	relay_close(guest->tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	(void)await_end(&door.rig);
}

static void who_leaves_is_told_once(void)
{
	struct guest guest;
	int endpoint;
	int filler;
	int listener;

	start();
	guest = door_guest(&door);
	leave_in_steps(&guest);
	guest = door_guest(&door);
	listener = dial_in_vain(&guest, &filler);
	leave_in_steps(&guest);
	(void)close(filler);
	(void)close(listener);
	guest = door_guest(&door);
	endpoint = dial_for(&door, &guest);
	leave_in_steps(&guest);
	expect_fin(endpoint);
	(void)close(endpoint);
	guest = door_guest(&door);
	endpoint = dial_answered(&door, &guest, "HTTP");
	leave_in_steps(&guest);
	(void)close(endpoint);
	guest = door_guest(&door);
	dial_nobody(&guest);
	leave_in_steps(&guest);
	door_close(&door);
}

/* The answer is with the owner when the client leaves, and still of use. */
static void a_leave_does_not_stop_the_dial(void)
{
	struct guest guest;
	int endpoint;

	start();
	guest = door_guest(&door);
	endpoint = dial_for(&door, &guest);
	send_fin(guest.peer);
	await_word(&door, EVENT_FIN, guest.tunnel);
	put(endpoint, "100");
	await_bytes(&door.rig, guest.tunnel, "100");
	relay_proceed(guest.tunnel, true);
	put(endpoint, "101");
	await_bytes(&door.rig, guest.tunnel, "101");
	dismiss(&door, &guest);
	expect_fin(endpoint);
	(void)close(endpoint);
	door_close(&door);
}

int main(void)
{
	const struct test tests[] = {
		{"a request whose dial is answered becomes a tunnel in its place",
		 a_request_becomes_a_tunnel},
		{"what was read before the tunnel goes first and counts", what_was_read_counts},
		{"a client that has left before the tunnel opens is noticed there",
		 a_client_that_has_left_opens},
		{"a dial that fails leaves the client, and another one works",
		 a_failed_dial_leaves_the_client},
		{"a dial whose answer is late leaves the client", a_late_answer_leaves_the_client},
		{"a dropped answer makes room for another dial", a_dropped_answer_makes_room},
		{"a dial may be dropped at any time, and the client stays", a_drop_at_any_time},
		{"a drop without a client ends the dial, once", a_drop_without_a_client},
		{"a client's FIN and its reset are told once each, wherever its request is",
		 who_leaves_is_told_once},
		{"a client that leaves does not stop the dial by itself",
		 a_leave_does_not_stop_the_dial},
	};

	return RUN_TESTS(tests);
}
