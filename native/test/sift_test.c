/* What the scanner does to the bytes while something is to be done: frames of ours go in, and pongs to us stay out. */
#include <string.h>

#include "made_frames.h"

#define ROUNDS 4000
#define OWN "\x88\x02\x03\xe9"
#define OWN_BYTES 4

static const unsigned char ping[PING_BYTES] = {1, 2, 3, 4, 5, 6, 7, 8};

/* A direction with something to be done, as a tunnel has it. */
struct sieve {
	struct frames frames;
	struct sift sift;
	struct bytes out;
};

static struct sieve new_sieve(enum side from)
{
	struct sieve sieve = {.sift = {.ping = ping}};

	frames_start(&sieve.frames, from == SIDE_CLIENT);
	return sieve;
}

static void run_sieve(struct sieve *sieve, const unsigned char *bytes, size_t length)
{
	struct sift *sift = &sieve->sift;

	sift->to = malloc(length + SIFT_MORE_BYTES + sift->own_length);
	CHECK(sift->to != NULL);
	sift->length = 0;
	frames_sift(&sieve->frames, sift, bytes, length);
	bytes_add(&sieve->out, sift->to, sift->length);
	free(sift->to);
}

static void end_sieve(struct sieve *sieve)
{
	unsigned char more[SIFT_MORE_BYTES];

	sieve->sift.to = more;
	sieve->sift.length = 0;
	frames_end(&sieve->frames, &sieve->sift);
	bytes_add(&sieve->out, more, sieve->sift.length);
}

static void put_own(struct sieve *sieve, bool ends)
{
	sieve->sift.own = (const unsigned char *)OWN;
	sieve->sift.own_length = OWN_BYTES;
	sieve->sift.ends = ends;
	sieve->sift.is_put = false;
	run_sieve(sieve, NULL, 0);
}

static void expect_out(struct sieve *sieve, const struct bytes *expected)
{
	CHECK_EQUAL(sieve->out.length, expected->length);
	CHECK(expected->length == 0 || memcmp(sieve->out.at, expected->at, expected->length) == 0);
	bytes_free(&sieve->out);
}

/* For each place in the stream at which it is asked for. */
static void our_frame_waits_for_the_border(bool ends)
{
	for (enum side from = 0; from < SIDES; from++) {
		struct bytes in = {0};
		size_t borders[4] = {0};

		add_text(&in, from, TEXT, "one");
		borders[1] = in.length;
		add_text(&in, from, FIN | PING, "");
		borders[2] = in.length;
		add_text(&in, from, FIN | CONTINUATION, "two");
		borders[3] = in.length;
		for (size_t at = 0; at <= in.length; at++) {
			for (size_t step = 1; step <= in.length; step++) {
				struct sieve sieve = new_sieve(from);
				struct bytes expected = {0};
				size_t border = 0;

				run_sieve(&sieve, in.at, at);
				put_own(&sieve, ends);
				for (size_t next = at; next < in.length; next += step)
					run_sieve(&sieve, in.at + next, in.length - next < step ? in.length - next : step);
				while (borders[border] < at)
					border++;
				bytes_add(&expected, in.at, borders[border]);
				bytes_add(&expected, OWN, OWN_BYTES);
				if (!ends)
					bytes_add(&expected, in.at + borders[border], in.length - borders[border]);
				CHECK_EQUAL(sieve.sift.is_shut, ends);
				CHECK(sieve.sift.is_put);
				/* What is dropped is followed too. */
				check_counts(&sieve.frames, &(struct frame_counts){.text = 1, .ping = 1});
				expect_out(&sieve, &expected);
				bytes_free(&expected);
			}
		}
		bytes_free(&in);
	}
}

static void our_frames_wait_for_borders(void)
{
	our_frame_waits_for_the_border(false);
	our_frame_waits_for_the_border(true);
}

static void nothing_is_put_behind_a_close_or_into_a_blind_direction(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		for (unsigned is_blind = 0; is_blind < 2; is_blind++) {
			struct bytes in = {0};
			struct sieve sieve = new_sieve(from);

			if (is_blind)
				add_text(&in, from, FIN | CONTINUATION, "of nothing");
			else
				add_close(&in, from, 1000, "");
			run_sieve(&sieve, in.at, 1);
			put_own(&sieve, true);
			CHECK(sieve.sift.own != NULL && !sieve.sift.is_shut);
			run_sieve(&sieve, in.at + 1, in.length - 1);
			CHECK(sieve.sift.own == NULL && sieve.sift.is_shut && !sieve.sift.is_put);
			/* A blind one ends where it is found to be blind. */
			if (!is_blind)
				expect_out(&sieve, &in);
			bytes_free(&sieve.out);
			bytes_free(&in);
		}
	}
}

