/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_room.c - slots that threads cache, mallocs at the limit, and compaction inside malloc and free
 */
#include <config.h>

#include <pthread.h>

#include "zsmalloc_fixture.h"

enum { COUNT = 4000 };

static unsigned long handles[COUNT];

static const struct zsmalloc_class *class_of(size_t size)
{
	return zsmalloc_class_of(pool, size);
}

static uint32_t cached_of(size_t size)
{
	return zsmalloc_cached_count(pool, class_of(size));
}

static void fill(size_t size)
{
	for (unsigned int i = 0; i < COUNT; i++)
		handles[i] = store(size);
}

static void free_every_other(void)
{
	for (unsigned int i = 0; i < COUNT; i += 2) {
		release(handles[i]);
		handles[i] = 0;
	}
}

static void check_contents(size_t size)
{
	for (unsigned int i = 0; i < COUNT; i++)
		unit_require(!handles[i] || is_intact(handles[i], size));
	check_sound();
}

static void set_compact(bool on)
{
	struct zpool_value value = { .key = "compact", .number = on, .given = 1 };

	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &value), 0);
}

static const void *address_of(unsigned long handle)
{
	const void *at = zsmalloc->map(pool, handle, ZPOOL_MM_RO);

	ck_assert_ptr_nonnull(at);
	ck_assert_int_eq(zsmalloc->unmap(pool, handle), 0);
	return at;
}

START_TEST(freed_slots_are_used_first)
{
	fill(1000);
	const void *at = address_of(handles[1234]);
	release(handles[1234]);
	release(handles[2345]);
	ck_assert_uint_eq(cached_of(1000), 2);
	ck_assert_uint_eq(stats().objects, COUNT - 2);
	check_sound();
	unsigned long next = store(1001);
	ck_assert_uint_eq(cached_of(1000), 1);
	ck_assert_ptr_eq(address_of(next), at);
	ck_assert_uint_ne(next, handles[1234]);
	ck_assert_int_eq(zsmalloc->free(pool, handles[1234]), -EINVAL);
	ck_assert_int_eq(zsmalloc->free(pool, handles[2345]), -EINVAL);
	handles[1234] = handles[2345] = 0;
	check_contents(1000);
}
END_TEST

/* The slot that was freed last is pending and in no magazine yet.  A malloc takes it before its class grows. */
START_TEST(pending_slot_is_used_before_the_class_grows)
{
	unsigned int i = 0;

	for (; i < COUNT && (i < 4 || zsmalloc_fullest(class_of(1000)) != ZSMALLOC_NONE); i++)
		handles[i] = store(1000);
	const void *at = address_of(handles[2]);
	release(handles[2]);
	handles[2] = store(1000);
	ck_assert_ptr_eq(address_of(handles[2]), at);
	release(handles[3]);
	ck_assert_int_eq(zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handles[3]), 0);
	ck_assert_uint_eq(cached_of(1000), 0);
	ck_assert_uint_eq(class_of(1000)->zspages, 1);
}
END_TEST

START_TEST(few_slots_are_cached_and_none_of_an_empty_class)
{
	fill(1000);
	for (unsigned int i = 0; i < COUNT; i++) {
		/* A magazine's maximum was computed at an earlier free, from a count that includes cached slots. */
		unsigned int used = COUNT - 1 - i + 2 * ZP_MAGAZINE_ITEMS;

		release(handles[i]);
		ck_assert_uint_le(cached_of(1000), 1 + ZP_MAGAZINE_ITEMS);
		ck_assert_uint_le(cached_of(1000), 2 + used / ZSMALLOC_CACHED_SHARE);
	}
	ck_assert_uint_eq(cached_of(1000), 0);
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_le(stats().pages, ZSMALLOC_SPARE_PAGES);
	check_sound();
}
END_TEST

START_TEST(trim_compaction_and_shrink_empty_the_caches)
{
	uint64_t released;

	for (int round = 0; round < 3; round++) {
		fill(1000);
		release(handles[7]);
		ck_assert_uint_eq(cached_of(1000), 1);
		if (round == 0)
			ck_assert_int_eq(zsmalloc->trim(pool, &released), 0);
		else if (round == 1)
			(void)compact(0, 0);
		else
			(void)shrink(1, 0);
		ck_assert_uint_eq(cached_of(1000), 0);
		check_sound();
		while (stats().objects)
			(void)shrink(1, 0);
		evictor.asked = 0;
	}
}
END_TEST

