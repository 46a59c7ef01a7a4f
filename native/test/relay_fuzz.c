/*
 * The input is a schedule of what the owner and the peers of a few tunnels do. Whatever it is, bytes arrive in order,
 * those of a tunnel that nobody breaks arrive all, without being asked for twice, and each tunnel ends once.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz_slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define SLOTS 4
#define BUFFER_BYTES 4096
#define HEAD "HEAD"

static struct rig rig;
static struct slot slots[SLOTS];
static struct dial_request endpoint;
static int listener;

/* Bytes of a stream in a block of their own. */
static struct hold *hold_of(enum side from, uint64_t offset, size_t length)
{
	struct hold *hold = hold_new(length);

	CHECK(hold != NULL);
	for (size_t index = 0; index < length; index++)
		hold->bytes[index] = pattern(from, offset + index);
	return hold;
}

static int new_pair(struct slot *slot, enum side side)
{
	int fds[2];

	CHECK_EQUAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	/* The least there is, so that much is held. */
	set_buffers(fds[0], 1);
	set_buffers(fds[1], 1);
	slot->peers[side] = fds[0];
	return fds[1];
}

/* Opens between two new peers, or a new client and what was dialed; the first bytes are part of the streams. */
static void open_slot(struct slot *slot, uint8_t argument)
{
	bool is_dialed = slot->phase == PHASE_ANSWER;
	struct open_request request = plain_request();
	size_t up = argument & 15U;
	uint64_t down = is_dialed ? slot->answered : argument >> 4;
	int error = 0;

	if (!is_dialed)
		*slot = (struct slot){.peers = {-1, -1}};
	request.fds[SIDE_CLIENT] = new_pair(slot, SIDE_CLIENT);
	request.fds[SIDE_UPSTREAM] = is_dialed ? -1 : new_pair(slot, SIDE_UPSTREAM);
	request.to[SIDE_UPSTREAM] = up == 0 ? NULL : hold_of(SIDE_CLIENT, 0, up);
	request.to[SIDE_CLIENT] = down == 0 ? NULL : hold_of(SIDE_UPSTREAM, 0, (size_t)down);
	request.read_bytes[SIDE_CLIENT] = up;
	request.read_bytes[SIDE_UPSTREAM] = down;
	slot->written[SIDE_CLIENT] = up;
	if (!is_dialed)
		slot->written[SIDE_UPSTREAM] = down;
	slot->tunnel = relay_open(rig.relay, slot->tunnel, &request, &error);
	CHECK(slot->tunnel != NULL);
	slot->phase = PHASE_OPEN;
	(void)close(request.fds[SIDE_CLIENT]);
	if (!is_dialed)
		(void)close(request.fds[SIDE_UPSTREAM]);
}

static void close_slot(struct slot *slot, uint64_t grace_ms)
{
	if (slot->phase == PHASE_NONE || slot->phase == PHASE_RELEASED)
		return;
	slot->is_broken = true;
	slot->is_closed = true;
	relay_close(slot->tunnel, BY_ADMIN, REASON_CALLER, grace_ms, NULL);
}

static void dial_slot(struct slot *slot, uint8_t argument)
{
	struct dial_request request = endpoint;

	*slot = (struct slot){.phase = PHASE_DIAL, .peers = {-1, -1}, .head_left = HEAD_BYTES};
	request.head = hold_text(HEAD);
	request.connect_ms = NO_LIMIT;
	request.handshake_ms = NO_LIMIT;
	slot->tunnel = relay_dial(rig.relay, &request);
	CHECK(slot->tunnel != NULL);
	if (argument % 8 == 0)
		close_slot(slot, 0);
	slot->peers[SIDE_UPSTREAM] = accept_from(listener);
	set_blocking(slot->peers[SIDE_UPSTREAM], false);
	set_buffers(slot->peers[SIDE_UPSTREAM], 1);
}

static void release_slot(struct slot *slot)
{
	int fd = relay_release(slot->tunnel, SIDE_UPSTREAM);
	unsigned char bytes[4096];
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0) {
		check_pattern(bytes, (size_t)got, SIDE_UPSTREAM, slot->answered);
		slot->answered += (uint64_t)got;
	}
	CHECK(got == 0 || errno == EAGAIN || slot->is_broken);
	CHECK(slot->is_broken || slot->answered == slot->written[SIDE_UPSTREAM]);
	(void)close(fd);
	slot->phase = PHASE_RELEASED;
	slot->is_broken = true;
}

static void on_bytes(struct slot *slot, struct hold *answer, bool fin)
{
	size_t length = answer == NULL ? 0 : answer->end;

	CHECK(slot->phase == PHASE_DIAL);
	CHECK(length > 0 || fin);
	CHECK(!fin || slot->has_fin[SIDE_UPSTREAM]);
	if (length > 0)
		check_pattern(answer->bytes, length, SIDE_UPSTREAM, slot->answered);
	slot->answered += length;
	CHECK(slot->answered <= slot->written[SIDE_UPSTREAM]);
	hold_free(answer);
	/* What was closed has nothing more to be asked. */
	if (!slot->is_closed)
		slot->phase = PHASE_ANSWER;
}

