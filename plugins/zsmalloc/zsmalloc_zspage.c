/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_zspage.c - creating and destroying zspages, their slots, and the memory of their pages
 */
#include <config.h>

#include <string.h>

#include "zsmalloc.h"

/* ------------------------------------------------------------------------------------------------------------------
 * A zspage's life
 */

static uint64_t mask_of(unsigned int first, unsigned int pages)
{
	return (UINT64_MAX >> (64 - pages)) << first;
}

/* Initialises a record for an empty zspage. */
static void zspage_init(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, uint32_t pgno)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	char *run = zp_pages_address(&pool->pages, pgno);

	*zspage = (struct zsmalloc_zspage){ .header = zspage->header, .pgno = pgno };
	zspage->header->base = run + class->head_bytes;
	zspage->header->slot_bytes = class->slot_bytes;
	/* An earlier zspage with this number may have been the newest one. */
	if (atomic_load_explicit(&pool->newest, memory_order_relaxed) == number)
		atomic_store_explicit(&pool->newest, ZSMALLOC_NONE, memory_order_relaxed);
	/* zsmalloc_obj_size() may read this without a lock, for an object that was in an earlier zspage. */
	atomic_store_explicit(&zspage->header->class_index, (uint16_t)(class - pool->classes), memory_order_relaxed);
	memset(zsmalloc_handle_slots(class, zspage), 0, class->slots * sizeof(uint32_t));
}

int zsmalloc_zspage_create(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number)
{
	unsigned int first_pages = (class->head_bytes + class->slot_bytes + ZP_PAGE_BYTES - 1) >> ZP_PAGE_SHIFT;
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	uint32_t pgno;

	int err = 0;
	*number = nowait ? class->spare_record : ZSMALLOC_NONE;
	if (*number == ZSMALLOC_NONE)
		err = zsmalloc_record_get(pool, gfp, number);
	if (err)
		return err;
	err = zp_pages_get_lazy(&pool->pages, class->pages, first_pages, gfp, &pgno);
	/* A NOWAIT call cannot put the record back, which might wait, so the class keeps it for the next such call. */
	if (nowait)
		class->spare_record = err ? *number : ZSMALLOC_NONE;
	else if (err)
		zsmalloc_record_put(pool, *number, true);
	if (err)
		return err;
	zspage_init(pool, class, *number, pgno);
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, *number);
	zspage->committed = mask_of(0, first_pages);
	/* A NOWAIT call also keeps the memory that further pages have from the reserve, for the next such calls. */
	for (unsigned int page = first_pages; nowait && page < class->pages; page++)
		if (zp_pages_commit(&pool->pages, pgno + page, 1, gfp) == 0)
			zspage->committed |= mask_of(page, 1);
	return 0;
}

void zsmalloc_zspage_join(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	class->zspages++;
	class->committed_pages += (unsigned int)__builtin_popcountll(zsmalloc_zspage(pool, number)->committed);
}

void zsmalloc_zspage_retire(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, bool or_spare)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	unsigned int pages = (unsigned int)__builtin_popcountll(zspage->committed);

	if (or_spare && class->spare == ZSMALLOC_NONE && pages <= ZSMALLOC_SPARE_PAGES) {
		class->spare = number;
		return;
	}
	class->zspages--;
	class->committed_pages -= pages;
	zspage->links[ZSMALLOC_BY_FULLNESS].next = class->emptied;
	class->emptied = number;
}

/* Changes the counts of holes of a zspage and, if it is listed, of its class. */
static void add_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage,
		      int count)
{
	zspage->holes = (uint16_t)(zspage->holes + count);
	if (zsmalloc_is_listed(zspage->header))
		zsmalloc_class_add_holes(pool, class, count);
}

/*
 * Unbinds the holes that lie on the pages of a mask.  Called with the class's lock held, or for a zspage that has left
 * its class.
 */
