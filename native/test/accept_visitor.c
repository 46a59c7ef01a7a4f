#include "accept_visitor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int knock(const struct door *door)
{
	static uint32_t last = INADDR_LOOPBACK;
	struct sockaddr_in from = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd poller = {.fd = fd, .events = POLLOUT};
	int on = 1;

	CHECK(fd >= 0);
	last = INADDR_LOOPBACK + (last + 1) % 4096;
	from.sin_addr.s_addr = htonl(last);
	CHECK_EQUAL(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), 0);
	CHECK_EQUAL(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	CHECK_EQUAL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
	/* It does not block, as a fuzzer looks at its clock by a signal. */
	if (connect(fd, (const struct sockaddr *)&door->address.address,
	            door->address.address_bytes) != 0)
		CHECK_EQUAL(errno, EINPROGRESS);
	while (poll(&poller, 1, -1) != 1)
		CHECK_EQUAL(errno, EINTR);
	return fd;
}

static char word(const struct visitor *visitor, enum side side)
{
	return (char)((side == SIDE_CLIENT ? '0' : 'a') + (int)visitor->number);
}

void visitor_check(struct visitor *visitor, enum side from, const void *bytes, size_t length)
{
	for (size_t index = 0; index < length; index++)
		CHECK_EQUAL(((const char *)bytes)[index], word(visitor, from));
	visitor->arrived[from] += length;
	CHECK(visitor->arrived[from] <= visitor->written[from]);
}

void visitor_leave(struct visitor *visitor, enum side side, bool reset)
{
	if (visitor->peers[side] < 0)
		return;
	if (reset)
		send_reset(visitor->peers[side]);
	else
		(void)close(visitor->peers[side]);
	visitor->peers[side] = -1;
	visitor->has_fin[side] = true;
	visitor->is_broken = true;
}

void visitor_write(struct visitor *visitor, enum side side, size_t length)
{
	char bytes[BYTES_MAX];
	ssize_t sent;

	if (visitor->peers[side] < 0 || visitor->has_fin[side])
		return;
	memset(bytes, word(visitor, side), length);
	sent = send(visitor->peers[side], bytes, length, MSG_NOSIGNAL);
	if (sent > 0)
		visitor->written[side] += (size_t)sent;
}

void visitor_half_close(struct visitor *visitor, enum side side)
{
	if (visitor->peers[side] < 0)
		return;
	(void)shutdown(visitor->peers[side], SHUT_WR);
	visitor->has_fin[side] = true;
}

bool visitor_read(struct visitor *visitor, enum side side)
{
	char bytes[BYTES_MAX];
	ssize_t got = 1;

	while (visitor->peers[side] >= 0 && got > 0) {
		got = recv(visitor->peers[side], bytes, sizeof bytes, MSG_DONTWAIT);
		if (got > 0)
			visitor_check(visitor, side == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT, bytes,
			            (size_t)got);
	}
	return visitor->peers[side] >= 0 && got < 0 && errno == EAGAIN;
}

void visitor_clear(struct visitor *visitor)
{
	*visitor = (struct visitor){.number = visitor->number, .peers = {-1, -1}};
}

void visitor_come(struct visitor *visitor, const struct door *door)
{
	visitor->phase = PHASE_COMING;
	visitor->peers[SIDE_CLIENT] = knock(door);
}
