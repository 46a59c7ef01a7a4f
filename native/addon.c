/* The relay as JavaScript sees it: this file alone knows Node-API. src/relay/binding.ts says what each function takes. */

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <node_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "relay.h"

#define ARGUMENTS_MAX 9
#define NS_PER_MS 1e6

struct addon {
	napi_env env;
	struct relay *relay;
	napi_threadsafe_function notify;
	/* Tunnels and dials: as long as there are any the process must not end by itself. */
	size_t alive;
};

static napi_value throw_errno(napi_env env, const char *what, int error)
{
	char message[128];

	(void)snprintf(message, sizeof message, "%s: %s", what, strerror(error));
	(void)napi_throw_error(env, NULL, message);
	return NULL;
}

static napi_value undefined(napi_env env)
{
	napi_value value = NULL;

	(void)napi_get_undefined(env, &value);
	return value;
}

static napi_value number(napi_env env, double value)
{
	napi_value result = NULL;

	(void)napi_create_double(env, value, &result);
	return result;
}

static napi_value integer(napi_env env, int32_t value)
{
	napi_value result = NULL;

	(void)napi_create_int32(env, value, &result);
	return result;
}

static napi_value boolean(napi_env env, bool value)
{
	napi_value result = NULL;

	(void)napi_get_boolean(env, value, &result);
	return result;
}

/* The arguments of a call; the first one is the relay's handle. Missing ones are undefined. */
struct call {
	struct addon *addon;
	napi_value arguments[ARGUMENTS_MAX];
};

/* False when an exception is pending. */
static bool read_call(napi_env env, napi_callback_info info, struct call *call)
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

static int32_t int_of(napi_env env, napi_value value)
{
	int32_t result = 0;

	(void)napi_get_value_int32(env, value, &result);
	return result;
}

static double double_of(napi_env env, napi_value value)
{
	double result = 0;

	(void)napi_get_value_double(env, value, &result);
	return result;
}

static bool bool_of(napi_env env, napi_value value)
{
	bool result = false;

	(void)napi_get_value_bool(env, value, &result);
	return result;
}

/* Milliseconds; Infinity is no limit. */
static uint64_t ms_of(napi_env env, napi_value value)
{
	double ms = double_of(env, value);

	if (!(ms < 9e15))
		return NO_LIMIT;
	return ms > 0 ? (uint64_t)ceil(ms) : 0;
}

/* A latin1 string as bytes. NULL for an empty one; `*failed` without memory. */
static struct hold *hold_of(napi_env env, napi_value value, bool *failed)
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

/* The tunnel of the second argument, or NULL with an exception pending. */
static struct tunnel *tunnel_of(napi_env env, const struct call *call)
{
	int32_t id = int_of(env, call->arguments[1]);
	struct tunnel *tunnel = id < 0 ? NULL : relay_tunnel(call->addon->relay, (uint32_t)id);

	if (tunnel == NULL)
		(void)napi_throw_range_error(env, NULL, "no such tunnel");
	return tunnel;
}

static void one_more(struct addon *addon)
{
	if (addon->alive++ == 0)
		(void)napi_ref_threadsafe_function(addon->env, addon->notify);
}

static void one_less(struct addon *addon)
{
	if (--addon->alive == 0)
		(void)napi_unref_threadsafe_function(addon->env, addon->notify);
}

/* bytes(kind, id, text, fin) */
static size_t bytes_arguments(napi_env env, struct event *event, napi_value *arguments)
{
	struct hold *bytes = event->bytes;
	const char *text = bytes == NULL ? "" : (const char *)bytes->bytes;
	size_t length = bytes == NULL ? 0 : bytes->end;

	(void)napi_create_string_latin1(env, text, length, &arguments[2]);
	hold_free(bytes);
	arguments[3] = boolean(env, event->fin);
	return 4;
}

/* failed(kind, id, stage, timedOut, errno) */
static size_t failed_arguments(napi_env env, const struct event *event, napi_value *arguments)
{
	arguments[2] = integer(env, (int32_t)event->stage);
	arguments[3] = boolean(env, event->timed_out);
	arguments[4] = integer(env, event->error);
	return 5;
}

/* ended(kind, id, by, reason, errno, bytesUp, bytesDown, durationMs) */
static size_t ended_arguments(napi_env env, const struct event *event, napi_value *arguments)
{
	arguments[2] = integer(env, (int32_t)event->by);
	arguments[3] = integer(env, (int32_t)event->reason);
	arguments[4] = integer(env, event->error);
	arguments[5] = number(env, (double)event->read_bytes[SIDE_CLIENT]);
	arguments[6] = number(env, (double)event->read_bytes[SIDE_UPSTREAM]);
	arguments[7] = number(env, (double)event->duration_ns / NS_PER_MS);
	return 8;
}

