/* SPDX-License-Identifier: MIT
 *
 * cases_fork.c - pools in a forked child
 */
#include "cases.h"
#include "crowd.h"
#include "stopper.h"

#include <string.h>
#include <unistd.h>

/* What the parent passes to the child. */
struct heirloom {
	struct zpool *pool;
	struct ct_set *set;
	struct ct_crowd *crowd;
	unsigned int generations;
	bool end_the_pool;
	uint64_t limit_bytes;
};

static void live_in_the_child(void *arg)
{
	struct heirloom *heirloom = arg;
	struct zpool *pool = heirloom->pool;
	struct ct_set *set = heirloom->set;

	ct_set_check(pool, set, "in the child");
	ct_set_thin(pool, set, set->count / 2, &ct.rng);
	ct_set_fill(pool, set, set->capacity, &ct.rng);
	ct_set_thin(pool, set, set->capacity / 2, &ct.rng);
	if (ct_can(ZPOOL_CAP_COMPACT))
		CT_MUST(zpool_compact(pool, 0, 0, NULL));
	ct_set_fill(pool, set, set->capacity, &ct.rng);
	ct_set_check(pool, set, "stored in the child");
	for (size_t i = 0; i < set->count; i++) {
		unsigned char zero = 0;

		ct_bytes_put(pool, set->at[i].handle, &zero, 1, 0);
	}
	ct_trim(pool);
	if (ct_can(ZPOOL_CAP_EVICT))
		zpool_shrink(pool, 5, NULL);
	if (heirloom->generations > 1) {
		heirloom->generations--;
		ct_set_free_all(pool, set);
		ct_set_fill(pool, set, set->capacity, &ct.rng);
		ct_in_child(live_in_the_child, heirloom);
		ct_set_check(pool, set, "in the child, after its own child");
	}
	if (heirloom->end_the_pool)
		zpool_destroy_pool(pool);
}

static void child_has_private_copies_of_pools(void)
{
	struct heirloom heirloom = { ct_pool_evicting(ct_evict_nothing, NULL), NULL, NULL, 1, true, 0 };
	struct ct_set set;

	ct_need(ZPOOL_CAP_FORK);
	ct_set_init(&set, 1500);
	heirloom.set = &set;
	for (int round = 0; round < 3; round++) {
		ct_set_fill(heirloom.pool, &set, 1200, &ct.rng);
		ct_in_child(live_in_the_child, &heirloom);
		ct_set_check(heirloom.pool, &set, "in the parent, after the child wrote and freed");
		ct_set_thin(heirloom.pool, &set, 600, &ct.rng);
	}
	heirloom.generations = 3;
	ct_in_child(live_in_the_child, &heirloom);
	ct_set_check(heirloom.pool, &set, "in the parent, after a child and its children");
	zpool_destroy_pool(heirloom.pool);
	ct_set_fini(&set);
}

/* Stores objects until malloc fails, which must happen at the parent's limit. */
static void meet_the_limit(void *arg)
{
	struct heirloom *heirloom = arg;
	struct zpool *pool = heirloom->pool;
	uint64_t limit = heirloom->limit_bytes;
	unsigned long handle;

	while (zpool_malloc(pool, ct.max_bytes, ZPOOL_GFP_KERNEL, &handle) == 0)
		CT_CHECK(zpool_get_total_size(pool) <= limit,
			 "in a forked child, the pool holds %llu bytes with a limit of %llu",
			 (unsigned long long)zpool_get_total_size(pool), (unsigned long long)limit);
	CT_MUST(zpool_set_limit(pool, 2 * limit));
	CT_CHECK(zpool_malloc(pool, ct.max_bytes, ZPOOL_GFP_KERNEL, &handle) == 0,
		 "in a forked child, malloc failed after the limit was raised: %s", zpool_last_error());
}

static void limit_holds_in_a_child(void)
{
	const uint64_t limit = ct_limit(2u << 20);
	struct heirloom heirloom = { ct_pool_limited(limit), NULL, NULL, 1, false, limit };
	unsigned long handle;

	ct_need(ZPOOL_CAP_FORK);
	CT_MUST(zpool_malloc(heirloom.pool, 1, ZPOOL_GFP_KERNEL, &handle));
	/* A driver that allocates memory in large steps fits fewer objects. */
	for (int i = 1; i < 20 && zpool_malloc(heirloom.pool, 1, ZPOOL_GFP_KERNEL, &handle) == 0; i++)
		;
	ct_in_child(meet_the_limit, &heirloom);
	meet_the_limit(&heirloom);
	zpool_destroy_pool(heirloom.pool);
}

