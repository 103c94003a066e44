/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_stats.c - statistics, the walk over size classes, and the verification of invariants
 */
#include <config.h>

#include "zsmalloc.h"

/* Returns the next listed zspage of a class after one, or the first one after ZSMALLOC_NONE, or ZSMALLOC_NONE. */
static uint32_t next_listed(const struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint32_t number)
{
	unsigned int group = 0;

	if (number != ZSMALLOC_NONE) {
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
		uint32_t next = zspage->links[ZSMALLOC_BY_FULLNESS].next;

		if (next != class->groups[zspage->group])
			return next;
		group = zspage->group + 1;
	}
	while (group < ZSMALLOC_GROUPS && class->groups[group] == ZSMALLOC_NONE)
		group++;
	return group < ZSMALLOC_GROUPS ? class->groups[group] : ZSMALLOC_NONE;
}

/* Returns how many slots the unused memory of a class would make.  What is left over in many zspages makes no slot. */
static uint64_t free_slots(const struct zsmalloc_class *class)
{
	uint64_t unused = zsmalloc_class_waste(class);
	uint64_t slots = (uint64_t) class->zspages * class->slots - class->used_slots;

	return unused / class->slot_bytes < slots ? unused / class->slot_bytes : slots;
}

int zsmalloc_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct zsmalloc_pool *pool = pool_;
	struct zsmalloc_class *class = NULL;
	struct zpool_stats now = zp_stats_begin(&pool->pages, &pool->handles, &pool->counts);

	now.compactions = atomic_load(&pool->compactions);
	now.compact_moved_bytes = atomic_load(&pool->moved_bytes);
	now.compact_released_bytes = atomic_load(&pool->released_bytes);
	now.evictions = atomic_load(&pool->evictions);
	now.evict_refused = atomic_load(&pool->evict_refused);
	while ((class = zsmalloc_next_used(pool, class))) {
		zp_lock(&class->lock);
		uint64_t cached = zsmalloc_cached_count(pool, class), objects = class->used_slots - cached;
		now.objects += objects;
		now.stored_bytes += objects * class->slot_bytes;
		now.pages += class->committed_pages;
		now.free_slots += cached + free_slots(class);
		zp_unlock(&class->lock);
	}
	return zp_stats_end(&now, stats, stats_size);
}

