/* SPDX-License-Identifier: MIT
 *
 * cases_threads.c - one pool, many threads
 */
#include "cases.h"
#include "crowd.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static unsigned int rounds(unsigned int full)
{
	return ct_instrumented() ? full / 10 : full;
}

static void work_on_own_objects(struct ct_thread *thread)
{
	enum { OWN = 200 };
	struct zpool *pool = thread->arg;
	struct ct_object own[OWN];
	size_t count = 0;
	uint64_t tag = (uint64_t)thread->index << 48;

	for (unsigned int i = 0; i < rounds(30000) && !ct_stopping(); i++) {
		size_t k = count > 0 ? ct_rng_below(&thread->rng, count) : 0;

		if (count < OWN && (count == 0 || ct_rng_below(&thread->rng, 100) < 55)) {
			ct_object_make(pool, &own[count++], ct_rng_size(&thread->rng, ct.max_bytes), tag++);
		} else if (ct_rng_below(&thread->rng, 2)) {
			ct_object_check(pool, &own[k], "while other threads work");
		} else {
			ct_object_check(pool, &own[k], "before its free, while other threads work");
			zpool_free(pool, own[k].handle);
			own[k] = own[--count];
		}
	}
	while (count > 0) {
		ct_object_check(pool, &own[--count], "at its thread's end");
		zpool_free(pool, own[count].handle);
	}
}

static void threads_share_a_pool(void)
{
	struct zpool *pool = ct_pool();

	ct_threads_run(4, work_on_own_objects, pool);
	zpool_destroy_pool(pool);
}

static void work_on_shared_objects(struct ct_thread *thread)
{
	for (unsigned int i = 0; i < rounds(30000) && !ct_stopping(); i++)
		ct_crowd_step(thread->arg, &thread->rng);
}

static void objects_can_be_freed_by_other_threads(void)
{
	struct ct_crowd crowd;

	ct_crowd_open(&crowd, 600);
	ct_threads_run(4, work_on_shared_objects, &crowd);
	ct_crowd_close(&crowd);
}

static void leave_objects_behind(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (int i = 0; i < 40 && !ct_stopping(); i++)
		ct_crowd_step(crowd, &thread->rng);
}

/* Returns the pool's size after everything was freed. */
static uint64_t emptied_bytes(struct ct_crowd *crowd)
{
	ct_set_check(crowd->pool, &crowd->set, "allocated by threads that have ended");
	ct_set_free_all(crowd->pool, &crowd->set);
	ct_trim(crowd->pool);
	return zpool_get_total_size(crowd->pool);
}

static void objects_outlive_their_thread(void)
{
	/* A driver without trim may cache free pages, and how many may vary. */
	const uint64_t slack = ct_can(ZPOOL_CAP_TRIM) ? 64u << 10 : 320u << 10;
	struct ct_crowd crowd;
	uint64_t early = 0, early_empty = 0, empty;

	ct_crowd_open(&crowd, 300);
	ct_set_fill(crowd.pool, &crowd.set, 300, &ct.rng);
	for (unsigned int i = 0; i < rounds(150); i++) {
		ct_threads_run(4, leave_objects_behind, &crowd);
		if (i == rounds(150) / 3) {
			early = zpool_get_total_size(crowd.pool);
			early_empty = emptied_bytes(&crowd);
			ct_set_fill(crowd.pool, &crowd.set, 300, &ct.rng);
		}
	}
	CT_CHECK(zpool_get_total_size(crowd.pool) < 2 * early + (256u << 10),
		 "a pool of at most 300 objects held %llu bytes after %u threads, but %llu after three times as many",
		 (unsigned long long)early, rounds(150) / 3 * 4, (unsigned long long)zpool_get_total_size(crowd.pool));
	empty = emptied_bytes(&crowd);
	CT_CHECK(empty <= early_empty + slack,
		 "an emptied pool held %llu bytes after %u threads had ended, but %llu after three times as many",
		 (unsigned long long)early_empty, rounds(150) / 3 * 4, (unsigned long long)empty);
	ct_crowd_close(&crowd);
}

