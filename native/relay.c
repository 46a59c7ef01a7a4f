#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "hold.h"
#include "worker.h"

/*
 * Tunnels are allotted in blocks that are never given back: a tunnel keeps its place, its number and its thread for life.
 * After its last event the thread may still come across it, in mail or in what epoll tells, which no other may then use.
 */
#define BLOCK_TUNNELS 64U

struct relay {
	struct relay_options options;
	struct worker *workers;
	unsigned running;
	struct tunnel **blocks;
	uint32_t block_count;
	struct tunnel *taken_first;

	pthread_mutex_t lock;
	struct tunnel *posted_first;
	struct tunnel *posted_last;
};

struct relay *relay_create(const struct relay_options *options, int *error)
{
	struct relay *relay = calloc(1, sizeof *relay);

	*error = ENOMEM;
	if (relay == NULL)
		return NULL;
	relay->options = *options;
	relay->workers = calloc(options->threads, sizeof *relay->workers);
	if (relay->workers == NULL) {
		free(relay);
		return NULL;
	}
	*error = pthread_mutex_init(&relay->lock, NULL);
	if (*error != 0) {
		free(relay->workers);
		free(relay);
		return NULL;
	}
	while (relay->running < options->threads) {
		*error = worker_start(&relay->workers[relay->running], relay, options->buffer_bytes);
		if (*error != 0) {
			relay_destroy(relay);
			return NULL;
		}
		relay->running++;
	}
	return relay;
}

static void free_parts(struct tunnel *tunnel)
{
	free(tunnel->address);
	tunnel->address = NULL;
	hold_free(tunnel->answer);
	tunnel->answer = NULL;
	for (unsigned side = 0; side < SIDES; side++) {
		hold_free(tunnel->ends[side].hold);
		tunnel->ends[side].hold = NULL;
	}
}

static void cut(struct tunnel *tunnel)
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};
		int fd = tunnel->ends[side].fd;

		if (fd < 0)
			continue;
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
		(void)close(fd);
	}
	free_parts(tunnel);
}

void relay_destroy(struct relay *relay)
{
	for (unsigned index = 0; index < relay->running; index++)
		worker_stop(&relay->workers[index]);
	for (uint32_t block = 0; block < relay->block_count; block++) {
		for (unsigned index = 0; index < BLOCK_TUNNELS; index++)
			cut(&relay->blocks[block][index]);
		free(relay->blocks[block]);
	}
	free(relay->blocks);
	free(relay->workers);
	(void)pthread_mutex_destroy(&relay->lock);
	free(relay);
}

static bool add_block(struct relay *relay, struct worker *worker)
{
	size_t bytes = (relay->block_count + 1U) * sizeof *relay->blocks;
	struct tunnel **blocks = realloc(relay->blocks, bytes);
	struct tunnel *block;

	if (blocks == NULL)
		return false;
	relay->blocks = blocks;
	block = calloc(BLOCK_TUNNELS, sizeof *block);
	if (block == NULL)
		return false;
	for (unsigned index = BLOCK_TUNNELS; index-- > 0;) {
		struct tunnel *tunnel = &block[index];

		tunnel->id = relay->block_count * BLOCK_TUNNELS + index;
		tunnel->ends[SIDE_CLIENT].fd = -1;
		tunnel->ends[SIDE_UPSTREAM].fd = -1;
		tunnel->worker = worker;
		tunnel->free_next = worker->free_first;
		worker->free_first = tunnel;
	}
	blocks[relay->block_count] = block;
	relay->block_count++;
	return true;
}

static struct worker *least_loaded(struct relay *relay)
{
	struct worker *least = &relay->workers[0];

	for (unsigned index = 1; index < relay->running; index++) {
		if (relay->workers[index].load < least->load)
			least = &relay->workers[index];
	}
	return least;
}

static struct tunnel *allot(struct relay *relay)
{
	struct worker *worker = least_loaded(relay);
	struct tunnel *tunnel;

	if (worker->free_first == NULL && !add_block(relay, worker))
		return NULL;
	tunnel = worker->free_first;
	worker->free_first = tunnel->free_next;
	worker->load++;
	return tunnel;
}

/* Back to how `allot` found it. */
static void put_back(struct tunnel *tunnel)
{
	struct worker *worker = tunnel->worker;

	worker_unmail(worker, tunnel);
	worker->load--;
	free_parts(tunnel);
	for (unsigned side = 0; side < SIDES; side++) {
		struct end *end = &tunnel->ends[side];

		*end = (struct end){.fd = -1};
	}
	tunnel->has_reason = false;
	tunnel->is_connected = false;
	tunnel->error = 0;
	tunnel->free_next = worker->free_first;
	worker->free_first = tunnel;
}

struct tunnel *relay_dial(struct relay *relay, const struct dial_request *request)
{
	struct tunnel *tunnel = allot(relay);
	struct sockaddr_storage *address = malloc(sizeof *address);

	if (tunnel == NULL || address == NULL) {
		free(address);
		hold_free(request->head);
		if (tunnel != NULL)
			put_back(tunnel);
		return NULL;
	}
	*address = request->address;
	tunnel->address = address;
	tunnel->address_bytes = request->address_bytes;
	tunnel->connect_ms = request->connect_ms;
	tunnel->handshake_ms = request->handshake_ms;
	tunnel->ends[SIDE_UPSTREAM].hold = request->head;
	worker_mail(tunnel->worker, tunnel, TASK_DIAL);
	return tunnel;
}

void relay_proceed(struct relay *relay, struct tunnel *tunnel, bool refresh)
{
	(void)relay;
	tunnel->refresh = refresh;
	worker_mail(tunnel->worker, tunnel, TASK_PROCEED);
}

