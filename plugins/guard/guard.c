/* SPDX-License-Identifier: MIT
 *
 * guard - a filter that detects errors of callers
 *
 * It is a layer above any driver that can map objects, and enlarges each object by a red zone on both sides:
 *
 *     | handle 8 | 0xb1 ...  | the caller's bytes, as many as asked for | 0xb2 ...  |
 *     base                   base + front_bytes                                back_bytes
 *
 * The byte directly after the object is watched, whatever sizes the driver rounds to.  The handle is at the outer end
 * of the front zone, where an underrun reaches last.  With it, guard finds its own handle when the lower driver asks to
 * evict one of its handles (if an underrun did overwrite it, guard searches all objects).
 *
 * What is detected, and when
 *
 *     overrun, underrun    a zone has changed: checked at the end of a mapping for writing, at the next first map, at
 *                          free, and when the pool is destroyed
 *     use after unmap      the contents have changed since the last mapping for writing ended, when guard computed a
 *                          checksum: checked at the next first map, at free, and when the pool is destroyed.  Writing
 *                          through a read-only mapping is detected in the same way.
 *     use after free       contents are overwritten with 0x6b before they are freed, so that a later reader notices
 *     double free, stale and foreign handles, free while mapped, unmap of what is not mapped: by the handle table
 *     leaks, maps left     when the pool is destroyed, with the place in the program that stored the objects
 *
 * Calls with a refused handle return errors as usual, with a message that names the case.  Damage is logged as an error
 * and the call continues: the zone is restored and the contents are accepted as they are, so that each damage is
 * reported once.  Everything except leaks adds to the statistics' `errors`.  With abort=yes the first error ends the
 * program, in the thread that met it.
 *
 * Handles are guard's own, from the shared table.  A slot's location holds the requested size, and its payload a record
 * (struct guard_object).  So guard refuses stale handles, and the driver below never sees them.
 *
 * Maps.  The first map of an object checks it, and the last unmap seals it; in between, the caller may change it.
 * These two must not overlap, so one of 64 locks, chosen by the slot, guards the part of the record about maps.  It is
 * held during map and unmap of the driver below and during the checksum.  Nothing else needs a lock: malloc owns a slot
 * that no other thread knows, free owns one that no other thread can reach, and a check of all objects takes them one
 * by one out of the reach of others, as a move would.
 *
 * Limit.  The table has a part of it, and the driver below the rest.  When the table needs more, limit_lock is taken
 * and the driver's limit is lowered; if the driver then holds no more than its part, the table's part grows.
 *
 * Eviction.  guard_evict() maps an object in the driver below to read its handle.  Meanwhile the driver would refuse to
 * free the object, so both happen under one of the locks, chosen by the lower handle.  A callback that does not return
 * is detected by the next call of its thread; see guard_evict.c.
 *
 * Cost: two red zones for each object, 64 bytes in the table, an additional map of the driver below at malloc and at
 * free, and three passes over the contents (checksums at unmap and at free, and the poison).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "create.h"
#include "guard.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_REDZONE, PARAM_POISON, PARAM_CHECKSUM, PARAM_LEAKS, PARAM_ABORT, PARAMS };

#define BOOL_PARAM(key_, help_, default_)                                                                              \
	{                                                                                                              \
		.key = (key_), .help = (help_), .default_value = (default_), .type = ZPOOL_PARAM_BOOL                  \
	}

static const struct zpool_param guard_params[PARAMS] = {
	[PARAM_REDZONE] = {
		.key = "redzone",
		.help = "bytes watched before and after each object; before it, rounded up to a multiple of 16",
		.default_value = "16",
		.min = 16,
		.max = GUARD_ZONE_BYTES_MAX,
		.type = ZPOOL_PARAM_SIZE,
	},
	[PARAM_POISON] = BOOL_PARAM("poison", "overwrite objects with 0x6b when they are freed", "yes"),
	[PARAM_CHECKSUM] = BOOL_PARAM("checksum", "detect writes to objects that are not mapped for writing", "yes"),
	[PARAM_LEAKS] = BOOL_PARAM("leaks", "report the objects that are left when the pool is destroyed, and where they were stored",
				   "yes"),
	[PARAM_ABORT] = BOOL_PARAM("abort", "end the program at the first error", "no"),
};

/* ------------------------------------------------------------------------------------------------------------------
 * Life of a pool
 */

