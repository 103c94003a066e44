/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "fuzz.h"

#include <string.h>
#include <time.h>

enum { DEFAULT_RUNS = 4000 };

static uint64_t state = 1;

uint64_t fuzz_random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static int replay(const char *path, uint8_t *buf)
{
	FILE *file = fopen(path, "rbe");
	if (!file) {
		perror(path);
		return EXIT_FAILURE;
	}
	size_t size = fread(buf, 1, FUZZ_MAX_BYTES, file);
	fclose(file);
	printf("%s: %zu bytes\n", path, size);
	return LLVMFuzzerTestOneInput(buf, size);
}

int fuzz_main(int argc, char **argv, size_t (*make)(uint8_t *buf))
{
	struct timespec now;
	int result = EXIT_SUCCESS;
	uint8_t *buf = malloc(FUZZ_MAX_BYTES);
	if (!buf)
		return EXIT_FAILURE;
	if (argc > 1) {
		for (int i = 1; i < argc && result == EXIT_SUCCESS; i++)
			result = replay(argv[i], buf);
		free(buf);
		return result;
	}

	(void)clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed =
		number_from_environment("FUZZ_SEED", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	uint64_t runs = number_from_environment("FUZZ_RUNS", DEFAULT_RUNS);
	printf("FUZZ_SEED=%llu FUZZ_RUNS=%llu\n", (unsigned long long)seed, (unsigned long long)runs);
	fflush(stdout);
	/* The generator would never leave the state zero. */
	state = seed ? seed : 1;
	for (uint64_t i = 0; i < runs && result == EXIT_SUCCESS; i++) {
		size_t size = make(buf);
		/* The input is in memory of exactly its size, so that a sanitizer detects a read beyond its end. */
		uint8_t *input = malloc(size ? size : 1);
		if (!input)
			break;
		memcpy(input, buf, size);
		result = LLVMFuzzerTestOneInput(input, size);
		free(input);
	}
	free(buf);
	return result;
}
