/*
 * The relay below JavaScript: threads that accept clients, dial endpoints and move the bytes of tunnels, each with its
 * own epoll.
 *
 *     listen ----> request ----> hear | release | close | dial
 *     dial ----> answer ----> proceed | drop | release | close | open
 *     open (what is there, or descriptors of the owner's) ----> ended
 *
 * One thread owns a relay: it alone calls these functions. It is told by `notify`, from any thread, that there are
 * events to take. What they decide (is this answer a 101, which endpoint) is not decided here.
 */
#ifndef UPGATE_RELAY_H
#define UPGATE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum side { SIDE_CLIENT = 0, SIDE_UPSTREAM = 1, SIDES = 2 };

/* Who ended a tunnel; the first two are the sides. */
enum ended_by { BY_CLIENT = 0, BY_UPSTREAM = 1, BY_GATEWAY = 2, BY_ADMIN = 3 };

/* Why. The relay itself finds the first six; the rest are words of the caller's, which it hands back. */
enum end_reason {
	REASON_EOF = 0,
	REASON_RESET = 1,
	REASON_ERROR = 2,
	REASON_IDLE = 3,
	REASON_LIFETIME = 4,
	REASON_DEAD = 5,
	REASON_CALLER = 6,
};

/* For milliseconds and counts: no limit. */
#define NO_LIMIT UINT64_MAX

struct relay;
struct tunnel;

struct relay_options {
	/* At least 1. */
	unsigned threads;
	/* How much may be held for a peer that stalls, each way; also the most that is read at once, up to 256 KiB. */
	size_t buffer_bytes;
	/* Called from the relay's threads when events are there to be taken after none were. */
	void (*notify)(void *context);
	void *context;
};

/* Starts the threads. Returns NULL and sets `*error` to an errno when that fails; nothing is left of it then. */
struct relay *relay_create(const struct relay_options *options, int *error);

/*
 * Descriptors from this number on are left to others: a client or a dial that would get one is treated as if there were
 * none. 0 for no such number.
 */
void relay_spare(struct relay *relay, int from);

/* Ends the threads, resets what is open and frees everything. No event comes of it. */
void relay_destroy(struct relay *relay);

/* Bytes on their way to a peer. */
struct hold {
	size_t begin;
	size_t end;
	unsigned char bytes[];
};

/* Room for `length` bytes that the caller fills; NULL without memory. It is freed by `hold_free`, or by who takes it. */
struct hold *hold_new(size_t length);
void hold_free(struct hold *hold);

/* An address: of AF_INET its first four bytes, of AF_INET6 all. */
struct peer_address {
	sa_family_t family;
	unsigned char address[16];
};

/* Addresses of IPv6 that have their first bits in common; those of IPv4 are mapped into it, and have at least 96. */
struct address_block {
	unsigned char address[16];
	unsigned char bits;
};

/* What holds for clients that a listener accepts. */
struct client_limits {
	/* How long one may take for its request head. */
	uint64_t head_ms;
	/* Clients at once; those above it are turned away. */
	uint64_t clients_max;
	/* Of one address. IPv6 counts by its /64. */
	uint64_t share_max;
	/* Whose clients have no such share: `exempt_count` blocks, from malloc, or NULL. */
	struct address_block *exempt;
	size_t exempt_count;
};

struct listen_request {
	/* Bound, listening and non-blocking; the relay duplicates it. */
	int fd;
	/* Of the owner's choice; comes with each event. */
	int tag;
	struct client_limits limits;
};

struct listener;

/*
 * Accepts clients from now on: EVENT_REQUEST tells of each that says something. Returns NULL and sets `*error` to an errno.
 * Takes `limits.exempt` over, also then.
 */
struct listener *relay_listen(struct relay *relay, const struct listen_request *request,
                              int *error);

/* Accepts no more and closes the relay's descriptor; whoever was accepted stays. */
void relay_unlisten(struct relay *relay, struct listener *listener);

/* Changes what holds for those who are accepted from now on. Takes `exempt` over. */
void relay_adjust(struct listener *listener, const struct client_limits *limits);

/* A client whose socket was released does not count among the listener's any more. `peer` is that of its EVENT_REQUEST. */
void relay_leave(struct listener *listener, const struct peer_address *peer);

