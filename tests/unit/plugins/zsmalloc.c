/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "zsmalloc_fixture.h"

static unsigned long handles[OBJECTS];

static void fill(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		handles[i] = store(size);
}

/* Frees about `percent` of the objects, and returns how many are left. */
static unsigned int free_randomly(struct unit_random *random, unsigned int count, unsigned int percent)
{
	unsigned int left = count;

	for (unsigned int i = 0; i < count; i++) {
		if (unit_below(random, 100) >= percent)
			continue;
		release(handles[i]);
		handles[i] = 0;
		left--;
	}
	return left;
}

static void all_intact(unsigned int count, size_t size)
{
	for (unsigned int i = 0; i < count; i++)
		unit_require(!handles[i] || is_intact(handles[i], size));
}

START_TEST(objects_of_one_size_fill_their_pages)
{
	static const size_t sizes[] = { 160, 496, 784, 1000, 1365, 2000, 2049, 3000, 3500, 4096, 6000, 10000 };
	size_t size = sizes[_i];
	unsigned int count = (unsigned int)((16 << 20) / size < OBJECTS ? (16 << 20) / size : OBJECTS);

	fill(count, size);
	struct zpool_stats now = stats();
	ck_assert_uint_eq(now.objects, count);
	ck_assert_uint_ge(count * size * 100, now.pages * ZP_PAGE_BYTES * 97);
	check_sound();
	all_intact(count, size);
}
END_TEST

START_TEST(sizes_at_the_boundaries_work)
{
	unsigned long handle = 12345;

	ck_assert_int_eq(zsmalloc->malloc(pool, 0, 0, &handle), -EINVAL);
	ck_assert_int_eq(zsmalloc->malloc(pool, 65537, 0, &handle), -ENOSPC);
	ck_assert_int_eq(zsmalloc->malloc(pool, SIZE_MAX, 0, &handle), -ENOSPC);
	ck_assert_uint_eq(handle, 12345);
	for (size_t size = 1; size <= 65536; size += size < 200 ? 1 : 331) {
		handle = store(size);
		unit_require(zsmalloc->obj_size(pool, handle) >= (int64_t)size);
		unit_require(is_intact(handle, size));
		release(handle);
	}
	handle = store(65536);
	ck_assert(is_intact(handle, 65536));
}
END_TEST

START_TEST(single_object_of_a_class_uses_only_its_pages)
{
	for (size_t size = 1; size <= ZP_PAGE_BYTES; size += 97) {
		uint64_t before = stats().pages;
		unsigned long handle = store(size);

		unit_require(stats().pages - before <= 2);
		release(handle);
		uint64_t ignored;
		unit_require(zsmalloc->trim(pool, &ignored) == 0);
		unit_require(stats().pages == 0);
	}
}
END_TEST

START_TEST(compaction_releases_pages_after_random_frees)
{
	static const size_t sizes[] = { 48, 300, 1100, 2500, 4096, 9000 };
	size_t size = sizes[_i];
	struct unit_random random = unit_seed("compaction_releases_pages_after_random_frees");

	fill(4000, size);
	/* Full zspages also waste memory, which compaction cannot release. */
	uint64_t full_pages = stats().pages;
	unsigned int left = free_randomly(&random, 4000, 60);
	uint64_t wasted = waste_bytes(), held = zsmalloc->total_size(pool), pages = stats().pages;
	uint64_t released = compact(0, 0);
	check_sound();
	struct zpool_stats after = stats();
	ck_assert_uint_eq(after.objects, left);
	uint64_t needed_pages = (left * full_pages + 3999) / 4000;
	ck_assert_uint_lt(needed_pages, pages);
	ck_assert_uint_ge((pages - after.pages) * 10, (pages - needed_pages) * 9);
	ck_assert_uint_lt(waste_bytes(), wasted);
	ck_assert_uint_ge(released, (pages - after.pages) * ZP_PAGE_BYTES);
	ck_assert_uint_le(zsmalloc->total_size(pool) + released, held);
	all_intact(4000, size);
}
END_TEST

