/* SPDX-License-Identifier: MIT
 *
 * zsmalloc - dense: objects of one size class packed into zspages, and packed again by compaction
 *
 * Sizes.  Every size belongs to a class, 16 bytes apart up to a page and a sixty-fourth of their size apart above it.
 * Classes whose zspages would hold the same number of objects are one.
 *
 * A zspage
 *
 *     | handles | slot 0 | slot 1 | ...          | slot n-1 | tail |
 *     page 0         page 1         page 2  ...          page p-1
 *
 * is a run of up to 32 contiguous pages (the chain) cut into equal slots, the length chosen so that little is left at
 * the end.  Slots cross pages as they fall: addresses are contiguous, so map is a pointer and copies nothing.  Objects
 * have no header.  In front stands the slot of the handle table that each object has, four bytes an object, for
 * compaction and eviction need the way back; zspages of up to four slots have that in their record, so that objects of
 * whole pages fit whole pages.  What stands there is checked against the handle table before it is believed, because an
 * overrun of the zspage before may have written there.  Which slots are used is a bitmap in the record, out of reach of
 * any object.
 *
 * Memory comes late and goes early.  A run is address space at first.  Slots are taken lowest first, and a page gets
 * its memory when the first object lies on it; so a class with one object costs a page or two, however long its chain.
 * Compaction takes the memory of single pages back from zspages that stay half-used.
 *
 * Where an object goes: into the fullest zspage of its class that has room (by tenths), so that the emptier ones run
 * empty.  One that is empty goes back, save that a class keeps one of two pages or less: a program that stores and
 * frees one object should not have the page allocator in its loop.
 *
 * Handles are the shared table's: a word with generation, state and location; the location is the number of the zspage
 * and of the slot.  Map pins the word and computes the address from the zspage's record, without a lock.
 *
 * Kept places.  A free leaves slot and handle together, up to seven a class and a sixteenth of its objects: the slot
 * still counts as used in its zspage, the handle's word is dead and keeps the location.  The next malloc of the class
 * takes the last of them, and neither bitmaps, lists nor the back pointer are touched: a pair is two words of the
 * handle table, a record read and one line of the class, with three atomic operations.  The free asks the processor to
 * fetch the object's beginning, for who stores next will write there.  Whatever must know what is free (compaction,
 * eviction, trim, the walk over classes, a class that runs empty) gives the kept places up first, under the class's
 * lock.
 *
 * Compaction (zsmalloc_compact.c) is asked for, or comes by itself: a free that leaves its class with more waste than
 * three pages and a sixteenth of what the class holds moves up to 64 KiB of objects in that class, and leaves it two
 * idle pages at most; a malloc for which the pool grew does so for the next class that wastes so much, and one that
 * finds no memory wherever a page can be won.  A whole compaction also settles what stays (zsmalloc_settle.c): last
 * pages, records, page tables.
 *
 * Eviction (zsmalloc_reclaim.c) takes whole zspages, the one that was stored into longest ago first.
 *
 * Locks: a class's lock guards its zspages, their slots and lists; a record's constant part is read without by who has
 * an object of it pinned.  Behind it stand record_lock, the handle table's and the page allocator's.  No lock is held
 * while the owner is asked to evict; copying under a lock is bounded to 32 KiB a hold, or, where
 * a whole compaction moves one, to a zspage.
 *
 * ZPOOL_GFP_NOWAIT: a free slot that has memory, else a zspage from the reserve; a kept slot of the handle table, else
 * one of a committed group; every lock is only tried.
 *
 * Sources: the kernel's zsmalloc for size classes, zspages and the choice of the fullest; there pages are not
 * contiguous, objects carry headers, and memory comes by whole zspages.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <stdlib.h>
#include <string.h>

#include "zsmalloc.h"

enum { PARAM_CHAIN, PARAM_STEP, PARAM_MAX, PARAM_COMPACT, PARAMS };

static const struct zpool_param zsmalloc_params[PARAMS] = {
	[PARAM_CHAIN] = {
		.key = "chain",
		.help = "pages of a zspage at most; long chains pack large pools denser",
		.default_value = "32",
		.min = 1,
		.max = ZSMALLOC_CHAIN_MAX,
		.type = ZPOOL_PARAM_UINT,
	},
	[PARAM_STEP] = {
		.key = "step",
		.help = "bytes between size classes, rounded up to a multiple of 16",
		.default_value = "16",
		.min = ZSMALLOC_ALIGN_BYTES,
		.max = 1024,
		.type = ZPOOL_PARAM_SIZE,
	},
	[PARAM_MAX] = {
		.key = "max",
		.help = "largest object in bytes",
		.default_value = "64K",
		.min = 1,
		.max = ZSMALLOC_OBJECT_BYTES_MAX,
		.type = ZPOOL_PARAM_SIZE,
	},
	[PARAM_COMPACT] = {
		.key = "compact",
		.help = "compact by itself, inside free and malloc, where much is wasted",
		.default_value = "yes",
		.type = ZPOOL_PARAM_BOOL,
		.flags = ZPOOL_PARAM_RUNTIME,
	},
};

static inline void count(_Atomic(uint64_t) *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A pool's life
 */

