#include "made_frames.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const unsigned char mask[4] = {0x12, 0xf4, 0x56, 0x08};

void bytes_add(struct bytes *bytes, const void *more, size_t length)
{
	if (bytes->length + length >= bytes->room) {
		bytes->room = 2 * (bytes->length + length) + 1;
		bytes->at = realloc(bytes->at, bytes->room);
		CHECK(bytes->at != NULL);
	}
	if (length > 0)
		memcpy(bytes->at + bytes->length, more, length);
	bytes->length += length;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct bytes){0};
}

void add_header(struct bytes *bytes, enum side from, unsigned first, uint64_t length,
                unsigned length_bytes)
{
	unsigned char header[14] = {(unsigned char)first, 0};
	size_t at = 2;

	switch (length_bytes) {
	case 2:
		header[1] = 126;
		break;
	case 8:
		header[1] = 127;
		break;
	default:
		header[1] = (unsigned char)length;
		break;
	}
	for (unsigned index = length_bytes; length_bytes > 1 && index > 0; index--)
		header[at++] = (unsigned char)(length >> (8 * (index - 1)));
	if (from == SIDE_CLIENT) {
		header[1] |= 0x80;
		memcpy(header + at, mask, sizeof mask);
		at += sizeof mask;
	}
	bytes_add(bytes, header, at);
}

void add_frame(struct bytes *bytes, enum side from, unsigned first, const void *payload,
               size_t length)
{
	size_t begin;

	add_header(bytes, from, first, length, length < 126 ? 1 : length < 65536 ? 2 : 8);
	begin = bytes->length;
	bytes_add(bytes, payload, length);
	for (size_t index = 0; from == SIDE_CLIENT && index < length; index++)
		bytes->at[begin + index] ^= mask[index % sizeof mask];
}

void add_text(struct bytes *bytes, enum side from, unsigned first, const char *payload)
{
	add_frame(bytes, from, first, payload, strlen(payload));
}

void add_close(struct bytes *bytes, enum side from, uint16_t code, const char *text)
{
	unsigned char payload[125] = {(unsigned char)(code >> 8), (unsigned char)code};
	size_t length = strlen(text);

	CHECK(length <= CLOSE_TEXT_MAX);
	memcpy(payload + 2, text, length);
	add_frame(bytes, from, FIN | CLOSE, payload, code == 0 ? 0 : 2 + length);
}

void check_counts(const struct frames *frames, const struct frame_counts *expected)
{
	struct frame_counts counts;

	frames_count(frames, &counts);
	CHECK_EQUAL(counts.text, expected->text);
	CHECK_EQUAL(counts.binary, expected->binary);
	CHECK_EQUAL(counts.ping, expected->ping);
	CHECK_EQUAL(counts.pong, expected->pong);
	CHECK_EQUAL(counts.close, expected->close);
	CHECK_EQUAL(counts.other, expected->other);
	CHECK_EQUAL(counts.is_blind, expected->is_blind);
}

void put_bytes(int fd, const struct bytes *bytes)
{
	for (size_t at = 0; at < bytes->length;) {
		ssize_t sent = send(fd, bytes->at + at, bytes->length - at, MSG_NOSIGNAL);

		CHECK(sent > 0);
		at += (size_t)sent;
	}
}

void put_frame(int fd, enum side side, unsigned first, const void *payload, size_t length)
{
	struct bytes bytes = {0};

	add_frame(&bytes, side, first, payload, length);
	put_bytes(fd, &bytes);
	bytes_free(&bytes);
}

void put_text(int fd, enum side side, unsigned first, const char *payload)
{
	put_frame(fd, side, first, payload, strlen(payload));
}

void put_close(int fd, enum side side, uint16_t code)
{
	struct bytes bytes = {0};

	add_close(&bytes, side, code, "");
	put_bytes(fd, &bytes);
	bytes_free(&bytes);
}

static void read_all(int fd, unsigned char *to, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t got = recv(fd, to + at, length - at, 0);

		CHECK(got > 0);
		at += (size_t)got;
	}
}

void expect_bytes(int fd, const struct bytes *bytes)
{
	unsigned char *got = malloc(bytes->length + 1);

	CHECK(got != NULL);
	read_all(fd, got, bytes->length);
	CHECK(bytes->length == 0 || memcmp(got, bytes->at, bytes->length) == 0);
	free(got);
}

void expect_text(int fd, enum side side, unsigned first, const char *payload)
{
	struct bytes bytes = {0};

	add_text(&bytes, side == SIDE_CLIENT ? SIDE_UPSTREAM : SIDE_CLIENT, first, payload);
	expect_bytes(fd, &bytes);
	bytes_free(&bytes);
}

size_t expect_own(int fd, enum side side, unsigned first, unsigned char payload[125])
{
	unsigned char head[2];
	unsigned char key[4] = {0};
	size_t length;

	read_all(fd, head, sizeof head);
	CHECK_EQUAL(head[0], first);
	CHECK_EQUAL(head[1] >> 7, side == SIDE_UPSTREAM);
	length = head[1] & 0x7fU;
	CHECK(length <= 125);
	if (side == SIDE_UPSTREAM)
		read_all(fd, key, sizeof key);
	read_all(fd, payload, length);
	for (size_t index = 0; index < length; index++)
		payload[index] ^= key[index % sizeof key];
	return length;
}

void expect_close(int fd, enum side side, uint16_t code, const char *text)
{
	unsigned char payload[125];
	size_t length = expect_own(fd, side, FIN | CLOSE, payload);

	CHECK_EQUAL(length, 2 + strlen(text));
	CHECK_EQUAL(payload[0] << 8 | payload[1], code);
	CHECK_EQUAL(memcmp(payload + 2, text, strlen(text)), 0);
}
