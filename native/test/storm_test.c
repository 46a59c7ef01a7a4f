/* Thousands of tunnels that are opened, dialed, used, closed and broken at random, by all threads at once. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crew.h"

#define TUNNELS 8000
#define AT_ONCE 200
/* Tunnels are numbered by how many there are at once. */
#define IDS_MAX 2048
#define CREWS 2
#define TOUCHES 16

/* What the owner knows of a tunnel. */
struct known {
	struct tunnel *tunnel;
	bool is_dial;
	/* Nothing may be asked but a close. */
	bool is_let_go;
	/* Of a dial: the relay's socket of the client, and what was answered so far. */
	int client;
	struct hold *answer;
	uint64_t seen[SIDES];
};

struct storm {
	struct rig rig;
	struct crew crews[CREWS];
	struct dial_request endpoint;
	uint64_t seed;
	struct known known[IDS_MAX];
	unsigned begun;
	unsigned alive;
	unsigned ended;
};

static struct known *know(struct storm *storm, struct tunnel *tunnel)
{
	struct known *known;

	CHECK(tunnel != NULL);
	CHECK(tunnel_id(tunnel) < IDS_MAX);
	known = &storm->known[tunnel_id(tunnel)];
	CHECK(known->tunnel == NULL);
	*known = (struct known){.tunnel = tunnel, .client = -1};
	storm->begun++;
	storm->alive++;
	return known;
}

static struct crew *any_crew(struct storm *storm)
{
	return &storm->crews[draw(&storm->seed) % CREWS];
}

static uint64_t any_limit(struct storm *storm)
{
	return draw(&storm->seed) % 8 == 0 ? draw(&storm->seed) % 64 : NO_LIMIT;
}

static int hire_peer(struct storm *storm, uint64_t writes, uint64_t reads)
{
	int fds[2];

	connect_pair((enum transport)(draw(&storm->seed) % TRANSPORTS), fds);
	set_blocking(fds[0], false);
	crew_hire(any_crew(storm), fds[0], writes, reads);
	return fds[1];
}

static void begin_open(struct storm *storm)
{
	struct open_request request = request_within(any_limit(storm), any_limit(storm));
	uint64_t up = draw(&storm->seed);
	uint64_t down = draw(&storm->seed);
	int error = 0;

	request.fds[SIDE_CLIENT] = hire_peer(storm, up, down);
	request.fds[SIDE_UPSTREAM] = hire_peer(storm, down, up);
	(void)know(storm, relay_open(storm->rig.relay, NULL, &request, &error));
	relay_policy_drop(request.policy);
	(void)close(request.fds[SIDE_CLIENT]);
	(void)close(request.fds[SIDE_UPSTREAM]);
}

static void begin_dial(struct storm *storm)
{
	struct dial_request request = storm->endpoint;
	struct known *known;
	uint64_t up = draw(&storm->seed);

	request.head = hold_new(CREW_HEAD_BYTES);
	CHECK(request.head != NULL);
	memcpy(request.head->bytes, &up, CREW_HEAD_BYTES);
	request.connect_ms = any_limit(storm);
	request.handshake_ms = any_limit(storm);
	known = know(storm, relay_dial(storm->rig.relay, &request));
	known->is_dial = true;
	known->client = hire_peer(storm, up, crew_answer_seed(up));
}

static void forget_dial(struct known *known)
{
	if (known->client >= 0)
		(void)close(known->client);
	known->client = -1;
	hold_free(known->answer);
	known->answer = NULL;
}

/* Adds to what was answered so far. */
static void append(struct known *known, struct hold *more)
{
	struct hold *before = known->answer;
	size_t length = before == NULL ? 0 : before->end;

	if (more == NULL)
		return;
	known->answer = hold_new(length + more->end);
	CHECK(known->answer != NULL);
	if (before != NULL)
		memcpy(known->answer->bytes, before->bytes, length);
	memcpy(known->answer->bytes + length, more->bytes, more->end);
	hold_free(before);
	hold_free(more);
}

static void open_dialed(struct storm *storm, struct known *known)
{
	struct open_request request = request_within(any_limit(storm), any_limit(storm));
	int error = 0;

	request.fds[SIDE_CLIENT] = known->client;
	request.fds[SIDE_UPSTREAM] = -1;
	if (known->answer != NULL) {
		CHECK_EQUAL(known->answer->bytes[0], CREW_ANSWER);
		known->answer->begin = 1;
		request.read_bytes[SIDE_UPSTREAM] = known->answer->end - 1;
	}
	request.to[SIDE_CLIENT] = known->answer;
	known->answer = NULL;
	CHECK(relay_open(storm->rig.relay, known->tunnel, &request, &error) == known->tunnel);
	relay_policy_drop(request.policy);
	known->is_dial = false;
	forget_dial(known);
}

