/* SPDX-License-Identifier: MIT
 *
 * cases_walk.c - zpool_each_object()
 */
#include "cases.h"
#include "objects.h"

#include <stdlib.h>

/* seen has a byte for each object of the set; the callback frees every `every`th object, or none for 0. */
struct walk {
	struct zpool *pool;
	struct ct_set *set;
	unsigned char *seen;
	size_t visits;
	size_t stop_after;
	unsigned int every;
	bool allocate;
	struct ct_set *added;
};

static int visit(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct walk *walk = user;
	size_t i = ct_set_find(walk->set, handle);

	CT_CHECK(pool == walk->pool, "the walk passed another pool to the callback");
	CT_CHECK(i != SIZE_MAX, "the walk visited handle %#lx, which is not live", handle);
	CT_CHECK(walk->seen[i] == 0, "the walk visited handle %#lx twice", handle);
	CT_CHECK(size >= walk->set->at[i].size, "size of an object in a walk: got %zu, expected at least %zu", size,
		 walk->set->at[i].size);
	CT_CHECK(!ct_can(ZPOOL_CAP_OBJ_SIZE) || (int64_t)size == zpool_obj_size(pool, handle),
		 "size of an object: got %zu in a walk, and %lld from zpool_obj_size()", size,
		 (long long)zpool_obj_size(pool, handle));
	walk->seen[i] = 1;
	walk->visits++;
	return walk->visits == walk->stop_after ? 4321 : 0;
}

static void walk_init(struct walk *walk, struct zpool *pool, struct ct_set *set)
{
	*walk = (struct walk){ pool, set, calloc(set->capacity, 1), 0, 0, 0, false, NULL };
	CT_CHECK(walk->seen != NULL, "the test suite is out of memory");
}