/* A cached slot counts as used, but eviction must neither ask for it nor stop at it. */
START_TEST(cached_slot_does_not_prevent_eviction)
{
	fill(1000);
	release(handles[0]);
	(void)shrink(1, 0);
	ck_assert_uint_gt(evictor.asked, 0);
	for (unsigned int i = 0; i < evictor.asked; i++)
		unit_require(evictor.handles[i] != handles[0]);
	ck_assert_uint_eq(evictor.handles[0], handles[1]);
}
END_TEST

/* Frees objects 0 to `count` - 1 in a new thread. */
static void *free_first(void *count)
{
	for (unsigned int i = 0; i < *(unsigned int *)count; i++) {
		release(handles[i]);
		handles[i] = 0;
	}
	return NULL;
}

static void free_in_a_thread(unsigned int count)
{
	pthread_t thread;

	unit_require(pthread_create(&thread, NULL, free_first, &count) == 0);
	unit_require(pthread_join(thread, NULL) == 0);
}

static void *free_and_end(void *cached)
{
	unsigned int count = 5;

	(void)free_first(&count);
	*(uint32_t *)cached = cached_of(1000);
	harness_end_thread(&harness);
	return NULL;
}

START_TEST(ending_thread_empties_its_cache)
{
	fill(1000);
	for (unsigned int round = 0; round < 2; round++) {
		pthread_t thread;
		uint32_t cached;

		harness.exit_arg = NULL;
		unit_require(pthread_create(&thread, NULL, free_and_end, &cached) == 0);
		unit_require(pthread_join(thread, NULL) == 0);
		ck_assert_uint_eq(cached, 4); /* the first free gave the thread its cache */
		ck_assert_ptr_nonnull(harness.exit_arg);
		ck_assert_uint_eq(cached_of(1000), 0);
		ck_assert_uint_eq(stats().objects, COUNT - 5);
		check_contents(1000);
		for (unsigned int i = 0; i < 5; i++)
			handles[i] = store(1000);
	}
}
END_TEST

/* Only one thread exists in the child, and a new thread may get the same address as one of the parent's. */
START_TEST(child_has_no_caches_of_the_parents_other_threads)
{
	fill(1000);
	free_in_a_thread(5);
	harness.exit_arg = NULL;
	zsmalloc->fork(pool, ZPOOL_FORK_PREPARE);
	zsmalloc->fork(pool, ZPOOL_FORK_CHILD);
	ck_assert_uint_eq(cached_of(1000), 4);
	for (unsigned int i = 0; i < 5; i++)
		handles[i] = store(1000);
	ck_assert_ptr_null(harness.exit_arg); /* this thread still has its cache */
	free_in_a_thread(5);
	ck_assert_ptr_nonnull(harness.exit_arg);
	check_sound();
}
END_TEST

START_TEST(destroyed_pool_leaves_no_hook)
{
	fill(1000);
	ck_assert(harness.exit_fn != NULL);
	zsmalloc->destroy(pool);
	ck_assert(harness.exit_fn == NULL);
	setup();
}
END_TEST

/* If one thread stores what another one frees, the pool grows by no more than the second thread caches. */
START_TEST(slots_freed_by_another_thread_are_reused)
{
	fill(1000);
	uint64_t pages = stats().pages;
	for (int round = 0; round < 10; round++) {
		free_in_a_thread(COUNT / 2);
		for (unsigned int i = 0; i < COUNT / 2; i++)
			handles[i] = store(1000);
	}
	ck_assert_uint_le(stats().pages, pages + 2 * ZP_MAGAZINE_ITEMS);
	ck_assert_uint_eq(stats().objects, COUNT);
	check_contents(1000);
}
END_TEST

START_TEST(cached_slots_of_other_threads_are_usable_at_the_limit)
{
	enum { LARGE = 30, BYTES = 8192 };
	unsigned long handle;

	for (unsigned int i = 0; i < 16 * LARGE; i++)
		handles[i] = store(BYTES);
	free_in_a_thread(LARGE);
	unsigned int cached = cached_of(BYTES);
	ck_assert_uint_gt(cached, 0);
	uint64_t limit = zsmalloc->total_size(pool);
	ck_assert_int_eq(zsmalloc->set_limit(pool, limit), 0);
	while (cached_of(BYTES) && zsmalloc->malloc(pool, 60000, ZPOOL_GFP_KERNEL, &handle) == 0)
		unit_require(zsmalloc->total_size(pool) <= limit);
	ck_assert_uint_eq(cached_of(BYTES), 0);
	check_sound();
}
END_TEST