static void on_bytes(struct storm *storm, struct known *known, const struct event *event)
{
	CHECK(known->is_dial);
	append(known, event->bytes);
	/* It was there before the close came to the thread. */
	if (known->is_let_go)
		return;
	switch (draw(&storm->seed) % 8) {
	case 0:
		(void)close(relay_release(known->tunnel, SIDE_UPSTREAM));
		known->is_let_go = true;
		break;
	case 1:
		relay_close(known->tunnel, BY_ADMIN, REASON_CALLER, 0, NULL);
		known->is_let_go = true;
		break;
	case 2:
	case 3:
		if (!event->fin) {
			relay_proceed(known->tunnel, draw(&storm->seed) % 2 == 0);
			break;
		}
		__attribute__((fallthrough));
	default:
		open_dialed(storm, known);
		break;
	}
}

static void take_events(struct storm *storm)
{
	struct event event;

	while (relay_take(storm->rig.relay, &event)) {
		struct known *known = &storm->known[event.id];

		CHECK(event.id < IDS_MAX);
		CHECK(known->tunnel != NULL);
		if (event.kind == EVENT_ANSWER) {
			on_bytes(storm, known, &event);
			continue;
		}
		CHECK(event.kind == EVENT_ENDED || known->is_dial);
		/* A close that came too late for a tunnel must not be one of the next that has its number. */
		CHECK(known->is_let_go || event.reason != REASON_CALLER);
		for (unsigned side = 0; side < SIDES && !known->is_dial; side++)
			CHECK(event.reading.read_bytes[side] >= known->seen[side]);
		forget_dial(known);
		known->tunnel = NULL;
		storm->alive--;
		storm->ended++;
	}
}

/* What an owner does with a tunnel that is there: count, and close it one day. */
static void touch(struct storm *storm)
{
	struct known *known = &storm->known[draw(&storm->seed) % (2 * AT_ONCE)];
	bool is_last = storm->begun == TUNNELS;
	uint64_t grace_ms = draw(&storm->seed) % 4;

	if (known->tunnel == NULL)
		return;
	for (unsigned side = 0; side < SIDES && !known->is_dial; side++) {
		uint64_t bytes = tunnel_bytes(known->tunnel, (enum side)side);

		CHECK(bytes >= known->seen[side]);
		known->seen[side] = bytes;
	}
	if (!is_last && draw(&storm->seed) % 8 != 0)
		return;
	if (known->is_dial && known->is_let_go)
		return;
	known->is_let_go = true;
	relay_close(known->tunnel, BY_ADMIN, REASON_CALLER, grace_ms, NULL);
}

static bool is_crowded(struct storm *storm)
{
	size_t peers = 0;

	for (unsigned index = 0; index < CREWS; index++)
		peers += atomic_load(&storm->crews[index].peers);
	return storm->alive >= AT_ONCE || peers >= 3 * AT_ONCE;
}

static void blow(struct storm *storm)
{
	struct pollfd poller = {.fd = storm->rig.notified_fd, .events = POLLIN};
	eventfd_t ignored;

	while (storm->ended < TUNNELS) {
		for (unsigned count = 0; count < TOUCHES; count++) {
			if (storm->begun < TUNNELS && !is_crowded(storm)) {
				if (draw(&storm->seed) % 3 == 0)
					begin_dial(storm);
				else
					begin_open(storm);
			}
			touch(storm);
		}
		take_events(storm);
		if (poll(&poller, 1, 1) == 1)
			CHECK_EQUAL(eventfd_read(storm->rig.notified_fd, &ignored), 0);
	}
}

static void each_tunnel_ends_once(void)
{
	static struct storm storm;
	struct rlimit limit;
	int listener = listen_at(TCP, 4096, &storm.endpoint);

	CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	storm.seed = 11;
	rig_start(&storm.rig, 3, 16384);
	for (unsigned index = 0; index < CREWS; index++)
		crew_start(&storm.crews[index], index, index == 0 ? listener : -1);
	blow(&storm);
	CHECK_EQUAL(storm.alive, 0);
	rig_stop(&storm.rig);
	for (unsigned index = 0; index < CREWS; index++)
		crew_stop(&storm.crews[index]);
}

int main(void)
{
	const struct test tests[] = {
		{"each of thousands of tunnels ends once, whoever ends it", each_tunnel_ends_once},
	};

	return RUN_TESTS(tests);
}
