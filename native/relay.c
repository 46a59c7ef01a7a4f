#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "control.h"
#include "hold.h"
#include "parts.h"

/* Allots what the threads need. */
static struct relay *create(const struct relay_options *options)
{
	struct relay *relay = calloc(1, sizeof *relay);

	if (relay == NULL)
		return NULL;
	relay->options = *options;
	relay->workers = calloc(options->threads, sizeof *relay->workers);
	relay->blocks = calloc(BLOCKS_MAX, sizeof(struct tunnel *));
	if (relay->workers != NULL && relay->blocks != NULL &&
	    random_bytes(relay->ping, sizeof relay->ping) &&
	    pthread_mutex_init(&relay->lock, NULL) == 0) {
		if (pthread_mutex_init(&relay->places, NULL) == 0)
			return relay;
		(void)pthread_mutex_destroy(&relay->lock);
	}
	free(relay->workers);
	free(relay->blocks);
	free(relay);
	return NULL;
}

struct relay *relay_create(const struct relay_options *options, int *error)
{
	struct relay *relay = create(options);

	*error = ENOMEM;
	if (relay == NULL)
		return NULL;
	while (relay->running < options->threads) {
		struct worker *worker = &relay->workers[relay->running];

		worker->index = relay->running;
		*error = worker_start(worker, relay, options->buffer_bytes);
		if (*error != 0) {
			relay_destroy(relay);
			return NULL;
		}
		relay->running++;
	}
	return relay;
}

static void cut(struct tunnel *tunnel)
{
	for (unsigned side = 0; side < SIDES; side++)
		end_close(&tunnel->ends[side], true);
	free(tunnel->close_words);
	tunnel_free_parts(tunnel);
}

static void free_listeners(struct relay *relay)
{
	while (relay->listeners != NULL) {
		struct listener *listener = relay->listeners;

		relay->listeners = listener->next;
		if (listener->fd >= 0)
			(void)close(listener->fd);
		(void)pthread_mutex_destroy(&listener->lock);
		clients_free(&listener->clients);
		free(listener);
	}
}

void relay_destroy(struct relay *relay)
{
	for (unsigned index = 0; index < relay->running; index++)
		worker_stop(&relay->workers[index]);
	/* All have stopped: none mails another one any more. */
	for (unsigned index = 0; index < relay->running; index++)
		worker_free(&relay->workers[index]);
	for (uint32_t block = 0; block < relay->block_count; block++) {
		for (unsigned index = 0; index < BLOCK_TUNNELS; index++)
			cut(&relay->blocks[block][index]);
		free(relay->blocks[block]);
	}
	free_listeners(relay);
	free(relay->blocks);
	free(relay->workers);
	(void)pthread_mutex_destroy(&relay->lock);
	(void)pthread_mutex_destroy(&relay->places);
	free(relay);
}

bool relay_spares(const struct relay *relay, int fd)
{
	int from = atomic_load_explicit(&relay->spared_from, memory_order_relaxed);

	return from > 0 && fd >= from;
}

void relay_spare(struct relay *relay, int from)
{
	atomic_store_explicit(&relay->spared_from, from, memory_order_relaxed);
}

struct tunnel *relay_dial(struct relay *relay, const struct dial_request *request)
{
	struct tunnel *tunnel = request->tunnel != NULL ? request->tunnel : relay_allot(relay, NULL);
	struct sockaddr_storage *addresses = malloc(2 * sizeof *addresses);

	if (tunnel == NULL || addresses == NULL) {
		free(addresses);
		hold_free(request->head);
		if (tunnel != NULL && request->tunnel == NULL)
			relay_put_back(tunnel);
		return NULL;
	}
	addresses[0] = request->address;
	addresses[1] = request->from;
	tunnel->addresses = addresses;
	tunnel->address_bytes = request->address_bytes;
	tunnel->from_bytes = request->from_bytes;
	tunnel->connect_ms = request->connect_ms;
	tunnel->handshake_ms = request->handshake_ms;
	tunnel->first[SIDE_UPSTREAM] = request->head;
	worker_mail(tunnel->worker, tunnel, TASK_DIAL);
	return tunnel;
}

