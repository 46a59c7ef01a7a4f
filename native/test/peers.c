/* The peers of tunnels: how they are connected, and what they do and expect. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

#define TEXT_MAX 256

static void set_address(enum transport transport, struct dial_request *request)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&request->address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&request->address;

	memset(&request->address, 0, sizeof request->address);
	if (transport == UNIX) {
		/* With no name the kernel gives an abstract one. */
		local->sun_family = AF_UNIX;
		request->address_bytes = offsetof(struct sockaddr_un, sun_path);
		return;
	}
	v4->sin_family = AF_INET;
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	request->address_bytes = sizeof *v4;
}

int listen_at(enum transport transport, int backlog, struct dial_request *request)
{
	struct sockaddr *address = (struct sockaddr *)&request->address;
	int fd;

	request->tunnel = NULL;
	request->from_bytes = 0;
	set_address(transport, request);
	fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(fd >= 0);
	CHECK_EQUAL(bind(fd, address, request->address_bytes), 0);
	CHECK_EQUAL(listen(fd, backlog), 0);
	request->address_bytes = sizeof request->address;
	CHECK_EQUAL(getsockname(fd, address, &request->address_bytes), 0);
	return fd;
}

int connect_to(const struct dial_request *request, int flags)
{
	int fd = socket(request->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int on = 1;

	CHECK(fd >= 0);
	if (request->address.ss_family != AF_UNIX)
		CHECK_EQUAL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	CHECK(connect(fd, (const struct sockaddr *)&request->address, request->address_bytes) == 0 ||
	      errno == EINPROGRESS);
	return fd;
}

int accept_from(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	CHECK(fd >= 0);
	return fd;
}

void connect_pair(enum transport transport, int fds[2])
{
	struct dial_request request;
	int listener = listen_at(transport, 1, &request);

	fds[0] = connect_to(&request, 0);
	fds[1] = accept_from(listener);
	set_blocking(fds[1], false);
	(void)close(listener);
}

struct open_request plain_request(void)
{
	return (struct open_request){.fds = {-1, -1}};
}

struct relay_policy plain_policy(void)
{
	return (struct relay_policy){
		.idle_ms = NO_LIMIT,
		.lifetime_ms = NO_LIMIT,
		.close_timeout_ms = 2000,
		.ping_ms = NO_LIMIT,
		.timeout_ms = NO_LIMIT,
	};
}

struct relay_policy ping_policy(uint64_t ping_ms, uint64_t timeout_ms, bool ping_upstream)
{
	struct relay_policy policy = plain_policy();

	policy.ping_ms = ping_ms;
	policy.timeout_ms = timeout_ms;
	policy.ping_upstream = ping_upstream;
	policy.dead = (struct close_words){.code = 1001, .length = 4, .text = "dead"};
	return policy;
}

struct open_request request_with(const struct relay_policy *policy)
{
	struct open_request request = plain_request();

	request.policy = relay_policy_new(policy);
	CHECK(request.policy != NULL);
	return request;
}

struct open_request request_within(uint64_t idle_ms, uint64_t lifetime_ms)
{
	struct relay_policy policy = plain_policy();

	policy.idle_ms = idle_ms;
	policy.lifetime_ms = lifetime_ms;
	return request_with(&policy);
}

struct joint join_with(struct rig *rig, enum transport client, enum transport upstream,
                       struct open_request request)
{
	const enum transport transports[SIDES] = {client, upstream};
	struct joint joint;
	int error = 0;

	for (unsigned side = 0; side < SIDES; side++) {
		int fds[2];

		connect_pair(transports[side], fds);
		joint.peers[side] = fds[0];
		request.fds[side] = fds[1];
	}
	joint.tunnel = relay_open(rig->relay, NULL, &request, &error);
	CHECK_EQUAL(error, 0);
	CHECK(joint.tunnel != NULL);
	relay_policy_drop(request.policy);
	for (unsigned side = 0; side < SIDES; side++)
		(void)close(request.fds[side]);
	return joint;
}

struct joint join(struct rig *rig, enum transport transport)
{
	return join_with(rig, transport, transport, plain_request());
}

void close_peers(const struct joint *joint)
{
	(void)close(joint->peers[SIDE_CLIENT]);
	(void)close(joint->peers[SIDE_UPSTREAM]);
}

void put(int fd, const char *text)
{
	CHECK_EQUAL(write(fd, text, strlen(text)), strlen(text));
}

static void await_any(int fd, short events)
{
	struct pollfd poller = {.fd = fd, .events = events};

	/* A fuzzer looks at its clock by a signal. */
	while (poll(&poller, 1, -1) != 1)
		CHECK_EQUAL(errno, EINTR);
	CHECK((poller.revents & (events | POLLERR | POLLHUP)) != 0);
}

void await_input(int fd)
{
	await_any(fd, POLLIN);
}

void await_error(int fd)
{
	await_any(fd, 0);
}

void expect(int fd, const char *text)
{
	char got[TEXT_MAX];
	size_t length = strlen(text);

	CHECK(length <= sizeof got);
	for (size_t at = 0; at < length;) {
		ssize_t more;

		await_input(fd);
		more = recv(fd, got + at, length - at, 0);
		CHECK(more > 0);
		at += (size_t)more;
	}
	if (memcmp(got, text, length) != 0)
		fail(__FILE__, __LINE__, "\"%.*s\" came instead of \"%s\"", (int)length, got, text);
}

void expect_fin(int fd)
{
	char byte;

	CHECK_EQUAL(recv(fd, &byte, 1, 0), 0);
}

void expect_reset(int fd)
{
	char bytes[4096];
	ssize_t got;

	do {
		got = recv(fd, bytes, sizeof bytes, 0);
	} while (got > 0);
	CHECK_EQUAL(got, -1);
	CHECK_EQUAL(errno, ECONNRESET);
}

void expect_cut(int fd)
{
	int error = 0;
	socklen_t length = sizeof error;

	await_error(fd);
	CHECK_EQUAL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), 0);
	CHECK_EQUAL(error, EPIPE);
}

void send_fin(int fd)
{
	CHECK_EQUAL(shutdown(fd, SHUT_WR), 0);
}

void send_reset(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	CHECK_EQUAL(close(fd), 0);
}

void set_blocking(int fd, bool is_blocking)
{
	int flags = fcntl(fd, F_GETFL);

	CHECK(flags >= 0);
	flags = is_blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	CHECK_EQUAL(fcntl(fd, F_SETFL, flags), 0);
}

void set_buffers(int fd, int bytes)
{
	CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
	CHECK_EQUAL(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
}
