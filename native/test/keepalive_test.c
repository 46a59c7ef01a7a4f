/* Peers that vanish without a word: TCP watches them for every protocol, at the times of pings. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "made_frames.h"

#define BUFFER_BYTES 65536
#define MANY (1U << 30)

static struct rig rig;

static int option_of(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof value;

	CHECK_EQUAL(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

/* The descriptors are duplicates of the relay's: what it sets is seen here. */
static void tcp_watches_too(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (unsigned is_both = 0; is_both < 2; is_both++) {
		struct relay_policy policy = ping_policy(7000, 9500, is_both == 1);
		struct open_request request;
		struct joint joint;
		int error = 0;

		request = request_with(&policy);
		for (unsigned side = 0; side < SIDES; side++) {
			int fds[2];

			connect_pair(TCP, fds);
			joint.peers[side] = fds[0];
			request.fds[side] = fds[1];
		}
		joint.tunnel = relay_open(rig.relay, NULL, &request, &error);
		CHECK(joint.tunnel != NULL);
		relay_policy_drop(request.policy);
		put(joint.peers[SIDE_CLIENT], "x");
		expect(joint.peers[SIDE_UPSTREAM], "x");
		for (unsigned side = 0; side < SIDES; side++) {
			int fd = request.fds[side];
			bool is_watched = side == SIDE_CLIENT || is_both == 1;

			CHECK_EQUAL(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), is_watched);
			CHECK_EQUAL(option_of(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), is_watched ? 16500 : 0);
			if (!is_watched)
				continue;
			CHECK_EQUAL(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 7);
			CHECK_EQUAL(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL) *
			                option_of(fd, IPPROTO_TCP, TCP_KEEPCNT),
			            8);
		}
		for (unsigned side = 0; side < SIDES; side++)
			(void)close(request.fds[side]);
		close_peers(&joint);
		(void)await_end(&rig);
	}
	rig_stop(&rig);
}

/* A peer that takes nothing is given up by TCP: the other one of a WebSocket is told, and of another protocol reset. */
static void tcp_finds_the_dead(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
	for (unsigned has_frames = 0; has_frames < 2; has_frames++) {
		struct relay_policy policy = ping_policy(150, 150, false);
		struct joint joint;
		struct bytes header = {0};
		struct event event;

		policy.frames = has_frames == 1;
		joint = join_with(&rig, TCP, TCP, request_with(&policy));
		/* No ping finds a border in it. */
		add_header(&header, SIDE_UPSTREAM, FIN | BINARY, MANY, 8);
		put_bytes(joint.peers[SIDE_UPSTREAM], &header);
		(void)stalled_flow(&joint, SIDE_UPSTREAM, MANY);
		if (policy.frames) {
			unsigned char payload[125];

			(void)expect_own(joint.peers[SIDE_UPSTREAM], SIDE_UPSTREAM, FIN | CLOSE, payload);
		} else {
			expect_reset(joint.peers[SIDE_UPSTREAM]);
		}
		close_peers(&joint);
		event = await_end(&rig);
		check_end(&event, BY_GATEWAY, REASON_DEAD);
		CHECK_EQUAL(event.error, policy.frames ? 0 : ETIMEDOUT);
		bytes_free(&header);
	}
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"TCP watches too, whatever the protocol", tcp_watches_too},
		{"who is dead for TCP is dead", tcp_finds_the_dead},
	};

	return RUN_TESTS(tests);
}
