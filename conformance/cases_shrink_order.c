/* SPDX-License-Identifier: MIT
 *
 * cases_shrink_order.c - zpool_shrink(): how much it evicts, in which order, and whose callback it calls
 */
#include "cases.h"
#include "evictor.h"

#include <stdlib.h>

enum { OBJECTS_MAX = 60000 };

/* All objects have one size, so that each page, zspage or slab that zpool_shrink() empties has the same size. */
static size_t object_size(void)
{
	size_t size = ct.max_bytes / 4;

	return size > 1024 ? 1024 : size > 0 ? size : 1;
}

/* Objects of at least so many bytes in total, and many times the step in which the driver allocates memory. */
static size_t objects_of(uint64_t bytes)
{
	uint64_t count = (16 * ct.step_bytes > bytes ? 16 * ct.step_bytes : bytes) / object_size();

	return count < OBJECTS_MAX ? (size_t)count : OBJECTS_MAX;
}

static size_t enough_objects(void)
{
	return objects_of(4u << 20);
}

static void fill(struct ct_evictor *evictor, size_t count)
{
	while (evictor->set.count < count)
		ct_set_make(evictor->pool, &evictor->set, object_size());
}

/*
 * A call for one page shows the driver's unit: a page, a zspage or a slab.  A call for more pages may exceed them by
 * one unit.  Only objects on the pages that were emptied may be evicted.  A driver that evicts everything would show
 * that as its unit, so the number of objects is also compared with the step in which the driver allocates memory.
 */
static void shrink_evicts_hardly_more_than_requested(void)
{
	enum { PAGES = 160 };
	static const unsigned int pages[] = { 1, 1, 1, 10, 64, 1 };
	size_t count = enough_objects();
	struct ct_evictor evictor;
	unsigned int unit = 0;
	uint64_t page;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, OBJECTS_MAX);
	fill(&evictor, count);
	page = ct_page_bytes(evictor.pool);
	if (count * object_size() < PAGES * page)
		count = PAGES * page / object_size() < OBJECTS_MAX ? PAGES * page / object_size() : OBJECTS_MAX;
	fill(&evictor, count);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		unsigned int evicted = evictor.evicted, reclaimed = 0;
		uint64_t bytes, most;

		if (pages[i] * page > zpool_get_total_size(evictor.pool) / 2)
			continue;
		CT_MUST(zpool_shrink(evictor.pool, pages[i], &reclaimed));
		bytes = (uint64_t)(evictor.evicted - evicted) * object_size();
		if (pages[i] == 1 && reclaimed > unit)
			unit = reclaimed;
		CT_CHECK(
			bytes <= (uint64_t)reclaimed * page,
			"zpool_shrink() of %u pages evicted %llu bytes of objects, but reported only %u reclaimed pages",
			pages[i], (unsigned long long)bytes, reclaimed);
		CT_CHECK(reclaimed <= pages[i] + 2 * unit,
			 "zpool_shrink() of %u pages reclaimed %u pages, though it can reclaim as few as %u at once",
			 pages[i], reclaimed, unit);
		most = (pages[i] * page + 2 * ct.step_bytes) / object_size();
		CT_CHECK(evictor.evicted - evicted <= (most > count / 4 ? most : count / 4) || pages[i] > 10,
			 "zpool_shrink() of %u pages evicted %u of %zu objects", pages[i], evictor.evicted - evicted,
			 count);
	}
	ct_evictor_close(&evictor);
}

/* Every object that a call evicts must be older than all that it leaves, and no object is evicted twice. */
static void evict_all_by_age(struct ct_evictor *evictor, const char *what)
{
	size_t evicted = evictor->evicted;

	while (evictor->set.count > 0) {
		size_t oldest_left = SIZE_MAX;

		CT_MUST(zpool_shrink(evictor->pool, 1, NULL));
		for (size_t i = 0; i < evictor->set.count; i++)
			if (evictor->set.at[i].tag - evictor->first_tag < oldest_left)
				oldest_left = (size_t)(evictor->set.at[i].tag - evictor->first_tag);
		for (; evicted < evictor->evicted; evicted++)
			CT_CHECK(evictor->order[evicted] < oldest_left,
				 "object number %zu was evicted before the older object number %zu, after %s",
				 evictor->order[evicted], oldest_left, what);
	}
}

