/* SPDX-License-Identifier: MIT
 *
 * cases_evict.c - what an evict callback may do, and what it may get wrong
 */
#include "cases.h"
#include "evictor.h"

/*
 * Shrinks many times with one kind of callback and refills the pool in between.  Objects that are not evicted must keep
 * their contents.
 */
static void shrink_rounds(struct ct_evictor *evictor, int rounds, size_t objects)
{
	for (int round = 0; round < rounds; round++) {
		unsigned int reclaimed = 0;
		int result;

		ct_set_fill(evictor->pool, &evictor->set, objects, &ct.rng);
		result = zpool_shrink(evictor->pool, 1 + (unsigned int)ct_rng_below(&ct.rng, 30), &reclaimed);
		CT_CHECK(result == 0 || result == -EAGAIN || (result == -EINVAL && evictor->set.count < objects),
			 "shrink returned %s with %zu objects live", ct_error_name(result), evictor->set.count);
		ct_set_check(evictor->pool, &evictor->set, "after zpool_shrink()");
	}
	CT_CHECK(evictor->asked > 0, "the callback was never called");
}

static int lie(struct ct_evictor *evictor, size_t position)
{
	(void)evictor;
	(void)position;
	return 0;
}

static void unfreed_object_counts_as_refused(void)
{
	struct ct_evictor evictor;
	unsigned int reclaimed = 99;
	int result;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, lie, 500);
	ct_set_fill(evictor.pool, &evictor.set, 500, &ct.rng);
	result = zpool_shrink(evictor.pool, 10, &reclaimed);
	CT_CHECK(result == -EAGAIN && reclaimed == 0,
		 "the callback returned 0 and freed nothing, but zpool_shrink() returned %s and reclaimed %u pages",
		 ct_error_name(result), reclaimed);
	ct_set_check(evictor.pool, &evictor.set, "kept by a callback that returned 0");
	ct_evictor_close(&evictor);
}

static int free_and_complain(struct ct_evictor *evictor, size_t position)
{
	ct_evict_save(evictor, position);
	return -EIO;
}

static void callback_may_free_and_return_an_error(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, free_and_complain, 1000);
	shrink_rounds(&evictor, 50, 1000);
	ct_evictor_close(&evictor);
}

static int free_others_too(struct ct_evictor *evictor, size_t position)
{
	unsigned long handle = evictor->set.at[position].handle;

	/* Free neighbours of every kind: younger ones, older ones, and objects on the same page. */
	for (int i = 0; i < 6 && evictor->set.count > 1; i++) {
		size_t other = i % 2 ? ct_rng_below(&ct.rng, evictor->set.count) : (position + 1) % evictor->set.count;

		if (evictor->set.at[other].handle != handle)
			ct_set_free(evictor->pool, &evictor->set, other);
		position = ct_set_find(&evictor->set, handle);
	}
	if (ct_rng_below(&ct.rng, 4) == 0)
		return -EBUSY;
	return ct_evict_save(evictor, position);
}

static void callback_may_free_others(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, free_others_too, 1500);
	shrink_rounds(&evictor, 60, 1500);
	ct_evictor_close(&evictor);
}

/* Two objects share a page and are evicted together.  The callback for one of them frees the other. */
static void callback_may_free_objects_on_the_same_page(void)
{
	static const size_t sizes[] = { 1, 64, 500, 1000, 1900 };
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i] < ct.max_bytes ? sizes[i] : ct.max_bytes;

		ct_evictor_open(&evictor, free_others_too, 400);
		for (int round = 0; round < 20; round++) {
			while (evictor.set.count < 400)
				ct_set_make(evictor.pool, &evictor.set, size);
			zpool_shrink(evictor.pool, 5, NULL);
			ct_set_check(evictor.pool, &evictor.set, "after its neighbours were freed in callbacks");
		}
		ct_evictor_close(&evictor);
	}
}

static int allocate_and_save(struct ct_evictor *evictor, size_t position)
{
	unsigned long handle = evictor->set.at[position].handle;

	if (evictor->set.count + 2 < evictor->set.capacity) {
		ct_set_make(evictor->pool, &evictor->set, ct_rng_size(&ct.rng, ct.max_bytes));
		ct_set_make(evictor->pool, &evictor->set, ct_rng_size(&ct.rng, ct.max_bytes));
	}
	return ct_evict_save(evictor, ct_set_find(&evictor->set, handle));
}

static void callback_may_allocate(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, allocate_and_save, 1600);
	shrink_rounds(&evictor, 60, 1200);
	ct_evictor_close(&evictor);
}

static int replace(struct ct_evictor *evictor, size_t position)
{
	size_t size = evictor->set.at[position].size;

	/* The smaller copy may be allocated on the page that is being emptied. */
	ct_evict_save(evictor, position);
	ct_set_make(evictor->pool, &evictor->set, size / 2 > 0 ? size / 2 : 1);
	return 0;
}

