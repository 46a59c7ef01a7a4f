/* Listening sockets, of which all threads accept. */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "keepalive.h"
#include "parts.h"

static struct listener *create(const struct relay *relay, const struct listen_request *request)
{
	size_t pauses = relay->running * sizeof(uint64_t);
	struct listener *listener = calloc(1, sizeof *listener + pauses);

	if (listener == NULL || !clients_init(&listener->clients)) {
		free(request->limits.exempt);
		free(listener);
		return NULL;
	}
	listener->tag = request->tag;
	relay_adjust(listener, &request->limits);
	listener->fd = fcntl(request->fd, F_DUPFD_CLOEXEC, 3);
	if (listener->fd >= 0 && pthread_mutex_init(&listener->lock, NULL) == 0)
		return listener;
	if (listener->fd >= 0)
		(void)close(listener->fd);
	clients_free(&listener->clients);
	free(listener);
	return NULL;
}

struct listener *relay_listen(struct relay *relay, const struct listen_request *request, int *error)
{
	struct listener *listener;

	errno = ENOMEM;
	listener = create(relay, request);
	*error = errno;
	if (listener == NULL)
		return NULL;
	/* Accepted sockets inherit these, which saves a call for each and for each of them. */
	set_tcp_options(listener->fd);
	(void)pthread_mutex_lock(&relay->places);
	listener->next = relay->listeners;
	relay->listeners = listener;
	(void)pthread_mutex_unlock(&relay->places);
	for (unsigned index = 0; index < relay->running; index++) {
		*error = worker_watch_listener(&relay->workers[index], listener);
		if (*error != 0) {
			relay_unlisten(relay, listener);
			return NULL;
		}
	}
	return listener;
}

void relay_unlisten(struct relay *relay, struct listener *listener)
{
	(void)pthread_mutex_lock(&listener->lock);
	if (listener->fd >= 0) {
		for (unsigned index = 0; index < relay->running; index++)
			(void)epoll_ctl(relay->workers[index].epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
		(void)close(listener->fd);
		listener->fd = -1;
	}
	(void)pthread_mutex_unlock(&listener->lock);
}

void relay_adjust(struct listener *listener, const struct client_limits *limits)
{
	atomic_store_explicit(&listener->head_ms, limits->head_ms, memory_order_relaxed);
	clients_limit(&listener->clients, limits);
}

void relay_leave(struct listener *listener, const struct peer_address *peer)
{
	clients_leave(&listener->clients, peer);
}

void relay_refused(struct listener *listener, struct refused_clients *refused)
{
	clients_refused(&listener->clients, refused);
}

static bool watch_again(struct worker *worker, struct listener *listener)
{
	bool is_watched;

	(void)pthread_mutex_lock(&listener->lock);
	is_watched = listener->fd < 0 || worker_watch_listener(worker, listener) == 0;
	(void)pthread_mutex_unlock(&listener->lock);
	return is_watched;
}

/* Listeners are put before the first one and taken away by nobody: behind it the list stays as it is. */
static struct listener *first_listener(struct relay *relay)
{
	struct listener *first;

	(void)pthread_mutex_lock(&relay->places);
	first = relay->listeners;
	(void)pthread_mutex_unlock(&relay->places);
	return first;
}

uint64_t relay_resume(struct relay *relay, struct worker *worker)
{
	uint64_t next_ms = WHEEL_NEVER;

	/* Not under the lock for places, which an accept takes while it holds the listener's. */
	for (struct listener *listener = first_listener(relay); listener != NULL;
	     listener = listener->next) {
		uint64_t *until_ms = &listener->paused_until_ms[worker->index];

		if (*until_ms == 0)
			continue;
		if (*until_ms <= worker->now_ms && watch_again(worker, listener))
			*until_ms = 0;
		else if (*until_ms < next_ms)
			next_ms = *until_ms > worker->now_ms ? *until_ms : worker->now_ms + 1;
	}
	return next_ms;
}