static void tell(napi_env env, napi_value receiver, napi_value callback, struct event *event)
{
	napi_value arguments[ARGUMENTS_MAX];
	size_t count = 0;

	arguments[0] = integer(env, (int32_t)event->kind);
	arguments[1] = integer(env, (int32_t)event->id);
	switch (event->kind) {
	case EVENT_BYTES:
		count = bytes_arguments(env, event, arguments);
		break;
	case EVENT_FAILED:
		count = failed_arguments(env, event, arguments);
		break;
	case EVENT_ENDED:
		count = ended_arguments(env, event, arguments);
		break;
	}
	if (napi_call_function(env, receiver, callback, count, arguments, NULL) ==
	    napi_pending_exception) {
		napi_value error = NULL;

		/* A bug of the callback's must not swallow the events behind it. */
		(void)napi_get_and_clear_last_exception(env, &error);
		(void)napi_fatal_exception(env, error);
	}
}

/* Runs on JavaScript's thread: hands over all that has happened since, as one turn of the event loop. */
static void deliver(napi_env env, napi_value callback, void *context, void *data)
{
	struct addon *addon = context;
	struct event event;
	napi_value receiver;

	(void)data;
	if (env == NULL)
		return;
	receiver = undefined(env);
	while (addon->relay != NULL && relay_take(addon->relay, &event)) {
		napi_handle_scope scope = NULL;

		if (event.kind != EVENT_BYTES)
			one_less(addon);
		(void)napi_open_handle_scope(env, &scope);
		tell(env, receiver, callback, &event);
		(void)napi_close_handle_scope(env, scope);
	}
}

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

static void finalize(napi_env env, void *data, void *hint)
{
	(void)hint;
	stop_relay(data);
	(void)napi_remove_env_cleanup_hook(env, stop_relay, data);
	free(data);
}

static bool create_notify(napi_env env, napi_value callback, struct addon *addon)
{
	napi_value name = NULL;

	if (napi_create_string_utf8(env, "upgate.relay", NAPI_AUTO_LENGTH, &name) != napi_ok ||
	    napi_create_threadsafe_function(env, callback, NULL, name, 0, 1, NULL, NULL, addon,
	                                    deliver, &addon->notify) != napi_ok)
		return false;
	(void)napi_unref_threadsafe_function(env, addon->notify);
	return true;
}

/* start(threads, bufferBytes, callback) */
static napi_value start(napi_env env, napi_callback_info info)
{
	napi_value arguments[3];
	napi_value handle = NULL;
	size_t count = 3;
	struct addon *addon = calloc(1, sizeof *addon);
	struct relay_options options = {.notify = notify, .context = addon};
	int error = 0;

	if (addon == NULL)
		return throw_errno(env, "cannot start the relay", ENOMEM);
	addon->env = env;
	(void)napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
	options.threads = (unsigned)int_of(env, arguments[0]);
	options.buffer_bytes = (size_t)double_of(env, arguments[1]);
	if (options.threads < 1 || options.buffer_bytes < 1 ||
	    !create_notify(env, arguments[2], addon)) {
		free(addon);
		(void)napi_throw_type_error(env, NULL, "expected threads, bytes, and a function");
		return NULL;
	}
	addon->relay = relay_create(&options, &error);
	if (addon->relay == NULL) {
		(void)napi_release_threadsafe_function(addon->notify, napi_tsfn_abort);
		free(addon);
		return throw_errno(env, "cannot start the relay's threads", error);
	}
	(void)napi_add_env_cleanup_hook(env, stop_relay, addon);
	(void)napi_create_external(env, addon, finalize, NULL, &handle);
	return handle;
}

static napi_value stop(napi_env env, napi_callback_info info)
{
	struct call call;

	if (read_call(env, info, &call))
		stop_relay(call.addon);
	return undefined(env);
}

/* An address literal and a port, or the path of a unix socket and port -1. False when it is neither. */
static bool read_address(napi_env env, napi_value host, int32_t port, struct dial_request *request)
{
	struct sockaddr_un *local = (struct sockaddr_un *)&request->address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&request->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&request->address;
	char text[sizeof local->sun_path];
	size_t length = 0;

	(void)napi_get_value_string_utf8(env, host, NULL, 0, &length);
	if (length == 0 || length >= sizeof text)
		return false;
	(void)napi_get_value_string_utf8(env, host, text, sizeof text, &length);
	if (port < 0) {
		local->sun_family = AF_UNIX;
		memcpy(local->sun_path, text, length + 1);
		request->address_bytes = sizeof *local;
		return true;
	}
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		request->address_bytes = sizeof *v4;
		return true;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	request->address_bytes = sizeof *v6;
	return true;
}