static void take_params(struct guard_pool *pool, const struct zpool_create_args *args)
{
	size_t redzone = (size_t)zp_create_value(args, PARAM_REDZONE)->number;

	pool->front_bytes = (redzone + GUARD_ALIGNMENT_BYTES - 1) & ~(size_t)(GUARD_ALIGNMENT_BYTES - 1);
	pool->back_bytes = redzone;
	memset(pool->front_zone, GUARD_FRONT_BYTE, sizeof(pool->front_zone));
	memset(pool->back_zone, GUARD_BACK_BYTE, sizeof(pool->back_zone));
	pool->poison = zp_create_value(args, PARAM_POISON)->number;
	pool->checksum = zp_create_value(args, PARAM_CHECKSUM)->number;
	pool->leaks = zp_create_value(args, PARAM_LEAKS)->number;
	pool->abort = zp_create_value(args, PARAM_ABORT)->number;
	pool->has_caller = args->host->struct_size >= offsetof(struct zpool_host, malloc_caller) + sizeof(void *) &&
			   args->host->malloc_caller;
}

/*
 * Checks that guard can be a layer above the lower driver, and computes how much of the largest object is left for the
 * caller.
 */
static int take_lower(struct guard_pool *pool, struct zpool_created *out)
{
	const struct zp_filter *filter = &pool->filter;
	size_t zones = pool->front_bytes + pool->back_bytes;

	if (!filter->lower.driver->map || !filter->lower.driver->unmap) {
		filter->host->error(
			filter->core,
			"Filter \"guard\" needs a driver that can map objects, but \"%s\" can only copy them.",
			filter->lower.driver->type);
		return -EOPNOTSUPP;
	}
	if (filter->lower.max_object_bytes <= zones) {
		filter->host->error(
			filter->core,
			"The red zones of filter \"guard\" take %zu bytes, but the largest object of \"%s\" has %zu. Choose a smaller redzone.",
			zones, filter->lower.driver->type, filter->lower.max_object_bytes);
		return -EINVAL;
	}
	out->max_object_bytes = filter->lower.max_object_bytes - zones;
	if (out->alignment_bytes > GUARD_ALIGNMENT_BYTES)
		out->alignment_bytes = GUARD_ALIGNMENT_BYTES;
	/* Guard implements these itself. */
	out->caps |= ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_OBJECTS | ZPOOL_CAP_STATS;
	/* malloc maps the new object to write its zones, and filters (trace, another guard) have a lock for that. */
	pool->nowait = !(filter->lower.caps & ZPOOL_CAP_FILTER);
	if (!pool->nowait)
		out->caps &= ~(uint32_t)ZPOOL_CAP_NOWAIT;
	return 0;
}

static void init_locks(struct guard_pool *pool)
{
	zp_lock_init(&pool->limit_lock);
	zp_lock_rank(&pool->limit_lock, GUARD_RANK_LIMIT, 0, &pool->pages);
	zp_lock_init(&pool->evictions_lock);
	zp_lock_rank(&pool->evictions_lock, GUARD_RANK_EVICTIONS, 0, &pool->pages);
	for (unsigned int i = 0; i < GUARD_LOCKS; i++) {
		zp_lock_init(&pool->locks[i]);
		zp_lock_rank(&pool->locks[i], GUARD_RANK_OBJECTS, i, &pool->pages);
	}
}

static int guard_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct guard_pool *pool = calloc(1, sizeof(*pool));
	int err;

	if (!pool)
		return -ENOMEM;
	take_params(pool, args);
	init_locks(pool);
	err = zp_filter_init(&pool->filter, args, out, guard_evict);
	if (err)
		goto free_pool;
	err = take_lower(pool, out);
	if (err)
		goto fini_filter;
	err = zp_pages_init(&pool->pages, args->page_source, args->node, 0);
	if (err)
		goto fini_filter;
	err = zp_pages_charge(&pool->pages, sizeof(*pool), ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(&pool->handles, &pool->pages, sizeof(struct guard_object), 0);
	if (err)
		goto fini_pages;
	err = guard_set_limit(pool, args->limit_bytes);
	if (err)
		goto fini_handles;
	out->pool = pool;
	return 0;

fini_handles:
	zp_handles_fini(&pool->handles);
fini_pages:
	zp_pages_fini(&pool->pages);
fini_filter:
	zp_filter_fini(&pool->filter);
free_pool:
	free(pool);
	return err;
}