/* Reads an object in every possible way. */
static void use(struct zpool *pool, const struct ct_object *object)
{
	unsigned char byte;

	ct_object_check(pool, object, "read again");
	(void)zpool_obj_read(pool, object->handle, &byte, 1, 0);
	(void)zpool_obj_size(pool, object->handle);
	if (ct_can(ZPOOL_CAP_MAP) && zpool_map_handle(pool, object->handle, ZPOOL_MM_RO))
		zpool_unmap_handle(pool, object->handle);
}

static void using_an_object_does_not_make_it_younger(void)
{
	enum { OBJECTS = 400 };
	static size_t order[OBJECTS];
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, OBJECTS);
	evictor.first_tag = evictor.set.next_tag;
	evictor.order = order;
	for (size_t i = 0; i < OBJECTS; i++)
		ct_set_make(evictor.pool, &evictor.set, object_size());
	/* Read the oldest quarter from youngest to oldest, so that an order by last use would differ. */
	for (int round = 0; round < 3; round++)
		for (size_t i = OBJECTS / 4; i-- > 0;)
			use(evictor.pool, &evictor.set.at[i]);
	evict_all_by_age(&evictor, "the older objects were read again");
	evictor.order = NULL;
	ct_evictor_close(&evictor);
}

/* Reused memory counts as young, and so do the objects in it. */
static void objects_stored_again_are_young(void)
{
	const size_t objects = objects_of(ct_many(400) * object_size()), old = objects / 2;
	struct ct_evictor evictor;
	size_t *order = calloc(2 * objects, sizeof(*order));

	CT_CHECK(order != NULL, "the test suite is out of memory");
	ct_need(ZPOOL_CAP_EVICT);
	ct_need_steps(objects * object_size());
	ct_evictor_open(&evictor, ct_evict_save, objects);
	evictor.first_tag = evictor.set.next_tag;
	evictor.order = order;
	for (size_t i = 0; i < objects; i++)
		ct_set_make(evictor.pool, &evictor.set, object_size());
	for (size_t i = evictor.set.count; i-- > 0;)
		if (evictor.set.at[i].tag - evictor.first_tag < old)
			ct_set_free(evictor.pool, &evictor.set, i);
	for (size_t i = 0; i < old; i++)
		ct_set_make(evictor.pool, &evictor.set, object_size());
	/* One page or slab may have old and new objects, and counts as new then. */
	while (evictor.evicted < old / 4) {
		CT_MUST(zpool_shrink(evictor.pool, 1, NULL));
		CT_CHECK(
			evictor.evicted <= old,
			"zpool_shrink() of single pages evicted %u of %zu objects, but passed over a quarter of the old ones",
			evictor.evicted, objects);
	}
	for (size_t i = 0; i < old / 4; i++)
		CT_CHECK(
			order[i] < objects,
			"an object that was stored again was the eviction number %zu, before %zu objects that are older",
			i, objects - old);
	evictor.order = NULL;
	free(order);
	ct_evictor_close(&evictor);
}

static uint64_t stubborn_below;

/* The eviction of the oldest objects is always refused. */
static int evict_all_but_the_first(struct ct_evictor *evictor, size_t position)
{
	if (evictor->set.at[position].tag - evictor->first_tag < stubborn_below)
		return -EBUSY;
	return ct_evict_save(evictor, position);
}

static void evict_around_stubborn_objects(unsigned int stubborn)
{
	size_t count = enough_objects() / 2, left = 0;
	struct ct_evictor evictor;
	unsigned int idle = 0;

	stubborn_below = stubborn;
	ct_evictor_open(&evictor, evict_all_but_the_first, count);
	evictor.first_tag = evictor.set.next_tag;
	fill(&evictor, count);
	left = evictor.set.count;
	/* A single call may meet nothing but refusals and return -EAGAIN, but not the same ones every time. */
	while (evictor.set.count > count / 4) {
		int result = zpool_shrink(evictor.pool, 16, NULL);

		CT_CHECK(result == 0 || result == -EAGAIN,
			 "zpool_shrink() with %u objects whose eviction is always refused returned %s", stubborn,
			 ct_error_name(result));
		idle = evictor.set.count < left ? 0 : idle + 1;
		left = evictor.set.count;
		CT_CHECK(
			idle < 50,
			"the eviction of the oldest %u of %zu objects is always refused, and 50 calls of zpool_shrink() evicted nothing else",
			stubborn, count);
	}
	ct_evictor_close(&evictor);
}

static void refused_objects_do_not_block_eviction_of_others(void)
{
	ct_need(ZPOOL_CAP_EVICT);
	evict_around_stubborn_objects(1);
	evict_around_stubborn_objects(40);
}

