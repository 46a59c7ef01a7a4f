/* How many clients there may be, who serves them, and what becomes of them when their listener or their relay ends. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept_door.h"
#include "parts.h"

#define CROWD 200
/* As in native/places.c, and the client that makes it one too many. */
#define IMBALANCE_MAX (16 + 1)

static struct door door;

static void check_full(void)
{
	int peer = door_knock(&door);

	expect_fin(peer);
	(void)close(peer);
}

static void clients_above_the_limit(void)
{
	struct guest guests[2];
	int silent;
	int fd;

	door_open(&door, 1, NO_LIMIT, 2);
	guests[0] = door_guest(&door);
	/* Who has said nothing counts as well. */
	silent = door_knock(&door);
	check_full();
	send_fin(silent);
	expect_fin(silent);
	(void)close(silent);
	for (unsigned count = 0; count < 3; count++) {
		guests[1] = door_guest(&door);
		check_full();
		dismiss(&door, &guests[1]);
	}
	/* A released one counts until the owner says that it is gone. */
	guests[1] = door_guest(&door);
	fd = relay_release(guests[1].tunnel, SIDE_CLIENT);
	(void)await_end(&door.rig);
	check_full();
	(void)close(fd);
	(void)close(guests[1].peer);
	check_full();
	door_leave(&door, 1);
	guests[1] = door_guest(&door);
	check_full();
	dismiss(&door, &guests[1]);
	dismiss(&door, &guests[0]);
	door_close(&door);
}

static void adjust(uint64_t head_ms, uint64_t clients_max)
{
	const struct client_limits limits = {
		.head_ms = head_ms, .clients_max = clients_max, .share_max = NO_LIMIT};

	relay_adjust(door.listener, &limits);
}

/* Who is there stays and counts, and what was accepted before a limit counts under it. */
static void limits_change(void)
{
	struct guest guests[2];
	int silent;

	door_open(&door, 1, NO_LIMIT, NO_LIMIT);
	guests[0] = door_guest(&door);
	guests[1] = door_guest(&door);
	adjust(NO_LIMIT, 2);
	check_full();
	adjust(NO_LIMIT, 1);
	dismiss(&door, &guests[1]);
	check_full();
	adjust(NO_LIMIT, 2);
	guests[1] = door_guest(&door);
	check_full();
	adjust(20, 3);
	silent = door_knock(&door);
	expect_fin(silent);
	(void)close(silent);
	dismiss(&door, &guests[1]);
	dismiss(&door, &guests[0]);
	door_close(&door);
}

/* As those in all, for each address by itself. */
static void shares_of_addresses(void)
{
	const struct client_limits limits = {
		.head_ms = NO_LIMIT, .clients_max = NO_LIMIT, .share_max = 2};
	struct refused_clients refused;
	struct guest guest;
	struct event event;
	int endpoint;
	int silent;
	int other;
	int fd;

	door_open_limited(&door, 2, &limits);
	guest = door_guest(&door);
	silent = door_knock(&door);
	check_full();
	other = door_knock_from(&door, 2);
	send_fin(silent);
	expect_fin(silent);
	(void)close(silent);
	/* One that becomes a tunnel, and one that the owner has, count to their end. */
	endpoint = dial_answered(&door, &guest, "101");
	open_both(&door, &guest, "x");
	expect(guest.peer, "x");
	struct guest released = door_guest(&door);

	fd = relay_release(released.tunnel, SIDE_CLIENT);
	(void)await_end(&door.rig);
	check_full();
	(void)close(fd);
	(void)close(released.peer);
	check_full();
	door_leave(&door, 1);
	(void)close(endpoint);
	expect_fin(guest.peer);
	(void)close(guest.peer);
	event = await_end(&door.rig);
	check_end(&event, BY_UPSTREAM, REASON_EOF);
	guest = door_guest(&door);
	relay_refused(door.listener, &refused);
	CHECK_EQUAL(refused.share, 3);
	CHECK_EQUAL(refused.full, 0);
	CHECK_EQUAL(refused.last.family, AF_INET);
	CHECK_EQUAL(refused.last.address[3], 1);
	dismiss(&door, &guest);
	send_fin(other);
	expect_fin(other);
	(void)close(other);
	CHECK_EQUAL(door_clients(&door), 0);
	door_close(&door);
}

