/* SPDX-License-Identifier: MIT
 *
 * mock_slabs.c - a test driver that compacts, evicts several pages at once, and reports statistics and size classes
 *
 * A slab is a run of five pages: a header, and 16 KiB divided into equal slots.  The size classes are powers of two
 * from 256 to 4096 bytes.  Each class has lists of its slabs by the number of used slots, and another list has all
 * slabs in the order of their last allocation.  A location is the slab's first page and the slot.  One lock guards
 * everything; only map takes no lock.
 */
#include "mock_slabs.h"
#include "mocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "handles.h"

_Static_assert(SLABS_DATA_BYTES >> SLABS_CLASS_SHIFT <= SLABS_SLOTS_MAX, "a location has room for every slot");

#define SLABS_NO_PAGE UINT32_MAX

struct slab {
	struct zp_list in_class;
	struct zp_list in_order;
	uint32_t pgno;
	unsigned int class;
	unsigned int used;
	bool under_reclaim; /* on no list; freeing its last object leaves the slab to the reclaiming thread */
	unsigned long handles[SLABS_SLOTS_MAX];
};

_Static_assert(sizeof(struct slab) <= SLABS_HEADER_BYTES, "the header has room for the handles");

struct slabs_pool {
	struct zp_handles handles;
	struct zp_pages pages;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	struct zp_lock lock;
	struct zp_list classes[SLABS_CLASSES][SLABS_SLOTS_MAX + 1];
	struct zp_list order; /* the slab of the latest malloc comes first */
	uint64_t objects, stored_bytes, slabs;
	struct zpool_stats counted; /* the members that never decrease */
	_Atomic(uint64_t) failed_limit, failed_memory;
};

static size_t class_bytes(unsigned int class)
{
	return (size_t)1 << (class + SLABS_CLASS_SHIFT);
}

static unsigned int class_slots(unsigned int class)
{
	return (unsigned int)(SLABS_DATA_BYTES / class_bytes(class));
}

static struct slab *slab_at(struct slabs_pool *pool, uint64_t location)
{
	return zp_pages_address(&pool->pages, (uint32_t)(location >> SLABS_SLOT_BITS));
}

static char *slot_address(struct slab *slab, uint64_t location)
{
	return (char *)slab + SLABS_HEADER_BYTES + (location & (SLABS_SLOTS_MAX - 1)) * class_bytes(slab->class);
}

static void slab_enter(struct slabs_pool *pool, struct slab *slab)
{
	zp_list_add(&slab->in_class, &pool->classes[slab->class][slab->used]);
	zp_list_add(&slab->in_order, &pool->order);
}

/* Counts one used slot more, or less, of a slab that is on the lists. */
static void slab_count(struct slabs_pool *pool, struct slab *slab, int change)
{
	zp_list_del(&slab->in_class);
	slab->used += (unsigned int)change;
	zp_list_add(&slab->in_class, &pool->classes[slab->class][slab->used]);
}

static void slab_leave(struct slab *slab)
{
	zp_list_del(&slab->in_class);
	zp_list_del(&slab->in_order);
}

static int slabs_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct slabs_pool *pool = calloc(1, sizeof(*pool));
	int err = pool ? zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes) : -ENOMEM;

	if (!err) {
		err = zp_handles_init(&pool->handles, &pool->pages, 0, 0);
		if (err)
			zp_pages_fini(&pool->pages);
	}
	if (err) {
		free(pool);
		return err;
	}
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	zp_lock_init(&pool->lock);
	zp_list_init(&pool->order);
	for (unsigned int i = 0; i < SLABS_CLASSES * (SLABS_SLOTS_MAX + 1); i++)
		zp_list_init(&pool->classes[0][0] + i);
	out->pool = pool;
	return 0;
}