int zsmalloc_each_class(void *pool_, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			void *user)
{
	struct zsmalloc_pool *pool = pool_;
	struct zsmalloc_class *class = NULL;
	int err = 0;

	while (!err && (class = zsmalloc_next_used(pool, class))) {
		struct zpool_class_stats stats = { 0 };
		uint32_t number = ZSMALLOC_NONE;

		zp_lock(&class->lock);
		/* Cached slots count as used, and would appear as objects in the histogram. */
		zsmalloc_cached_put(pool, class);
		stats.object_bytes = class->slot_bytes;
		stats.pages_per_zspage = class->pages;
		stats.objects = class->used_slots - zsmalloc_cached_count(pool, class);
		stats.zspages = class->zspages;
		stats.slots = (uint64_t) class->zspages * class->slots;
		stats.pages = class->committed_pages;
		stats.freeable_pages = free_slots(class) * class->slot_bytes / ZP_PAGE_BYTES;
		while ((number = next_listed(pool, class, number)))
			stats.fullness[zsmalloc_zspage(pool, number)->group]++;
		zsmalloc_class_unlock(pool, class);
		if (stats.zspages)
			err = fn(&stats, sizeof(stats), user);
	}
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Verification
 */

/* The sums of a walk over a class, and an error that it found. */
struct audit {
	struct zsmalloc_pool *pool;
	uint64_t zspages, objects, pages, holes;
	const char *wrong;
};

static void audit_zspage(struct audit *audit, const struct zsmalloc_class *class, struct zsmalloc_zspage *zspage)
{
	unsigned int used = 0, holes = 0;
	uint64_t needed = 0;

	for (unsigned int slot = 0; slot < class->slots; slot++) {
		uint32_t handle_slot = zsmalloc_handle_slots(class, zspage)[slot];
		bool is_used = zsmalloc_slot_is_used(zspage, slot);

		if (is_used || handle_slot != ZP_SLOT_NONE)
			needed |= zsmalloc_slot_pages(class, slot);
		holes += !is_used && handle_slot != ZP_SLOT_NONE;
		if (!is_used)
			continue;
		used++;
		if (handle_slot == 0 || handle_slot >= zp_handles_slots(&audit->pool->handles))
			audit->wrong = "an object has no handle";
	}
	if (used != zspage->used_slots)
		audit->wrong = "a zspage's count of objects is wrong";
	if (holes != zspage->holes)
		audit->wrong = "a zspage's count of holes is wrong";
	if (needed & ~zspage->committed)
		audit->wrong = "an object lies on a page without memory";
	/* This compares the group with used * 10 / slots. */
	unsigned int tenths = zspage->used_slots * (unsigned int)ZSMALLOC_FULL;
	if (tenths < zspage->group * class->slots || tenths >= (zspage->group + 1u) * class->slots)
		audit->wrong = "a zspage is in the wrong group";
	if (!zsmalloc_is_listed(zspage->header))
		audit->wrong = "a zspage on the lists is marked as not listed";
	for (unsigned int page = 0; page < class->pages; page++)
		if ((zspage->committed >> page & 1) && !zp_pages_is_committed(&audit->pool->pages, zspage->pgno + page))
			audit->wrong = "a zspage and the page allocator disagree about a page's memory";
	audit->zspages++;
	audit->objects += used;
	audit->holes += holes;
	audit->pages += (unsigned int)__builtin_popcountll(zspage->committed);
}

/* Checks that the ring by age has the same zspages, ordered by stamp. */
static void audit_ages(struct audit *audit, const struct zsmalloc_class *class)
{
	uint64_t found = 0, stamp = UINT64_MAX;
	uint32_t number = class->newest;

	if (!audit->pool->evict)
		return;
	if (number != ZSMALLOC_NONE) {
		do {
			const struct zsmalloc_zspage *zspage = zsmalloc_zspage(audit->pool, number);
			if (zspage->stamp > stamp)
				audit->wrong = "the ring by age is out of order";
			stamp = zspage->stamp;
			number = zspage->links[ZSMALLOC_BY_AGE].next;
			found++;
		} while (number != class->newest && found <= audit->zspages);
	}
	if (found != audit->zspages)
		audit->wrong = "the ring by age has too few or too many zspages";
}

static const char *audit_class(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	struct audit audit = { .pool = pool };
	uint32_t number = ZSMALLOC_NONE;

	zp_lock(&class->lock);
	while ((number = next_listed(pool, class, number)))
		audit_zspage(&audit, class, zsmalloc_zspage(pool, number));
	audit_ages(&audit, class);
	if (audit.holes != class->holes)
		audit.wrong = "a class's count of holes is wrong";
	if (class->spare != ZSMALLOC_NONE) {
		const struct zsmalloc_zspage *spare = zsmalloc_zspage(pool, class->spare);
		if (spare->used_slots || zsmalloc_is_listed(spare->header))
			audit.wrong = "the spare zspage is in use";
		audit.zspages++;
		audit.pages += (unsigned int)__builtin_popcountll(spare->committed);
	}
	/* The sums may be less than the counts, because a zspage that is being created or evicted is on no list. */
	if (audit.zspages > class->zspages || audit.objects > class->used_slots || audit.pages > class->committed_pages)
		audit.wrong = "a class's counts are less than the sums over its zspages";
	if (audit.zspages == class->zspages &&
	    (audit.objects != class->used_slots || audit.pages != class->committed_pages))
		audit.wrong = "a class's counts differ from the sums over its zspages";
	for (unsigned int group = 0; group < ZSMALLOC_GROUPS; group++)
		if ((class->groups[group] != ZSMALLOC_NONE) != (class->group_mask >> group & 1))
			audit.wrong = "a class's mask of groups is wrong";
	zp_unlock(&class->lock);
	return audit.wrong;
}

int zsmalloc_verify(void *pool_)
{
	struct zsmalloc_pool *pool = pool_;
	struct zsmalloc_class *class = NULL;
	const char *wrong = NULL;

	while (!wrong && (class = zsmalloc_next_used(pool, class)))
		wrong = audit_class(pool, class);
	if (!wrong)
		wrong = zp_handles_verify(&pool->handles);
	if (!wrong)
		wrong = zp_pages_verify(&pool->pages);
	if (!wrong)
		return 0;
	pool->host->error(pool->core, "zsmalloc: %s.", wrong);
	return -EUCLEAN;
}
