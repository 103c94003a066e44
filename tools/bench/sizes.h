/* SPDX-License-Identifier: MIT
 *
 * sizes.h - the sizes of the objects: from a file, a recorded trace, a process, or a distribution that has a name
 */
#ifndef BENCH_SIZES_H
#define BENCH_SIZES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* So many sizes a source may have at most, and so many bytes a file. */
#define SIZES_MAX ((size_t)1 << 24)
#define SIZES_FILE_BYTES_MAX ((size_t)128 << 20)

struct size_source {
	const char *name; /* of a file or a distribution, as the user wrote it; NULL: the process */
	pid_t pid;
};

struct sizes {
	uint32_t *at;
	size_t count;
	size_t room;
	uint32_t most;
	uint64_t sum;
	bool distribution; /* one that has a name */
	char text[128];    /* where they come from */
};

/* Read or make them, in the order of the source.  0, or -errno after a message. */
int sizes_take(struct sizes *sizes, const struct size_source *source);
void sizes_free(struct sizes *sizes);

/* Add one.  false: there are too many. */
bool sizes_add(struct sizes *sizes, uint32_t size);

/* Repeat or cut them so that there are `count`, and put them in random order. */
void sizes_spread(struct sizes *sizes, size_t count, uint64_t seed);

/* distribution.c: a distribution that has a name.  1: it is none; 0, or -EINVAL after a message. */
int sizes_distribution(struct sizes *sizes, const char *name);
/* Those names, for --help and messages. */
extern const char sizes_distributions[];

/* A distribution of real sizes, made from tests/traces: every size and how often it occurs, in ascending order. */
struct size_run {
	uint16_t size, times;
};
extern const struct size_run sizes_lz4[], sizes_zstd[];
extern const size_t sizes_lz4_runs, sizes_zstd_runs;

#endif /* BENCH_SIZES_H */