static void slabs_destroy(void *context)
{
	struct slabs_pool *pool = context;

	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

/* ---- Objects ---- */

/* Returns the fullest slab of a class that has a free slot, except the one at a page; NULL: none.  The lock is held. */
static struct slab *slab_with_room(struct slabs_pool *pool, unsigned int class, uint32_t but)
{
	struct zp_list *link;

	for (unsigned int used = class_slots(class); used-- > 0;)
		zp_list_for_each (link, &pool->classes[class][used])
			if (zp_list_entry(link, struct slab, in_class)->pgno != but)
				return zp_list_entry(link, struct slab, in_class);
	return NULL;
}

static uint64_t slab_free_slot(const struct slab *slab)
{
	unsigned int slot = 0;

	while (slab->handles[slot] != 0)
		slot++;
	return (uint64_t)slab->pgno << SLABS_SLOT_BITS | slot;
}

static int slab_make(struct slabs_pool *pool, unsigned int class, zpool_gfp_t gfp, struct slab **made)
{
	struct slab *slab;
	uint32_t pgno;
	int err = zp_pages_get(&pool->pages, SLABS_PAGES, gfp, &pgno);

	if (err)
		return err;
	slab = zp_pages_address(&pool->pages, pgno);
	memset(slab, 0, sizeof(*slab));
	slab->pgno = pgno;
	slab->class = class;
	*made = slab;
	return 0;
}

static int take_object(struct slabs_pool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct slab *slab, *fresh = NULL;
	unsigned int class = 0;
	uint64_t location = 0;
	uint32_t index;
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT)
		return -ENOMEM;
	while (class_bytes(class) < size)
		class ++;
	err = zp_handles_bind(&pool->handles, gfp, &index, 1);
	if (err < 0)
		return err;
	zp_lock(&pool->lock);
	slab = slab_with_room(pool, class, SLABS_NO_PAGE);
	if (!slab) {
		zp_unlock(&pool->lock);
		err = slab_make(pool, class, gfp, &fresh);
		if (err) {
			zp_handles_unbind(&pool->handles, &index, 1);
			return err;
		}
		slab = fresh;
		zp_lock(&pool->lock);
		pool->slabs++;
	} else {
		slab_leave(slab);
	}
	location = slab_free_slot(slab);
	slab->used++;
	slab_enter(pool, slab);
	if (gfp & ZPOOL_GFP_ZERO)
		memset(slot_address(slab, location), 0, class_bytes(class));
	pool->objects++;
	pool->stored_bytes += class_bytes(class);
	*handle = zp_handles_publish(&pool->handles, index, location);
	slab->handles[location & (SLABS_SLOTS_MAX - 1)] = *handle;
	zp_unlock(&pool->lock);
	return 0;
}

static int slabs_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct slabs_pool *pool = context;
	uint64_t refusals = zp_pages_limit_refusals(&pool->pages);
	int err = take_object(pool, size, gfp, handle);

	if (!err)
		return 0;
	if (!(gfp & ZPOOL_GFP_NOWAIT) && refusals != zp_pages_limit_refusals(&pool->pages))
		atomic_fetch_add(&pool->failed_limit, 1);
	else
		atomic_fetch_add(&pool->failed_memory, 1);
	return err;
}

/* Clears a slot.  Returns true if the caller has to release the slab.  The lock is held. */
static bool slab_drop(struct slabs_pool *pool, struct slab *slab, uint64_t location)
{
	slab->handles[location & (SLABS_SLOTS_MAX - 1)] = 0;
	if (slab->under_reclaim) {
		slab->used--;
		return false;
	}
	slab_count(pool, slab, -1);
	if (slab->used > 0)
		return false;
	slab_leave(slab);
	return true;
}

static int slabs_free(void *context, unsigned long handle)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	uint32_t index;
	int err = zp_handles_begin_free(&pool->handles, handle, &index, &location);
	bool vacant;

	if (err)
		return err;
	zp_lock(&pool->lock);
	pool->objects--;
	pool->stored_bytes -= class_bytes(slab_at(pool, location)->class);
	vacant = slab_drop(pool, slab_at(pool, location), location);
	pool->slabs -= vacant;
	zp_unlock(&pool->lock);
	if (vacant)
		zp_pages_put(&pool->pages, (uint32_t)(location >> SLABS_SLOT_BITS), SLABS_PAGES);
	zp_handles_release(&pool->handles, index);
	return 0;
}

static void *slabs_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	int err = zp_handles_pin(&pool->handles, handle, &location);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	return slot_address(slab_at(pool, location), location);
}

static int slabs_unmap(void *context, unsigned long handle)
{
	struct slabs_pool *pool = context;

	return zp_handles_unpin(&pool->handles, handle);
}

static int64_t slabs_obj_size(void *context, unsigned long handle)
{
	struct slabs_pool *pool = context;
	uint64_t location = 0;
	int64_t size;

	zp_lock(&pool->lock);
	size = zp_handles_lookup(&pool->handles, handle, &location);
	if (size == 0)
		size = (int64_t)class_bytes(slab_at(pool, location)->class);
	zp_unlock(&pool->lock);
	return size;
}

/* ---- Releasing memory ---- */

/* Asks the callback to evict all objects of a slab that is on no list.  The lock is held, except during callbacks. */
static void slab_evict(struct slabs_pool *pool, struct slab *slab)
{
	int err = 0;

	slab->under_reclaim = true;
	for (unsigned int slot = 0; slot < class_slots(slab->class) && !err; slot++) {
		unsigned long handle = slab->handles[slot];

		if (handle == 0)
			continue;
		zp_unlock(&pool->lock);
		err = pool->evict(pool->evict_context, handle);
		zp_lock(&pool->lock);
		pool->counted.evictions += slab->handles[slot] != handle;
		pool->counted.evict_refused += slab->handles[slot] == handle;
		/* The callback kept the object, so the slab cannot be emptied. */
		if (slab->handles[slot] == handle)
			break;
	}
	slab->under_reclaim = false;
}

