#include "frames.h"

#include <string.h>

#define OPCODE_BITS 0x0fU
#define FIN_BIT 0x80U
#define MASK_BIT 0x80U
#define LENGTH_BITS 0x7fU
#define CONTROL_BIT 0x08U

#define CONTINUATION 0U
#define TEXT 1U
#define BINARY 2U
#define CLOSE 8U
#define PING 9U
#define PONG 10U

#define CONTROL_BYTES_MAX 125U
#define LENGTH_IN_2 126U
#define LENGTH_IN_8 127U
#define MASK_BYTES 4U
#define CODE_BYTES 2U

/* Nobody else writes it: a load and a store do. */
#define ADD_ONE(counter)                                                                        \
	atomic_store_explicit(&(counter),                                                           \
	                      atomic_load_explicit(&(counter), memory_order_relaxed) + 1U,          \
	                      memory_order_relaxed)

void frames_start(struct frames *frames, bool is_masked)
{
	frames->part = PART_HEADER;
	frames->is_masked = is_masked;
}

void frames_count(const struct frames *frames, struct frame_counts *counts)
{
	counts->text = atomic_load_explicit(&frames->text, memory_order_relaxed);
	counts->binary = atomic_load_explicit(&frames->binary, memory_order_relaxed);
	counts->ping = atomic_load_explicit(&frames->ping, memory_order_relaxed);
	counts->pong = atomic_load_explicit(&frames->pong, memory_order_relaxed);
	counts->close = atomic_load_explicit(&frames->close, memory_order_relaxed);
	counts->other = atomic_load_explicit(&frames->other, memory_order_relaxed);
	counts->is_blind = atomic_load_explicit(&frames->is_blind, memory_order_relaxed);
}

static size_t length_bytes(unsigned second)
{
	unsigned length = second & LENGTH_BITS;

	if (length < LENGTH_IN_2)
		return 0;
	return length == LENGTH_IN_2 ? 2 : 8;
}

static size_t header_bytes(unsigned second)
{
	return 2 + length_bytes(second) + ((second & MASK_BIT) != 0 ? MASK_BYTES : 0);
}

static void go_blind(struct frames *frames)
{
	frames->part = PART_BLIND;
	atomic_store_explicit(&frames->is_blind, true, memory_order_relaxed);
}

/* RFC 6455 5.2, 5.4 and 5.5: whether a frame may begin with these two bytes. */
static bool is_allowed(const struct frames *frames, unsigned first, unsigned second)
{
	unsigned opcode = first & OPCODE_BITS;

	if (((second & MASK_BIT) != 0) != frames->is_masked)
		return false;
	if ((opcode & CONTROL_BIT) != 0)
		return (first & FIN_BIT) != 0 && (second & LENGTH_BITS) <= CONTROL_BYTES_MAX;
	if (opcode == CONTINUATION)
		return frames->message != CONTINUATION;
	return opcode > BINARY || frames->message == CONTINUATION;
}

/* RFC 6455 5.2: the most significant bit of a 64-bit length is 0. */
static bool is_too_long(unsigned second, unsigned third)
{
	return (second & LENGTH_BITS) == LENGTH_IN_8 && third > LENGTH_BITS;
}

static uint64_t payload_bytes(const unsigned char *header)
{
	size_t bytes = length_bytes(header[1]);
	uint64_t length = 0;

	if (bytes == 0)
		return header[1] & LENGTH_BITS;
	for (size_t index = 0; index < bytes; index++)
		length = length << 8 | header[2 + index];
	return length;
}

static void count_message(struct frames *frames, unsigned first, unsigned type)
{
	if ((first & FIN_BIT) == 0) {
		frames->message = (uint8_t)type;
		return;
	}
	frames->message = CONTINUATION;
	if (type == TEXT)
		ADD_ONE(frames->text);
	else
		ADD_ONE(frames->binary);
}

