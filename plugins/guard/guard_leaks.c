/* SPDX-License-Identifier: MIT
 *
 * guard_leaks.c - work on all objects: checking them, and reporting those that are left when the pool is destroyed
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "guard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------------------------------------
 * Checking all
 */

struct check_visit {
	struct guard_pool *pool;
	const char *when;
};

static int check_object(unsigned long handle, uint64_t size_seen, void *user)
{
	const struct check_visit *visit = user;
	struct guard_pool *pool = visit->pool;
	const struct zpool_lower *lower = &pool->filter.lower;
	uint32_t slot = zp_handle_slot(handle);
	struct guard_object *object = guard_object(pool, slot);
	uint64_t size;
	char *base;

	(void)size_seen;
	/*
	 * Other threads that need the object wait during a move.  A pin would not do, because they would find the
	 * object mapped.  The lock keeps fork() out: in the child, the move would never end.
	 */
	zp_lock(guard_lock(pool, slot));
	if (zp_handles_begin_move(&pool->handles, slot, &size)) {
		zp_unlock(guard_lock(pool, slot));
		return 0;
	}
	base = lower->driver->map(lower->pool, atomic_load(&object->below), ZPOOL_MM_RO);
	if (base) {
		/* The slot may have another object now than when it was visited. */
		handle = zp_handle_make(&pool->handles, slot,
					zp_word_generation(atomic_load(zp_handles_word(&pool->handles, slot))));
		(void)guard_check(pool, base, handle, size, object, visit->when);
		(void)lower->driver->unmap(lower->pool, atomic_load(&object->below));
	}
	zp_handles_end_move(&pool->handles, slot, size);
	zp_unlock(guard_lock(pool, slot));
	return 0;
}

void guard_check_all(struct guard_pool *pool, const char *when)
{
	struct check_visit visit = { pool, when };

	(void)zp_handles_each(&pool->handles, check_object, &visit);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Leaks, by who stored them
 */

enum { LEAK_PLACES = 64, LEAK_PLACES_TOLD = 20 };

struct leak_place {
	const void *caller;
	uint64_t objects;
	uint64_t bytes;
	unsigned long handle; /* handle of one of them */
};

struct leaks {
	struct guard_pool *pool;
	struct leak_place places[LEAK_PLACES];
	size_t place_count;
	uint64_t objects, bytes, mapped;
};

static int count_leak(unsigned long handle, uint64_t size, void *user)
{
	struct leaks *leaks = user;
	const struct guard_object *object = guard_object(leaks->pool, zp_handle_slot(handle));
	struct leak_place *place = NULL;

	for (size_t i = 0; i < leaks->place_count && !place; i++)
		if (leaks->places[i].caller == object->caller)
			place = &leaks->places[i];
	if (!place && leaks->place_count < LEAK_PLACES) {
		place = &leaks->places[leaks->place_count++];
		*place = (struct leak_place){ object->caller, 0, 0, handle };
	}
	if (place) {
		place->objects++;
		place->bytes += size;
	}
	leaks->objects++;
	leaks->bytes += size;
	leaks->mapped += object->maps > 0;
	return 0;
}

static int more_bytes_first(const void *a, const void *b)
{
	const struct leak_place *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void log_places(const struct zp_filter *filter, const struct leaks *leaks)
{
	uint64_t objects = leaks->objects, bytes = leaks->bytes;
	char where[256];

	for (size_t i = 0; i < leaks->place_count && i < LEAK_PLACES_TOLD; i++) {
		const struct leak_place *place = &leaks->places[i];

		filter->host->log(
			filter->core, ZPOOL_LOG_WARNING,
			"leak: %" PRIu64 " object%s of %" PRIu64 " byte%s, such as handle 0x%lx, stored by %s.",
			place->objects, ZPOOL_PLURAL(place->objects), place->bytes, ZPOOL_PLURAL(place->bytes),
			place->handle, guard_where(place->caller, where, sizeof(where)));
		objects -= place->objects;
		bytes -= place->bytes;
	}
	if (objects)
		filter->host->log(filter->core, ZPOOL_LOG_WARNING,
				  "leak: %" PRIu64 " object%s of %" PRIu64
				  " byte%s, stored by code that is not named above.",
				  objects, ZPOOL_PLURAL(objects), bytes, ZPOOL_PLURAL(bytes));
}

void guard_report_leaks(struct guard_pool *pool)
{
	struct leaks *leaks = calloc(1, sizeof(*leaks));
	const struct zp_filter *filter = &pool->filter;
	uint64_t mapped;

	if (!leaks)
		return;
	leaks->pool = pool;
	(void)zp_handles_each(&pool->handles, count_leak, leaks);
	qsort(leaks->places, leaks->place_count, sizeof(leaks->places[0]), more_bytes_first);
	if (pool->leaks && leaks->objects) {
		filter->host->log(filter->core, ZPOOL_LOG_WARNING,
				  "leak: %" PRIu64 " object%s of %" PRIu64 " byte%s %s left at the end of the pool.",
				  leaks->objects, ZPOOL_PLURAL(leaks->objects), leaks->bytes,
				  ZPOOL_PLURAL(leaks->bytes), leaks->objects == 1 ? "is" : "are");
		log_places(filter, leaks);
	}
	mapped = leaks->mapped;
	free(leaks);
	if (!mapped)
		return;
	/* Last, because it may not return.  Without abort it is only a warning, because every driver allows it. */
	atomic_fetch_add_explicit(&pool->errors, mapped, memory_order_relaxed);
	filter->host->log(filter->core, pool->abort ? ZPOOL_LOG_ERROR : ZPOOL_LOG_WARNING,
			  "map balance: %" PRIu64 " object%s still mapped at the end of the pool.", mapped,
			  mapped == 1 ? " is" : "s are");
	if (pool->abort)
		abort();
}
