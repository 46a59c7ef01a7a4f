/* What a relay is, for the files that make it up. */
#ifndef UPGATE_PARTS_H
#define UPGATE_PARTS_H

#include "accept.h"
#include "worker.h"

/*
 * Places for tunnels are allotted in blocks that are never given back: a tunnel keeps its place, its number and its thread
 * for life. After its last event the thread may still come across it, in mail or in what epoll tells, which no other may
 * then use.
 */
#define BLOCK_TUNNELS 64U
/* Over 4 million tunnels; a table of a fixed size can be read while another thread adds to it. */
#define BLOCKS_MAX 65536U

struct relay {
	struct relay_options options;
	struct worker *workers;
	unsigned running;
	/* See `relay_spare`. */
	_Atomic int spared_from;
	/* The payload of our pings: the pongs to them are known by it, and no peer guesses it. */
	unsigned char ping[PING_BYTES];

	/* For the places and for the list of listeners. */
	pthread_mutex_t places;
	struct tunnel **blocks;
	uint32_t block_count;
	struct listener *listeners;

	/* For events. */
	pthread_mutex_t lock;
	struct tunnel *posted_first;
	struct tunnel *posted_last;

	/* Of the owner: events that were taken over and not yet asked for. */
	struct tunnel *taken_first;
};

/* Frees what a tunnel holds besides its sockets. */
void tunnel_free_parts(struct tunnel *tunnel);

#endif