static void callback_may_replace_the_object(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, replace, 1200);
	shrink_rounds(&evictor, 60, 1200);
	ct_evictor_close(&evictor);
}

static int map_and_save(struct ct_evictor *evictor, size_t position)
{
	unsigned long handle = evictor->set.at[position].handle;
	unsigned long other = evictor->set.at[ct_rng_below(&ct.rng, evictor->set.count)].handle;
	int result;

	CT_CHECK(zpool_map_handle(evictor->pool, handle, ZPOOL_MM_RO) != NULL, "map in a callback returned NULL: %s",
		 zpool_last_error());
	CT_CHECK(zpool_map_handle(evictor->pool, other, ZPOOL_MM_RW) != NULL, "map in a callback returned NULL: %s",
		 zpool_last_error());
	zpool_unmap_handle(evictor->pool, handle);
	if (other == handle) {
		zpool_unmap_handle(evictor->pool, other);
		return ct_evict_save(evictor, position);
	}
	result = ct_evict_save(evictor, position);
	zpool_unmap_handle(evictor->pool, other);
	return result;
}

static void callback_may_map(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP);
	ct_evictor_open(&evictor, map_and_save, 1000);
	shrink_rounds(&evictor, 60, 1000);
	ct_evictor_close(&evictor);
}

static int look(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool;
	(void)handle;
	(void)size;
	return ++*(unsigned int *)user >= 20;
}

/* The callback makes every call that does not affect its object, including a nested zpool_shrink(). */
static int call_everything(struct ct_evictor *evictor, size_t position)
{
	struct zpool *pool = evictor->pool;
	unsigned long handle = evictor->set.at[position].handle;
	unsigned int visits = 0;

	zpool_get_total_size(pool);
	CT_MUST(zpool_set_limit(pool, 0));
	zpool_each_object(pool, look, &visits);
	ct_trim(pool);
	zpool_compact(pool, 4096, 0, NULL);
	if (evictor->depth < 2) {
		evictor->depth++;
		zpool_shrink(pool, 2, NULL);
		evictor->depth--;
	}
	position = ct_set_find(&evictor->set, handle);
	if (position == SIZE_MAX)
		return 0;
	return ct_evict_sometimes(evictor, position);
}

static void callback_may_call_every_function(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, call_everything, 800);
	shrink_rounds(&evictor, 30, 800);
	ct_evictor_close(&evictor);
}

/* The objects of the evictor's set that are currently mapped. */
static struct ct_set mapped;

/*
 * A callback that ignores mappings and frees what it is asked to evict.  The pool must refuse to free mapped objects.
 */
static int save_unless_mapped(struct ct_evictor *evictor, size_t position)
{
	unsigned long handle = evictor->set.at[position].handle;

	if (ct_set_find(&mapped, handle) == SIZE_MAX)
		return ct_evict_save(evictor, position);
	zpool_free(evictor->pool, handle);
	return ct_rng_below(&ct.rng, 2) ? -EBUSY : 0;
}

/* A single call may only meet the page of the mapped object and return -EAGAIN, but not every call may. */
static void mapped_objects_do_not_stop_a_shrink(void)
{
	enum { MAPPED = 3, IDLE_MAX = 50 };
	const size_t objects = ct_enough(ct_many(1200));
	struct ct_evictor evictor;
	unsigned int idle = 0;

	ct_need(ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP);
	ct_need_steps(objects * ct_size(1000));
	ct_evictor_open(&evictor, save_unless_mapped, objects);
	ct_set_init(&mapped, MAPPED);
	ct_set_fill(evictor.pool, &evictor.set, objects, &ct.rng);
	/* Map the oldest object, the youngest, and one in between. */
	for (size_t i = 0; i < MAPPED; i++) {
		ct_set_add(&mapped, &evictor.set.at[i * (objects - 1) / (MAPPED - 1)]);
		CT_CHECK(zpool_map_handle(evictor.pool, mapped.at[i].handle, ZPOOL_MM_RO) != NULL,
			 "zpool_map_handle() returned NULL: %s", zpool_last_error());
	}
	while (evictor.set.count > objects / 4) {
		size_t before = evictor.set.count;
		int result = zpool_shrink(evictor.pool, 4, NULL);

		CT_CHECK(result == 0 || result == -EAGAIN,
			 "result of zpool_shrink() with %d objects mapped: expected 0 or -EAGAIN, got %s", MAPPED,
			 ct_error_name(result));
		idle = evictor.set.count < before ? 0 : idle + 1;
		CT_CHECK(idle < IDLE_MAX,
			 "%d calls of zpool_shrink() evicted nothing, though only %d of %zu objects were mapped",
			 IDLE_MAX, MAPPED, evictor.set.count);
	}
	for (size_t i = 0; i < MAPPED; i++)
		zpool_unmap_handle(evictor.pool, mapped.at[i].handle);
	ct_set_fini(&mapped);
	ct_evictor_close(&evictor);
}