static uint64_t value_of(const struct zpool_create_args *args, uint32_t index)
{
	const char *values = (const char *)args->values;

	return ((const struct zpool_value *)(const void *)(values + index * (size_t)args->value_size))->number;
}

static int pool_init(struct zsmalloc_pool *pool, const struct zpool_create_args *args)
{
	int err = zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes);
	if (err)
		return err;
	zsmalloc_records_init(pool);
	err = zp_pages_charge(&pool->pages, sizeof *pool, ZPOOL_GFP_KERNEL);
	if (!err)
		err = zp_handles_init(&pool->handles, &pool->pages, 0, 0);
	if (err)
		goto fini_pages;
	err = zsmalloc_classes_init(pool, (unsigned int)value_of(args, PARAM_CHAIN),
				    (unsigned int)value_of(args, PARAM_STEP));
	if (!err)
		return 0;
	zp_handles_fini(&pool->handles);
fini_pages:
	zp_pages_fini(&pool->pages);
	return err;
}

static int zsmalloc_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zsmalloc_pool *pool = calloc(1, sizeof *pool);
	if (!pool)
		return -ENOMEM;
	pool->host = args->host;
	pool->core = args->core;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	pool->object_bytes_max = value_of(args, PARAM_MAX);
	atomic_init(&pool->auto_compact, value_of(args, PARAM_COMPACT) != 0);
	int err = pool_init(pool, args);
	if (err) {
		free(pool);
		if (err == -ENOMEM && args->limit_bytes)
			args->host->error(
				args->core,
				"No zsmalloc pool could be made within a limit of %llu bytes. Raise the limit.",
				(unsigned long long)args->limit_bytes);
		return err;
	}
	out->pool = pool;
	out->max_object_bytes = pool->object_bytes_max;
	return 0;
}

static void zsmalloc_destroy(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;

	zsmalloc_classes_fini(pool);
	zsmalloc_records_fini(pool);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

/* A slot of the handle table, and a place: what an object needs, taken but not yet published. */
struct place {
	uint32_t handle_slot;
	uint32_t zspage;
	unsigned int slot;
	bool grew; /* the class has a zspage more */
};

/* A slot of the handle table: one of the stock, or some from the table, of which the stock gets the rest. */
static int take_handle_slot(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *slot)
{
	if (zsmalloc_stock_get(class, slot))
		return 0;
	uint32_t fresh[ZSMALLOC_STOCK / 2];
	unsigned int room = ZSMALLOC_STOCK - class->kept_count;
	unsigned int wanted = class->objects < ZSMALLOC_STOCK || room < ZSMALLOC_STOCK / 2 ? 1 : ZSMALLOC_STOCK / 2;
	int got = zp_handles_get(&pool->handles, gfp, fresh, wanted);
	if (got < 0)
		return got;
	while (--got > 0)
		(void)zsmalloc_stock_put(class, fresh[got]);
	*slot = fresh[0];
	return 0;
}

/* A slot in this zspage.  0; -ENOENT: it has no room; or -errno. */
static int take_place_in(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, zpool_gfp_t gfp,
			 struct place *place)
{
	int slot = zsmalloc_slot_find(class, zsmalloc_zspage(pool, number), gfp & ZPOOL_GFP_NOWAIT);

	if (slot < 0)
		return -ENOENT;
	int err = zsmalloc_slot_take(pool, class, number, (unsigned int)slot, place->handle_slot, gfp);
	if (err)
		return err;
	place->zspage = number;
	place->slot = (unsigned int)slot;
	if (pool->evict)
		zsmalloc_zspage_touch(pool, class, number);
	return 0;
}

/*
 * A slot in a zspage that is there: one of the fullest; or, as under NOWAIT room without memory is none, the first in
 * one of the other groups.
 */
static int take_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, struct place *place)
{
	uint32_t groups = class->group_mask & ((1u << ZSMALLOC_FULL) - 1), number = class->spare;
	int err = -ENOENT;

	while (groups && err == -ENOENT) {
		unsigned int group = 31 - (unsigned int)__builtin_clz(groups);

		err = take_place_in(pool, class, class->groups[group], gfp, place);
		groups &= ~(1u << group);
	}
	if (err != -ENOENT || number == ZSMALLOC_NONE)
		return err;
	class->spare = ZSMALLOC_NONE;
	zsmalloc_zspage_list(pool, class, number);
	return take_place_in(pool, class, number, gfp, place);
}