START_TEST(mapped_objects_stay_where_they_are)
{
	struct unit_random random = unit_seed("mapped_objects_stay_where_they_are");
	static void *addresses[3000];

	fill(3000, 700);
	(void)free_randomly(&random, 3000, 50);
	for (int i = 0; i < 3000; i++)
		addresses[i] = handles[i] && unit_below(&random, 10) == 0 ? zsmalloc->map(pool, handles[i], ZPOOL_MM_RO)
									  : NULL;
	(void)compact(0, 0);
	check_sound();
	for (int i = 0; i < 3000; i++) {
		if (!addresses[i])
			continue;
		unit_require(zsmalloc->map(pool, handles[i], ZPOOL_MM_RO) == addresses[i]);
		unit_require(zsmalloc->unmap(pool, handles[i]) == 0);
		unit_require(zsmalloc->unmap(pool, handles[i]) == 0);
	}
	all_intact(3000, 700);
	uint64_t pages = stats().pages;
	ck_assert_uint_gt(compact(0, 0), 0);
	ck_assert_uint_lt(stats().pages, pages);
	all_intact(3000, 700);
}
END_TEST

START_TEST(budget_bounds_what_is_moved)
{
	struct unit_random random = unit_seed("budget_bounds_what_is_moved");

	fill(4000, 500);
	(void)free_randomly(&random, 4000, 50);
	for (uint64_t bytes = 1; bytes < 200000; bytes = bytes * 3 + 11) {
		uint64_t moved = stats().compact_moved_bytes;
		uint64_t held = zsmalloc->total_size(pool), released = compact(bytes, 1);

		ck_assert_uint_ge(stats().compact_moved_bytes - moved, bytes);
		ck_assert_uint_le(stats().compact_moved_bytes - moved, bytes + 512);
		ck_assert_uint_le(zsmalloc->total_size(pool) + released, held);
		check_sound();
	}
	all_intact(4000, 500);
	ck_assert_uint_gt(compact(0, 0), 0);
	ck_assert_uint_eq(compact(0, 0), 0);
	ck_assert_uint_eq(compact(1, 0), 0);
	all_intact(4000, 500);
}
END_TEST

START_TEST(frees_compact_automatically)
{
	struct zpool_value on = { .key = "compact", .number = 1, .given = 1 };
	struct unit_random random = unit_seed("frees_compact_automatically");

	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &on), 0);
	ck_assert_int_eq(zsmalloc->set(pool, CHAIN, &on), -EINVAL);
	fill(8000, 1000);
	(void)free_randomly(&random, 8000, 50);
	struct zpool_stats now = stats();
	ck_assert_uint_gt(now.compactions, 0);
	ck_assert_uint_le(waste_bytes(), now.pages * ZP_PAGE_BYTES / ZSMALLOC_BEGIN_SHARE + 16 * ZP_PAGE_BYTES);
	check_sound();
	all_intact(8000, 1000);
}
END_TEST

/* A busy pool at its limit reaches these numbers of runs within days. */
START_TEST(compaction_works_after_billions_of_runs)
{
	static const uint64_t runs[] = { UINT64_C(1) << 31, UINT32_MAX - 2, UINT64_C(1) << 40 };
	struct zpool_value on = { .key = "compact", .number = 1, .given = 1 };
	struct unit_random random = unit_seed("compaction_works_after_billions_of_runs");
	struct zsmalloc_pool *inside = pool;

	fill(4000, 1000);
	atomic_store(&inside->compaction_id, runs[_i]);
	(void)free_randomly(&random, 4000, 50);
	ck_assert_uint_gt(compact(0, 0), 0);
	ck_assert_uint_gt(stats().compact_moved_bytes, 0);
	uint64_t moved = stats().compact_moved_bytes, count = stats().compactions;
	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &on), 0);
	for (unsigned int i = 0; i < 4000; i++) {
		if (!handles[i] || i % 8 == 0)
			continue;
		release(handles[i]);
		handles[i] = 0;
	}
	ck_assert_uint_gt(stats().compact_moved_bytes, moved);
	ck_assert_uint_gt(stats().compactions, count);
	check_sound();
	all_intact(4000, 1000);
}
END_TEST

START_TEST(frees_compact_automatically_after_billions_of_frees)
{
	static const uint64_t frees[] = { (UINT64_C(1) << 31) - 100, UINT64_C(3) << 30, UINT64_C(1) << 40 };
	struct zpool_value on = { .key = "compact", .number = 1, .given = 1 };
	struct unit_random random = unit_seed("frees_compact_automatically_after_billions_of_frees");

	fill(4000, 1000);
	zsmalloc_class_of(pool, 1000)->frees = frees[_i];
	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &on), 0);
	(void)free_randomly(&random, 4000, 60);
	ck_assert_uint_gt(stats().compactions, 0);
	check_sound();
	all_intact(4000, 1000);
}
END_TEST