/* Clients that were not taken so far. */
struct refused_clients {
	/* Since there were `clients_max`, and since their address had `share_max`. */
	uint64_t full;
	uint64_t share;
	/* The address of the last of these. */
	struct peer_address last;
	/* Times that a client had to wait, or was closed, for want of descriptors or memory. */
	uint64_t starved;
};

void relay_refused(struct listener *listener, struct refused_clients *refused);

/* After EVENT_REQUEST: waits for more of the head, within the time that there was for all of it. */
void relay_hear(struct tunnel *tunnel);

struct dial_request {
	/*
	 * One with a client, after EVENT_REQUEST or EVENT_FAILED, or after EVENT_ANSWER and a drop; NULL for a tunnel of
	 * its own.
	 */
	struct tunnel *tunnel;
	struct sockaddr_storage address;
	socklen_t address_bytes;
	/* An address of this machine, of the same family and with port 0; with `from_bytes` 0 the kernel picks one. */
	struct sockaddr_storage from;
	socklen_t from_bytes;
	/* The request head; taken over, also when the dial fails. */
	struct hold *head;
	uint64_t connect_ms;
	/* From the last byte of the head to each part of the answer. */
	uint64_t handshake_ms;
};

/* Starts a dial. Returns its tunnel to be, or NULL without memory. EVENT_ANSWER or EVENT_FAILED follows, once. */
struct tunnel *relay_dial(struct relay *relay, const struct dial_request *request);

/* After EVENT_ANSWER: waits for more of the answer. With `refresh` the time for it starts anew. */
void relay_proceed(struct tunnel *tunnel, bool refresh);

/*
 * Closes the connection to the endpoint, at any time from the dial on. The client stays, and what was on its way may still
 * be told, which is why it gets no other dial unless the answer was with the owner. Without a client one last event
 * follows: EVENT_ENDED, or the EVENT_FAILED that came first.
 */
void relay_drop(struct tunnel *tunnel);

/*
 * While the owner is asked (after EVENT_REQUEST, EVENT_LATE, EVENT_ANSWER, or EVENT_FAILED), or of a client whose dial is
 * dropped: gives one side's socket away and returns it. EVENT_ENDED follows when no other side is there, or EVENT_FAILED
 * when a dropped dial failed first.
 */
int relay_release(struct tunnel *tunnel, enum side side);

/* The most that a Close frame says beside its code (RFC 6455 5.5). */
#define CLOSE_TEXT_MAX 123

/* What a Close frame says; with the code 0 there is none. */
struct close_words {
	uint16_t code;
	uint8_t length;
	unsigned char text[CLOSE_TEXT_MAX];
};

/* What a thread does with a tunnel by itself: one object for many tunnels. */
struct relay_policy {
	/* How many tunnels and owners have it; of the relay. */
	size_t users;
	uint64_t idle_ms;
	uint64_t lifetime_ms;
	/* How long a peer may take to answer a Close frame or a FIN of the relay's. */
	uint64_t close_timeout_ms;
	/* It is a WebSocket: its frames are followed, and frames of the relay's put between them. */
	bool frames;
	/* Silence of a peer after which it is pinged, and from there the time until it is dead; NO_LIMIT for no pings. */
	uint64_t ping_ms;
	uint64_t timeout_ms;
	/* The upstream is pinged as well. */
	bool ping_upstream;
	/* What both peers are told at the limits. */
	struct close_words idle;
	struct close_words lifetime;
	struct close_words dead;
};

/* A copy with one user, or NULL without memory. */
struct relay_policy *relay_policy_new(const struct relay_policy *like);

/* One user less; freed with the last one. */
void relay_policy_drop(struct relay_policy *policy);

struct open_request {
	/*
	 * The sockets, non-blocking; -1 for a side that the tunnel has already. The relay duplicates them: the caller
	 * closes its own at once, without a shutdown.
	 */
	int fds[SIDES];
	/* What goes to each side first, or NULL; taken over, also in case of an error. */
	struct hold *to[SIDES];
	/* How much of that was read from each side, for its count. */
	uint64_t read_bytes[SIDES];
	/* NULL for no limits and no frames. The tunnel becomes one more user of it. */
	struct relay_policy *policy;
};

