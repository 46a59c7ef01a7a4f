/* How clients are released and closed, wherever their request is, also in one go with what was asked for before. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "accept_door.h"

/* What is asked for in one go may come to the thread together or apart. */
#define TRIES 200

static struct door door;

static void start(void)
{
	door_open(&door, 1, NO_LIMIT, NO_LIMIT);
}

static struct guest guest_in_vain(int fds[2])
{
	struct guest guest = door_guest(&door);
	struct dial_request request;

	fds[0] = listen_in_vain(TCP, &request, &fds[1]);
	request.tunnel = guest.tunnel;
	CHECK(dial(&door.rig, &request, NO_LIMIT, NO_LIMIT) == guest.tunnel);
	return guest;
}

static void close_both(const int fds[2])
{
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static struct event await_last(const struct tunnel *tunnel)
{
	struct event event = await_end(&door.rig);

	CHECK_EQUAL(event.id, tunnel_id(tunnel));
	CHECK(event.is_last);
	CHECK(event.duration_ns / 1000000000 < 60);
	return event;
}

/* The client's socket works without the relay. */
static void check_released(int fd, int peer)
{
	CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
	put(fd, "yours");
	expect(peer, "yours");
	put(peer, "mine");
	expect(fd, "mine");
	(void)close(fd);
	expect_fin(peer);
	(void)close(peer);
}

static void a_client_alone(void)
{
	struct guest guest;
	int fd;

	start();
	guest = door_guest(&door);
	put(guest.peer, "behind");
	fd = relay_release(guest.tunnel, SIDE_CLIENT);
	(void)await_last(guest.tunnel);
	expect(fd, "behind");
	check_released(fd, guest.peer);
	door_close(&door);
}

static void a_late_client(void)
{
	struct guest guest;
	int fd;

	door_open(&door, 1, 20, NO_LIMIT);
	guest = door_heard(&door, "GET");
	relay_hear(guest.tunnel);
	await_word(&door, EVENT_LATE, guest.tunnel);
	fd = relay_release(guest.tunnel, SIDE_CLIENT);
	(void)await_last(guest.tunnel);
	check_released(fd, guest.peer);
	door_close(&door);
}

static void both_sides(void)
{
	start();
	for (unsigned first = 0; first < SIDES; first++) {
		struct guest guest = door_guest(&door);
		int endpoint = dial_answered(&door, &guest, "200");
		int fds[SIDES];

		fds[first] = relay_release(guest.tunnel, (enum side)first);
		expect_quiet(&door);
		fds[1 - first] = relay_release(guest.tunnel, (enum side)(1 - first));
		(void)await_last(guest.tunnel);
		check_released(fds[SIDE_CLIENT], guest.peer);
		check_released(fds[SIDE_UPSTREAM], endpoint);
	}
	door_close(&door);
}

static void after_a_failure(void)
{
	struct guest guest;
	int endpoint;
	int fd;

	start();
	guest = door_guest(&door);
	endpoint = dial_for(&door, &guest);
	send_reset(endpoint);
	await_failure(&door.rig, STAGE_ANSWER, false, ECONNRESET);
	fd = relay_release(guest.tunnel, SIDE_CLIENT);
	(void)await_last(guest.tunnel);
	check_released(fd, guest.peer);
	door_close(&door);
}

/* The dial goes on without its client, to whom an informational answer is written. */
static void a_client_on_the_way(void)
{
	start();
	for (unsigned count = 0; count < TRIES; count++) {
		struct guest guest = door_guest(&door);
		int endpoint = dial_answered(&door, &guest, "100");
		struct open_request request = plain_request();
		int error = 0;
		int fd = relay_release(guest.tunnel, SIDE_CLIENT);

		put(fd, "100");
		if (count % 2 == 0) {
			relay_proceed(guest.tunnel, true);
			put(endpoint, "101");
			await_bytes(&door.rig, guest.tunnel, "101");
		}
		request.fds[SIDE_CLIENT] = fd;
		request.fds[SIDE_UPSTREAM] = -1;
		request.to[SIDE_CLIENT] = hold_text("101");
		request.to[SIDE_UPSTREAM] = hold_text("early");
		request.read_bytes[SIDE_CLIENT] = 5;
		request.read_bytes[SIDE_UPSTREAM] = 3;
		CHECK(relay_open(door.rig.relay, guest.tunnel, &request, &error) == guest.tunnel);
		CHECK(tunnel_bytes(guest.tunnel, SIDE_CLIENT) >= 5);
		(void)close(fd);
		expect(guest.peer, "100101");
		expect(endpoint, "early");
		(void)close(endpoint);
		expect_fin(guest.peer);
		(void)close(guest.peer);
		struct event event = await_last(guest.tunnel);
		check_end(&event, BY_UPSTREAM, REASON_EOF);
		CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 5);
		CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 3);
	}
	door_close(&door);
}

/* A dial that has lost its client and breaks is told as such, whenever it breaks. */
static void a_failure_without_its_client(void)
{
	start();
	for (unsigned count = 0; count < TRIES; count++) {
		struct guest guest = door_guest(&door);
		int endpoint = dial_answered(&door, &guest, "100");
		struct event event;
		int fd;

		send_reset(endpoint);
		fd = relay_release(guest.tunnel, SIDE_CLIENT);
		relay_proceed(guest.tunnel, true);
		event = await_event(&door.rig);
		CHECK_EQUAL(event.kind, EVENT_FAILED);
		CHECK_EQUAL(event.error, ECONNRESET);
		CHECK(event.is_last);
		check_released(fd, guest.peer);
	}
	door_close(&door);
}

