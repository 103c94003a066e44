/* SPDX-License-Identifier: MIT
 *
 * Tests of eviction, and of a pool under random use, with threads and fork.
 */
#include <config.h>

#include "zbud_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

START_TEST(shrink_takes_pages_oldest_first_and_first_before_last)
{
	enum { PAGES = 5 };
	unsigned long first[PAGES], last[PAGES];

	for (int i = 0; i < PAGES; i++) {
		first[i] = store(HALF + 64 * i);
		last[i] = store(HALF - 64 * i + 64);
		ck_assert_ptr_eq(page_of(first[i]), page_of(last[i]));
	}
	/* A read does not make page 0 younger; storing into page 1 does. */
	ck_assert(is_intact(first[0], HALF));
	ck_assert_int_eq(zbud->free(pool, last[1]), 0);
	last[1] = store(HALF);
	ck_assert_ptr_eq(page_of(first[1]), page_of(last[1]));
	ck_assert_uint_eq(shrink(4, 0), 4);
	ck_assert_uint_eq(evictor.asked, 8);
	for (int i = 0, page = 0; i < 8; i += 2, page += page == 0 ? 2 : 1) {
		ck_assert_uint_eq(evictor.handles[i], first[page]);
		ck_assert_uint_eq(evictor.handles[i + 1], last[page]);
	}
	ck_assert_ptr_null(zbud->map(pool, first[0], ZPOOL_MM_RO));
	ck_assert(is_intact(first[1], HALF + 64) && is_intact(last[1], HALF));
	ck_assert_uint_eq(stats().evictions, 8);
}
END_TEST

START_TEST(free_does_not_make_a_page_younger)
{
	unsigned long a = store(HALF), a2 = store(HALF), b = store(HALF + 128), b2 = store(HALF - 128);

	ck_assert_int_eq(zbud->free(pool, a), 0);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], a2);
	ck_assert(is_intact(b, HALF + 128) && is_intact(b2, HALF - 128));
}
END_TEST

