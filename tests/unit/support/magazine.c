/* SPDX-License-Identifier: MIT
 *
 * magazine.c - thread caches: their owners, how the owners are kept out, and the end of a cache
 */
#include <config.h>

#include "magazine_fixture.h"

/* ---- magazines ---- */

START_TEST(magazine_returns_the_last_pushed_item)
{
	struct zp_magazine magazine = { .max = 5 };

	ck_assert_uint_eq(zp_magazine_pop(&magazine), ZP_ITEM_NONE);
	for (uint32_t item = 1; item <= 5; item++)
		ck_assert(zp_magazine_push(&magazine, item));
	ck_assert(!zp_magazine_push(&magazine, 6));
	ck_assert_uint_eq(zp_magazine_count(&magazine), 5);
	for (uint32_t item = 5; item >= 1; item--)
		ck_assert_uint_eq(zp_magazine_pop(&magazine), item);
	ck_assert_uint_eq(zp_magazine_pop(&magazine), ZP_ITEM_NONE);
}
END_TEST

START_TEST(oldest_items_are_popped_first)
{
	struct zp_magazine magazine = { .max = ZP_MAGAZINE_ITEMS };
	uint32_t items[ZP_MAGAZINE_ITEMS];

	ck_assert_uint_eq(zp_magazine_take(&magazine, items, 3), 0);
	for (uint32_t item = 1; item <= ZP_MAGAZINE_ITEMS; item++)
		ck_assert(zp_magazine_push(&magazine, item));
	/* When a class has become smaller, a magazine may contain more items than it may keep. */
	magazine.max = 2;
	ck_assert(!zp_magazine_push(&magazine, 99));
	ck_assert_uint_eq(zp_magazine_take(&magazine, items, 4), 4);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(items[i], i + 1);
	ck_assert_uint_eq(zp_magazine_pop(&magazine), ZP_MAGAZINE_ITEMS);
	ck_assert_uint_eq(zp_magazine_take(&magazine, items, ZP_MAGAZINE_ITEMS), ZP_MAGAZINE_ITEMS - 5);
	ck_assert_uint_eq(items[0], 5);
	ck_assert_uint_eq(zp_magazine_count(&magazine), 0);
}
END_TEST

START_TEST(flush_that_begins_later_is_not_waited_for)
{
	struct zp_flushes flushes = { 0 };
	unsigned int before, later, turned;

	for (int i = 0; i < 3; i++) {
		before = zp_flush_begin(&flushes);
		turned = zp_flushes_turn(&flushes);
		ck_assert_uint_eq(turned, before);
		later = zp_flush_begin(&flushes);
		ck_assert_uint_ne(later, before);
		zp_flush_end(&flushes, before);
		/* This would not return. */
		zp_flushes_wait(&flushes, turned);
		zp_flush_end(&flushes, later);
	}
	/* The threads that would end these do not exist in the child of a fork. */
	(void)zp_flush_begin(&flushes);
	turned = zp_flushes_turn(&flushes);
	(void)zp_flush_begin(&flushes);
	zp_flushes_forget(&flushes);
	zp_flushes_wait(&flushes, turned);
	zp_flushes_wait(&flushes, zp_flushes_turn(&flushes));
}
END_TEST

/* ---- seats ---- */

START_TEST(thread_has_one_cache_after_adopt)
{
	struct zp_cache *cache;

	ck_assert_ptr_null(zp_caches_own(&caches));
	ck_assert(!may_enter());
	cache = adopt();
	ck_assert_ptr_nonnull(cache);
	ck_assert_uint_eq((uintptr_t)cache % 64, 0);
	ck_assert_ptr_eq(adopt(), cache);
	ck_assert_uint_eq(cache_count(), 1);
	ck_assert(may_enter());
	ck_assert_uint_eq(zp_cache_pending(cache), ZP_ITEM_NONE);
	for (unsigned int i = 0; i < CLASSES; i++)
		ck_assert_uint_eq(zp_magazine_count(&cache->magazines[i]), 0);
	ck_assert_uint_gt(zp_pages_held_bytes(&pages), held_at_start);
	zp_caches_fini(&caches);
	ck_assert_uint_eq(cancelled, 1);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held_at_start);
}
END_TEST

