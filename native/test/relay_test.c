/* What goes through a tunnel: bytes and FINs, from either side to the other. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"

#define BUFFER_BYTES 65536
#define MANY (8U << 20)

static struct rig rig;

static void start(void)
{
	rig_start(&rig, 1, BUFFER_BYTES);
}

static void carry(enum transport client, enum transport upstream)
{
	struct joint joint = join_with(&rig, client, upstream, plain_request());
	struct event event;

	put(joint.peers[SIDE_CLIENT], "to the upstream");
	expect(joint.peers[SIDE_UPSTREAM], "to the upstream");
	put(joint.peers[SIDE_UPSTREAM], "back");
	expect(joint.peers[SIDE_CLIENT], "back");
	send_fin(joint.peers[SIDE_CLIENT]);
	expect_fin(joint.peers[SIDE_UPSTREAM]);
	CHECK_EQUAL(tunnel_bytes(joint.tunnel, SIDE_CLIENT), 15);
	CHECK_EQUAL(tunnel_bytes(joint.tunnel, SIDE_UPSTREAM), 4);
	close_peers(&joint);
	event = await_end(&rig);
	CHECK_EQUAL(event.id, tunnel_id(joint.tunnel));
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 15);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 4);
	CHECK(event.duration_ns > 0);
}

static void bytes_go_both_ways(void)
{
	start();
	for (enum transport client = 0; client < TRANSPORTS; client++) {
		for (enum transport upstream = 0; upstream < TRANSPORTS; upstream++)
			carry(client, upstream);
	}
	rig_stop(&rig);
}

static void first_bytes_go_first(void)
{
	struct open_request request = plain_request();
	struct joint joint;
	struct event event;
	int error = 0;

	start();
	request.to[SIDE_CLIENT] = hold_text("HTTP/1.1 101\r\n\r\n");
	request.to[SIDE_UPSTREAM] = hold_text("early, ");
	request.read_bytes[SIDE_CLIENT] = 7;
	request.read_bytes[SIDE_UPSTREAM] = 3;
	for (unsigned side = 0; side < SIDES; side++) {
		int fds[2];

		connect_pair(TCP, fds);
		joint.peers[side] = fds[0];
		request.fds[side] = fds[1];
		put(fds[0], side == SIDE_CLIENT ? "client" : "upstream");
	}
	joint.tunnel = relay_open(rig.relay, NULL, &request, &error);
	CHECK(joint.tunnel != NULL);
	(void)close(request.fds[SIDE_CLIENT]);
	(void)close(request.fds[SIDE_UPSTREAM]);
	expect(joint.peers[SIDE_CLIENT], "HTTP/1.1 101\r\n\r\nupstream");
	expect(joint.peers[SIDE_UPSTREAM], "early, client");
	close_peers(&joint);
	event = await_end(&rig);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], 7 + 6);
	CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], 3 + 8);
	rig_stop(&rig);
}

static void half_close(enum transport transport, enum side first)
{
	enum side last = first == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct joint joint = join(&rig, transport);
	struct flow flow = {
		.from = joint.peers[last], .to = joint.peers[first], .seed = first, .total = MANY};
	struct event event;

	put(joint.peers[first], "a question");
	send_fin(joint.peers[first]);
	expect(joint.peers[last], "a question");
	expect_fin(joint.peers[last]);
	flow_all(&flow, 1, 1);
	event = await_end(&rig);
	check_end(&event, (enum ended_by)first, REASON_EOF);
	CHECK_EQUAL(event.reading.read_bytes[last], MANY);
	close_peers(&joint);
}

static void a_fin_leaves_the_other_way_open(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		half_close(transport, SIDE_CLIENT);
		half_close(transport, SIDE_UPSTREAM);
	}
	rig_stop(&rig);
}

/* More than what the sockets and one hold take in was not read. */
static void stall(enum transport transport, enum side source)
{
	enum side sink = source == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct joint joint;
	struct open_request request = plain_request();
	struct flow flow;
	struct event event;
	int error = 0;
	const int small = 32768;
	/* The kernel takes twice of what is asked for, and a segment more. */
	const uint64_t in_kernel = 2 * (2 * (uint64_t)small + 65536);

	for (unsigned side = 0; side < SIDES; side++) {
		int fds[2];

		connect_pair(transport, fds);
		set_buffers(fds[0], small);
		set_buffers(fds[1], small);
		joint.peers[side] = fds[0];
		request.fds[side] = fds[1];
	}
	joint.tunnel = relay_open(rig.relay, NULL, &request, &error);
	(void)close(request.fds[SIDE_CLIENT]);
	(void)close(request.fds[SIDE_UPSTREAM]);
	flow = stalled_flow(&joint, source, MANY);
	CHECK(tunnel_bytes(joint.tunnel, source) <= BUFFER_BYTES + in_kernel);
	flow_all(&flow, 1, 2);
	send_fin(joint.peers[sink]);
	event = await_end(&rig);
	check_end(&event, (enum ended_by)source, REASON_EOF);
	CHECK_EQUAL(event.reading.read_bytes[source], MANY);
	close_peers(&joint);
}

