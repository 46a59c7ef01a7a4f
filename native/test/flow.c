/* Streams of bytes that are known by where they stand, so that one that is lost, twice or elsewhere is found. */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "harness.h"

#define CHUNK_MAX 65536
#define FLOWS_MAX 8
/* How long a writer has to be stopped to count as stalled. Where that is too short a test sees less, and passes. */
#define STALL_MS 300

unsigned char pattern(uint64_t seed, uint64_t offset)
{
	uint64_t mixed = (offset + seed) * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned char)(mixed >> 56);
}

static bool would_block(ssize_t result)
{
	return result < 0 && errno == EAGAIN;
}

bool flow_write(struct flow *flow, size_t most)
{
	unsigned char bytes[CHUNK_MAX];
	uint64_t left = flow->total - flow->written;
	size_t length = most < sizeof bytes ? most : sizeof bytes;
	ssize_t sent;

	if (left == 0)
		return false;
	if (length > left)
		length = (size_t)left;
	for (size_t index = 0; index < length; index++)
		bytes[index] = pattern(flow->seed, flow->written + index);
	sent = send(flow->from, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (would_block(sent))
		return false;
	CHECK(sent > 0);
	flow->written += (uint64_t)sent;
	if (flow->written == flow->total)
		send_fin(flow->from);
	return true;
}

bool flow_read(struct flow *flow, size_t most)
{
	unsigned char bytes[CHUNK_MAX];
	size_t length = most < sizeof bytes ? most : sizeof bytes;
	ssize_t got = recv(flow->to, bytes, length, MSG_DONTWAIT);

	if (would_block(got))
		return false;
	CHECK(got >= 0);
	if (got == 0) {
		CHECK_EQUAL(flow->read, flow->total);
		flow->is_over = true;
		return false;
	}
	CHECK(flow->read + (uint64_t)got <= flow->written);
	for (size_t index = 0; index < (size_t)got; index++) {
		if (bytes[index] != pattern(flow->seed, flow->read + index))
			fail(__FILE__, __LINE__, "byte %llu differs",
			     (unsigned long long)(flow->read + index));
	}
	flow->read += (uint64_t)got;
	return true;
}

static void await_any(const struct flow *flows, size_t count)
{
	struct pollfd pollers[2 * FLOWS_MAX];

	for (size_t index = 0; index < count; index++) {
		const struct flow *flow = &flows[index];
		bool has_more = flow->written < flow->total;

		pollers[2 * index] = (struct pollfd){.fd = has_more ? flow->from : -1, .events = POLLOUT};
		pollers[2 * index + 1] =
			(struct pollfd){.fd = flow->is_over ? -1 : flow->to, .events = POLLIN};
	}
	CHECK(poll(pollers, (nfds_t)(2 * count), -1) > 0);
}

void flow_all(struct flow *flows, size_t count, uint64_t seed)
{
	size_t over = 0;

	CHECK(count <= FLOWS_MAX);
	while (over < count) {
		bool has_moved = false;

		over = 0;
		for (size_t index = 0; index < count; index++) {
			struct flow *flow = &flows[index];
			size_t most = (size_t)1 << (draw(&seed) % 17);

			has_moved = flow_write(flow, most) || has_moved;
			has_moved = (!flow->is_over && flow_read(flow, CHUNK_MAX - most / 2)) || has_moved;
			over += flow->is_over;
		}
		if (!has_moved && over < count)
			await_any(flows, count);
	}
}

void flow_until_stalled(struct flow *flow)
{
	struct pollfd poller = {.fd = flow->from, .events = POLLOUT};

	do {
		while (flow_write(flow, CHUNK_MAX))
			continue;
		CHECK(flow->written < flow->total);
	} while (poll(&poller, 1, STALL_MS) > 0);
}

struct flow stalled_flow(const struct joint *joint, enum side source, uint64_t total)
{
	enum side sink = source == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
	struct flow flow = {
		.from = joint->peers[source], .to = joint->peers[sink], .seed = 5, .total = total};

	flow_until_stalled(&flow);
	return flow;
}