/* Lets the class have another zspage; with the lock held, which is let go meanwhile (never with NOWAIT). */
static int add_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;

	if (!nowait)
		zp_unlock(&class->lock);
	int err = zsmalloc_zspage_create(pool, class, gfp, number);
	if (!nowait)
		zp_lock(&class->lock);
	if (err)
		return err;
	zsmalloc_zspage_join(pool, class, *number);
	zsmalloc_zspage_list(pool, class, *number);
	return 0;
}

/* With the class's lock held. */
static int find_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, struct place *place)
{
	int err = take_handle_slot(pool, class, gfp, &place->handle_slot);
	if (err)
		return err;
	err = take_place(pool, class, gfp, place);
	if (err == -ENOENT) {
		uint32_t number;

		/* Its first slot has memory, and nobody else has had the lock since it was listed. */
		err = add_zspage(pool, class, gfp, &number);
		place->grew = !err;
		if (!err)
			err = take_place_in(pool, class, number, gfp, place);
	}
	if (!err)
		return 0;
	/* While the lock was let go others may have filled the stock. */
	if (!zsmalloc_stock_put(class, place->handle_slot))
		zp_handles_put(&pool->handles, &place->handle_slot, 1);
	return err;
}

static int malloc_failed(struct zsmalloc_pool *pool, int err, bool limit)
{
	count(err == -EAGAIN ? &pool->failed_again : limit ? &pool->failed_limit : &pool->failed_memory);
	return err;
}

/* Lets the lock go. */
static int find_place_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp,
			     struct place *place)
{
	int err = find_place(pool, class, gfp, place);

	zp_unlock(&class->lock);
	return err;
}

/* A place that is not kept.  With the lock held, which is let go. */
static __attribute__((noinline)) int malloc_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class,
						   zpool_gfp_t gfp, unsigned long *handle)
{
	struct place place = { .grew = false };
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);

	int err = find_place_unlock(pool, class, gfp, &place);
	if (err == -ENOMEM && !nowait && zsmalloc_make_room(pool, class->slot_bytes)) {
		zp_lock(&class->lock);
		err = find_place_unlock(pool, class, gfp, &place);
	}
	if (err)
		return malloc_failed(pool, err, !nowait && refusals != zp_pages_limit_refusals(&pool->pages));
	/* Until it is published nobody moves or evicts it. */
	if (gfp & ZPOOL_GFP_ZERO)
		memset(zsmalloc_slot_address(class, zsmalloc_zspage(pool, place.zspage), place.slot), 0,
		       class->slot_bytes);
	*handle = zp_handles_publish(&pool->handles, place.handle_slot, zsmalloc_location(place.zspage, place.slot));
	if (place.grew && !nowait)
		zsmalloc_compact_next(pool);
	return 0;
}

static __attribute__((noinline)) void zero_kept(struct zsmalloc_pool *pool, const struct zsmalloc_class *class,
						uint32_t handle_slot)
{
	uint64_t location = zp_handles_kept_location(&pool->handles, handle_slot);
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));

	memset(zsmalloc_slot_address(class, zspage, zsmalloc_location_slot(location)), 0, class->slot_bytes);
}

