#include "accept_crowd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void crowd_start(struct crowd *crowd, uint64_t seed, int listener)
{
	crowd->seed = seed;
	crowd->begun = 0;
	for (unsigned index = 0; index < STALLED_MAX; index++)
		crowd->stalled[index] = -1;
	crew_start(&crowd->crew, seed, listener);
}

static void stall(struct crowd *crowd, int fd)
{
	for (unsigned index = 0; index < STALLED_MAX; index++) {
		if (crowd->stalled[index] < 0) {
			crowd->stalled[index] = fd;
			return;
		}
	}
	(void)close(fd);
}

/* A client that asks for nothing whole. */
static void half_come(struct crowd *crowd, int fd)
{
	const char part[CREW_HEAD_BYTES] = {0};
	size_t length = draw(&crowd->seed) % CREW_HEAD_BYTES;

	if (length > 0)
		(void)send(fd, part, length, MSG_NOSIGNAL);
	switch (draw(&crowd->seed) % 4) {
	case 0:
		send_reset(fd);
		break;
	case 1:
		(void)close(fd);
		break;
	case 2:
		(void)shutdown(fd, SHUT_WR);
		__attribute__((fallthrough));
	default:
		stall(crowd, fd);
		break;
	}
}

void crowd_come(struct crowd *crowd, const struct door *door)
{
	int fd = door_knock(door);
	uint64_t up = draw(&crowd->seed);
	size_t first = draw(&crowd->seed) % (CREW_HEAD_BYTES + 1);

	crowd->begun++;
	if (draw(&crowd->seed) % 4 == 0) {
		half_come(crowd, fd);
		return;
	}
	/* It may have been turned away, which the crew finds out. */
	(void)send(fd, &up, first, MSG_NOSIGNAL);
	(void)send(fd, (const char *)&up + first, CREW_HEAD_BYTES - first, MSG_NOSIGNAL);
	set_blocking(fd, false);
	crew_hire(&crowd->crew, fd, up, crew_answer_seed(up));
}

bool crowd_is_gone(struct crowd *crowd)
{
	bool is_gone = atomic_load(&crowd->crew.peers) == 0;

	for (unsigned index = 0; index < STALLED_MAX; index++) {
		int *fd = &crowd->stalled[index];
		char byte;
		ssize_t got;

		if (*fd < 0)
			continue;
		got = recv(*fd, &byte, 1, MSG_DONTWAIT);
		if (got < 0 && errno == EAGAIN) {
			is_gone = false;
			continue;
		}
		CHECK(got <= 0);
		(void)close(*fd);
		*fd = -1;
	}
	return is_gone;
}

void crowd_stop(struct crowd *crowd)
{
	crew_stop(&crowd->crew);
}
