/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "lock.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "cancel.h"
#include "list.h"
#include "unit.h"

enum { THREADS = 4, ROUNDS = 20000 };

static struct zp_lock lock;
static unsigned long counter;

static void *add(void *unused)
{
	(void)unused;
	for (int i = 0; i < ROUNDS; i++) {
		zp_lock(&lock);
		counter++;
		zp_unlock(&lock);
	}
	return NULL;
}

START_TEST(threads_exclude_each_other)
{
	pthread_t threads[THREADS];

	zp_lock_init(&lock);
	counter = 0;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(counter, THREADS * ROUNDS);
}
END_TEST

static void *try(void *unused)
{
	(void)unused;
	return zp_trylock(&lock) ? &lock : NULL;
}

static void *look(void *alone)
{
	*(bool *)alone = zp_is_single_threaded();
	return NULL;
}

/* Locks avoid atomic operations in a process with one thread, and must stop doing so before a second thread runs. */
START_TEST(process_with_a_second_thread_is_not_single_threaded)
{
	bool alone = true;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, look, &alone), 0);
	pthread_join(thread, NULL);
	ck_assert(!alone);
	/* After the second thread has ended, glibc may report one thread or several; a lock works in both cases. */
	zp_lock_init(&lock);
	ck_assert(zp_trylock(&lock));
	ck_assert(!zp_trylock(&lock));
	zp_unlock(&lock);
}
END_TEST

START_TEST(trylock_of_another_threads_lock_fails)
{
	pthread_t thread;
	void *got;

	zp_lock_init(&lock);
	ck_assert(zp_trylock(&lock));
	ck_assert_int_eq(pthread_create(&thread, NULL, try, NULL), 0);
	pthread_join(thread, &got);
	ck_assert_ptr_null(got);
	zp_unlock(&lock);
	ck_assert(zp_trylock(&lock));
	zp_unlock(&lock);
}
END_TEST

static void *wait_long(void *unused)
{
	(void)unused;
	zp_lock(&lock);
	counter++;
	zp_unlock(&lock);
	return NULL;
}

START_TEST(sleeping_waiter_gets_the_lock)
{
	struct timespec hold = { 0, 20000000 };
	pthread_t thread;

	zp_lock_init(&lock);
	counter = 0;
	zp_lock(&lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_long, NULL), 0);
	nanosleep(&hold, NULL);
	ck_assert_uint_eq(counter, 0);
	zp_unlock(&lock);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(counter, 1);
}
END_TEST

static _Atomic bool waiting, locked;

static void *wait_to_be_cancelled(void *unused)
{
	(void)unused;
	atomic_store(&waiting, true);
	zp_lock(&lock);
	atomic_store(&locked, true);
	zp_unlock(&lock);
	pthread_testcancel();
	return NULL;
}

START_TEST(waiter_that_is_cancelled_gets_the_lock_first)
{
	struct timespec hold = { 0, 20000000 };
	pthread_t thread;
	void *result;

	zp_lock_init(&lock);
	zp_lock(&lock);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_to_be_cancelled, NULL), 0);
	while (!atomic_load(&waiting))
		sched_yield();
	ck_assert_int_eq(pthread_cancel(thread), 0);
	/* This is long enough for the waiter to sleep in most runs; if it does not sleep yet, the test passes too. */
	nanosleep(&hold, NULL);
	zp_unlock(&lock);
	pthread_join(thread, &result);
	ck_assert(atomic_load(&locked));
	ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}
END_TEST