static void walk_visits_each_live_object_once(void)
{
	struct zpool *pool = ct_pool();
	struct walk walk;
	struct ct_set set;

	ct_need(ZPOOL_CAP_OBJECTS);
	ct_set_init(&set, 3000);
	for (int round = 0; round < 4; round++) {
		walk_init(&walk, pool, &set);
		for (size_t i = 0; i < set.count && ct_can(ZPOOL_CAP_MAP); i += 7)
			CT_CHECK(zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RO) != NULL,
				 "zpool_map_handle() failed");
		CT_MUST(zpool_each_object(pool, visit, &walk));
		CT_CHECK(walk.visits == set.count, "objects visited while some are mapped: expected %zu, got %zu",
			 set.count, walk.visits);
		for (size_t i = 0; i < set.count && ct_can(ZPOOL_CAP_MAP); i += 7)
			zpool_unmap_handle(pool, set.at[i].handle);
		free(walk.seen);
		ct_set_fill(pool, &set, 3000, &ct.rng);
		ct_set_thin(pool, &set, 3000 - 900 * (size_t)round, &ct.rng);
	}
	ct_set_check(pool, &set, "after walks");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void walk_stops_when_the_callback_returns_nonzero(void)
{
	static const size_t stops[] = { 1, 2, 57, 300 };
	struct zpool *pool = ct_pool();
	struct walk walk;
	struct ct_set set;

	ct_need(ZPOOL_CAP_OBJECTS);
	ct_set_init(&set, 300);
	ct_set_fill(pool, &set, 300, &ct.rng);
	for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
		int result;

		walk_init(&walk, pool, &set);
		walk.stop_after = stops[i];
		result = zpool_each_object(pool, visit, &walk);
		CT_CHECK(result == 4321 && walk.visits == stops[i],
			 "the callback returned 4321 at visit %zu, but the walk made %zu visits and returned %d",
			 stops[i], walk.visits, result);
		free(walk.seen);
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/*
 * Does not check the number of visits: objects that are allocated or freed during the walk may or may not be visited.
 */
static int visit_and_change(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct walk *walk = user;
	size_t i = ct_set_find(walk->set, handle);

	(void)size;
	walk->visits++;
	if (i != SIZE_MAX) {
		ct_object_check(pool, &walk->set->at[i], "during a walk");
		if (walk->every && walk->visits % walk->every == 0)
			ct_set_free(pool, walk->set, i);
	} else {
		CT_CHECK(ct_set_find(walk->added, handle) != SIZE_MAX,
			 "the walk visited handle %#lx, which is not live", handle);
	}
	if (walk->allocate && walk->added->count < walk->added->capacity)
		ct_set_make(pool, walk->added, ct_rng_size(&ct.rng, ct.max_bytes));
	return walk->visits > 100000 ? -1 : 0;
}

static void walk_callback_may_change_the_pool(void)
{
	struct zpool *pool = ct_pool();
	struct walk walk;
	struct ct_set set, added;

	ct_need(ZPOOL_CAP_OBJECTS);
	ct_set_init(&set, 2000);
	ct_set_init(&added, 2000);
	for (unsigned int every = 1; every <= 3; every++) {
		size_t before;

		ct_set_fill(pool, &set, 2000, &ct.rng);
		before = set.count;
		walk_init(&walk, pool, &set);
		walk.every = every;
		walk.allocate = every > 1;
		walk.added = &added;
		CT_MUST(zpool_each_object(pool, visit_and_change, &walk));
		CT_CHECK(walk.visits >= before,
			 "%zu objects were live until they were visited, but the walk made %zu visits", before,
			 walk.visits);
		CT_CHECK(every > 1 || set.count == 0, "a walk that frees all it visits left %zu objects", set.count);
		free(walk.seen);
		ct_set_check(pool, &set, "after a walk that freed others");
		ct_set_check(pool, &added, "allocated during a walk");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
	ct_set_fini(&added);
}

static int visit_all_calls(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	size_t *visits = user;
	unsigned long other;
	char byte;

	(void)size;
	if (++*visits > 50)
		return 1;
	zpool_get_total_size(pool);
	zpool_obj_read(pool, handle, &byte, 1, 0);
	CT_MUST(zpool_malloc(pool, ct_size(100), ZPOOL_GFP_KERNEL, &other));
	zpool_shrink(pool, 1, NULL);
	zpool_compact(pool, 4096, 0, NULL);
	ct_trim(pool);
	CT_MUST(zpool_set_limit(pool, 0));
	zpool_free(pool, other);
	return 0;
}

static int visit_nested(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	size_t inner = 0;

	(void)handle;
	(void)size;
	zpool_each_object(pool, visit_all_calls, &inner);
	return ++*(size_t *)user >= 10;
}

static void walk_callback_may_call_every_function(void)
{
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	size_t visits = 0;
	struct ct_set set;

	ct_need(ZPOOL_CAP_OBJECTS);
	ct_set_init(&set, 200);
	ct_set_fill(pool, &set, 200, &ct.rng);
	zpool_each_object(pool, visit_nested, &visits);
	CT_CHECK(visits == 10, "visits of a walk that the callback ended: expected 10, got %zu", visits);
	ct_set_check(pool, &set, "after walks inside a walk");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_walk[] = {
	{ "walk_visits_each_live_object_once", "zpool_each_object() visits every live object once, with its size.",
	  walk_visits_each_live_object_once, 0 },
	{ "walk_stops_when_the_callback_returns_nonzero",
	  "If the callback returns a value other than 0, the walk ends and returns that value.",
	  walk_stops_when_the_callback_returns_nonzero, 0 },
	{ "walk_callback_may_change_the_pool",
	  "The callback may free the object it is given, and other objects may be allocated and freed during the walk.",
	  walk_callback_may_change_the_pool, 0 },
	{ "walk_callback_may_call_every_function", "The callback may call every function on the pool.",
	  walk_callback_may_call_every_function, 0 },
	{ NULL, NULL, NULL, 0 },
};
