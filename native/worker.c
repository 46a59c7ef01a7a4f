#include "worker.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "accept.h"
#include "control.h"
#include "dial.h"
#include "hold.h"
#include "mail.h"
#include "tunnel.h"

#define EVENTS_MAX 256
/* Turns that are given to busy tunnels before the others are looked at again. */
#define TURNS_MAX 64

uint64_t clock_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000U * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t clock_ms(void)
{
	return clock_ns() / NS_PER_MS;
}

/* Addresses are multiples of four, so two bits are free: for the side of a tunnel, and for what is a listener. */
#define TAG_LISTENER 2U
#define TAGS (uint64_t)3

static uint64_t tag(const struct tunnel *tunnel, enum side side)
{
	return (uint64_t)(uintptr_t)tunnel | side;
}

int worker_watch(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = tag(tunnel, side),
	};

	if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, tunnel->ends[side].fd, &event) != 0)
		return errno;
	tunnel->ends[side].is_watched = true;
	return 0;
}

int worker_watch_listener(struct worker *worker, struct listener *listener)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLEXCLUSIVE,
		.data.u64 = (uint64_t)(uintptr_t)listener | TAG_LISTENER,
	};

	return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) == 0 ? 0 : errno;
}

void worker_pause(struct worker *worker, struct listener *listener, uint64_t until_ms)
{
	(void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
	listener->paused_until_ms[worker->index] = until_ms;
	if (until_ms < worker->resume_at_ms)
		worker->resume_at_ms = until_ms;
}

enum heard worker_hear(struct worker *worker, struct tunnel *tunnel, enum side side)
{
	struct end *end = &tunnel->ends[side];
	ssize_t got = recv_some(end->fd, worker->buffer, worker->buffer_bytes);
	struct hold *said;
	char next;

	tunnel->fin[side] = got == 0;
	if (got == 0)
		return HEARD_FIN;
	if (got < 0) {
		end->readable = false;
		return errno == EAGAIN ? HEARD_NOTHING : HEARD_ERROR;
	}
	said = hold_new((size_t)got);
	if (said == NULL) {
		errno = ENOMEM;
		return HEARD_ERROR;
	}
	memcpy(said->bytes, worker->buffer, (size_t)got);
	tunnel->said[side] = said;
	if (end->hung_up)
		tunnel->fin[side] = recv(end->fd, &next, 1, MSG_PEEK) == 0;
	else if ((size_t)got < worker->buffer_bytes)
		end->readable = false;
	return HEARD_BYTES;
}

void worker_ready(struct worker *worker, struct tunnel *tunnel)
{
	if (tunnel->is_ready)
		return;
	tunnel->is_ready = true;
	tunnel->ready_next = NULL;
	tunnel->ready_prev = worker->ready_last;
	if (worker->ready_last == NULL)
		worker->ready_first = tunnel;
	else
		worker->ready_last->ready_next = tunnel;
	worker->ready_last = tunnel;
}

static void unready(struct worker *worker, struct tunnel *tunnel)
{
	if (!tunnel->is_ready)
		return;
	tunnel->is_ready = false;
	if (tunnel->ready_prev == NULL)
		worker->ready_first = tunnel->ready_next;
	else
		tunnel->ready_prev->ready_next = tunnel->ready_next;
	if (tunnel->ready_next == NULL)
		worker->ready_last = tunnel->ready_prev;
	else
		tunnel->ready_next->ready_prev = tunnel->ready_prev;
}

void worker_tell(struct worker *worker, struct tunnel *tunnel, enum event_kind kind)
{
	if (tunnel->events == 0) {
		tunnel->event_next = worker->events_first;
		worker->events_first = tunnel;
	}
	tunnel->events |= 1U << kind;
}

void worker_stop_turns(struct worker *worker, struct tunnel *tunnel)
{
	wheel_stop(&worker->wheel, &tunnel->timer);
	unready(worker, tunnel);
}

void worker_forget(struct worker *worker, struct tunnel *tunnel, enum event_kind kind)
{
	worker_stop_turns(worker, tunnel);
	tunnel->state = STATE_OVER;
	worker_tell(worker, tunnel, kind);
}

static void on_event(struct worker *worker, const struct epoll_event *event)
{
	struct tunnel *tunnel = (struct tunnel *)(uintptr_t)(event->data.u64 & ~TAGS);
	enum side side = (event->data.u64 & 1U) != 0 ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct end *end = &tunnel->ends[side];
	uint32_t events = event->events;

	/* Of the same round, but after its end. */
	if (tunnel->state == STATE_OVER)
		return;
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		end->readable = true;
	if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		end->hung_up = true;
	switch (tunnel->state) {
	case STATE_HEARING:
		if (end->readable)
			accept_read(worker, tunnel);
		/* What stands behind the bytes that were read is told by no other edge. */
		if (tunnel->state == STATE_ASKING)
			accept_watch(worker, tunnel, events);
		break;
	case STATE_ASKING:
		if (side == SIDE_CLIENT)
			accept_watch(worker, tunnel, events);
		break;
	case STATE_DIALING:
	case STATE_WAITING:
		if (side == SIDE_CLIENT)
			accept_watch(worker, tunnel, events);
		else
			dial_run(worker, tunnel);
		break;
	case STATE_OPEN:
	case STATE_CLOSING:
		if ((events & EPOLLERR) != 0)
			tunnel_check(worker, tunnel, side);
		if (tunnel->state != STATE_OVER)
			tunnel_run(worker, tunnel);
		break;
	case STATE_FREE:
	case STATE_OVER:
		break;
	}
}

static void run_ready(struct worker *worker)
{
	for (unsigned turns = 0; turns < TURNS_MAX && worker->ready_first != NULL; turns++) {
		struct tunnel *tunnel = worker->ready_first;

		unready(worker, tunnel);
		tunnel_run(worker, tunnel);
	}
}

static void expire(struct worker *worker)
{
	struct timer *timer;

	while ((timer = wheel_advance(&worker->wheel, worker->now_ms)) != NULL) {
		struct tunnel *tunnel = (struct tunnel *)timer;

		if (tunnel->state == STATE_HEARING)
			accept_expired(worker, tunnel);
		else if (tunnel->state == STATE_DIALING || tunnel->state == STATE_WAITING)
			dial_expired(worker, tunnel);
		else
			tunnel_expired(worker, tunnel);
	}
}

/* How long to sleep, in milliseconds; -1 for as long as nothing happens. */
static int patience(const struct worker *worker)
{
	uint64_t next = wheel_next(&worker->wheel);

	if (worker->resume_at_ms < next)
		next = worker->resume_at_ms;
	if (worker->ready_first != NULL)
		return 0;
	if (next == WHEEL_NEVER)
		return -1;
	if (next <= worker->now_ms)
		return 0;
	return next - worker->now_ms < INT_MAX ? (int)(next - worker->now_ms) : INT_MAX;
}

static void *run(void *argument)
{
	struct worker *worker = argument;
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int count = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, patience(worker));

		worker->now_ms = clock_ms();
		for (int index = 0; index < count; index++) {
			uint64_t what = events[index].data.u64;

			if ((what & TAG_LISTENER) != 0)
				accept_run(worker, (struct listener *)(uintptr_t)(what & ~TAGS));
			else if (what != 0)
				on_event(worker, &events[index]);
		}
		if (worker->now_ms >= worker->resume_at_ms)
			worker->resume_at_ms = relay_resume(worker->relay, worker);
		run_ready(worker);
		expire(worker);
		if (atomic_load_explicit(&worker->has_mail, memory_order_acquire) && !mail_take(worker))
			return NULL;
		if (worker->events_first != NULL) {
			relay_post(worker->relay, worker->events_first);
			worker->events_first = NULL;
		}
	}
}

