#include "closings.h"

#include "stream.h"

const struct close_words closing_words = {.code = 1001, .length = 4, .text = "soon"};

struct relay_policy frames_policy(void)
{
	struct relay_policy policy = plain_policy();

	policy.frames = true;
	policy.idle = (struct close_words){.code = 1001, .length = 4, .text = "idle"};
	policy.lifetime = (struct close_words){.code = 1012};
	return policy;
}

struct joint join_frames(struct rig *rig, enum transport transport)
{
	struct relay_policy policy = frames_policy();

	return join_with(rig, transport, transport, request_with(&policy));
}

void drain(const struct joint *joint, uint64_t timeout_ms)
{
	relay_close(joint->tunnel, BY_ADMIN, REASON_DRAIN, timeout_ms, &closing_words);
}

void end_as_drained(struct rig *rig, const struct joint *joint, enum ended_by close_by, uint16_t code)
{
	struct event event = await_end(rig);

	check_end(&event, BY_ADMIN, REASON_DRAIN);
	CHECK_EQUAL(event.reading.close_by, close_by);
	CHECK_EQUAL(event.reading.close_code, code);
	close_peers(joint);
}

void agree(const struct joint *joint, enum side side)
{
	expect_close(joint->peers[side], side, closing_words.code, "soon");
	put_close(joint->peers[side], side, closing_words.code);
	expect_fin(joint->peers[side]);
	send_fin(joint->peers[side]);
}

void pass(const struct joint *joint, enum side from, const struct bytes *bytes)
{
	put_bytes(joint->peers[from], bytes);
	expect_bytes(joint->peers[other(from)], bytes);
}
