/* SPDX-License-Identifier: MIT
 *
 * zblock_fixture.h - a zblock pool, and objects whose content identifies them
 */
#ifndef ZBLOCK_FIXTURE_H
#define ZBLOCK_FIXTURE_H

#include "harness.h"

#include <errno.h>

#include "unit.h"
#include "zblock.h"

enum { OBJECTS = 100000, LARGEST = 4672 };

static const struct zpool_driver *const zblock = &zblock_LTX_zpool_driver;
static struct harness harness;
static void *pool;

/* The slot sizes of the kernel's table, and the slots and pages of their blocks. */
static const struct model_type {
	unsigned int slot_bytes, slots, pages;
} model[] = {
	{ 120, 32, 1 },  { 184, 22, 1 },  { 232, 17, 1 },  { 312, 13, 1 },  { 368, 11, 1 },  { 448, 9, 1 },
	{ 504, 8, 1 },   { 576, 14, 2 },  { 680, 12, 2 },  { 736, 11, 2 },  { 816, 10, 2 },  { 904, 9, 2 },
	{ 1016, 8, 2 },  { 1088, 15, 4 }, { 1168, 14, 4 }, { 1256, 13, 4 }, { 1360, 12, 4 }, { 1480, 11, 4 },
	{ 1632, 10, 4 }, { 1816, 9, 4 },  { 2040, 8, 4 },  { 2176, 15, 8 }, { 2336, 14, 8 }, { 2512, 13, 8 },
	{ 2728, 12, 8 }, { 2976, 11, 8 }, { 3272, 10, 8 }, { 3632, 9, 8 },  { 4672, 7, 8 },
};
enum { MODEL_TYPES = sizeof(model) / sizeof(model[0]) };

static inline void check_sound(void)
{
	ck_assert_msg(zblock->verify(pool) == 0, "%s", harness.error);
}

static inline void setup(void)
{
	struct zpool_create_args args = harness_args(&harness, zblock);

	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static inline void teardown(void)
{
	check_sound();
	zblock->destroy(pool);
}

static inline unsigned long store(size_t size)
{
	unsigned long handle = 0;
	char *at;

	unit_require(zblock->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) == 0 && handle != 0);
	at = zblock->map(pool, handle, ZPOOL_MM_RW);
	unit_require(at && (uintptr_t)at % ZBLOCK_ALIGN_BYTES == 0);
	memset(at, (int)(handle % 255 + 1), size);
	unit_require(zblock->unmap(pool, handle) == 0);
	return handle;
}

static inline bool is_intact(unsigned long handle, size_t size)
{
	const unsigned char *at = zblock->map(pool, handle, ZPOOL_MM_RO);
	bool intact = at != NULL;

	for (size_t i = 0; intact && i < size; i++)
		intact = at[i] == handle % 255 + 1;
	if (at)
		zblock->unmap(pool, handle);
	return intact;
}

static inline void release(unsigned long handle)
{
	unit_require(zblock->free(pool, handle) == 0);
}

static inline char *address_of(unsigned long handle)
{
	char *at = zblock->map(pool, handle, ZPOOL_MM_RO);

	unit_require(at);
	zblock->unmap(pool, handle);
	return at;
}

static inline uint64_t trim(void)
{
	uint64_t released = 77;

	unit_require(zblock->trim(pool, &released) == 0);
	return released;
}

static inline struct zpool_stats stats(void)
{
	struct zpool_stats now = { 0 };

	unit_require(zblock->stats(pool, &now, sizeof(now)) == 0);
	return now;
}

/* Returns the number of free slots that have memory, in blocks with room. */
static inline unsigned int ready_slots(void)
{
	const struct zblock_pool *inside = pool;
	unsigned int count = 0;

	for (unsigned int i = 2; i <= 2 * ZBLOCK_TYPES + 1; i++) {
		const struct zblock_type *type = &inside->types[i / 2];
		uint32_t first = i % 2 ? type->room : type->idle, number = first;

		while (number != ZBLOCK_NONE) {
			const struct zblock_block *block = zblock_block(inside, number);

			count += (unsigned int)__builtin_popcount(block->vacant & block->backed);
			number = block->next == first ? ZBLOCK_NONE : block->next;
		}
	}
	return count;
}

static inline int note_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	struct zpool_class_stats *wanted = user;

	unit_require(size == sizeof(*stats));
	if (stats->object_bytes == wanted->object_bytes)
		*wanted = *stats;
	return 0;
}

/* Returns the statistics of one type; all but the size are 0 if it has no block. */
static inline struct zpool_class_stats type_stats(size_t slot_bytes)
{
	struct zpool_class_stats found = { .object_bytes = slot_bytes };

	unit_require(zblock->each_class(pool, note_class, &found) == 0);
	return found;
}

/* Frees the slots that threads cache, so that all free slots are in the blocks. */
static inline void put_cached(void)
{
	(void)type_stats(LARGEST);
}

static inline TCase *tcase_in(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	return tcase;
}

/* zblock_caches.c, zblock_pool.c, zblock_damage.c and zblock_threads.c */
void add_cache_tests(Suite *suite);
void add_pool_tests(Suite *suite);
void add_damage_tests(Suite *suite);
void add_thread_tests(Suite *suite);

#endif