static int start_thread(struct worker *worker)
{
	sigset_t all;
	sigset_t before;
	int error;

	/* Signals are for the program's own threads. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, run, worker);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

int worker_start(struct worker *worker, struct relay *relay, size_t buffer_bytes)
{
	struct epoll_event wake = {.events = EPOLLIN | EPOLLET, .data.u64 = 0};
	int error = 0;

	worker->relay = relay;
	worker->now_ms = clock_ms();
	worker->resume_at_ms = WHEEL_NEVER;
	wheel_init(&worker->wheel, worker->now_ms);
	worker->buffer_bytes = buffer_bytes < READ_BYTES_MAX ? buffer_bytes : READ_BYTES_MAX;
	worker->buffer = malloc(worker->buffer_bytes);
	worker->sifted = malloc(worker->buffer_bytes + SIFT_MORE_BYTES + CONTROL_FRAME_BYTES_MAX);
	worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->epoll_fd < 0 || worker->wake_fd < 0)
		error = errno;
	else if (worker->buffer == NULL || worker->sifted == NULL)
		error = ENOMEM;
	else if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &wake) != 0)
		error = errno;
	if (error == 0)
		error = pthread_mutex_init(&worker->lock, NULL);
	if (error == 0) {
		error = start_thread(worker);
		if (error == 0)
			return 0;
		(void)pthread_mutex_destroy(&worker->lock);
	}
	close_if_open(worker->epoll_fd);
	close_if_open(worker->wake_fd);
	free(worker->buffer);
	free(worker->sifted);
	return error;
}

void worker_stop(struct worker *worker)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&worker->lock);
	worker->is_stopping = true;
	atomic_store_explicit(&worker->has_mail, true, memory_order_release);
	(void)pthread_mutex_unlock(&worker->lock);
	(void)!write(worker->wake_fd, &one, sizeof one);
	(void)pthread_join(worker->thread, NULL);
}

void worker_free(struct worker *worker)
{
	(void)pthread_mutex_destroy(&worker->lock);
	(void)close(worker->epoll_fd);
	(void)close(worker->wake_fd);
	free(worker->buffer);
	free(worker->sifted);
}
