/* The timer wheel beside a plain list, over virtual time. */
#include "harness.h"
#include "wheel_model.h"

#define STEPS 200000
/* The longest span that a level below the last reaches. */
#define SPAN_BITS_MAX 44

/* Near as likely as far, so that each level has its share. */
static uint64_t draw_span(uint64_t *seed)
{
	return draw(seed) & ((UINT64_C(1) << (draw(seed) % SPAN_BITS_MAX)) - 1);
}

static uint64_t draw_due(uint64_t *seed, uint64_t now_ms)
{
	uint64_t span = draw_span(seed);

	switch (draw(seed) % 16) {
	case 0:
		return WHEEL_NEVER;
	case 1:
		return span < now_ms ? now_ms - span : 0;
	case 2:
		return WHEEL_NEVER - 1 - span;
	case 3:
		/* On the border of a slot of some level. */
		return (now_ms + span) & ~((UINT64_C(1) << (draw(seed) % SPAN_BITS_MAX)) - 1);
	default:
		return now_ms + span;
	}
}

/* Where to: often just to when something is to be done, or one millisecond before. */
static uint64_t draw_now(uint64_t *seed, const struct model *model)
{
	uint64_t next = wheel_next(&model->wheel);

	switch (draw(seed) % 4) {
	case 0:
		return model->now_ms + draw_span(seed) % 4096;
	case 1:
		return model->now_ms + draw_span(seed);
	case 2:
		return next == WHEEL_NEVER ? model->now_ms : next;
	default:
		return next == WHEEL_NEVER || next <= model->now_ms ? model->now_ms : next - 1;
	}
}

static void run_random(uint64_t seed, uint64_t now_ms, unsigned timers)
{
	struct model model;

	model_init(&model, now_ms);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned index = (unsigned)(draw(&seed) % timers);

		switch (draw(&seed) % 8) {
		case 0:
			model_stop(&model, index);
			break;
		case 1:
		case 2:
			if (model.now_ms < UINT64_MAX / 2)
				(void)model_advance(&model, draw_now(&seed, &model));
			break;
		default:
			model_start(&model, index, draw_due(&seed, model.now_ms));
			break;
		}
	}
	(void)model_advance(&model, WHEEL_NEVER - 1);
}

static void agrees_with_a_list(void)
{
	for (uint64_t seed = 1; seed <= 6; seed++)
		run_random(seed, seed * 1234567, 1 + (unsigned)seed * 10);
}

static void agrees_near_the_end_of_a_level(void)
{
	for (unsigned bits = 6; bits <= 60; bits += 6)
		run_random(bits, (UINT64_C(1) << bits) - 40, MODEL_TIMERS);
}

/* What the relay's threads do. */
static void a_sleeper_is_never_late(void)
{
	uint64_t seed = 7;
	unsigned left = MODEL_TIMERS;
	unsigned looks = 0;
	struct model model;

	model_init(&model, 999);
	for (unsigned index = 0; index < MODEL_TIMERS; index++)
		model_start(&model, index, model.now_ms + draw_span(&seed));
	while (left > 0) {
		uint64_t next = wheel_next(&model.wheel);
		uint64_t earliest = model_earliest(&model);
		unsigned expired = model_advance(&model, next > model.now_ms ? next : model.now_ms);

		CHECK((expired > 0) == (model.now_ms == earliest || earliest < 999));
		left -= expired;
		looks++;
	}
	CHECK(looks <= MODEL_TIMERS * WHEEL_LEVELS);
}

static void timers_of_one_slot_expire_each_at_its_time(void)
{
	struct model model;

	model_init(&model, 0);
	model_start(&model, 0, 4096 + 69);
	model_start(&model, 1, 4096 + 64);
	model_start(&model, 2, 4096);
	CHECK_EQUAL(model_advance(&model, 4095), 0);
	CHECK_EQUAL(model_advance(&model, 4096), 1);
	CHECK_EQUAL(model_advance(&model, 4096 + 63), 0);
	CHECK_EQUAL(model_advance(&model, 4096 + 64), 1);
	CHECK_EQUAL(model_advance(&model, 4096 + 69), 1);
}

static void a_timer_may_be_started_while_others_expire(void)
{
	struct model model;
	struct timer *first;

	model_init(&model, 100);
	model_start(&model, 0, 200);
	model_start(&model, 1, 200);
	first = wheel_advance(&model.wheel, 300);
	CHECK(first != NULL);
	wheel_start(&model.wheel, first, 250);
	CHECK(wheel_advance(&model.wheel, 300) != NULL);
	CHECK(wheel_advance(&model.wheel, 300) == first);
	wheel_start(&model.wheel, first, 301);
	CHECK(wheel_advance(&model.wheel, 300) == NULL);
	CHECK(wheel_advance(&model.wheel, 301) == first);
	CHECK_EQUAL(wheel_next(&model.wheel), WHEEL_NEVER);
}

int main(void)
{
	const struct test tests[] = {
		{"timers of one slot expire each at its own time", timers_of_one_slot_expire_each_at_its_time},
		{"a timer may be started while others expire", a_timer_may_be_started_while_others_expire},
		{"who sleeps as long as the wheel says is never late", a_sleeper_is_never_late},
		{"the wheel agrees with a list, whatever is started and stopped", agrees_with_a_list},
		{"the wheel agrees with a list where a level begins anew", agrees_near_the_end_of_a_level},
	};

	return RUN_TESTS(tests);
}