/* A fork may meet another thread between two steps of a compaction, which that thread continues only in the parent. */
START_TEST(child_compacts_although_another_thread_was_compacting)
{
	struct zpool_value on = { .key = "compact", .number = 1, .given = 1 };
	struct unit_random random = unit_seed("child_compacts_although_another_thread_was_compacting");
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);
	struct zsmalloc_pool *inside = pool;

	fill(4000, 1000);
	uint32_t source = zsmalloc_fullest(class);
	zp_lock(&class->lock);
	zsmalloc_class_begin_draining(pool, class);
	zsmalloc_class_set_source(pool, class, source);
	zp_unlock(&class->lock);
	atomic_store(&inside->is_compacting, true);
	zsmalloc->fork(pool, ZPOOL_FORK_PREPARE);
	zsmalloc->fork(pool, ZPOOL_FORK_CHILD);
	ck_assert(!class->is_draining);
	ck_assert(zsmalloc_is_cacheable(zsmalloc_header(pool, source)));
	release(handles[0]);
	release(handles[1]);
	handles[0] = handles[1] = 0;
	ck_assert_uint_gt(zsmalloc_cached_count(pool, class), 1);
	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &on), 0);
	for (unsigned int i = 2; i < 4000; i++) {
		if (unit_below(&random, 100) < 40)
			continue;
		release(handles[i]);
		handles[i] = 0;
	}
	ck_assert_uint_gt(stats().compactions, 0);
	check_sound();
	all_intact(4000, 1000);
}
END_TEST

/* The parameter may change while the compaction of a class is not complete. */
START_TEST(threads_cache_slots_again_when_compaction_is_disabled)
{
	struct zpool_value compact = { .key = "compact", .number = 1, .given = 1 };
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);
	unsigned int i;

	fill(4000, 1000);
	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &compact), 0);
	for (i = 1; i < 4000 && !class->is_draining; i += 2)
		release(handles[i]);
	ck_assert(class->is_draining);
	compact.number = 0;
	ck_assert_int_eq(zsmalloc->set(pool, COMPACT, &compact), 0);
	for (i = 0; i < 16; i += 2)
		release(handles[i]);
	ck_assert_uint_gt(zsmalloc_cached_count(pool, class), 1);
	ck_assert(!class->is_draining);
	check_sound();
}
END_TEST

START_TEST(oldest_zspage_is_evicted_first)
{
	fill(3000, 1000);
	check_sound();
	unsigned int reclaimed = shrink(1, 0);
	ck_assert_uint_ge(reclaimed, 1);
	ck_assert_uint_gt(evictor.asked, 0);
	/* Slots are taken in rising order, so the oldest zspage has the objects that were stored first. */
	for (unsigned int i = 0; i < evictor.asked; i++)
		ck_assert_uint_eq(evictor.handles[i], handles[i]);
	unsigned int first = evictor.asked;
	release(handles[first]);
	release(handles[first + 1]);
	handles[first] = store(1000); /* this fills the hole, so the second zspage becomes the newest */
	(void)shrink(1, 0);
	ck_assert_uint_eq(evictor.handles[first], handles[2 * first]);
	check_sound();
	for (unsigned int i = 3 * first; i < 3000; i++)
		unit_require(is_intact(handles[i], 1000));
	ck_assert_uint_eq(stats().evictions, evictor.asked);
}
END_TEST

START_TEST(refused_eviction_keeps_the_zspage)
{
	fill(3000, 1000);
	evictor.refuse_from = 3;
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	check_sound();
	ck_assert_uint_eq(stats().objects, 2997);
	ck_assert_uint_eq(stats().evict_refused, 8);
	for (unsigned int i = 3; i < 3000; i++)
		unit_require(is_intact(handles[i], 1000));
	evictor.refuse_from = OBJECTS;
	ck_assert_uint_ge(shrink(1, 0), 1);
	check_sound();
	ck_assert_uint_ge(shrink(100000, -EINVAL), 1);
	ck_assert_uint_eq(stats().objects, 0);
}
END_TEST

