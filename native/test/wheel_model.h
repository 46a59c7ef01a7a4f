/* A timer wheel beside a plain list of the same timers, which says what must have expired and when to look next. */
#ifndef UPGATE_WHEEL_MODEL_H
#define UPGATE_WHEEL_MODEL_H

#include "wheel.h"

#define MODEL_TIMERS 64

struct model {
	struct wheel wheel;
	struct timer timers[MODEL_TIMERS];
	/* When each is due, WHEEL_NEVER for one that does not run. */
	uint64_t due_ms[MODEL_TIMERS];
	uint64_t now_ms;
};

void model_init(struct model *model, uint64_t now_ms);
void model_start(struct model *model, unsigned index, uint64_t due_ms);
void model_stop(struct model *model, unsigned index);

/* Moves the time on and compares. Returns how many timers have expired. */
unsigned model_advance(struct model *model, uint64_t now_ms);

/* WHEEL_NEVER when none runs. */
uint64_t model_earliest(const struct model *model);

#endif
