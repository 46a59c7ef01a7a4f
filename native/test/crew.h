/* Peers that write, read, half-close and reset as chance has it, on a thread of their own. */
#ifndef UPGATE_CREW_H
#define UPGATE_CREW_H

#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

/* The request head of a dialed peer is the seed of what goes to it, and its answer starts with one byte. */
#define CREW_HEAD_BYTES sizeof(uint64_t)
#define CREW_ANSWER 'A'

struct crew {
	pthread_t thread;
	int epoll_fd;
	int listener;
	uint64_t seed;
	atomic_bool is_stopping;
	/* How many peers are at work. */
	atomic_size_t peers;
};

/* What a dialed peer writes, by what is written to it. */
uint64_t crew_answer_seed(uint64_t head_seed);

/* Accepts at the listener, where it is not -1, which is the crew's then. */
void crew_start(struct crew *crew, uint64_t seed, int listener);

/* Puts a socket to work, from any thread. It is the crew's then. */
void crew_hire(struct crew *crew, int fd, uint64_t writes, uint64_t reads);

/* Waits until all have ended. */
void crew_stop(struct crew *crew);

#endif
