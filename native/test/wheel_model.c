#include "wheel_model.h"

#include "harness.h"

void model_init(struct model *model, uint64_t now_ms)
{
	*model = (struct model){.now_ms = now_ms};
	wheel_init(&model->wheel, now_ms);
	for (unsigned index = 0; index < MODEL_TIMERS; index++)
		model->due_ms[index] = WHEEL_NEVER;
}

uint64_t model_earliest(const struct model *model)
{
	uint64_t earliest = WHEEL_NEVER;

	for (unsigned index = 0; index < MODEL_TIMERS; index++) {
		if (model->due_ms[index] < earliest)
			earliest = model->due_ms[index];
	}
	return earliest;
}

static void check_next(const struct model *model)
{
	uint64_t earliest = model_earliest(model);
	uint64_t next = wheel_next(&model->wheel);

	/* What is overdue expires with the next look, which is now. */
	if (earliest < model->now_ms)
		earliest = model->now_ms;
	if (next > earliest)
		fail(__FILE__, __LINE__, "the wheel sleeps until %llu, but a timer is due at %llu",
		     (unsigned long long)next, (unsigned long long)earliest);
	if (earliest == WHEEL_NEVER)
		CHECK(next == WHEEL_NEVER);
}

void model_start(struct model *model, unsigned index, uint64_t due_ms)
{
	wheel_start(&model->wheel, &model->timers[index], due_ms);
	model->due_ms[index] = due_ms;
	check_next(model);
}

void model_stop(struct model *model, unsigned index)
{
	wheel_stop(&model->wheel, &model->timers[index]);
	model->due_ms[index] = WHEEL_NEVER;
	check_next(model);
}

unsigned model_advance(struct model *model, uint64_t now_ms)
{
	struct timer *timer;
	unsigned expired = 0;

	model->now_ms = now_ms;
	while ((timer = wheel_advance(&model->wheel, now_ms)) != NULL) {
		size_t index = (size_t)(timer - model->timers);

		CHECK(index < MODEL_TIMERS);
		CHECK(model->due_ms[index] <= now_ms);
		model->due_ms[index] = WHEEL_NEVER;
		expired++;
	}
	if (model_earliest(model) <= now_ms)
		fail(__FILE__, __LINE__, "at %llu a timer that was due at %llu has not expired",
		     (unsigned long long)now_ms, (unsigned long long)model_earliest(model));
	check_next(model);
	/* Otherwise its thread would not sleep. */
	CHECK(wheel_next(&model->wheel) > now_ms);
	return expired;
}