static void guard_destroy(void *pool_)
{
	struct guard_pool *pool = pool_;
	uint64_t errors;

	guard_report_evictions(pool);
	guard_check_all(pool, "zpool_destroy_pool()");
	guard_report_leaks(pool);
	errors = atomic_load(&pool->errors);
	if (errors)
		pool->filter.host->log(pool->filter.core, ZPOOL_LOG_WARNING,
				       "%llu error%s found while the pool existed.", (unsigned long long)errors,
				       errors == 1 ? " was" : "s were");
	zp_filter_fini(&pool->filter);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

static void note_peak(struct guard_pool *pool, uint64_t now)
{
	uint64_t peak = atomic_load_explicit(&pool->peak_bytes, memory_order_relaxed);

	while (peak < now && !atomic_compare_exchange_weak_explicit(&pool->peak_bytes, &peak, now, memory_order_relaxed,
								    memory_order_relaxed))
		continue;
}

static int guard_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct guard_pool *pool = pool_;
	struct guard_object *object;
	unsigned long below = 0, own;
	uint32_t slot;
	int err;

	if ((gfp & ZPOOL_GFP_NOWAIT) && !pool->nowait) {
		atomic_fetch_add_explicit(&pool->failed_memory, 1, memory_order_relaxed);
		return -ENOMEM;
	}
	if (!(gfp & ZPOOL_GFP_NOWAIT))
		guard_look_for_lost_evictions(pool);
	err = guard_get_slot(pool, gfp, &slot);
	if (err)
		return err;
	own = zp_handle_make(
		&pool->handles, slot,
		zp_word_generation(atomic_load_explicit(zp_handles_word(&pool->handles, slot), memory_order_relaxed)));
	err = guard_store_below(pool, own, size, gfp, &below);
	if (err) {
		if (gfp & ZPOOL_GFP_NOWAIT)
			guard_drop_slot(pool, slot);
		else
			guard_put_slot(pool, slot);
		return err;
	}
	object = guard_object(pool, slot);
	atomic_store_explicit(&object->below, below, memory_order_relaxed);
	object->caller = pool->has_caller ? pool->filter.host->malloc_caller(pool->filter.core) : NULL;
	object->base = NULL;
	object->maps = 0;
	object->writing = false;
	object->sealed = false;
	object->never_mapped = true;
	atomic_fetch_add_explicit(&pool->stored_bytes, size, memory_order_relaxed);
	note_peak(pool, guard_total_size(pool));
	*handle = zp_handles_publish(&pool->handles, slot, size);
	return 0;
}

static int guard_free(void *pool_, unsigned long handle)
{
	struct guard_pool *pool = pool_;
	const struct zpool_lower *lower = &pool->filter.lower;
	struct guard_object *object;
	unsigned long below;
	uint32_t slot;
	uint64_t size;
	char *base;
	int err;

	guard_look_for_lost_evictions(pool);
	err = zp_handles_begin_free(&pool->handles, handle, &slot, &size);
	if (err) {
		guard_refuse(pool, handle, GUARD_FREE, err);
		return err;
	}
	object = guard_object(pool, slot);
	below = atomic_load_explicit(&object->below, memory_order_relaxed);
	base = lower->driver->map(lower->pool, below, ZPOOL_MM_RW);
	if (base) {
		__builtin_prefetch(base + pool->front_bytes + size);
		(void)guard_check(pool, base, handle, size, object, "zpool_free()");
		if (pool->poison)
			memset(base + pool->front_bytes, GUARD_POISON_BYTE, size);
		(void)lower->driver->unmap(lower->pool, below);
	}
	atomic_store_explicit(&object->below, 0, memory_order_relaxed);
	err = guard_free_below(pool, below);
	if (err)
		guard_report(pool, "driver \"%s\" refuses to free handle 0x%lx of its own: %s.", lower->driver->type,
			     below, strerror(-err));
	atomic_fetch_sub_explicit(&pool->stored_bytes, size, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->frees, 1, memory_order_relaxed);
	guard_note_free(pool, handle);
	if (zp_handles_end_free(&pool->handles, slot))
		guard_put_slot(pool, slot);
	return 0;
}

