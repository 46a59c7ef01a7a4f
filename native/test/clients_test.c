/* How many clients an address may have: by hand, and beside plain counts. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "accept.h"
#include "harness.h"

#define STEPS 200000
#define ADDRESSES 3000

static struct clients clients;

static struct peer_address peer_of(const char *text)
{
	struct peer_address peer = {.family = AF_INET};

	if (inet_pton(AF_INET, text, peer.address) != 1) {
		peer.family = AF_INET6;
		CHECK_EQUAL(inet_pton(AF_INET6, text, peer.address), 1);
	}
	return peer;
}

static bool enters(const char *text)
{
	const struct peer_address peer = peer_of(text);

	return clients_enter(&clients, &peer);
}

static void leaves(const char *text)
{
	const struct peer_address peer = peer_of(text);

	clients_leave(&clients, &peer);
}

static void limit(uint64_t max, uint64_t share_max)
{
	const struct client_limits limits = {.clients_max = max, .share_max = share_max};

	clients_limit(&clients, &limits);
}

static void begin(uint64_t max, uint64_t share_max)
{
	CHECK(clients_init(&clients));
	limit(max, share_max);
}

static void check_refused(uint64_t full, uint64_t share)
{
	struct refused_clients refused;

	clients_refused(&clients, &refused);
	CHECK_EQUAL(refused.full, full);
	CHECK_EQUAL(refused.share, share);
	CHECK_EQUAL(refused.starved, 0);
}

static void an_address_has_its_share(void)
{
	const struct peer_address last = peer_of("192.0.2.1");
	struct refused_clients refused;

	begin(5, 2);
	CHECK(enters("192.0.2.1"));
	CHECK(enters("192.0.2.1"));
	CHECK(!enters("192.0.2.1"));
	CHECK(enters("192.0.2.2"));
	leaves("192.0.2.1");
	CHECK(enters("192.0.2.1"));
	CHECK(enters("192.0.2.3"));
	CHECK(enters("192.0.2.4"));
	CHECK(!enters("192.0.2.5"));
	check_refused(1, 1);
	CHECK(!enters("192.0.2.1"));
	clients_refused(&clients, &refused);
	CHECK(memcmp(&refused.last, &last, sizeof last) == 0);
	limit(NO_LIMIT, 3);
	CHECK(enters("192.0.2.1"));
	CHECK(!enters("192.0.2.1"));
	limit(NO_LIMIT, NO_LIMIT);
	CHECK(enters("192.0.2.1"));
	clients_free(&clients);
}

static void check_together(const char *one, const char *other, bool together)
{
	begin(NO_LIMIT, 1);
	CHECK(enters(one));
	CHECK_EQUAL(enters(other), !together);
	leaves(other);
	CHECK_EQUAL(enters(one), together);
	clients_free(&clients);
}

static void addresses_count_by_their_network(void)
{
	check_together("2001:db8::1", "2001:db8::ffff:0:0:1", true);
	check_together("2001:db8::1", "2001:db8:0:1::1", false);
	check_together("192.0.2.1", "::ffff:192.0.2.1", true);
	check_together("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
	check_together("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2", false);
	check_together("64:ff9b:1::1", "64:ff9b:1::2", false);
	check_together("64:ff9c::1", "64:ff9c::2", true);
}

/* Of these blocks as src/request/address-blocks.ts makes them. */
static void exempt(const char *text, unsigned char bits)
{
	struct client_limits limits = {.clients_max = NO_LIMIT, .exempt_count = 2};
	const struct address_block other = {.address = {0x20, 0x01, 0x0d, 0xb9}, .bits = 32};

	limits.exempt = calloc(2, sizeof *limits.exempt);
	CHECK(limits.exempt != NULL);
	limits.exempt[0] = other;
	CHECK_EQUAL(inet_pton(AF_INET6, text, limits.exempt[1].address), 1);
	limits.exempt[1].bits = bits;
	clients_limit(&clients, &limits);
}

static void blocks_have_no_share(void)
{
	begin(NO_LIMIT, NO_LIMIT);
	CHECK(enters("192.0.2.1"));
	CHECK(enters("2001:db8::1"));
	exempt("::ffff:192.0.2.0", 127);
	CHECK(enters("192.0.2.1"));
	CHECK(enters("192.0.2.1"));
	CHECK(enters("::ffff:192.0.2.1"));
	CHECK(!enters("2001:db8::1"));
	exempt("::ffff:192.0.2.0", 128);
	CHECK(!enters("192.0.2.1"));
	exempt("::ffff:0:0", 96);
	CHECK(enters("192.0.2.1"));
	CHECK(!enters("2001:db8::1"));
	exempt("::", 0);
	CHECK(enters("2001:db8::1"));
	CHECK(!enters("192.0.2.1"));
	exempt("2001:db8::", 47);
	CHECK(enters("2001:db8::1"));
	exempt("2001:db8:2::", 47);
	CHECK(!enters("2001:db8::1"));
	clients_free(&clients);
}

static void exempt_ones_count_in_all(void)
{
	begin(NO_LIMIT, NO_LIMIT);
	exempt("::ffff:192.0.2.1", 128);
	CHECK(enters("192.0.2.1"));
	CHECK(enters("192.0.2.1"));
	limit(2, 4);
	CHECK(!enters("192.0.2.1"));
	CHECK(!enters("192.0.2.2"));
	check_refused(2, 0);
	clients_free(&clients);
}

static void many_addresses_beside_plain_counts(void)
{
	static unsigned counts[ADDRESSES];
	uint64_t seed = 11;
	uint64_t count = 0;

	begin(NO_LIMIT, 3);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned index = (unsigned)(draw(&seed) % ADDRESSES);
		struct peer_address peer = {.family = AF_INET6,
		                            .address = {0x20, 0x01, [6] = (unsigned char)(index >> 8),
		                                        (unsigned char)index,
		                                        (unsigned char)draw(&seed)}};

		if (draw(&seed) % 2 == 0) {
			CHECK_EQUAL(clients_enter(&clients, &peer), counts[index] < 3);
			if (counts[index] < 3) {
				counts[index]++;
				count++;
			}
		} else if (counts[index] > 0) {
			clients_leave(&clients, &peer);
			counts[index]--;
			count--;
		}
		CHECK_EQUAL(clients.count, count);
	}
	for (unsigned index = 0; index < ADDRESSES; index++) {
		const struct peer_address peer = {.family = AF_INET6,
		                                  .address = {0x20, 0x01,
		                                              [6] = (unsigned char)(index >> 8),
		                                              (unsigned char)index}};

		while (counts[index]-- > 0)
			clients_leave(&clients, &peer);
	}
	/* What has no clients is forgotten. */
	CHECK_EQUAL(clients.count, 0);
	CHECK_EQUAL(clients.addresses, 0);
	CHECK(clients.table_size < (size_t)2 * ADDRESSES);
	clients_free(&clients);
}

int main(void)
{
	const struct test tests[] = {
		{"an address has its share and no more, until one of its clients leaves",
		 an_address_has_its_share},
		{"IPv4 counts whole and IPv6 by its /64, save where IPv4 is in it",
		 addresses_count_by_their_network},
		{"blocks have no share", blocks_have_no_share},
		{"who has no share counts in all", exempt_ones_count_in_all},
		{"thousands of addresses count as they do one by one",
		 many_addresses_beside_plain_counts},
	};

	return RUN_TESTS(tests);
}
