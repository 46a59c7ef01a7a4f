/* Places for tunnels. */

#include <stdlib.h>
#include <unistd.h>

#include "hold.h"
#include "parts.h"

/* How many more tunnels than the least loaded worker a worker may have before a new one goes there. */
#define IMBALANCE_MAX 16

void tunnel_free_parts(struct tunnel *tunnel)
{
	free(tunnel->addresses);
	tunnel->addresses = NULL;
	free(tunnel->words);
	tunnel->words = NULL;
	relay_policy_drop(tunnel->policy);
	tunnel->policy = NULL;
	for (unsigned side = 0; side < SIDES; side++) {
		hold_free(tunnel->first[side]);
		tunnel->first[side] = NULL;
		hold_free(tunnel->said[side]);
		tunnel->said[side] = NULL;
		hold_free(tunnel->ends[side].hold);
		tunnel->ends[side].hold = NULL;
	}
}

void end_close(struct end *end, bool reset)
{
	if (end->fd < 0)
		return;
	if (reset) {
		struct linger now = {.l_onoff = 1, .l_linger = 0};

		/* A unix socket has no reset and is closed. */
		(void)setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	}
	(void)close(end->fd);
	end->fd = -1;
}

static bool add_block(struct relay *relay, struct worker *worker)
{
	struct tunnel *block;

	if (relay->block_count == BLOCKS_MAX)
		return false;
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
	relay->blocks[relay->block_count] = block;
	relay->block_count++;
	return true;
}

static struct worker *choose(struct relay *relay, struct worker *wished)
{
	struct worker *least = &relay->workers[0];

	for (unsigned index = 1; index < relay->running; index++) {
		if (relay->workers[index].load < least->load)
			least = &relay->workers[index];
	}
	return wished != NULL && wished->load <= least->load + IMBALANCE_MAX ? wished : least;
}

struct tunnel *relay_allot(struct relay *relay, struct worker *wished)
{
	struct tunnel *tunnel = NULL;
	struct worker *worker;

	(void)pthread_mutex_lock(&relay->places);
	worker = choose(relay, wished);
	if (worker->free_first != NULL || add_block(relay, worker)) {
		tunnel = worker->free_first;
		worker->free_first = tunnel->free_next;
		worker->load++;
	}
	(void)pthread_mutex_unlock(&relay->places);
	return tunnel;
}

/* Back to how `relay_allot` found it. */
void relay_put_back(struct tunnel *tunnel)
{
	struct worker *worker = tunnel->worker;

	worker_unmail(worker, tunnel);
	tunnel_free_parts(tunnel);
	for (unsigned side = 0; side < SIDES; side++) {
		tunnel->ends[side] = (struct end){.fd = -1};
		tunnel->frames[side] = (struct frames){.part = PART_NONE};
	}
	atomic_store_explicit(&tunnel->seen_close, 0, memory_order_relaxed);
	tunnel->listener = NULL;
	tunnel->is_heard = false;
	tunnel->is_known = false;
	tunnel->has_fin = false;
	tunnel->has_reset = false;
	tunnel->has_reason = false;
	tunnel->error = 0;
	(void)pthread_mutex_lock(&worker->relay->places);
	worker->load--;
	tunnel->free_next = worker->free_first;
	worker->free_first = tunnel;
	(void)pthread_mutex_unlock(&worker->relay->places);
}

struct tunnel *relay_tunnel(const struct relay *relay, uint32_t id)
{
	uint32_t block = id / BLOCK_TUNNELS;

	if (block >= BLOCKS_MAX || relay->blocks[block] == NULL)
		return NULL;
	return &relay->blocks[block][id % BLOCK_TUNNELS];
}
