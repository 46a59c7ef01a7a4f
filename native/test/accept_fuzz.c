/*
 * The input is a schedule of what a few clients, their endpoints and the owner do. Whatever it is, no byte comes to
 * somebody whose it is not, those of a tunnel that nobody breaks arrive all, and each client ends once.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "accept.h"
#include "accept_visitor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define VISITORS 4
/* For what is still on its way at the end, a millisecond each. */
#define LOOKS_MAX 5000

static struct door door;
static int listener;
static struct dial_request endpoint;
static struct dial_request nobody;
/* The last one is for who comes last. */
static struct visitor visitors[VISITORS + 1];

static void let_go(struct visitor *visitor)
{
	relay_close(visitor->tunnel, BY_ADMIN, REASON_CALLER, 0, NULL);
	visitor->phase = PHASE_LET_GO;
	visitor->is_broken = true;
}

/* A socket of the owner's: what is still in it belongs to the peer at that side. */
static void look_into(struct visitor *visitor, enum side side, int fd)
{
	char bytes[BYTES_MAX];
	ssize_t got;

	while ((got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
		visitor_check(visitor, side, bytes, (size_t)got);
	(void)close(fd);
	visitor->is_broken = true;
}

static void release_client(struct visitor *visitor)
{
	if (visitor->is_released)
		return;
	look_into(visitor, SIDE_CLIENT, relay_release(visitor->tunnel, SIDE_CLIENT));
	visitor->is_released = true;
	if (visitor->phase != PHASE_ANSWERED)
		visitor->phase = PHASE_LET_GO;
}

static void release_both(struct visitor *visitor)
{
	look_into(visitor, SIDE_UPSTREAM, relay_release(visitor->tunnel, SIDE_UPSTREAM));
	release_client(visitor);
	visitor->phase = PHASE_LET_GO;
}

static void dial_visitor(struct visitor *visitor, uint8_t argument)
{
	bool is_vain = argument % 4 == 0;
	struct dial_request request = is_vain ? nobody : endpoint;

	if (visitor->is_released)
		return;
	if (visitor->phase == PHASE_ANSWERED)
		relay_drop(visitor->tunnel);
	visitor_leave(visitor, SIDE_UPSTREAM, false);
	visitor->is_broken = visitor->peers[SIDE_CLIENT] < 0;
	visitor->has_fin[SIDE_UPSTREAM] = is_vain;
	visitor->written[SIDE_UPSTREAM] = 0;
	visitor->arrived[SIDE_UPSTREAM] = 0;
	request.tunnel = visitor->tunnel;
	CHECK(dial(&door.rig, &request, NO_LIMIT, NO_LIMIT) == visitor->tunnel);
	visitor->phase = PHASE_DIALING;
	if (argument % 8 == 1)
		let_go(visitor);
	if (is_vain)
		return;
	visitor->peers[SIDE_UPSTREAM] = accept_from(listener);
	expect(visitor->peers[SIDE_UPSTREAM], REQUEST);
	set_blocking(visitor->peers[SIDE_UPSTREAM], false);
}

/* In place, or with a client that is released and given back in one go. */
static void open_visitor(struct visitor *visitor, uint8_t argument)
{
	struct open_request request = plain_request();
	int error = 0;

	if (visitor->is_released)
		return;
	request.fds[SIDE_CLIENT] = -1;
	request.fds[SIDE_UPSTREAM] = -1;
	if (argument % 2 == 0) {
		request.fds[SIDE_CLIENT] =
			relay_release(visitor->tunnel, SIDE_CLIENT);
		visitor->is_released = true;
	}
	CHECK(relay_open(door.rig.relay, visitor->tunnel, &request, &error) == visitor->tunnel);
	if (request.fds[SIDE_CLIENT] >= 0)
		(void)close(request.fds[SIDE_CLIENT]);
	visitor->phase = PHASE_OPEN;
}

static void on_last(struct visitor *visitor)
{
	CHECK(visitor->phase == PHASE_LET_GO || visitor->phase == PHASE_OPEN ||
	      visitor->phase == PHASE_DIALING);
	if (visitor->is_released)
		relay_leave(door.listener, &visitor->address);
	for (unsigned side = 0; side < SIDES; side++) {
		(void)visitor_read(visitor, (enum side)side);
		visitor_leave(visitor, (enum side)side, false);
	}
	visitor_clear(visitor);
}

/* By its tunnel, or a new one by what it says. */
static struct visitor *visitor_of(const struct event *event)
{
	struct tunnel *tunnel = relay_tunnel(door.rig.relay, event->id);
	struct visitor *visitor = visitors;

	if (event->is_first) {
		CHECK(event->bytes != NULL && event->bytes->end > 0);
		visitor += event->bytes->bytes[0] - '0';
		CHECK(visitor <= visitors + VISITORS);
		CHECK_EQUAL(visitor->phase, PHASE_COMING);
		visitor->tunnel = tunnel;
		visitor->address = event->peer;
		visitor->phase = PHASE_HEARING;
	}
	while (visitor <= visitors + VISITORS && (visitor->tunnel != tunnel || visitor->phase == PHASE_COMING))
		visitor++;
	CHECK(visitor <= visitors + VISITORS && visitor->phase != PHASE_NONE);
	return visitor;
}

static void on_said(struct visitor *visitor, const struct event *event)
{
	bool is_request = event->kind == EVENT_REQUEST;
	enum side side = is_request ? SIDE_CLIENT : SIDE_UPSTREAM;

	CHECK(event->bytes != NULL || event->fin);
	if (event->bytes != NULL && (is_request || visitor->phase == PHASE_DIALING))
		visitor_check(visitor, side, event->bytes->bytes, event->bytes->end);
	hold_free(event->bytes);
	CHECK(!event->fin || visitor->has_fin[side]);
	if (visitor->phase == PHASE_LET_GO || visitor->phase == PHASE_DROPPED)
		return;
	CHECK_EQUAL(visitor->phase, is_request ? PHASE_HEARING : PHASE_DIALING);
	visitor->phase = is_request ? PHASE_ASKED : PHASE_ANSWERED;
}

static void on_event(const struct event *event)
{
	struct visitor *visitor = visitor_of(event);

	switch (event->kind) {
	case EVENT_REQUEST:
	case EVENT_ANSWER:
		on_said(visitor, event);
		break;
	case EVENT_FIN:
		CHECK(visitor->has_fin[SIDE_CLIENT] && !visitor->told_fin);
		visitor->told_fin = true;
		break;
	case EVENT_RESET:
		CHECK(visitor->peers[SIDE_CLIENT] < 0 && !visitor->told_reset);
		visitor->told_reset = true;
		break;
	case EVENT_FAILED:
		if (!event->is_last && visitor->phase == PHASE_DIALING)
			visitor->phase = PHASE_ASKED;
		break;
	case EVENT_ENDED:
		CHECK(event->is_last);
		break;
	case EVENT_LATE:
		CHECK(false);
		break;
	}
	if (event->is_last)
		on_last(visitor);
}

static bool take_one(void)
{
	struct event event;

	if (!relay_take(door.rig.relay, &event))
		return false;
	on_event(&event);
	return true;
}

static void await_one(void)
{
	eventfd_t ignored;

	while (!take_one()) {
		await_input(door.rig.notified_fd);
		CHECK_EQUAL(eventfd_read(door.rig.notified_fd, &ignored), 0);
	}
}

/* Waits for what has to be told. */
static void await_due(const struct visitor *visitor)
{
	while ((visitor->phase == PHASE_COMING && visitor->written[SIDE_CLIENT] > 0 &&
	        visitor->peers[SIDE_CLIENT] >= 0) ||
	       (visitor->phase == PHASE_HEARING && visitor->has_fin[SIDE_CLIENT] && !visitor->told_reset) ||
	       (visitor->phase == PHASE_DIALING && visitor->has_fin[SIDE_UPSTREAM]) ||
	       visitor->phase == PHASE_LET_GO)
		await_one();
}

static void ask(struct visitor *visitor, uint8_t operation, uint8_t argument)
{
	bool is_asked = visitor->phase == PHASE_ASKED || visitor->phase == PHASE_ANSWERED;

	if (operation == 10 && visitor->phase == PHASE_ASKED) {
		visitor->phase = PHASE_HEARING;
		relay_hear(visitor->tunnel);
	} else if (operation == 11 && is_asked) {
		dial_visitor(visitor, argument);
	} else if (operation == 12 && visitor->phase == PHASE_ANSWERED) {
		visitor->phase = PHASE_DIALING;
		relay_proceed(visitor->tunnel, argument % 2 == 0);
	} else if (operation == 13 && visitor->phase == PHASE_DIALING) {
		visitor->phase = visitor->is_released ? PHASE_LET_GO : PHASE_DROPPED;
		visitor->is_broken = true;
		relay_drop(visitor->tunnel);
	} else if (operation == 14 && visitor->phase == PHASE_ANSWERED && argument % 2 == 0) {
		release_both(visitor);
	} else if (operation == 14 && (is_asked || visitor->phase == PHASE_DROPPED)) {
		release_client(visitor);
	} else if (operation == 15 && visitor->phase == PHASE_ANSWERED && argument % 4 != 0) {
		open_visitor(visitor, argument);
	} else if (operation == 15 && visitor->phase > PHASE_COMING && visitor->phase != PHASE_LET_GO) {
		let_go(visitor);
	}
}

static void run(struct visitor *visitor, uint8_t operation, uint8_t argument)
{
	enum side side = operation % 2 == 0 ? SIDE_CLIENT : SIDE_UPSTREAM;

	switch (operation) {
	case 0:
		if (visitor->phase != PHASE_NONE)
			break;
		visitor_come(visitor, &door);
		break;
	case 1:
		while (take_one())
			continue;
		break;
	case 2:
	case 3:
		visitor_write(visitor, side, (size_t)argument % 64 << argument % 7);
		break;
	case 4:
	case 5:
		visitor_half_close(visitor, side);
		break;
	case 6:
	case 7:
		visitor_leave(visitor, side, argument % 2 == 0);
		break;
	case 8:
		await_due(visitor);
		break;
	case 9:
		for (unsigned each = 0; each < SIDES; each++)
			(void)visitor_read(visitor, (enum side)each);
		break;
	default:
		ask(visitor, operation, argument);
		break;
	}
}

/* Brings a tunnel that is whole to its end by FINs, and every other one in any way. */
static void finish(struct visitor *visitor)
{
	bool is_whole = visitor->phase == PHASE_OPEN && !visitor->is_broken;

	if (is_whole) {
		for (unsigned side = 0; side < SIDES; side++)
			visitor_half_close(visitor, (enum side)side);
		for (unsigned side = 0; side < SIDES; side++) {
			while (visitor_read(visitor, (enum side)side))
				await_input(visitor->peers[side]);
		}
		for (unsigned side = 0; side < SIDES; side++)
			CHECK_EQUAL(visitor->arrived[side], visitor->written[side]);
	} else if (visitor->phase > PHASE_COMING && visitor->phase != PHASE_LET_GO) {
		let_go(visitor);
	}
	while (visitor->phase > PHASE_COMING)
		await_one();
	visitor_leave(visitor, SIDE_CLIENT, false);
}

/* A client that comes now is accepted when all that came before it have been. */
static void knock_last(void)
{
	struct visitor *visitor = &visitors[VISITORS];

	visitor_come(visitor, &door);
	visitor_write(visitor, SIDE_CLIENT, 1);
	await_due(visitor);
}

/* Brings all to their ends: some clients are told of only now, and others leave without a word. */
static void finish_all(size_t descriptors)
{
	struct pollfd poller = {.fd = door.rig.notified_fd, .events = POLLIN};
	eventfd_t ignored;

	knock_last();
	for (unsigned count = 0; count < LOOKS_MAX; count++) {
		for (unsigned index = 0; index <= VISITORS; index++)
			finish(&visitors[index]);
		while (take_one())
			continue;
		if (door_clients(&door) == 0 &&
		    count_descriptors() == descriptors)
			break;
		if (poll(&poller, 1, 1) == 1)
			CHECK_EQUAL(eventfd_read(door.rig.notified_fd, &ignored), 0);
	}
	CHECK_EQUAL(door_clients(&door), 0);
	CHECK_EQUAL(count_descriptors(), descriptors);
	CHECK(!take_one());
	for (unsigned index = 0; index <= VISITORS; index++)
		visitor_clear(&visitors[index]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	size_t descriptors;

	if (door.rig.relay == NULL) {
		(void)close(listen_at(UNIX, VISITORS, &nobody));
		listener = listen_at(UNIX, VISITORS, &endpoint);
		door_open(&door, 2, NO_LIMIT, NO_LIMIT);
		for (unsigned index = 0; index <= VISITORS; index++) {
			visitors[index].number = index;
			visitor_clear(&visitors[index]);
		}
	}
	descriptors = count_descriptors();
	for (size_t at = 0; at + 2 <= length; at += 2)
		run(&visitors[data[at] >> 4 & (VISITORS - 1)], data[at] & 15, data[at + 1]);
	finish_all(descriptors);
	return 0;
}
