/* Events on their way from the threads to the owner. */

#include "parts.h"

void relay_post(struct relay *relay, struct tunnel *first)
{
	bool were_none;

	(void)pthread_mutex_lock(&relay->lock);
	were_none = relay->posted_first == NULL;
	while (first != NULL) {
		struct tunnel *tunnel = first;

		first = tunnel->event_next;
		tunnel->posted |= tunnel->events;
		tunnel->events = 0;
		if (tunnel->is_posted)
			continue;
		tunnel->is_posted = true;
		tunnel->posted_next = NULL;
		if (relay->posted_first == NULL)
			relay->posted_first = tunnel;
		else
			relay->posted_last->posted_next = tunnel;
		relay->posted_last = tunnel;
	}
	(void)pthread_mutex_unlock(&relay->lock);
	if (were_none)
		relay->options.notify(relay->options.context);
}

/* Takes the whole post at once: one lock for a batch. */
static void take_post(struct relay *relay)
{
	struct tunnel **last = &relay->taken_first;

	(void)pthread_mutex_lock(&relay->lock);
	for (struct tunnel *tunnel = relay->posted_first; tunnel != NULL;
	     tunnel = tunnel->posted_next) {
		tunnel->taken = tunnel->posted;
		tunnel->posted = 0;
		tunnel->is_posted = false;
		*last = tunnel;
		last = &tunnel->taken_next;
	}
	*last = NULL;
	relay->posted_first = NULL;
	(void)pthread_mutex_unlock(&relay->lock);
}

static void tell_said(struct tunnel *tunnel, enum side side, struct event *event)
{
	event->bytes = tunnel->said[side];
	event->fin = tunnel->fin[side];
	tunnel->said[side] = NULL;
}

static void tell_request(struct tunnel *tunnel, struct event *event)
{
	tell_said(tunnel, SIDE_CLIENT, event);
	event->listener_tag = tunnel->listener->tag;
	event->peer = tunnel->peer;
	event->is_first = !tunnel->is_known;
	tunnel->is_known = true;
}

static void tell_failed(const struct tunnel *tunnel, struct event *event)
{
	event->stage = tunnel->stage;
	event->timed_out = tunnel->timed_out;
	event->error = tunnel->error;
	event->is_last = tunnel->failed_alone;
}

static void tell_ended(const struct tunnel *tunnel, struct event *event)
{
	event->by = tunnel->by;
	event->reason = tunnel->reason;
	event->error = tunnel->error;
	event->duration_ns = tunnel->over_at_ns - tunnel->born_at_ns;
	tunnel_read(tunnel, tunnel->over_at_ns / NS_PER_MS, &event->reading);
	event->is_last = true;
}

/* The end outdates what came before it; else they are told in the order in which they are listed. */
static enum event_kind next_kind(unsigned taken)
{
	if ((taken & (1U << EVENT_ENDED)) != 0)
		return EVENT_ENDED;
	return (enum event_kind)__builtin_ctz(taken);
}

bool relay_take(struct relay *relay, struct event *event)
{
	struct tunnel *tunnel;

	if (relay->taken_first == NULL)
		take_post(relay);
	tunnel = relay->taken_first;
	if (tunnel == NULL)
		return false;
	*event = (struct event){.kind = next_kind(tunnel->taken), .id = tunnel->id};
	tunnel->taken &= ~(1U << event->kind);
	switch (event->kind) {
	case EVENT_REQUEST:
		tell_request(tunnel, event);
		break;
	case EVENT_ANSWER:
		tell_said(tunnel, SIDE_UPSTREAM, event);
		break;
	case EVENT_FAILED:
		tell_failed(tunnel, event);
		break;
	case EVENT_ENDED:
		tell_ended(tunnel, event);
		break;
	case EVENT_LATE:
	case EVENT_FIN:
	case EVENT_RESET:
		break;
	}
	if (event->is_last || tunnel->taken == 0)
		relay->taken_first = tunnel->taken_next;
	if (event->is_last)
		relay_put_back(tunnel);
	return true;
}
