#include "clients.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

#define TABLE_SIZE_MIN 64U
/* Of the mapping of IPv4 into IPv6. */
#define MAPPED_BITS 96U
#define NETWORK_BYTES 8U

static const unsigned char mapped[MAPPED_BITS / 8] = {[10] = 0xff, [11] = 0xff};
/* RFC 6052, RFC 8215: a translator has put IPv4 clients into IPv6 there. */
static const unsigned char translated[] = {0x00, 0x64, 0xff, 0x9b};

bool clients_init(struct clients *clients)
{
	*clients = (struct clients){.table_size = TABLE_SIZE_MIN};
	clients->table = calloc(clients->table_size, sizeof(struct share *));
	if (clients->table == NULL ||
	    !random_bytes((unsigned char *)&clients->seed, sizeof clients->seed) ||
	    pthread_mutex_init(&clients->lock, NULL) != 0) {
		free(clients->table);
		return false;
	}
	return true;
}

void clients_free(struct clients *clients)
{
	for (size_t slot = 0; slot < clients->table_size; slot++) {
		while (clients->table[slot] != NULL) {
			struct share *share = clients->table[slot];

			clients->table[slot] = share->next;
			free(share);
		}
	}
	free(clients->table);
	free(clients->exempt);
	(void)pthread_mutex_destroy(&clients->lock);
}

void clients_limit(struct clients *clients, const struct client_limits *limits)
{
	(void)pthread_mutex_lock(&clients->lock);
	clients->max = limits->clients_max;
	clients->share_max = limits->share_max;
	free(clients->exempt);
	clients->exempt = limits->exempt;
	clients->exempt_count = limits->exempt_count;
	(void)pthread_mutex_unlock(&clients->lock);
}

/* An address as one of IPv6. */
static void widen(const struct peer_address *peer, unsigned char *address)
{
	if (peer->family == AF_INET) {
		memcpy(address, mapped, sizeof mapped);
		memcpy(address + sizeof mapped, peer->address, 4);
	} else
		memcpy(address, peer->address, CLIENT_KEY_BYTES);
}

static bool is_mapped(const unsigned char *address)
{
	return memcmp(address, mapped, sizeof mapped) == 0;
}

/* As src/admit/client-key.ts: IPv4 counts whole, IPv6 by its /64, save where a translator has put IPv4 into it. */
static void cut_to_key(unsigned char *address)
{
	if (!is_mapped(address) && memcmp(address, translated, sizeof translated) != 0)
		memset(address + NETWORK_BYTES, 0, CLIENT_KEY_BYTES - NETWORK_BYTES);
}

static bool is_within(const unsigned char *address, const struct address_block *block)
{
	unsigned whole = block->bits / 8;
	unsigned rest = block->bits % 8;

	/* IPv4 and IPv6 are apart: ::/0 holds no IPv4 address. */
	if (is_mapped(address) && block->bits < MAPPED_BITS)
		return false;
	if (memcmp(address, block->address, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ block->address[whole]) >> (8 - rest)) == 0;
}

static bool is_exempt(const struct clients *clients, const unsigned char *address)
{
	for (size_t index = 0; index < clients->exempt_count; index++) {
		if (is_within(address, &clients->exempt[index]))
			return true;
	}
	return false;
}

static uint64_t mix(uint64_t value)
{
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	value ^= value >> 32;
	value *= UINT64_C(0xd6e8feb86659fd93);
	return value ^ (value >> 32);
}

static struct share **slot_of(const struct clients *clients, const unsigned char *key)
{
	uint64_t halves[2];

	memcpy(halves, key, sizeof halves);
	return &clients->table[mix(mix(clients->seed ^ halves[0]) ^ halves[1]) &
	                       (clients->table_size - 1)];
}

/* Where the share of this key is, or would be. */
static struct share **find(const struct clients *clients, const unsigned char *key)
{
	struct share **place = slot_of(clients, key);

	while (*place != NULL && memcmp((*place)->key, key, CLIENT_KEY_BYTES) != 0)
		place = &(*place)->next;
	return place;
}

/* Without memory the chains become longer. */
static void grow(struct clients *clients)
{
	size_t before = clients->table_size;
	struct share **old = clients->table;
	struct share **table = calloc(before * 2, sizeof(struct share *));

	if (table == NULL)
		return;
	clients->table = table;
	clients->table_size = before * 2;
	for (size_t slot = 0; slot < before; slot++) {
		while (old[slot] != NULL) {
			struct share *share = old[slot];
			struct share **place = slot_of(clients, share->key);

			old[slot] = share->next;
			share->next = *place;
			*place = share;
		}
	}
	free(old);
}

static struct share *add(struct clients *clients, const unsigned char *key)
{
	struct share *share = malloc(sizeof *share);
	struct share **place;

	if (share == NULL)
		return NULL;
	if (clients->addresses == clients->table_size)
		grow(clients);
	place = slot_of(clients, key);
	*share = (struct share){.next = *place};
	memcpy(share->key, key, CLIENT_KEY_BYTES);
	*place = share;
	clients->addresses++;
	return share;
}

/* Returns the counter of why there is no place, or NULL where there is one. */
static uint64_t *enter(struct clients *clients, const struct peer_address *peer)
{
	unsigned char address[CLIENT_KEY_BYTES];
	unsigned char key[CLIENT_KEY_BYTES];
	struct share *share;

	if (clients->count >= clients->max)
		return &clients->refused.full;
	widen(peer, address);
	memcpy(key, address, sizeof key);
	cut_to_key(key);
	share = *find(clients, key);
	if (share != NULL && share->clients >= clients->share_max && !is_exempt(clients, address))
		return &clients->refused.share;
	if (share == NULL)
		share = add(clients, key);
	if (share == NULL)
		return &clients->refused.starved;
	share->clients++;
	clients->count++;
	return NULL;
}

bool clients_enter(struct clients *clients, const struct peer_address *peer)
{
	uint64_t *refused;

	(void)pthread_mutex_lock(&clients->lock);
	refused = enter(clients, peer);
	if (refused != NULL) {
		(*refused)++;
		clients->refused.last = *peer;
	}
	(void)pthread_mutex_unlock(&clients->lock);
	return refused == NULL;
}

void clients_leave(struct clients *clients, const struct peer_address *peer)
{
	unsigned char key[CLIENT_KEY_BYTES];
	struct share **place;
	struct share *share;

	widen(peer, key);
	cut_to_key(key);
	(void)pthread_mutex_lock(&clients->lock);
	place = find(clients, key);
	share = *place;
	if (share != NULL) {
		clients->count--;
		if (--share->clients == 0) {
			*place = share->next;
			free(share);
			clients->addresses--;
		}
	}
	(void)pthread_mutex_unlock(&clients->lock);
}

void clients_starve(struct clients *clients)
{
	(void)pthread_mutex_lock(&clients->lock);
	clients->refused.starved++;
	(void)pthread_mutex_unlock(&clients->lock);
}

void clients_refused(struct clients *clients, struct refused_clients *refused)
{
	(void)pthread_mutex_lock(&clients->lock);
	*refused = clients->refused;
	(void)pthread_mutex_unlock(&clients->lock);
}
