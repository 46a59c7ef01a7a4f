#include "dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept.h"
#include "hold.h"
#include "keepalive.h"

static bool has_client(const struct tunnel *tunnel)
{
	return tunnel->ends[SIDE_CLIENT].fd >= 0;
}

/* Its socket is closed or another's. What was read of it stays: an owner that opens a tunnel has said so already. */
static void forget_end(struct end *end)
{
	end->fd = -1;
	end->is_watched = false;
	end->readable = false;
	end->hung_up = false;
	hold_free(end->hold);
	end->hold = NULL;
}

/* Back to before the dial. */
static void close_upstream(struct worker *worker, struct tunnel *tunnel)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];

	if (end->fd >= 0)
		(void)close(end->fd);
	forget_end(end);
	wheel_stop(&worker->wheel, &tunnel->timer);
	tunnel->state = STATE_ASKING;
}

static void fail(struct worker *worker, struct tunnel *tunnel, int error, bool timed_out)
{
	tunnel->stage = tunnel->is_connected ? STAGE_ANSWER : STAGE_CONNECT;
	tunnel->error = error;
	tunnel->timed_out = timed_out;
	close_upstream(worker, tunnel);
	tunnel->failed_alone = !has_client(tunnel);
	if (tunnel->failed_alone)
		worker_forget(worker, tunnel, EVENT_FAILED);
	else
		worker_tell(worker, tunnel, EVENT_FAILED);
}

/* No side is left, and what the owner asked for has been done. */
static void end(struct worker *worker, struct tunnel *tunnel)
{
	tunnel->over_at_ns = clock_ns();
	tunnel->has_reason = true;
	tunnel->by = BY_GATEWAY;
	tunnel->reason = REASON_CALLER;
	worker_forget(worker, tunnel, EVENT_ENDED);
}

static void start_deadline(struct worker *worker, struct tunnel *tunnel, uint64_t after_ms)
{
	if (after_ms == NO_LIMIT ||
	    __builtin_add_overflow(worker->now_ms, after_ms, &tunnel->deadline_ms))
		tunnel->deadline_ms = WHEEL_NEVER;
	wheel_start(&worker->wheel, &tunnel->timer, tunnel->deadline_ms);
}

/* Returns 0 or an errno. */
static int bind_to(int fd, const struct sockaddr_storage *from, socklen_t bytes)
{
	int on = 1;

	/*
	 * The port is chosen by the connect, which knows the endpoint: an address has all its ports for each endpoint
	 * then, not once for all of them. For IPv6 too, though its name says otherwise. Kernels before 4.2 do not know it.
	 */
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
	return bind(fd, (const struct sockaddr *)from, bytes) == 0 ? 0 : errno;
}

/* Returns 0 or an errno. A connect that is under way is no error. */
static int begin_connect(struct worker *worker, struct tunnel *tunnel)
{
	struct end *end = &tunnel->ends[SIDE_UPSTREAM];
	const struct sockaddr_storage *address = &tunnel->addresses[0];
	int family = address->ss_family;
	int error = 0;

	end->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (end->fd < 0)
		return errno;
	/* It is closed as after any other failure. */
	if (relay_spares(worker->relay, end->fd))
		return EMFILE;
	if (family != AF_UNIX)
		set_tcp_options(end->fd);
	if (tunnel->from_bytes > 0)
		error = bind_to(end->fd, &tunnel->addresses[1], tunnel->from_bytes);
	if (error != 0)
		return error;
	if (connect(end->fd, (const struct sockaddr *)address, tunnel->address_bytes) != 0 &&
	    errno != EINPROGRESS && errno != EINTR)
		return errno;
	error = worker_watch(worker, tunnel, SIDE_UPSTREAM);
	return error;
}

void dial_start(struct worker *worker, struct tunnel *tunnel)
{
	int error;

	tunnel->is_connected = false;
	tunnel->error = 0;
	tunnel->timed_out = false;
	tunnel->ends[SIDE_UPSTREAM].hold = tunnel->first[SIDE_UPSTREAM];
	tunnel->first[SIDE_UPSTREAM] = NULL;
	error = begin_connect(worker, tunnel);
	free(tunnel->addresses);
	tunnel->addresses = NULL;
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
	switch (worker_hear(worker, tunnel, SIDE_UPSTREAM)) {
	case HEARD_NOTHING:
		break;
	case HEARD_ERROR:
		fail(worker, tunnel, errno, false);
		break;
	case HEARD_FIN:
	case HEARD_BYTES:
		tunnel->state = STATE_ASKING;
		wheel_stop(&worker->wheel, &tunnel->timer);
		worker_tell(worker, tunnel, EVENT_ANSWER);
		break;
	}
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

void dial_released(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	forget_end(&tunnel->ends[side]);
	if (side == SIDE_CLIENT)
		tunnel->listener = NULL;
	/* A dial that was dropped before it began ends with the drop. */
	if (tunnel->ends[SIDE_CLIENT].fd < 0 && tunnel->ends[SIDE_UPSTREAM].fd < 0 &&
	    (tunnel->tasks & TASK_DIAL) == 0)
		end(worker, tunnel);
}

void dial_drop(struct worker *worker, struct tunnel *tunnel)
{
	/* It has failed by itself meanwhile. */
	if (tunnel->state == STATE_OVER)
		return;
	close_upstream(worker, tunnel);
	if (!has_client(tunnel))
		end(worker, tunnel);
}

void dial_abandon(struct worker *worker, struct tunnel *tunnel)
{
	struct end *client = &tunnel->ends[SIDE_CLIENT];

	close_upstream(worker, tunnel);
	if (client->fd >= 0) {
		accept_leave(tunnel);
		(void)close(client->fd);
	}
	forget_end(client);
	end(worker, tunnel);
}

void dial_expired(struct worker *worker, struct tunnel *tunnel)
{
	fail(worker, tunnel, ETIMEDOUT, true);
}