static void mapped_objects_survive_shrink(void)
{
	enum { OBJECTS = 1200, MAPPED = 400 };
	struct ct_evictor evictor;
	void *addresses[MAPPED];

	ct_need(ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP);
	ct_evictor_open(&evictor, save_unless_mapped, OBJECTS);
	ct_set_init(&mapped, MAPPED);
	for (int round = 0; round < 3; round++) {
		ct_set_fill(evictor.pool, &evictor.set, OBJECTS, &ct.rng);
		for (size_t i = 0; i < MAPPED; i++) {
			ct_set_add(&mapped, &evictor.set.at[OBJECTS / MAPPED * i]);
			addresses[i] = zpool_map_handle(evictor.pool, mapped.at[i].handle, ZPOOL_MM_RW);
			CT_CHECK(addresses[i] != NULL, "zpool_map_handle() returned NULL: %s", zpool_last_error());
		}
		for (unsigned int pages = 1; pages < 1000; pages *= 3)
			zpool_shrink(evictor.pool, pages, NULL);
		for (size_t i = 0; i < MAPPED; i++) {
			const struct ct_object *object = &mapped.at[i];

			CT_CHECK(ct_pattern_differs(addresses[i], object->size, object->tag, 0) == object->size,
				 "a mapped object of %zu bytes lost its contents during zpool_shrink()", object->size);
			CT_CHECK(zpool_map_handle(evictor.pool, object->handle, ZPOOL_MM_RO) == addresses[i],
				 "a mapped object moved during zpool_shrink()");
			zpool_unmap_handle(evictor.pool, object->handle);
			zpool_unmap_handle(evictor.pool, object->handle);
		}
		while (mapped.count > 0)
			ct_set_remove(&mapped, mapped.count - 1);
		ct_set_check(evictor.pool, &evictor.set, "after zpool_shrink() with mapped objects");
	}
	ct_set_fini(&mapped);
	ct_evictor_close(&evictor);
}

static int once(struct ct_evictor *evictor, size_t position)
{
	if (evictor->evicted > 0)
		return -EBUSY;
	return ct_evict_save(evictor, position);
}

/* The eviction of an object is refused while its neighbour is evicted.  The neighbour's space must be reusable. */
static void half_emptied_pages_are_reused(void)
{
	struct ct_evictor evictor;
	uint64_t before;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, once, 2000);
	while (evictor.set.count < 1000)
		ct_set_make(evictor.pool, &evictor.set, ct.max_bytes / 3 > 0 ? ct.max_bytes / 3 : 1);
	before = zpool_get_total_size(evictor.pool);
	for (int round = 0; round < 1000; round++) {
		evictor.evicted = 0;
		zpool_shrink(evictor.pool, 1, NULL);
		while (evictor.set.count < 1000)
			ct_set_make(evictor.pool, &evictor.set, ct.max_bytes / 3 > 0 ? ct.max_bytes / 3 : 1);
	}
	CT_CHECK(
		zpool_get_total_size(evictor.pool) < before + before / 2 + (256u << 10),
		"a pool with 1000 objects held %llu bytes at first, but %llu after 1000 rounds of evicting one and storing another",
		(unsigned long long)before, (unsigned long long)zpool_get_total_size(evictor.pool));
	ct_evictor_close(&evictor);
}

const struct ct_case ct_cases_evict[] = {
	{ "unfreed_object_counts_as_refused",
	  "A callback that returns 0 without freeing the object counts as a refusal.", unfreed_object_counts_as_refused,
	  0 },
	{ "callback_may_free_and_return_an_error", "A callback may free the object and still return an error.",
	  callback_may_free_and_return_an_error, 0 },
	{ "callback_may_free_others", "A callback may free objects other than the one it is asked to evict.",
	  callback_may_free_others, 0 },
	{ "callback_may_free_objects_on_the_same_page",
	  "A callback may free objects on the same page as the one it is asked to evict.",
	  callback_may_free_objects_on_the_same_page, 0 },
	{ "callback_may_allocate", "A callback may allocate objects.", callback_may_allocate, 0 },
	{ "callback_may_replace_the_object", "A callback may free the object and store another in its place.",
	  callback_may_replace_the_object, 0 },
	{ "callback_may_map", "A callback may map the object it is asked to evict, and others.", callback_may_map, 0 },
	{ "callback_may_call_every_function", "A callback may call any function on the pool, including zpool_shrink().",
	  callback_may_call_every_function, 0 },
	{ "mapped_objects_survive_shrink", "zpool_shrink() neither moves nor evicts a mapped object.",
	  mapped_objects_survive_shrink, 0 },
	{ "mapped_objects_do_not_stop_a_shrink",
	  "Mapped objects do not prevent zpool_shrink() from evicting all others.", mapped_objects_do_not_stop_a_shrink,
	  0 },
	{ "half_emptied_pages_are_reused", "The space of evicted objects can be reused.", half_emptied_pages_are_reused,
	  0 },
	{ NULL, NULL, NULL, 0 },
};
