/* JavaScript's values and C's. */

#include "addon.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

napi_value throw_errno(napi_env env, const char *what, int error)
{
	char message[128];

	(void)snprintf(message, sizeof message, "%s: %s", what, strerror(error));
	(void)napi_throw_error(env, NULL, message);
	return NULL;
}

napi_value make_undefined(napi_env env)
{
	napi_value value = NULL;

	(void)napi_get_undefined(env, &value);
	return value;
}

napi_value make_number(napi_env env, double value)
{
	napi_value result = NULL;

	(void)napi_create_double(env, value, &result);
	return result;
}

napi_value make_integer(napi_env env, int32_t value)
{
	napi_value result = NULL;

	(void)napi_create_int32(env, value, &result);
	return result;
}

napi_value make_boolean(napi_env env, bool value)
{
	napi_value result = NULL;

	(void)napi_get_boolean(env, value, &result);
	return result;
}

bool read_call(napi_env env, napi_callback_info info, struct call *call)
{
	size_t count = ARGUMENTS_MAX;
	void *data = NULL;

	if (napi_get_cb_info(env, info, &count, call->arguments, NULL, NULL) != napi_ok ||
	    napi_get_value_external(env, call->arguments[0], &data) != napi_ok) {
		(void)napi_throw_type_error(env, NULL, "the first argument is not a relay");
		return false;
	}
	call->addon = data;
	if (call->addon->relay == NULL) {
		(void)napi_throw_error(env, NULL, "the relay is stopped");
		return false;
	}
	return true;
}

int32_t int_of(napi_env env, napi_value value)
{
	int32_t result = 0;

	(void)napi_get_value_int32(env, value, &result);
	return result;
}

double double_of(napi_env env, napi_value value)
{
	double result = 0;

	(void)napi_get_value_double(env, value, &result);
	return result;
}

bool bool_of(napi_env env, napi_value value)
{
	bool result = false;

	(void)napi_get_value_bool(env, value, &result);
	return result;
}

uint64_t limit_of(napi_env env, napi_value value)
{
	double limit = double_of(env, value);

	if (!(limit < 9e15))
		return NO_LIMIT;
	return limit > 0 ? (uint64_t)ceil(limit) : 0;
}

void words_of(napi_env env, int32_t code, napi_value text, struct close_words *words)
{
	/* Node-API writes a terminating zero, and no part of a character. */
	char bytes[CLOSE_TEXT_MAX + 1];
	size_t length = 0;

	(void)napi_get_value_string_utf8(env, text, bytes, sizeof bytes, &length);
	words->code = (uint16_t)code;
	words->length = (uint8_t)length;
	memcpy(words->text, bytes, length);
}

struct hold *hold_of(napi_env env, napi_value value, bool *failed)
{
	size_t length = 0;
	struct hold *hold;

	(void)napi_get_value_string_latin1(env, value, NULL, 0, &length);
	if (length == 0)
		return NULL;
	/* Node-API writes a terminating zero. */
	hold = hold_new(length + 1);
	if (hold == NULL) {
		*failed = true;
		return NULL;
	}
	hold->end = length;
	(void)napi_get_value_string_latin1(env, value, (char *)hold->bytes, length + 1, &length);
	return hold;
}
