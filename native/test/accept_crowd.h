/* Clients that come to a door and do what chance has it: ask in one part or two, stall, leave, reset. */
#ifndef UPGATE_ACCEPT_CROWD_H
#define UPGATE_ACCEPT_CROWD_H

#include "accept_door.h"
#include "crew.h"

#define STALLED_MAX 64

struct crowd {
	/* Those whose head is whole, which is the seed of what they write behind it; and the endpoint that they ask for. */
	struct crew crew;
	uint64_t seed;
	unsigned begun;
	/* Those that do nothing more until the relay has had enough of them; -1 for none. */
	int stalled[STALLED_MAX];
};

/* The listener is the endpoint's, and the crew's then. */
void crowd_start(struct crowd *crowd, uint64_t seed, int listener);

/* One more client. */
void crowd_come(struct crowd *crowd, const struct door *door);

/* Whether all have gone; from time to time, as the stalled ones leave by it. */
bool crowd_is_gone(struct crowd *crowd);

void crowd_stop(struct crowd *crowd);

#endif
