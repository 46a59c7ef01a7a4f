#include "accept.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hold.h"

/* Clients that are accepted in one turn. */
#define ACCEPTS_MAX 64
/* Without descriptors or memory, how long clients wait in the backlog before the next try. */
#define PAUSE_MS 100

void accept_leave(const struct tunnel *tunnel)
{
	if (tunnel->listener != NULL)
		clients_leave(&tunnel->listener->clients, &tunnel->peer);
}

static void read_peer(const struct sockaddr_storage *from, struct peer_address *peer)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;

	peer->family = from->ss_family;
	if (from->ss_family == AF_INET)
		memcpy(peer->address, &v4->sin_addr, sizeof v4->sin_addr);
	else if (from->ss_family == AF_INET6)
		memcpy(peer->address, &v6->sin6_addr, sizeof v6->sin6_addr);
}

/* Gives an accepted client to the thread that has the fewest tunnels, where the difference is worth the way. */
static void take_in(struct worker *worker, struct listener *listener, int fd,
                    const struct peer_address *peer)
{
	struct tunnel *tunnel = relay_allot(worker->relay, worker);

	if (tunnel == NULL) {
		(void)close(fd);
		clients_leave(&listener->clients, peer);
		clients_starve(&listener->clients);
		return;
	}
	tunnel->ends[SIDE_CLIENT].fd = fd;
	tunnel->listener = listener;
	tunnel->peer = *peer;
	if (tunnel->worker == worker)
		accept_start(worker, tunnel);
	else
		worker_mail(tunnel->worker, tunnel, TASK_ACCEPT);
}

/* Returns false when there is nothing more to accept for now. */
static bool accept_one(struct worker *worker, struct listener *listener)
{
	struct sockaddr_storage from = {0};
	socklen_t length = sizeof from;
	int fd = accept4(listener->fd, (struct sockaddr *)&from, &length,
	                 SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer_address peer = {0};

	if (fd < 0) {
		switch (errno) {
		case EAGAIN:
			return false;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			clients_starve(&listener->clients);
			worker_pause(worker, listener, worker->now_ms + PAUSE_MS);
			return false;
		default:
			/* That client's connection broke before it was accepted. */
			return true;
		}
	}
	/* The kernel gives the lowest one: those below it are all in use. */
	if (relay_spares(worker->relay, fd)) {
		clients_starve(&listener->clients);
		(void)close(fd);
		worker_pause(worker, listener, worker->now_ms + PAUSE_MS);
		return false;
	}
	read_peer(&from, &peer);
	if (clients_enter(&listener->clients, &peer))
		take_in(worker, listener, fd, &peer);
	else
		(void)close(fd);
	return true;
}

void accept_run(struct worker *worker, struct listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	for (unsigned count = 0; count < ACCEPTS_MAX && listener->fd >= 0; count++) {
		if (!accept_one(worker, listener))
			break;
	}
	(void)pthread_mutex_unlock(&listener->lock);
}

/* The client is gone before anybody knew of it. */
static void forget_silently(struct worker *worker, struct tunnel *tunnel)
{
	/* Who sees the FIN may come back at once, and finds the place free. */
	accept_leave(tunnel);
	(void)close(tunnel->ends[SIDE_CLIENT].fd);
	tunnel->ends[SIDE_CLIENT].fd = -1;
	worker_stop_turns(worker, tunnel);
	tunnel->state = STATE_OVER;
	relay_put_back(tunnel);
}

void accept_start(struct worker *worker, struct tunnel *tunnel)
{
	uint64_t head_ms =
		atomic_load_explicit(&tunnel->listener->head_ms, memory_order_relaxed);

	tunnel->state = STATE_HEARING;
	tunnel->born_at_ns = clock_ns();
	tunnel->deadline_ms = head_ms == NO_LIMIT ? WHEEL_NEVER : worker->now_ms + head_ms;
	if (worker_watch(worker, tunnel, SIDE_CLIENT) != 0) {
		forget_silently(worker, tunnel);
		return;
	}
	wheel_start(&worker->wheel, &tunnel->timer, tunnel->deadline_ms);
}

void accept_hear(struct worker *worker, struct tunnel *tunnel)
{
	tunnel->state = STATE_HEARING;
	wheel_start(&worker->wheel, &tunnel->timer, tunnel->deadline_ms);
	if (tunnel->ends[SIDE_CLIENT].readable)
		accept_read(worker, tunnel);
}

static void ask(struct worker *worker, struct tunnel *tunnel, enum event_kind kind)
{
	wheel_stop(&worker->wheel, &tunnel->timer);
	tunnel->state = STATE_ASKING;
	tunnel->is_heard = true;
	worker_tell(worker, tunnel, kind);
}

static void lose(struct worker *worker, struct tunnel *tunnel)
{
	if (!tunnel->is_heard) {
		forget_silently(worker, tunnel);
		return;
	}
	if (tunnel->has_reset) {
		/* It was told before more was asked for. */
		wheel_stop(&worker->wheel, &tunnel->timer);
		tunnel->state = STATE_ASKING;
		return;
	}
	tunnel->has_reset = true;
	ask(worker, tunnel, EVENT_RESET);
}

void accept_read(struct worker *worker, struct tunnel *tunnel)
{
	switch (worker_hear(worker, tunnel, SIDE_CLIENT)) {
	case HEARD_NOTHING:
		break;
	case HEARD_FIN:
		if (!tunnel->is_heard) {
			forget_silently(worker, tunnel);
			break;
		}
		tunnel->has_fin = true;
		ask(worker, tunnel, EVENT_REQUEST);
		break;
	case HEARD_BYTES:
		tunnel->has_fin = tunnel->fin[SIDE_CLIENT];
		ask(worker, tunnel, EVENT_REQUEST);
		break;
	case HEARD_ERROR:
		lose(worker, tunnel);
		break;
	}
}

void accept_watch(struct worker *worker, struct tunnel *tunnel, uint32_t events)
{
	if ((events & (EPOLLERR | EPOLLHUP)) != 0 && !tunnel->has_reset) {
		tunnel->has_reset = true;
		worker_tell(worker, tunnel, EVENT_RESET);
	} else if ((events & EPOLLRDHUP) != 0 && !tunnel->has_fin && !tunnel->has_reset) {
		tunnel->has_fin = true;
		worker_tell(worker, tunnel, EVENT_FIN);
	}
}

void accept_expired(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->is_heard)
		ask(worker, tunnel, EVENT_LATE);
	else
		forget_silently(worker, tunnel);
}