static void a_tunnel_keeps_its_place(void)
{
	struct guest guest;
	struct event event;
	int endpoint;

	door_open(&door, 1, NO_LIMIT, 1);
	for (unsigned count = 0; count < 3; count++) {
		guest = door_guest(&door);
		endpoint = dial_answered(&door, &guest, "101");
		open_both(&door, &guest, "x");
		expect(guest.peer, "x");
		check_full();
		(void)close(endpoint);
		expect_fin(guest.peer);
		(void)close(guest.peer);
		event = await_end(&door.rig);
		check_end(&event, BY_UPSTREAM, REASON_EOF);
	}
	door_close(&door);
}

/* The thread that accepts more often does not keep them all. */
static void threads_share_the_clients(void)
{
	static struct guest guests[CROWD];
	long counts[2] = {0};

	door_open(&door, 2, NO_LIMIT, NO_LIMIT);
	for (unsigned index = 0; index < CROWD; index++) {
		guests[index] = door_guest(&door);
		counts[guests[index].tunnel->worker->index]++;
	}
	CHECK(labs(counts[0] - counts[1]) <= IMBALANCE_MAX);
	for (unsigned index = 0; index < CROWD; index++)
		dismiss(&door, &guests[index]);
	door_close(&door);
}

/* A client that is handed from one thread to another may leave, or be late, there as well. */
static void handed_over_clients(void)
{
	static int peers[CROWD];
	struct event event;
	unsigned ended = 0;

	door_open(&door, 2, 20, NO_LIMIT);
	for (unsigned index = 0; index < CROWD; index++) {
		peers[index] = door_knock(&door);
		if (index % 4 == 0)
			put(peers[index], "GET");
		if (index % 4 == 1)
			send_fin(peers[index]);
	}
	for (unsigned index = 0; index < CROWD; index++) {
		if (index % 4 == 0)
			continue;
		expect_fin(peers[index]);
		(void)close(peers[index]);
	}
	while (ended < CROWD / 4) {
		event = await_event(&door.rig);
		if (event.kind == EVENT_ENDED) {
			ended++;
			continue;
		}
		CHECK_EQUAL(event.kind, EVENT_REQUEST);
		hold_free(event.bytes);
		(void)close(relay_release(relay_tunnel(door.rig.relay, event.id),
		                          SIDE_CLIENT));
	}
	for (unsigned index = 0; index < CROWD; index += 4)
		(void)close(peers[index]);
	CHECK(!relay_take(door.rig.relay, &event));
	door_close(&door);
}

/* Sockets that are there before descriptors run out. */
static void connect_later(const int *peers, unsigned count)
{
	const struct sockaddr *address = (const struct sockaddr *)&door.address.address;

	for (unsigned index = 0; index < count; index++) {
		CHECK_EQUAL(connect(peers[index], address, door.address.address_bytes), 0);
		put(peers[index], REQUEST);
	}
}

static void without_descriptors(unsigned threads)
{
	enum { WAITING = 8 };
	int peers[WAITING];
	struct rlimit before;
	struct guest first;

	door_open(&door, threads, NO_LIMIT, NO_LIMIT);
	for (unsigned index = 0; index < WAITING; index++) {
		peers[index] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK(peers[index] >= 0);
	}
	first.peer = peers[0];
	before = limit_descriptors(1);
	connect_later(peers, 1);
	first.tunnel = await_request(&door, REQUEST, false, true);
	/* Whoever looked for the next one has found no descriptor for it. */
	connect_later(peers + 1, WAITING - 1);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (unsigned index = 1; index < WAITING; index++)
		(void)await_request(&door, REQUEST, false, true);
	dismiss(&door, &first);
	expect_quiet(&door);
	door_close(&door);
	for (unsigned index = 1; index < WAITING; index++) {
		expect_reset(peers[index]);
		(void)close(peers[index]);
	}
}