START_TEST(refused_pages_go_to_the_head_and_eight_refusals_end_the_step)
{
	unsigned long handle[12];

	for (int i = 0; i < 12; i++)
		handle[i] = store(LARGEST);
	evictor.act = evict_refuses;
	ck_assert_uint_eq(shrink(3, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 8);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(evictor.handles[i], handle[i]);
	ck_assert_uint_eq(stats().evict_refused, 8);
	evictor.asked = 0;
	evictor.act = evict_frees;
	ck_assert_uint_eq(shrink(6, 0), 6);
	for (int i = 0; i < 6; i++)
		ck_assert_uint_eq(evictor.handles[i], handle[(8 + i) % 12]);
	check_sound();
}
END_TEST

START_TEST(refusal_of_the_first_object_keeps_the_last)
{
	unsigned long first = store(HALF), last = store(HALF);

	evictor.act = evict_refuses;
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	for (unsigned int i = 0; i < evictor.asked; i++)
		ck_assert_uint_eq(evictor.handles[i], first);
	ck_assert(is_intact(first, HALF) && is_intact(last, HALF));
}
END_TEST

START_TEST(page_is_not_reclaimed_if_the_callback_keeps_the_object)
{
	unsigned long handle = store(100);

	evictor.act = evict_lies;
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert(is_intact(handle, 100));
	ck_assert_uint_eq(stats().evictions, 0);
}
END_TEST

static unsigned long first_of_pair, last_of_pair;

static int evict_frees_both(unsigned long handle)
{
	ck_assert_uint_eq(handle, first_of_pair);
	/* The second object is freed while its page is under reclaim, although its eviction was not requested. */
	ck_assert_int_eq(zbud->free(pool, last_of_pair), 0);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_int_eq(zbud->free(pool, first_of_pair), 0);
	/* The page is still under reclaim, so a new object gets another page. */
	ck_assert_uint_eq(stats().pages, 1);
	(void)store(10);
	ck_assert_uint_eq(stats().pages, 2);
	check_sound();
	return 0;
}

START_TEST(frees_during_a_reclaim_leave_the_page_to_the_reclaim)
{
	first_of_pair = store(HALF);
	last_of_pair = store(HALF);
	ck_assert_ptr_eq(page_of(first_of_pair), page_of(last_of_pair));
	evictor.act = evict_frees_both;
	ck_assert_uint_eq(shrink(1, 0), 1);
	/* The pool does not request the eviction of an object that is gone. */
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(stats().objects, 1);
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

static int evict_first_only(unsigned long handle)
{
	return handle == first_of_pair ? zbud->free(pool, handle) : -EIO;
}

START_TEST(half_emptied_page_stays_usable)
{
	first_of_pair = store(HALF);
	last_of_pair = store(HALF);
	evictor.act = evict_first_only;
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	check_sound();
	ck_assert(is_intact(last_of_pair, HALF));
	ck_assert_ptr_eq(page_of(store(HALF)), page_of(last_of_pair));
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

START_TEST(page_of_a_mapped_object_is_skipped_without_a_callback)
{
	unsigned long mapped = store(HALF), beside = store(HALF), other = store(LARGEST);

	ck_assert_ptr_nonnull(zbud->map(pool, mapped, ZPOOL_MM_RO));
	ck_assert_int_eq(zbud->free(pool, mapped), -EBUSY);
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], other);
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_int_eq(zbud->unmap(pool, mapped), 0);
	ck_assert_int_eq(zbud->unmap(pool, mapped), -EINVAL);
	ck_assert(is_intact(mapped, HALF) && is_intact(beside, HALF));
	ck_assert_uint_eq(shrink(1, 0), 1);
}
END_TEST

static int evict_beside_a_shrink(unsigned long handle)
{
	/* The object may still be evicted, so this is not the end. */
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	return evict_frees(handle);
}

START_TEST(page_that_another_call_is_emptying_counts_as_left)
{
	(void)store(1);
	evictor.act = evict_beside_a_shrink;
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
}
END_TEST

START_TEST(shrink_with_nothing_to_evict_is_reported)
{
	struct zpool_create_args args;
	struct harness deaf;
	unsigned int reclaimed = 9;

	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	(void)store(1);
	ck_assert_uint_eq(shrink(0, -EINVAL), 0);
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	args = harness_args(&deaf, zbud);
	ck_assert_int_eq(harness_create(&deaf, &args), 0);
	ck_assert_int_eq(zbud->shrink(deaf.pool, 1, &reclaimed), -EINVAL);
	ck_assert_uint_eq(reclaimed, 0);
	zbud->destroy(deaf.pool);
}
END_TEST

/* ---- slots that another thread was taking or returning at a fork ---- */

/* Begins a free that no thread will end, as that of another thread that stopped there. */
static void lose(unsigned long handle)
{
	uint64_t location;

	unit_require(zp_handles_try_begin_free(&((struct zbud_pool *)pool)->handles, handle, &location));
}

static void become_child(void)
{
	zbud->fork(pool, ZPOOL_FORK_PREPARE);
	zbud->fork(pool, ZPOOL_FORK_CHILD);
}

START_TEST(object_beside_a_lost_slot_is_evicted_in_a_child)
{
	unsigned long pair[2] = { store(HALF), store(HALF) }, beside;

	ck_assert_ptr_eq(page_of(pair[0]), page_of(pair[1]));
	lose(pair[_i]);
	/* In the parent, the other thread will soon end its call. */
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_uint_eq(evictor.asked, 0);
	become_child();
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], pair[1 - _i]);
	ck_assert_uint_eq(stats().evictions, 1);
	/* The page stays usable. */
	beside = store(HALF);
	ck_assert_uint_eq(stats().pages, 1);
	ck_assert_uint_eq(shrink(1, -EINVAL), 0);
	ck_assert_uint_eq(evictor.asked, 2);
	ck_assert_uint_eq(evictor.handles[1], beside);
}
END_TEST

