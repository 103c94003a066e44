/* SPDX-License-Identifier: MIT
 *
 * Several threads store, map and free objects of the same types, including objects of other threads, while trim, walks,
 * statistics and verify run at the same time.
 */
#include <config.h>

#include <pthread.h>
#include <sched.h>

#include "zblock_fixture.h"

enum { WORKERS = 3, PLACES = 600, ROUNDS = 60000, ROUNDS_SLOW = 6000 };

/* Each worker exchanges its object for the one in a place, which it then owns. */
static _Atomic(unsigned long) places[PLACES];
static _Atomic(unsigned int) working;
static uint64_t seed;

/* Most sizes are of a few types, so that threads contend for their locks; some are random. */
static unsigned int any_size(struct unit_random *random)
{
	static const unsigned int sizes[] = { 1016, 1000, 2040, 4672 };

	return unit_below(random, 4) ? sizes[unit_below(random, 4)] : 1 + unit_below(random, LARGEST);
}

/* Stores an object and writes it up to the end of its slot. */
static unsigned long store_at_random(struct unit_random *random)
{
	unsigned int size = any_size(random);
	unsigned long handle;
	char *at;

	if (unit_below(random, 4) || zblock->malloc(pool, size, ZPOOL_GFP_NOWAIT, &handle))
		unit_require(zblock->malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) == 0);
	at = zblock->map(pool, handle, ZPOOL_MM_WO);
	unit_require(at && zblock->obj_size(pool, handle) >= (int64_t)size);
	memset(at, (int)(handle % 255 + 1), (size_t)zblock->obj_size(pool, handle));
	unit_require(zblock->unmap(pool, handle) == 0);
	return handle;
}

static void drop(unsigned long handle)
{
	if (!handle)
		return;
	unit_require(is_intact(handle, (size_t)zblock->obj_size(pool, handle)));
	release(handle);
	unit_require(zblock->free(pool, handle) == -EINVAL);
}

static void *work(void *index)
{
	struct unit_random random = { seed + (uint64_t)(uintptr_t)index + 1 };
	unsigned int rounds = UNIT_SANITIZED || unit_on_valgrind() ? ROUNDS_SLOW : ROUNDS;

	for (unsigned int round = 0; round < rounds; round++) {
		/* Long phases of growth and of decline alternate, so that blocks are created and destroyed. */
		bool store_one = round / 1000 % 2 == 0 || unit_below(&random, 8) == 0;
		unsigned long handle = store_one ? store_at_random(&random) : 0;

		drop(atomic_exchange(&places[unit_below(&random, PLACES)], handle));
	}
	atomic_fetch_sub(&working, 1);
	return NULL;
}

static int visit(unsigned long handle, size_t size, void *seen)
{
	(void)handle;
	unit_require(size >= 120 && size <= LARGEST);
	++*(uint64_t *)seen;
	return 0;
}

static void *disturb(void *seen)
{
	while (atomic_load(&working)) {
		struct zpool_stats now = stats();
		struct zpool_class_stats type = type_stats(1016);

		/* The types are read one after another, and objects move between them, so their sum has no bound. */
		unit_require(now.stored_bytes <= now.pages * ZP_PAGE_BYTES && type.objects <= type.slots);
		unit_require(zblock->each_object(pool, visit, seen) == 0);
		(void)trim();
		check_sound();
		sched_yield();
	}
	return NULL;
}

START_TEST(threads_keep_their_objects)
{
	struct unit_random random = unit_seed("threads_keep_their_objects");
	pthread_t workers[WORKERS], disturbers[2];
	uint64_t seen[2] = { 0, 0 };

	seed = unit_random(&random);
	atomic_store(&working, WORKERS);
	for (uintptr_t i = 0; i < WORKERS; i++)
		unit_require(pthread_create(&workers[i], NULL, work, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		unit_require(pthread_create(&disturbers[i], NULL, disturb, &seen[i]) == 0);
	for (int i = 0; i < WORKERS; i++)
		unit_require(pthread_join(workers[i], NULL) == 0);
	for (int i = 0; i < 2; i++)
		unit_require(pthread_join(disturbers[i], NULL) == 0);
	check_sound();
	for (int i = 0; i < PLACES; i++)
		drop(atomic_load(&places[i]));
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_gt(seen[0] + seen[1], 0);
	(void)trim();
	ck_assert_uint_eq(stats().pages, 0);
	ck_assert_uint_eq(zp_handles_taken(&((struct zblock_pool *)pool)->handles), 0);
	ck_assert_uint_eq(((struct zblock_pool *)pool)->record_end, 1);
}
END_TEST

void add_thread_tests(Suite *suite)
{
	tcase_add_test(tcase_in(suite, "threads"), threads_keep_their_objects);
}
