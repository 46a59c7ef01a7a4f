/* The way to an endpoint: the request, its answer, and what becomes of it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dials.h"

#define BUFFER_BYTES 65536

static struct rig rig;

static void start(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
}

static void answers(enum transport transport)
{
	int endpoint;
	int client[2];
	struct open_request request = plain_request();
	struct tunnel *tunnel = dial_endpoint(&rig, transport, NO_LIMIT, &endpoint);
	struct event event;
	int error = 0;

	put(endpoint, "HTTP/1.1 10");
	await_bytes(&rig, tunnel, "HTTP/1.1 10");
	put(endpoint, "1 Upgrade");
	relay_proceed(tunnel, true);
	await_bytes(&rig, tunnel, "1 Upgrade");
	/* What comes while the owner decides waits. */
	put(endpoint, "first, ");
	connect_pair(transport, client);
	request.fds[SIDE_CLIENT] = client[1];
	request.fds[SIDE_UPSTREAM] = -1;
	request.to[SIDE_CLIENT] = hold_text("HTTP/1.1 101, ");
	request.to[SIDE_UPSTREAM] = hold_text("early, ");
	request.read_bytes[SIDE_CLIENT] = 7;
	CHECK(relay_open(rig.relay, tunnel, &request, &error) == tunnel);
	(void)close(client[1]);
	put(client[0], "hello");
	put(endpoint, "welcome");
	expect(endpoint, "early, hello");
	expect(client[0], "HTTP/1.1 101, first, welcome");
	send_fin(endpoint);
	expect_fin(client[0]);
	send_fin(client[0]);
	expect_fin(endpoint);
	event = await_end(&rig);
	check_end(&event, BY_UPSTREAM, REASON_EOF);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 7 + 5);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 7 + 7);
	(void)close(client[0]);
	(void)close(endpoint);
}

static void an_answered_dial_becomes_a_tunnel(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++)
		answers(transport);
	rig_stop(&rig);
}

static void a_released_socket_is_the_owners(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		int endpoint;
		struct tunnel *tunnel = dial_endpoint(&rig, transport, NO_LIMIT, &endpoint);
		struct event event;
		int fd;

		put(endpoint, "HTTP/1.1 200 OK");
		await_bytes(&rig, tunnel, "HTTP/1.1 200 OK");
		put(endpoint, "the body");
		fd = relay_release(tunnel, SIDE_UPSTREAM);
		CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
		event = await_end(&rig);
		CHECK_EQUAL(event.id, tunnel_id(tunnel));
		expect(fd, "the body");
		put(fd, "more of the request");
		expect(endpoint, "more of the request");
		(void)close(fd);
		expect_fin(endpoint);
		(void)close(endpoint);
	}
	rig_stop(&rig);
}

/* It goes out by parts, as the endpoint takes it. */
static void a_big_request_arrives_whole(void)
{
	enum { BIG = 4 << 20 };
	struct dial_request request;
	struct flow flow = {.total = BIG, .written = BIG, .seed = 9};
	int listener = listen_at(TCP, 8, &request);
	struct tunnel *tunnel;

	start();
	request.head = hold_new(BIG);
	CHECK(request.head != NULL);
	for (size_t index = 0; index < BIG; index++)
		request.head->bytes[index] = pattern(flow.seed, index);
	request.connect_ms = NO_LIMIT;
	request.handshake_ms = NO_LIMIT;
	tunnel = relay_dial(rig.relay, &request);
	flow.to = accept_from(listener);
	while (flow.read < BIG) {
		await_input(flow.to);
		(void)flow_read(&flow, SIZE_MAX);
	}
	put(flow.to, "thanks");
	await_bytes(&rig, tunnel, "thanks");
	relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	(void)await_end(&rig);
	expect_fin(flow.to);
	(void)close(flow.to);
	(void)close(listener);
	rig_stop(&rig);
}

