/* SPDX-License-Identifier: MIT
 *
 * cases_cancel.c - pthread_cancel() of threads that use a pool
 */
#include "cases.h"
#include "objects.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { WORKERS = 3, BEFORE = 200, AFTER = 400 };

/*
 * working    threads that are in the middle of their work
 * cancelled  pthread_cancel() has been called for all of them
 */
struct ward {
	struct zpool *pool;
	atomic_uint working;
	atomic_bool cancelled;
};

static void use_once(struct zpool *pool, size_t i)
{
	struct ct_object object;

	ct_object_make(pool, &object, 1 + i * 997 % ct.max_bytes, i);
	ct_object_check(pool, &object, "while threads are cancelled");
	zpool_free(pool, object.handle);
}

/*
 * Nothing in this function is a cancellation point until its end, so that the cancellation is pending during the calls.
 * A call that takes it up ends the thread in the middle, possibly with a lock held.
 */
static void *work(void *arg)
{
	struct ward *ward = arg;
	size_t i = 0;

	for (; i < BEFORE; i++)
		use_once(ward->pool, i);
	atomic_fetch_add(&ward->working, 1);
	while (!atomic_load(&ward->cancelled) && !ct_stopping())
		use_once(ward->pool, i++);
	for (size_t last = i + AFTER; i < last && !ct_stopping(); i++)
		use_once(ward->pool, i);
	atomic_fetch_sub(&ward->working, 1);
	pthread_testcancel();
	return NULL;
}

static void cancel(struct ward *ward)
{
	pthread_t threads[WORKERS];

	atomic_store(&ward->cancelled, false);
	for (int i = 0; i < WORKERS; i++) {
		int error = pthread_create(&threads[i], NULL, work, ward);

		CT_CHECK(error == 0, "pthread_create: %s", strerror(error));
	}
	while (atomic_load(&ward->working) < WORKERS && !ct_stopping())
		sched_yield();
	for (int i = 0; i < WORKERS; i++)
		pthread_cancel(threads[i]);
	atomic_store(&ward->cancelled, true);
	for (int i = 0; i < WORKERS; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		CT_CHECK(result == PTHREAD_CANCELED,
			 "a thread was cancelled while it used the pool, but it was not cancelled afterwards");
	}
	CT_CHECK(atomic_load(&ward->working) == 0, "%u of %d threads were cancelled inside a call",
		 atomic_load(&ward->working), WORKERS);
}

static void cancelled_threads_complete_their_calls(void)
{
	struct ward ward = { .pool = ct_pool() };

	for (int round = 0; round < 5; round++) {
		cancel(&ward);
		for (size_t i = 0; i < AFTER; i++)
			use_once(ward.pool, i);
	}
	zpool_destroy_pool(ward.pool);
}

const struct ct_case ct_cases_cancel[] = {
	{ "cancelled_threads_complete_their_calls",
	  "pthread_cancel() takes effect after a call, not inside it, and other threads can go on to use the pool.",
	  cancelled_threads_complete_their_calls, 0 },
	{ NULL, NULL, NULL, 0 },
};