static void unbind_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, uint64_t pages)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t unbound[ZSMALLOC_SLOTS_MAX];
	unsigned int count = 0;

	for (unsigned int slot = 0; slot < class->slots && count < zspage->holes; slot++) {
		if (!(zsmalloc_slot_pages(class, slot) & pages))
			continue;
		unbound[count] = zsmalloc_slot_hole(pool, class, zsmalloc_location(number, slot));
		if (unbound[count] == ZP_SLOT_NONE)
			continue;
		zsmalloc_handle_slots(class, zspage)[slot] = ZP_SLOT_NONE;
		count++;
	}
	if (count)
		zp_handles_unbind(&pool->handles, unbound, count);
	add_holes(pool, class, zspage, -(int)count);
}

void zsmalloc_class_unlock(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	uint32_t emptied = class->emptied;

	class->emptied = ZSMALLOC_NONE;
	zp_unlock(&class->lock);
	while (emptied != ZSMALLOC_NONE) {
		uint32_t number = emptied;
		struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

		emptied = zspage->links[ZSMALLOC_BY_FULLNESS].next;
		unbind_holes(pool, class, number, UINT64_MAX);
		zp_pages_put(&pool->pages, zspage->pgno, class->pages);
		zsmalloc_record_put(pool, number, true);
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Slots
 */

int zsmalloc_slot_find(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage, bool ready)
{
	for (unsigned int word = 0; word < zsmalloc_used_words(class); word++) {
		uint64_t vacant = ~zspage->used[word];

		for (; vacant; vacant &= vacant - 1) {
			unsigned int slot = word * 64 + (unsigned int)__builtin_ctzll(vacant);

			if (slot >= class->slots)
				return -1;
			uint64_t missing = zsmalloc_slot_pages(class, slot) & ~zspage->committed;
			if (!ready || !missing)
				return (int)slot;
			if (zspage->committed >> __builtin_ctzll(missing) == 0)
				return -1;
		}
	}
	return -1;
}

int zsmalloc_highest_used(const struct zsmalloc_zspage *zspage, int below)
{
	for (int slot = below - 1; slot >= 0; slot--) {
		uint64_t used = zspage->used[slot / 64] & (UINT64_MAX >> (63 - slot % 64));

		if (used)
			return slot / 64 * 64 + 63 - __builtin_clzll(used);
		slot = slot / 64 * 64;
	}
	return -1;
}

uint32_t zsmalloc_slot_hole(struct zsmalloc_pool *pool, const struct zsmalloc_class *class, uint64_t location)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, zsmalloc_location_zspage(location));
	unsigned int slot = zsmalloc_location_slot(location);
	uint32_t handle_slot =
		zsmalloc_slot_is_used(zspage, slot) ? ZP_SLOT_NONE : zsmalloc_handle_slots(class, zspage)[slot];

	/* A write past the end of another object may have damaged it.  Then the handle slot is lost. */
	return zp_handles_is_bound_to(&pool->handles, handle_slot, location) ? handle_slot : ZP_SLOT_NONE;
}

int zsmalloc_slot_take(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot, zpool_gfp_t gfp, uint32_t *hole)
{
	uint32_t number = zsmalloc_location_zspage(location);
	unsigned int slot = zsmalloc_location_slot(location);
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t missing = zsmalloc_slot_pages(class, slot) & ~zspage->committed;

	if (missing) {
		unsigned int first = (unsigned int)__builtin_ctzll(missing);
		unsigned int pages = 64 - (unsigned int)__builtin_clzll(missing) - first;
		int err = zp_pages_commit(&pool->pages, zspage->pgno + first, pages, gfp);

		if (err)
			return err;
		zspage->committed |= missing;
		class->committed_pages += (unsigned int)__builtin_popcountll(missing);
	}
	*hole = zsmalloc_slot_hole(pool, class, location);
	if (*hole != ZP_SLOT_NONE)
		add_holes(pool, class, zspage, -1);
	zspage->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	zspage->used_slots++;
	class->used_slots++;
	zsmalloc_handle_slots(class, zspage)[slot] = handle_slot;
	zsmalloc_zspage_refile(pool, class, number);
	return 0;
}