static void pongs_to_us_go_no_further(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		struct bytes in = {0};
		struct bytes expected = {0};
		size_t begin;

		add_text(&expected, from, FIN | TEXT, "before");
		bytes_add(&in, expected.at, expected.length);
		add_frame(&in, from, FIN | PONG, ping, PING_BYTES);
		begin = expected.length;
		/* Others': with another payload, of another length, and one more than we have asked for. */
		add_frame(&expected, from, FIN | PONG, "\1\2\3\4\5\6\7\x9", PING_BYTES);
		add_frame(&expected, from, FIN | PONG, ping, PING_BYTES - 1);
		bytes_add(&in, expected.at + begin, expected.length - begin);
		add_frame(&in, from, FIN | PONG, ping, PING_BYTES);
		begin = expected.length;
		add_frame(&expected, from, FIN | PONG, ping, PING_BYTES);
		add_text(&expected, from, FIN | BINARY, "behind");
		bytes_add(&in, expected.at + begin, expected.length - begin);
		for (size_t step = 1; step <= in.length; step++) {
			struct sieve sieve = new_sieve(from);

			sieve.sift.pongs_due = 2;
			for (size_t at = 0; at < in.length; at += step)
				run_sieve(&sieve, in.at + at, in.length - at < step ? in.length - at : step);
			CHECK_EQUAL(sieve.sift.pongs_due, 0);
			check_counts(&sieve.frames, &(struct frame_counts){.text = 1, .binary = 1, .pong = 3});
			expect_out(&sieve, &expected);
		}
		bytes_free(&in);
		bytes_free(&expected);
	}
}

static void only_a_pong_to_us_is_no_activity(void)
{
	struct bytes in = {0};
	struct sieve sieve = new_sieve(SIDE_CLIENT);

	add_frame(&in, SIDE_CLIENT, FIN | PONG, ping, PING_BYTES);
	sieve.sift.pongs_due = 1;
	for (size_t at = 0; at < in.length; at++)
		run_sieve(&sieve, in.at + at, 1);
	CHECK(!sieve.sift.has_moved);
	run_sieve(&sieve, in.at, 1);
	CHECK(sieve.sift.has_moved);
	bytes_free(&sieve.out);
	bytes_free(&in);
}

static void what_is_held_back_goes_on_at_the_end(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		struct bytes in = {0};

		add_frame(&in, from, FIN | PONG, ping, PING_BYTES);
		for (size_t length = 1; length < in.length; length++) {
			struct sieve sieve = new_sieve(from);
			const struct bytes part = {.at = in.at, .length = length};

			sieve.sift.pongs_due = 1;
			run_sieve(&sieve, in.at, length);
			CHECK_EQUAL(sieve.out.length, 0);
			/* Our frame goes before it. */
			CHECK(frames_are_between(&sieve.frames));
			end_sieve(&sieve);
			CHECK_EQUAL(sieve.sift.pongs_due, 1);
			expect_out(&sieve, &part);
		}
		bytes_free(&in);
	}
}

/* Random frames, pongs to us among them, in random parts. */
static void random_streams_arrive_without_our_pongs(void)
{
	uint64_t seed = 1;

	for (unsigned round = 0; round < ROUNDS; round++) {
		enum side from = (enum side)(round % SIDES);
		struct sieve sieve = new_sieve(from);
		struct bytes in = {0};
		struct bytes expected = {0};
		struct frame_counts counts = {0};
		unsigned ours = 0;

		for (uint64_t left = draw(&seed) % 20; left > 0; left--) {
			unsigned char payload[300] = {(unsigned char)left};
			size_t length = draw(&seed) % (draw(&seed) % 4 == 0 ? sizeof payload : 10);
			size_t begin = in.length;

			switch (draw(&seed) % 4) {
			case 0:
				add_frame(&in, from, FIN | PONG, ping, PING_BYTES);
				ours++;
				continue;
			case 1:
				payload[7] = (unsigned char)draw(&seed);
				add_frame(&in, from, FIN | PONG, payload, PING_BYTES);
				counts.pong++;
				break;
			default:
				add_frame(&in, from, FIN | TEXT, payload, length);
				counts.text++;
				break;
			}
			bytes_add(&expected, in.at + begin, in.length - begin);
		}
		sieve.sift.pongs_due = ours + 1;
		for (size_t at = 0; at < in.length;) {
			size_t length = 1 + draw(&seed) % (in.length - at);

			run_sieve(&sieve, in.at + at, length);
			at += length;
		}
		CHECK_EQUAL(sieve.sift.pongs_due, 1);
		check_counts(&sieve.frames, &counts);
		expect_out(&sieve, &expected);
		bytes_free(&in);
		bytes_free(&expected);
	}
}

int main(void)
{
	const struct test tests[] = {
		{"a frame of ours waits for the next border", our_frames_wait_for_borders},
		{"nothing is put behind a Close frame or into a blind direction",
		 nothing_is_put_behind_a_close_or_into_a_blind_direction},
		{"pongs to us go no further, and all others do", pongs_to_us_go_no_further},
		{"only a pong to us is no activity", only_a_pong_to_us_is_no_activity},
		{"what is held back goes on at the end", what_is_held_back_goes_on_at_the_end},
		{"random streams arrive without our pongs", random_streams_arrive_without_our_pongs},
	};

	return RUN_TESTS(tests);
}