START_TEST(threads_do_not_share_caches)
{
	static struct other others[THREADS];
	struct zp_cache *own = adopt();

	for (int i = 0; i < THREADS; i++)
		begin(&others[i], adopt_in);
	for (int i = 0; i < THREADS; i++) {
		ck_assert(others[i].cache && others[i].cache != own && others[i].could_enter);
		for (int k = 0; k < i; k++)
			ck_assert_ptr_ne(others[i].cache, others[k].cache);
	}
	ck_assert_ptr_eq(zp_caches_own(&caches), own);
	for (int i = 0; i < THREADS; i++)
		end(&others[i]);
}
END_TEST

START_TEST(thread_without_a_seat_works_without_a_cache)
{
	enum { CROWD = ZP_CACHE_SEATS + 20 };
	static struct other others[CROWD];
	unsigned int with = 0;

	for (int i = 0; i < CROWD; i++) {
		begin(&others[i], adopt_in);
		with += others[i].cache != NULL;
		ck_assert(others[i].could_enter == (others[i].cache != NULL));
	}
	ck_assert_uint_gt(with, 0);
	ck_assert_uint_le(with, ZP_CACHE_SEATS);
	ck_assert_uint_eq(cache_count(), with);
	for (int i = 0; i < CROWD; i++)
		end(&others[i]);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 0);
}
END_TEST

START_TEST(thread_without_memory_works_without_a_cache)
{
	unsigned int reserves;

	atomic_store(&source.commits_left, 0);
	ck_assert_ptr_null(adopt());
	atomic_store(&source.commits_left, -1);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held_at_start);
	/* Other threads do not try again until the driver reports that there may be memory. */
	reserves = atomic_load(&source.reserves);
	ck_assert_ptr_null(adopt());
	ck_assert_uint_eq(atomic_load(&source.reserves), reserves);
	zp_caches_forget_refusal(&caches);
	ck_assert_ptr_nonnull(adopt());
}
END_TEST

static void put_runs(const uint32_t *runs, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		zp_pages_put(&pages, runs[i], 8);
}

START_TEST(thread_gets_a_cache_when_the_pool_has_given_back_memory)
{
	uint32_t runs[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(zp_pages_get(&pages, 8, ZPOOL_GFP_KERNEL, &runs[i]), 0);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages));
	ck_assert_ptr_null(adopt());
	unsigned int reserves = atomic_load(&source.reserves);
	ck_assert_ptr_null(adopt());
	ck_assert_uint_eq(atomic_load(&source.reserves), reserves);
	/* The pool keeps the memory in its reserve, but a cache can have it, except after a free. */
	put_runs(runs, 1);
	ck_assert_ptr_null(adopt_after_free());
	ck_assert_ptr_nonnull(adopt());
	put_runs(runs + 1, 3);
	zp_caches_fini(&caches);
	zp_pages_set_limit(&pages, 0);
	held_at_start = zp_pages_held_bytes(&pages);
}
END_TEST

/* Objects can use what was freed at the limit: 4 of 160 pages (0), 16 of 160 pages (1), or 4 of 8 pages (2). */
START_TEST(cache_leaves_freed_pages_to_objects)
{
	static const struct {
		unsigned int runs, freed;
	} pools[] = { { 40, 1 }, { 40, 4 }, { 2, 1 } };
	uint32_t runs[40];

	for (unsigned int i = 0; i < pools[_i].runs; i++)
		ck_assert_int_eq(zp_pages_get(&pages, 4, ZPOOL_GFP_KERNEL, &runs[i]), 0);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages));
	for (unsigned int i = 0; i < pools[_i].freed; i++)
		zp_pages_put(&pages, runs[i], 4);
	ck_assert_ptr_null(adopt());
	ck_assert_ptr_null(adopt_after_free());
	for (unsigned int i = 0; i < pools[_i].freed; i++)
		ck_assert_int_eq(zp_pages_get(&pages, 4, ZPOOL_GFP_KERNEL, &runs[i]), 0);
	for (unsigned int i = 0; i < pools[_i].runs; i++)
		zp_pages_put(&pages, runs[i], 4);
	held_at_start = zp_pages_held_bytes(&pages);
}
END_TEST

/*
 * The pool has 520 pages, so at its limit two caches may have a page each of those that were freed, but not before
 * their threads have stored an object.
 */
