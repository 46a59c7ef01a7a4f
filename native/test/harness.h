/* What the tests of the relay share: tests named by a sentence, a relay to be tested, and the peers of its tunnels. */
#ifndef UPGATE_HARNESS_H
#define UPGATE_HARNESS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "relay.h"

struct test {
	const char *sentence;
	void (*run)(void);
};

/*
 * Runs them in turn. A test that takes more than a minute, or leaves a descriptor open, fails, and the first failure
 * ends the program.
 */
int run_tests(const struct test *tests, size_t count);

#define RUN_TESTS(tests) run_tests(tests, sizeof(tests) / sizeof *(tests))

/* A word of why, and abort(3), of which a sanitizer shows the stack. */
_Noreturn void fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, "not so: %s", #condition))

#define CHECK_EQUAL(actual, expected) \
	check_equal(__FILE__, __LINE__, #actual, (long long)(actual), (long long)(expected))

void check_equal(const char *file, int line, const char *what, long long actual, long long expected);

size_t count_descriptors(void);

/* Lets no more than `more` descriptors be opened. Returns the limit to go back to. */
struct rlimit limit_descriptors(rlim_t more);

/* splitmix64: the next of a sequence of numbers that only the first state decides. */
uint64_t draw(uint64_t *state);

/* A relay, and an eventfd that its `notify` writes to. */
struct rig {
	struct relay *relay;
	int notified_fd;
};

void rig_start(struct rig *rig, unsigned threads, size_t buffer_bytes);
void rig_stop(struct rig *rig);

/* Waits for one event. */
struct event await_event(struct rig *rig);

/* Waits for the end of one tunnel, by anybody for any reason. */
struct event await_end(struct rig *rig);

void check_end(const struct event *event, enum ended_by by, enum end_reason reason);

enum transport { TCP, UNIX, TRANSPORTS };

/* Listens on loopback, or at an abstract unix address; fills the address in. */
int listen_at(enum transport transport, int backlog, struct dial_request *request);
int connect_to(const struct dial_request *request, int flags);
int accept_from(int listener);

/* fds[0] is for a peer and blocks, fds[1] is for the relay and does not. */
void connect_pair(enum transport transport, int fds[2]);

/* A tunnel and the peers at its two ends. */
struct joint {
	struct tunnel *tunnel;
	int peers[SIDES];
};

/* An open request without sockets, limits and first bytes. */
struct open_request plain_request(void);

/* A policy without limits, pings and frames. */
struct relay_policy plain_policy(void);
/* The same with pings, and words for who does not answer. */
struct relay_policy ping_policy(uint64_t ping_ms, uint64_t timeout_ms, bool ping_upstream);

/* Open requests with a policy of their own: who opens with one drops it afterwards. */
struct open_request request_with(const struct relay_policy *policy);
struct open_request request_within(uint64_t idle_ms, uint64_t lifetime_ms);

/* Opens a tunnel between two new peers; the request's sockets are filled in, and its policy is dropped. */
struct joint join_with(struct rig *rig, enum transport client, enum transport upstream,
                       struct open_request request);
struct joint join(struct rig *rig, enum transport transport);
void close_peers(const struct joint *joint);

struct hold *hold_text(const char *text);
/* Compares what came, NULL for nothing, and frees it. */
void take_text(struct hold *hold, const char *text);

/* The rest is what peers do; they wait as long as it takes. */

/* Waits until there is something to be read, or for nothing but an error. */
void await_input(int fd);
void await_error(int fd);
void put(int fd, const char *text);
/* Reads as many bytes as the text has and compares. */
void expect(int fd, const char *text);
void expect_fin(int fd);
void expect_reset(int fd);
/* Waits for a reset that comes after a FIN, which no read tells. */
void expect_cut(int fd);
void send_fin(int fd);
void send_reset(int fd);
void set_blocking(int fd, bool is_blocking);
void set_buffers(int fd, int bytes);

/* Byte `offset` of stream `seed`. */
unsigned char pattern(uint64_t seed, uint64_t offset);

/* Bytes on their way through a tunnel, in one direction: `total` of them and a FIN. */
struct flow {
	int from;
	int to;
	uint64_t seed;
	uint64_t total;
	uint64_t written;
	uint64_t read;
	bool is_over;
};

/* Writes as much as is taken, by chunks of up to `most`; false when nothing more is for now. */
bool flow_write(struct flow *flow, size_t most);
/* Reads and compares what is there; false when nothing more is for now. */
bool flow_read(struct flow *flow, size_t most);
/* Runs flows at the same time until all have arrived, with their FINs. */
void flow_all(struct flow *flows, size_t count, uint64_t seed);
/* Writes until the tunnel takes no more. */
void flow_until_stalled(struct flow *flow);
/* A source that finds no taker, as far as the tunnel and the kernel's buffers go. */
struct flow stalled_flow(const struct joint *joint, enum side source, uint64_t total);

#endif
