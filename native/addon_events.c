/* What has happened, as calls of JavaScript's callback. */

#include "addon.h"

#include <arpa/inet.h>

#define NS_PER_MS 1e6

void addon_more(struct addon *addon)
{
	if (addon->alive++ == 0)
		(void)napi_ref_threadsafe_function(addon->env, addon->notify);
}

void addon_less(struct addon *addon)
{
	if (--addon->alive == 0)
		(void)napi_unref_threadsafe_function(addon->env, addon->notify);
}

/* Latin1; frees the bytes. */
static napi_value make_text(napi_env env, struct hold *bytes)
{
	const char *text = bytes == NULL ? "" : (const char *)bytes->bytes;
	size_t length = bytes == NULL ? 0 : bytes->end;
	napi_value result = NULL;

	(void)napi_create_string_latin1(env, text, length, &result);
	hold_free(bytes);
	return result;
}

napi_value make_address(napi_env env, const struct peer_address *peer)
{
	char text[INET6_ADDRSTRLEN] = "";
	napi_value result = NULL;

	if (peer->family == AF_INET || peer->family == AF_INET6)
		(void)inet_ntop(peer->family, peer->address, text, sizeof text);
	(void)napi_create_string_latin1(env, text, NAPI_AUTO_LENGTH, &result);
	return result;
}

/* request(kind, id, text, fin, listener, address) */
static size_t request_arguments(napi_env env, struct event *event, napi_value *arguments)
{
	arguments[2] = make_text(env, event->bytes);
	arguments[3] = make_boolean(env, event->fin);
	arguments[4] = make_integer(env, event->listener_tag);
	arguments[5] = make_address(env, &event->peer);
	return 6;
}

/* answer(kind, id, text, fin) */
static size_t answer_arguments(napi_env env, struct event *event, napi_value *arguments)
{
	arguments[2] = make_text(env, event->bytes);
	arguments[3] = make_boolean(env, event->fin);
	return 4;
}

/* failed(kind, id, stage, timedOut, errno) */
static size_t failed_arguments(napi_env env, const struct event *event, napi_value *arguments)
{
	arguments[2] = make_integer(env, (int32_t)event->stage);
	arguments[3] = make_boolean(env, event->timed_out);
	arguments[4] = make_integer(env, event->error);
	return 5;
}

/* ended(kind, id, by, reason, errno, durationMs); the rest is in the array of readings */
static size_t ended_arguments(napi_env env, const struct event *event, napi_value *arguments)
{
	arguments[2] = make_integer(env, (int32_t)event->by);
	arguments[3] = make_integer(env, (int32_t)event->reason);
	arguments[4] = make_integer(env, event->error);
	arguments[5] = make_number(env, (double)event->duration_ns / NS_PER_MS);
	return 6;
}

static void tell(struct addon *addon, napi_value receiver, napi_value callback,
                 struct event *event)
{
	napi_env env = addon->env;
	napi_value arguments[ARGUMENTS_MAX];
	size_t count = 2;

	arguments[0] = make_integer(env, (int32_t)event->kind);
	arguments[1] = make_integer(env, (int32_t)event->id);
	switch (event->kind) {
	case EVENT_REQUEST:
		count = request_arguments(env, event, arguments);
		break;
	case EVENT_ANSWER:
		count = answer_arguments(env, event, arguments);
		break;
	case EVENT_FAILED:
		count = failed_arguments(env, event, arguments);
		break;
	case EVENT_ENDED:
		fill_reading(addon, &event->reading);
		count = ended_arguments(env, event, arguments);
		break;
	case EVENT_LATE:
	case EVENT_FIN:
	case EVENT_RESET:
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

void deliver_events(napi_env env, napi_value callback, void *context, void *data)
{
	struct addon *addon = context;
	struct event event;
	napi_value receiver;

	(void)data;
	if (env == NULL)
		return;
	receiver = make_undefined(env);
	while (addon->relay != NULL && relay_take(addon->relay, &event)) {
		napi_handle_scope scope = NULL;

		if (event.is_first)
			addon_more(addon);
		if (event.is_last)
			addon_less(addon);
		(void)napi_open_handle_scope(env, &scope);
		tell(addon, receiver, callback, &event);
		(void)napi_close_handle_scope(env, scope);
	}
}