START_TEST(pending_slot_of_another_thread_is_found_at_the_limit)
{
	enum { BYTES = 5000 };
	unsigned int i = 0;

	for (; i < 20; i++)
		handles[i] = store(BYTES);
	free_in_a_thread(1); /* this creates the cache */
	handles[0] = store(BYTES);
	ck_assert_int_eq(zsmalloc->set_limit(pool, zsmalloc->total_size(pool)), 0);
	while (zsmalloc->malloc(pool, BYTES, ZPOOL_GFP_KERNEL, &handles[i]) == 0)
		i++;
	free_in_a_thread(2); /* one slot goes into a magazine, and the other one is pending */
	ck_assert_uint_eq(cached_of(BYTES), 2);
	ck_assert_int_eq(zsmalloc->malloc(pool, BYTES, ZPOOL_GFP_KERNEL, &handles[0]), 0);
	ck_assert_int_eq(zsmalloc->malloc(pool, BYTES, ZPOOL_GFP_KERNEL, &handles[1]), 0);
	ck_assert_int_eq(zsmalloc->malloc(pool, BYTES, ZPOOL_GFP_KERNEL, &handles[i]), -ENOMEM);
}
END_TEST

START_TEST(pool_without_memory_for_a_cache_works)
{
	handles[0] = store(1000);
	handles[1] = store(1000);
	ck_assert_int_eq(zsmalloc->set_limit(pool, zsmalloc->total_size(pool) + ZP_PAGE_BYTES), 0);
	handles[2] = store(1000);
	handles[3] = store(1000);
	ck_assert(harness.exit_fn == NULL);
	release(handles[1]);
	ck_assert_uint_eq(cached_of(1000), 0);
	ck_assert_uint_eq(stats().objects, 3);
	handles[1] = store(1000);
	handles[4] = store(1000);
	ck_assert_int_eq(zsmalloc->set_limit(pool, 0), 0);
	handles[5] = store(1000);
	ck_assert(harness.exit_fn != NULL);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert(is_intact(handles[i], 1000));
}
END_TEST