static void work_walk_and_trim(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	for (unsigned int i = 0; i < rounds(20000) && !ct_stopping(); i++) {
		if (thread->index > 1)
			ct_crowd_step(crowd, &thread->rng);
		else if (thread->index == 0 && i % 50 == 0)
			ct_crowd_walk(crowd);
		else if (thread->index == 1 && i % 20 == 0)
			ct_crowd_tend(crowd, &thread->rng);
	}
}

static void whole_pool_calls_run_while_threads_allocate(void)
{
	struct ct_crowd crowd;

	ct_crowd_open(&crowd, 500);
	ct_threads_run(4, work_walk_and_trim, &crowd);
	ct_crowd_close(&crowd);
}

struct shared_maps {
	struct zpool *pool;
	struct ct_object objects[4];
	atomic_uint mapped[4];
};

static void map_shared(struct ct_thread *thread)
{
	struct shared_maps *shared = thread->arg;

	for (unsigned int i = 0; i < rounds(40000) && !ct_stopping(); i++) {
		size_t k = ct_rng_below(&thread->rng, 4);
		const struct ct_object *object = &shared->objects[k];
		void *first = zpool_map_handle(shared->pool, object->handle, ZPOOL_MM_RO);
		void *second = zpool_map_handle(shared->pool, object->handle, ZPOOL_MM_RO);

		CT_CHECK(first && second,
			 "a handle was mapped at most 8 times by 4 threads, but zpool_map_handle() returned NULL: %s",
			 zpool_last_error());
		CT_CHECK(first == second, "one object is mapped at %p and at %p", first, second);
		if (i % 16 == 0)
			CT_CHECK(ct_pattern_differs(first, object->size, object->tag, 0) == object->size,
				 "an object mapped by several threads lost its contents");
		/* The object is mapped by this thread, so freeing it is refused whatever the others do. */
		if (i % 64 == 0)
			zpool_free(shared->pool, object->handle);
		zpool_unmap_handle(shared->pool, object->handle);
		zpool_unmap_handle(shared->pool, object->handle);
	}
}

static void threads_can_map_the_same_handle(void)
{
	struct shared_maps shared;

	ct_need(ZPOOL_CAP_MAP);
	memset(&shared, 0, sizeof(shared));
	shared.pool = ct_pool();
	for (size_t i = 0; i < 4; i++)
		ct_object_make(shared.pool, &shared.objects[i], ct_rng_size(&ct.rng, ct.max_bytes), i);
	ct_threads_run(4, map_shared, &shared);
	for (size_t i = 0; i < 4; i++) {
		ct_object_check(shared.pool, &shared.objects[i], "after threads mapped it");
		zpool_free(shared.pool, shared.objects[i].handle);
		CT_CHECK(
			ct_handle_is_dead(shared.pool, shared.objects[i].handle),
			"all threads unmapped the object, but it cannot be freed: the driver's count of mappings is wrong");
	}
	zpool_destroy_pool(shared.pool);
}

static void map_to_the_maximum(struct ct_thread *thread)
{
	struct shared_maps *shared = thread->arg;

	for (unsigned int i = 0; i < 1000; i++)
		if (zpool_map_handle(shared->pool, shared->objects[0].handle, ZPOOL_MM_RW))
			atomic_fetch_add(&shared->mapped[0], 1);
}

static void mapping_maximum_counts_all_threads(void)
{
	struct shared_maps shared;

	ct_need(ZPOOL_CAP_MAP);
	memset(&shared, 0, sizeof(shared));
	shared.pool = ct_pool();
	ct_object_make(shared.pool, &shared.objects[0], 100 < ct.max_bytes ? 100 : ct.max_bytes, 1);
	ct_threads_run(4, map_to_the_maximum, &shared);
	CT_CHECK(atomic_load(&shared.mapped[0]) == 60,
		 "mappings of one handle by four threads together: got %u, expected 60",
		 atomic_load(&shared.mapped[0]));
	for (int i = 0; i < 60; i++)
		zpool_unmap_handle(shared.pool, shared.objects[0].handle);
	ct_object_check(shared.pool, &shared.objects[0], "after it was mapped 60 times");
	zpool_free(shared.pool, shared.objects[0].handle);
	CT_CHECK(ct_handle_is_dead(shared.pool, shared.objects[0].handle),
		 "after 60 unmaps the object cannot be freed");
	zpool_destroy_pool(shared.pool);
}