/* Pages that could not be emptied must not be reported: zpool_trim() must release all that zpool_shrink() reported. */
static void refused_pages_are_not_counted(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT | ZPOOL_CAP_TRIM);
	ct_evictor_open(&evictor, ct_evict_sometimes, 3000);
	for (int round = 0; round < 40; round++) {
		unsigned int reclaimed = 0;
		uint64_t before, after;

		ct_set_fill(evictor.pool, &evictor.set, 2000, &ct.rng);
		ct_trim(evictor.pool);
		before = zpool_get_total_size(evictor.pool);
		(void)zpool_shrink(evictor.pool, 1 + (unsigned int)ct_rng_below(&ct.rng, 20), &reclaimed);
		ct_trim(evictor.pool);
		after = zpool_get_total_size(evictor.pool);
		CT_CHECK(
			after + (uint64_t)CT_PAGE_BYTES_MIN * reclaimed <= before,
			"zpool_shrink() reported %u reclaimed pages when some evictions were refused, but the total size only went from %llu to %llu",
			reclaimed, (unsigned long long)before, (unsigned long long)after);
	}
	ct_evictor_close(&evictor);
}

/* The evictor checks that each callback is called for its own pool, with its own pointer and handles. */
static void each_pool_calls_its_own_callback(void)
{
	enum { POOLS = 3 };
	struct ct_evictor evictors[POOLS];
	struct zpool *without;
	struct ct_set set;

	ct_need(ZPOOL_CAP_EVICT);
	for (int i = 0; i < POOLS; i++)
		ct_evictor_open(&evictors[i], i == 1 ? ct_evict_refuse : ct_evict_save, 30000);
	without = ct_pool();
	ct_set_init(&set, 300);
	ct_set_fill(without, &set, 300, &ct.rng);
	CT_REFUSED(zpool_shrink(without, 1, NULL), EINVAL);
	for (int round = 0; round < 5; round++) {
		/* They may all be on a single page, which each call empties. */
		for (int i = 0; i < POOLS; i++)
			ct_set_fill_pages(evictors[i].pool, &evictors[i].set, 600, 100, &ct.rng);
		for (int i = 0; i < POOLS; i++) {
			unsigned int asked[POOLS];
			int result;

			for (int k = 0; k < POOLS; k++)
				asked[k] = evictors[k].asked;
			result = zpool_shrink(evictors[i].pool, 1, NULL);
			CT_CHECK(result == (i == 1 ? -EAGAIN : 0), "zpool_shrink() of pool %d of %d returned %s", i,
				 POOLS, ct_error_name(result));
			for (int k = 0; k < POOLS; k++)
				CT_CHECK((evictors[k].asked > asked[k]) == (k == i),
					 "pool %d was shrunk, and the callback of pool %d was called %u times", i, k,
					 evictors[k].asked - asked[k]);
		}
	}
	CT_CHECK(evictors[1].evicted == 0, "the pool whose callback refuses lost %u objects", evictors[1].evicted);
	ct_set_check(without, &set, "in a pool without a callback");
	zpool_destroy_pool(without);
	ct_set_fini(&set);
	for (int i = 0; i < POOLS; i++)
		ct_evictor_close(&evictors[i]);
}

const struct ct_case ct_cases_shrink_order[] = {
	{ "shrink_evicts_hardly_more_than_requested",
	  "zpool_shrink() evicts only the objects on the pages that it reports, which are hardly more than were asked for.",
	  shrink_evicts_hardly_more_than_requested, 0 },
	{ "using_an_object_does_not_make_it_younger",
	  "Objects are evicted in order of age, and reading an object does not change its age.",
	  using_an_object_does_not_make_it_younger, 0 },
	{ "objects_stored_again_are_young", "Objects in reused memory count as younger than their neighbours.",
	  objects_stored_again_are_young, 0 },
	{ "refused_objects_do_not_block_eviction_of_others",
	  "Objects whose eviction is always refused do not prevent zpool_shrink() from evicting others.",
	  refused_objects_do_not_block_eviction_of_others, 0 },
	{ "refused_pages_are_not_counted", "*reclaimed counts only pages that were really released.",
	  refused_pages_are_not_counted, 0 },
	{ "each_pool_calls_its_own_callback",
	  "A pool calls the callback that it was created with, and passes the user pointer.",
	  each_pool_calls_its_own_callback, 0 },
	{ NULL, NULL, NULL, 0 },
};
