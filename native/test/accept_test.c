/* Clients from the accept to the request head, and how they leave on the way. */
#include <errno.h>
#include <unistd.h>

#include "accept_door.h"

#define HEAD_MS 40

static struct door door;

static void start(uint64_t head_ms)
{
	door_open(&door, 1, head_ms, NO_LIMIT);
}

static void a_request_is_told(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_guest(&door);
	dismiss(&door, &guest);
	door_close(&door);
}

static void a_head_in_parts(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_heard(&door, "GET / ");
	relay_hear(guest.tunnel);
	put(guest.peer, "HTTP/1.1\r\n");
	CHECK(await_request(&door, "HTTP/1.1\r\n", false, false) == guest.tunnel);
	/* This one is there before somebody asks for it. */
	put(guest.peer, "\r\n");
	expect_quiet(&door);
	relay_hear(guest.tunnel);
	CHECK(await_request(&door, "\r\n", false, false) == guest.tunnel);
	dismiss(&door, &guest);
	door_close(&door);
}

static void silence_is_not_told(void)
{
	int silent;

	start(HEAD_MS);
	silent = door_knock(&door);
	expect_fin(silent);
	(void)close(silent);
	expect_quiet(&door);
	door_close(&door);
}

static void a_part_and_silence(void)
{
	struct guest guest;

	start(HEAD_MS);
	guest = door_heard(&door, "GET / ");
	relay_hear(guest.tunnel);
	await_word(&door, EVENT_LATE, guest.tunnel);
	expect_quiet(&door);
	dismiss(&door, &guest);
	door_close(&door);
}

/* While the owner has the request no time runs. */
static void an_owner_may_take_its_time(void)
{
	struct guest guest;
	struct guest late;
	int endpoint;

	start(HEAD_MS);
	guest = door_guest(&door);
	late = door_heard(&door, "G");
	relay_hear(late.tunnel);
	await_word(&door, EVENT_LATE, late.tunnel);
	dismiss(&door, &late);
	endpoint = dial_for(&door, &guest);
	put(endpoint, "x");
	await_bytes(&door.rig, guest.tunnel, "x");
	dismiss(&door, &guest);
	expect_fin(endpoint);
	(void)close(endpoint);
	door_close(&door);
}

static void a_fin_with_the_request(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_guest(&door);
	(void)close(guest.peer);
	await_word(&door, EVENT_FIN, guest.tunnel);
	relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	(void)await_end(&door.rig);
	door_close(&door);
}

/* Both are there before the thread looks: it has to see that nothing comes behind the bytes. */
static void a_fin_behind_the_bytes(void)
{
	struct guest guest;
	struct event event;

	start(NO_LIMIT);
	do {
		guest.peer = door_knock(&door);
		put(guest.peer, REQUEST);
		send_fin(guest.peer);
		event = await_event(&door.rig);
		CHECK_EQUAL(event.kind, EVENT_REQUEST);
		hold_free(event.bytes);
		guest.tunnel = relay_tunnel(door.rig.relay, event.id);
		if (!event.fin)
			await_word(&door, EVENT_FIN, guest.tunnel);
		expect_quiet(&door);
		dismiss(&door, &guest);
	} while (!event.fin);
	door_close(&door);
}

static void a_fin_in_the_head(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_heard(&door, "GET");
	relay_hear(guest.tunnel);
	/* The thread knows that more is wanted. */
	expect_quiet(&door);
	send_fin(guest.peer);
	CHECK(await_request(&door, NULL, true, false) == guest.tunnel);
	expect_quiet(&door);
	dismiss(&door, &guest);
	door_close(&door);
}

/* Its FIN is told when it comes, and again where the bytes end. */
static void a_fin_before_the_next_part_is_asked_for(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_heard(&door, "GET");
	put(guest.peer, " / ");
	send_fin(guest.peer);
	await_word(&door, EVENT_FIN, guest.tunnel);
	relay_hear(guest.tunnel);
	CHECK(await_request(&door, " / ", true, false) == guest.tunnel);
	relay_hear(guest.tunnel);
	CHECK(await_request(&door, NULL, true, false) == guest.tunnel);
	expect_quiet(&door);
	dismiss(&door, &guest);
	door_close(&door);
}

