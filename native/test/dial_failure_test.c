/* What may come instead of an answer. */
#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dials.h"

#define BUFFER_BYTES 65536
#define SHORT_MS 30

static struct rig rig;

static void start(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
}

static void nobody_listens(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		struct dial_request request;

		(void)close(listen_at(transport, 1, &request));
		(void)dial(&rig, &request, NO_LIMIT, NO_LIMIT);
		await_failure(&rig, STAGE_CONNECT, false, ECONNREFUSED);
	}
	rig_stop(&rig);
}

static void an_endpoint_too_busy_to_accept(void)
{
	struct dial_request request;
	int filler;
	int listener = listen_in_vain(TCP, &request, &filler);

	start();
	(void)dial(&rig, &request, SHORT_MS, NO_LIMIT);
	await_failure(&rig, STAGE_CONNECT, true, ETIMEDOUT);
	(void)close(filler);
	(void)close(listener);
	listener = listen_in_vain(UNIX, &request, &filler);
	(void)dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	await_failure(&rig, STAGE_CONNECT, false, EAGAIN);
	(void)close(filler);
	(void)close(listener);
	rig_stop(&rig);
}

static void an_endpoint_that_does_not_answer(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		int endpoint;

		(void)dial_endpoint(&rig, transport, SHORT_MS, &endpoint);
		await_failure(&rig, STAGE_ANSWER, true, ETIMEDOUT);
		expect_fin(endpoint);
		(void)close(endpoint);
	}
	rig_stop(&rig);
}

/* The time goes on where it was, or starts anew; in both cases it ends. */
static void an_answer_that_does_not_go_on(void)
{
	start();
	for (unsigned refresh = 0; refresh < 2; refresh++) {
		int endpoint;
		struct tunnel *tunnel = dial_endpoint(&rig, TCP, 500, &endpoint);

		put(endpoint, "HTTP/1.1 ");
		await_bytes(&rig, tunnel, "HTTP/1.1 ");
		relay_proceed(tunnel, refresh == 1);
		await_failure(&rig, STAGE_ANSWER, true, ETIMEDOUT);
		expect_fin(endpoint);
		(void)close(endpoint);
	}
	rig_stop(&rig);
}

/* With each part that comes the owner says whether the time starts anew. Returns how many parts came in time. */
static unsigned trickle(bool refresh, unsigned parts_max)
{
	int endpoint;
	struct tunnel *tunnel = dial_endpoint(&rig, TCP, 1000, &endpoint);
	unsigned parts = 0;
	struct event event;

	put(endpoint, "x");
	event = await_event(&rig);
	while (event.kind == EVENT_ANSWER && parts < parts_max) {
		hold_free(event.bytes);
		parts++;
		put(endpoint, "x");
		relay_proceed(tunnel, refresh);
		event = await_event(&rig);
	}
	if (event.kind == EVENT_ANSWER) {
		hold_free(event.bytes);
		relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
		event = await_event(&rig);
		CHECK_EQUAL(event.kind, EVENT_ENDED);
	} else {
		CHECK_EQUAL(event.kind, EVENT_FAILED);
		CHECK(event.timed_out);
	}
	(void)close(endpoint);
	return parts;
}

/* As fast as parts come, twice as many take longer than the time there is. */
static void an_answer_that_trickles_in(void)
{
	unsigned in_time;

	start();
	in_time = trickle(false, UINT_MAX);
	CHECK_EQUAL(trickle(true, 2 * in_time), 2 * in_time);
	rig_stop(&rig);
}

static void a_fin_instead_of_an_answer(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		int endpoint;
		struct tunnel *tunnel = dial_endpoint(&rig, transport, NO_LIMIT, &endpoint);

		send_fin(endpoint);
		await_bytes(&rig, tunnel, NULL);
		/* It is told as often as it is asked for. */
		relay_proceed(tunnel, true);
		await_bytes(&rig, tunnel, NULL);
		relay_close(tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
		(void)await_end(&rig);
		expect_fin(endpoint);
		(void)close(endpoint);
	}
	rig_stop(&rig);
}

static void a_reset_instead_of_an_answer(void)
{
	int endpoint;
	struct tunnel *tunnel;

	start();
	(void)dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	send_reset(endpoint);
	await_failure(&rig, STAGE_ANSWER, false, ECONNRESET);
	/* And behind a part of one. */
	tunnel = dial_endpoint(&rig, TCP, NO_LIMIT, &endpoint);
	put(endpoint, "HTTP/1.1 ");
	await_bytes(&rig, tunnel, "HTTP/1.1 ");
	send_reset(endpoint);
	relay_proceed(tunnel, false);
	await_failure(&rig, STAGE_ANSWER, false, ECONNRESET);
	rig_stop(&rig);
}

static void no_descriptor_is_left(void)
{
	struct dial_request request;
	int listener = listen_at(TCP, 8, &request);
	struct rlimit before;

	start();
	before = limit_descriptors(0);
	(void)dial(&rig, &request, NO_LIMIT, NO_LIMIT);
	await_failure(&rig, STAGE_CONNECT, false, EMFILE);
	CHECK_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	(void)close(listener);
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"a dial fails where nobody listens", nobody_listens},
		{"a dial fails where nobody accepts", an_endpoint_too_busy_to_accept},
		{"a dial fails for want of an answer", an_endpoint_that_does_not_answer},
		{"a dial fails when the answer does not go on", an_answer_that_does_not_go_on},
		{"an answer that trickles in is waited for as long as the owner says", an_answer_that_trickles_in},
		{"a FIN instead of an answer is told", a_fin_instead_of_an_answer},
		{"a reset instead of an answer is a failure", a_reset_instead_of_an_answer},
		{"a dial fails for want of a descriptor", no_descriptor_is_left},
	};

	return RUN_TESTS(tests);
}
