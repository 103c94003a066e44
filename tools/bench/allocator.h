/* SPDX-License-Identifier: MIT
 *
 * allocator.h - the allocator that is measured: a pool, or the malloc of this process
 *
 * An object is represented by a number, which is a handle or an address. The functions that the measured loops call are
 * inline and take `pooled` as a constant, so a loop compiled for mallocs has no code for pools, and a loop compiled for
 * pools has none for mallocs.
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

/* A malloc that can replace the C library's in a process. */
struct malloc_kind {
	const char *name;
	/* libraries to preload, of which the first one that exists is used; NULL if none is needed */
	const char *libraries[3];
	const char *symbol;  /* a symbol that only this malloc has */
	bool counts_madvise; /* its calls of madvise() can be counted */
	void (*purge)(void); /* returns free memory to the system */
	void (*version)(char *text, size_t bytes);
	const char *package; /* the Debian package */
};

/* glibc's is the first. */
extern const struct malloc_kind malloc_kinds[];
extern const unsigned int malloc_count;

/* Returns true if this is the malloc of this process. */
bool malloc_is_here(const struct malloc_kind *kind);

struct allocator {
	struct zpool *pool; /* NULL for a malloc */
	const struct malloc_kind *malloc;
};

/* Creates a pool of the spec, or uses the malloc. Ends the run with a message if that fails. */
void allocator_open(struct allocator *allocator, const struct bench_job *job);

/* Returns as much memory to the system as possible: compacts the pool, or trims it if its driver cannot compact. */
void allocator_compact(const struct allocator *allocator);
/* Returns free memory to the system without moving any object. */
void allocator_trim(const struct allocator *allocator);

/* Returns 0 for a malloc. */
uint64_t allocator_pool_bytes(const struct allocator *allocator);
/* Returns the number of bytes that compaction has moved; 0 for a malloc. */
uint64_t allocator_moved_bytes(const struct allocator *allocator);

/* Ends the run with a message: `what` failed, and the reason that libzpool gave. */
_Noreturn void allocator_fail(const struct allocator *allocator, const char *what, size_t bytes);

/* ---- Called in loops ---- */

static ALWAYS_INLINE unsigned long allocator_take(const struct allocator *allocator, const bool pooled, size_t bytes)
{
	unsigned long object;

	if (pooled) {
		if (zpool_malloc(allocator->pool, bytes, ZPOOL_GFP_KERNEL, &object))
			allocator_fail(allocator, "malloc", bytes);
	} else {
		void *address = malloc(bytes);

		/* Without this, the compiler may leave out a malloc whose memory is not used. */
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
