/* SPDX-License-Identifier: MIT
 *
 * zbud_fixture.h - a zbud pool with an owner whose behaviour a test can set
 */
#ifndef ZBUD_FIXTURE_H
#define ZBUD_FIXTURE_H

#include "harness.h"

#include <errno.h>

#include "unit.h"
#include "zbud.h"

enum { LARGEST = ZBUD_OBJECT_BYTES_MAX, HALF = 31 * ZBUD_CHUNK_BYTES };

static const struct zpool_driver *const zbud = &zbud_LTX_zpool_driver;
static struct harness harness;
static void *pool;

/* The behaviour of the evict callback, and a record of its calls. */
static struct {
	unsigned long handles[4096];
	unsigned int asked;
	int (*act)(unsigned long handle);
} evictor;

static inline int evict(void *context, unsigned long handle)
{
	ck_assert_ptr_eq(context, &evictor);
	ck_assert_uint_lt(evictor.asked, 4096);
	evictor.handles[evictor.asked++] = handle;
	return evictor.act(handle);
}

static inline int evict_frees(unsigned long handle)
{
	return zbud->free(pool, handle);
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
	ck_assert_msg(zbud->verify(pool) == 0, "%s", harness.error);
}

static inline void setup(void)
{
	struct zpool_create_args args = harness_args(&harness, zbud);

	memset(&evictor, 0, sizeof(evictor));
	evictor.act = evict_frees;
	args.evict = evict;
	args.evict_context = &evictor;
	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static inline void teardown(void)
{
	check_sound();
	zbud->destroy(pool);
}

static inline unsigned long store(size_t size)
{
	unsigned long handle = 0;
	char *at;

	unit_require(zbud->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) == 0);
	unit_require(handle != 0);
	at = zbud->map(pool, handle, ZPOOL_MM_RW);
	unit_require(at);
	unit_require((uintptr_t)at % zbud->alignment_bytes == 0);
	memset(at, (int)(handle % 255 + 1), size);
	unit_require(zbud->unmap(pool, handle) == 0);
	return handle;
}

static inline bool is_intact(unsigned long handle, size_t size)
{
	const unsigned char *at = zbud->map(pool, handle, ZPOOL_MM_RO);
	bool intact = at != NULL;

	for (size_t i = 0; intact && i < size; i++)
		intact = at[i] == handle % 255 + 1;
	if (at)
		zbud->unmap(pool, handle);
	return intact;
}

static inline void *page_of(unsigned long handle)
{
	char *at = zbud->map(pool, handle, ZPOOL_MM_RO);

	ck_assert_ptr_nonnull(at);
	zbud->unmap(pool, handle);
	return at - (uintptr_t)at % 4096;
}

static inline struct zpool_stats stats(void)
{
	struct zpool_stats now = { 0 };

	ck_assert_int_eq(zbud->stats(pool, &now, sizeof(now)), 0);
	return now;
}

static inline unsigned int shrink(unsigned int pages, int expected)
{
	unsigned int reclaimed = 77;

	ck_assert_int_eq(zbud->shrink(pool, pages, &reclaimed), expected);
	return reclaimed;
}

static inline TCase *tcase_in(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	return tcase;
}

#endif
