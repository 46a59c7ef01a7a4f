/* What a relay thread is: its epoll, its timers, the tunnels whose turn it is, and the mail from and to the owner. */
#ifndef UPGATE_WORKER_H
#define UPGATE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "frames.h"
#include "relay.h"
#include "wheel.h"

#define NS_PER_MS 1000000U

/* The most that is read at once: with less a big message takes several turns, with more the CPU's caches no longer hold it. */
#define READ_BYTES_MAX ((size_t)256 * 1024)

enum tunnel_state {
	STATE_FREE = 0,
	/* A client is there, its request head awaited. */
	STATE_HEARING,
	/* The connect, or the request head, is under way. */
	STATE_DIALING,
	/* The request is out, the answer awaited. */
	STATE_WAITING,
	/* A part of the request or of the answer is with the owner, who says what is next. */
	STATE_ASKING,
	STATE_OPEN,
	STATE_CLOSING,
	/* The sockets are closed; the last event is on its way. */
	STATE_OVER,
};

/*
 * What is asked of a thread: bits, since several may have come when it looks; they are done in this order, which is the
 * only one in which an owner can have asked for them, save for a drop: it comes before the next dial or behind the last.
 */
enum task {
	TASK_ACCEPT = 1,
	TASK_HEAR = 2,
	TASK_RELEASE_CLIENT = 4,
	TASK_RELEASE_UPSTREAM = 8,
	TASK_DROP = 16,
	TASK_DIAL = 32,
	TASK_PROCEED = 64,
	/* A drop of a dial, or of a wait, that the thread has not looked at yet. */
	TASK_GIVE_UP = 128,
	TASK_OPEN = 256,
	TASK_CLOSE = 512,
};

/* One socket. */
struct end {
	int fd;
	bool is_watched;
	/* A read may find something: edge-triggered epoll tells it once. */
	bool readable;
	/* A FIN or an error stands behind what is readable, so a short read does not mean that nothing more is there. */
	bool hung_up;
	/* Its FIN was read. */
	bool read_done;
	/* Our FIN was sent. */
	bool write_done;
	/* A frame of ours, or the end alone, waits for the end of the frame that this end is getting. */
	bool ping_waits;
	bool close_waits;
	/* A Close frame has gone to this end while the tunnel closes. */
	bool is_told;
	/* Nothing that the other end sends goes to this one any more. */
	bool is_shut;
	/* Pongs to pings of ours that may still come from this end. */
	uint8_t pongs_due;
	/* Bytes on their way to this end. As long as there are any, the other end is not read. */
	struct hold *hold;
	/* The last sign of life that is not in `heard_at_ms`: of a pong to us, or that it took what was held for it. */
	uint64_t alive_at_ms;
	/* When it was pinged and has given no sign of life since; else 0. */
	uint64_t pinged_at_ms;
	/* The rest is written by the thread and read by the owner at any time. Bytes read from this end: */
	_Atomic uint64_t read_bytes;
	/* When that was last, the pongs to our pings left out. */
	_Atomic uint64_t heard_at_ms;
	/* From the open to the first of them, plus one; 0 where none came. */
	_Atomic uint32_t first_ms;
};

struct tunnel {
	/* First, so that a timer is its tunnel. */
	struct timer timer;
	struct worker *worker;
	uint32_t id;

	/* Of the owner until a task is mailed and after an event is taken, of the thread in between. */
	struct end ends[SIDES];
	/* For TASK_DIAL: where to, and behind it where from, if `from_bytes` is not 0. */
	struct sockaddr_storage *addresses;
	socklen_t address_bytes;
	socklen_t from_bytes;
	bool is_connected;
	/*
	 * For TASK_DIAL and TASK_OPEN: what goes first, and the sockets that the owner gives (-1 for none). Not in `ends`
	 * yet, of which a drop or a release may still be under way.
	 */
	struct hold *first[SIDES];
	int given[SIDES];
	/* The owner knows of this client. */
	bool is_heard;
	bool has_fin;
	bool has_reset;
	/* The first Close frame: its code, and above it who sent it; 0 for none. Read by the owner at any time. */
	_Atomic uint32_t seen_close;
	uint64_t connect_ms;
	uint64_t handshake_ms;
	struct relay_policy *policy;
	/* What comes from each end. Their counters are read by the owner at any time. */
	struct frames frames[SIDES];
	/* Of an accepted client. */
	struct listener *listener;
	struct peer_address peer;
	/* What the events tell. */
	struct hold *said[SIDES];
	bool fin[SIDES];
	bool timed_out;
	/* The failed dial was without a client. */
	bool failed_alone;
	enum dial_stage stage;
	/* What EVENT_ENDED tells. */
	bool has_reason;
	enum ended_by by;
	enum end_reason reason;
	int error;
	uint64_t born_at_ns;
	uint64_t over_at_ns;

	/* Of the thread alone. */
	enum tunnel_state state;
	bool is_ready;
	/* Both peers are told by Close frames that the tunnel closes. */
	bool is_telling;
	unsigned tasks;
	unsigned events;
	struct tunnel *task_next;
	struct tunnel *event_next;
	struct tunnel *ready_next;
	struct tunnel *ready_prev;
	/* TASK_CLOSE, as last asked for. */
	enum ended_by asked_by;
	enum end_reason asked_reason;
	uint64_t asked_timeout_ms;
	struct close_words *asked_words;
	/* What waits to be said by a Close frame; NULL where nothing does. */
	struct close_words *words;
	uint64_t deadline_ms;
	uint64_t born_at_ms;