/* As if there were no others. */
static void descriptors_left_to_others(void)
{
	struct refused_clients refused;
	struct dial_request request;
	struct guest guest;
	struct event event;
	int listener;

	door_open(&door, 1, NO_LIMIT, NO_LIMIT);
	guest = door_guest(&door);
	relay_spare(door.rig.relay, 1);
	check_full();
	relay_refused(door.listener, &refused);
	CHECK(refused.starved > 0);
	CHECK_EQUAL(refused.full + refused.share, 0);
	CHECK_EQUAL(door_clients(&door), 1);
	listener = listen_at(TCP, 8, &request);
	request.tunnel = guest.tunnel;
	CHECK(dial(&door.rig, &request, NO_LIMIT, NO_LIMIT) == guest.tunnel);
	event = await_event(&door.rig);
	CHECK_EQUAL(event.kind, EVENT_FAILED);
	CHECK_EQUAL(event.error, EMFILE);
	relay_spare(door.rig.relay, 0);
	(void)close(listener);
	(void)close(dial_answered(&door, &guest, "101"));
	relay_drop(guest.tunnel);
	dismiss(&door, &guest);
	guest = door_guest(&door);
	dismiss(&door, &guest);
	door_close(&door);
}

static void clients_wait_for_descriptors(void)
{
	without_descriptors(1);
	without_descriptors(3);
}

/* No pause outlives its listener, and none is taken up again behind it. */
static void no_descriptors_and_no_listener(void)
{
	struct rlimit before;
	struct guest guest;
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(peer >= 0);
	door_open(&door, 2, NO_LIMIT, NO_LIMIT);
	before = limit_descriptors(1);
	connect_later(&peer, 1);
	guest = (struct guest){.tunnel = await_request(&door, REQUEST, false, true), .peer = peer};
	relay_unlisten(door.rig.relay, door.listener);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	/* It is served on, beyond the time that a pause takes. */
	int endpoint = dial_answered(&door, &guest, "101");
	struct open_request request = request_within(150, NO_LIMIT);
	int error = 0;

	CHECK(relay_open(door.rig.relay, guest.tunnel, &request, &error) == guest.tunnel);
	relay_policy_drop(request.policy);
	expect_fin(peer);
	expect_fin(endpoint);
	(void)close(peer);
	(void)close(endpoint);
	struct event event = await_end(&door.rig);
	check_end(&event, BY_GATEWAY, REASON_IDLE);
	door_close(&door);
}

static void a_listener_that_is_none(void)
{
	struct listen_request request = {
		.fd = -1, .limits = {.head_ms = NO_LIMIT, .clients_max = NO_LIMIT, .share_max = NO_LIMIT}};
	int error = 0;

	door_open(&door, 1, NO_LIMIT, NO_LIMIT);
	CHECK(relay_listen(door.rig.relay, &request, &error) == NULL);
	CHECK_EQUAL(error, EBADF);
	/* epoll cannot watch a folder. */
	request.fd = open("/", O_RDONLY | O_CLOEXEC);
	CHECK(request.fd >= 0);
	CHECK(relay_listen(door.rig.relay, &request, &error) == NULL);
	CHECK_EQUAL(error, EPERM);
	(void)close(request.fd);
	expect_quiet(&door);
	door_close(&door);
}

static void who_comes_after_the_end(void)
{
	struct guest guest;
	int late;

	door_open(&door, 2, NO_LIMIT, NO_LIMIT);
	guest = door_guest(&door);
	relay_unlisten(door.rig.relay, door.listener);
	relay_unlisten(door.rig.relay, door.listener);
	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_EQUAL(connect(late, (const struct sockaddr *)&door.address.address,
	                    door.address.address_bytes),
	            -1);
	CHECK_EQUAL(errno, ECONNREFUSED);
	(void)close(late);
	/* Whoever was accepted is served on. */
	dismiss(&door, &guest);
	door_close(&door);
}

