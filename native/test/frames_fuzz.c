/*
 * The input is what one peer sends, in parts. Whatever it is, and however it is split, the same is counted; what is
 * passed on while something is to be done is what came, save for pongs to us and a frame of ours.
 *
 *     a byte of options, then parts: a byte of length, and as many bytes
 */
#include <string.h>

#include "made_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

#define OWN "\x89\x00"
#define OWN_BYTES 2
#define PONGS_MAX 200U

/* Bytes that are often repeated make it. */
static const unsigned char ping[PING_BYTES] = {0};

static void check_same(const struct frames *some, const struct frames *others, unsigned pongs)
{
	struct frame_counts a;
	struct frame_counts b;

	frames_count(some, &a);
	frames_count(others, &b);
	CHECK_EQUAL(a.text, b.text);
	CHECK_EQUAL(a.binary, b.binary);
	CHECK_EQUAL(a.ping, b.ping);
	CHECK_EQUAL(a.pong, b.pong + pongs);
	CHECK_EQUAL(a.close, b.close);
	CHECK_EQUAL(a.other, b.other);
	CHECK_EQUAL(a.is_blind, b.is_blind);
	CHECK_EQUAL(some->close_code, others->close_code);
	CHECK_EQUAL(some->part, others->part);
	if (frames_are_followed(some))
		CHECK_EQUAL(some->left, others->left);
}

/* The part at `data`; 0 when there is none. */
static size_t part_length(const uint8_t *data, size_t left)
{
	if (left < 2)
		return 0;
	return data[0] < left - 1 ? data[0] : left - 1;
}

static void sift_part(struct frames *frames, struct sift *sift, struct bytes *out,
                      const uint8_t *bytes, size_t length)
{
	sift->to = malloc(length + SIFT_MORE_BYTES + OWN_BYTES);
	CHECK(sift->to != NULL);
	sift->length = 0;
	frames_sift(frames, sift, bytes, length);
	bytes_add(out, sift->to, sift->length);
	free(sift->to);
}

/* What was put into the stream, where it was, is its only difference. */
static void check_own(const struct bytes *with, const struct bytes *without, bool is_put)
{
	size_t same = 0;

	CHECK_EQUAL(with->length, without->length + (is_put ? OWN_BYTES : 0));
	while (same < without->length && with->at[same] == without->at[same])
		same++;
	/* Where the next byte is the frame's own first one, the place may be a little before. */
	for (size_t back = 0; is_put && back <= OWN_BYTES && back <= same; back++) {
		size_t at = same - back;

		if (memcmp(with->at + at, OWN, OWN_BYTES) == 0 &&
		    memcmp(with->at + at + OWN_BYTES, without->at + at, without->length - at) == 0)
			return;
	}
	CHECK(!is_put && same == without->length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	enum side from = length > 0 && (data[0] & 1U) != 0 ? SIDE_CLIENT : SIDE_UPSTREAM;
	size_t put_at = length > 0 ? data[0] >> 1 : 0;
	struct frames whole = {.part = PART_NONE};
	struct frames split = whole;
	struct frames sifted = whole;
	struct frames told = whole;
	struct sift sift = {.ping = ping, .pongs_due = PONGS_MAX};
	struct sift own = sift;
	struct bytes in = {0};
	struct bytes out = {0};
	struct bytes told_out = {0};
	size_t part;

	frames_start(&whole, from == SIDE_CLIENT);
	frames_start(&split, from == SIDE_CLIENT);
	frames_start(&sifted, from == SIDE_CLIENT);
	frames_start(&told, from == SIDE_CLIENT);
	bytes_add(&in, "", 0);
	own.own_length = OWN_BYTES;
	for (size_t at = 1; at < length; at += 1 + part) {
		part = part_length(data + at, length - at);
		if (in.length >= put_at && own.own == NULL && !own.is_put && put_at != SIZE_MAX) {
			own.own = (const unsigned char *)OWN;
			put_at = SIZE_MAX;
		}
		bytes_add(&in, data + at + 1, part);
		frames_scan(&split, data + at + 1, part);
		sift_part(&sifted, &sift, &out, data + at + 1, part);
		sift_part(&told, &own, &told_out, data + at + 1, part);
	}
	frames_scan(&whole, in.at, in.length);
	check_same(&whole, &split, 0);
	sift.to = malloc(2 * SIFT_MORE_BYTES);
	CHECK(sift.to != NULL);
	own.to = sift.to + SIFT_MORE_BYTES;
	sift.length = 0;
	own.length = 0;
	frames_end(&sifted, &sift);
	frames_end(&told, &own);
	bytes_add(&out, sift.to, sift.length);
	bytes_add(&told_out, own.to, own.length);
	check_same(&whole, &sifted, PONGS_MAX - sift.pongs_due);
	CHECK_EQUAL(in.length - out.length,
	            (PONGS_MAX - sift.pongs_due) * (from == SIDE_CLIENT ? 14U : 10U));
	if (sift.pongs_due == PONGS_MAX && in.length > 0)
		CHECK_EQUAL(memcmp(in.at, out.at, in.length), 0);
	check_same(&sifted, &told, 0);
	CHECK_EQUAL(own.pongs_due, sift.pongs_due);
	check_own(&told_out, &out, own.is_put);
	free(sift.to);
	bytes_free(&in);
	bytes_free(&out);
	bytes_free(&told_out);
	return 0;
}
