/* Thousands of clients that connect, ask, reset, stall and leave at random, served by all threads at once. */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "accept_crowd.h"
#include "parts.h"

#define CLIENTS 6000
#define AT_ONCE 150
#define IDS_MAX 2048
#define TOUCHES 16
#define HEAD_MS 30

/* What may be asked for a client. */
enum stage { STAGE_NONE, STAGE_ASKED, STAGE_DIALED, STAGE_ANSWERED, STAGE_OPEN, STAGE_LET_GO };

struct known {
	struct tunnel *tunnel;
	enum stage stage;
	struct hold *request;
	struct hold *answer;
	bool has_fin;
	bool has_reset;
	/* Its socket was released, and its place is given back at the end. */
	bool has_left;
};

static struct door door;
static struct crowd crowd;
static struct dial_request endpoint;
static struct dial_request nobody;
static struct known all[IDS_MAX];
static uint64_t seed = 23;
static unsigned alive;
static unsigned told;
static unsigned opened;
static uint32_t highest_id;

static bool chance(unsigned in)
{
	return draw(&seed) % in == 0;
}

static void append(struct hold **held, struct hold *more)
{
	struct hold *before = *held;
	size_t length = before == NULL ? 0 : before->end;

	if (more == NULL)
		return;
	*held = hold_new(length + more->end);
	CHECK(*held != NULL);
	if (before != NULL)
		memcpy((*held)->bytes, before->bytes, length);
	memcpy((*held)->bytes + length, more->bytes, more->end);
	hold_free(before);
	hold_free(more);
}

static void let_go(struct known *known)
{
	relay_close(known->tunnel, BY_ADMIN, REASON_CALLER, draw(&seed) % 4, NULL);
	known->stage = STAGE_LET_GO;
}

static void release_client(struct known *known)
{
	(void)close(relay_release(known->tunnel, SIDE_CLIENT));
	known->has_left = true;
	known->stage = STAGE_LET_GO;
}

static void dial_known(struct known *known)
{
	struct dial_request request = chance(8) ? nobody : endpoint;

	request.tunnel = known->tunnel;
	request.head = hold_new(CREW_HEAD_BYTES);
	CHECK(request.head != NULL);
	memcpy(request.head->bytes, known->request->bytes, CREW_HEAD_BYTES);
	request.connect_ms = NO_LIMIT;
	request.handshake_ms = chance(8) ? draw(&seed) % 8 : NO_LIMIT;
	hold_free(known->answer);
	known->answer = NULL;
	CHECK(relay_dial(door.rig.relay, &request) == known->tunnel);
	known->stage = STAGE_DIALED;
}

static struct hold *behind(const struct hold *from, size_t skipped)
{
	struct hold *hold;

	if (from == NULL || from->end == skipped)
		return NULL;
	hold = hold_new(from->end - skipped);
	CHECK(hold != NULL);
	memcpy(hold->bytes, from->bytes + skipped, from->end - skipped);
	return hold;
}

/* Both sides in place, or the client's descriptor released and given back in one go. */
static void open_known(struct known *known)
{
	struct open_request request =
		chance(8) ? request_within(NO_LIMIT, draw(&seed) % 32) : plain_request();
	int error = 0;

	request.to[SIDE_UPSTREAM] = behind(known->request, CREW_HEAD_BYTES);
	request.to[SIDE_CLIENT] = behind(known->answer, 1);
	request.read_bytes[SIDE_CLIENT] = known->request->end - CREW_HEAD_BYTES;
	request.read_bytes[SIDE_UPSTREAM] = known->answer->end - 1;
	if (chance(4)) {
		request.fds[SIDE_CLIENT] = relay_release(known->tunnel, SIDE_CLIENT);
		known->has_left = true;
	}
	CHECK(relay_open(door.rig.relay, known->tunnel, &request, &error) == known->tunnel);
	relay_policy_drop(request.policy);
	if (request.fds[SIDE_CLIENT] >= 0)
		(void)close(request.fds[SIDE_CLIENT]);
	known->stage = STAGE_OPEN;
	opened++;
}

static void on_request(struct known *known, const struct event *event)
{
	bool is_whole;

	CHECK_EQUAL(event->is_first, known->stage == STAGE_NONE);
	CHECK(event->is_first || known->stage == STAGE_ASKED || known->stage == STAGE_LET_GO);
	append(&known->request, event->bytes);
	if (known->stage == STAGE_LET_GO)
		return;
	known->stage = STAGE_ASKED;
	is_whole = known->request != NULL && known->request->end >= CREW_HEAD_BYTES;
	switch (draw(&seed) % 16) {
	case 0:
		let_go(known);
		break;
	case 1:
		release_client(known);
		break;
	default:
		if (is_whole)
			dial_known(known);
		else if (event->fin)
			let_go(known);
		else
			relay_hear(known->tunnel);
		break;
	}
}

