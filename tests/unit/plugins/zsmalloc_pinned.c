/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_pinned.c - compaction and eviction beside objects and memory that must stay where they are
 */
#include <config.h>

#include "zsmalloc_fixture.h"

#include <pthread.h>

enum { COUNT = 12000, SIZE = 1000, OLD_CLASSES = 9 };

static unsigned long handles[OBJECTS];

static void reopen(uint64_t chain, bool automatic, int (*evict_fn)(void *context, unsigned long handle))
{
	zsmalloc->destroy(pool);
	ck_assert_int_eq(open_pool(chain, 16, 65536, automatic, evict_fn), 0);
}

static void fill(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		handles[i] = store(size);
}

static void pin(unsigned int i)
{
	unit_require(zsmalloc->map(pool, handles[i], ZPOOL_MM_RO) != NULL);
}

static void unpin(unsigned int i)
{
	unit_require(zsmalloc->unmap(pool, handles[i]) == 0);
}

/* ---- compaction ---- */

/*
 * One object is left in each zspage, and the last ones are mapped.  Their zspages were the last to become nearly empty,
 * so compaction meets them first, and there are more of them than it examines for one choice.
 */
START_TEST(many_mapped_objects_do_not_end_compaction)
{
	enum { PINNED = 80 };
	unsigned int left = 0;

	reopen(4, false, evict);
	fill(COUNT, SIZE);
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, SIZE);
	for (unsigned int i = 0; i < COUNT; i++)
		if (i % class->slots)
			release(handles[i]);
		else
			handles[left++] = handles[i];
	for (unsigned int i = left - PINNED; i < left; i++)
		pin(i);
	(void)compact(0, 0);
	check_sound();
	/* A mapped object keeps a page or two, and the others share pages. */
	ck_assert_uint_le(stats().pages, 2 * PINNED + left / 4 + 8);
	for (unsigned int i = left - PINNED; i < left; i++)
		unpin(i);
	(void)compact(0, 0);
	ck_assert_uint_le(stats().pages, left / 4 + 8);
	for (unsigned int i = 0; i < left; i++)
		unit_require(is_intact(handles[i], SIZE));
}
END_TEST

/* A free takes a few steps and stops if these cannot move anything.  The next one must not take the same steps. */
START_TEST(frees_compact_beside_mapped_objects)
{
	struct unit_random random = unit_seed("frees_compact_beside_mapped_objects");
	unsigned int left = COUNT;

	reopen(32, true, evict);
	fill(COUNT, SIZE);
	for (unsigned int i = 0; i < 16; i++)
		pin(COUNT - 1 - i * 128);
	while (left > COUNT / 8) {
		unsigned int i = unit_below(&random, COUNT);

		if (handles[i] && !((COUNT - 1 - i) % 128 == 0 && COUNT - 1 - i < 16 * 128)) {
			release(handles[i]);
			handles[i] = 0;
			left--;
		}
	}
	ck_assert_uint_lt(stats().pages * ZP_PAGE_BYTES, 2ul * left * SIZE);
	check_sound();
}
END_TEST

/* The two objects of the second zspage could only move to pages of the first one, which the limit does not allow. */
START_TEST(moves_that_fail_at_the_limit_are_not_counted)
{
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, SIZE);

	fill(1, SIZE);
	unsigned int count = class->slots + 2u;
	unsigned int left = (2 * ZP_PAGE_BYTES - class->head_bytes) / class->slot_bytes; /* in its first two pages */
	for (unsigned int i = 1; i < count; i++)
		handles[i] = store(SIZE);
	for (unsigned int i = left; i < count - 2; i++)
		release(handles[i]);
	for (unsigned int i = 0; i < left; i++)
		pin(i);
	pin(count - 2);
	pin(count - 1);
	(void)compact(0, 0);
	unpin(count - 2);
	unpin(count - 1);
	ck_assert_int_eq(zsmalloc->set_limit(pool, zsmalloc->total_size(pool)), 0);
	ck_assert_uint_eq(compact(0, 0), 0);
	ck_assert_uint_eq(stats().compact_moved_bytes, 0);
	ck_assert_uint_eq(class->zspages, 2);
	ck_assert_int_eq(zsmalloc->set_limit(pool, 0), 0);
	(void)compact(0, 0);
	ck_assert_uint_eq(stats().compact_moved_bytes, 2 * class->slot_bytes);
	ck_assert_uint_eq(class->zspages, 1);
	for (unsigned int i = 0; i < left; i++)
		unpin(i);
	ck_assert(is_intact(handles[count - 2], SIZE) && is_intact(handles[count - 1], SIZE));
}
END_TEST

