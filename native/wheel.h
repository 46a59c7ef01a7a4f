/*
 * A hierarchical timer wheel: starting, stopping and expiring a timer take constant time, however many there are, and
 * a sleeper knows how long it may sleep. Times are milliseconds of a monotonic clock.
 *
 *     level 0   64 slots of 1 ms
 *     level 1   64 slots of 64 ms      a slot whose time has come is dealt out to the levels below
 *     ...
 */
#ifndef UPGATE_WHEEL_H
#define UPGATE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

/* As many as all 64 bits of a time take, so that none is too far away. */
#define WHEEL_LEVELS 11
#define WHEEL_SLOTS 64
#define WHEEL_NEVER UINT64_MAX

/* Part of what it times. Zeroed it is a timer that is not running. */
struct timer {
	struct timer *next;
	struct timer *prev;
	uint64_t due_ms;
};

struct wheel {
	uint64_t now_ms;
	/* Per level, which slots have timers. */
	uint64_t occupied[WHEEL_LEVELS];
	struct timer slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ms);

/* Starts a timer, or starts it anew. A time that is over expires with the next `wheel_advance`; WHEEL_NEVER stops it. */
void wheel_start(struct wheel *wheel, struct timer *timer, uint64_t due_ms);

/* Without effect on a timer that is not running. */
void wheel_stop(struct wheel *wheel, struct timer *timer);

/* When `wheel_advance` has something to do next; WHEEL_NEVER when nothing runs. It may be too early, never too late. */
uint64_t wheel_next(const struct wheel *wheel);

/*
 * Moves the time on and returns one timer that has expired and is stopped by that, or NULL when none is left. To be
 * called until it returns NULL; timers may be started and stopped in between.
 */
struct timer *wheel_advance(struct wheel *wheel, uint64_t now_ms);

#endif
