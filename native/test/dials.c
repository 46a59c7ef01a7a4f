#include "dials.h"

#include <unistd.h>

struct tunnel *dial(struct rig *rig, const struct dial_request *endpoint, uint64_t connect_ms,
                           uint64_t handshake_ms)
{
	struct dial_request request = *endpoint;
	struct tunnel *tunnel;

	request.head = hold_text(REQUEST);
	request.connect_ms = connect_ms;
	request.handshake_ms = handshake_ms;
	tunnel = relay_dial(rig->relay, &request);
	CHECK(tunnel != NULL);
	return tunnel;
}

struct tunnel *dial_endpoint(struct rig *rig, enum transport transport, uint64_t handshake_ms,
                             int *endpoint)
{
	struct dial_request request;
	int listener = listen_at(transport, 8, &request);
	struct tunnel *tunnel = dial(rig, &request, NO_LIMIT, handshake_ms);

	*endpoint = accept_from(listener);
	(void)close(listener);
	expect(*endpoint, REQUEST);
	return tunnel;
}

void await_bytes(struct rig *rig, const struct tunnel *tunnel, const char *text)
{
	struct event event = await_event(rig);

	CHECK_EQUAL(event.kind, EVENT_ANSWER);
	CHECK_EQUAL(event.id, tunnel_id(tunnel));
	CHECK_EQUAL(event.fin, text == NULL);
	take_text(event.bytes, text);
}

void await_failure(struct rig *rig, enum dial_stage stage, bool timed_out, int error)
{
	struct event event = await_event(rig);

	CHECK_EQUAL(event.kind, EVENT_FAILED);
	CHECK_EQUAL(event.stage, stage);
	CHECK_EQUAL(event.timed_out, timed_out);
	CHECK_EQUAL(event.error, error);
}

int listen_in_vain(enum transport transport, struct dial_request *request, int *filler)
{
	int listener = listen_at(transport, 0, request);

	*filler = connect_to(request, 0);
	return listener;
}
