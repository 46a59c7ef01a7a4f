#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hold.h"

/* TCP keepalive finds endpoints that vanished without a word. The numbers are those of the portable relay's sockets. */
#define KEEPALIVE_IDLE_S 60
#define KEEPALIVE_INTERVAL_S 1
#define KEEPALIVE_PROBES 10

static void let_go(struct worker *worker, struct tunnel *tunnel, enum event_kind last)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];

	if (end->fd >= 0)
		(void)close(end->fd);
	end->fd = -1;
	hold_free(end->hold);
	end->hold = NULL;
	tunnel->over_at_ns = clock_ns();
	worker_forget(worker, tunnel, last);
}

static void fail(struct worker *worker, struct tunnel *tunnel, int error, bool timed_out)
{
	tunnel->stage = tunnel->is_connected ? STAGE_ANSWER : STAGE_CONNECT;
	tunnel->error = error;
	tunnel->timed_out = timed_out;
	let_go(worker, tunnel, EVENT_FAILED);
}

static void start_deadline(struct worker *worker, struct tunnel *tunnel, uint64_t after_ms)
{
	if (after_ms == NO_LIMIT ||
	    __builtin_add_overflow(worker->now_ms, after_ms, &tunnel->deadline_ms))
		tunnel->deadline_ms = WHEEL_NEVER;
	wheel_start(&worker->wheel, &tunnel->timer, tunnel->deadline_ms);
}

static void set_options(int fd, int family)
{
	int on = 1;
	int idle = KEEPALIVE_IDLE_S;
	int interval = KEEPALIVE_INTERVAL_S;
	int probes = KEEPALIVE_PROBES;

	if (family == AF_UNIX)
		return;
	/* None of them can fail on a TCP socket; without them the tunnel would still work. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

/* Returns 0 or an errno. A connect that is under way is no error. */
static int begin_connect(struct worker *worker, struct tunnel *tunnel)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];
	int family = tunnel->address->ss_family;
	int error;

	end->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (end->fd < 0)
		return errno;
	set_options(end->fd, family);
	if (connect(end->fd, (const struct sockaddr *)tunnel->address, tunnel->address_bytes) != 0 &&
	    errno != EINPROGRESS && errno != EINTR)
		return errno;
	error = worker_watch(worker, tunnel, SIDE_UPSTREAM);
	return error;
}

void dial_start(struct worker *worker, struct tunnel *tunnel)
{
	int error = begin_connect(worker, tunnel);

	free(tunnel->address);
	tunnel->address = NULL;
	tunnel->state = STATE_DIALING;
	tunnel->born_at_ns = clock_ns();
	if (error != 0) {
		fail(worker, tunnel, error, false);
		return;
	}
	start_deadline(worker, tunnel, tunnel->connect_ms);
	/* Nearby endpoints are connected already, which saves a round. */
	dial_run(worker, tunnel);
}

static void connected(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->is_connected)
		return;
	tunnel->is_connected = true;
	start_deadline(worker, tunnel, tunnel->handshake_ms);
}

static void send_request(struct worker *worker, struct tunnel *tunnel)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];

	switch (hold_flush(&end->hold, end->fd)) {
	case FLUSHED_ALL:
		connected(worker, tunnel);
		tunnel->state = STATE_WAITING;
		start_deadline(worker, tunnel, tunnel->handshake_ms);
		break;
	case FLUSHED_PART:
		/* Before the connect is done nothing is taken. */
		if (end->hold->begin > 0)
			connected(worker, tunnel);
		break;
	case FLUSH_FAILED:
		fail(worker, tunnel, errno, false);
		break;
	}
}

static void read_answer(struct worker *worker, struct tunnel *tunnel)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];
	ssize_t got = recv_some(end->fd, worker->buffer, worker->buffer_bytes);

	if (got < 0) {
		end->readable = false;
		if (errno != EAGAIN)
			fail(worker, tunnel, errno, false);
		return;
	}
	tunnel->fin = got == 0;
	tunnel->answer = NULL;
	if (got > 0) {
		tunnel->answer = hold_new((size_t)got);
		if (tunnel->answer == NULL) {
			fail(worker, tunnel, ENOMEM, false);
			return;
		}
		memcpy(tunnel->answer->bytes, worker->buffer, (size_t)got);
	}
	if ((size_t)got < worker->buffer_bytes && !end->hung_up)
		end->readable = false;
	tunnel->state = STATE_ASKING;
	wheel_stop(&worker->wheel, &tunnel->timer);
	worker_tell(worker, tunnel, EVENT_BYTES);
}

void dial_run(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->state == STATE_DIALING)
		send_request(worker, tunnel);
	if (tunnel->state == STATE_WAITING && tunnel->ends[SIDE_UPSTREAM].readable)
		read_answer(worker, tunnel);
}

void dial_proceed(struct worker *worker, struct tunnel *tunnel, bool refresh)
{
	tunnel->state = STATE_WAITING;
	if (refresh)
		start_deadline(worker, tunnel, tunnel->handshake_ms);
	else
		wheel_start(&worker->wheel, &tunnel->timer, tunnel->deadline_ms);
	/* The time went on while the owner decided, and is over even for what is there to be read. */
	if (tunnel->deadline_ms <= worker->now_ms) {
		dial_expired(worker, tunnel);
		return;
	}
	dial_run(worker, tunnel);
}

void dial_released(struct worker *worker, struct tunnel *tunnel)
{
	tunnel->ends[SIDE_UPSTREAM].fd = -1;
	let_go(worker, tunnel, EVENT_ENDED);
}

void dial_abandon(struct worker *worker, struct tunnel *tunnel)
{
	tunnel->has_reason = true;
	tunnel->by = BY_GATEWAY;
	tunnel->reason = REASON_CALLER;
	let_go(worker, tunnel, EVENT_ENDED);
}

void dial_expired(struct worker *worker, struct tunnel *tunnel)
{
	fail(worker, tunnel, ETIMEDOUT, true);
}
