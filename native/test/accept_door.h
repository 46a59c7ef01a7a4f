/* What the tests of accepted clients share. */
#ifndef UPGATE_ACCEPT_DOOR_H
#define UPGATE_ACCEPT_DOOR_H

#include "dials.h"

#define DOOR_TAG 7

/* A relay that accepts clients at a port of the loopback address. */
struct door {
	struct rig rig;
	struct listener *listener;
	/* Of the port, for `connect_to`. */
	struct dial_request address;
};

/* A client that the owner has been told of, and its peer. */
struct guest {
	struct tunnel *tunnel;
	int peer;
};

void door_open(struct door *door, unsigned threads, uint64_t head_ms, uint64_t clients_max);
/* The same with more limits. */
void door_open_limited(struct door *door, unsigned threads, const struct client_limits *limits);
void door_close(struct door *door);

/* A released client, which came from this address of the loopback network, is gone. */
void door_leave(struct door *door, unsigned char host);

/* How many count. */
uint64_t door_clients(struct door *door);

/* A client that has said nothing yet, from 127.0.0.1 or from another address of the loopback network. */
int door_knock_from(const struct door *door, unsigned char host);
int door_knock(const struct door *door);

/* Waits for a part of a request, the text or NULL, and whether a FIN is behind it. */
struct tunnel *await_request(struct door *door, const char *text, bool fin, bool is_first);

/* A client that has sent this, which the owner has. */
struct guest door_heard(struct door *door, const char *text);
/* The same with REQUEST. */
struct guest door_guest(struct door *door);

/* Waits for EVENT_LATE, EVENT_FIN or EVENT_RESET. */
void await_word(struct door *door, enum event_kind kind, const struct tunnel *tunnel);

/* All that has happened up to now brings no event. */
void expect_quiet(struct door *door);

/* Closes a client while the owner is asked, with the event that comes of it. */
void dismiss(struct door *door, const struct guest *guest);

/* A dial for a client whose request an endpoint has. Returns the endpoint's end. */
int dial_for(struct door *door, const struct guest *guest);

/* The same, after which the owner has a part of the answer. */
int dial_answered(struct door *door, const struct guest *guest, const char *answer);

/* Joins both sides of a client's place. */
void open_both(struct door *door, const struct guest *guest, const char *to_client);

#endif
