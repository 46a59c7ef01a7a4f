#include "accept_door.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "parts.h"

#define BUFFER_BYTES 65536
#define BACKLOG 1024

void door_open(struct door *door, unsigned threads, uint64_t head_ms, uint64_t clients_max)
{
	const struct client_limits limits = {
		.head_ms = head_ms, .clients_max = clients_max, .share_max = NO_LIMIT};

	door_open_limited(door, threads, &limits);
}

void door_open_limited(struct door *door, unsigned threads, const struct client_limits *limits)
{
	int fd = listen_at(TCP, BACKLOG, &door->address);
	struct listen_request request = {.fd = fd, .tag = DOOR_TAG, .limits = *limits};
	int error = 0;

	set_blocking(fd, false);
	rig_start(&door->rig, threads, BUFFER_BYTES);
	door->listener = relay_listen(door->rig.relay, &request, &error);
	CHECK(door->listener != NULL);
	(void)close(fd);
}

void door_close(struct door *door)
{
	rig_stop(&door->rig);
}

void door_leave(struct door *door, unsigned char host)
{
	const struct peer_address peer = {.family = AF_INET, .address = {127, 0, 0, host}};

	relay_leave(door->listener, &peer);
}

uint64_t door_clients(struct door *door)
{
	struct clients *clients = &door->listener->clients;
	uint64_t count;

	(void)pthread_mutex_lock(&clients->lock);
	count = clients->count;
	CHECK((count == 0) == (clients->addresses == 0));
	(void)pthread_mutex_unlock(&clients->lock);
	return count;
}

int door_knock_from(const struct door *door, unsigned char host)
{
	const struct sockaddr_in from = {.sin_family = AF_INET,
	                                 .sin_addr.s_addr = htonl(0x7f000000U + host)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQUAL(bind(fd, (const struct sockaddr *)&from, sizeof from), 0);
	CHECK_EQUAL(connect(fd, (const struct sockaddr *)&door->address.address,
	                    door->address.address_bytes), 0);
	return fd;
}

int door_knock(const struct door *door)
{
	return connect_to(&door->address, 0);
}

struct tunnel *await_request(struct door *door, const char *text, bool fin, bool is_first)
{
	struct event event = await_event(&door->rig);
	const unsigned char loopback[] = {127, 0, 0, 1};

	CHECK_EQUAL(event.kind, EVENT_REQUEST);
	CHECK_EQUAL(event.fin, fin);
	CHECK_EQUAL(event.is_first, is_first);
	CHECK(!event.is_last);
	CHECK_EQUAL(event.listener_tag, DOOR_TAG);
	CHECK_EQUAL(event.peer.family, AF_INET);
	CHECK(memcmp(event.peer.address, loopback, sizeof loopback) == 0);
	take_text(event.bytes, text);
	return relay_tunnel(door->rig.relay, event.id);
}

struct guest door_heard(struct door *door, const char *text)
{
	struct guest guest = {.peer = door_knock(door)};

	put(guest.peer, text);
	guest.tunnel = await_request(door, text, false, true);
	return guest;
}

struct guest door_guest(struct door *door)
{
	return door_heard(door, REQUEST);
}

void await_word(struct door *door, enum event_kind kind, const struct tunnel *tunnel)
{
	struct event event = await_event(&door->rig);

	CHECK_EQUAL(event.kind, kind);
	CHECK_EQUAL(event.id, tunnel_id(tunnel));
	CHECK(!event.is_first);
	CHECK(!event.is_last);
}

/* What one round of a thread brings comes all at once, and what was there before is in an earlier one or in the same. */
void expect_quiet(struct door *door)
{
	struct guest guest = door_guest(door);
	struct event event;

	CHECK(!relay_take(door->rig.relay, &event));
	dismiss(door, &guest);
}

void dismiss(struct door *door, const struct guest *guest)
{
	struct event event;

	relay_close(guest->tunnel, BY_GATEWAY, REASON_CALLER, 0, NULL);
	event = await_end(&door->rig);
	CHECK_EQUAL(event.id, tunnel_id(guest->tunnel));
	CHECK(event.is_last);
	expect_fin(guest->peer);
	(void)close(guest->peer);
}

int dial_for(struct door *door, const struct guest *guest)
{
	struct dial_request request;
	int listener = listen_at(TCP, 8, &request);
	int endpoint;

	request.tunnel = guest->tunnel;
	CHECK(dial(&door->rig, &request, NO_LIMIT, NO_LIMIT) == guest->tunnel);
	endpoint = accept_from(listener);
	(void)close(listener);
	expect(endpoint, REQUEST);
	return endpoint;
}

int dial_answered(struct door *door, const struct guest *guest, const char *answer)
{
	int endpoint = dial_for(door, guest);

	put(endpoint, answer);
	await_bytes(&door->rig, guest->tunnel, answer);
	return endpoint;
}

void open_both(struct door *door, const struct guest *guest, const char *to_client)
{
	struct open_request request = plain_request();
	int error = 0;

	request.fds[SIDE_CLIENT] = -1;
	request.fds[SIDE_UPSTREAM] = -1;
	request.to[SIDE_CLIENT] = hold_text(to_client);
	CHECK(relay_open(door->rig.relay, guest->tunnel, &request, &error) == guest->tunnel);
	CHECK_EQUAL(error, 0);
}
