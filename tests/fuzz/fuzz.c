/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "fuzz.h"

#include <stdarg.h>

static uint64_t state = 1;
static bool verbose;

void fuzz_seed(uint64_t seed)
{
	/* The generator would never leave the state zero. */
	state = seed ? seed : 1;
}

uint64_t fuzz_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

void fuzz_fill(void *buf, size_t bytes, uint32_t seed)
{
	unsigned char *to = buf;
	uint32_t number = seed * 2654435761u + 1;
	unsigned int period = seed & 1 ? 8 + seed % 61 : 0;

	for (size_t i = 0; i < bytes; i++) {
		number = number * 1664525u + 1013904223u;
		to[i] = period && i >= period ? to[i - period] : (unsigned char)(number >> 24);
	}
}

void fuzz_say(const char *format, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
	(void)fflush(stdout);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	verbose = getenv("FUZZ_VERBOSE") != NULL;
	if (fuzz_target.start)
		fuzz_target.start();
	return 0;
}