START_TEST(few_caches_of_a_large_pool_use_freed_pages)
{
	struct other others[2] = { { 0 } };
	uint32_t runs[130];

	for (unsigned int i = 0; i < 130; i++)
		ck_assert_int_eq(zp_pages_get(&pages, 4, ZPOOL_GFP_KERNEL, &runs[i]), 0);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages));
	zp_pages_put(&pages, runs[0], 4);
	ck_assert_ptr_null(adopt_after_free());
	ck_assert_uint_eq(zp_pages_reserved(&pages), 4);
	ck_assert_ptr_nonnull(adopt());
	for (unsigned int i = 0; i < 2; i++)
		begin(&others[i], adopt_in);
	ck_assert_ptr_nonnull(others[0].cache);
	ck_assert_ptr_null(others[1].cache);
	for (unsigned int i = 0; i < 2; i++)
		end(&others[i]);
	for (unsigned int i = 1; i < 130; i++)
		zp_pages_put(&pages, runs[i], 4);
	zp_caches_fini(&caches);
	held_at_start = zp_pages_held_bytes(&pages);
}
END_TEST

START_TEST(thread_gets_a_cache_when_the_pool_has_got_memory)
{
	uint32_t run;

	atomic_store(&source.commits_left, 0);
	ck_assert_ptr_null(adopt());
	atomic_store(&source.commits_left, -1);
	ck_assert_ptr_null(adopt());
	ck_assert_int_eq(zp_pages_get(&pages, 8, ZPOOL_GFP_KERNEL, &run), 0);
	ck_assert_ptr_nonnull(adopt());
	put_runs(&run, 1);
	zp_caches_fini(&caches);
	held_at_start = zp_pages_held_bytes(&pages);
}
END_TEST

/* After a malloc (0), and after a free (1). */
START_TEST(thread_gets_the_cache_of_an_ended_thread_although_memory_was_refused)
{
	struct other first = { 0 };

	begin(&first, adopt_in);
	ck_assert_ptr_nonnull(first.cache);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages));
	ck_assert_ptr_null(_i ? adopt_after_free() : adopt());
	end(&first);
	ck_assert_ptr_eq(_i ? adopt_after_free() : adopt(), first.cache);
}
END_TEST

START_TEST(thread_without_an_exit_hook_works_without_a_cache)
{
	refuse_hooks = true;
	ck_assert_ptr_null(adopt());
	refuse_hooks = false;
	ck_assert(!may_enter());
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 0);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held_at_start);
}
END_TEST

/* ---- the end of a thread ---- */

START_TEST(cache_of_an_ended_thread_is_emptied_and_reused)
{
	struct other first = { 0 }, second = { 0 };

	run_alone(adopt_and_push, &first);
	ck_assert_uint_eq(atomic_load(&emptied), 4);
	ck_assert_uint_eq(cache_count(), 1);
	begin(&second, adopt_in);
	ck_assert_ptr_eq(second.cache, first.cache);
	ck_assert(second.could_enter);
	ck_assert_uint_eq(cache_count(), 1);
	for (unsigned int i = 0; i < CLASSES; i++)
		ck_assert_uint_eq(zp_magazine_count(&second.cache->magazines[i]), 0);
	end(&second);
}
END_TEST

START_TEST(trim_frees_caches_of_ended_threads)
{
	struct other ended = { 0 }, living = { 0 };
	struct zp_cache *own = adopt();
	uint64_t held;

	begin(&living, adopt_and_push);
	run_alone(adopt_and_push, &ended);
	ck_assert_uint_eq(cache_count(), 3);
	held = zp_pages_held_bytes(&pages);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 2);
	ck_assert_uint_lt(zp_pages_held_bytes(&pages), held);
	ck_assert_ptr_eq(zp_caches_own(&caches), own);
	ck_assert_uint_eq(zp_magazine_count(&living.cache->magazines[1]), 2);
	end(&living);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 1);
	ck_assert(may_enter());
}
END_TEST

/* In the child of a fork, the caches of the parent's other threads have items but no owner. */
START_TEST(trim_keeps_a_cache_with_items)
{
	struct other other = { 0 };

	run_alone(adopt_in, &other);
	push(other.cache, 2, 5);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 1);
	(void)drain(other.cache);
	zp_cache_set_pending(other.cache, 5);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 1);
	(void)drain(other.cache);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 0);
}
END_TEST

/* The hook of the thread may not have returned yet, although its cache was freed. */
START_TEST(fini_cancels_the_hook_of_a_thread_whose_cache_was_trimmed)
{
	struct other ended = { 0 };

	run_alone(adopt_in, &ended);
	zp_caches_trim(&caches);
	ck_assert_uint_eq(cache_count(), 0);
	ck_assert_uint_eq(added_cancelled, 0);
	zp_caches_fini(&caches);
	ck_assert_uint_eq(added_cancelled, 1);
}
END_TEST

