#include "crew.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define CHUNK_MAX 8192
#define STOP_LOOK_MS 5

enum finale { FINALE_FIN, FINALE_CLOSE, FINALE_RESET, FINALE_NONE, FINALES };

struct peer {
	int fd;
	bool awaits_head;
	bool has_ended;
	bool read_done;
	bool write_done;
	enum finale finale;
	uint64_t writes;
	uint64_t written;
	uint64_t total;
	uint64_t reads;
	uint64_t read;
};

uint64_t crew_answer_seed(uint64_t head_seed)
{
	return head_seed ^ UINT64_C(0x5555555555555555);
}

static void quit(struct peer *peer, bool reset)
{
	if (peer->has_ended)
		return;
	peer->has_ended = true;
	if (reset)
		send_reset(peer->fd);
	else
		(void)close(peer->fd);
}

/* A peer may be broken at any time by the other one, or by the relay. */
static bool is_over(struct peer *peer, ssize_t result)
{
	if (result >= 0)
		return false;
	if (errno == EAGAIN)
		return true;
	CHECK(errno == ECONNRESET || errno == EPIPE);
	quit(peer, false);
	return true;
}

/* The head comes alone, as nothing follows before the answer. */
static void read_head(struct peer *peer)
{
	uint64_t seed = 0;
	char answer = CREW_ANSWER;
	ssize_t got = recv(peer->fd, &seed, CREW_HEAD_BYTES, MSG_DONTWAIT);

	if (is_over(peer, got))
		return;
	if (got == 0) {
		quit(peer, false);
		return;
	}
	CHECK_EQUAL(got, CREW_HEAD_BYTES);
	peer->awaits_head = false;
	peer->reads = seed;
	peer->writes = crew_answer_seed(seed);
	(void)is_over(peer, send(peer->fd, &answer, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
}

static void read_some(struct peer *peer)
{
	unsigned char bytes[CHUNK_MAX];

	while (!peer->has_ended && !peer->read_done) {
		ssize_t got = recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT);

		if (is_over(peer, got))
			return;
		peer->read_done = got == 0;
		for (size_t index = 0; index < (size_t)got; index++)
			CHECK_EQUAL(bytes[index], pattern(peer->reads, peer->read + index));
		peer->read += (uint64_t)got;
	}
}

static void write_some(struct peer *peer, uint64_t *seed)
{
	unsigned char bytes[CHUNK_MAX];

	while (!peer->has_ended && peer->written < peer->total) {
		uint64_t left = peer->total - peer->written;
		size_t length = 1 + draw(seed) % sizeof bytes;
		ssize_t sent;

		if (length > left)
			length = (size_t)left;
		for (size_t index = 0; index < length; index++)
			bytes[index] = pattern(peer->writes, peer->written + index);
		sent = send(peer->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (is_over(peer, sent))
			return;
		peer->written += (uint64_t)sent;
	}
}

static void end_writing(struct peer *peer)
{
	if (peer->has_ended || peer->write_done || peer->written < peer->total)
		return;
	peer->write_done = true;
	switch (peer->finale) {
	case FINALE_FIN:
		/* After a reset that is not yet read it cannot be sent. */
		(void)shutdown(peer->fd, SHUT_WR);
		break;
	case FINALE_CLOSE:
	case FINALE_RESET:
		quit(peer, peer->finale == FINALE_RESET);
		break;
	case FINALE_NONE:
	case FINALES:
		break;
	}
}

static void work(struct crew *crew, struct peer *peer)
{
	if (peer->awaits_head)
		read_head(peer);
	if (!peer->awaits_head) {
		read_some(peer);
		write_some(peer, &crew->seed);
		end_writing(peer);
		/* Who was told that nothing more comes writes what there is and goes. */
		if (peer->read_done && peer->write_done)
			quit(peer, false);
	}
	if (peer->has_ended) {
		free(peer);
		(void)atomic_fetch_sub(&crew->peers, 1);
	}
}

static void hire(struct crew *crew, struct peer *peer)
{
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	                            .data.ptr = peer};

	(void)atomic_fetch_add(&crew->peers, 1);
	CHECK_EQUAL(epoll_ctl(crew->epoll_fd, EPOLL_CTL_ADD, peer->fd, &event), 0);
}

static struct peer *new_peer(int fd, uint64_t seed)
{
	struct peer *peer = calloc(1, sizeof *peer);

	CHECK(peer != NULL);
	peer->fd = fd;
	peer->finale = (enum finale)(draw(&seed) % FINALES);
	peer->total = draw(&seed) % (UINT64_C(1) << draw(&seed) % 18);
	return peer;
}

void crew_hire(struct crew *crew, int fd, uint64_t writes, uint64_t reads)
{
	struct peer *peer = new_peer(fd, writes);

	peer->writes = writes;
	peer->reads = reads;
	hire(crew, peer);
}

static void accept_all(struct crew *crew)
{
	int fd;

	while ((fd = accept4(crew->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *peer = new_peer(fd, draw(&crew->seed));

		peer->awaits_head = true;
		hire(crew, peer);
	}
	/* A dial that was abandoned. */
	CHECK(errno == EAGAIN || errno == ECONNABORTED);
}

static void *run(void *argument)
{
	struct crew *crew = argument;
	struct epoll_event events[EVENTS_MAX];

	while (!atomic_load(&crew->is_stopping) || atomic_load(&crew->peers) > 0) {
		int count = epoll_wait(crew->epoll_fd, events, EVENTS_MAX, STOP_LOOK_MS);

		for (int index = 0; index < count; index++) {
			if (events[index].data.ptr == NULL)
				accept_all(crew);
			else
				work(crew, events[index].data.ptr);
		}
	}
	return NULL;
}

void crew_start(struct crew *crew, uint64_t seed, int listener)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

	*crew = (struct crew){.seed = seed, .listener = listener};
	crew->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	CHECK(crew->epoll_fd >= 0);
	if (listener >= 0) {
		set_blocking(listener, false);
		CHECK_EQUAL(epoll_ctl(crew->epoll_fd, EPOLL_CTL_ADD, listener, &event), 0);
	}
	CHECK_EQUAL(pthread_create(&crew->thread, NULL, run, crew), 0);
}

void crew_stop(struct crew *crew)
{
	atomic_store(&crew->is_stopping, true);
	CHECK_EQUAL(pthread_join(crew->thread, NULL), 0);
	(void)close(crew->epoll_fd);
	if (crew->listener >= 0)
		(void)close(crew->listener);
}
