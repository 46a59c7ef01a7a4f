#include "wheel.h"

#include <stddef.h>

#define LEVEL_BITS 6

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
	wheel->now_ms = now_ms;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		wheel->occupied[level] = 0;
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
			struct timer *head = &wheel->slots[level][slot];
			head->next = head;
			head->prev = head;
		}
	}
}

/*
 * The level is that of the highest digit in which the time differs from now. So each slot of a level lies ahead of now
 * and within the current turn of the level above, and all of a lower level come before all of a higher one.
 */
static unsigned level_of(uint64_t now_ms, uint64_t due_ms)
{
	uint64_t differing = (now_ms ^ due_ms) | (WHEEL_SLOTS - 1);

	return (63U - (unsigned)__builtin_clzll(differing)) / LEVEL_BITS;
}

static unsigned slot_of(uint64_t due_ms, unsigned level)
{
	return (unsigned)(due_ms >> (LEVEL_BITS * level)) & (WHEEL_SLOTS - 1);
}

static void link_in(struct wheel *wheel, struct timer *timer)
{
	uint64_t now_ms = wheel->now_ms;
	uint64_t at = timer->due_ms > now_ms ? timer->due_ms : now_ms;
	unsigned level = level_of(now_ms, at);
	unsigned slot = slot_of(at, level);
	struct timer *head = &wheel->slots[level][slot];

	timer->next = head;
	timer->prev = head->prev;
	head->prev->next = timer;
	head->prev = timer;
	wheel->occupied[level] |= UINT64_C(1) << slot;
}

void wheel_start(struct wheel *wheel, struct timer *timer, uint64_t due_ms)
{
	wheel_stop(wheel, timer);
	if (due_ms == WHEEL_NEVER)
		return;
	timer->due_ms = due_ms;
	link_in(wheel, timer);
}

void wheel_stop(struct wheel *wheel, struct timer *timer)
{
	struct timer *head = timer->next;

	if (head == NULL)
		return;
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	/* The last of its slot: what is left is the head, which lies in the table. */
	if (head->next == head) {
		size_t index = (size_t)(head - &wheel->slots[0][0]);

		wheel->occupied[index / WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WHEEL_SLOTS));
	}
	timer->next = NULL;
	timer->prev = NULL;
}

/* The lowest level that has timers, or WHEEL_LEVELS. */
static unsigned lowest(const struct wheel *wheel)
{
	unsigned level = 0;

	while (level < WHEEL_LEVELS && wheel->occupied[level] == 0)
		level++;
	return level;
}

uint64_t wheel_next(const struct wheel *wheel)
{
	unsigned level = lowest(wheel);
	unsigned shift;
	uint64_t turn;
	uint64_t slot;

	if (level == WHEEL_LEVELS)
		return WHEEL_NEVER;
	shift = LEVEL_BITS * level;
	turn = (wheel->now_ms >> shift) & ~(uint64_t)(WHEEL_SLOTS - 1);
	slot = (uint64_t)__builtin_ctzll(wheel->occupied[level]);
	return (turn | slot) << shift;
}

/*
 * Deals a slot whose time has come out to the levels below: all of it at once, since a timer that stays behind would
 * wait for the next one of a lower level.
 */
static void deal_out(struct wheel *wheel, const struct timer *head)
{
	while (head->next != head) {
		struct timer *timer = head->next;

		wheel_stop(wheel, timer);
		link_in(wheel, timer);
	}
}

struct timer *wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
	for (;;) {
		uint64_t at = wheel_next(wheel);
		unsigned level = lowest(wheel);
		struct timer *head;
		struct timer *timer;

		if (at > now_ms) {
			if (now_ms > wheel->now_ms)
				wheel->now_ms = now_ms;
			return NULL;
		}
		if (at > wheel->now_ms)
			wheel->now_ms = at;
		head = &wheel->slots[level][slot_of(at, level)];
		if (level > 0) {
			deal_out(wheel, head);
			continue;
		}
		timer = head->next;
		wheel_stop(wheel, timer);
		return timer;
	}
}
