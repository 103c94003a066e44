/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_zspage.c - zspages: their lists, their slots and the memory behind these
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zsmalloc.h"

/* ------------------------------------------------------------------------------------------------------------------
 * A zspage's life
 */

static unsigned int pages_for(size_t bytes)
{
	return (unsigned int)((bytes + ZP_PAGE_BYTES - 1) >> ZP_PAGE_SHIFT);
}

int zsmalloc_zspage_create(struct zsmalloc_pool *pool, struct zsmalloc_class *class, zpool_gfp_t gfp, uint32_t *number)
{
	unsigned int first_pages = pages_for((size_t) class->head_bytes + class->slot_bytes);
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	uint32_t pgno;

	int err = 0;
	*number = nowait ? class->spare_record : ZSMALLOC_NONE;
	if (*number == ZSMALLOC_NONE)
		err = zsmalloc_record_get(pool, gfp, number);
	if (err)
		return err;
	err = zp_pages_get_lazy(&pool->pages, class->pages, first_pages, gfp, &pgno);
	/* Giving the record back could mean to wait: it is kept for the next such call. */
	if (nowait)
		class->spare_record = err ? *number : ZSMALLOC_NONE;
	else if (err)
		zsmalloc_record_put(pool, *number);
	if (err)
		return err;
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, *number);
	char *run = zp_pages_address(&pool->pages, pgno);
	zspage->home->base = run + class->head_bytes;
	zspage->home->slot_bytes = class->slot_bytes;
	zspage->pgno = pgno;
	/* The number may be known as the one stored into last, from an earlier life. */
	if (atomic_load_explicit(&pool->newest, memory_order_relaxed) == *number)
		atomic_store_explicit(&pool->newest, ZSMALLOC_NONE, memory_order_relaxed);
	zspage->committed = (UINT64_C(2) << (first_pages - 1)) - 1;
	/* With NOWAIT a run keeps what memory it has behind the first pages, for the next such calls. */
	for (unsigned int page = first_pages; nowait && page < class->pages; page++)
		if (zp_pages_commit(&pool->pages, pgno + page, 1, gfp) == 0)
			zspage->committed |= UINT64_C(1) << page;
	zspage->stamp = 0;
	zspage->used_slots = 0;
	zspage->passed = 0;
	memset(zspage->used, 0, sizeof zspage->used);
	/* Read without a lock by those who ask for the size of an object that used to be in this record's zspage. */
	atomic_store_explicit(&zspage->home->class_index, (uint16_t)(class - pool->classes), memory_order_relaxed);
	memset(zsmalloc_handles(class, zspage), 0, class->slots * sizeof(uint32_t));
	return 0;
}

void zsmalloc_zspage_destroy(struct zsmalloc_pool *pool, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zp_pages_put(&pool->pages, zspage->pgno, zsmalloc_class(pool, zspage->home)->pages);
	zsmalloc_record_put(pool, number);
}

void zsmalloc_zspage_join(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	class->zspages++;
	class->committed_pages += (unsigned int)__builtin_popcountll(zsmalloc_zspage(pool, number)->committed);
}

void zsmalloc_zspage_leave(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	class->zspages--;
	class->committed_pages -= (unsigned int)__builtin_popcountll(zsmalloc_zspage(pool, number)->committed);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Lists: rings of numbers
 */

static void group_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t *head = &class->groups[zspage->group];

	if (*head == ZSMALLOC_NONE) {
		zspage->next = zspage->prev = number;
		class->group_mask |= 1u << zspage->group;
	} else {
		struct zsmalloc_zspage *first = zsmalloc_zspage(pool, *head);
		zspage->next = *head;
		zspage->prev = first->prev;
		zsmalloc_zspage(pool, first->prev)->next = number;
		first->prev = number;
	}
	*head = number;
}

static void group_remove(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t *head = &class->groups[zspage->group];

	if (zspage->next == number) {
		*head = ZSMALLOC_NONE;
		class->group_mask &= ~(1u << zspage->group);
		return;
	}
	zsmalloc_zspage(pool, zspage->prev)->next = zspage->next;
	zsmalloc_zspage(pool, zspage->next)->prev = zspage->prev;
	if (*head == number)
		*head = zspage->next;
}

static uint8_t group_of(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	return (uint8_t)(zspage->used_slots * (unsigned int)ZSMALLOC_FULL / class->slots);
}

static void age_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	if (class->newest == ZSMALLOC_NONE) {
		zspage->newer = zspage->older = number;
	} else {
		struct zsmalloc_zspage *newest = zsmalloc_zspage(pool, class->newest);
		uint32_t oldest = newest->newer;
		zspage->older = class->newest;
		zspage->newer = oldest;
		newest->newer = number;
		zsmalloc_zspage(pool, oldest)->older = number;
	}
	class->newest = number;
}

