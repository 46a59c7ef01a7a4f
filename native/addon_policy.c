/* Policies as handles of JavaScript's: each is a user of its policy until the garbage collector has it. */

#include <errno.h>

#include "addon.h"

/* The numbers of a policy, in this order. */
enum policy_number {
	IDLE_MS,
	LIFETIME_MS,
	CLOSE_TIMEOUT_MS,
	FRAMES,
	PING_MS,
	TIMEOUT_MS,
	PING_UPSTREAM,
	IDLE_CODE,
	LIFETIME_CODE,
	DEAD_CODE,
	POLICY_NUMBERS,
};

static void finalize(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	relay_policy_drop(data);
}

static bool read_numbers(napi_env env, napi_value array, napi_value *numbers)
{
	for (uint32_t index = 0; index < POLICY_NUMBERS; index++) {
		napi_valuetype type = napi_undefined;

		if (napi_get_element(env, array, index, &numbers[index]) != napi_ok ||
		    napi_typeof(env, numbers[index], &type) != napi_ok || type != napi_number)
			return false;
	}
	return true;
}

napi_value make_policy(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	napi_value numbers[POLICY_NUMBERS];
	napi_value handle = NULL;
	size_t count = 4;
	struct relay_policy values = {0};
	struct relay_policy *policy;

	(void)napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	if (!read_numbers(env, arguments[0], numbers)) {
		(void)napi_throw_type_error(env, NULL, "expected the numbers of a policy");
		return NULL;
	}
	values.idle_ms = limit_of(env, numbers[IDLE_MS]);
	values.lifetime_ms = limit_of(env, numbers[LIFETIME_MS]);
	values.close_timeout_ms = limit_of(env, numbers[CLOSE_TIMEOUT_MS]);
	values.frames = double_of(env, numbers[FRAMES]) != 0;
	values.ping_ms = limit_of(env, numbers[PING_MS]);
	values.timeout_ms = limit_of(env, numbers[TIMEOUT_MS]);
	values.ping_upstream = double_of(env, numbers[PING_UPSTREAM]) != 0;
	words_of(env, int_of(env, numbers[IDLE_CODE]), arguments[1], &values.idle);
	words_of(env, int_of(env, numbers[LIFETIME_CODE]), arguments[2], &values.lifetime);
	words_of(env, int_of(env, numbers[DEAD_CODE]), arguments[3], &values.dead);
	policy = relay_policy_new(&values);
	if (policy == NULL)
		return throw_errno(env, "cannot keep a policy", ENOMEM);
	if (napi_create_external(env, policy, finalize, NULL, &handle) != napi_ok)
		relay_policy_drop(policy);
	return handle;
}