static int reclaim_slab(struct slabs_pool *pool)
{
	zp_lock(&pool->lock);
	for (int tries = 0; tries < SLABS_TRIES; tries++) {
		struct slab *slab;

		if (zp_list_empty(&pool->order)) {
			zp_unlock(&pool->lock);
			return -EINVAL;
		}
		slab = zp_list_entry(pool->order.prev, struct slab, in_order);
		slab_leave(slab);
		slab_evict(pool, slab);
		if (slab->used == 0) {
			pool->slabs--;
			zp_unlock(&pool->lock);
			zp_pages_put(&pool->pages, slab->pgno, SLABS_PAGES);
			return 0;
		}
		slab_enter(pool, slab);
	}
	zp_unlock(&pool->lock);
	return -EAGAIN;
}

static int slabs_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct slabs_pool *pool = context;

	*reclaimed = 0;
	if (!pool->evict)
		return -EINVAL;
	while (*reclaimed < pages) {
		int err = reclaim_slab(pool);

		if (err)
			return err;
		*reclaimed += SLABS_PAGES_COUNTED;
	}
	return 0;
}

/* Moves one object unless it is mapped.  Returns true if it was mapped.  The lock is held. */
static bool move_object(struct slabs_pool *pool, struct slab *from, unsigned int slot, struct slab *to)
{
	unsigned long handle = from->handles[slot];
	uint64_t old = 0, new;

	if (zp_handles_begin_move(&pool->handles, zp_handle_slot(handle), &old) != 0)
		return false;
	new = slab_free_slot(to);
	slab_count(pool, to, 1);
	to->handles[new &(SLABS_SLOTS_MAX - 1)] = handle;
	memcpy(slot_address(to, new), slot_address(from, old), class_bytes(from->class));
	from->handles[slot] = 0;
	slab_count(pool, from, -1);
	zp_handles_end_move(&pool->handles, zp_handle_slot(handle), new);
	return true;
}

/* Returns the emptiest slab if the other slabs of its class can take its objects, or NULL.  The lock is held. */
static struct slab *slab_to_empty(struct slabs_pool *pool, unsigned int class)
{
	struct slab *emptiest = NULL;
	unsigned int room = 0;
	struct zp_list *link;