START_TEST(cancelability_is_restored)
{
	int state;

	{
		ZP_CANCEL_DISABLED_HERE;
		int inner = zp_cancel_disable();

		ck_assert_int_eq(inner, PTHREAD_CANCEL_DISABLE);
		zp_cancel_restore(inner);
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
		ck_assert_int_eq(state, PTHREAD_CANCEL_DISABLE);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	ck_assert_int_eq(state, PTHREAD_CANCEL_ENABLE);
}
END_TEST

#ifdef ZPOOL_DEBUG_CHECKS
enum { FIRST = ZP_RANK_DRIVER, SECOND };
static struct zp_lock ranked[2];

/* Makes two locks with these ranks, indices and domains, and takes the first one. */
static void hold_ranked(unsigned int rank, unsigned int index, const void *domain, unsigned int other_rank,
			unsigned int other_index, const void *other_domain)
{
	zp_lock_init(&ranked[0]);
	zp_lock_init(&ranked[1]);
	zp_lock_rank(&ranked[0], rank, index, domain);
	zp_lock_rank(&ranked[1], other_rank, other_index, other_domain);
	zp_lock(&ranked[0]);
}

START_TEST(locks_in_ascending_order_are_accepted)
{
	hold_ranked(FIRST, 0, &lock, SECOND, 0, &lock);
	zp_lock(&ranked[1]);
	zp_unlock(&ranked[0]);
	zp_unlock(&ranked[1]);
	hold_ranked(FIRST, 3, &lock, FIRST, 4, &lock);
	zp_lock(&ranked[1]);
	zp_unlock(&ranked[1]);
	zp_unlock(&ranked[0]);
	/* A released lock no longer counts. */
	hold_ranked(SECOND, 0, &lock, FIRST, 0, &lock);
	zp_unlock(&ranked[0]);
	zp_lock(&ranked[1]);
	zp_unlock(&ranked[1]);
}
END_TEST

START_TEST(order_holds_within_a_domain_and_for_locks_with_a_rank)
{
	hold_ranked(SECOND, 0, &lock, FIRST, 0, &counter);
	zp_lock(&ranked[1]);
	zp_unlock(&ranked[1]);
	zp_unlock(&ranked[0]);
	hold_ranked(SECOND, 0, &lock, 0, 0, &lock);
	zp_lock(&ranked[1]);
	zp_unlock(&ranked[1]);
	zp_unlock(&ranked[0]);
}
END_TEST

START_TEST(any_lock_may_be_tried)
{
	hold_ranked(SECOND, 0, &lock, FIRST, 0, &lock);
	ck_assert(zp_trylock(&ranked[1]));
	zp_unlock(&ranked[1]);
	zp_unlock(&ranked[0]);
}
END_TEST

START_TEST(lock_of_a_lower_rank_aborts)
{
	hold_ranked(SECOND, 0, &lock, FIRST, 0, &lock);
	zp_lock(&ranked[1]);
}
END_TEST

START_TEST(lock_of_a_lower_index_aborts)
{
	hold_ranked(FIRST, 4, &lock, FIRST, 4, &lock);
	zp_lock(&ranked[1]);
}
END_TEST

START_TEST(lock_below_one_that_was_tried_aborts)
{
	hold_ranked(FIRST, 0, &lock, SECOND, 0, &lock);
	zp_unlock(&ranked[0]);
	ck_assert(zp_trylock(&ranked[1]));
	zp_lock(&ranked[0]);
}
END_TEST

START_TEST(lock_that_the_thread_already_holds_aborts)
{
	zp_lock_init(&lock);
	zp_lock(&lock);
	zp_lock(&lock);
}
END_TEST

START_TEST(unlock_of_a_free_lock_aborts)
{
	zp_lock_init(&lock);
	zp_unlock(&lock);
}
END_TEST

static void add_debug_tests(TCase *locks)
{
	tcase_add_test(locks, locks_in_ascending_order_are_accepted);
	tcase_add_test(locks, order_holds_within_a_domain_and_for_locks_with_a_rank);
	tcase_add_test(locks, any_lock_may_be_tried);
	if (getenv("ZPOOL_TEST_NO_FORK"))
		return;
	tcase_add_test_raise_signal(locks, lock_of_a_lower_rank_aborts, SIGABRT);
	tcase_add_test_raise_signal(locks, lock_of_a_lower_index_aborts, SIGABRT);
	tcase_add_test_raise_signal(locks, lock_below_one_that_was_tried_aborts, SIGABRT);
	tcase_add_test_raise_signal(locks, lock_that_the_thread_already_holds_aborts, SIGABRT);
	tcase_add_test_raise_signal(locks, unlock_of_a_free_lock_aborts, SIGABRT);
}
#else
static void add_debug_tests(TCase *locks)
{
	(void)locks;
}
#endif

struct item {
	int number;
	struct zp_list link;
};

static int in_order(struct zp_list *head)
{
	struct zp_list *link;
	int number = 0;

	zp_list_for_each (link, head)
		number = number * 10 + zp_list_entry(link, struct item, link)->number;
	return number;
}

START_TEST(list_keeps_the_order_of_insertions_and_moves)
{
	struct item items[4];
	struct zp_list head;

	zp_list_init(&head);
	ck_assert(zp_list_empty(&head));
	for (int i = 0; i < 4; i++)
		items[i].number = i + 1;
	zp_list_add(&items[0].link, &head);
	zp_list_add(&items[1].link, &head);
	zp_list_add_tail(&items[2].link, &head);
	zp_list_add_tail(&items[3].link, &head);
	ck_assert_int_eq(in_order(&head), 2134);
	zp_list_move(&items[2].link, &head);
	ck_assert_int_eq(in_order(&head), 3214);
	zp_list_del(&items[1].link);
	ck_assert_int_eq(in_order(&head), 314);
	ck_assert(zp_list_empty(&items[1].link));
	zp_list_del(&items[1].link);
	ck_assert_int_eq(in_order(&head), 314);
}
END_TEST

START_TEST(safe_walk_survives_removal_of_every_link)
{
	struct zp_list head, *link, *following;
	struct item items[3];
	int seen = 0;

	zp_list_init(&head);
	for (int i = 0; i < 3; i++)
		zp_list_add_tail(&items[i].link, &head);
	zp_list_for_each_safe (link, following, &head) {
		zp_list_del(link);
		seen++;
	}
	ck_assert_int_eq(seen, 3);
	ck_assert(zp_list_empty(&head));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/lock, support/list");
	TCase *locks = tcase_create("lock"), *lists = tcase_create("list");

	tcase_set_timeout(locks, 120);
	tcase_add_test(locks, threads_exclude_each_other);
	tcase_add_test(locks, process_with_a_second_thread_is_not_single_threaded);
	tcase_add_test(locks, trylock_of_another_threads_lock_fails);
	tcase_add_test(locks, sleeping_waiter_gets_the_lock);
	tcase_add_test(locks, waiter_that_is_cancelled_gets_the_lock_first);
	tcase_add_test(locks, cancelability_is_restored);
	add_debug_tests(locks);
	tcase_add_test(lists, list_keeps_the_order_of_insertions_and_moves);
	tcase_add_test(lists, safe_walk_survives_removal_of_every_link);
	suite_add_tcase(suite, locks);
	suite_add_tcase(suite, lists);
	return suite_run(suite);
}