/* As a rule the place of the object of its class that was freed last, which the processor still knows. */
static int zsmalloc_malloc(void *pool_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zsmalloc_pool *pool = pool_;

	if (size - 1 >= pool->object_bytes_max)
		return size ? -ENOSPC : -EINVAL;
	struct zsmalloc_class *class = zsmalloc_class_of(pool, size);
	if (!zp_trylock(&class->lock)) {
		if (gfp & ZPOOL_GFP_NOWAIT)
			return malloc_failed(pool, -EAGAIN, false);
		zp_lock_contended(&class->lock);
	}
	if (class->kept_count == 0)
		return malloc_unlock(pool, class, gfp, handle);
	uint32_t handle_slot = class->stock[--class->kept_count];
	class->objects++;
	if (pool->evict)
		zsmalloc_zspage_touch(pool, class,
				      zsmalloc_location_zspage(zp_handles_kept_location(&pool->handles, handle_slot)));
	zp_unlock(&class->lock);
	if (gfp & ZPOOL_GFP_ZERO)
		zero_kept(pool, class, handle_slot);
	*handle = zp_handles_publish_kept(&pool->handles, handle_slot);
	return 0;
}

/*
 * Keeps the place of an object that is being freed for the next one: slot and handle stay as they are, save that the
 * handle is stale.  A zspage under reclaim is to run empty.  With the class's lock held.
 */
static inline bool keep_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class,
			      const struct zsmalloc_zspage *zspage, uint32_t handle_slot)
{
	if (class->kept_count >= ZSMALLOC_KEPT_MAX || class->kept_count > class->objects / ZSMALLOC_KEPT_SHARE ||
	    class->objects <= 1 || !zspage->listed || !zp_handles_recycle(&pool->handles, handle_slot))
		return false;
	if (class->kept_count + class->spare_count == ZSMALLOC_STOCK) {
		/* A place is worth more than a bare slot. */
		uint32_t surplus = 0;

		(void)zsmalloc_stock_get(class, &surplus);
		zp_handles_put(&pool->handles, &surplus, 1);
	}
	class->stock[class->kept_count++] = handle_slot;
	class->objects--;
	return true;
}

/* Without keeping it.  true: the slot of the handle table is still to be given back. */
static bool release_place(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			  uint32_t handle_slot, uint32_t *emptied)
{
	uint32_t number = zsmalloc_location_zspage(location);

	zsmalloc_slot_release(pool, class, number, zsmalloc_location_slot(location));
	if (zsmalloc_zspage(pool, number)->used_slots == 0)
		zsmalloc_zspage_retire(pool, class, number, emptied);
	if (class->kept_count > class->objects / ZSMALLOC_KEPT_SHARE + 1 || class->objects == 0)
		zsmalloc_kept_release(pool, class, emptied);
	if (class->kept_count + class->spare_count == ZSMALLOC_STOCK)
		return true;
	if (zp_handles_end_free_keep(&pool->handles, handle_slot))
		(void)zsmalloc_stock_put(class, handle_slot);
	return false;
}

/* A place that is not kept.  With the lock held, which is let go. */
static __attribute__((noinline)) int free_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class,
						 uint64_t location, uint32_t handle_slot)
{
	uint32_t emptied = ZSMALLOC_NONE;
	bool surplus = release_place(pool, class, location, handle_slot, &emptied);
	bool wants = zsmalloc_wants_compaction(pool, class);

	zp_unlock(&class->lock);
	if (surplus)
		zp_handles_end_free(&pool->handles, handle_slot);
	if (emptied != ZSMALLOC_NONE)
		zsmalloc_zspages_destroy(pool, emptied);
	if (wants)
		zsmalloc_compact_some(pool, class);
	return 0;
}

static __attribute__((cold, noinline)) int handle_refused(struct zsmalloc_pool *pool, int err)
{
	count(&pool->refused_handles);
	return err;
}

static int zsmalloc_free(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location;
	uint32_t handle_slot;

	int err = zp_handles_begin_free(&pool->handles, handle, &handle_slot, &location);
	if (err)
		return handle_refused(pool, err);
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
	struct zsmalloc_class *class = zsmalloc_class(pool, zspage);
	zp_lock(&class->lock);
	if (!keep_place(pool, class, zspage, handle_slot))
		return free_unlock(pool, class, location, handle_slot);
	zsmalloc_slot_prefetch(class, zspage, zsmalloc_location_slot(location));
	zp_unlock(&class->lock);
	return 0;
}