/* Back pointers are a fifth of the memory of the smallest objects, and compaction cannot win it. */
START_TEST(packed_class_of_small_objects_is_not_compacted)
{
	static const size_t sizes[] = { 16, 32 };
	struct unit_random random = unit_seed("packed_class_of_small_objects_is_not_compacted");

	reopen(32, true, evict);
	fill(OBJECTS, sizes[_i]);
	for (unsigned int round = 0; round < 500; round++) {
		unsigned int i = unit_below(&random, OBJECTS - 16);

		for (unsigned int k = i; k < i + 16; k++)
			release(handles[k]);
		for (unsigned int k = i; k < i + 16; k++)
			handles[k] = store(sizes[_i]);
	}
	ck_assert_uint_eq(stats().compactions, 0);
	check_sound();
}
END_TEST

static int note_freeable_pages(const struct zpool_class_stats *class, size_t size, void *pages)
{
	(void)size;
	*(uint64_t *)pages += class->freeable_pages;
	return 0;
}

START_TEST(packed_class_has_no_freeable_pages)
{
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, 16);
	uint64_t freeable = 0;

	(void)store(16);
	while (class->used_slots < 100u * class->slots)
		(void)store(16);
	ck_assert_int_eq(zsmalloc->each_class(pool, note_freeable_pages, &freeable), 0);
	ck_assert_uint_eq(freeable, 0);
}
END_TEST

/* The first page that is missing is not the last one with memory. */
START_TEST(nowait_finds_memory_behind_a_released_page)
{
	unsigned long handle;

	fill(10, SIZE);
	for (unsigned int i = 0; i < 10; i++)
		if (i < 3 || i >= 8)
			pin(i);
		else
			release(handles[i]);
	(void)compact(0, 0);
	ck_assert_uint_eq(stats().pages, 2);
	ck_assert_int_eq(zsmalloc->malloc(pool, SIZE, ZPOOL_GFP_NOWAIT, &handle), 0);
	ck_assert_uint_eq(stats().pages, 2);
	check_sound();
}
END_TEST

/* zsmalloc_settle_zspages() must not take it for a zspage of the smallest class. */
START_TEST(record_of_a_future_zspage_has_no_class)
{
	struct zsmalloc_pool *inside = pool;
	uint32_t number;

	ck_assert_int_eq(zsmalloc_record_get(inside, ZPOOL_GFP_KERNEL, &number), 0);
	ck_assert_uint_ge(atomic_load(&zsmalloc_header(inside, number)->class_index), inside->class_count);
	zsmalloc_records_trim(inside);
	ck_assert_uint_gt(inside->records.end, number);
	zsmalloc_record_put(inside, number, true);
}
END_TEST

/* ---- damage ---- */

static unsigned int logged, locked;

static void log_and_look(void *core, enum zpool_log_level level, const char *format, ...)
{
	struct zsmalloc_pool *inside = pool;
	struct zsmalloc_class *class = NULL;

	(void)core;
	unit_require(level == ZPOOL_LOG_ERROR && strstr(format, "overwritten back pointers"));
	logged++;
	while ((class = zsmalloc_next_used(inside, class))) {
		if (zp_trylock(&class->lock))
			zp_unlock(&class->lock);
		else
			locked++;
	}
}

/* Writes the back pointer of slot `from` of the zspage of an object over that of slot `to`. */
static void damage(unsigned long handle, unsigned int from, unsigned int to)
{
	struct zsmalloc_pool *inside = pool;
	uint64_t location;

	unit_require(zp_handles_lookup(&inside->handles, handle, &location) == 0);
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(inside, zsmalloc_location_zspage(location));
	uint32_t *handle_slots = zsmalloc_handle_slots(zsmalloc_class(inside, zspage->header), zspage);
	handle_slots[to] = handle_slots[from];
}

