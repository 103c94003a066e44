/* SPDX-License-Identifier: MIT
 *
 * room.c - a malloc at the limit while another thread takes the free slots out of the caches (zbud, zblock)
 *
 * The program is linked with functions in place of zp_pages_put(), zp_lock_contended() and zp_backoff_wait().  They
 * stop a thread between taking slots out of the caches and giving their pages back, until a second one waits for it or
 * has failed.
 */
#include <config.h>

#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#include "unit.h"
#include "zblock.h"
#include "zbud.h"

enum { OBJECTS_MAX = 4000 };

/*
 * In zbud each object has a page of its own.  The slot that was freed last is put into its page first, and the other
 * two together.  In zblock the freed objects fill two blocks, which are released together.
 */
static const struct situation {
	const struct zpool_driver *driver;
	size_t bytes;
	unsigned int objects, freed; /* objects before the limit is set, and those of them that a thread frees */
	unsigned int stop_at;        /* in which call of zp_pages_put() a thread stops */
	unsigned int stored;         /* how many objects another thread has room for although it has stopped */
} situations[] = {
	{ &zbud_LTX_zpool_driver, ZBUD_OBJECT_BYTES_MAX, 200, 3, 2, 1 },
	{ &zblock_LTX_zpool_driver, ZBLOCK_OBJECT_BYTES_MAX, 2100, 14, 1, 0 },
};

/*
 * The last free finds the magazine full: it puts the two slots there into their pages (zbud), or the second four, with
 * which a block becomes empty (zblock).  Or there are so few objects that the magazine takes no slot at all.
 */
static const struct situation full_magazines[] = {
	{ &zbud_LTX_zpool_driver, ZBUD_OBJECT_BYTES_MAX, 200, 4, 1, 2 },
	{ &zblock_LTX_zpool_driver, ZBLOCK_OBJECT_BYTES_MAX, 2100, 20, 1, 13 },
	{ &zbud_LTX_zpool_driver, ZBUD_OBJECT_BYTES_MAX, 2, 2, 1, 1 },
};

static const struct situation *now;
static struct harness harness;
static unsigned long handles[OBJECTS_MAX];
static unsigned int count;
static sem_t stopped, may_go_on;

/* ---- the functions in place of others ---- */

static _Thread_local unsigned int puts_until_stop;
static _Thread_local bool ends_stop;

/* Lets the thread that has stopped go on, once. */
static void end_stop(void)
{
	if (ends_stop)
		unit_require(sem_post(&may_go_on) == 0);
	ends_stop = false;
}

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		unit_require(errno == EINTR);
}

void __real_zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages);
void __wrap_zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages);
void __real_zp_lock_contended(struct zp_lock *lock);
void __wrap_zp_lock_contended(struct zp_lock *lock);
void __real_zp_backoff_wait(struct zp_backoff *backoff);
void __wrap_zp_backoff_wait(struct zp_backoff *backoff);

void __wrap_zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages)
{
	if (puts_until_stop && --puts_until_stop == 0) {
		unit_require(sem_post(&stopped) == 0);
		wait_for(&may_go_on);
	}
	__real_zp_pages_put(pages, pgno, npages);
}

void __wrap_zp_lock_contended(struct zp_lock *lock)
{
	end_stop();
	__real_zp_lock_contended(lock);
}

void __wrap_zp_backoff_wait(struct zp_backoff *backoff)
{
	end_stop();
	__real_zp_backoff_wait(backoff);
}

/* ---- two threads ---- */

static int store(unsigned long *handle)
{
	return now->driver->malloc(harness.pool, now->bytes, ZPOOL_GFP_KERNEL, handle);
}

static int store_one(void)
{
	unsigned long handle;

	return store(&handle);
}

static int trim(void)
{
	uint64_t released;

	return now->driver->trim(harness.pool, &released);
}

static void *release(void *handle_)
{
	const unsigned long *handle = handle_;

	unit_require(now->driver->free(harness.pool, *handle) == 0);
	return NULL;
}

/* This thread has a cache, in which it keeps the slots of the objects that it has freed. */
enum keeper_stops { KEEPER_NEVER_STOPS, KEEPER_STOPS_AT_ITS_END, KEEPER_STOPS_IN_ITS_LAST_FREE };

static pthread_barrier_t step;

