/* SPDX-License-Identifier: MIT
 *
 * sizes.h - the sizes of the objects: from a file, a recorded trace, a process or a named distribution
 */
#ifndef BENCH_SIZES_H
#define BENCH_SIZES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The largest number of sizes, and the largest file that they can be read from. */
#define SIZES_MAX ((size_t)1 << 24)
#define SIZES_FILE_BYTES_MAX ((size_t)128 << 20)

struct size_source {
	const char *name; /* file or distribution, as the user wrote it; NULL for a process */
	pid_t pid;
};

struct sizes {
	uint32_t *at;
	size_t count;
	size_t room;
	uint32_t most;
	uint64_t sum;
	bool distribution; /* the source is a named distribution */
	char text[128];    /* description of the source */
};

/* Reads or computes the sizes, in the order of the source. Returns 0, or -errno after a message. */
int sizes_take(struct sizes *sizes, const struct size_source *source);
void sizes_free(struct sizes *sizes);

/* Adds a size. Returns false if there are too many. */
bool sizes_add(struct sizes *sizes, uint32_t size);

/* Repeats the sizes or leaves some out so that there are `count`, and puts them in random order. */
void sizes_spread(struct sizes *sizes, size_t count, uint64_t seed);

/*
 * distribution.c: takes the sizes of a named distribution. Returns 1 if the name is not one, 0, or -EINVAL after a
 * message.
 */
int sizes_distribution(struct sizes *sizes, const char *name);
/* The names of the distributions, for --help and messages. */
extern const char sizes_distributions[];

/* A distribution of real sizes, made from tests/traces: every size and how often it occurs, in ascending order. */
struct size_run {
	uint16_t size, times;
};
extern const struct size_run sizes_lz4[], sizes_zstd[];
extern const size_t sizes_lz4_runs, sizes_zstd_runs;

#endif /* BENCH_SIZES_H */
