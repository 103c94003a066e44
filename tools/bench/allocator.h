/* SPDX-License-Identifier: MIT
 *
 * allocator.h - what is measured: a pool, or the malloc of this process
 *
 * An object is known by a number, which is a handle or an address.  The functions that the measured loops call are
 * inline and take `pooled` as a constant, so that a loop compiled for mallocs has no code for pools in it, and the
 * other way round.
 */
#ifndef BENCH_ALLOCATOR_H
#define BENCH_ALLOCATOR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "../object.h"
#include "job.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* A malloc that can take the C library's place in a process. */
struct malloc_kind {
	const char *name;
	const char *libraries[3]; /* to preload: the first that is there; NULL: none has to be */
	const char *symbol;       /* that it alone has */
	bool counts_madvise;      /* its calls of madvise() can be seen */
	void (*purge)(void);      /* give free memory back to the system */
	void (*version)(char *text, size_t bytes);
	const char *package; /* of Debian */
};

/* glibc's comes first. */
extern const struct malloc_kind malloc_kinds[];
extern const unsigned int malloc_count;

/* Is this malloc the one of this process? */
bool malloc_is_here(const struct malloc_kind *kind);

struct allocator {
	struct zpool *pool; /* NULL: a malloc */
	const struct malloc_kind *malloc;
};

/* A pool of the spec, or the malloc.  The run fails if it cannot be had. */
void allocator_open(struct allocator *allocator, const struct bench_job *job);

/* Give back all memory that can be given back: the pool compacts, or trims if its driver cannot compact. */
void allocator_compact(const struct allocator *allocator);
/* The same without moving anything. */
void allocator_trim(const struct allocator *allocator);

/* 0 for a malloc. */
uint64_t allocator_pool_bytes(const struct allocator *allocator);
/* Bytes that compaction has moved; 0 for a malloc. */
uint64_t allocator_moved_bytes(const struct allocator *allocator);

/* End the run: `what` failed, with libzpool's reason. */
_Noreturn void allocator_fail(const struct allocator *allocator, const char *what, size_t bytes);

/* ---- In loops ---- */

static ALWAYS_INLINE unsigned long allocator_take(const struct allocator *allocator, const bool pooled, size_t bytes)
{
	unsigned long object;

	if (pooled) {
		if (zpool_malloc(allocator->pool, bytes, ZPOOL_GFP_KERNEL, &object))
			allocator_fail(allocator, "malloc", bytes);
	} else {
		void *address = malloc(bytes);

		/* Or the compiler may leave out a malloc whose memory nobody uses. */
		__asm__ __volatile__("" : "+r"(address));
		if (!address)
			allocator_fail(allocator, "malloc", bytes);
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the number is the address. */
		object = (unsigned long)address;
	}
	return object;
}

static ALWAYS_INLINE void allocator_drop(const struct allocator *allocator, const bool pooled, unsigned long object)
{
	if (pooled)
		zpool_free(allocator->pool, object);
	else
		free((void *)object);
}

static ALWAYS_INLINE void allocator_write(const struct allocator *allocator, const bool pooled, unsigned long object,
					  const void *from, size_t bytes)
{
	if (!pooled)
		memcpy((void *)object, from, bytes);
	else if (object_put(allocator->pool, object, from, bytes))
		allocator_fail(allocator, "writing", bytes);
}

static ALWAYS_INLINE unsigned long allocator_store(const struct allocator *allocator, const bool pooled,
						   const void *from, size_t bytes)
{
	unsigned long object = allocator_take(allocator, pooled, bytes);

	allocator_write(allocator, pooled, object, from, bytes);
	return object;
}

static ALWAYS_INLINE void allocator_read(const struct allocator *allocator, const bool pooled, unsigned long object,
					 void *to, size_t bytes)
{
	if (!pooled)
		memcpy(to, (const void *)object, bytes);
	else if (object_get(allocator->pool, object, to, bytes))
		allocator_fail(allocator, "reading", bytes);
}

#endif /* BENCH_ALLOCATOR_H */