/* dial(relay, host, port, head, connectMs, handshakeMs): the id, or a negated errno */
static napi_value dial(napi_env env, napi_callback_info info)
{
	struct call call;
	struct dial_request request = {0};
	struct tunnel *tunnel;
	bool failed = false;

	if (!read_call(env, info, &call))
		return NULL;
	if (!read_address(env, call.arguments[1], int_of(env, call.arguments[2]), &request))
		return integer(env, -EINVAL);
	request.head = hold_of(env, call.arguments[3], &failed);
	request.connect_ms = ms_of(env, call.arguments[4]);
	request.handshake_ms = ms_of(env, call.arguments[5]);
	tunnel = request.head == NULL ? NULL : relay_dial(call.addon->relay, &request);
	if (tunnel == NULL)
		return integer(env, failed ? -ENOMEM : -EINVAL);
	one_more(call.addon);
	return integer(env, (int32_t)tunnel_id(tunnel));
}

/* proceed(relay, id, refresh) */
static napi_value proceed(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel;

	if (!read_call(env, info, &call))
		return NULL;
	tunnel = tunnel_of(env, &call);
	if (tunnel != NULL)
		relay_proceed(call.addon->relay, tunnel, bool_of(env, call.arguments[2]));
	return undefined(env);
}

/* release(relay, id): the descriptor */
static napi_value release(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel;

	if (!read_call(env, info, &call))
		return NULL;
	tunnel = tunnel_of(env, &call);
	return tunnel == NULL ? NULL : integer(env, relay_release(call.addon->relay, tunnel));
}

/* open(relay, id | -1, clientFd, upstreamFd | -1, toClient, toUpstream, bytesDown, idleMs, lifetimeMs): the id, or a negated errno */
static napi_value open_tunnel(napi_env env, napi_callback_info info)
{
	struct call call;
	struct open_request request = {0};
	struct tunnel *dialed = NULL;
	struct tunnel *tunnel;
	bool failed = false;
	int error = 0;

	if (!read_call(env, info, &call))
		return NULL;
	if (int_of(env, call.arguments[1]) >= 0) {
		dialed = tunnel_of(env, &call);
		if (dialed == NULL)
			return NULL;
	}
	request.fds[SIDE_CLIENT] = int_of(env, call.arguments[2]);
	request.fds[SIDE_UPSTREAM] = int_of(env, call.arguments[3]);
	request.to[SIDE_CLIENT] = hold_of(env, call.arguments[4], &failed);
	request.to[SIDE_UPSTREAM] = hold_of(env, call.arguments[5], &failed);
	if (failed) {
		hold_free(request.to[SIDE_CLIENT]);
		hold_free(request.to[SIDE_UPSTREAM]);
		return integer(env, -ENOMEM);
	}
	if (request.to[SIDE_UPSTREAM] != NULL)
		request.read_bytes[SIDE_CLIENT] = request.to[SIDE_UPSTREAM]->end;
	request.read_bytes[SIDE_UPSTREAM] = (uint64_t)double_of(env, call.arguments[6]);
	request.idle_ms = ms_of(env, call.arguments[7]);
	request.lifetime_ms = ms_of(env, call.arguments[8]);
	tunnel = relay_open(call.addon->relay, dialed, &request, &error);
	if (tunnel == NULL)
		return integer(env, -error);
	if (dialed == NULL)
		one_more(call.addon);
	return integer(env, (int32_t)tunnel_id(tunnel));
}

/* close(relay, id, by, reason, graceMs) */
static napi_value close_tunnel(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel;

	if (!read_call(env, info, &call))
		return NULL;
	tunnel = tunnel_of(env, &call);
	if (tunnel != NULL)
		relay_close(call.addon->relay, tunnel,
		            (enum ended_by)int_of(env, call.arguments[2]),
		            (enum end_reason)int_of(env, call.arguments[3]),
		            ms_of(env, call.arguments[4]));
	return undefined(env);
}

/* bytes(relay, id, side) */
static napi_value bytes(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel;
	enum side side;

	if (!read_call(env, info, &call))
		return NULL;
	tunnel = tunnel_of(env, &call);
	side = int_of(env, call.arguments[2]) == 0 ? SIDE_CLIENT : SIDE_UPSTREAM;
	return tunnel == NULL ? NULL : number(env, (double)tunnel_bytes(tunnel, side));
}

NAPI_MODULE_INIT()
{
	const struct {
		const char *name;
		napi_callback function;
	} functions[] = {
		{"start", start},     {"stop", stop}, {"dial", dial},          {"proceed", proceed},
		{"release", release}, {"open", open_tunnel}, {"close", close_tunnel}, {"bytes", bytes},
	};

	for (size_t index = 0; index < sizeof functions / sizeof *functions; index++) {
		napi_value function = NULL;

		if (napi_create_function(env, functions[index].name, NAPI_AUTO_LENGTH,
		                         functions[index].function, NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, functions[index].name, function) != napi_ok)
			return NULL;
	}
	return exports;
}
