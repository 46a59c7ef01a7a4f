/* What JavaScript asks for of clients, dials and tunnels. */

#include "addon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

/* The tunnel of the second argument, or NULL with an exception pending. */
static struct tunnel *tunnel_of(napi_env env, const struct call *call)
{
	int32_t id = int_of(env, call->arguments[1]);
	struct tunnel *tunnel = id < 0 ? NULL : relay_tunnel(call->addon->relay, (uint32_t)id);

	if (tunnel == NULL)
		(void)napi_throw_range_error(env, NULL, "no such tunnel");
	return tunnel;
}

/* Reads a call whose second argument is a tunnel. NULL with an exception pending. */
static struct tunnel *read_tunnel_call(napi_env env, napi_callback_info info, struct call *call)
{
	return read_call(env, info, call) ? tunnel_of(env, call) : NULL;
}

/* hear(relay, id) */
static napi_value hear(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel != NULL)
		relay_hear(tunnel);
	return make_undefined(env);
}

/* drop(relay, id) */
static napi_value drop(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel != NULL)
		relay_drop(tunnel);
	return make_undefined(env);
}

static enum side side_of(napi_env env, napi_value value)
{
	return int_of(env, value) == 0 ? SIDE_CLIENT : SIDE_UPSTREAM;
}

/*
 * An address literal and a port, or the path of a unix socket and port -1. Returns the bytes of the address; 0 when it is
 * neither.
 */
static socklen_t read_address(napi_env env, napi_value host, int32_t port,
                              struct sockaddr_storage *address)
{
	struct sockaddr_un *local = (struct sockaddr_un *)address;
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	char text[sizeof local->sun_path];
	size_t length = 0;

	(void)napi_get_value_string_utf8(env, host, NULL, 0, &length);
	if (length == 0 || length >= sizeof text)
		return 0;
	(void)napi_get_value_string_utf8(env, host, text, sizeof text, &length);
	if (port < 0) {
		local->sun_family = AF_UNIX;
		memcpy(local->sun_path, text, length + 1);
		return sizeof *local;
	}
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof *v4;
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof *v6;
}

/* dial(relay, id | -1, host, port, head, connectMs, handshakeMs, from | ''): the id, or a negated errno */
static napi_value dial(napi_env env, napi_callback_info info)
{
	struct call call;
	struct dial_request request = {0};
	struct tunnel *tunnel;
	bool failed = false;

	if (!read_call(env, info, &call))
		return NULL;
	if (int_of(env, call.arguments[1]) >= 0) {
		request.tunnel = tunnel_of(env, &call);
		if (request.tunnel == NULL)
			return NULL;
	}
	request.address_bytes =
		read_address(env, call.arguments[2], int_of(env, call.arguments[3]), &request.address);
	request.from_bytes = read_address(env, call.arguments[7], 0, &request.from);
	if (request.address_bytes == 0)
		return make_integer(env, -EINVAL);
	request.head = hold_of(env, call.arguments[4], &failed);
	request.connect_ms = limit_of(env, call.arguments[5]);
	request.handshake_ms = limit_of(env, call.arguments[6]);
	tunnel = request.head == NULL ? NULL : relay_dial(call.addon->relay, &request);
	if (tunnel == NULL)
		return make_integer(env, failed ? -ENOMEM : -EINVAL);
	if (request.tunnel == NULL)
		addon_more(call.addon);
	return make_integer(env, (int32_t)tunnel_id(tunnel));
}

/* proceed(relay, id, refresh) */
static napi_value proceed(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel != NULL)
		relay_proceed(tunnel, bool_of(env, call.arguments[2]));
	return make_undefined(env);
}

/* release(relay, id, side): the descriptor */
static napi_value release(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel == NULL)
		return NULL;
	return make_integer(env, relay_release(tunnel, side_of(env, call.arguments[2])));
}

/* open(relay, id | -1, clientFd | -1, upstreamFd | -1, toClient, toUpstream, bytesDown, policy): the id, or a negated errno */
static napi_value open_tunnel(napi_env env, napi_callback_info info)
{
	struct call call;
	struct open_request request = {0};
	struct tunnel *dialed = NULL;
	struct tunnel *tunnel;
	bool failed = false;
	void *policy = NULL;
	int error = 0;

	if (!read_call(env, info, &call))
		return NULL;
	if (napi_get_value_external(env, call.arguments[7], &policy) != napi_ok) {
		(void)napi_throw_type_error(env, NULL, "the last argument is not a policy");
		return NULL;
	}
	request.policy = policy;
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
		return make_integer(env, -ENOMEM);
	}
	if (request.to[SIDE_UPSTREAM] != NULL)
		request.read_bytes[SIDE_CLIENT] = request.to[SIDE_UPSTREAM]->end;
	request.read_bytes[SIDE_UPSTREAM] = (uint64_t)double_of(env, call.arguments[6]);
	tunnel = relay_open(call.addon->relay, dialed, &request, &error);
	if (tunnel == NULL)
		return make_integer(env, -error);
	if (dialed == NULL)
		addon_more(call.addon);
	return make_integer(env, (int32_t)tunnel_id(tunnel));
}

/* close(relay, id, by, reason, timeoutMs, code, text) */
static napi_value close_tunnel(napi_env env, napi_callback_info info)
{
	struct call call;
	struct close_words words;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel == NULL)
		return NULL;
	words_of(env, int_of(env, call.arguments[5]), call.arguments[6], &words);
	relay_close(tunnel, (enum ended_by)int_of(env, call.arguments[2]),
	            (enum end_reason)int_of(env, call.arguments[3]),
	            limit_of(env, call.arguments[4]), &words);
	return make_undefined(env);
}

/* read(relay, id): fills the array of readings */
static napi_value read_tunnel(napi_env env, napi_callback_info info)
{
	struct call call;
	struct reading reading;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel == NULL)
		return NULL;
	relay_read(tunnel, &reading);
	fill_reading(call.addon, &reading);
	return make_undefined(env);
}

/* bytes(relay, id, side) */
static napi_value bytes(napi_env env, napi_callback_info info)
{
	struct call call;
	struct tunnel *tunnel = read_tunnel_call(env, info, &call);

	if (tunnel == NULL)
		return NULL;
	return make_number(env, (double)tunnel_bytes(tunnel, side_of(env, call.arguments[2])));
}

bool add_calls(napi_env env, napi_value exports)
{
	const struct {
		const char *name;
		napi_callback function;
	} calls[] = {
		{"hear", hear},       {"dial", dial},
		{"proceed", proceed}, {"drop", drop},
		{"release", release}, {"open", open_tunnel},
		{"close", close_tunnel}, {"read", read_tunnel},
		{"bytes", bytes},
	};

	for (size_t index = 0; index < sizeof calls / sizeof *calls; index++) {
		if (!add_function(env, exports, calls[index].name, calls[index].function))
			return false;
	}
	return true;
}