static void who_leaves_without_a_word(void)
{
	int peer;

	start(NO_LIMIT);
	peer = door_knock(&door);
	(void)close(peer);
	expect_quiet(&door);
	peer = door_knock(&door);
	send_fin(peer);
	expect_fin(peer);
	(void)close(peer);
	expect_quiet(&door);
	send_reset(door_knock(&door));
	expect_quiet(&door);
	door_close(&door);
}

static void a_reset_in_the_head(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_heard(&door, "GET");
	relay_hear(guest.tunnel);
	expect_quiet(&door);
	send_reset(guest.peer);
	await_word(&door, EVENT_RESET, guest.tunnel);
	expect_quiet(&door);
	relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	(void)await_end(&door.rig);
	door_close(&door);
}

/* The bytes are read, and the reset behind them is told. */
static void a_reset_behind_the_bytes(void)
{
	struct tunnel *tunnel;
	int peer;

	start(NO_LIMIT);
	for (unsigned count = 0; count < 100; count++) {
		peer = door_knock(&door);
		put(peer, REQUEST);
		send_reset(peer);
		tunnel = await_request(&door, REQUEST, false, true);
		await_word(&door, EVENT_RESET, tunnel);
		expect_quiet(&door);
		relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
		(void)await_end(&door.rig);
	}
	door_close(&door);
}

static void a_reset_is_told_once(void)
{
	struct guest guest;

	start(NO_LIMIT);
	guest = door_heard(&door, "GET");
	send_reset(guest.peer);
	await_word(&door, EVENT_RESET, guest.tunnel);
	/* The owner may have asked for more before it knew. */
	relay_hear(guest.tunnel);
	expect_quiet(&door);
	relay_close(guest.tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	(void)await_end(&door.rig);
	door_close(&door);
}

static void more_than_a_buffer(void)
{
	enum { BIG = 300000 };
	struct flow flow = {.total = BIG, .seed = 3};
	struct tunnel *tunnel = NULL;
	struct event event;
	bool fin = false;

	start(NO_LIMIT);
	flow.from = door_knock(&door);
	set_blocking(flow.from, false);
	while (flow.read < BIG || !fin) {
		while (flow_write(&flow, SIZE_MAX))
			continue;
		event = await_event(&door.rig);
		/* Told while the owner is asked, ahead of the bytes. */
		if (event.kind == EVENT_FIN)
			continue;
		CHECK_EQUAL(event.kind, EVENT_REQUEST);
		for (size_t at = 0; event.bytes != NULL && at < event.bytes->end; at++)
			CHECK_EQUAL(event.bytes->bytes[at], pattern(flow.seed, flow.read + at));
		flow.read += event.bytes == NULL ? 0 : event.bytes->end;
		hold_free(event.bytes);
		fin = event.fin;
		CHECK(!fin || flow.read == BIG);
		tunnel = relay_tunnel(door.rig.relay, event.id);
		if (!fin)
			relay_hear(tunnel);
	}
	relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	/* The FIN may be told behind the bytes that had it. */
	do {
		event = await_event(&door.rig);
	} while (event.kind == EVENT_FIN);
	CHECK_EQUAL(event.kind, EVENT_ENDED);
	(void)close(flow.from);
	door_close(&door);
}

int main(void)
{
	const struct test tests[] = {
		{"a request is told with its bytes, its listener and its address", a_request_is_told},
		{"a head that comes in parts is told in parts, as it is asked for", a_head_in_parts},
		{"a client that says nothing in time is closed, and nobody is told",
		 silence_is_not_told},
		{"a client that stops in the middle of its head is late", a_part_and_silence},
		{"the time for the head is over with the head, and not before it",
		 an_owner_may_take_its_time},
		{"a FIN after the request is told", a_fin_with_the_request},
		{"a FIN that comes with the request is told once", a_fin_behind_the_bytes},
		{"a FIN in the middle of the head is told where more was asked for",
		 a_fin_in_the_head},
		{"a FIN behind bytes that nobody has asked for is told at once, and where they end",
		 a_fin_before_the_next_part_is_asked_for},
		{"a client that leaves without a word is not told of", who_leaves_without_a_word},
		{"a reset in the middle of the head is told", a_reset_in_the_head},
		{"a reset behind the request is told after the request", a_reset_behind_the_bytes},
		{"a reset is told once", a_reset_is_told_once},
		{"a head bigger than the buffer comes whole", more_than_a_buffer},
	};

	return RUN_TESTS(tests);
}
