/* SPDX-License-Identifier: MIT
 *
 * z3fold_fixture.h - a z3fold pool, its owner, objects whose bytes identify them, and functions that find their
 * position
 */
#ifndef Z3FOLD_FIXTURE_H
#define Z3FOLD_FIXTURE_H

#include "harness.h"

#include <errno.h>

#include "unit.h"
#include "z3fold.h"

enum { CHUNK = Z3FOLD_CHUNK_BYTES };

static const struct zpool_driver *const z3fold = &z3fold_LTX_zpool_driver;
static struct harness harness;
static struct z3fold_pool *pool;

/* The function that the evict callback calls, and the handles that it was called with. */
static struct {
	unsigned long handles[4096];
	unsigned int asked;
	int (*act)(unsigned long handle);
} evictor;

static inline int evict(void *context, unsigned long handle)
{
	unit_require(context == &evictor && evictor.asked < 4096);
	evictor.handles[evictor.asked++] = handle;
	return evictor.act(handle);
}

static inline int evict_frees(unsigned long handle)
{
	return z3fold->free(pool, handle);
}

static inline int evict_refuses(unsigned long handle)
{
	(void)handle;
	return -EBUSY;
}

static inline int evict_lies(unsigned long handle)
{
	(void)handle;
	return 0;
}

static inline void check_sound(void)
{
	if (z3fold->verify(pool))
		ck_abort_msg("%s", harness.error);
}

static inline void open_pool(int (*evict_fn)(void *context, unsigned long handle))
{
	struct zpool_create_args args = harness_args(&harness, z3fold);

	memset(&evictor, 0, sizeof(evictor));
	evictor.act = evict_frees;
	args.evict = evict_fn;
	args.evict_context = &evictor;
	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static inline void setup(void)
{
	open_pool(evict);
}

static inline void teardown(void)
{
	check_sound();
	z3fold->destroy(pool);
}

static inline unsigned long store(size_t size)
{
	unsigned long handle = 0;
	char *at;

	unit_require(z3fold->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) == 0 && handle != 0);
	at = z3fold->map(pool, handle, ZPOOL_MM_RW);
	unit_require(at && (uintptr_t)at % CHUNK == 0);
	memset(at, (int)(handle % 255 + 1), size);
	unit_require(z3fold->unmap(pool, handle) == 0);
	return handle;
}

static inline unsigned long store_chunks(unsigned int chunks)
{
	return store((size_t)chunks * CHUNK);
}

static inline bool is_intact(unsigned long handle, size_t size)
{
	const unsigned char *at = z3fold->map(pool, handle, ZPOOL_MM_RO);
	bool intact = at != NULL;

	for (size_t i = 0; intact && i < size; i++)
		intact = at[i] == handle % 255 + 1;
	if (at)
		z3fold->unmap(pool, handle);
	return intact;
}

static inline bool chunks_are_intact(unsigned long handle, unsigned int chunks)
{
	return is_intact(handle, (size_t)chunks * CHUNK);
}

static inline void release(unsigned long handle)
{
	unit_require(z3fold->free(pool, handle) == 0);
}

static inline void pin(unsigned long handle)
{
	unit_require(z3fold->map(pool, handle, ZPOOL_MM_RO) != NULL);
}

static inline void unpin(unsigned long handle)
{
	unit_require(z3fold->unmap(pool, handle) == 0);
}

static inline uint64_t location_of(unsigned long handle)
{
	uint64_t location = 0;

	unit_require(zp_handles_lookup(&pool->handles, handle, &location) == 0);
	return location;
}

static inline uint32_t page_of(unsigned long handle)
{
	return z3fold_location_pgno(location_of(handle));
}

static inline unsigned int chunk_of(unsigned long handle)
{
	return z3fold_location_chunk(location_of(handle));
}

static inline enum z3fold_buddy buddy_of(unsigned long handle)
{
	return z3fold_buddy_at(z3fold_page_at(pool, page_of(handle)), chunk_of(handle));
}

static inline struct zpool_stats stats(void)
{
	struct zpool_stats now = { 0 };

	unit_require(z3fold->stats(pool, &now, sizeof(now)) == 0);
	return now;
}

static inline unsigned int shrink(unsigned int pages, int expected)
{
	unsigned int reclaimed = 77;

	ck_assert_int_eq(z3fold->shrink(pool, pages, &reclaimed), expected);
	return reclaimed;
}

static inline uint64_t compact(uint64_t bytes, int expected)
{
	struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = bytes };
	uint64_t released = 77;

	ck_assert_int_eq(z3fold->compact(pool, &budget, &released), expected);
	return released;
}

/* The parts of the suite, each in the file of that name. */
void add_damage_tests(Suite *suite);
void add_move_tests(Suite *suite);
void add_shrink_tests(Suite *suite);
void add_thread_tests(Suite *suite);

#endif