/*
 * Joins two sockets. `tunnel` is a dialed one after EVENT_ANSWER, or NULL. Returns the tunnel, or NULL and sets `*error`
 * (EMFILE, ENOMEM): the caller's sockets are untouched then, and a dialed tunnel is as it was.
 */
struct tunnel *relay_open(struct relay *relay, struct tunnel *tunnel, struct open_request *request,
                          int *error);

/*
 * Ends a tunnel. What is held for a peer goes to it, and then, where frames are followed, a Close frame as soon as the
 * frame that it is getting is over, and its FIN when its own Close frame has come. Where they are not, or without `words`
 * (NULL, or the code 0), the FIN goes out at once. Who has not answered after `timeout_ms` is reset. A second call changes
 * the time alone. A dial is abandoned; EVENT_ENDED follows there too.
 */
void relay_close(struct tunnel *tunnel, enum ended_by by, enum end_reason reason,
                 uint64_t timeout_ms, const struct close_words *words);

/* Messages and control frames that came from one side. */
struct frame_counts {
	uint64_t text;
	uint64_t binary;
	uint32_t ping;
	uint32_t pong;
	uint32_t close;
	uint32_t other;
	/* They could not be followed any further. */
	bool is_blind;
};

/* In place of a time that there is not. */
#define NEVER_MS UINT64_MAX

/* The numbers of a tunnel at one moment. */
struct reading {
	/* What was read from each side so far. */
	uint64_t read_bytes[SIDES];
	/* From the open to the first byte of each side; NEVER_MS where none came. */
	uint64_t first_ms[SIDES];
	/* Since the last byte of each side, or since the open. */
	uint64_t silent_ms[SIDES];
	struct frame_counts counts[SIDES];
	/* The first Close frame, whoever sent it. The code is 0 when there was none, and 1005 when it had none. */
	enum ended_by close_by;
	uint16_t close_code;
};

/* At any time after the open. */
void relay_read(const struct tunnel *tunnel, struct reading *reading);

/* Bytes read from a side so far. */
uint64_t tunnel_bytes(const struct tunnel *tunnel, enum side side);

/* Of use to a caller who keeps no pointers: small numbers, used anew after the last event of a tunnel. */
uint32_t tunnel_id(const struct tunnel *tunnel);
struct tunnel *relay_tunnel(const struct relay *relay, uint32_t id);

enum event_kind {
	/* A part of a client's request, or its FIN, or both. A client that leaves without a word is not told of. */
	EVENT_REQUEST,
	/* The time for the rest of the request head is over. The owner is asked what to do. */
	EVENT_LATE,
	/* The client's FIN, or its reset, while the owner is asked or a dial is under way; each is told once. */
	EVENT_FIN,
	EVENT_RESET,
	/* A part of the upstream's answer, or its FIN, or both. */
	EVENT_ANSWER,
	/* The dial or the wait for the answer failed. A tunnel without a client is gone. */
	EVENT_FAILED,
	/* Both sockets are closed; the tunnel is gone. */
	EVENT_ENDED,
};

/* Where a dial failed. */
enum dial_stage { STAGE_CONNECT = 0, STAGE_ANSWER = 1 };

struct event {
	enum event_kind kind;
	uint32_t id;
	/* The first one of a tunnel that the owner did not know of. */
	bool is_first;
	/* The last one of this tunnel. */
	bool is_last;
	/* EVENT_REQUEST and EVENT_ANSWER; the bytes are the taker's, to be freed with `hold_free`, and NULL when there is nothing but a FIN. */
	struct hold *bytes;
	/* EVENT_REQUEST, EVENT_ANSWER: a FIN is behind the bytes. */
	bool fin;
	/* EVENT_REQUEST */
	int listener_tag;
	struct peer_address peer;
	/* EVENT_FAILED */
	enum dial_stage stage;
	bool timed_out;
	/* EVENT_ENDED */
	enum ended_by by;
	enum end_reason reason;
	struct reading reading;
	uint64_t duration_ns;
	/* EVENT_FAILED, and EVENT_ENDED where a connection broke: an errno, or 0. */
	int error;
};

/* Takes one event; false when there is none. After the last event of a tunnel its pointer and its id are no longer valid. */
bool relay_take(struct relay *relay, struct event *event);

#endif