static void abandon(struct tunnel *tunnel)
{
	struct event event;

	relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	event = await_event(&rig);
	/* A part of the answer may have been on its way. */
	if (event.kind == EVENT_ANSWER) {
		hold_free(event.bytes);
		event = await_event(&rig);
	}
	CHECK_EQUAL(event.kind, EVENT_ENDED);
	CHECK_EQUAL(event.id, tunnel_id(tunnel));
	CHECK(event.duration_ns / 1000000000 < 60);
}

static void a_dial_may_be_abandoned_at_any_time(void)
{
	struct dial_request request;
	struct tunnel *tunnel;
	int endpoint;
	int filler;
	int listener = listen_in_vain(TCP, &request, &filler);

	start();
	tunnel = dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	abandon(tunnel);
	/* The thread has looked at the next one before it is told of another. */
	tunnel = dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	(void)dial(&rig, &request, 0, NO_LIMIT);
	await_failure(&rig, STAGE_CONNECT, true, ETIMEDOUT);
	abandon(tunnel);
	(void)close(filler);
	(void)close(listener);

	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	abandon(tunnel);
	expect_fin(endpoint);
	(void)close(endpoint);

	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	put(endpoint, "x");
	await_bytes(&rig, tunnel, "x");
	abandon(tunnel);
	expect_fin(endpoint);
	(void)close(endpoint);
	rig_stop(&rig);
}

static void a_client_who_is_gone(void)
{
	int endpoint;
	int client[2];
	struct open_request request = plain_request();
	struct tunnel *tunnel;
	struct event event;
	int error = 0;

	start();
	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	put(endpoint, "x");
	await_bytes(&rig, tunnel, "x");
	connect_pair(TCP, client);
	request.fds[SIDE_CLIENT] = client[1];
	request.fds[SIDE_UPSTREAM] = -1;
	send_reset(client[0]);
	CHECK(relay_open(rig.relay, tunnel, &request, &error) == tunnel);
	(void)close(client[1]);
	event = await_end(&rig);
	check_end(&event, BY_CLIENT, REASON_RESET);
	expect_reset(endpoint);
	(void)close(endpoint);
	rig_stop(&rig);
}

static void an_open_without_descriptors_may_be_tried_again(void)
{
	int endpoint;
	int client[2];
	struct tunnel *tunnel;
	struct open_request request = plain_request();
	struct rlimit before;
	int error = 0;

	start();
	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	put(endpoint, "x");
	await_bytes(&rig, tunnel, "x");
	connect_pair(TCP, client);
	request.fds[SIDE_CLIENT] = client[1];
	request.fds[SIDE_UPSTREAM] = -1;
	request.to[SIDE_CLIENT] = hold_text("x");
	before = limit_descriptors(0);
	CHECK(relay_open(rig.relay, tunnel, &request, &error) == NULL);
	CHECK_EQUAL(error, EMFILE);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	request.to[SIDE_CLIENT] = hold_text("x");
	CHECK(relay_open(rig.relay, tunnel, &request, &error) == tunnel);
	(void)close(client[1]);
	expect(client[0], "x");
	(void)close(client[0]);
	expect_fin(endpoint);
	(void)close(endpoint);
	(void)await_end(&rig);
	rig_stop(&rig);
}

static void a_relay_takes_its_dials_with_it(void)
{
	struct dial_request request;
	struct tunnel *tunnel;
	int endpoints[3];
	int filler;
	int listener = listen_in_vain(TCP, &request, &filler);

	start();
	/* One that waits, one whose answer nobody has taken, and one whose answer is with the owner. */
	(void)dial_endpoint(&rig, TCP, NO_LIMIT, &endpoints[0]);
	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoints[1]);
	put(endpoints[1], "x");
	await_bytes(&rig, tunnel, "x");
	(void)dial_endpoint(&rig, TCP, NO_LIMIT, &endpoints[2]);
	put(endpoints[2], "y");
	/* Some that cannot connect, and some that the threads may not have looked at. */
	for (unsigned count = 0; count < 100; count++)
		(void)dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	rig_stop(&rig);
	for (unsigned index = 0; index < 3; index++) {
		expect_reset(endpoints[index]);
		(void)close(endpoints[index]);
	}
	(void)close(filler);
	(void)close(listener);
}