/* The test shortens the table of zspages, which has sixteen million entries. */
START_TEST(full_table_of_zspages_is_reported)
{
	struct zsmalloc_pool *inside = pool;
	unsigned long handle;

	inside->records.max = 3;
	(void)store(300);
	handles[0] = store(3000);
	harness.error[0] = 0;
	ck_assert_int_eq(zsmalloc->malloc(pool, 60000, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	ck_assert_str_eq(harness.error, "");
	ck_assert_int_eq(zsmalloc->malloc(pool, 60000, ZPOOL_GFP_KERNEL, &handle), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(harness.error, "has 2 zspages"));
	ck_assert_ptr_nonnull(strstr(harness.error, "chain"));
	/* An object that has room in the two zspages is stored, and any other one when one of them is gone. */
	(void)store(300);
	release(handles[0]);
	(void)store(60000);
}
END_TEST

/* Half of the pages can be released, but only by moving objects, which malloc does in small steps. */
START_TEST(malloc_at_the_limit_compacts)
{
	unsigned long handle;
	unsigned int stored = 0;

	fill(1000);
	free_every_other();
	uint64_t limit = zsmalloc->total_size(pool);
	ck_assert_int_eq(zsmalloc->set_limit(pool, limit), 0);
	while (zsmalloc->malloc(pool, 2000, ZPOOL_GFP_KERNEL, &handle) == 0)
		stored++;
	ck_assert_uint_lt(stored, 100);
	set_compact(true);
	for (stored = 0; zsmalloc->malloc(pool, 2000, ZPOOL_GFP_KERNEL, &handle) == 0; stored++)
		unit_require(zsmalloc->total_size(pool) <= limit);
	/* 2000 objects of 1000 bytes were freed, so nearly 1000 objects of 2000 bytes fit. */
	ck_assert_uint_gt(stored, 800);
	check_contents(1000);
}
END_TEST

/*
 * In a cache at its limit, each store that finds no room evicts a zspage.  Compaction of the whole pool wins a page
 * then, too, but it must not run as often as that.
 */
START_TEST(cache_at_its_limit_moves_little)
{
	enum { STORES = 12000 };
	uint64_t stored_bytes = 0;
	uint32_t random = 1;

	set_compact(true);
	ck_assert_int_eq(zsmalloc->set_limit(pool, 2 << 20), 0);
	for (unsigned int i = 0; i < STORES; i++) {
		random = random * 1664525 + 1013904223;
		size_t size = 100 + (random >> 8) % 2900;
		unsigned int reclaimed;
		unsigned long handle;

		while (zsmalloc->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle))
			unit_require(zsmalloc->shrink(pool, 1, &reclaimed) == 0);
		stored_bytes += size;
	}
	ck_assert_uint_gt(evictor.asked, STORES / 2);
	ck_assert_uint_lt(stats().compact_moved_bytes, stored_bytes / 5);
}
END_TEST

START_TEST(nowait_at_the_limit_does_not_compact)
{
	unsigned long handle;

	fill(1000);
	free_every_other();
	ck_assert_int_eq(zsmalloc->set_limit(pool, zsmalloc->total_size(pool)), 0);
	set_compact(true);
	uint64_t moved = stats().compact_moved_bytes;
	while (zsmalloc->malloc(pool, 2000, ZPOOL_GFP_NOWAIT, &handle) == 0)
		continue;
	ck_assert_uint_eq(stats().compact_moved_bytes, moved);
}
END_TEST

/* Frees leave waste while compaction is disabled.  Later mallocs for which the pool grows find it. */
START_TEST(growing_pool_compacts_other_classes)
{
	uint64_t before, largest = 0;

	fill(1000);
	free_every_other();
	uint64_t wasted = zsmalloc_class_waste(class_of(1000));
	set_compact(true);
	for (int i = 0; i < COUNT; i++) {
		before = stats().compact_moved_bytes;
		(void)store(3000);
		uint64_t moved = stats().compact_moved_bytes - before;
		largest = moved > largest ? moved : largest;
	}
	ck_assert_uint_gt(largest, 0);
	ck_assert_uint_le(largest, (64 << 10) + class_of(1000)->slot_bytes);
	ck_assert_uint_lt(zsmalloc_class_waste(class_of(1000)), wasted / 4);
	check_contents(1000);
}
END_TEST

/* While a class is compacted, threads cache none of its slots except the pending one. */
START_TEST(class_that_is_compacted_caches_no_slots)
{
	unsigned int drained = 0;

	fill(1000);
	set_compact(true);
	for (unsigned int i = 1; i < COUNT; i += 2) {
		release(handles[i]);
		handles[i] = 0;
		if (!class_of(1000)->is_draining)
			continue;
		drained++;
		unit_require(cached_of(1000) <= 1);
	}
	ck_assert_uint_gt(drained, 0);
	ck_assert_uint_gt(stats().compactions, 0);
	(void)compact(0, 0);
	ck_assert(!class_of(1000)->is_draining);
	for (unsigned int i = 0; i < 8; i += 2) {
		release(handles[i]);
		handles[i] = 0;
	}
	ck_assert_uint_gt(cached_of(1000), 1);
	check_contents(1000);
}
END_TEST

/* A zspage whose last used slots are cached leaves the lists when compaction takes these slots. */
START_TEST(zspage_of_cached_slots_is_released_when_its_class_is_drained)
{
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);
	unsigned int i = 0;

	do
		handles[i++] = store(1000);
	while (class->zspages < 2);
	release(handles[i - 1]);
	ck_assert_uint_eq(cached_of(1000), 1);
	zp_lock(&class->lock);
	zsmalloc_class_begin_draining(pool, class);
	zsmalloc_class_end_draining(pool, class);
	bool gone = class->emptied != ZSMALLOC_NONE || class->spare != ZSMALLOC_NONE;
	zsmalloc_class_unlock(pool, class);
	ck_assert(gone);
	check_sound();
}
END_TEST

/* Pages become idle one after the other, and are released although no object was moved. */
START_TEST(frees_in_order_hardly_move_objects)
{
	set_compact(true);
	fill(1000);
	uint64_t stored = stats().stored_bytes;
	for (unsigned int i = 0; i < COUNT; i++) {
		release(handles[i]);
		handles[i] = 0;
		struct zpool_stats now = stats();
		unit_require(now.pages * ZP_PAGE_BYTES <= now.stored_bytes + now.stored_bytes / 8 + 160 * 1024);
	}
	ck_assert_uint_gt(stats().compact_released_bytes, 0);
	ck_assert_uint_lt(stats().compact_moved_bytes, stored / 16);
}
END_TEST