/* Each of them is accepted, or reset by the end of the listener. */
static void an_end_while_clients_come(void)
{
	for (unsigned count = 0; count < 20; count++) {
		int peers[40];
		struct event event;

		door_open(&door, 2, NO_LIMIT, NO_LIMIT);
		for (unsigned index = 0; index < 40; index++) {
			peers[index] = door_knock(&door);
			put(peers[index], REQUEST);
		}
		relay_unlisten(door.rig.relay, door.listener);
		while (relay_take(door.rig.relay, &event)) {
			CHECK_EQUAL(event.kind, EVENT_REQUEST);
			hold_free(event.bytes);
		}
		door_close(&door);
		for (unsigned index = 0; index < 40; index++) {
			expect_reset(peers[index]);
			(void)close(peers[index]);
		}
	}
}

static void a_relay_takes_its_clients_with_it(void)
{
	struct guest guests[6];
	int silent;
	int endpoints[3];
	int filler;
	int fd;

	door_open(&door, 2, NO_LIMIT, NO_LIMIT);
	silent = door_knock(&door);
	for (unsigned index = 0; index < 6; index++)
		guests[index] = door_guest(&door);
	struct dial_request request;
	int listener = listen_in_vain(TCP, &request, &filler);

	relay_hear(guests[0].tunnel);
	request.tunnel = guests[1].tunnel;
	(void)dial(&door.rig, &request, NO_LIMIT, NO_LIMIT);
	endpoints[0] = dial_for(&door, &guests[2]);
	endpoints[1] = dial_answered(&door, &guests[3], "101");
	endpoints[2] = dial_answered(&door, &guests[4], "101");
	open_both(&door, &guests[4], "x");
	expect(guests[4].peer, "x");
	/* One that nobody has taken the request of, and one that is the owner's. */
	int unheard = door_knock(&door);

	put(unheard, REQUEST);
	await_input(door.rig.notified_fd);
	fd = relay_release(guests[5].tunnel, SIDE_CLIENT);
	door_close(&door);
	for (unsigned index = 0; index < 5; index++) {
		expect_reset(guests[index].peer);
		(void)close(guests[index].peer);
	}
	for (unsigned index = 0; index < 3; index++) {
		expect_reset(endpoints[index]);
		(void)close(endpoints[index]);
	}
	expect_reset(silent);
	expect_reset(unheard);
	put(fd, "still here");
	expect(guests[5].peer, "still here");
	(void)close(fd);
	(void)close(guests[5].peer);
	(void)close(silent);
	(void)close(unheard);
	(void)close(filler);
	(void)close(listener);
}

int main(void)
{
	const struct test tests[] = {
		{"clients above the limit are turned away, and a place is free after an end",
		 clients_above_the_limit},
		{"limits change while clients are there", limits_change},
		{"an address has its share of clients, whatever they become", shares_of_addresses},
		{"a tunnel keeps its client's place to its end", a_tunnel_keeps_its_place},
		{"two threads share the clients", threads_share_the_clients},
		{"a client that is handed to the other thread is like every other",
		 handed_over_clients},
		{"clients wait until there are descriptors again", clients_wait_for_descriptors},
		{"descriptors that are left to others are for no client and no dial",
		 descriptors_left_to_others},
		{"a listener may end while it has no descriptors", no_descriptors_and_no_listener},
		{"what cannot be listened to is refused", a_listener_that_is_none},
		{"a listener that has ended accepts no more", who_comes_after_the_end},
		{"a listener may end while clients come", an_end_while_clients_come},
		{"a relay that is destroyed resets its clients, wherever their requests are",
		 a_relay_takes_its_clients_with_it},
	};

	return RUN_TESTS(tests);
}