static void age_remove(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	if (zspage->newer == number) {
		class->newest = ZSMALLOC_NONE;
		return;
	}
	zsmalloc_zspage(pool, zspage->older)->newer = zspage->newer;
	zsmalloc_zspage(pool, zspage->newer)->older = zspage->older;
	if (class->newest == number)
		class->newest = zspage->older;
}

static void stamp(struct zsmalloc_pool *pool, uint32_t number)
{
	atomic_store_explicit(&pool->newest, number, memory_order_relaxed);
	zsmalloc_zspage(pool, number)->stamp = atomic_fetch_add_explicit(&pool->clock, 1, memory_order_relaxed) + 1;
}

static void set_listed(struct zsmalloc_home *home, bool listed)
{
	atomic_store_explicit(&home->listed, listed, memory_order_relaxed);
}

void zsmalloc_zspage_list(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zspage->group = group_of(class, zspage);
	set_listed(zspage->home, true);
	group_add(pool, class, number);
	if (!pool->evict)
		return;
	stamp(pool, number);
	age_add(pool, class, number);
}

void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	set_listed(zsmalloc_home(pool, number), false);
	group_remove(pool, class, number);
	if (pool->evict)
		age_remove(pool, class, number);
}

static void refile(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint8_t group = group_of(class, zspage);

	if (!zspage->home->listed || group == zspage->group)
		return;
	group_remove(pool, class, number);
	zspage->group = group;
	group_add(pool, class, number);
}

void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	/* As long as one zspage takes every object, the clock need not tick. */
	if (class->newest == number && atomic_load_explicit(&pool->newest, memory_order_relaxed) == number)
		return;
	stamp(pool, number);
	if (class->newest != number && zspage->home->listed) {
		age_remove(pool, class, number);
		age_add(pool, class, number);
	}
}

void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, heir), *sister = zsmalloc_zspage(pool, from);

	zspage->stamp = sister->stamp;
	age_remove(pool, class, heir);
	zspage->older = from;
	zspage->newer = sister->newer;
	zsmalloc_zspage(pool, sister->newer)->older = heir;
	sister->newer = heir;
	if (class->newest == from)
		class->newest = heir;
}

/* The zspage in a ring that points to another number from now on: its neighbours, or itself where it is alone. */
static void ring_renumber(uint32_t *next_of_prev, uint32_t *prev_of_next, uint32_t *head, uint32_t from, uint32_t to)
{
	*next_of_prev = to;
	*prev_of_next = to;
	if (*head == from)
		*head = to;
}

int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to)
{
	int err = zsmalloc_record_get(pool, ZPOOL_GFP_KERNEL, to);
	if (!err && *to > from) {
		zsmalloc_record_put(pool, *to);
		err = -ENOENT;
	}
	if (err)
		return err;
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, from), *new = zsmalloc_zspage(pool, *to);
	struct zsmalloc_home *home = new->home;
	*new = *old;
	new->home = home;
	home->base = old->home->base;
	home->slot_bytes = class->slot_bytes;
	set_listed(home, true);
	atomic_store_explicit(&home->class_index, (uint16_t)(class - pool->classes), memory_order_relaxed);
	if (new->next == from)
		new->next = new->prev = *to;
	ring_renumber(&zsmalloc_zspage(pool, new->prev)->next, &zsmalloc_zspage(pool, new->next)->prev,
		      &class->groups[new->group], from, *to);
	if (pool->evict) {
		if (new->newer == from)
			new->newer = new->older = *to;
		ring_renumber(&zsmalloc_zspage(pool, new->older)->newer, &zsmalloc_zspage(pool, new->newer)->older,
			      &class->newest, from, *to);
		uint32_t newest = from;
		(void)atomic_compare_exchange_strong(&pool->newest, &newest, *to);
	}
	set_listed(old->home, false);
	zsmalloc_record_abandon(pool, from);
	return 0;
}

uint32_t zsmalloc_fullest(const struct zsmalloc_class *class)
{
	uint32_t with_room = class->group_mask & ((1u << ZSMALLOC_FULL) - 1);

	return with_room ? class->groups[31 - __builtin_clz(with_room)] : ZSMALLOC_NONE;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Slots
 */

int zsmalloc_slot_find(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage, bool nowait)
{
	for (unsigned int word = 0; word < zsmalloc_used_words(class); word++) {
		uint64_t vacant = ~zspage->used[word];

		for (; vacant; vacant &= vacant - 1) {
			unsigned int slot = word * 64 + (unsigned int)__builtin_ctzll(vacant);

			if (slot >= class->slots)
				return -1;
			if (!nowait || !(zsmalloc_slot_pages(class, slot) & ~zspage->committed))
				return (int)slot;
		}
	}
	return -1;
}

/* Memory for the pages of a mask that have none. */
static int commit_pages(struct zsmalloc_pool *pool, struct zsmalloc_class *class, struct zsmalloc_zspage *zspage,
			uint64_t missing, zpool_gfp_t gfp)
{
	unsigned int first = (unsigned int)__builtin_ctzll(missing);
	unsigned int pages = 64 - (unsigned int)__builtin_clzll(missing) - first;

	int err = zp_pages_commit(&pool->pages, zspage->pgno + first, pages, gfp);
	if (err)
		return err;
	zspage->committed |= missing;
	class->committed_pages += (unsigned int)__builtin_popcountll(missing);
	return 0;
}

int zsmalloc_slot_take(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int slot,
		       uint32_t handle_slot, zpool_gfp_t gfp)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t missing = zsmalloc_slot_pages(class, slot) & ~zspage->committed;

	if (missing) {
		int err = commit_pages(pool, class, zspage, missing, gfp);
		if (err)
			return err;
	}
	zspage->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	zspage->used_slots++;
	zsmalloc_handles(class, zspage)[slot] = handle_slot;
	class->used_slots++;
	refile(pool, class, number);
	return 0;
}