int relay_release(struct relay *relay, struct tunnel *tunnel)
{
	int fd = tunnel->ends[SIDE_UPSTREAM].fd;

	(void)relay;
	/* The thread may still be told of this socket; all it does then is to note that it can be read. */
	(void)epoll_ctl(tunnel->worker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	worker_mail(tunnel->worker, tunnel, TASK_RELEASE);
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

struct tunnel *relay_open(struct relay *relay, struct tunnel *dialed, struct open_request *request,
                          int *error)
{
	struct tunnel *tunnel = dialed;
	int fds[SIDES] = {-1, -1};

	*error = duplicate_all(request, fds);
	if (*error == 0 && tunnel == NULL) {
		tunnel = allot(relay);
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
		struct end *end = &tunnel->ends[side];

		if (fds[side] >= 0)
			end->fd = fds[side];
		end->hold = request->to[side];
		atomic_store_explicit(&end->read_bytes, request->read_bytes[side],
		                      memory_order_relaxed);
	}
	tunnel->idle_ms = request->idle_ms;
	tunnel->lifetime_ms = request->lifetime_ms;
	worker_mail(tunnel->worker, tunnel, TASK_OPEN);
	return tunnel;
}

void relay_close(struct relay *relay, struct tunnel *tunnel, enum ended_by by,
                 enum end_reason reason, uint64_t grace_ms)
{
	struct worker *worker = tunnel->worker;

	(void)relay;
	(void)pthread_mutex_lock(&worker->lock);
	tunnel->close_by = by;
	tunnel->close_reason = reason;
	tunnel->close_grace_ms = grace_ms;
	(void)pthread_mutex_unlock(&worker->lock);
	worker_mail(worker, tunnel, TASK_CLOSE);
}

uint64_t tunnel_bytes(const struct tunnel *tunnel, enum side side)
{
	return atomic_load_explicit(&tunnel->ends[side].read_bytes, memory_order_relaxed);
}

uint32_t tunnel_id(const struct tunnel *tunnel)
{
	return tunnel->id;
}

struct tunnel *relay_tunnel(const struct relay *relay, uint32_t id)
{
	uint32_t block = id / BLOCK_TUNNELS;

	return block < relay->block_count ? &relay->blocks[block][id % BLOCK_TUNNELS] : NULL;
}

void relay_post(struct relay *relay, struct tunnel *first)
{
	bool were_none;

	(void)pthread_mutex_lock(&relay->lock);
	were_none = relay->posted_first == NULL;
	while (first != NULL) {
		struct tunnel *tunnel = first;

		first = tunnel->event_next;
		tunnel->posted |= tunnel->events;
		tunnel->events = 0;
		if (tunnel->is_posted)
			continue;
		tunnel->is_posted = true;
		tunnel->posted_next = NULL;
		if (relay->posted_first == NULL)
			relay->posted_first = tunnel;
		else
			relay->posted_last->posted_next = tunnel;
		relay->posted_last = tunnel;
	}
	(void)pthread_mutex_unlock(&relay->lock);
	if (were_none)
		relay->options.notify(relay->options.context);
}

/* Takes the whole post at once: one lock for a batch. */
static void take_post(struct relay *relay)
{
	struct tunnel **last = &relay->taken_first;

	(void)pthread_mutex_lock(&relay->lock);
	for (struct tunnel *tunnel = relay->posted_first; tunnel != NULL;
	     tunnel = tunnel->posted_next) {
		tunnel->taken = tunnel->posted;
		tunnel->posted = 0;
		tunnel->is_posted = false;
		*last = tunnel;
		last = &tunnel->taken_next;
	}
	*last = NULL;
	relay->posted_first = NULL;
	(void)pthread_mutex_unlock(&relay->lock);
}

static void tell_bytes(struct tunnel *tunnel, struct event *event)
{
	event->kind = EVENT_BYTES;
	event->bytes = tunnel->answer;
	event->fin = tunnel->fin;
	tunnel->answer = NULL;
}

static void tell_failed(const struct tunnel *tunnel, struct event *event)
{
	event->kind = EVENT_FAILED;
	event->stage = tunnel->stage;
	event->timed_out = tunnel->timed_out;
	event->error = tunnel->error;
}

static void tell_ended(const struct tunnel *tunnel, struct event *event)
{
	event->kind = EVENT_ENDED;
	event->by = tunnel->by;
	event->reason = tunnel->reason;
	event->error = tunnel->error;
	event->duration_ns = tunnel->over_at_ns - tunnel->born_at_ns;
	event->read_bytes[SIDE_CLIENT] = tunnel_bytes(tunnel, SIDE_CLIENT);
	event->read_bytes[SIDE_UPSTREAM] = tunnel_bytes(tunnel, SIDE_UPSTREAM);
}

bool relay_take(struct relay *relay, struct event *event)
{
	struct tunnel *tunnel;

	if (relay->taken_first == NULL)
		take_post(relay);
	tunnel = relay->taken_first;
	if (tunnel == NULL)
		return false;
	relay->taken_first = tunnel->taken_next;
	*event = (struct event){.id = tunnel->id};
	if ((tunnel->taken & (1U << EVENT_ENDED)) != 0)
		tell_ended(tunnel, event);
	else if ((tunnel->taken & (1U << EVENT_FAILED)) != 0)
		tell_failed(tunnel, event);
	else
		tell_bytes(tunnel, event);
	if (event->kind != EVENT_BYTES)
		put_back(tunnel);
	return true;
}