START_TEST(damage_is_logged_without_a_lock)
{
	reopen(1, false, evict);
	harness.host.log = log_and_look;
	logged = locked = 0;
	fill(400, 200);
	for (unsigned int i = 1; i < 400; i++)
		if (i % 19 > 2)
			release(handles[i]);
	damage(handles[0], 2, 1);
	(void)compact(0, 0);
	ck_assert_uint_gt(logged, 0);
	ck_assert_uint_eq(locked, 0);
	zsmalloc->destroy(pool);
	setup();
}
END_TEST

static void call_that_reports(int which)
{
	struct zpool_budget all = { .struct_size = sizeof(all) };
	unsigned int reclaimed;
	uint64_t released;

	switch (which) {
	case 0:
		(void)store(5000);
		break;
	case 1:
		(void)zsmalloc->compact(pool, &all, &released);
		break;
	case 2:
		(void)zsmalloc->shrink(pool, 1, &reclaimed);
		break;
	case 3:
		(void)zsmalloc->trim(pool, &released);
		break;
	default:
		zsmalloc->destroy(pool);
	}
}

/* A filter may hold a lock of its own during a free or a NOWAIT malloc, and the log handler may call that filter. */
START_TEST(damage_found_in_a_free_is_logged_by_a_later_call)
{
	enum { DAMAGED = 4000, DESTROY = 4 };
	unsigned long handle;

	reopen(1, true, evict);
	harness.host.log = log_and_look;
	logged = locked = 0;
	fill(DAMAGED, 200);
	for (unsigned int i = 0; i < DAMAGED; i += 19)
		damage(handles[i], 2, 1);
	for (unsigned int i = 0; i < DAMAGED; i++)
		if (i % 19 > 2)
			release(handles[i]);
	ck_assert_uint_gt(stats().compactions, 0);
	ck_assert_uint_eq(logged, 0);
	(void)zsmalloc->malloc(pool, 5000, ZPOOL_GFP_NOWAIT, &handle);
	ck_assert_uint_eq(logged, 0);
	call_that_reports(_i);
	ck_assert_uint_eq(logged, 1);
	ck_assert_uint_eq(locked, 0);
	if (_i < DESTROY)
		zsmalloc->destroy(pool);
	setup();
}
END_TEST

START_TEST(object_of_a_damaged_back_pointer_is_not_evicted)
{
	reopen(1, false, evict);
	fill(10, 200);
	damage(handles[0], 2, 0);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 0);
	zsmalloc->destroy(pool);
	setup();
}
END_TEST

/* ---- eviction ---- */

static pthread_barrier_t freed, looked;

/* Leaves a cached slot as the only used slot of the class. */
static void *free_and_wait(void *size)
{
	for (unsigned int i = 0; i < 3; i++)
		release(store((size_t)(uintptr_t)size));
	(void)pthread_barrier_wait(&freed);
	(void)pthread_barrier_wait(&looked);
	harness_end_thread(&harness);
	return NULL;
}

START_TEST(older_classes_with_cached_slots_do_not_prevent_eviction)
{
	pthread_t threads[OLD_CLASSES];

	unit_require(pthread_barrier_init(&freed, NULL, OLD_CLASSES + 1) == 0);
	unit_require(pthread_barrier_init(&looked, NULL, OLD_CLASSES + 1) == 0);
	for (uintptr_t i = 0; i < OLD_CLASSES; i++)
		unit_require(pthread_create(&threads[i], NULL, free_and_wait, (void *)(100 + 200 * i)) == 0);
	(void)pthread_barrier_wait(&freed);
	(void)store(50);
	ck_assert_uint_ge(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	(void)pthread_barrier_wait(&looked);
	for (unsigned int i = 0; i < OLD_CLASSES; i++)
		unit_require(pthread_join(threads[i], NULL) == 0);
}
END_TEST

static int shrink_and_refuse(void *context, unsigned long handle)
{
	unsigned int reclaimed;

	(void)context;
	(void)handle;
	evictor.asked++;
	ck_assert_int_eq(zsmalloc->shrink(pool, 1, &reclaimed), -EAGAIN);
	return -EBUSY;
}

START_TEST(zspage_under_reclaim_is_not_nothing)
{
	reopen(32, false, shrink_and_refuse);
	(void)store(SIZE);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_gt(evictor.asked, 0);
}
END_TEST

/* In the parent, the other thread would soon store an object in its slot, and the page would stay. */
START_TEST(slot_that_another_thread_was_taking_does_not_prevent_eviction_in_a_child)
{
	struct zsmalloc_pool *inside = pool;
	struct zsmalloc_class *class = zsmalloc_class_of(pool, SIZE);
	uint32_t taken;

	fill(10, SIZE);
	release(handles[9]);
	zsmalloc_drop_cached(inside);
	zp_lock(&class->lock);
	unit_require(zsmalloc_slots_get_ready(inside, class, &taken, 1) == 1);
	zp_unlock(&class->lock);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 0);
	zsmalloc->fork(pool, ZPOOL_FORK_PREPARE);
	zsmalloc->fork(pool, ZPOOL_FORK_CHILD);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 9);
	zp_lock(&class->lock);
	zsmalloc_slots_put(inside, class, &taken, 1);
	zsmalloc_class_unlock(inside, class);
}
END_TEST