	/* Under the worker's lock. */
	unsigned mail;
	bool is_mailed;
	bool refresh;
	struct tunnel *mail_next;
	enum ended_by close_by;
	enum end_reason close_reason;
	uint64_t close_timeout_ms;
	struct close_words *close_words;

	/* Under the relay's lock. */
	unsigned posted;
	bool is_posted;
	struct tunnel *posted_next;

	/* Of the owner alone. */
	unsigned taken;
	/* That it has been told of this client. */
	bool is_known;
	struct tunnel *taken_next;

	/* Under the relay's lock for places. */
	struct tunnel *free_next;
};

/* What came of reading for the owner. */
enum heard { HEARD_NOTHING, HEARD_BYTES, HEARD_FIN, HEARD_ERROR };

struct worker {
	struct relay *relay;
	/* Its place among the relay's workers. */
	unsigned index;
	pthread_t thread;
	int epoll_fd;
	int wake_fd;
	uint64_t now_ms;
	struct wheel wheel;
	/* Tunnels that have more to do than one turn allows. */
	struct tunnel *ready_first;
	struct tunnel *ready_last;
	/* Tunnels with news for the owner, posted together at the end of a round. */
	struct tunnel *events_first;
	/* What was read and not yet sent; shared, as nothing stays in it between two turns. */
	unsigned char *buffer;
	size_t buffer_bytes;
	/* The same where it is not passed on as it was read, with room for a frame of ours. */
	unsigned char *sifted;
	/* When it listens again where it had to pause; WHEEL_NEVER when it has not. */
	uint64_t resume_at_ms;
	/* Under the relay's lock for places: how many tunnels are here, and what is free for more. */
	size_t load;
	struct tunnel *free_first;

	pthread_mutex_t lock;
	struct tunnel *mail_first;
	struct tunnel *mail_last;
	bool is_stopping;
	/* That there is something under the lock, to be seen without it. */
	atomic_bool has_mail;
};

/* Starts the thread. Returns 0 or an errno; nothing is left of it then. */
int worker_start(struct worker *worker, struct relay *relay, size_t buffer_bytes);

/* Ends the thread; its tunnels are left as they are. */
void worker_stop(struct worker *worker);

/* Frees what is the worker's, after its end. */
void worker_free(struct worker *worker);

/* From any thread: asks for `task`. The tunnel's fields for it have been filled. */
void worker_mail(struct worker *worker, struct tunnel *tunnel, enum task task);

/* From any thread: nothing that was asked for this tunnel and not yet looked at holds any more. */
void worker_unmail(struct worker *worker, struct tunnel *tunnel);

/* From any thread: has epoll watch a listening socket, together with the other threads. Returns 0 or an errno. */
int worker_watch_listener(struct worker *worker, struct listener *listener);

/* The rest is of the thread. */

/* Leaves a listening socket to the others until then. */
void worker_pause(struct worker *worker, struct listener *listener, uint64_t until_ms);

/* Has epoll watch an end, by edges. Returns 0 or an errno. */
int worker_watch(struct worker *worker, struct tunnel *tunnel, enum side side);

/* Gives a tunnel another turn, after the others. */
void worker_ready(struct worker *worker, struct tunnel *tunnel);

/*
 * Reads once for the owner: into `said` and `fin` of that side. HEARD_FIN is a FIN without bytes; errno says what failed.
 */
enum heard worker_hear(struct worker *worker, struct tunnel *tunnel, enum side side);

/* Tells the owner, at the end of the round. */
void worker_tell(struct worker *worker, struct tunnel *tunnel, enum event_kind kind);

/* No turn and no timer from now on. */
void worker_stop_turns(struct worker *worker, struct tunnel *tunnel);

/* The sockets are closed: no turn, no timer; `kind` is the tunnel's last event. */
void worker_forget(struct worker *worker, struct tunnel *tunnel, enum event_kind kind);

/* Of `seen_close`. */
#define CLOSE_BY_SHIFT 16

/* reading.c: its numbers, at a time that is not before what the thread did last. */
void tunnel_read(const struct tunnel *tunnel, uint64_t at_ms, struct reading *reading);

/* places.c: closes a socket where there is one, with a reset or in an orderly way. */
void end_close(struct end *end, bool reset);

uint64_t clock_ns(void);
uint64_t clock_ms(void);

/* relay.c: hands a chain by `event_next` over to the owner. */
void relay_post(struct relay *relay, struct tunnel *first);

/*
 * relay.c: a place for a tunnel, at `wished` unless another worker has much less to do; at the least loaded one for NULL.
 * NULL without memory.
 */
struct tunnel *relay_allot(struct relay *relay, struct worker *wished);

/* relay.c: whether a descriptor is one that is left to others. */
bool relay_spares(const struct relay *relay, int fd);

/* relay.c: gives a place back. */
void relay_put_back(struct tunnel *tunnel);

/* relay.c: the pause of this worker is over for all listeners that it is over for; returns when the next one ends. */
uint64_t relay_resume(struct relay *relay, struct worker *worker);

#endif