static void a_stalled_reader_stalls_the_source(void)
{
	start();
	for (enum transport transport = 0; transport < TRANSPORTS; transport++) {
		stall(transport, SIDE_CLIENT);
		stall(transport, SIDE_UPSTREAM);
	}
	rig_stop(&rig);
}

static void move_both_ways(enum transport transport, unsigned tunnels)
{
	struct flow flows[8];
	struct joint joints[4];

	for (unsigned index = 0; index < tunnels; index++) {
		joints[index] = join(&rig, transport);
		for (unsigned side = 0; side < SIDES; side++)
			flows[2 * index + side] = (struct flow){.from = joints[index].peers[side],
				                                .to = joints[index].peers[1 - side],
				                                .seed = 2 * index + side,
				                                .total = MANY};
	}
	flow_all(flows, 2 * (size_t)tunnels, 3);
	for (unsigned index = 0; index < tunnels; index++) {
		struct event event = await_end(&rig);

		CHECK_EQUAL(event.reason, REASON_EOF);
		CHECK_EQUAL(event.reading.read_bytes[SIDE_CLIENT], MANY);
		CHECK_EQUAL(event.reading.read_bytes[SIDE_UPSTREAM], MANY);
		close_peers(&joints[index]);
	}
}

static void much_goes_both_ways_at_once(void)
{
	rig_start(&rig, 2, BUFFER_BYTES);
	move_both_ways(TCP, 4);
	move_both_ways(UNIX, 4);
	rig_stop(&rig);
	/* A buffer that a message never fits into. */
	rig_start(&rig, 1, 1000);
	move_both_ways(TCP, 1);
	rig_stop(&rig);
}

static atomic_bool is_hog_over;

/* Moves all that its tunnel takes, until it is told to end. */
static void *hog(void *argument)
{
	struct flow *flow = argument;

	while (!atomic_load(&is_hog_over)) {
		(void)flow_write(flow, SIZE_MAX);
		(void)flow_read(flow, SIZE_MAX);
	}
	return NULL;
}

static void a_busy_tunnel_leaves_turns_to_others(void)
{
	struct joint busy;
	struct joint modest;
	struct flow flow = {.total = UINT64_MAX};
	pthread_t thread;
	uint64_t before;

	start();
	busy = join(&rig, TCP);
	modest = join(&rig, TCP);
	flow.from = busy.peers[SIDE_CLIENT];
	flow.to = busy.peers[SIDE_UPSTREAM];
	atomic_store(&is_hog_over, false);
	CHECK_EQUAL(pthread_create(&thread, NULL, hog, &flow), 0);
	while (tunnel_bytes(busy.tunnel, SIDE_CLIENT) == 0)
		continue;
	before = tunnel_bytes(busy.tunnel, SIDE_CLIENT);
	for (unsigned turn = 0; turn < 2000; turn++) {
		put(modest.peers[SIDE_CLIENT], "ping");
		expect(modest.peers[SIDE_UPSTREAM], "ping");
		put(modest.peers[SIDE_UPSTREAM], "pong");
		expect(modest.peers[SIDE_CLIENT], "pong");
	}
	CHECK(tunnel_bytes(busy.tunnel, SIDE_CLIENT) > before);
	atomic_store(&is_hog_over, true);
	CHECK_EQUAL(pthread_join(thread, NULL), 0);
	close_peers(&busy);
	close_peers(&modest);
	rig_stop(&rig);
}

int main(void)
{
	const struct test tests[] = {
		{"bytes go both ways, between TCP and unix sockets", bytes_go_both_ways},
		{"the first bytes go before all others, and count", first_bytes_go_first},
		{"a FIN leaves the other way open", a_fin_leaves_the_other_way_open},
		{"a reader that stalls stalls the source, and gets all of it later",
		 a_stalled_reader_stalls_the_source},
		{"much goes both ways at once", much_goes_both_ways_at_once},
		{"a busy tunnel leaves turns to others", a_busy_tunnel_leaves_turns_to_others},
	};

	return RUN_TESTS(tests);
}