static void *guard_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct guard_pool *pool = pool_;
	const struct zpool_lower *lower = &pool->filter.lower;
	uint32_t slot = zp_handle_slot(handle);
	struct guard_object *object;
	uint64_t size;
	char *base;
	int err;

	guard_look_for_lost_evictions(pool);
	err = zp_handles_pin(&pool->handles, handle, &size);
	if (err) {
		guard_refuse(pool, handle, GUARD_MAP, err);
		errno = -err;
		return NULL;
	}
	object = guard_object(pool, slot);
	zp_lock(guard_lock(pool, slot));
	/* Write-only maps are for the caller, but guard also reads the zones. */
	base = lower->driver->map(lower->pool, atomic_load_explicit(&object->below, memory_order_relaxed),
				  mode == ZPOOL_MM_RO ? ZPOOL_MM_RO : ZPOOL_MM_RW);
	if (!base) {
		err = errno;
		zp_unlock(guard_lock(pool, slot));
		(void)zp_handles_unpin(&pool->handles, handle);
		errno = err;
		return NULL;
	}
	/* The zones of an object that was just stored cannot have changed. */
	if (object->maps++ == 0 && !object->never_mapped)
		(void)guard_check(pool, base, handle, size, object, "zpool_map_handle()");
	object->base = base;
	object->never_mapped = false;
	if (mode != ZPOOL_MM_RO) {
		object->writing = true;
		object->sealed = false;
	}
	zp_unlock(guard_lock(pool, slot));
	return base + pool->front_bytes;
}

/* The last mapping ends, and what was written is now to stay.  The slot's lock is held. */
static void seal(struct guard_pool *pool, unsigned long handle, size_t size, struct guard_object *object)
{
	if (!object->writing)
		return;
	(void)guard_check(pool, object->base, handle, size, object, "zpool_unmap_handle()");
	object->writing = false;
	if (!pool->checksum)
		return;
	atomic_store_explicit(&object->checksum, guard_checksum(object->base + pool->front_bytes, size),
			      memory_order_relaxed);
	object->sealed = true;
}

static int guard_unmap(void *pool_, unsigned long handle)
{
	struct guard_pool *pool = pool_;
	const struct zpool_lower *lower = &pool->filter.lower;
	uint32_t slot = zp_handle_slot(handle);
	struct guard_object *object;
	uint64_t size;

	if (slot >= zp_handles_slots(&pool->handles))
		goto refuse;
	object = guard_object(pool, slot);
	zp_lock(guard_lock(pool, slot));
	/* While the object is mapped, it can be neither freed nor moved to another slot. */
	if (zp_handles_lookup(&pool->handles, handle, &size) || !object->maps) {
		zp_unlock(guard_lock(pool, slot));
		goto refuse;
	}
	if (--object->maps == 0)
		seal(pool, handle, size, object);
	(void)lower->driver->unmap(lower->pool, atomic_load_explicit(&object->below, memory_order_relaxed));
	zp_unlock(guard_lock(pool, slot));
	return zp_handles_unpin(&pool->handles, handle);

refuse:
	guard_refuse(pool, handle, GUARD_UNMAP, -EINVAL);
	return -EINVAL;
}

static int64_t guard_obj_size(void *pool_, unsigned long handle)
{
	struct guard_pool *pool = pool_;
	uint64_t size;
	int err = zp_handles_lookup(&pool->handles, handle, &size);

	if (err)
		guard_refuse(pool, handle, GUARD_OBJ_SIZE, err);
	return err ? err : (int64_t)size;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool as a whole
 */

static int guard_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	guard_look_for_lost_evictions(pool);
	return zp_filter_shrink(pool, pages, reclaimed);
}

/* Returns the maximum of `count` and the values shown before. */
static uint64_t show(_Atomic(uint64_t) *shown, uint64_t count)
{
	return guard_raise(shown, count) ? count : atomic_load(shown);
}

/*
 * The driver below has counted the first try of each malloc that was tried twice, though the caller never saw that
 * failure.  It may also have counted the first try of a malloc that has not ended yet.  Such tries are subtracted, so
 * that the result is never more than the failures callers saw, and never decreases; it is exact when no malloc is
 * running.  The driver's counters were read before, because a malloc that has ended since then has added its retry.
 */