static void *free_and_end(void *stops_)
{
	enum keeper_stops stops = *(enum keeper_stops *)stops_;
	unsigned long own;

	unit_require(store(&own) == 0);
	(void)release(&own);
	(void)pthread_barrier_wait(&step);
	(void)pthread_barrier_wait(&step);
	for (unsigned int i = 0; i < now->freed; i++) {
		if (stops == KEEPER_STOPS_IN_ITS_LAST_FREE && i + 1 == now->freed)
			puts_until_stop = now->stop_at;
		(void)release(&handles[i]);
	}
	(void)pthread_barrier_wait(&step);
	if (stops == KEEPER_STOPS_AT_ITS_END)
		puts_until_stop = now->stop_at;
	else
		(void)pthread_barrier_wait(&step);
	harness_end_thread(&harness);
	return NULL;
}

static void *act_and_stop(void *act_)
{
	int (**act)(void) = act_;

	puts_until_stop = now->stop_at;
	unit_require((*act)() == 0);
	return NULL;
}

static void fill_to_the_limit(void)
{
	for (count = 0; count < now->objects; count++)
		ck_assert_int_eq(store(&handles[count]), 0);
	now->driver->set_limit(harness.pool, now->driver->total_size(harness.pool));
	while (store(&handles[count]) == 0)
		ck_assert_uint_lt(++count, OBJECTS_MAX);
}

/* ---- the tests ---- */

static void setup(void)
{
	unit_require(sem_init(&stopped, 0, 0) == 0 && sem_init(&may_go_on, 0, 0) == 0);
	unit_require(pthread_barrier_init(&step, NULL, 2) == 0);
}

static void teardown(void)
{
	ck_assert_msg(now->driver->verify(harness.pool) == 0, "%s", harness.error);
	now->driver->destroy(harness.pool);
	unit_require(sem_destroy(&stopped) == 0 && sem_destroy(&may_go_on) == 0);
	unit_require(pthread_barrier_destroy(&step) == 0);
}

/* One thread keeps slots in its cache, and another one takes them out, unless the first one does that itself. */
static void check_malloc_while_slots_are_taken(enum keeper_stops stops, int (*act)(void))
{
	struct zpool_create_args args = harness_args(&harness, now->driver);
	pthread_t keeper, taker;
	unsigned int stored = 0;
	int err = 0;

	ck_assert_int_eq(harness_create(&harness, &args), 0);
	unit_require(pthread_create(&keeper, NULL, free_and_end, &stops) == 0);
	(void)pthread_barrier_wait(&step);
	fill_to_the_limit();
	(void)pthread_barrier_wait(&step);
	if (stops != KEEPER_STOPS_IN_ITS_LAST_FREE)
		(void)pthread_barrier_wait(&step);
	if (act)
		unit_require(pthread_create(&taker, NULL, act_and_stop, &act) == 0);
	wait_for(&stopped);
	ends_stop = true;
	while (stored <= now->stored && !(err = store_one()))
		stored++;
	end_stop();
	if (act)
		unit_require(pthread_join(taker, NULL) == 0);
	if (stops == KEEPER_STOPS_IN_ITS_LAST_FREE)
		(void)pthread_barrier_wait(&step);
	if (stops != KEEPER_STOPS_AT_ITS_END)
		(void)pthread_barrier_wait(&step);
	unit_require(pthread_join(keeper, NULL) == 0);
	ck_assert_msg(err == 0, "%u objects were stored, then %d", stored, err);
}

START_TEST(malloc_finds_what_another_malloc_is_taking_out_of_the_caches)
{
	now = &situations[_i];
	check_malloc_while_slots_are_taken(KEEPER_NEVER_STOPS, store_one);
}
END_TEST

START_TEST(malloc_finds_what_a_trim_is_taking_out_of_the_caches)
{
	now = &situations[_i];
	check_malloc_while_slots_are_taken(KEEPER_NEVER_STOPS, trim);
}
END_TEST

START_TEST(malloc_finds_what_a_thread_had_cached_that_is_ending)
{
	now = &situations[_i];
	check_malloc_while_slots_are_taken(KEEPER_STOPS_AT_ITS_END, NULL);
}
END_TEST

START_TEST(malloc_finds_what_a_free_is_taking_out_of_its_full_magazine)
{
	now = &full_magazines[_i];
	check_malloc_while_slots_are_taken(KEEPER_STOPS_IN_ITS_LAST_FREE, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins/room");
	TCase *tcase = tcase_create("room");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, malloc_finds_what_another_malloc_is_taking_out_of_the_caches, 0, 2);
	tcase_add_loop_test(tcase, malloc_finds_what_a_trim_is_taking_out_of_the_caches, 0, 2);
	tcase_add_loop_test(tcase, malloc_finds_what_a_thread_had_cached_that_is_ending, 0, 2);
	tcase_add_loop_test(tcase, malloc_finds_what_a_free_is_taking_out_of_its_full_magazine, 0, 3);
	return suite_run(suite);
}