void relay_proceed(struct tunnel *tunnel, bool refresh)
{
	tunnel->refresh = refresh;
	worker_mail(tunnel->worker, tunnel, TASK_PROCEED);
}

void relay_hear(struct tunnel *tunnel)
{
	worker_mail(tunnel->worker, tunnel, TASK_HEAR);
}

void relay_drop(struct tunnel *tunnel)
{
	worker_mail(tunnel->worker, tunnel, TASK_DROP);
}

int relay_release(struct tunnel *tunnel, enum side side)
{
	int fd = tunnel->ends[side].fd;

	/* The thread may still be told of this socket; all it does then is to note that it can be read. */
	(void)epoll_ctl(tunnel->worker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	worker_mail(tunnel->worker, tunnel,
	            side == SIDE_CLIENT ? TASK_RELEASE_CLIENT : TASK_RELEASE_UPSTREAM);
	return fd;
}

static int duplicate(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Duplicates the sockets of the request into `fds`. Returns 0, or an errno with nothing left open. */
static int duplicate_all(const struct open_request *request, int fds[SIDES])
{
	for (unsigned side = 0; side < SIDES; side++) {
		fds[side] = -1;
		if (request->fds[side] < 0)
			continue;
		fds[side] = duplicate(request->fds[side]);
		if (fds[side] < 0) {
			int error = errno;

			if (side > 0 && fds[0] >= 0)
				(void)close(fds[0]);
			return error;
		}
	}
	return 0;
}

/* The bytes that came with the handshake came at once. */
static void begin_reading(struct end *end, uint64_t read_bytes)
{
	atomic_store_explicit(&end->read_bytes, read_bytes, memory_order_relaxed);
	atomic_store_explicit(&end->first_ms, read_bytes == 0 ? 0 : 1, memory_order_relaxed);
	atomic_store_explicit(&end->heard_at_ms, clock_ms(), memory_order_relaxed);
}

struct tunnel *relay_open(struct relay *relay, struct tunnel *dialed, struct open_request *request,
                          int *error)
{
	struct tunnel *tunnel = dialed;
	int fds[SIDES] = {-1, -1};

	*error = duplicate_all(request, fds);
	if (*error == 0 && tunnel == NULL) {
		tunnel = relay_allot(relay, NULL);
		if (tunnel == NULL) {
			*error = ENOMEM;
			for (unsigned side = 0; side < SIDES; side++)
				(void)close(fds[side]);
		}
	}
	if (*error != 0) {
		hold_free(request->to[SIDE_CLIENT]);
		hold_free(request->to[SIDE_UPSTREAM]);
		return NULL;
	}
	for (unsigned side = 0; side < SIDES; side++) {
		tunnel->given[side] = fds[side];
		tunnel->first[side] = request->to[side];
		begin_reading(&tunnel->ends[side], request->read_bytes[side]);
	}
	tunnel->policy = request->policy;
	if (tunnel->policy != NULL)
		tunnel->policy->users++;
	worker_mail(tunnel->worker, tunnel, TASK_OPEN);
	return tunnel;
}

void relay_close(struct tunnel *tunnel, enum ended_by by, enum end_reason reason,
                 uint64_t timeout_ms, const struct close_words *words)
{
	struct worker *worker = tunnel->worker;
	struct close_words *copy = NULL;

	/* Without memory for what it says the tunnel still ends. */
	if (words != NULL && words->code != 0)
		copy = malloc(sizeof *copy);
	if (copy != NULL)
		*copy = *words;
	(void)pthread_mutex_lock(&worker->lock);
	tunnel->close_by = by;
	tunnel->close_reason = reason;
	tunnel->close_timeout_ms = timeout_ms;
	free(tunnel->close_words);
	tunnel->close_words = copy;
	(void)pthread_mutex_unlock(&worker->lock);
	worker_mail(worker, tunnel, TASK_CLOSE);
}

uint32_t tunnel_id(const struct tunnel *tunnel)
{
	return tunnel->id;
}