static void begin_close(struct frames *frames, const unsigned char *header)
{
	unsigned char mask[CODE_BYTES] = {0, 0};

	ADD_ONE(frames->close);
	frames->part = PART_CLOSE;
	frames->seen = 0;
	if (frames->is_masked)
		memcpy(mask, header + 2, sizeof mask);
	/* The header may be in the same place. */
	memcpy(frames->header, mask, sizeof mask);
	if (frames->left >= CODE_BYTES)
		return;
	frames->seen = CODE_BYTES;
	frames->close_code = NO_CODE;
	if (frames->left == 0)
		frames->part = PART_OVER;
}

/* Counts a frame whose header is complete. */
static void begin_frame(struct frames *frames, const unsigned char *header)
{
	unsigned first = header[0];

	frames->seen = 0;
	frames->left = payload_bytes(header);
	frames->part = frames->left == 0 ? PART_HEADER : PART_PAYLOAD;
	switch (first & OPCODE_BITS) {
	case CONTINUATION:
		count_message(frames, first, frames->message);
		break;
	case TEXT:
	case BINARY:
		count_message(frames, first, first & OPCODE_BITS);
		break;
	case CLOSE:
		begin_close(frames, header);
		break;
	case PING:
		ADD_ONE(frames->ping);
		break;
	case PONG:
		ADD_ONE(frames->pong);
		break;
	default:
		ADD_ONE(frames->other);
		break;
	}
}

/* Of a header that comes in parts. Returns how much of the bytes belongs to it. */
static size_t gather_header(struct frames *frames, const unsigned char *bytes, size_t length)
{
	unsigned char *header = frames->header;

	for (size_t taken = 0; taken < length;) {
		header[frames->seen++] = bytes[taken++];
		if (frames->seen < 2)
			continue;
		if (frames->seen == 2 ? !is_allowed(frames, header[0], header[1])
		                      : frames->seen == 3 && is_too_long(header[1], header[2])) {
			go_blind(frames);
			return taken;
		}
		if (frames->seen == header_bytes(header[1])) {
			begin_frame(frames, header);
			return taken;
		}
	}
	return length;
}

static size_t read_header(struct frames *frames, const unsigned char *bytes, size_t length)
{
	size_t whole;

	if (frames->seen > 0 || length < 2)
		return gather_header(frames, bytes, length);
	whole = header_bytes(bytes[1]);
	if (length < whole)
		return gather_header(frames, bytes, length);
	if (!is_allowed(frames, bytes[0], bytes[1]) || is_too_long(bytes[1], whole > 2 ? bytes[2] : 0)) {
		go_blind(frames);
		return whole;
	}
	begin_frame(frames, bytes);
	return whole;
}

/* The payload of a Close frame begins with its code. */
static void read_code(struct frames *frames, const unsigned char *bytes, size_t length)
{
	unsigned char *code = frames->header;

	for (size_t index = 0; index < length && frames->seen < CODE_BYTES; index++) {
		code[frames->seen] ^= bytes[index];
		frames->seen++;
		if (frames->seen == CODE_BYTES)
			frames->close_code = (uint16_t)(code[0] << 8 | code[1]);
	}
}

static size_t read_payload(struct frames *frames, const unsigned char *bytes, size_t length)
{
	size_t taken = frames->left < length ? (size_t)frames->left : length;

	if (frames->part == PART_CLOSE)
		read_code(frames, bytes, taken);
	frames->left -= taken;
	if (frames->left > 0)
		return taken;
	frames->seen = 0;
	frames->part = frames->part == PART_CLOSE ? PART_OVER : PART_HEADER;
	return taken;
}

/* Follows one frame, or what is here of it. Returns how much of the bytes, which are some, belongs to it. */
static size_t follow(struct frames *frames, const unsigned char *bytes, size_t length)
{
	size_t taken = 0;

	if (frames->part == PART_HEADER)
		taken = read_header(frames, bytes, length);
	if ((frames->part == PART_PAYLOAD || frames->part == PART_CLOSE) && taken < length)
		return taken + read_payload(frames, bytes + taken, length - taken);
	return frames_are_followed(frames) || taken > 0 ? taken : length;
}