void zsmalloc_slot_free(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
			uint32_t handle_slot)
{
	uint32_t number = zsmalloc_location_zspage(location);
	unsigned int slot = zsmalloc_location_slot(location);
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zspage->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	zspage->used_slots--;
	class->used_slots--;
	zsmalloc_handle_slots(class, zspage)[slot] = handle_slot;
	if (handle_slot != ZP_SLOT_NONE)
		add_holes(pool, class, zspage, 1);
	zsmalloc_zspage_refile(pool, class, number);
}

void zsmalloc_slot_put(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t location,
		       uint32_t handle_slot)
{
	uint32_t number = zsmalloc_location_zspage(location);
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zsmalloc_slot_free(pool, class, location, handle_slot);
	if (zspage->used_slots || !zsmalloc_is_listed(zspage->header))
		return;
	zsmalloc_zspage_unlist(pool, class, number);
	zsmalloc_zspage_retire(pool, class, number, true);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Memory
 */

/* Returns the pages that must keep their memory: those with used slots, and the first one, for the back pointers. */
static uint64_t needed_pages(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	uint64_t needed = class->head_bytes ? 1 : 0;

	for (unsigned int word = 0; word < zsmalloc_used_words(class); word++)
		for (uint64_t used = zspage->used[word]; used; used &= used - 1)
			needed |= zsmalloc_slot_pages(class, word * 64 + (unsigned int)__builtin_ctzll(used));
	return needed;
}

/* Removes the lowest run of pages from a mask.  Returns false if the mask is empty. */
static bool next_run_of(uint64_t *mask, unsigned int *first, unsigned int *pages)
{
	if (!*mask)
		return false;
	*first = (unsigned int)__builtin_ctzll(*mask);
	uint64_t from = *mask >> *first;
	*pages = from == UINT64_MAX ? 64 : (unsigned int)__builtin_ctzll(~from);
	*mask &= ~mask_of(*first, *pages);
	return true;
}

unsigned int zsmalloc_zspage_idle_pages(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	return (unsigned int)__builtin_popcountll(zspage->committed & ~needed_pages(class, zspage));
}

unsigned int zsmalloc_zspage_decommit_idle(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
					   unsigned int spared)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t idle = zspage->committed & ~needed_pages(class, zspage), left, gone = 0;
	unsigned int first, pages;

	for (; spared > 0; spared--)
		idle &= idle - 1;
	left = idle;
	while (next_run_of(&left, &first, &pages)) {
		/* Pages that the page source refuses to release stay committed. */
		if (zp_pages_decommit(&pool->pages, zspage->pgno + first, pages) == 0)
			gone |= mask_of(first, pages);
	}
	if (!gone)
		return 0;
	zspage->committed &= ~gone;
	class->committed_pages -= (unsigned int)__builtin_popcountll(gone);
	unbind_holes(pool, class, number, gone);
	return (unsigned int)__builtin_popcountll(gone);
}

/* Commits the pages of a mask, counted from `pgno`.  Returns 0 or -errno. */
static int commit_mask(struct zsmalloc_pool *pool, uint32_t pgno, uint64_t mask)
{
	unsigned int first, pages;
	int err = 0;

	while (!err && next_run_of(&mask, &first, &pages))
		err = zp_pages_commit(&pool->pages, pgno + first, pages, ZPOOL_GFP_KERNEL);
	return err;
}

void zsmalloc_zspage_relocate(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t mask = zspage->committed;
	unsigned int first, pages;
	uint32_t pgno;

	if (zp_pages_get_lowest(&pool->pages, class->pages, zspage->pgno, &pgno))
		return;
	if (commit_mask(pool, pgno, mask)) {
		zp_pages_put(&pool->pages, pgno, class->pages);
		return;
	}
	char *to = zp_pages_address(&pool->pages, pgno);
	const char *from = zp_pages_address(&pool->pages, zspage->pgno);
	while (next_run_of(&mask, &first, &pages))
		memcpy(to + first * ZP_PAGE_BYTES, from + first * ZP_PAGE_BYTES, pages * ZP_PAGE_BYTES);
	zp_pages_put(&pool->pages, zspage->pgno, class->pages);
	zspage->pgno = pgno;
	zspage->header->base = to + class->head_bytes;
}