static void *zsmalloc_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location;

	(void)mode;
	int err = zp_handles_pin(&pool->handles, handle, &location);
	if (err) {
		errno = -err;
		return NULL;
	}
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
	return zsmalloc_slot_address(zsmalloc_class(pool, zspage), zspage, zsmalloc_location_slot(location));
}

static int zsmalloc_unmap(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_handles_unpin(&pool->handles, handle);
}

static int64_t zsmalloc_obj_size(void *pool_, unsigned long handle)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t location, before = UINT64_MAX;
	uint32_t bytes = 0;

	/* Nothing keeps the object where it is: what was read is true if it is still there afterwards. */
	for (;;) {
		int err = zp_handles_lookup(&pool->handles, handle, &location);
		if (err)
			return err;
		if (location == before)
			return bytes;
		before = location;
		/* A record that went back meanwhile has no class; then the next look finds another place, or none. */
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
		uint16_t index = atomic_load_explicit(&zspage->class_index, memory_order_relaxed);
		bytes = index < pool->class_count ? pool->classes[index].slot_bytes : 0;
	}
}

struct visit {
	struct zsmalloc_pool *pool;
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long handle, uint64_t location, void *user)
{
	struct visit *visit = user;
	int64_t size = zsmalloc_obj_size(visit->pool, handle);

	(void)location;
	/* Freed since the walk saw it? */
	return size < 0 ? 0 : visit->fn(handle, (size_t)size, visit->user);
}

static int zsmalloc_each_object(void *pool_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zsmalloc_pool *pool = pool_;
	struct visit visit = { pool, fn, user };

	return zp_handles_each(&pool->handles, visit_object, &visit);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool as a whole
 */

static uint64_t zsmalloc_total_size(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;

	return zp_pages_held_bytes(&pool->pages);
}

static int zsmalloc_set(void *pool_, uint32_t index, const struct zpool_value *value)
{
	struct zsmalloc_pool *pool = pool_;

	if (index != PARAM_COMPACT)
		return -EINVAL;
	atomic_store(&pool->auto_compact, value->number != 0);
	return 0;
}

static int zsmalloc_set_limit(void *pool_, uint64_t limit_bytes)
{
	struct zsmalloc_pool *pool = pool_;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	return 0;
}

static int zsmalloc_trim(void *pool_, uint64_t *released)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;

	zsmalloc_drop_kept(pool);
	zsmalloc_records_trim(pool);
	zp_handles_trim(&pool->handles, &ignored);
	zp_pages_trim(&pool->pages, &ignored);
	uint64_t after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	return 0;
}

static void zsmalloc_fork(void *pool_, enum zpool_fork_phase phase)
{
	struct zsmalloc_pool *pool = pool_;

	if (phase == ZPOOL_FORK_PREPARE) {
		for (unsigned int i = 0; i < pool->class_count; i++)
			zp_lock(&pool->classes[i].lock);
		zp_lock(&pool->record_lock);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
		return;
	}
	zp_pages_fork(&pool->pages, phase);
	zp_handles_fork(&pool->handles, phase);
	zp_unlock(&pool->record_lock);
	for (unsigned int i = 0; i < pool->class_count; i++)
		zp_unlock(&pool->classes[i].lock);
}

ZPOOL_DRIVER_DEFINE(zsmalloc, ZPOOL_VERSION, "size classes packed into zspages, compacted and evicted by zspage",
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT | ZPOOL_DRIVER_MOVABLE,
		    .params = zsmalloc_params, .param_count = PARAMS, .max_object_bytes = ZSMALLOC_OBJECT_BYTES_MAX,
		    .alignment_bytes = ZSMALLOC_ALIGN_BYTES, .create = zsmalloc_create, .destroy = zsmalloc_destroy,
		    .malloc = zsmalloc_malloc, .free = zsmalloc_free, .total_size = zsmalloc_total_size,
		    .map = zsmalloc_map, .unmap = zsmalloc_unmap, .shrink = zsmalloc_shrink,
		    .compact = zsmalloc_compact, .obj_size = zsmalloc_obj_size, .stats = zsmalloc_stats,
		    .each_class = zsmalloc_each_class, .each_object = zsmalloc_each_object, .set = zsmalloc_set,
		    .set_limit = zsmalloc_set_limit, .trim = zsmalloc_trim, .fork = zsmalloc_fork,
		    .verify = zsmalloc_verify)