static void leave_out_first_tries(struct guard_pool *pool, struct zpool_stats *stats)
{
	uint64_t undecided = atomic_load(&pool->undecided);
	uint64_t tries = undecided + atomic_load(&pool->retries);
	uint64_t at_limit = tries < stats->malloc_failed_limit ? tries : stats->malloc_failed_limit;
	uint64_t others = tries - at_limit;

	others = others < stats->malloc_failed_memory ? others : stats->malloc_failed_memory;
	stats->malloc_failed_limit = show(&pool->shown_limit, stats->malloc_failed_limit - at_limit);
	stats->malloc_failed_memory = show(&pool->shown_memory, stats->malloc_failed_memory - others);
}

static int guard_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct guard_pool *pool = pool_;
	const struct zpool_lower *lower = &pool->filter.lower;
	struct zpool_stats now = { 0 };
	int err = lower->caps & ZPOOL_CAP_STATS ? lower->driver->stats(lower->pool, &now, sizeof(now)) : 0;
	uint64_t taken, kept;

	if (err)
		return err;
	taken = zp_handles_taken(&pool->handles);
	kept = guard_kept_slots(pool);
	/* Other threads may keep a slot between the two counts. */
	now.objects = taken > kept ? taken - kept : 0;
	now.stored_bytes = atomic_load_explicit(&pool->stored_bytes, memory_order_relaxed);
	/* The pool may shrink or grow meanwhile; the peak is at least what is reported. */
	now.pool_bytes = guard_total_size(pool);
	note_peak(pool, now.pool_bytes);
	now.pool_bytes_peak = atomic_load_explicit(&pool->peak_bytes, memory_order_relaxed);
	now.mapped_handles = zp_handles_mapped(&pool->handles);
	leave_out_first_tries(pool, &now);
	now.malloc_failed_limit += atomic_load_explicit(&pool->failed_limit, memory_order_relaxed);
	now.malloc_failed_again += atomic_load_explicit(&pool->failed_again, memory_order_relaxed);
	now.malloc_failed_memory += atomic_load_explicit(&pool->failed_memory, memory_order_relaxed);
	now.errors += atomic_load_explicit(&pool->errors, memory_order_relaxed);
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}

struct object_visit {
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long handle, uint64_t size, void *user)
{
	const struct object_visit *visit = user;

	return visit->fn(handle, size, visit->user);
}

static int guard_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct guard_pool *pool = pool_;
	struct object_visit visit = { fn, user };

	return zp_handles_each(&pool->handles, visit_object, &visit);
}

static void guard_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct guard_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pool->limit_lock);
		zp_lock(&pool->evictions_lock);
		for (int i = 0; i < GUARD_LOCKS; i++)
			zp_lock(&pool->locks[i]);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
		for (int i = 0; i < GUARD_LOCKS; i++)
			zp_unlock(&pool->locks[i]);
		if (phase == ZPOOL_FORK_CHILD) {
			guard_forget_evictions_of_others(pool);
			/* Mallocs of the parent's other threads never end in the child. */
			atomic_store(&pool->undecided, 0);
		}
		zp_unlock(&pool->evictions_lock);
		zp_unlock(&pool->limit_lock);
	}
}

/* Checks the pool's own records.  Damage by callers is logged, and does not count as damage of the pool. */
static int guard_verify(void *pool_)
{
	struct guard_pool *pool = pool_;
	const char *fault = zp_handles_verify(&pool->handles);

	if (!fault)
		fault = zp_pages_verify(&pool->pages);
	if (!fault) {
		guard_check_all(pool, "a check of all objects");
		return 0;
	}
	pool->filter.host->error(pool->filter.core, "The records of filter \"guard\" are damaged: %s.", fault);
	return -EUCLEAN;
}

ZPOOL_DRIVER_DEFINE(guard, ZPOOL_VERSION, "filter: finds overruns, stale handles, leaks and similar errors",
		    .flags_required = ZPOOL_DRIVER_FILTER, .flags_ignorable = ZP_FILTER_FLAGS, .params = guard_params,
		    .param_count = PARAMS, .max_object_bytes = ZP_FILTER_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZP_FILTER_ALIGNMENT_BYTES, .create = guard_create, .destroy = guard_destroy,
		    .malloc = guard_malloc, .free = guard_free, .total_size = guard_total_size, .map = guard_map,
		    .unmap = guard_unmap, .shrink = guard_shrink, .compact = guard_compact, .obj_size = guard_obj_size,
		    .stats = guard_stats, .each_object = guard_each_object, .set_limit = guard_set_limit,
		    .trim = guard_trim, .fork = guard_fork, .verify = guard_verify)