/* Begins a free that no thread will end, as that of another thread that stopped there. */
static void lose(unsigned long handle)
{
	uint64_t location;

	unit_require(zp_handles_try_begin_free(&((struct zsmalloc_pool *)pool)->handles, handle, &location));
}

static void become_child(void)
{
	zsmalloc->fork(pool, ZPOOL_FORK_PREPARE);
	zsmalloc->fork(pool, ZPOOL_FORK_CHILD);
}

/* The lost slots are in one class or in several. */
START_TEST(lost_slots_are_nothing_to_evict_in_a_child)
{
	enum { LOST = 20 };

	reopen(1, false, evict);
	for (unsigned int i = 0; i < LOST; i++)
		lose(store(_i ? 200 * (i + 1) : 4096));
	fill(1, 4096);
	become_child();
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], handles[0]);
	fill(1, 4096);
	pin(0);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	unpin(0);
}
END_TEST

START_TEST(cached_slots_beside_a_lost_one_are_freed_in_a_child)
{
	struct zsmalloc_pool *inside = pool;
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, SIZE);

	fill(10, SIZE);
	for (unsigned int i = 1; i < 10; i++)
		release(handles[i]);
	ck_assert_uint_gt(zsmalloc_cached_count(inside, class), 0);
	lose(handles[0]);
	become_child();
	(void)zsmalloc->shrink(pool, 1, &(unsigned int){ 0 });
	ck_assert_uint_eq(zsmalloc_cached_count(inside, class), 0);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zsmalloc, pinned");
	TCase *pinned = tcase_create("pinned");

	tcase_add_checked_fixture(pinned, setup, teardown);
	tcase_set_timeout(pinned, 300);
	tcase_add_test(pinned, many_mapped_objects_do_not_end_compaction);
	tcase_add_test(pinned, frees_compact_beside_mapped_objects);
	tcase_add_test(pinned, moves_that_fail_at_the_limit_are_not_counted);
	tcase_add_loop_test(pinned, packed_class_of_small_objects_is_not_compacted, 0, 2);
	tcase_add_test(pinned, packed_class_has_no_freeable_pages);
	tcase_add_test(pinned, nowait_finds_memory_behind_a_released_page);
	tcase_add_test(pinned, record_of_a_future_zspage_has_no_class);
	tcase_add_test(pinned, damage_is_logged_without_a_lock);
	tcase_add_loop_test(pinned, damage_found_in_a_free_is_logged_by_a_later_call, 0, 5);
	tcase_add_test(pinned, object_of_a_damaged_back_pointer_is_not_evicted);
	tcase_add_test(pinned, older_classes_with_cached_slots_do_not_prevent_eviction);
	tcase_add_test(pinned, zspage_under_reclaim_is_not_nothing);
	tcase_add_test(pinned, slot_that_another_thread_was_taking_does_not_prevent_eviction_in_a_child);
	tcase_add_loop_test(pinned, lost_slots_are_nothing_to_evict_in_a_child, 0, 2);
	tcase_add_test(pinned, cached_slots_beside_a_lost_one_are_freed_in_a_child);
	suite_add_tcase(suite, pinned);
	return suite_run(suite);
}
