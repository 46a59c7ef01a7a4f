/* The module: starts and stops relays. */

#include "addon.h"

#include <errno.h>
#include <stdlib.h>

static void notify(void *context)
{
	struct addon *addon = context;

	(void)napi_call_threadsafe_function(addon->notify, NULL, napi_tsfn_nonblocking);
}

static void stop_relay(void *data)
{
	struct addon *addon = data;

	if (addon->relay == NULL)
		return;
	/* The threads are gone before the function that they call. */
	relay_destroy(addon->relay);
	addon->relay = NULL;
	(void)napi_release_threadsafe_function(addon->notify, napi_tsfn_abort);
}

static void free_addon(struct addon *addon)
{
	if (addon->reading_array != NULL)
		(void)napi_delete_reference(addon->env, addon->reading_array);
	free(addon);
}

static void finalize(napi_env env, void *data, void *hint)
{
	(void)hint;
	stop_relay(data);
	(void)napi_remove_env_cleanup_hook(env, stop_relay, data);
	free_addon(data);
}

static bool create_notify(napi_env env, napi_value callback, struct addon *addon)
{
	napi_value name = NULL;

	if (napi_create_string_utf8(env, "upgate.relay", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, addon,
	                                    deliver_events, &addon->notify) != napi_ok)
		return false;
	(void)napi_unref_threadsafe_function(env, addon->notify);
	return true;
}

/* start(threads, bufferBytes, callback, reading) */
static napi_value start(napi_env env, napi_callback_info info)
{
	napi_value arguments[4];
	napi_value handle = NULL;
	size_t count = 4;
	struct addon *addon = calloc(1, sizeof *addon);
	struct relay_options options = {.notify = notify, .context = addon};
	int32_t threads;
	int error = 0;

	if (addon == NULL)
		return throw_errno(env, "cannot start the relay", ENOMEM);
	addon->env = env;
	(void)napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	threads = int_of(env, arguments[0]);
	options.threads = (unsigned)threads;
	options.buffer_bytes = (size_t)double_of(env, arguments[1]);
	if (threads < 1 || options.buffer_bytes < 1 || !take_reading_array(env, arguments[3], addon) ||
	    !create_notify(env, arguments[2], addon)) {
		free_addon(addon);
		(void)napi_throw_type_error(env, NULL,
		                            "expected threads, bytes, a function, and an array for readings");
		return NULL;
	}
	addon->relay = relay_create(&options, &error);
	if (addon->relay == NULL) {
		(void)napi_release_threadsafe_function(addon->notify, napi_tsfn_abort);
		free_addon(addon);
		return throw_errno(env, "cannot start the relay's threads", error);
	}
	(void)napi_add_env_cleanup_hook(env, stop_relay, addon);
	(void)napi_create_external(env, addon, finalize, NULL, &handle);
	return handle;
}

/* spare(relay, from) */
static napi_value spare(napi_env env, napi_callback_info info)
{
	struct call call;

	if (read_call(env, info, &call))
		relay_spare(call.addon->relay, int_of(env, call.arguments[1]));
	return make_undefined(env);
}

static napi_value stop(napi_env env, napi_callback_info info)
{
	struct call call;

	if (read_call(env, info, &call))
		stop_relay(call.addon);
	return make_undefined(env);
}

bool add_function(napi_env env, napi_value exports, const char *name, napi_callback function)
{
	napi_value value = NULL;

	return napi_create_function(env, name, NAPI_AUTO_LENGTH, function, NULL, &value) == napi_ok &&
	       napi_set_named_property(env, exports, name, value) == napi_ok;
}

NAPI_MODULE_INIT()
{
	if (!add_function(env, exports, "start", start) || !add_function(env, exports, "stop", stop) ||
	    !add_function(env, exports, "spare", spare) ||
	    !add_function(env, exports, "policy", make_policy) ||
	    !add_listen_calls(env, exports) || !add_calls(env, exports))
		return NULL;
	return exports;
}