	for (unsigned int used = 0; used < class_slots(class) && room < class_slots(class); used++)
		zp_list_for_each (link, &pool->classes[class][used]) {
			emptiest = emptiest ? emptiest : zp_list_entry(link, struct slab, in_class);
			room += class_slots(class) - used;
		}
	return room >= class_slots(class) ? emptiest : NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct slabs_budget {
	uint64_t bytes;
	uint64_t deadline_ns; /* 0: none */
};

/* Returns 0 if nothing is left to gain in this class, 1 if the object moved last has used up the budget. */
static int compact_class(struct slabs_pool *pool, unsigned int class, struct slabs_budget *budget)
{
	struct slab *from, *to;

	while ((from = slab_to_empty(pool, class)) != NULL) {
		for (unsigned int slot = 0; slot < class_slots(class); slot++) {
			if (from->handles[slot] == 0)
				continue;
			if (budget->bytes == 0)
				return 1;
			to = slab_with_room(pool, class, from->pgno);
			if (!to || !move_object(pool, from, slot, to))
				return 0;
			budget->bytes -= budget->bytes < class_bytes(class) ? budget->bytes : class_bytes(class);
			pool->counted.compact_moved_bytes += class_bytes(class);
			if (budget->deadline_ns && now_ns() >= budget->deadline_ns)
				budget->bytes = 0;
		}
		slab_leave(from);
		pool->slabs--;
		zp_pages_put(&pool->pages, from->pgno, SLABS_PAGES);
	}
	return 0;
}

/* Releases cached slabs.  Returns by how much the pool's size has shrunk. */
static uint64_t trim_since(struct slabs_pool *pool, uint64_t before)
{
	uint64_t ignored, after;

	zp_handles_trim(&pool->handles, &ignored);
	zp_pages_trim(&pool->pages, &ignored);
	after = zp_pages_held_bytes(&pool->pages);
	return before > after ? before - after : 0;
}

static int slabs_compact(void *context, const struct zpool_budget *budget, uint64_t *released)
{
	struct slabs_pool *pool = context;
	uint64_t now = now_ns(), ns = budget->ns < UINT64_MAX - now ? budget->ns : 0;
	struct slabs_budget left = { budget->bytes ? budget->bytes : UINT64_MAX, ns ? now + ns : 0 };
	uint64_t before = zp_pages_held_bytes(&pool->pages);
	int result = 0;

	zp_lock(&pool->lock);
	for (unsigned int class = 0; class < SLABS_CLASSES && result == 0; class ++)
		result = compact_class(pool, class, &left);
	*released = trim_since(pool, before);
	pool->counted.compactions++;
	pool->counted.compact_released_bytes += *released;
	zp_unlock(&pool->lock);
	return result;
}

static int slabs_trim(void *context, uint64_t *released)
{
	struct slabs_pool *pool = context;

	*released = trim_since(pool, zp_pages_held_bytes(&pool->pages));
	return 0;
}

/* ---- Information about a pool ---- */

static uint64_t slabs_total_size(void *context)
{
	return zp_pages_held_bytes(&((struct slabs_pool *)context)->pages);
}

static int slabs_set_limit(void *context, uint64_t limit_bytes)
{
	zp_pages_set_limit(&((struct slabs_pool *)context)->pages, limit_bytes);
	return 0;
}

static int slabs_stats(void *context, struct zpool_stats *stats, size_t stats_size)
{
	struct slabs_pool *pool = context;
	struct zpool_stats now;

	zp_lock(&pool->lock);
	now = pool->counted;
	now.objects = pool->objects;
	now.stored_bytes = pool->stored_bytes;
	now.pages = pool->slabs * SLABS_PAGES_COUNTED;
	for (unsigned int class = 0; class < SLABS_CLASSES; class ++) {
		struct zp_list *link;

		for (unsigned int used = 0; used < class_slots(class); used++)
			zp_list_for_each (link, &pool->classes[class][used])
				now.free_slots += class_slots(class) - used;
	}
	zp_unlock(&pool->lock);
	now.pool_bytes = zp_pages_held_bytes(&pool->pages);
	now.pool_bytes_peak = zp_pages_peak_bytes(&pool->pages);
	now.mapped_handles = zp_handles_mapped(&pool->handles);
	now.malloc_failed_limit = atomic_load(&pool->failed_limit);
	now.malloc_failed_memory = atomic_load(&pool->failed_memory);
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}

static int slabs_each_class(void *context, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			    void *user)
{
	struct slabs_pool *pool = context;
	int result = 0;

	for (unsigned int class = 0; class < SLABS_CLASSES && result == 0; class ++) {
		struct zpool_class_stats stats = { .object_bytes = class_bytes(class),
						   .pages_per_zspage = SLABS_PAGES_COUNTED };
		struct zp_list *link;

		zp_lock(&pool->lock);
		for (unsigned int used = 0; used <= class_slots(class); used++)
			zp_list_for_each (link, &pool->classes[class][used]) {
				stats.objects += used;
				stats.fullness[used * 10 / class_slots(class)]++;
				stats.slots += class_slots(class);
				stats.pages += SLABS_PAGES_COUNTED;
				stats.zspages++;
			}
		zp_unlock(&pool->lock);
		if (stats.zspages > 0)
			result = fn(&stats, sizeof(stats), user);
	}
	return result;
}

struct slabs_walk {
	struct slabs_pool *pool;
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int slabs_visit(unsigned long handle, uint64_t location, void *user)
{
	struct slabs_walk *walk = user;
	int64_t size = slabs_obj_size(walk->pool, handle);

	(void)location;
	return size < 0 ? 0 : walk->fn(handle, (size_t)size, walk->user);
}

static int slabs_each_object(void *context, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct slabs_pool *pool = context;
	struct slabs_walk walk = { pool, fn, user };

	return zp_handles_each(&pool->handles, slabs_visit, &walk);
}

static void slabs_fork(void *context, enum zpool_fork_phase phase)
{
	struct slabs_pool *pool = context;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pool->lock);
		zp_handles_fork(&pool->handles, phase);
		zp_pages_fork(&pool->pages, phase);
	} else {
		zp_pages_fork(&pool->pages, phase);
		zp_handles_fork(&pool->handles, phase);
		zp_unlock(&pool->lock);
	}
}

const struct zpool_driver mock_slabs = {
	MOCK_HEAD("mock_slabs", "equal slots in runs of pages"),
	.flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_MOVABLE,
	.max_object_bytes = 4096,
	.alignment_bytes = 256,
	.create = slabs_create,
	.destroy = slabs_destroy,
	.malloc = slabs_malloc,
	.free = slabs_free,
	.total_size = slabs_total_size,
	.map = slabs_map,
	.unmap = slabs_unmap,
	.shrink = slabs_shrink,
	.compact = slabs_compact,
	.obj_size = slabs_obj_size,
	.stats = slabs_stats,
	.each_class = slabs_each_class,
	.each_object = slabs_each_object,
	.set_limit = slabs_set_limit,
	.trim = slabs_trim,
	.fork = slabs_fork,
};