static void a_released_socket_outlives_the_relay(void)
{
	struct tunnel *tunnel;
	int endpoint;
	int fd;

	start();
	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	put(endpoint, "x");
	await_bytes(&rig, tunnel, "x");
	fd = relay_release(tunnel, SIDE_UPSTREAM);
	rig_stop(&rig);
	put(fd, "still here");
	expect(endpoint, "still here");
	(void)close(fd);
	(void)close(endpoint);
}

/* Binds the dial to an address of this machine. */
static void set_from(struct dial_request *request, const char *text)
{
	struct sockaddr_in *from = (struct sockaddr_in *)&request->from;

	memset(&request->from, 0, sizeof request->from);
	from->sin_family = AF_INET;
	CHECK_EQUAL(inet_pton(AF_INET, text, &from->sin_addr), 1);
	request->from_bytes = sizeof *from;
}

static void a_dial_from_an_address(void)
{
	const char *const addresses[] = {"127.0.0.2", "127.0.0.3"};
	struct dial_request request;
	int listener = listen_at(TCP, 8, &request);

	start();
	for (unsigned index = 0; index < 2; index++) {
		struct sockaddr_in peer;
		socklen_t bytes = sizeof peer;
		struct tunnel *tunnel;
		char text[INET_ADDRSTRLEN];
		int endpoint;
		int fd;
		int late = 0;
		socklen_t late_bytes = sizeof late;

		set_from(&request, addresses[index]);
		tunnel = dial(&rig, &request, NO_LIMIT, NO_LIMIT);
		endpoint = accept_from(listener);
		CHECK_EQUAL(getpeername(endpoint, (struct sockaddr *)&peer, &bytes), 0);
		CHECK(inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text) != NULL);
		CHECK(strcmp(text, addresses[index]) == 0);
		put(endpoint, "x");
		await_bytes(&rig, tunnel, "x");
		fd = relay_release(tunnel, SIDE_UPSTREAM);
		(void)await_end(&rig);
		/* The port was chosen for this endpoint alone. */
		if (getsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, &late_bytes) == 0)
			CHECK_EQUAL(late, 1);
		else
			/* Emulators do not know it. */
			CHECK(errno == ENOPROTOOPT || errno == EOPNOTSUPP);
		(void)close(fd);
		(void)close(endpoint);
	}
	(void)close(listener);
	rig_stop(&rig);
}

static void a_dial_from_nowhere(void)
{
	struct dial_request request;
	int listener = listen_at(TCP, 8, &request);

	start();
	/* Of a block for examples (RFC 5737): nobody has it. */
	set_from(&request, "203.0.113.1");
	(void)dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	await_failure(&rig, STAGE_CONNECT, false, EADDRNOTAVAIL);
	(void)close(listener);
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"a dial that is answered becomes a tunnel", an_answered_dial_becomes_a_tunnel},
		{"a released socket is the owner's, with what is still to be read",
		 a_released_socket_is_the_owners},
		{"a request bigger than the sockets take arrives whole", a_big_request_arrives_whole},
		{"a dial may be abandoned at any time", a_dial_may_be_abandoned_at_any_time},
		{"a client who broke the connection meanwhile ends the tunnel", a_client_who_is_gone},
		{"an open without descriptors leaves the dial as it was, to be tried again",
		 an_open_without_descriptors_may_be_tried_again},
		{"a relay that is destroyed resets its dials", a_relay_takes_its_dials_with_it},
		{"a released socket outlives the relay", a_released_socket_outlives_the_relay},
		{"a dial comes from the address that it is given", a_dial_from_an_address},
		{"a dial from an address that the machine does not have fails", a_dial_from_nowhere},
	};

	return RUN_TESTS(tests);
}
