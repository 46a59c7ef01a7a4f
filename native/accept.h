/* Clients on a thread: from the accept to the request head. */
#ifndef UPGATE_ACCEPT_H
#define UPGATE_ACCEPT_H

#include "clients.h"
#include "worker.h"

/* Who accepts for all threads. */
struct listener {
	struct listener *next;
	int tag;
	_Atomic uint64_t head_ms;
	/* Accepted and not yet closed or given up by `relay_leave`. */
	struct clients clients;
	/* Held while accepting, so that a descriptor is not closed, and its number used anew, in the middle of it. */
	pthread_mutex_t lock;
	/* -1 when it accepts no more. */
	int fd;
	/* Per worker, and of it alone: where it found no descriptors or memory, until when it does not try again; else 0. */
	uint64_t paused_until_ms[];
};

/* The listening socket can be accepted from. */
void accept_run(struct worker *worker, struct listener *listener);

/* TASK_ACCEPT: the client's end, its listener and its address are in place. */
void accept_start(struct worker *worker, struct tunnel *tunnel);

/* TASK_HEAR */
void accept_hear(struct worker *worker, struct tunnel *tunnel);

/* The client's socket can be read while its head is awaited. */
void accept_read(struct worker *worker, struct tunnel *tunnel);

/* The client's socket tells of something while somebody else's turn it is. */
void accept_watch(struct worker *worker, struct tunnel *tunnel, uint32_t events);

/* The time for the head is over. */
void accept_expired(struct worker *worker, struct tunnel *tunnel);

/* The socket of a tunnel's client is closed. */
void accept_leave(const struct tunnel *tunnel);

#endif
