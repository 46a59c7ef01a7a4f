/*
 * The input is a schedule of what two peers of a WebSocket send, read and close, with pings and a close of the owner's
 * among it. Whatever it is, the tunnel ends once, with nothing left of it, and its time is never needed: peers that have
 * left are no reason to wait.
 *
 *     a byte of options, then operations: a byte, and for a write as many bytes as it says
 */
#include <errno.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "made_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define BUFFER_BYTES 256

static struct rig rig;

struct peers {
	int fds[SIDES];
	struct tunnel *tunnel;
};

static int new_peer(struct open_request *request, enum side side)
{
	int fds[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	set_buffers(fds[0], 1);
	set_buffers(fds[1], 1);
	request->fds[side] = fds[1];
	return fds[0];
}

static struct peers open_peers(uint8_t options)
{
	struct relay_policy policy = plain_policy();
	struct open_request request;
	struct peers peers;
	int error = 0;

	policy.frames = (options & 1U) == 0;
	if ((options & 2U) != 0) {
		policy.ping_ms = 0;
		policy.timeout_ms = (options & 4U) != 0 ? 0 : NO_LIMIT;
	}
	policy.ping_upstream = (options & 8U) != 0;
	policy.close_timeout_ms = (options & 16U) != 0 ? 0 : NO_LIMIT;
	policy.dead = (struct close_words){.code = 1001, .length = 2, .text = "no"};
	request = request_with(&policy);
	for (unsigned side = 0; side < SIDES; side++)
		peers.fds[side] = new_peer(&request, (enum side)side);
	peers.tunnel = relay_open(rig.relay, NULL, &request, &error);
	CHECK(peers.tunnel != NULL);
	relay_policy_drop(request.policy);
	for (unsigned side = 0; side < SIDES; side++)
		(void)close(request.fds[side]);
	return peers;
}

static void read_some(int fd)
{
	unsigned char bytes[512];
	ssize_t got = recv(fd, bytes, sizeof bytes, 0);

	CHECK(got >= 0 || errno == EAGAIN || errno == ECONNRESET || errno == EPIPE);
}

/* What the thread has done so far can be asked for at any time. */
static void look(const struct peers *peers)
{
	struct reading reading;

	relay_read(peers->tunnel, &reading);
	CHECK(reading.counts[SIDE_CLIENT].close <= 1 && reading.counts[SIDE_UPSTREAM].close <= 1);
}

static void close_tunnel(const struct peers *peers, uint8_t argument)
{
	const struct close_words words = {.code = 1012, .length = 3, .text = "bye"};

	relay_close(peers->tunnel, BY_ADMIN, REASON_CALLER, argument % 4 == 0 ? 1 : NO_LIMIT,
	            argument % 3 == 0 ? NULL : &words);
}

/* Returns how many bytes of the input it took. */
static size_t run(struct peers *peers, const uint8_t *data, size_t length)
{
	int fd = peers->fds[data[0] & 1U];
	size_t count = data[0] >> 3;

	switch (data[0] >> 1 & 3U) {
	case 0:
	case 1:
		count = count < length - 1 ? count : length - 1;
		/* A peer that is reset takes nothing. */
		(void)send(fd, data + 1, count, MSG_NOSIGNAL);
		return 1 + count;
	case 2:
		read_some(fd);
		look(peers);
		break;
	default:
		if (count < 8)
			(void)shutdown(fd, SHUT_WR);
		else if (count < 12)
			close_tunnel(peers, (uint8_t)count);
		else
			(void)sched_yield();
		break;
	}
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct peers peers;
	struct event event;
	eventfd_t ignored;

	if (rig.relay == NULL)
		rig_start(&rig, 1, BUFFER_BYTES);
	if (length == 0)
		return 0;
	peers = open_peers(data[0]);
	for (size_t at = 1; at < length;)
		at += run(&peers, data + at, length - at);
	(void)close(peers.fds[SIDE_CLIENT]);
	(void)close(peers.fds[SIDE_UPSTREAM]);
	while (!relay_take(rig.relay, &event)) {
		await_input(rig.notified_fd);
		CHECK_EQUAL(eventfd_read(rig.notified_fd, &ignored), 0);
	}
	CHECK_EQUAL(event.kind, EVENT_ENDED);
	CHECK(event.is_last);
	CHECK(!relay_take(rig.relay, &event));
	return 0;
}
