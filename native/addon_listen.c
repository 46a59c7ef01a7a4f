/* What JavaScript asks for of listeners. */

#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* headMs, clientsMax, shareMax, exempt from this argument on. False without memory. */
static bool limits_of(napi_env env, const napi_value *arguments, struct client_limits *limits)
{
	napi_typedarray_type type = napi_int8_array;
	size_t bytes = 0;
	void *data = NULL;

	*limits = (struct client_limits){
		.head_ms = limit_of(env, arguments[0]),
		.clients_max = limit_of(env, arguments[1]),
		.share_max = limit_of(env, arguments[2]),
	};
	if (napi_get_typedarray_info(env, arguments[3], &type, &bytes, &data, NULL, NULL) != napi_ok ||
	    type != napi_uint8_array || bytes < sizeof *limits->exempt)
		return true;
	limits->exempt_count = bytes / sizeof *limits->exempt;
	limits->exempt = calloc(limits->exempt_count, sizeof *limits->exempt);
	if (limits->exempt == NULL)
		return false;
	memcpy(limits->exempt, data, limits->exempt_count * sizeof *limits->exempt);
	return true;
}

/* listen(relay, fd, tag, headMs, clientsMax, shareMax, exempt): the listener's handle, or a negated errno */
static napi_value listen_on(napi_env env, napi_callback_info info)
{
	struct call call;
	struct listen_request request;
	struct listener *listener;
	napi_value handle = NULL;
	int error = 0;

	if (!read_call(env, info, &call))
		return NULL;
	request.fd = int_of(env, call.arguments[1]);
	request.tag = int_of(env, call.arguments[2]);
	if (!limits_of(env, &call.arguments[3], &request.limits))
		return make_integer(env, -ENOMEM);
	listener = relay_listen(call.addon->relay, &request, &error);
	if (listener == NULL)
		return make_integer(env, -error);
	(void)napi_create_external(env, listener, NULL, NULL, &handle);
	return handle;
}

/* Reads a call whose second argument is a listener. NULL with an exception pending. */
static struct listener *read_listener_call(napi_env env, napi_callback_info info, struct call *call)
{
	void *data = NULL;

	if (!read_call(env, info, call))
		return NULL;
	if (napi_get_value_external(env, call->arguments[1], &data) != napi_ok)
		(void)napi_throw_type_error(env, NULL, "the second argument is not a listener");
	return data;
}

/* unlisten(relay, listener) */
static napi_value unlisten(napi_env env, napi_callback_info info)
{
	struct call call;
	struct listener *listener = read_listener_call(env, info, &call);

	if (listener != NULL)
		relay_unlisten(call.addon->relay, listener);
	return make_undefined(env);
}

/* adjust(relay, listener, headMs, clientsMax, shareMax, exempt) */
static napi_value adjust(napi_env env, napi_callback_info info)
{
	struct call call;
	struct client_limits limits;
	struct listener *listener = read_listener_call(env, info, &call);

	if (listener == NULL)
		return NULL;
	/* Without memory for the exempt the old limits hold on. */
	if (limits_of(env, &call.arguments[2], &limits))
		relay_adjust(listener, &limits);
	return make_undefined(env);
}

/* leave(relay, listener, address) */
static napi_value leave(napi_env env, napi_callback_info info)
{
	struct call call;
	struct peer_address peer = {0};
	char text[INET6_ADDRSTRLEN] = "";
	size_t length = 0;
	struct listener *listener = read_listener_call(env, info, &call);

	if (listener == NULL)
		return NULL;
	(void)napi_get_value_string_latin1(env, call.arguments[2], text, sizeof text, &length);
	if (inet_pton(AF_INET, text, peer.address) == 1)
		peer.family = AF_INET;
	else if (inet_pton(AF_INET6, text, peer.address) == 1)
		peer.family = AF_INET6;
	relay_leave(listener, &peer);
	return make_undefined(env);
}

/* refused(relay, listener): [full, share, starved, address] */
static napi_value refused(napi_env env, napi_callback_info info)
{
	struct call call;
	struct refused_clients clients;
	napi_value result = NULL;
	struct listener *listener = read_listener_call(env, info, &call);

	if (listener == NULL)
		return NULL;
	relay_refused(listener, &clients);
	(void)napi_create_array_with_length(env, 4, &result);
	(void)napi_set_element(env, result, 0, make_number(env, (double)clients.full));
	(void)napi_set_element(env, result, 1, make_number(env, (double)clients.share));
	(void)napi_set_element(env, result, 2, make_number(env, (double)clients.starved));
	(void)napi_set_element(env, result, 3, make_address(env, &clients.last));
	return result;
}

bool add_listen_calls(napi_env env, napi_value exports)
{
	return add_function(env, exports, "listen", listen_on) &&
	       add_function(env, exports, "unlisten", unlisten) &&
	       add_function(env, exports, "adjust", adjust) &&
	       add_function(env, exports, "leave", leave) &&
	       add_function(env, exports, "refused", refused);
}