/* ---- stop and hold ---- */

START_TEST(owners_are_excluded_between_stop_and_resume)
{
	ck_assert_ptr_nonnull(adopt());
	zp_caches_stop(&caches);
	ck_assert(!may_enter());
	zp_caches_resume(&caches);
	ck_assert(may_enter());
}
END_TEST

START_TEST(owners_are_excluded_between_hold_and_release)
{
	struct other other = { 0 };

	ck_assert_ptr_nonnull(adopt());
	zp_caches_hold(&caches);
	ck_assert(!may_enter());
	stop_and_resume(NULL);
	ck_assert(!may_enter());
	run_alone(stop_and_resume, &other);
	ck_assert(!may_enter());
	zp_caches_hold(&caches);
	zp_caches_release(&caches);
	ck_assert(!may_enter());
	zp_caches_release(&caches);
	ck_assert(may_enter());
}
END_TEST

/* A thread without a cache adopts a new one (0), or one that a thread left when it ended (1). */
START_TEST(cache_adopted_during_a_stop_is_stopped_too)
{
	struct other ended = { 0 }, other = { 0 };

	if (_i)
		run_alone(adopt_in, &ended);
	zp_caches_hold(&caches);
	begin(&other, adopt_in);
	ck_assert_ptr_nonnull(other.cache);
	ck_assert(!_i || other.cache == ended.cache);
	ck_assert(!other.could_enter);
	zp_caches_release(&caches);
	ck_assert(zp_biased_enter(&other.cache->biased));
	zp_cache_leave(other.cache);
	end(&other);
}
END_TEST

START_TEST(no_membarrier_without_another_owner)
{
	struct other ended = { 0 }, other = { 0 };

	ck_assert_uint_eq(barriers_of_a_stop(), 0);
	ck_assert_ptr_nonnull(adopt());
	ck_assert_uint_eq(barriers_of_a_stop(), 0);
	run_alone(adopt_in, &ended);
	ck_assert_uint_eq(cache_count(), 2);
	ck_assert_uint_eq(barriers_of_a_stop(), 0);
	begin(&other, adopt_in);
	ck_assert_uint_eq(barriers_of_a_stop(), 1);
	zp_caches_hold(&caches);
	for (int i = 0; i < 10; i++)
		ck_assert_uint_eq(barriers_of_a_stop(), 0);
	zp_caches_release(&caches);
	end(&other);
	ck_assert_uint_eq(barriers_of_a_stop(), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/magazine");
	TCase *tcase = tcase_create("caches");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, magazine_returns_the_last_pushed_item);
	tcase_add_test(tcase, oldest_items_are_popped_first);
	tcase_add_test(tcase, flush_that_begins_later_is_not_waited_for);
	tcase_add_test(tcase, thread_has_one_cache_after_adopt);
	tcase_add_test(tcase, threads_do_not_share_caches);
	tcase_add_test(tcase, thread_without_a_seat_works_without_a_cache);
	tcase_add_test(tcase, thread_without_memory_works_without_a_cache);
	tcase_add_test(tcase, thread_gets_a_cache_when_the_pool_has_given_back_memory);
	tcase_add_loop_test(tcase, cache_leaves_freed_pages_to_objects, 0, 3);
	tcase_add_test(tcase, few_caches_of_a_large_pool_use_freed_pages);
	tcase_add_test(tcase, thread_gets_a_cache_when_the_pool_has_got_memory);
	tcase_add_loop_test(tcase, thread_gets_the_cache_of_an_ended_thread_although_memory_was_refused, 0, 2);
	tcase_add_test(tcase, thread_without_an_exit_hook_works_without_a_cache);
	tcase_add_test(tcase, cache_of_an_ended_thread_is_emptied_and_reused);
	tcase_add_test(tcase, trim_frees_caches_of_ended_threads);
	tcase_add_test(tcase, trim_keeps_a_cache_with_items);
	tcase_add_test(tcase, fini_cancels_the_hook_of_a_thread_whose_cache_was_trimmed);
	tcase_add_test(tcase, owners_are_excluded_between_stop_and_resume);
	tcase_add_test(tcase, owners_are_excluded_between_hold_and_release);
	tcase_add_loop_test(tcase, cache_adopted_during_a_stop_is_stopped_too, 0, 2);
	tcase_add_test(tcase, no_membarrier_without_another_owner);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
