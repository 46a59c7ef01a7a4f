/* The clients of a listener: how many there are, in all and of each address. Of any thread. */
#ifndef UPGATE_CLIENTS_H
#define UPGATE_CLIENTS_H

#include <pthread.h>

#include "relay.h"

#define CLIENT_KEY_BYTES 16

/* An address, or the /64 of one, that has clients. */
struct share {
	struct share *next;
	unsigned char key[CLIENT_KEY_BYTES];
	uint64_t clients;
};

struct clients {
	pthread_mutex_t lock;
	/* The rest is under it. */
	uint64_t count;
	uint64_t max;
	uint64_t share_max;
	struct address_block *exempt;
	size_t exempt_count;
	/* By address: chains, in a table of a power of two that grows with them. What is in it is bounded by `count`. */
	struct share **table;
	size_t table_size;
	size_t addresses;
	/* So that nobody can choose addresses that are all in one chain. */
	uint64_t seed;
	struct refused_clients refused;
};

/* False without memory. */
bool clients_init(struct clients *clients);
void clients_free(struct clients *clients);

/* Limits for those who enter from now on. Takes `exempt` over. */
void clients_limit(struct clients *clients, const struct client_limits *limits);

/* One more from this address; false where it is one too many, which is counted. */
bool clients_enter(struct clients *clients, const struct peer_address *peer);

/* One less. */
void clients_leave(struct clients *clients, const struct peer_address *peer);

/* One that could not be accepted, for want of descriptors or memory. */
void clients_starve(struct clients *clients);

void clients_refused(struct clients *clients, struct refused_clients *refused);

#endif