START_TEST(zspage_with_a_mapped_object_is_not_evicted)
{
	fill(3, 1000);
	ck_assert_ptr_nonnull(zsmalloc->map(pool, handles[1], ZPOOL_MM_RO));
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 0);
	check_sound();
	ck_assert_int_eq(zsmalloc->unmap(pool, handles[1]), 0);
	all_intact(3, 1000);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 3);
}
END_TEST

START_TEST(nowait_uses_held_memory)
{
	unsigned long handle;

	ck_assert_int_eq(zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), -ENOMEM);
	(void)store(1000);
	uint64_t held = zsmalloc->total_size(pool);
	unsigned int more = 0;
	while (zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle) == 0 && more < 100)
		more++;
	ck_assert_uint_ge(more, 2);
	ck_assert_uint_lt(more, 100);
	ck_assert_uint_eq(zsmalloc->total_size(pool), held);
	check_sound();
	fill(64, 4096);
	held = zsmalloc->total_size(pool);
	for (int i = 0; i < 64; i++)
		release(handles[i]);
	for (int i = 0; i < 8; i++)
		unit_require(zsmalloc->malloc(pool, 4096, ZPOOL_GFP_NOWAIT, &handles[i]) == 0);
	ck_assert_uint_le(zsmalloc->total_size(pool), held);
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 1000);
	zp_lock(&class->lock);
	ck_assert_int_eq(zsmalloc->malloc(pool, 1000, ZPOOL_GFP_NOWAIT, &handle), -EAGAIN);
	zp_unlock(&class->lock);
	ck_assert_uint_eq(stats().malloc_failed_again, 1);
}
END_TEST

/* Back pointers are a fifth of the memory of the smallest objects. */
START_TEST(back_pointers_are_no_free_slots)
{
	const struct zsmalloc_class *class = zsmalloc_class_of(pool, 16);
	uint64_t most = 0;

	for (int i = 0; i < 2000; i++) {
		handles[i] = store(16);
		uint64_t free = (uint64_t) class->zspages * class->slots - stats().objects;
		unit_require(stats().free_slots <= free);
		most = stats().free_slots > most ? stats().free_slots : most;
	}
	ck_assert_uint_gt(most, 0);
	for (int i = 0; i < 2000; i += 2)
		release(handles[i]);
	ck_assert_uint_ge(stats().free_slots, 1000);
	ck_assert_uint_le(stats().free_slots, 1000 + class->slots);
}
END_TEST

/* Every pool has the table of all classes, also an empty one. */
START_TEST(class_takes_little_memory)
{
	const struct zsmalloc_pool *inside = pool;
	size_t sizes_bytes = (65536 / ZSMALLOC_ALIGN_BYTES + 1) * sizeof(uint16_t);
	size_t class_bytes = 2 * 64 + 24;

#ifdef ZPOOL_DEBUG_CHECKS
	class_bytes += 64; /* The lock is larger there. */
#endif
	ck_assert_uint_le(inside->table_bytes, inside->class_count * class_bytes + sizes_bytes + ZP_PAGE_BYTES);
}
END_TEST

START_TEST(records_of_zspages_are_released)
{
	uint64_t start = zsmalloc->total_size(pool), ignored;

	zsmalloc->destroy(pool);
	ck_assert_int_eq(open_pool(1, 16, 65536, false, evict), 0);
	for (int round = 0; round < 3; round++) {
		fill(OBJECTS, 4096);
		check_sound();
		for (int i = 0; i < OBJECTS; i++)
			release(handles[i]);
		ck_assert_int_eq(zsmalloc->trim(pool, &ignored), 0);
		check_sound();
		ck_assert_uint_le(zsmalloc->total_size(pool), start + (64 << 10));
	}
}
END_TEST

START_TEST(limit_holds_exactly)
{
	uint64_t limit = zsmalloc->total_size(pool) + (1 << 20);
	unsigned long handle, last = 0;

	ck_assert_int_eq(zsmalloc->set_limit(pool, limit), 0);
	for (size_t size = 3000; zsmalloc->malloc(pool, size, 0, &handle) == 0; size ^= 1)
		last = handle;
	ck_assert_uint_le(zsmalloc->total_size(pool), limit);
	ck_assert_uint_gt(zsmalloc->total_size(pool), limit - 4 * ZP_PAGE_BYTES);
	check_sound();
	release(last);
	ck_assert_int_eq(zsmalloc->malloc(pool, 3000, 0, &handle), 0);
	ck_assert_int_eq(zsmalloc->set_limit(pool, 0), 0);
	ck_assert_int_eq(zsmalloc->malloc(pool, 3000, 0, &handle), 0);
}
END_TEST