START_TEST(lost_slots_are_nothing_to_evict_in_a_child)
{
	unsigned long young;

	for (unsigned int i = 0; i < 2 * ZBUD_RECLAIM_TRIES; i++)
		lose(store(LARGEST));
	young = store(LARGEST);
	become_child();
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	ck_assert_uint_eq(evictor.asked, 1);
	ck_assert_uint_eq(evictor.handles[0], young);
	young = store(LARGEST);
	ck_assert_ptr_nonnull(zbud->map(pool, young, ZPOOL_MM_RO));
	ck_assert_uint_eq(shrink(1, -EAGAIN), 0);
	ck_assert_int_eq(zbud->unmap(pool, young), 0);
}
END_TEST

START_TEST(cached_slot_beside_a_lost_one_is_freed_in_a_child)
{
	unsigned long lost = store(HALF), freed = store(HALF), old = store(LARGEST), pair[2];

	ck_assert_ptr_eq(page_of(lost), page_of(freed));
	pair[0] = store(HALF);
	pair[1] = store(HALF);
	ck_assert_int_eq(zbud->free(pool, freed), 0);
	ck_assert_int_eq(zbud->free(pool, old), 0);
	lose(lost);
	become_child();
	/* The page whose only slot is cached is released without a callback. */
	ck_assert_uint_eq(shrink(1, 0), 1);
	ck_assert_uint_eq(evictor.asked, 0);
	ck_assert_uint_eq(shrink(2, -EINVAL), 1);
	ck_assert_uint_eq(evictor.asked, 2);
	ck_assert_uint_eq(evictor.handles[0], pair[0]);
	ck_assert_uint_eq(evictor.handles[1], pair[1]);
	/* The first page has room again. */
	(void)store(HALF);
	ck_assert_uint_eq(stats().pages, 1);
}
END_TEST

/* ---- against a plain model, with threads, across fork ---- */

enum { THREADS = 4, OBJECTS = 200, STEPS = 8000 };

struct worker {
	pthread_t thread;
	struct unit_random random;
	bool with_shrink;
	int mistakes;
};

static void *churn(void *arg)
{
	struct worker *worker = arg;
	struct {
		unsigned long handle;
		size_t size;
	} object[OBJECTS] = { { 0, 0 } };

	for (int step = 0; step < STEPS; step++) {
		unsigned int i = unit_below(&worker->random, OBJECTS);
		unsigned char *at;

		if (object[i].handle) {
			worker->mistakes += !is_intact(object[i].handle, object[i].size);
			worker->mistakes += zbud->free(pool, object[i].handle) != 0;
			object[i].handle = 0;
			continue;
		}
		object[i].size = 1 + unit_below(&worker->random, LARGEST);
		if (zbud->malloc(pool, object[i].size, step % 4 ? 0 : ZPOOL_GFP_NOWAIT, &object[i].handle)) {
			object[i].handle = 0;
			continue;
		}
		at = zbud->map(pool, object[i].handle, ZPOOL_MM_WO);
		memset(at, (int)(object[i].handle % 255 + 1), object[i].size);
		worker->mistakes += zbud->unmap(pool, object[i].handle) != 0;
		if (worker->with_shrink && step % 64 == 0)
			(void)zbud->shrink(pool, 1, &(unsigned int){ 0 });
		if (step % 1000 == 0)
			zbud->trim(pool, &(uint64_t){ 0 });
	}
	for (int i = 0; i < OBJECTS; i++)
		if (object[i].handle)
			worker->mistakes += zbud->free(pool, object[i].handle) != 0;
	return NULL;
}

