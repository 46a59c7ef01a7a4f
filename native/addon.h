/* The relay as JavaScript sees it. The addon_*.c files alone know Node-API; src/relay/binding.ts says what each function takes. */
#ifndef UPGATE_ADDON_H
#define UPGATE_ADDON_H

#include <node_api.h>

#include "relay.h"

#define ARGUMENTS_MAX 9

/* A started relay and how it reaches JavaScript. */
struct addon {
	napi_env env;
	struct relay *relay;
	napi_threadsafe_function notify;
	/* Accepted clients, tunnels and dials: as long as there are any the process must not end by itself. */
	size_t alive;
	/* What numbers of tunnels are told in: an array of JavaScript's, which this keeps. */
	napi_ref reading_array;
	double *reading;
};

/* Of `reading`, in the order of `fill_reading`. */
#define READING_NUMBERS 22

/* The arguments of a call; the first one is the relay's handle. Missing ones are undefined. */
struct call {
	struct addon *addon;
	napi_value arguments[ARGUMENTS_MAX];
};

/* False when an exception is pending. */
bool read_call(napi_env env, napi_callback_info info, struct call *call);

napi_value make_undefined(napi_env env);
napi_value make_number(napi_env env, double value);
napi_value make_integer(napi_env env, int32_t value);
napi_value make_boolean(napi_env env, bool value);
napi_value throw_errno(napi_env env, const char *what, int error);

int32_t int_of(napi_env env, napi_value value);
double double_of(napi_env env, napi_value value);
bool bool_of(napi_env env, napi_value value);
/* Milliseconds or a count; Infinity is no limit. */
uint64_t limit_of(napi_env env, napi_value value);
/* `text` is UTF-8 of at most CLOSE_TEXT_MAX bytes; what is longer is cut. */
void words_of(napi_env env, int32_t code, napi_value text, struct close_words *words);
/* A latin1 string as bytes. NULL for an empty one; `*failed` without memory. */
struct hold *hold_of(napi_env env, napi_value value, bool *failed);

/* addon_reading.c: takes the array; false when it is none of `READING_NUMBERS` doubles. */
bool take_reading_array(napi_env env, napi_value array, struct addon *addon);
void fill_reading(struct addon *addon, const struct reading *reading);

/* addon_policy.c: policy(numbers, idleText, lifetimeText, deadText): the handle */
napi_value make_policy(napi_env env, napi_callback_info info);

/* addon_events.c: runs on JavaScript's thread and hands over all that has happened since, as one turn of the event loop. */
void deliver_events(napi_env env, napi_value callback, void *context, void *data);

/* addon_events.c: as text; empty where there is none. */
napi_value make_address(napi_env env, const struct peer_address *peer);

/* Keeps the process alive for one more, or one less. */
void addon_more(struct addon *addon);
void addon_less(struct addon *addon);

/* addon_listen.c: adds the functions that concern listeners. */
bool add_listen_calls(napi_env env, napi_value exports);

/* addon_calls.c: adds the functions that concern clients and tunnels. */
bool add_calls(napi_env env, napi_value exports);
bool add_function(napi_env env, napi_value exports, const char *name, napi_callback function);

#endif