START_TEST(parameters_work_at_their_limits)
{
	static const uint64_t chains[] = { 1, 2, 64 }, steps[] = { 16, 17, 1024 }, maxima[] = { 1, 17, 4097, 65536 };

	ck_assert_uint_eq(zsmalloc->params[CHAIN].max, 64);
	ck_assert_uint_eq(zsmalloc->params[STEP].max, 1024);
	ck_assert_uint_eq(zsmalloc->params[MAX].max, 65536);
	for (int i = 0; i < 3 * 3 * 4; i++) {
		uint64_t max = maxima[i / 9];
		unsigned long handle[3];

		zsmalloc->destroy(pool);
		unit_require(open_pool(chains[i % 3], steps[i / 3 % 3], max, true, evict) == 0);
		unit_require(zsmalloc->malloc(pool, max + 1, 0, &handle[0]) == -ENOSPC);
		for (int k = 0; k < 3; k++)
			handle[k] = store(k == 1 ? (max + 1) / 2 : max);
		check_sound();
		(void)compact(0, 0);
		for (int k = 0; k < 3; k++)
			unit_require(is_intact(handle[k], k == 1 ? (max + 1) / 2 : max));
		release(handle[0]);
		check_sound();
	}
}
END_TEST

START_TEST(verify_names_what_is_broken)
{
	unsigned long handle = store(100);
	struct zsmalloc_class *class = zsmalloc_class_of(pool, 100);

	class->used_slots++;
	ck_assert_int_eq(zsmalloc->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "counts"));
	class->used_slots--;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_fullest(class));
	uint32_t kept = zsmalloc_handle_slots(class, zspage)[0];
	zsmalloc_handle_slots(class, zspage)[0] = 0;
	ck_assert_int_eq(zsmalloc->verify(pool), -EUCLEAN);
	ck_assert_ptr_nonnull(strstr(harness.error, "handle"));
	zsmalloc_handle_slots(class, zspage)[0] = kept;
	check_sound();
	release(handle);
}
END_TEST

static TCase *tcase_in(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("plugins/zsmalloc");
	TCase *objects = tcase_in(suite, "objects"), *compaction = tcase_in(suite, "compaction");
	TCase *eviction = tcase_in(suite, "eviction"), *pools = tcase_in(suite, "pool");

	tcase_add_loop_test(objects, objects_of_one_size_fill_their_pages, 0, 12);
	tcase_add_test(objects, sizes_at_the_boundaries_work);
	tcase_add_test(objects, single_object_of_a_class_uses_only_its_pages);
	tcase_add_test(objects, nowait_uses_held_memory);
	tcase_add_loop_test(compaction, compaction_releases_pages_after_random_frees, 0, 6);
	tcase_add_test(compaction, mapped_objects_stay_where_they_are);
	tcase_add_test(compaction, budget_bounds_what_is_moved);
	tcase_add_test(compaction, frees_compact_automatically);
	tcase_add_loop_test(compaction, compaction_works_after_billions_of_runs, 0, 3);
	tcase_add_loop_test(compaction, frees_compact_automatically_after_billions_of_frees, 0, 3);
	tcase_add_test(compaction, child_compacts_although_another_thread_was_compacting);
	tcase_add_test(compaction, threads_cache_slots_again_when_compaction_is_disabled);
	tcase_add_test(eviction, oldest_zspage_is_evicted_first);
	tcase_add_test(eviction, refused_eviction_keeps_the_zspage);
	tcase_add_test(eviction, zspage_with_a_mapped_object_is_not_evicted);
	tcase_add_test(pools, back_pointers_are_no_free_slots);
	tcase_add_test(pools, class_takes_little_memory);
	tcase_add_test(pools, records_of_zspages_are_released);
	tcase_add_test(pools, limit_holds_exactly);
	tcase_add_test(pools, parameters_work_at_their_limits);
	tcase_add_test(pools, verify_names_what_is_broken);
	add_thread_tests(suite);
	return suite_run(suite);
}