/* Thread 0 keeps replacing objects while the others use handles that may become stale at any moment. */
struct race {
	struct zpool *pool;
	_Atomic unsigned long handle;
	atomic_bool over;
};

#define RACE_BYTES 256u
#define RACE_PINNED 256u

static void race_replace(struct race *race)
{
	unsigned long pinned[RACE_PINNED];
	size_t count = 0;
	struct ct_object object;

	for (unsigned int i = 0; i < rounds(60000) && !ct_stopping(); i++) {
		ct_object_make(race->pool, &object, RACE_BYTES, 5);
		pinned[count++] = atomic_exchange(&race->handle, object.handle);
		zpool_free(race->pool, pinned[count - 1]);
		/*
		 * The free was refused because a thread has the object mapped.  No thread can find the object any more,
		 * so that it will not stay mapped for long.
		 */
		if (ct_handle_is_dead(race->pool, pinned[count - 1]))
			count--;
		while (count == RACE_PINNED && !ct_stopping()) {
			ct_nap();
			for (size_t k = count; k-- > 0;) {
				zpool_free(race->pool, pinned[k]);
				if (ct_handle_is_dead(race->pool, pinned[k]))
					pinned[k] = pinned[--count];
			}
		}
	}
	atomic_store(&race->over, true);
}

static void race_map(struct race *race)
{
	while (!atomic_load(&race->over) && !ct_stopping()) {
		unsigned long handle = atomic_load(&race->handle);
		const void *address = zpool_map_handle(race->pool, handle, ZPOOL_MM_RO);

		if (!address)
			continue;
		CT_CHECK(ct_pattern_differs(address, RACE_BYTES, 5, 0) == RACE_BYTES,
			 "handle %#lx was mapped while another thread freed it, and the mapping shows other bytes",
			 handle);
		zpool_unmap_handle(race->pool, handle);
	}
}

static void race(struct ct_thread *thread)
{
	if (thread->index == 0)
		race_replace(thread->arg);
	else
		race_map(thread->arg);
}

static void map_races_with_free(void)
{
	struct race shared;
	struct ct_object object;

	ct_need(ZPOOL_CAP_MAP);
	if (ct.max_bytes < RACE_BYTES)
		ct_skip("%s cannot store objects of %u bytes", ct.spec, RACE_BYTES);
	shared.pool = ct_pool();
	ct_object_make(shared.pool, &object, RACE_BYTES, 5);
	atomic_init(&shared.handle, object.handle);
	atomic_init(&shared.over, false);
	ct_threads_run(4, race, &shared);
	zpool_destroy_pool(shared.pool);
}

struct sleeper {
	struct zpool *pool;
	struct ct_object object;
	atomic_uint working;
};

static void sleep_or_work(struct ct_thread *thread)
{
	struct sleeper *sleeper = thread->arg;

	if (thread->index > 0) {
		work_on_own_objects(&(struct ct_thread){ thread->index, thread->rng, sleeper->pool });
		atomic_fetch_sub(&sleeper->working, 1);
		return;
	}
	CT_CHECK(zpool_map_handle(sleeper->pool, sleeper->object.handle, ZPOOL_MM_RW) != NULL,
		 "zpool_map_handle() returned NULL: %s", zpool_last_error());
	/* If a mapping held a lock, the other threads would never finish. */
	while (atomic_load(&sleeper->working) > 0 && !ct_stopping())
		ct_nap();
	zpool_unmap_handle(sleeper->pool, sleeper->object.handle);
}

