/* SPDX-License-Identifier: MIT */
#include "draw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Contents begin at one of so many places, a cache line apart. */
enum { PLACES = 1024, PLACE_BYTES = 64 };

void *draw_array(size_t count, size_t size)
{
	void *array = MAP_FAILED;

	if (count && count <= SIZE_MAX / size)
		array = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
			     0);
	if (array == MAP_FAILED) {
		fprintf(stderr, "no memory for %zu times %zu bytes\n", count, size);
		exit(1);
	}
	return array;
}

static void bad_trace(const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	exit(1);
}

/* Not by malloc: what is freed on the way would be there for the subject to use, and not count as growth. */
static uint32_t *room_for(const char *path, FILE *file)
{
	struct stat status;

	if (fstat(fileno(file), &status) || !S_ISREG(status.st_mode) || !status.st_size)
		bad_trace(path, "not a file with sizes in it");
	return draw_array((size_t)status.st_size / 2 + 1, sizeof(uint32_t));
}

void draw_trace_read(struct draw_trace *trace, const char *path)
{
	const char *name = strrchr(path, '/');
	FILE *file = fopen(path, "r");
	unsigned long size;

	if (!file)
		bad_trace(path, strerror(errno));
	*trace = (struct draw_trace){ .sizes = room_for(path, file) };
	snprintf(trace->name, sizeof(trace->name), "%s", name ? name + 1 : path);
	for (int got; (got = fscanf(file, "%lu", &size)) != EOF;) {
		if (got != 1 || size < 1 || size > DRAW_BYTES_MAX)
			bad_trace(path, "not a list of sizes from 1 to 65536, one a line");
		trace->sizes[trace->count++] = (uint32_t)size;
	}
	if (!trace->count)
		bad_trace(path, "holds no size");
	fclose(file);
}

void draw_shuffle(struct draw_rng *rng, uint32_t *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t other = draw_below(rng, i + 1);

		numbers[i] = numbers[other];
		numbers[other] = (uint32_t)i;
	}
}

const void *draw_bytes(uint64_t which)
{
	static uint64_t *block;
	const size_t words = (DRAW_BYTES_MAX + PLACES * PLACE_BYTES) / sizeof(*block);

	if (!block) {
		struct draw_rng rng = { 1 };

		block = draw_array(words, sizeof(*block));
		for (size_t i = 0; i < words; i++)
			block[i] = draw_next(&rng);
	}
	return (const char *)block + which % PLACES * PLACE_BYTES;
}