static void try_in_vain(void *arg)
{
	struct heirloom *heirloom = arg;
	struct zpool *pool = heirloom->pool;
	unsigned long live = heirloom->set->at[0].handle, handle = 7;
	unsigned int reclaimed = 7;
	char byte = 0;

	CT_REFUSED(zpool_malloc(pool, ct_size(10), ZPOOL_GFP_KERNEL, &handle), EOPNOTSUPP);
	CT_CHECK(handle == 7, "a refused malloc changed *handle");
	if (ct_can(ZPOOL_CAP_MAP))
		CT_REFUSED_NULL(zpool_map_handle(pool, live, ZPOOL_MM_RW), EOPNOTSUPP);
	CT_REFUSED(zpool_obj_read(pool, live, &byte, 1, 0), EOPNOTSUPP);
	CT_REFUSED(zpool_obj_write(pool, live, &byte, 1, 0), EOPNOTSUPP);
	CT_REFUSED_VOID(zpool_free(pool, live));
	CT_REFUSED(zpool_shrink(pool, 1, &reclaimed), EOPNOTSUPP);
	zpool_destroy_pool(pool);
}

static void inherited_pool_without_fork_support_is_refused(void)
{
	struct heirloom heirloom = { ct_pool_evicting(ct_evict_nothing, NULL), NULL, NULL, 1, true, 0 };
	struct ct_set set;

	if (ct_can(ZPOOL_CAP_FORK))
		ct_skip("%s supports fork()", ct.spec);
	ct_set_init(&set, 300);
	ct_set_fill(heirloom.pool, &set, 300, &ct.rng);
	heirloom.set = &set;
	ct_in_child(try_in_vain, &heirloom);
	ct_set_check(heirloom.pool, &set, "in the parent, after the child was refused");
	zpool_destroy_pool(heirloom.pool);
	ct_set_fini(&set);
}

static void make_a_new_pool(void *arg)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	(void)arg;
	ct_set_init(&set, 500);
	ct_set_fill(pool, &set, 500, &ct.rng);
	ct_set_thin(pool, &set, 200, &ct.rng);
	ct_set_check(pool, &set, "in a pool that the child created");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void child_can_create_pools(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object;

	ct_object_make(pool, &object, ct_size(100), 1);
	ct_in_child(make_a_new_pool, NULL);
	ct_object_check(pool, &object, "in the parent, after the child created a pool");
	zpool_destroy_pool(pool);
	ct_in_child(make_a_new_pool, NULL);
}

/* ---- a fork while another thread is inside a call ---- */

/* object: what the interrupted calls store and free */
struct moment {
	struct zpool *pool;
	struct ct_set set;
	struct ct_object object;
};

static void store_object(void *arg)
{
	struct moment *moment = arg;

	CT_MUST(zpool_malloc(moment->pool, moment->object.size, ZPOOL_GFP_KERNEL, &moment->object.handle));
}

static void free_object(void *arg)
{
	struct moment *moment = arg;

	zpool_free(moment->pool, moment->object.handle);
}

static void use_in_the_child(void *arg)
{
	struct moment *moment = arg;

	ct_set_check(moment->pool, &moment->set, "in a child, after a fork during a call of another thread");
	ct_set_fill(moment->pool, &moment->set, moment->set.capacity, &ct.rng);
	ct_set_free_all(moment->pool, &moment->set);
	ct_trim(moment->pool);
}

static void fork_now(void *arg)
{
	ct_in_child(use_in_the_child, arg);
}

/* The interrupted call may hold a lock of the driver.  Then the fork must wait until the call has released it. */
static void fork_during_a_call_leaves_a_consistent_child(void)
{
	enum { STOPS = 25 };
	struct moment moment = { .object = { 0, ct_size(1000), 0 } };

	ct_need(ZPOOL_CAP_FORK);
	moment.pool = ct_pool();
	ct_set_init(&moment.set, 60);
	ct_set_fill(moment.pool, &moment.set, 40, &ct.rng);
	if (!ct_stopper_open())
		ct_skip("a sanitizer or valgrind delays signals, so that no call can be interrupted");
	for (int i = 0; i < STOPS; i++) {
		ct_stopper_run(store_object, free_object, fork_now, &moment);
		ct_stopper_run(free_object, store_object, fork_now, &moment);
	}
	ct_stopper_close();
	ct_set_check(moment.pool, &moment.set, "in the parent, after forks during calls");
	zpool_destroy_pool(moment.pool);
	ct_set_fini(&moment.set);
}

/* ---- a fork while threads work ---- */

static atomic_bool forks_done;

static void work_until_forked(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	while (!atomic_load(&forks_done) && !ct_stopping()) {
		ct_crowd_step(crowd, &thread->rng);
		if (thread->index == 0 && ct_rng_below(&thread->rng, 20) == 0)
			zpool_shrink(crowd->pool, 2, NULL);
		if (thread->index == 0 && ct_rng_below(&thread->rng, 20) == 0)
			ct_crowd_tend(crowd, &thread->rng);
	}
}

/* Other threads' objects are in an unknown state; no other thread uses those of `set`. */
static void survive_the_fork(void *arg)
{
	struct heirloom *heirloom = arg;

	CT_MUST(zpool_set_limit(heirloom->pool, 0));
	live_in_the_child(heirloom);
}

static int refuse_in_child(struct ct_crowd *crowd)
{
	(void)crowd;
	return -EBUSY;
}