static void on_answer(struct known *known, const struct event *event)
{
	append(&known->answer, event->bytes);
	if (known->stage == STAGE_LET_GO)
		return;
	CHECK_EQUAL(known->stage, STAGE_DIALED);
	switch (draw(&seed) % 8) {
	case 0:
		(void)close(relay_release(known->tunnel, SIDE_UPSTREAM));
		release_client(known);
		break;
	case 1:
		let_go(known);
		break;
	case 2:
		relay_drop(known->tunnel);
		dial_known(known);
		break;
	case 3:
		if (!event->fin) {
			relay_proceed(known->tunnel, chance(2));
			break;
		}
		__attribute__((fallthrough));
	default:
		if (known->answer == NULL)
			let_go(known);
		else
			open_known(known);
		break;
	}
}

static void on_word(struct known *known, enum event_kind kind)
{
	CHECK(known->stage != STAGE_NONE);
	if (kind == EVENT_FIN) {
		CHECK(!known->has_fin);
		known->has_fin = true;
	} else if (kind == EVENT_RESET) {
		CHECK(!known->has_reset);
		known->has_reset = true;
	}
	/* It may have been on its way when the tunnel was opened. */
	if (known->stage == STAGE_LET_GO || known->stage == STAGE_OPEN)
		return;
	if (kind == EVENT_LATE && chance(2))
		release_client(known);
	else if (kind != EVENT_FIN || chance(4))
		let_go(known);
}

/* The end, or the failure of a dropped dial whose client was released. */
static void on_last(struct known *known)
{
	CHECK(known->stage == STAGE_OPEN || known->stage == STAGE_LET_GO);
	if (known->has_left)
		door_leave(&door, 1);
	hold_free(known->request);
	hold_free(known->answer);
	*known = (struct known){0};
	alive--;
}

static void take_events(void)
{
	struct event event;

	while (relay_take(door.rig.relay, &event)) {
		struct known *known = &all[event.id];

		CHECK(event.id < IDS_MAX);
		CHECK_EQUAL(event.is_first, known->tunnel == NULL);
		if (event.is_first) {
			known->tunnel = relay_tunnel(door.rig.relay, event.id);
			if (event.id > highest_id)
				highest_id = event.id;
			alive++;
			told++;
		}
		if (event.kind == EVENT_REQUEST)
			on_request(known, &event);
		else if (event.kind == EVENT_ANSWER)
			on_answer(known, &event);
		else if (event.is_last)
			on_last(known);
		else if (event.kind == EVENT_ENDED)
			fail(__FILE__, __LINE__, "an end that is not the last event");
		else if (event.kind != EVENT_FAILED)
			on_word(known, event.kind);
		else if (known->stage != STAGE_LET_GO && chance(2))
			dial_known(known);
		else if (known->stage != STAGE_LET_GO)
			let_go(known);
	}
}

/* What an owner may do at any time. */
static void touch(bool is_last)
{
	struct known *known = &all[draw(&seed) % (highest_id + 1)];

	if (known->tunnel == NULL || known->stage == STAGE_LET_GO || (!is_last && !chance(32)))
		return;
	if (known->stage == STAGE_DIALED && chance(2)) {
		relay_drop(known->tunnel);
		if (chance(2)) {
			release_client(known);
			return;
		}
	}
	let_go(known);
}

static bool is_over(void)
{
	return crowd_is_gone(&crowd) && crowd.begun == CLIENTS && alive == 0 &&
	       door_clients(&door) == 0;
}

static void blow(void)
{
	struct pollfd poller = {.fd = door.rig.notified_fd, .events = POLLIN};
	eventfd_t ignored;

	while (!is_over()) {
		for (unsigned count = 0; count < TOUCHES; count++) {
			if (crowd.begun < CLIENTS && atomic_load(&crowd.crew.peers) < 2 * AT_ONCE)
				crowd_come(&crowd, &door);
			touch(crowd.begun == CLIENTS);
		}
		take_events();
		if (poll(&poller, 1, 1) == 1)
			CHECK_EQUAL(eventfd_read(door.rig.notified_fd, &ignored), 0);
	}
}

static void each_client_ends_once(void)
{
	struct rlimit limit;
	struct event event;
	int listener = listen_at(TCP, 4096, &endpoint);

	(void)close(listen_at(TCP, 1, &nobody));
	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	door_open(&door, 3, HEAD_MS, AT_ONCE);
	crowd_start(&crowd, 1, listener);
	blow();
	printf("# %u clients, %u asked, %u tunnels\n", crowd.begun, told, opened);
	CHECK(!relay_take(door.rig.relay, &event));
	door_close(&door);
	crowd_stop(&crowd);
}

int main(void)
{
	const struct test tests[] = {
		{"each of thousands of clients ends once, and its place is free again",
		 each_client_ends_once},
	};

	return RUN_TESTS(tests);
}
