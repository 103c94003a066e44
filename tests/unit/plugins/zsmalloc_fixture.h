/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_fixture.h - a zsmalloc pool, its owner, and objects whose content depends on their handle
 */
#ifndef ZSMALLOC_FIXTURE_H
#define ZSMALLOC_FIXTURE_H

#include "harness.h"

#include <errno.h>

#include "unit.h"
#include "zsmalloc.h"

enum { OBJECTS = 20000 };

static const struct zpool_driver *const zsmalloc = &zsmalloc_LTX_zpool_driver;
static struct harness harness;
static void *pool;

/* The parameters, in the order of the driver's table. */
enum { CHAIN, STEP, MAX, COMPACT, VALUES };

/* The handles that the evict callback was called with.  It refuses call refuse_from and all later ones. */
static struct {
	unsigned long handles[OBJECTS];
	unsigned int asked, refuse_from;
} evictor;

static inline int evict(void *context, unsigned long handle)
{
	unit_require(context == &evictor && evictor.asked < OBJECTS);
	evictor.handles[evictor.asked++] = handle;
	return evictor.asked > evictor.refuse_from ? -EBUSY : zsmalloc->free(pool, handle);
}

static inline int open_pool(uint64_t chain, uint64_t step, uint64_t max, bool compact,
			    int (*evict_fn)(void *context, unsigned long handle))
{
	struct zpool_value values[VALUES] = {
		{ .key = "chain", .number = chain },
		{ .key = "step", .number = step },
		{ .key = "max", .number = max },
		{ .key = "compact", .number = compact },
	};
	struct zpool_create_args args = harness_args(&harness, zsmalloc);

	memset(&evictor, 0, sizeof(evictor));
	evictor.refuse_from = OBJECTS;
	args.evict = evict_fn;
	args.evict_context = &evictor;
	args.values = values;
	args.value_count = VALUES;
	int err = harness_create(&harness, &args);
	pool = harness.pool;
	return err;
}

static inline void check_sound(void)
{
	ck_assert_msg(zsmalloc->verify(pool) == 0, "%s", harness.error);
}

static inline void setup(void)
{
	ck_assert_int_eq(open_pool(32, 16, 65536, false, evict), 0);
}

static inline void teardown(void)
{
	check_sound();
	zsmalloc->destroy(pool);
}

static inline unsigned long store(size_t size)
{
	unsigned long handle = 0;

	unit_require(zsmalloc->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) == 0 && handle != 0);
	char *at = zsmalloc->map(pool, handle, ZPOOL_MM_RW);
	unit_require(at && (uintptr_t)at % ZSMALLOC_ALIGN_BYTES == 0);
	memset(at, (int)(handle % 255 + 1), size);
	unit_require(zsmalloc->unmap(pool, handle) == 0);
	return handle;
}

static inline bool is_intact(unsigned long handle, size_t size)
{
	const unsigned char *at = zsmalloc->map(pool, handle, ZPOOL_MM_RO);
	bool intact = at != NULL;

	for (size_t i = 0; intact && i < size; i++)
		intact = at[i] == handle % 255 + 1;
	if (at)
		zsmalloc->unmap(pool, handle);
	return intact;
}

static inline void release(unsigned long handle)
{
	unit_require(zsmalloc->free(pool, handle) == 0);
}

static inline struct zpool_stats stats(void)
{
	struct zpool_stats now = { 0 };

	unit_require(zsmalloc->stats(pool, &now, sizeof(now)) == 0);
	return now;
}

static inline uint64_t waste_bytes(void)
{
	struct zpool_stats now = stats();

	return now.pages * ZP_PAGE_BYTES - now.stored_bytes;
}

static inline unsigned int shrink(unsigned int pages, int expected)
{
	unsigned int reclaimed = 77;

	ck_assert_int_eq(zsmalloc->shrink(pool, pages, &reclaimed), expected);
	return reclaimed;
}

static inline uint64_t compact(uint64_t bytes, int expected)
{
	struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = bytes };
	uint64_t released = 77;

	ck_assert_int_eq(zsmalloc->compact(pool, &budget, &released), expected);
	return released;
}

/* zsmalloc_threads.c */
void add_thread_tests(Suite *suite);

#endif