static void fork_while_threads_work_leaves_consistent_pools(void)
{
	struct heirloom heirloom;
	struct ct_crowd crowd;
	struct ct_set set;

	ct_need(ZPOOL_CAP_FORK);
	/*
	 * A sanitizer's allocator may stay locked in the child, and valgrind reports what other threads held as leaks.
	 */
	if (ct_instrumented())
		ct_skip("a program under a sanitizer or valgrind does not survive a fork while threads allocate");
	ct_crowd_open(&crowd, 500);
	ct_set_init(&set, 400);
	ct_set_fill(crowd.pool, &set, 300, &ct.rng);
	heirloom = (struct heirloom){ crowd.pool, &set, &crowd, 1, false, 0 };
	/* The child must not take the crowd's lock, which another thread may have held during fork(). */
	crowd.before_evict = refuse_in_child;
	atomic_store(&forks_done, false);
	ct_threads_start(3, work_until_forked, &crowd);
	for (int i = 0; i < 25; i++) {
		heirloom.end_the_pool = i % 2;
		ct_in_child(survive_the_fork, &heirloom);
		ct_set_check(crowd.pool, &set, "in the parent, after a fork while threads worked");
	}
	atomic_store(&forks_done, true);
	ct_threads_join();
	CT_MUST(zpool_set_limit(crowd.pool, 0));
	ct_set_free_all(crowd.pool, &set);
	ct_set_fini(&set);
	ct_crowd_close(&crowd);
}

struct pinned {
	struct zpool *pool;
	struct ct_object object;
	const void *address;
	atomic_bool mapped;
	atomic_bool done;
};

static void hold_mapped(struct ct_thread *thread)
{
	struct pinned *pinned = thread->arg;

	pinned->address = zpool_map_handle(pinned->pool, pinned->object.handle, ZPOOL_MM_RO);
	CT_CHECK(pinned->address != NULL, "zpool_map_handle() returned NULL: %s", zpool_last_error());
	atomic_store(&pinned->mapped, true);
	while (!atomic_load(&pinned->done) && !ct_stopping())
		ct_nap();
	zpool_unmap_handle(pinned->pool, pinned->object.handle);
}

static void look_at_pinned(void *arg)
{
	struct pinned *pinned = arg;

	ct_object_check(pinned->pool, &pinned->object, "mapped by a thread that is not in the child");
	CT_REFUSED_VOID(zpool_free(pinned->pool, pinned->object.handle));
	CT_CHECK(ct_pattern_differs(pinned->address, pinned->object.size, pinned->object.tag, 0) == pinned->object.size,
		 "an object mapped by a thread of the parent lost its contents in the child");
	zpool_destroy_pool(pinned->pool);
}

static void mappings_of_other_threads_remain_in_the_child(void)
{
	struct pinned pinned;

	ct_need(ZPOOL_CAP_FORK | ZPOOL_CAP_MAP);
	memset(&pinned, 0, sizeof(pinned));
	pinned.pool = ct_pool();
	ct_object_make(pinned.pool, &pinned.object, ct_size(700), 1);
	ct_threads_start(1, hold_mapped, &pinned);
	while (!atomic_load(&pinned.mapped) && !ct_stopping())
		ct_nap();
	ct_in_child(look_at_pinned, &pinned);
	atomic_store(&pinned.done, true);
	ct_threads_join();
	ct_object_check(pinned.pool, &pinned.object, "in the parent, after the child");
	zpool_free(pinned.pool, pinned.object.handle);
	CT_CHECK(ct_handle_is_dead(pinned.pool, pinned.object.handle),
		 "an object cannot be freed in the parent because of what the child did");
	zpool_destroy_pool(pinned.pool);
}

const struct ct_case ct_cases_fork[] = {
	{ "child_has_private_copies_of_pools",
	  "A forked child may use inherited pools; they are copies, and the parent's pools do not change.",
	  child_has_private_copies_of_pools, CT_FORKS },
	{ "limit_holds_in_a_child", "A pool keeps its limit in a forked child, and the child may change it.",
	  limit_holds_in_a_child, CT_FORKS },
	{ "inherited_pool_without_fork_support_is_refused",
	  "If the driver has no fork callback, calls on inherited pools return -EOPNOTSUPP in a forked child.",
	  inherited_pool_without_fork_support_is_refused, CT_FORKS },
	{ "child_can_create_pools", "A forked child can create pools of any driver.", child_can_create_pools,
	  CT_FORKS },
	{ "fork_during_a_call_leaves_a_consistent_child",
	  "A fork while another thread is inside a call leaves the child with a pool that it can use.",
	  fork_during_a_call_leaves_a_consistent_child, CT_FORKS },
	{ "fork_while_threads_work_leaves_consistent_pools",
	  "A fork while other threads use the pool leaves the child with a consistent pool.",
	  fork_while_threads_work_leaves_consistent_pools, CT_FORKS },
	{ "mappings_of_other_threads_remain_in_the_child",
	  "Objects that another thread had mapped stay mapped in the child.",
	  mappings_of_other_threads_remain_in_the_child, CT_FORKS },
	{ NULL, NULL, NULL, 0 },
};
