/* What a relay thread is: its epoll, its timers, the tunnels whose turn it is, and the mail from and to the owner. */
#ifndef UPGATE_WORKER_H
#define UPGATE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>

#include "relay.h"
#include "wheel.h"

/* The most that is read at once: with less a big message takes several turns, with more the CPU's caches no longer hold it. */
#define READ_BYTES_MAX ((size_t)256 * 1024)

enum tunnel_state {
	STATE_FREE = 0,
	/* The connect, or the request head, is under way. */
	STATE_DIALING,
	/* The request is out, the answer awaited. */
	STATE_WAITING,
	/* A part of the answer is with the owner, who says what is next. */
	STATE_ASKING,
	STATE_OPEN,
	STATE_CLOSING,
	/* The sockets are closed; the last event is on its way. */
	STATE_OVER,
};

/* What the owner asks of a thread: bits, since several may have come when it looks. */
enum task { TASK_DIAL = 1, TASK_PROCEED = 2, TASK_RELEASE = 4, TASK_OPEN = 8, TASK_CLOSE = 16 };

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
	/* Bytes on their way to this end. As long as there are any, the other end is not read. */
	struct hold *hold;
	/* Bytes read from this end: written by the thread, read by the owner at any time. */
	_Atomic uint64_t read_bytes;
};

struct tunnel {
	/* First, so that a timer is its tunnel. */
	struct timer timer;
	struct worker *worker;
	uint32_t id;

	/* Of the owner until a task is mailed and after an event is taken, of the thread in between. */
	struct end ends[SIDES];
	struct sockaddr_storage *address;
	socklen_t address_bytes;
	bool is_connected;
	uint64_t connect_ms;
	uint64_t handshake_ms;
	uint64_t idle_ms;
	uint64_t lifetime_ms;
	/* What EVENT_BYTES and EVENT_FAILED tell. */
	struct hold *answer;
	bool fin;
	bool timed_out;
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
	unsigned tasks;
	unsigned events;
	struct tunnel *task_next;
	struct tunnel *event_next;
	struct tunnel *ready_next;
	struct tunnel *ready_prev;
	/* TASK_CLOSE, as last asked for. */
	enum ended_by asked_by;
	enum end_reason asked_reason;
	uint64_t asked_grace_ms;
	uint64_t deadline_ms;
	uint64_t born_at_ms;
	uint64_t moved_at_ms;

	/* Under the worker's lock. */
	unsigned mail;
	bool is_mailed;
	bool refresh;
	struct tunnel *mail_next;
	enum ended_by close_by;
	enum end_reason close_reason;
	uint64_t close_grace_ms;

	/* Under the relay's lock. */
	unsigned posted;
	bool is_posted;
	struct tunnel *posted_next;

	/* Of the owner alone. */
	unsigned taken;
	struct tunnel *taken_next;
	struct tunnel *free_next;
};

struct worker {
	struct relay *relay;
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
	/* Of the owner: how many tunnels are here, and what is free for more. */
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

/* Ends the thread and frees what is the worker's; its tunnels are left as they are. */
void worker_stop(struct worker *worker);

/* Of the owner: asks for `task`. The tunnel's fields for it have been filled. */
void worker_mail(struct worker *worker, struct tunnel *tunnel, enum task task);

/* Of the owner: nothing that was asked for this tunnel and not yet looked at holds any more. */
void worker_unmail(struct worker *worker, struct tunnel *tunnel);

/* The rest is of the thread. */

/* Has epoll watch an end, by edges. Returns 0 or an errno. */
int worker_watch(struct worker *worker, struct tunnel *tunnel, enum side side);

/* Gives a tunnel another turn, after the others. */
void worker_ready(struct worker *worker, struct tunnel *tunnel);

/* Tells the owner, at the end of the round. */
void worker_tell(struct worker *worker, struct tunnel *tunnel, enum event_kind kind);

/* The sockets are closed: no turn, no timer; `kind` is the tunnel's last event. */
void worker_forget(struct worker *worker, struct tunnel *tunnel, enum event_kind kind);

uint64_t clock_ns(void);

/* relay.c: hands a chain by `event_next` over to the owner. */
void relay_post(struct relay *relay, struct tunnel *first);

#endif