void zsmalloc_slot_release(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int slot)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zspage->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	zspage->used_slots--;
	class->used_slots--;
	refile(pool, class, number);
}

void zsmalloc_zspage_retire(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
			    uint32_t *emptied)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	if (!zspage->home->listed)
		return;
	zsmalloc_zspage_unlist(pool, class, number);
	if (class->spare == ZSMALLOC_NONE && __builtin_popcountll(zspage->committed) <= ZSMALLOC_SPARE_PAGES) {
		class->spare = number;
		return;
	}
	zsmalloc_zspage_leave(pool, class, number);
	zspage->next = *emptied;
	*emptied = number;
}

void zsmalloc_zspages_destroy(struct zsmalloc_pool *pool, uint32_t emptied)
{
	while (emptied != ZSMALLOC_NONE) {
		uint32_t number = emptied;

		emptied = zsmalloc_zspage(pool, number)->next;
		zsmalloc_zspage_destroy(pool, number);
	}
}

/* The pages that must keep their memory: those with objects, and the first ones, with the handles. */
static uint64_t needed_pages(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	uint64_t needed = class->head_bytes ? 1 : 0;

	for (unsigned int word = 0; word < zsmalloc_used_words(class); word++)
		for (uint64_t used = zspage->used[word]; used; used &= used - 1)
			needed |= zsmalloc_slot_pages(class, word * 64 + (unsigned int)__builtin_ctzll(used));
	return needed;
}

/* Takes the lowest run of pages out of a mask.  false: it is empty. */
static bool next_run_of(uint64_t *mask, unsigned int *first, unsigned int *pages)
{
	if (!*mask)
		return false;
	*first = (unsigned int)__builtin_ctzll(*mask);
	uint64_t from = *mask >> *first;
	*pages = from == UINT64_MAX ? 64 : (unsigned int)__builtin_ctzll(~from);
	*mask &= ~((UINT64_MAX >> (64 - *pages)) << *first);
	return true;
}

unsigned int zsmalloc_zspage_thin(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number,
				  unsigned int spared)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t idle = zspage->committed & ~needed_pages(class, zspage);
	unsigned int released = 0, first, pages;

	for (; spared > 0; spared--)
		idle &= idle - 1;
	while (next_run_of(&idle, &first, &pages)) {
		if (zp_pages_decommit(&pool->pages, zspage->pgno + first, pages))
			continue; /* The source keeps them, and so do we. */
		zspage->committed &= ~((UINT64_MAX >> (64 - pages)) << first);
		released += pages;
	}
	class->committed_pages -= released;
	return released;
}

/* Memory for the pages of a run that a mask names.  0 or -errno. */
static int commit_mask(struct zsmalloc_pool *pool, uint32_t pgno, uint64_t mask)
{
	unsigned int first, pages;
	int err = 0;

	while (!err && next_run_of(&mask, &first, &pages))
		err = zp_pages_commit(&pool->pages, pgno + first, pages, ZPOOL_GFP_KERNEL);
	return err;
}

bool zsmalloc_zspage_resettle(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint64_t mask = zspage->committed;
	unsigned int first, pages;
	uint32_t pgno;

	if (zp_pages_get_lowest(&pool->pages, class->pages, zspage->pgno, &pgno))
		return false;
	if (commit_mask(pool, pgno, mask)) {
		zp_pages_put(&pool->pages, pgno, class->pages);
		return false;
	}
	char *to = zp_pages_address(&pool->pages, pgno);
	const char *from = zp_pages_address(&pool->pages, zspage->pgno);
	while (next_run_of(&mask, &first, &pages))
		memcpy(to + first * ZP_PAGE_BYTES, from + first * ZP_PAGE_BYTES, pages * ZP_PAGE_BYTES);
	zp_pages_put(&pool->pages, zspage->pgno, class->pages);
	zspage->pgno = pgno;
	zspage->home->base = to + class->head_bytes;
	return true;
}