static void on_ended(struct slot *slot, const struct event *event)
{
	bool is_whole = !slot->is_broken;

	if (slot->phase == PHASE_OPEN) {
		for (unsigned side = 0; side < SIDES; side++)
			CHECK(event->reading.read_bytes[side] <= slot->written[side]);
	}
	if (is_whole) {
		CHECK(slot->phase == PHASE_OPEN);
		CHECK(slot->has_fin[SIDE_CLIENT] && slot->has_fin[SIDE_UPSTREAM]);
		CHECK_EQUAL(event->reason, REASON_EOF);
	}
	for (unsigned side = 0; side < SIDES; side++) {
		while (is_whole && slot_read(slot, (enum side)side, BYTES_MAX))
			continue;
		if (is_whole)
			CHECK_EQUAL(event->reading.read_bytes[side], slot->written[side]);
	}
	slot_leave(slot, SIDE_CLIENT);
	slot_leave(slot, SIDE_UPSTREAM);
	slot->phase = PHASE_NONE;
}

/* False when there is no event. */
static bool take_one(void)
{
	struct event event;
	struct slot *slot = slots;

	if (!relay_take(rig.relay, &event))
		return false;
	while (slot->phase == PHASE_NONE || tunnel_id(slot->tunnel) != event.id)
		CHECK(++slot < slots + SLOTS);
	switch (event.kind) {
	case EVENT_ANSWER:
		on_bytes(slot, event.bytes, event.fin);
		break;
	case EVENT_FAILED:
		CHECK(slot->phase == PHASE_DIAL);
		CHECK(slot->is_broken && !event.timed_out);
		on_ended(slot, &event);
		break;
	case EVENT_ENDED:
		on_ended(slot, &event);
		break;
	case EVENT_REQUEST:
	case EVENT_LATE:
	case EVENT_FIN:
	case EVENT_RESET:
		/* Nobody listens here. */
		CHECK(false);
		break;
	}
	return true;
}

static void await_one(void)
{
	eventfd_t ignored;

	while (!take_one()) {
		await_input(rig.notified_fd);
		CHECK_EQUAL(eventfd_read(rig.notified_fd, &ignored), 0);
	}
}

/* Waits for what an answer, or its end, has to bring. */
static void await_answer(const struct slot *slot)
{
	bool is_sent = slot->written[SIDE_UPSTREAM] > slot->answered || slot->has_fin[SIDE_UPSTREAM];

	while (slot->phase == PHASE_DIAL && (is_sent || slot->is_closed))
		await_one();
}

static void on_answer(struct slot *slot, uint8_t operation, uint8_t argument)
{
	if (slot->phase != PHASE_ANSWER || slot->is_closed)
		return;
	switch (operation) {
	case 13:
		slot->phase = PHASE_DIAL;
		relay_proceed(slot->tunnel, argument % 2 == 0);
		break;
	case 14:
		release_slot(slot);
		break;
	default:
		open_slot(slot, argument);
		break;
	}
}

static void run(struct slot *slot, uint8_t operation, uint8_t argument)
{
	enum side side = operation % 2 == 0 ? SIDE_CLIENT : SIDE_UPSTREAM;
	size_t length = (argument & 15U) << (argument >> 4) % 13;

	switch (operation) {
	case 0:
	case 1:
		if (slot->phase == PHASE_NONE)
			(operation == 0 ? open_slot : dial_slot)(slot, argument);
		break;
	case 2:
	case 3:
		slot_write(slot, side, length);
		break;
	case 4:
	case 5:
		(void)slot_read(slot, side, length);
		break;
	case 6:
	case 7:
		slot_half_close(slot, side);
		break;
	case 8:
	case 9:
		slot_leave(slot, side);
		break;
	case 10:
		close_slot(slot, argument % 4 == 0 ? NO_LIMIT : argument % 4 - 1U);
		break;
	case 11:
		while (take_one())
			continue;
		break;
	case 12:
		await_answer(slot);
		break;
	default:
		on_answer(slot, operation, argument);
		break;
	}
}

/* Brings a tunnel to its end: one that is whole by the FINs of both, once all has arrived. */
static void finish(struct slot *slot)
{
	if (slot->phase == PHASE_DIAL || slot->phase == PHASE_ANSWER)
		close_slot(slot, 0);
	if (slot->is_broken) {
		slot_leave(slot, SIDE_CLIENT);
		slot_leave(slot, SIDE_UPSTREAM);
	}
	slot_half_close(slot, SIDE_CLIENT);
	slot_half_close(slot, SIDE_UPSTREAM);
	while (slot->phase == PHASE_OPEN && !slot->is_broken &&
	       (slot->arrived[SIDE_CLIENT] < slot->written[SIDE_CLIENT] ||
	        slot->arrived[SIDE_UPSTREAM] < slot->written[SIDE_UPSTREAM])) {
		for (unsigned side = 0; side < SIDES; side++) {
			if (slot->arrived[1 - side] < slot->written[1 - side])
				(void)slot_read(slot, (enum side)side, BYTES_MAX);
		}
	}
	while (slot->phase != PHASE_NONE)
		await_one();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	size_t descriptors;

	if (rig.relay == NULL) {
		listener = listen_at(UNIX, SLOTS, &endpoint);
		rig_start(&rig, 1, BUFFER_BYTES);
		for (unsigned index = 0; index < SLOTS; index++)
			slots[index] = (struct slot){.peers = {-1, -1}};
	}
	descriptors = count_descriptors();
	for (size_t at = 0; at + 2 <= length; at += 2)
		run(&slots[data[at] >> 4 & (SLOTS - 1)], data[at] & 15, data[at + 1]);
	for (unsigned index = 0; index < SLOTS; index++)
		finish(&slots[index]);
	CHECK(!take_one());
	CHECK_EQUAL(count_descriptors(), descriptors);
	return 0;
}
