/* What is asked of a thread, on its way there, and done. */

#include <stdlib.h>
#include <unistd.h>

#include "accept.h"
#include "dial.h"
#include "mail.h"
#include "tunnel.h"

void worker_mail(struct worker *worker, struct tunnel *tunnel, enum task task)
{
	bool is_first;
	uint64_t one = 1;

	(void)pthread_mutex_lock(&worker->lock);
	is_first = worker->mail_first == NULL;
	if (task == TASK_DROP && (tunnel->mail & (TASK_DIAL | TASK_PROCEED)) != 0)
		task = TASK_GIVE_UP;
	tunnel->mail |= task;
	if (!tunnel->is_mailed) {
		tunnel->is_mailed = true;
		tunnel->mail_next = NULL;
		if (is_first)
			worker->mail_first = tunnel;
		else
			worker->mail_last->mail_next = tunnel;
		worker->mail_last = tunnel;
	}
	atomic_store_explicit(&worker->has_mail, true, memory_order_release);
	(void)pthread_mutex_unlock(&worker->lock);
	/* The descriptor is watched by edges and never read: each write is an edge. */
	if (is_first)
		(void)!write(worker->wake_fd, &one, sizeof one);
}

void worker_unmail(struct worker *worker, struct tunnel *tunnel)
{
	(void)pthread_mutex_lock(&worker->lock);
	tunnel->mail = 0;
	free(tunnel->close_words);
	tunnel->close_words = NULL;
	(void)pthread_mutex_unlock(&worker->lock);
}

static void do_close(struct worker *worker, struct tunnel *tunnel)
{
	/* What the owner asked to close may have ended by itself meanwhile. */
	if (tunnel->state == STATE_OVER || tunnel->state == STATE_FREE)
		return;
	if (tunnel->state == STATE_OPEN || tunnel->state == STATE_CLOSING)
		tunnel_close(worker, tunnel, tunnel->asked_by, tunnel->asked_reason,
		             tunnel->asked_timeout_ms, tunnel->asked_words);
	else
		dial_abandon(worker, tunnel);
}

static void do_tasks(struct worker *worker, struct tunnel *tunnel)
{
	unsigned tasks = tunnel->tasks;

	if ((tasks & TASK_ACCEPT) != 0)
		accept_start(worker, tunnel);
	if ((tasks & TASK_HEAR) != 0)
		accept_hear(worker, tunnel);
	if ((tasks & TASK_RELEASE_CLIENT) != 0)
		dial_released(worker, tunnel, SIDE_CLIENT);
	if ((tasks & TASK_RELEASE_UPSTREAM) != 0)
		dial_released(worker, tunnel, SIDE_UPSTREAM);
	if ((tasks & TASK_DROP) != 0)
		dial_drop(worker, tunnel);
	if ((tasks & TASK_DIAL) != 0)
		dial_start(worker, tunnel);
	if ((tasks & TASK_PROCEED) != 0)
		dial_proceed(worker, tunnel, tunnel->refresh);
	if ((tasks & TASK_GIVE_UP) != 0)
		dial_drop(worker, tunnel);
	if ((tasks & TASK_OPEN) != 0)
		tunnel_start(worker, tunnel);
	if ((tasks & TASK_CLOSE) != 0) {
		do_close(worker, tunnel);
		free(tunnel->asked_words);
		tunnel->asked_words = NULL;
	}
}

/* Under the lock. Before the task is mailed its fields may be there already. */
static void take_close(struct tunnel *tunnel)
{
	tunnel->asked_by = tunnel->close_by;
	tunnel->asked_reason = tunnel->close_reason;
	tunnel->asked_timeout_ms = tunnel->close_timeout_ms;
	tunnel->asked_words = tunnel->close_words;
	tunnel->close_words = NULL;
}

bool mail_take(struct worker *worker)
{
	struct tunnel *first = NULL;
	struct tunnel **last = &first;
	bool is_stopping;

	(void)pthread_mutex_lock(&worker->lock);
	for (struct tunnel *tunnel = worker->mail_first; tunnel != NULL; tunnel = tunnel->mail_next) {
		tunnel->is_mailed = false;
		tunnel->tasks = tunnel->mail;
		tunnel->mail = 0;
		if ((tunnel->tasks & TASK_CLOSE) != 0)
			take_close(tunnel);
		*last = tunnel;
		last = &tunnel->task_next;
	}
	*last = NULL;
	worker->mail_first = NULL;
	is_stopping = worker->is_stopping;
	atomic_store_explicit(&worker->has_mail, false, memory_order_relaxed);
	(void)pthread_mutex_unlock(&worker->lock);
	while (first != NULL) {
		struct tunnel *tunnel = first;

		first = tunnel->task_next;
		do_tasks(worker, tunnel);
	}
	return !is_stopping;
}