static void a_drop_in_one_go(void)
{
	start();
	for (unsigned count = 0; count < TRIES; count++) {
		struct dial_request request;
		int listener = listen_at(TCP, 8, &request);
		struct guest guest = door_guest(&door);
		int endpoint;
		int fd;

		request.tunnel = guest.tunnel;
		(void)dial(&door.rig, &request, NO_LIMIT, NO_LIMIT);
		if (count % 4 >= 2) {
			endpoint = accept_from(listener);
			put(endpoint, "HTTP");
			await_bytes(&door.rig, guest.tunnel, "HTTP");
			relay_proceed(guest.tunnel, true);
			(void)close(endpoint);
		}
		relay_drop(guest.tunnel);
		if (count % 2 == 0) {
			relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
		} else {
			fd = relay_release(guest.tunnel, SIDE_CLIENT);
			(void)close(fd);
		}
		/* The answer may have ended before the drop came to the thread. */
		struct event event = await_event(&door.rig);

		while (!event.is_last) {
			CHECK(event.kind == EVENT_ANSWER || event.kind == EVENT_FAILED);
			hold_free(event.bytes);
			event = await_event(&door.rig);
		}
		CHECK_EQUAL(event.id, tunnel_id(guest.tunnel));
		(void)close(guest.peer);
		(void)close(listener);
		expect_quiet(&door);
	}
	door_close(&door);
}

/* The same of a dial without a client. */
static void a_lone_drop_in_one_go(void)
{
	start();
	for (unsigned count = 0; count < TRIES; count++) {
		struct event event;
		int endpoint;
		struct tunnel *tunnel = dial_endpoint(&door.rig, TCP, NO_LIMIT, &endpoint);

		put(endpoint, "HTTP");
		await_bytes(&door.rig, tunnel, "HTTP");
		relay_proceed(tunnel, true);
		relay_drop(tunnel);
		event = await_last(tunnel);
		CHECK_EQUAL(event.reason, REASON_CALLER);
		expect_fin(endpoint);
		(void)close(endpoint);
		expect_quiet(&door);
	}
	door_close(&door);
}

/* The failure and the close cross each other. */
static void a_close_and_a_failure(void)
{
	struct dial_request nobody;

	start();
	(void)close(listen_at(TCP, 1, &nobody));
	for (unsigned count = 0; count < TRIES; count++) {
		struct guest guest = door_guest(&door);
		struct event event;

		nobody.tunnel = guest.tunnel;
		(void)dial(&door.rig, &nobody, NO_LIMIT, NO_LIMIT);
		if (count % 2 == 0)
			await_input(door.rig.notified_fd);
		relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
		event = await_event(&door.rig);
		if (event.kind == EVENT_FAILED) {
			CHECK(!event.is_last);
			event = await_event(&door.rig);
		}
		CHECK_EQUAL(event.kind, EVENT_ENDED);
		CHECK(event.is_last);
		expect_fin(guest.peer);
		(void)close(guest.peer);
		expect_quiet(&door);
	}
	door_close(&door);
}

static void a_close_at_any_time(void)
{
	struct guest guest;
	int fds[2];
	int endpoint;

	start();
	/* Before the next part of the head comes. */
	guest = door_guest(&door);
	relay_hear(guest.tunnel);
	dismiss(&door, &guest);
	guest = door_guest(&door);
	relay_hear(guest.tunnel);
	expect_quiet(&door);
	dismiss(&door, &guest);
	guest = guest_in_vain(fds);
	dismiss(&door, &guest);
	close_both(fds);
	guest = guest_in_vain(fds);
	expect_quiet(&door);
	dismiss(&door, &guest);
	close_both(fds);
	guest = door_guest(&door);
	endpoint = dial_for(&door, &guest);
	dismiss(&door, &guest);
	expect_fin(endpoint);
	(void)close(endpoint);
	guest = door_guest(&door);
	endpoint = dial_answered(&door, &guest, "101");
	dismiss(&door, &guest);
	expect_fin(endpoint);
	(void)close(endpoint);
	guest = door_guest(&door);
	endpoint = dial_answered(&door, &guest, "101");
	open_both(&door, &guest, "x");
	relay_close(guest.tunnel, BY_ADMIN, REASON_CALLER, NO_LIMIT, NULL);
	expect(guest.peer, "x");
	expect_fin(guest.peer);
	relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	struct event event = await_last(guest.tunnel);
	check_end(&event, BY_ADMIN, REASON_CALLER);
	(void)close(guest.peer);
	(void)close(endpoint);
	door_close(&door);
}

int main(void)
{
	const struct test tests[] = {
		{"a released client is the owner's, with what is still to be read", a_client_alone},
		{"a late client may be released", a_late_client},
		{"both sides of an answered dial may be released, in either order", both_sides},
		{"a client may be released after a dial that failed", after_a_failure},
		{"a client that is released on the way comes back as a descriptor",
		 a_client_on_the_way},
		{"a dial that breaks after its client was released fails, as its last event",
		 a_failure_without_its_client},
		{"a drop in one go with the dial, or with the wait, is done behind it",
		 a_drop_in_one_go},
		{"a drop without a client in one go with the wait ends it", a_lone_drop_in_one_go},
		{"a close and a failure that cross each other are one end", a_close_and_a_failure},
		{"a client may be closed at any time", a_close_at_any_time},
	};

	return RUN_TESTS(tests);
}
