/* The input is a list of starts, stops and steps of time, for the wheel and a plain list of the same timers. */
#include "harness.h"
#include "wheel_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

/* An operation and the timer it is for, how far (mantissa and exponent), and back or on. */
#define STEP_BYTES 4

static uint64_t span_of(const uint8_t *step)
{
	return (uint64_t)step[1] << (step[2] % 56);
}

static uint64_t due_of(const uint8_t *step, uint64_t now_ms)
{
	uint64_t span = span_of(step);

	if (step[3] == 0xff)
		return WHEEL_NEVER;
	if (step[3] >= 0xf0)
		return span < now_ms ? now_ms - span : 0;
	/* So that not all times are round ones. */
	span += step[3];
	return span < WHEEL_NEVER - now_ms ? now_ms + span : WHEEL_NEVER;
}

static void take_step(struct model *model, const uint8_t *step)
{
	unsigned index = step[0] / 4 % MODEL_TIMERS;
	uint64_t to_ms;

	switch (step[0] % 4) {
	case 0:
		model_stop(model, index);
		break;
	case 1:
		to_ms = wheel_next(&model->wheel);
		(void)model_advance(model, to_ms == WHEEL_NEVER ? model->now_ms : to_ms);
		break;
	case 2:
		to_ms = due_of(step, model->now_ms);
		if (to_ms != WHEEL_NEVER && to_ms > model->now_ms)
			(void)model_advance(model, to_ms);
		break;
	default:
		model_start(model, index, due_of(step, model->now_ms));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct model model;

	model_init(&model, 0);
	for (size_t at = 0; at + STEP_BYTES <= length; at += STEP_BYTES)
		take_step(&model, data + at);
	(void)model_advance(&model, WHEEL_NEVER - 1);
	return 0;
}
