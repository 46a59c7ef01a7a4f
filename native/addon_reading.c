/* The numbers of a tunnel, in an array that JavaScript gave once: to be told of one it need allocate nothing. */

#include "addon.h"

/* In place of what there is not. */
#define NONE (-1.0)

bool take_reading_array(napi_env env, napi_value array, struct addon *addon)
{
	napi_typedarray_type type = napi_int8_array;
	size_t length = 0;
	void *data = NULL;

	if (napi_get_typedarray_info(env, array, &type, &length, &data, NULL, NULL) != napi_ok ||
	    type != napi_float64_array || length < READING_NUMBERS)
		return false;
	addon->reading = data;
	return napi_create_reference(env, array, 1, &addon->reading_array) == napi_ok;
}

static double *fill_counts(double *to, const struct frame_counts *counts)
{
	*to++ = (double)counts->text;
	*to++ = (double)counts->binary;
	*to++ = counts->ping;
	*to++ = counts->pong;
	*to++ = counts->close;
	*to++ = counts->other;
	*to++ = counts->is_blind;
	return to;
}

static double time_of(uint64_t ms)
{
	return ms == NEVER_MS ? NONE : (double)ms;
}

void fill_reading(struct addon *addon, const struct reading *reading)
{
	double *to = addon->reading;

	for (unsigned side = 0; side < SIDES; side++)
		*to++ = (double)reading->read_bytes[side];
	for (unsigned side = 0; side < SIDES; side++)
		*to++ = time_of(reading->first_ms[side]);
	for (unsigned side = 0; side < SIDES; side++)
		*to++ = (double)reading->silent_ms[side];
	for (unsigned side = 0; side < SIDES; side++)
		to = fill_counts(to, &reading->counts[side]);
	*to++ = reading->close_code == 0 ? NONE : (double)reading->close_by;
	*to = reading->close_code;
}