/* The owner refuses to evict, because other threads use the objects; reclaim still examines the pages. */
static int evict_refuses_quietly(void *context, unsigned long handle)
{
	(void)context;
	(void)handle;
	return -EBUSY;
}

START_TEST(threads_keep_their_objects_while_others_shrink)
{
	struct unit_random random = unit_seed("threads_keep_their_objects_while_others_shrink");
	struct worker workers[THREADS];
	uint64_t released;

	((struct zbud_pool *)pool)->evict = evict_refuses_quietly;
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .random.state = unit_random(&random) | 1, .with_shrink = i < 2 };
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		ck_assert_int_eq(workers[i].mistakes, 0);
	}
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_int_eq(zbud->trim(pool, &released), 0);
	ck_assert_uint_eq(stats().pages, 0);
}
END_TEST

START_TEST(random_use_never_loses_an_object)
{
	struct unit_random random = unit_seed("random_use_never_loses_an_object");
	static struct {
		unsigned long handle;
		size_t size;
	} object[1000];
	uint64_t live = 0;

	memset(object, 0, sizeof(object));
	for (int step = 0; step < 30000; step++) {
		unsigned int i = unit_below(&random, 1000);

		if (object[i].handle) {
			ck_assert(is_intact(object[i].handle, object[i].size));
			ck_assert_int_eq(zbud->free(pool, object[i].handle), 0);
			object[i].handle = 0;
			live--;
		} else {
			object[i].size = 1 + unit_below(&random, unit_below(&random, 2) ? LARGEST : 900);
			object[i].handle = store(object[i].size);
			live++;
		}
		if (step % 1000 == 0)
			check_sound();
	}
	ck_assert_uint_eq(stats().objects, live);
	ck_assert_uint_ge(stats().pages * 2, live);
}
END_TEST

START_TEST(child_of_fork_has_a_copy)
{
	unsigned long handle = store(500);
	pid_t child;
	int status;

	if (!unit_may_fork())
		return;
	zbud->fork(pool, ZPOOL_FORK_PREPARE);
	child = fork();
	zbud->fork(pool, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	if (child == 0) {
		unsigned long other;
		bool fine = is_intact(handle, 500) && zbud->free(pool, handle) == 0 &&
			    zbud->malloc(pool, 700, 0, &other) == 0 && zbud->verify(pool) == 0;

		zbud->destroy(pool);
		_exit(fine ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(is_intact(handle, 500));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/zbud, shrink and stress");
	TCase *order = tcase_in(suite, "shrink"), *stress = tcase_in(suite, "stress");

	tcase_add_test(order, shrink_takes_pages_oldest_first_and_first_before_last);
	tcase_add_test(order, free_does_not_make_a_page_younger);
	tcase_add_test(order, refused_pages_go_to_the_head_and_eight_refusals_end_the_step);
	tcase_add_test(order, refusal_of_the_first_object_keeps_the_last);
	tcase_add_test(order, page_is_not_reclaimed_if_the_callback_keeps_the_object);
	tcase_add_test(order, frees_during_a_reclaim_leave_the_page_to_the_reclaim);
	tcase_add_test(order, half_emptied_page_stays_usable);
	tcase_add_test(order, page_of_a_mapped_object_is_skipped_without_a_callback);
	tcase_add_test(order, page_that_another_call_is_emptying_counts_as_left);
	tcase_add_test(order, shrink_with_nothing_to_evict_is_reported);
	tcase_add_loop_test(order, object_beside_a_lost_slot_is_evicted_in_a_child, 0, 2);
	tcase_add_test(order, lost_slots_are_nothing_to_evict_in_a_child);
	tcase_add_test(order, cached_slot_beside_a_lost_one_is_freed_in_a_child);
	tcase_add_test(stress, random_use_never_loses_an_object);
	tcase_add_test(stress, threads_keep_their_objects_while_others_shrink);
	tcase_add_test(stress, child_of_fork_has_a_copy);
	return suite_run(suite);
}
