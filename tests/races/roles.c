/* SPDX-License-Identifier: MIT
 *
 * roles.c - what actors do to one pool
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "races.h"

enum { BATCH = 16, BURST = 96, COMPACT_CALLS = 50 };

void nap(struct ct_rng *rng, unsigned int microseconds)
{
	struct timespec pause = { .tv_nsec = (long)ct_rng_below(rng, microseconds) * 1000 };
	int state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)nanosleep(&pause, NULL);
	(void)pthread_setcancelstate(state, &state);
}

static void step_work(struct place *place, struct ct_rng *rng)
{
	for (int i = 0; i < BATCH; i++) {
		uint64_t choice = ct_rng_below(rng, 100);

		if (choice < 35)
			(void)object_store(place);
		else if (choice < 65)
			(void)object_free(place);
		else if (choice < 85)
			(void)object_verify(place);
		else
			(void)object_rewrite(place);
	}
}

static void step_misuse(struct place *place, struct ct_rng *rng)
{
	const struct place *other = &races.places[ct_rng_below(rng, races.place_count)];
	unsigned long foreign = atomic_load_explicit(&other->objects[ct_rng_below(rng, races.object_count)].handle,
						     memory_order_relaxed);
	unsigned long handle;
	int err;

	(void)object_misuse(place);
	if (foreign && other != place)
		races_check(!CALL(zpool_map_handle(place->pool, foreign, ZPOOL_MM_RO)),
			    "%s: handle %#lx of another pool was mapped", place->spec, foreign);
	races_check(CALL(zpool_malloc(place->pool, 0, ZPOOL_GFP_KERNEL, &handle)) == -EINVAL,
		    "%s: an object of 0 bytes was not refused", place->spec);
	err = CALL(zpool_malloc(place->pool, SIZE_MAX / 2, ZPOOL_GFP_KERNEL, &handle));
	races_check(err == -ENOSPC || err == -ENOMEM, "%s: malloc of half the address space: %d", place->spec, err);
	races_check(CALL(zpool_malloc(place->pool, 1, 1u << 30, &handle)) == -EINVAL, "%s: unknown flags were accepted",
		    place->spec);
}

static void step_hold(struct place *place, struct ct_rng *rng)
{
	(void)rng;
	objects_hold(place);
}

/* Stores or frees many objects at once, so that the pool takes and releases memory. */
static void step_burst(struct place *place, struct ct_rng *rng)
{
	bool store = ct_rng_below(rng, 2);

	for (int i = 0; i < BURST; i++)
		(void)(store ? object_store(place) : object_free(place));
	if (!store && ct_rng_below(rng, 2))
		(void)CALL(zpool_trim(place->pool, NULL));
}

static void step_shrink(struct place *place, struct ct_rng *rng)
{
	unsigned int pages = 1 + (unsigned int)ct_rng_below(rng, 16), reclaimed = 0;
	int err = CALL(zpool_shrink(place->pool, pages, &reclaimed));

	races_check(err == 0 || err == -EINVAL || err == -EAGAIN, "%s: shrink: %d (%s)", place->spec, err,
		    zpool_last_error());
	races_check(err || reclaimed >= pages, "%s: shrink succeeded with %u of %u pages", place->spec, reclaimed,
		    pages);
}

static void step_compact(struct place *place, struct ct_rng *rng)
{
	uint64_t bytes = ct_rng_below(rng, 3) ? ct_rng_below(rng, 1 << 18) : 0;
	uint64_t ns = ct_rng_below(rng, 3) ? 0 : 1 + ct_rng_below(rng, 100000);
	int result = 1;

	for (int i = 0; i < COMPACT_CALLS && result == 1; i++) {
		result = CALL(zpool_compact(place->pool, bytes, ns, NULL));
		races_check(result == 0 || result == 1 || result == -EOPNOTSUPP, "%s: compact: %d (%s)", place->spec,
			    result, zpool_last_error());
	}
}

static void step_tune(struct place *place, struct ct_rng *rng)
{
	uint64_t total = CALL(zpool_get_total_size(place->pool)), limit = 0;

	if (place->limited && ct_rng_below(rng, 2))
		limit = ct_rng_below(rng, 2 * total + 1);
	races_check(CALL(zpool_set_limit(place->pool, limit)) == 0, "%s: set_limit: %s", place->spec,
		    zpool_last_error());
	(void)CALL(zpool_set_param(place->pool, "limit", place->limited ? "1M" : "0"));
	(void)CALL(zpool_set_param(place->pool, "compact", ct_rng_below(rng, 2) ? "yes" : "no"));
	races_check(CALL(zpool_set_param(place->pool, "no_such_key", "1")) == -EINVAL,
		    "%s: an unknown key was accepted", place->spec);
	(void)CALL(zpool_trim(place->pool, NULL));
}

static int see_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct place *place = user;

	(void)pool;
	if (races.may_cancel)
		pthread_testcancel();
	for (unsigned int i = 0; i < races.object_count; i++) {
		struct object *object = &place->objects[i];

		if (atomic_load_explicit(&object->handle, memory_order_relaxed) != handle || !object_try_read(object))
			continue;
		/*
		 * The walk may have read the size before the object was freed and replaced.  Then the handle differs.
		 */
		if (atomic_load_explicit(&object->handle, memory_order_relaxed) == handle) {
			races_check(size >= object->size, "%s: the walk reported %zu bytes for an object of %zu",
				    place->spec, size, object->size);
			object_check(place, object);
		}
		object_end_read(object);
	}
	return ct_rng_below(&self->rng, 200) == 0;
}

static int see_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	struct place *place = user;

	races_check(size >= sizeof(*stats) && stats->object_bytes > 0, "%s: a class without a size", place->spec);
	return 0;
}

static void step_walk(struct place *place, struct ct_rng *rng)
{
	struct zpool_stats stats;

	if (ct_rng_below(rng, 2)) {
		(void)CALL(zpool_each_object(place->pool, see_object, place));
		return;
	}
	(void)CALL(zpool_each_class(place->pool, see_class, place));
	if (CALL(zpool_get_stats(place->pool, &stats, sizeof(stats))) == 0)
		races_check(stats.pool_bytes <= stats.pool_bytes_peak, "%s: %llu bytes, and a peak of %llu",
			    place->spec, (unsigned long long)stats.pool_bytes,
			    (unsigned long long)stats.pool_bytes_peak);
	(void)CALL(zpool_evictable(place->pool));
	(void)CALL(zpool_max_object_size(place->pool));
	races_check(CALL(zpool_get_spec(place->pool)) != NULL, "%s: no spec", place->spec);
}

const struct role roles[] = {
	{ "work", 400, true, step_work },       { "hold", 120, true, step_hold },
	{ "burst", 80, true, step_burst },      { "shrink", 60, true, step_shrink },
	{ "compact", 60, true, step_compact },  { "tune", 40, true, step_tune },
	{ "walk", 40, true, step_walk },        { "misuse", 30, true, step_misuse },
	{ "replace", 40, false, step_replace }, { "private", 50, false, step_private },
	{ "load", 20, false, step_load },       { "log", 10, false, step_log },
	{ "dump", 20, false, step_dump },       { "register", 20, false, step_register },
	{ "fork", 10, true, step_fork },
};
const unsigned int role_count = sizeof(roles) / sizeof(roles[0]);
