/*
 * The scanner alone, as a process: for tests that compare it with the one in TypeScript. It reads standard input to its
 * end and then writes a line of JSON for each case.
 *
 * The input is a sequence of records: a byte that says what it is, the length of the payload (32 bits, little-endian), and
 * the payload. `S` is the direction by its sender: 0 for the client, whose frames are masked, 1 for the upstream.
 *
 *     0x10 + S   a chunk that was read from the sender
 *     0x20 + S   the sender was pinged: one more pong of its may come. The payload is empty.
 *     0x30 + S   a frame of the gateway's (the payload, at most 256 bytes) goes to the receiver at the next border
 *     0x40 + S   the same, and nothing behind it: the direction ends there
 *     0x50 + S   the sender's FIN. The payload is empty.
 *     0xf0       the payload of the gateway's pings, 8 bytes; zeros until then
 *     0xff       ends a case; the next one begins anew, save for the payload of pings. The payload is empty.
 *
 * The output, for the directions of the client and of the upstream:
 *
 *     {"up":{"text":1,"binary":0,"ping":0,"pong":0,"close":1,"other":0,"blind":false,"closeCode":1000,"ownPongs":0,
 *      "isBetween":false,"isFollowed":false,"isShut":false,"put":1,"forwarded":"8a05..."},"down":{...}}
 *
 * `closeCode` is null until it is known; `ownPongs` were swallowed; `isBetween` says whether a control frame could be put
 * behind what was forwarded so far, `isFollowed` whether it is neither blind nor behind a Close frame; `put` counts the
 * gateway's frames; `forwarded` is all that the receiver gets, in hexadecimal.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"

#define KIND_BITS 0xf0
#define OWN_MAX 256

struct direction {
	struct frames frames;
	struct sift sift;
	unsigned char own[OWN_MAX];
	unsigned pongs;
	unsigned put;
	unsigned char *forwarded;
	size_t length;
};

static struct direction directions[SIDES];
static unsigned char ping[PING_BYTES];

static _Noreturn void die(const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(1);
}

static void begin_case(void)
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct direction *direction = &directions[side];

		free(direction->forwarded);
		memset(direction, 0, sizeof *direction);
		frames_start(&direction->frames, side == SIDE_CLIENT);
		direction->sift.ping = ping;
	}
}

static void forward(struct direction *direction, const unsigned char *bytes, size_t length)
{
	unsigned char *more = realloc(direction->forwarded, direction->length + length + 1);

	if (more == NULL)
		die("no memory");
	if (length > 0)
		memcpy(more + direction->length, bytes, length);
	direction->forwarded = more;
	direction->length += length;
}

static void sift(struct direction *direction, const unsigned char *bytes, size_t length, bool is_end)
{
	struct sift *state = &direction->sift;
	unsigned due = state->pongs_due;

	state->length = 0;
	state->is_put = false;
	state->to = malloc(length + SIFT_MORE_BYTES + state->own_length);
	if (state->to == NULL)
		die("no memory");
	if (is_end)
		frames_end(&direction->frames, state);
	else
		frames_sift(&direction->frames, state, bytes, length);
	forward(direction, state->to, state->length);
	free(state->to);
	direction->pongs += due - state->pongs_due;
	direction->put += state->is_put;
}

static void push(struct direction *direction, const unsigned char *bytes, size_t length)
{
	const struct sift *state = &direction->sift;

	if (state->pongs_due > 0 || state->own != NULL || state->ends) {
		sift(direction, bytes, length, false);
		return;
	}
	frames_scan(&direction->frames, bytes, length);
	forward(direction, bytes, length);
}

static void put(struct direction *direction, const unsigned char *bytes, size_t length, bool ends)
{
	if (length > OWN_MAX)
		die("a frame of the gateway's is too long");
	/* What ends a direction takes the place of what waits. */
	if (direction->sift.ends)
		return;
	memcpy(direction->own, bytes, length);
	direction->sift.own = direction->own;
	direction->sift.own_length = length;
	direction->sift.ends = ends;
	sift(direction, bytes, 0, false);
}

static void print_direction(const struct direction *direction)
{
	const struct frames *frames = &direction->frames;
	struct frame_counts counts;

	frames_count(frames, &counts);
	printf("{\"text\":%llu,\"binary\":%llu,\"ping\":%u,\"pong\":%u,\"close\":%u,\"other\":%u,"
	       "\"blind\":%s,",
	       (unsigned long long)counts.text, (unsigned long long)counts.binary, counts.ping,
	       counts.pong, counts.close, counts.other, counts.is_blind ? "true" : "false");
	if (frames->close_code == 0)
		printf("\"closeCode\":null,");
	else
		printf("\"closeCode\":%u,", frames->close_code);
	printf("\"ownPongs\":%u,\"isBetween\":%s,\"isFollowed\":%s,\"isShut\":%s,\"put\":%u,\"forwarded\":\"",
	       direction->pongs, frames_are_between(frames) ? "true" : "false",
	       frames_are_followed(frames) ? "true" : "false",
	       direction->sift.is_shut ? "true" : "false", direction->put);
	for (size_t index = 0; index < direction->length; index++)
		printf("%02x", direction->forwarded[index]);
	printf("\"}");
}

static void end_case(void)
{
	printf("{\"up\":");
	print_direction(&directions[SIDE_CLIENT]);
	printf(",\"down\":");
	print_direction(&directions[SIDE_UPSTREAM]);
	printf("}\n");
	begin_case();
}

static void run(unsigned char kind, const unsigned char *payload, size_t length)
{
	struct direction *direction = &directions[kind & 1];

	if (kind == 0xff) {
		end_case();
		return;
	}
	switch (kind & KIND_BITS) {
	case 0x10:
		push(direction, payload, length);
		break;
	case 0x20:
		direction->sift.pongs_due++;
		break;
	case 0x30:
	case 0x40:
		put(direction, payload, length, (kind & KIND_BITS) == 0x40);
		break;
	case 0x50:
		sift(direction, payload, 0, true);
		break;
	case 0xf0:
		if (length != sizeof ping)
			die("the payload of pings has 8 bytes");
		memcpy(ping, payload, sizeof ping);
		break;
	default:
		die("there is no such record");
	}
}

static void read_all(unsigned char *bytes, size_t length)
{
	if (fread(bytes, 1, length, stdin) != length)
		die("the input ends in the middle of a record");
}

int main(void)
{
	int kind;

	begin_case();
	while ((kind = getchar()) != EOF) {
		unsigned char head[4];
		unsigned char *payload;
		size_t length;

		read_all(head, sizeof head);
		length = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
		/* A block of its own size, so that a sanitizer sees what reads behind its end. */
		payload = malloc(length + (length == 0));
		if (payload == NULL)
			die("no memory");
		read_all(payload, length);
		run((unsigned char)kind, payload, length);
		free(payload);
	}
	begin_case();
	return 0;
}