static void mapping_blocks_no_other_thread(void)
{
	struct sleeper sleeper;

	ct_need(ZPOOL_CAP_MAP | ZPOOL_CAP_SLEEP_MAPPED);
	sleeper.pool = ct_pool();
	atomic_init(&sleeper.working, 2);
	ct_object_make(sleeper.pool, &sleeper.object, 100 < ct.max_bytes ? 100 : ct.max_bytes, 1);
	ct_threads_run(3, sleep_or_work, &sleeper);
	ct_object_check(sleeper.pool, &sleeper.object, "after a thread slept with the object mapped");
	zpool_destroy_pool(sleeper.pool);
}

static void make_and_end_pools(struct ct_thread *thread)
{
	for (unsigned int i = 0; i < rounds(300) && !ct_stopping(); i++) {
		struct zpool *pool = ct_pool();
		struct ct_object object;

		for (int k = 0; k < 20; k++)
			ct_object_make(pool, &object, ct_rng_size(&thread->rng, ct.max_bytes), (uint64_t)k);
		ct_object_check(pool, &object, "in a pool that this thread created");
		zpool_destroy_pool(pool);
	}
}

static void threads_create_and_destroy_pools(void)
{
	ct_threads_run(4, make_and_end_pools, NULL);
}

static void fail_with_own_error(struct ct_thread *thread)
{
	struct zpool *pool = thread->arg;
	unsigned long handle;
	char mine[512];

	CT_CHECK(zpool_last_error()[0] == '\0', "a new thread's last error is \"%s\"", zpool_last_error());
	if (thread->index % 2)
		zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &handle);
	else
		zpool_malloc(NULL, 1, ZPOOL_GFP_KERNEL, &handle);
	strncpy(mine, zpool_last_error(), sizeof(mine) - 1);
	mine[sizeof(mine) - 1] = '\0';
	for (unsigned int i = 0; i < rounds(5000) && !ct_stopping(); i++) {
		if (thread->index % 2)
			zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &handle);
		else
			zpool_malloc(NULL, 1, ZPOOL_GFP_KERNEL, &handle);
		CT_CHECK(strncmp(zpool_last_error(), mine, sizeof(mine) - 1) == 0,
			 "zpool_last_error() returned the message of another thread: \"%s\"", zpool_last_error());
	}
}

static void each_thread_has_its_last_error(void)
{
	struct zpool *pool = ct_pool();

	ct_threads_run(4, fail_with_own_error, pool);
	zpool_destroy_pool(pool);
}

const struct ct_case ct_cases_threads[] = {
	{ "threads_share_a_pool", "Every function may be called from any thread on different objects at the same time.",
	  threads_share_a_pool, 0 },
	{ "objects_can_be_freed_by_other_threads",
	  "An object may be used and freed by another thread than the one that allocated it.",
	  objects_can_be_freed_by_other_threads, 0 },
	{ "objects_outlive_their_thread",
	  "Objects outlive the thread that allocated them, and an ended thread leaves no memory that the pool cannot reuse.",
	  objects_outlive_their_thread, 0 },
	{ "whole_pool_calls_run_while_threads_allocate",
	  "Walks, trim, limits and sizes work while other threads allocate and free.",
	  whole_pool_calls_run_while_threads_allocate, 0 },
	{ "threads_can_map_the_same_handle",
	  "One handle may be mapped by several threads at once; each mapping counts.", threads_can_map_the_same_handle,
	  0 },
	{ "mapping_maximum_counts_all_threads",
	  "The maximum of 60 mappings of a handle counts the mappings of all threads.",
	  mapping_maximum_counts_all_threads, 0 },
	{ "map_races_with_free",
	  "When one thread maps a handle and another frees it, either the map or the free is refused.",
	  map_races_with_free, 0 },
	{ "mapping_blocks_no_other_thread",
	  "If zpool_can_sleep_mapped() returns true, a thread may sleep with an object mapped.",
	  mapping_blocks_no_other_thread, 0 },
	{ "threads_create_and_destroy_pools", "Several threads may create and destroy pools at once.",
	  threads_create_and_destroy_pools, 0 },
	{ "each_thread_has_its_last_error", "zpool_last_error() belongs to the calling thread, and is empty at first.",
	  each_thread_has_its_last_error, 0 },
	{ NULL, NULL, NULL, 0 },
};
