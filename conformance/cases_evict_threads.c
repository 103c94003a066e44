/* SPDX-License-Identifier: MIT
 *
 * cases_evict_threads.c - eviction while other threads work on the pool
 */
#include "cases.h"
#include "crowd.h"

#include <stdatomic.h>
#include <string.h>

static unsigned int rounds(unsigned int full)
{
	return ct_instrumented() ? full / 10 : full;
}

static void shrink_some(struct ct_crowd *crowd, struct ct_rng *rng)
{
	unsigned int reclaimed = 4711;
	int result = zpool_shrink(crowd->pool, 1 + (unsigned int)ct_rng_below(rng, 8), &reclaimed);

	CT_CHECK(result == 0 || result == -EAGAIN || result == -EINVAL, "shrink returned %s", ct_error_name(result));
	CT_CHECK(reclaimed < 4711, "shrink did not set *reclaimed");
}

static void shrink_or_work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 0; i < rounds(20000) && !ct_stopping(); i++) {
		if (thread->index > 0)
			ct_crowd_step(crowd, &thread->rng);
		else if (i % 10 == 0)
			shrink_some(crowd, &thread->rng);
	}
}

static void shrink_runs_while_other_threads_work(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_EVICT);
	ct_crowd_open(&crowd, 800);
	ct_set_fill(crowd.pool, &crowd.set, 400, &ct.rng);
	ct_threads_run(4, shrink_or_work, &crowd);
	CT_CHECK(atomic_load(&crowd.asked) > 0, "%u calls of zpool_shrink() never called the callback", rounds(2000));
	ct_crowd_close(&crowd);
}

static void everybody_shrinks(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 0; i < rounds(10000) && !ct_stopping(); i++) {
		if (i % 8 == thread->index)
			shrink_some(crowd, &thread->rng);
		else
			ct_crowd_step(crowd, &thread->rng);
	}
}

static void threads_shrink_concurrently(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_EVICT);
	ct_crowd_open(&crowd, 800);
	ct_set_fill(crowd.pool, &crowd.set, 400, &ct.rng);
	ct_threads_run(4, everybody_shrinks, &crowd);
	CT_CHECK(atomic_load(&crowd.evicted) > 0, "four threads that called zpool_shrink() evicted nothing");
	ct_crowd_close(&crowd);
}

/* Set when the shrinking thread is done, so that the other threads stop waiting for it. */
static atomic_bool shrinker_done;
static atomic_uint waits;

static int wait_for_the_others(struct ct_crowd *crowd)
{
	unsigned long enough;

	/* Enough rounds to show a fault, and few enough for a short case. */
	if (atomic_fetch_add(&waits, 1) >= 50)
		return 0;
	enough = atomic_load(&crowd->done) + 60;
	while (atomic_load(&crowd->done) < enough && !ct_stopping())
		ct_nap();
	return 0;
}

static void slow_shrink_or_work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	if (thread->index > 0) {
		while (!atomic_load(&shrinker_done) && !ct_stopping()) {
			ct_crowd_step(crowd, &thread->rng);
			if (thread->index == 1 && ct_rng_below(&thread->rng, 16) == 0) {
				ct_crowd_tend(crowd, &thread->rng);
				ct_crowd_walk(crowd);
			}
		}
		return;
	}
	while (atomic_load(&waits) < 50 && !ct_stopping())
		shrink_some(crowd, &thread->rng);
	atomic_store(&shrinker_done, true);
}

static void slow_callback_blocks_no_other_thread(void)
{
	struct ct_crowd crowd;

	ct_need(ZPOOL_CAP_EVICT);
	ct_crowd_open(&crowd, 600);
	ct_set_fill(crowd.pool, &crowd.set, 300, &ct.rng);
	crowd.before_evict = wait_for_the_others;
	atomic_store(&shrinker_done, false);
	atomic_store(&waits, 0);
	ct_threads_run(3, slow_shrink_or_work, &crowd);
	crowd.before_evict = NULL;
	ct_crowd_close(&crowd);
}

/*
 * The callback passes its handle to another thread, which frees the object.  Only then does the callback use the
 * handle.
 */
struct handover {
	struct zpool *pool;
	_Atomic unsigned long handle;
	atomic_bool over;
	struct ct_set set;
	unsigned int asked;
};

static int evict_too_late(struct zpool *pool, unsigned long handle, void *user)
{
	struct handover *handover = user;
	size_t position = ct_set_find(&handover->set, handle);

	CT_CHECK(position != SIZE_MAX, "the callback is asked to evict handle %#lx, which is not live", handle);
	handover->asked++;
	atomic_store(&handover->handle, handle);
	while (atomic_load(&handover->handle) != 0 && !ct_stopping())
		ct_nap();
	ct_set_remove(&handover->set, position);
	CT_CHECK(ct_handle_is_dead(pool, handle),
		 "handle %#lx was freed by another thread, but is still live in the callback", handle);
	zpool_free(pool, handle);
	return handover->asked % 2 ? 0 : -ENOENT;
}

static void hand_over(struct ct_thread *thread)
{
	struct handover *handover = thread->arg;

	if (thread->index == 0) {
		for (int i = 0; i < 40 && !ct_stopping(); i++)
			zpool_shrink(handover->pool, 1, NULL);
		atomic_store(&handover->over, true);
	}
	while (thread->index == 1 && !atomic_load(&handover->over) && !ct_stopping()) {
		unsigned long handle = atomic_load(&handover->handle);

		if (handle == 0) {
			ct_nap();
			continue;
		}
		zpool_free(handover->pool, handle);
		atomic_store(&handover->handle, 0);
	}
}

static void handle_may_be_freed_during_its_eviction(void)
{
	struct handover handover;

	ct_need(ZPOOL_CAP_EVICT);
	memset(&handover, 0, sizeof(handover));
	ct_set_init(&handover.set, 500);
	handover.pool = ct_pool_evicting(evict_too_late, &handover);
	ct_set_fill(handover.pool, &handover.set, 500, &ct.rng);
	ct_threads_run(2, hand_over, &handover);
	CT_CHECK(handover.asked > 0, "the callback was never called");
	ct_set_check(handover.pool, &handover.set, "not offered to the callback");
	ct_set_free_all(handover.pool, &handover.set);
	zpool_destroy_pool(handover.pool);
	ct_set_fini(&handover.set);
}

const struct ct_case ct_cases_evict_threads[] = {
	{ "shrink_runs_while_other_threads_work", "zpool_shrink() may run while other threads use the pool.",
	  shrink_runs_while_other_threads_work, 0 },
	{ "threads_shrink_concurrently", "zpool_shrink() may be called by several threads at once.",
	  threads_shrink_concurrently, 0 },
	{ "slow_callback_blocks_no_other_thread", "No lock of the pool is held while an evict callback runs.",
	  slow_callback_blocks_no_other_thread, 0 },
	{ "handle_may_be_freed_during_its_eviction",
	  "Another thread may free the object that a callback is asked to evict; its handle is stale from then on.",
	  handle_may_be_freed_during_its_eviction, 0 },
	{ NULL, NULL, NULL, 0 },
};