/* Compaction inside free moves no object to a free slot without memory. */
START_TEST(free_does_not_increase_the_pool)
{
	enum { PER_TURN = 7 };

	set_compact(true);
	fill(1000);
	for (unsigned int turn = 0; turn < PER_TURN; turn++) {
		/* Some objects are stored again, so that the fullness of zspages differs. */
		for (unsigned int i = turn; i < COUNT; i += PER_TURN) {
			uint64_t before = zsmalloc->total_size(pool);

			release(handles[i]);
			unit_require(zsmalloc->total_size(pool) <= before);
			handles[i] = turn < PER_TURN / 2 && i % 5 == 0 ? store(1000) : 0;
		}
		check_contents(1000);
	}
}
END_TEST

/* If a new zspage's first object gets no handle slot, the zspage becomes the spare one, which trim releases. */
START_TEST(failed_malloc_leaves_no_empty_zspage_on_the_lists)
{
	struct zsmalloc_pool *self = pool;
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);
	unsigned long handle;
	uint64_t released;

	/* This leaves pages in the reserve and a free record, both of which a NOWAIT malloc needs. */
	for (unsigned int i = 0; i < 8; i++)
		handles[i] = store(40000);
	for (unsigned int i = 0; i < 8; i++)
		release(handles[i]);
	zp_lock(&self->handles.lock);
	ck_assert_int_eq(zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	zp_unlock(&self->handles.lock);
	ck_assert_uint_eq(zsmalloc_fullest(class), ZSMALLOC_NONE);
	ck_assert_uint_eq(class->zspages, 1);
	check_sound();
	ck_assert_int_eq(zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_uint_eq(class->zspages, 1);
	release(handle);
	ck_assert_int_eq(zsmalloc->trim(pool, &released), 0);
	ck_assert_uint_eq(stats().pages, 0);
}
END_TEST

/* While an owner's free moves the pending slot into the magazine, statistics may count it twice. */
START_TEST(slot_in_two_caches_does_not_count_as_object)
{
	struct zsmalloc_pool *self = pool;
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);

	fill(1000);
	release(handles[0]);
	release(handles[1]);
	ck_assert_uint_eq(cached_of(1000), 2);
	uint32_t used_slots = class->used_slots;
	class->used_slots = 1;
	ck_assert_uint_le(cached_of(1000), 1);
	class->used_slots = used_slots;
	ck_assert_ptr_nonnull(self->caches.first);
	check_sound();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zsmalloc: room");
	TCase *tcase = tcase_create("room");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, freed_slots_are_used_first);
	tcase_add_test(tcase, pending_slot_is_used_before_the_class_grows);
	tcase_add_test(tcase, few_slots_are_cached_and_none_of_an_empty_class);
	tcase_add_test(tcase, trim_compaction_and_shrink_empty_the_caches);
	tcase_add_test(tcase, cached_slot_does_not_prevent_eviction);
	tcase_add_test(tcase, ending_thread_empties_its_cache);
	tcase_add_test(tcase, child_has_no_caches_of_the_parents_other_threads);
	tcase_add_test(tcase, destroyed_pool_leaves_no_hook);
	tcase_add_test(tcase, slots_freed_by_another_thread_are_reused);
	tcase_add_test(tcase, cached_slots_of_other_threads_are_usable_at_the_limit);
	tcase_add_test(tcase, pending_slot_of_another_thread_is_found_at_the_limit);
	tcase_add_test(tcase, pool_without_memory_for_a_cache_works);
	tcase_add_test(tcase, full_table_of_zspages_is_reported);
	tcase_add_test(tcase, malloc_at_the_limit_compacts);
	tcase_add_test(tcase, cache_at_its_limit_moves_little);
	tcase_add_test(tcase, nowait_at_the_limit_does_not_compact);
	tcase_add_test(tcase, growing_pool_compacts_other_classes);
	tcase_add_test(tcase, class_that_is_compacted_caches_no_slots);
	tcase_add_test(tcase, zspage_of_cached_slots_is_released_when_its_class_is_drained);
	tcase_add_test(tcase, frees_in_order_hardly_move_objects);
	tcase_add_test(tcase, free_does_not_increase_the_pool);
	tcase_add_test(tcase, failed_malloc_leaves_no_empty_zspage_on_the_lists);
	tcase_add_test(tcase, slot_in_two_caches_does_not_count_as_object);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
