/*
 * Feeds a fuzz target where the compiler has no fuzzer of its own: random lengths, and bytes that are random, near a
 * limit, or repeated. Each input is a block of its own size, so that reading past its end is seen.
 *
 *     PROGRAM SECONDS SEED
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sanitizer/common_interface_defs.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static const uint8_t *current;
static size_t current_length;
static uint64_t state;

static void print_input(void)
{
	fprintf(stderr, "the input, %zu bytes:", current_length);
	for (size_t i = 0; i < current_length; i++)
		fprintf(stderr, "%s%02x", i % 32 == 0 ? "\n" : " ", current[i]);
	fputc('\n', stderr);
}

/* splitmix64 */
static uint64_t draw(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* Short inputs are as likely as long ones. */
static size_t draw_length(void)
{
	size_t limit = (size_t)1 << (draw() % 13);

	return draw() % (limit + 1);
}

static uint8_t draw_byte(void)
{
	static const uint8_t limits[] = {0x00, 0x01, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff};

	return draw() % 4 == 0 ? limits[draw() % sizeof limits] : (uint8_t)draw();
}

static void fill(uint8_t *bytes, size_t length)
{
	size_t at = 0;

	while (at < length) {
		size_t left = length - at;
		size_t run = draw() % 8 == 0 ? 1 + draw() % left : 1;

		memset(bytes + at, draw_byte(), run);
		at += run;
	}
}

static void run_once(void)
{
	size_t length = draw_length();
	uint8_t *bytes = malloc(length == 0 ? 1 : length);

	if (bytes == NULL)
		abort();
	fill(bytes, length);
	current = bytes;
	current_length = length;
	LLVMFuzzerTestOneInput(bytes, length);
	free(bytes);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: %s SECONDS SEED\n", argv[0]);
		return 2;
	}
	time_t end = time(NULL) + (time_t)strtoul(argv[1], NULL, 10);
	uint64_t count = 0;

	state = strtoull(argv[2], NULL, 10);
	__sanitizer_set_death_callback(print_input);
	do {
		run_once();
		count++;
	} while (time(NULL) < end);
	printf("%" PRIu64 " inputs with the seed %s\n", count, argv[2]);
	return 0;
}
