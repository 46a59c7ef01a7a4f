/* The scanner alone: what it counts, and where it goes blind. */
#include <string.h>

#include "made_frames.h"

static struct frames scanned(enum side from, const struct bytes *bytes, size_t step)
{
	struct frames frames = {.part = PART_NONE};

	frames_start(&frames, from == SIDE_CLIENT);
	for (size_t at = 0; at < bytes->length; at += step) {
		size_t length = bytes->length - at < step ? bytes->length - at : step;
		/* A block of its own, so that reading behind it is seen. */
		unsigned char *block = malloc(length);

		CHECK(block != NULL);
		memcpy(block, bytes->at + at, length);
		frames_scan(&frames, block, length);
		free(block);
	}
	return frames;
}

/* However it is split. */
static void check_scan(enum side from, struct bytes *bytes, const struct frame_counts *expected,
                       unsigned code)
{
	for (size_t step = 1; step <= bytes->length; step++) {
		struct frames frames = scanned(from, bytes, step);

		check_counts(&frames, expected);
		CHECK_EQUAL(frames.close_code, code);
	}
	bytes_free(bytes);
}

static void frames_are_counted(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		const struct frame_counts expected = {
			.text = 3, .binary = 2, .ping = 1, .pong = 2, .close = 1, .other = 2};
		struct bytes bytes = {0};

		add_text(&bytes, from, FIN | TEXT, "hello");
		add_text(&bytes, from, FIN | TEXT, "");
		add_text(&bytes, from, BINARY, "in parts, ");
		add_text(&bytes, from, FIN | PING, "between");
		add_text(&bytes, from, CONTINUATION, "of a message");
		add_text(&bytes, from, FIN | PONG, "");
		add_text(&bytes, from, FIN | CONTINUATION, "");
		add_text(&bytes, from, FIN | BINARY | 0x40, "with RSV1");
		add_text(&bytes, from, 3, "kept for later");
		add_text(&bytes, from, FIN | 11, "kept for later");
		add_header(&bytes, from, FIN | TEXT, 3, 8);
		bytes_add(&bytes, "abc", 3);
		add_text(&bytes, from, FIN | PONG | 0x70, "all RSV bits");
		add_close(&bytes, from, 1001, "bye");
		/* Behind the Close frame nothing counts, and nothing blinds. */
		add_text(&bytes, from, FIN | TEXT, "late");
		add_text(&bytes, from, CONTINUATION, "of nothing");
		check_scan(from, &bytes, &expected, 1001);
	}
}

static void long_frames_are_followed(void)
{
	static unsigned char payload[70000];

	for (enum side from = 0; from < SIDES; from++) {
		const struct frame_counts expected = {.text = 1, .binary = 3};
		struct bytes bytes = {0};

		add_frame(&bytes, from, FIN | BINARY, payload, 125);
		add_frame(&bytes, from, FIN | BINARY, payload, 126);
		add_frame(&bytes, from, FIN | BINARY, payload, sizeof payload);
		add_text(&bytes, from, FIN | TEXT, "behind");
		for (size_t step = 1; step < 70100; step = 3 * step + 1) {
			struct frames frames = scanned(from, &bytes, step);

			check_counts(&frames, &expected);
			CHECK(frames_are_between(&frames));
		}
		bytes_free(&bytes);
	}
}

static void close_codes(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		const struct frame_counts expected = {.close = 1};
		struct bytes bytes = {0};

		add_close(&bytes, from, 0, "");
		check_scan(from, &bytes, &expected, NO_CODE);
		add_frame(&bytes, from, FIN | CLOSE, "\x03", 1);
		check_scan(from, &bytes, &expected, NO_CODE);
		add_close(&bytes, from, 4999, "and a text");
		check_scan(from, &bytes, &expected, 4999);
		/* It is known as soon as both bytes are here. */
		add_close(&bytes, from, 1000, "");
		bytes.length--;
		check_scan(from, &bytes, &expected, 0);
	}
}

static void check_blind(enum side from, struct bytes *bytes)
{
	const struct frame_counts expected = {.text = 1, .is_blind = true};

	/* What comes behind counts no more. */
	add_text(bytes, from, FIN | TEXT, "unseen");
	add_close(bytes, from, 1000, "");
	check_scan(from, bytes, &expected, 0);
}

static void what_breaks_the_protocol_blinds(void)
{
	for (enum side from = 0; from < SIDES; from++) {
		enum side other = from == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT;
		struct bytes bytes = {0};

		add_text(&bytes, from, FIN | TEXT, "seen");
		add_text(&bytes, other, FIN | TEXT, "with the mask bit of the other side");
		check_blind(from, &bytes);
		add_text(&bytes, from, FIN | TEXT, "seen");
		add_header(&bytes, from, FIN | BINARY, UINT64_C(1) << 63, 8);
		check_blind(from, &bytes);
		add_text(&bytes, from, FIN | TEXT, "seen");
		add_header(&bytes, from, FIN | PONG, 126, 2);
		check_blind(from, &bytes);
		add_text(&bytes, from, FIN | TEXT, "seen");
		add_text(&bytes, from, PING, "without FIN");
		check_blind(from, &bytes);
		add_text(&bytes, from, FIN | TEXT, "seen");
		add_text(&bytes, from, FIN | CONTINUATION, "of nothing");
		check_blind(from, &bytes);
		add_text(&bytes, from, FIN | TEXT, "seen");
		add_text(&bytes, from, TEXT, "begun");
		add_text(&bytes, from, FIN | TEXT, "within");
		check_blind(from, &bytes);
	}
}

static void the_longest_frame_is_followed(void)
{
	struct bytes bytes = {0};
	struct frames frames;

	add_header(&bytes, SIDE_CLIENT, FIN | BINARY, UINT64_MAX >> 1, 8);
	frames = scanned(SIDE_CLIENT, &bytes, 1);
	CHECK_EQUAL(frames.left, UINT64_MAX >> 1);
	CHECK(frames_are_followed(&frames));
	bytes_free(&bytes);
}

int main(void)
{
	const struct test tests[] = {
		{"frames are counted by what they are, however they are split", frames_are_counted},
		{"long frames are followed", long_frames_are_followed},
		{"the code of a Close frame is found", close_codes},
		{"what breaks the protocol blinds for good", what_breaks_the_protocol_blinds},
		{"the longest frame that there may be is followed", the_longest_frame_is_followed},
	};

	return RUN_TESTS(tests);
}