void frames_scan(struct frames *frames, const unsigned char *bytes, size_t length)
{
	while (length > 0 && frames_are_followed(frames)) {
		size_t taken = follow(frames, bytes, length);

		bytes += taken;
		length -= taken;
	}
}

static void pass(struct sift *sift, const unsigned char *bytes, size_t length)
{
	if (sift->is_shut)
		return;
	memcpy(sift->to + sift->length, bytes, length);
	sift->length += length;
}

/* Puts our frame, and ends what is passed on, where this is the place for it, or where there is none any more. */
static void settle(struct frames *frames, struct sift *sift)
{
	bool is_between = frames_are_between(frames);

	if (!is_between && frames_are_followed(frames))
		return;
	if (sift->own != NULL && is_between && !sift->is_shut) {
		pass(sift, sift->own, sift->own_length);
		sift->is_put = true;
	}
	sift->own = NULL;
	if (sift->ends)
		sift->is_shut = true;
}

static size_t pong_bytes(const struct frames *frames)
{
	return frames->is_masked ? 2 + MASK_BYTES + PING_BYTES : 2 + PING_BYTES;
}

/* A whole Pong frame. RSV bits are not looked at. */
static bool is_pong(unsigned first)
{
	return (first & (FIN_BIT | OPCODE_BITS)) == (FIN_BIT | PONG);
}

/* Whether what is held back still is the beginning of a pong to a ping of ours. */
static bool may_be_ours(const struct frames *frames, const unsigned char *ping)
{
	const unsigned char *mask = frames->header + 2;
	const unsigned char *payload = frames->header + (frames->is_masked ? 2 + MASK_BYTES : 2);
	size_t at = (size_t)frames->seen - 1;
	size_t index;

	if (at == 0)
		return is_pong(frames->header[0]);
	if (at == 1)
		return frames->header[1] == (frames->is_masked ? MASK_BIT | PING_BYTES : PING_BYTES);
	if (at < (size_t)(payload - frames->header))
		return true;
	index = at - (size_t)(payload - frames->header);
	return (payload[index] ^ (frames->is_masked ? mask[index % MASK_BYTES] : 0)) == ping[index];
}

/* What is held back is another frame's. */
static void give_back(struct frames *frames, struct sift *sift)
{
	unsigned char held[HEADER_BYTES_MAX];
	size_t length = frames->seen;

	memcpy(held, frames->header, length);
	frames->part = PART_HEADER;
	frames->seen = 0;
	sift->has_moved = true;
	frames_scan(frames, held, length);
	pass(sift, held, length);
}

/* Between frames, or with bytes that are held back. Returns how many more are. */
static size_t hold_back(struct frames *frames, struct sift *sift, const unsigned char *bytes,
                        size_t length)
{
	size_t taken = 0;

	frames->part = PART_PONG;
	while (taken < length && frames->part == PART_PONG) {
		frames->header[frames->seen++] = bytes[taken++];
		if (!may_be_ours(frames, sift->ping)) {
			give_back(frames, sift);
		} else if (frames->seen == pong_bytes(frames)) {
			frames->part = PART_HEADER;
			frames->seen = 0;
			sift->pongs_due--;
		}
	}
	return taken;
}

static bool is_candidate(const struct frames *frames, const struct sift *sift, unsigned first)
{
	if (frames->part == PART_PONG)
		return true;
	return sift->pongs_due > 0 && frames_are_between(frames) && is_pong(first);
}

void frames_sift(struct frames *frames, struct sift *sift, const unsigned char *bytes,
                 size_t length)
{
	settle(frames, sift);
	for (size_t at = 0; at < length;) {
		size_t taken;

		if (is_candidate(frames, sift, bytes[at])) {
			at += hold_back(frames, sift, bytes + at, length - at);
		} else {
			taken = follow(frames, bytes + at, length - at);
			pass(sift, bytes + at, taken);
			sift->has_moved = true;
			at += taken;
		}
		settle(frames, sift);
	}
}

void frames_end(struct frames *frames, struct sift *sift)
{
	if (frames->part == PART_PONG)
		give_back(frames, sift);
}
