/* SPDX-License-Identifier: MIT
 *
 * zbud_verify.c - the driver's invariants
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zbud.h"

/* Returns true if the handle slot's location is the place where the slot is. */
static bool handle_agrees(struct zbud_pool *pool, const struct zbud_page *page, enum zbud_buddy buddy)
{
	uint32_t handle_slot = page->handle_slots[buddy];

	if (page->chunks[buddy] == 0)
		return handle_slot == ZP_SLOT_NONE;
	return handle_slot != ZP_SLOT_NONE && handle_slot < zp_handles_slots(&pool->handles) &&
	       zp_handles_location(&pool->handles, handle_slot) ==
		       zbud_location(page->pgno, zbud_first_chunk(buddy, page->chunks[buddy]));
}

static const char *verify_page(struct zbud_pool *pool, const struct zbud_page *page)
{
	if (zp_pages_number(&pool->pages, page) != page->pgno)
		return "a page's header has another page's number";
	if (page->under_reclaim)
		return "a page under reclaim is still in the order of eviction";
	if (zbud_page_is_empty(page))
		return "an empty page was not given back";
	if (page->chunks[ZBUD_FIRST] + page->chunks[ZBUD_LAST] > ZBUD_ROOM_CHUNKS)
		return "two objects of a page overlap";
	if (!handle_agrees(pool, page, ZBUD_FIRST) || !handle_agrees(pool, page, ZBUD_LAST))
		return "a handle leads to another location than its object's";
	if (zp_list_empty(&page->unbuddied) != (page->chunks[ZBUD_FIRST] && page->chunks[ZBUD_LAST]))
		return "a page with one object is on no list, or one with two is on one";
	return NULL;
}

static bool counts_differ(const struct zbud_pool *pool, const uint32_t used_slots[ZBUD_PAGE_CHUNKS])
{
	bool differ = false;

	for (unsigned int chunks = 1; chunks < ZBUD_PAGE_CHUNKS; chunks++)
		differ |= used_slots[chunks] != pool->used_slots[chunks];
	return differ;
}

/* Checks every page in the order of eviction, and counts what the pages hold. */
static const char *verify_lru(struct zbud_pool *pool, uint64_t *unbuddied)
{
	uint32_t used_slots[ZBUD_PAGE_CHUNKS] = { 0 };
	const char *fault = NULL;
	struct zp_list *link;
	uint64_t pages = 0;

	zp_list_for_each (link, &pool->lru) {
		struct zbud_page *page = zp_list_entry(link, struct zbud_page, lru);

		fault = verify_page(pool, page);
		if (fault || ++pages > pool->lru_pages)
			break;
		*unbuddied += !zp_list_empty(&page->unbuddied);
		for (unsigned int i = 0; i < ZBUD_BUDDIES; i++)
			used_slots[page->chunks[i]]++;
	}
	if (fault)
		return fault;
	if (pages != pool->lru_pages)
		return "the count of pages differs from the order of eviction";
	if (pool->reclaim_pages == 0 && counts_differ(pool, used_slots))
		return "the counts of used slots differ from those of the pages";
	if (pages + pool->reclaim_pages > zp_pages_handed_out(&pool->pages))
		return "more pages are in use than were handed out";
	return NULL;
}

/* Returns true if a slot that a thread caches is in use and has that number of chunks; 0 chunks match any. */
static bool is_cached_slot(struct zbud_pool *pool, uint32_t handle_slot, unsigned int chunks)
{
	const struct zbud_page *page;
	enum zbud_buddy buddy;
	uint64_t location;

	if (handle_slot == ZP_SLOT_NONE || handle_slot >= zp_handles_slots(&pool->handles))
		return false;
	location = zp_handles_location(&pool->handles, handle_slot);
	if (chunks && !zp_handles_is_bound_to(&pool->handles, handle_slot, location))
		return false;
	if (!zp_pages_is_committed(&pool->pages, zbud_location_pgno(location)))
		return false;
	page = zbud_page_at(pool, zbud_location_pgno(location));
	buddy = zbud_location_buddy(location);
	return page->handle_slots[buddy] == handle_slot && (!chunks || page->chunks[buddy] == chunks);
}

static const char *verify_cache(struct zbud_pool *pool, const struct zp_cache *cache, uint32_t pending)
{
	if (pending != ZP_ITEM_NONE && !is_cached_slot(pool, pending, 0))
		return "a thread caches a slot that is not its own";
	for (unsigned int chunks = 1; chunks < ZBUD_MAGAZINES; chunks++) {
		const struct zp_magazine *magazine = &cache->magazines[chunks];
		unsigned int count = zp_magazine_count(magazine);

		if (count > ZP_MAGAZINE_ITEMS)
			return "a thread caches more slots than it can";
		for (unsigned int i = 0; i < count; i++)
			if (!is_cached_slot(pool, magazine->items[i], chunks))
				return "a thread caches a slot that is not its own";
	}
	return NULL;
}

/* Checks the calling thread's cache and those of threads that have ended.  Stopping the others would take too long. */
static const char *verify_caches(struct zbud_pool *pool)
{
	const char *fault = NULL;

	zp_lock(&pool->caches.lock);
	for (struct zp_cache *cache = pool->caches.first; cache && !fault; cache = cache->next)
		if (zp_cache_is_at_rest(cache))
			fault = verify_cache(pool, cache, zp_cache_pending(cache));
	zp_unlock(&pool->caches.lock);
	return fault;
}

static const char *verify_unbuddied(struct zbud_pool *pool, uint64_t expected)
{
	uint64_t pages = 0;

	for (unsigned int room = 0; room < ZBUD_PAGE_CHUNKS; room++) {
		struct zp_list *link;

		if ((pool->unbuddied_mask >> room & 1) == zp_list_empty(&pool->unbuddied[room]))
			return "the mask of lists with room is wrong";
		zp_list_for_each (link, &pool->unbuddied[room]) {
			if (zbud_free_chunks(zp_list_entry(link, struct zbud_page, unbuddied)) != room)
				return "a page is on the list for another number of free chunks";
			if (++pages > expected)
				break;
		}
	}
	return pages == expected ? NULL : "the pages on the lists with room are not those with one object";
}

int zbud_verify(void *pool_)
{
	struct zbud_pool *pool = pool_;
	uint64_t unbuddied = 0;
	const char *fault;

	zp_lock(&pool->lock);
	fault = verify_lru(pool, &unbuddied);
	if (!fault)
		fault = verify_unbuddied(pool, unbuddied);
	if (!fault)
		fault = verify_caches(pool);
	zp_unlock(&pool->lock);
	if (!fault)
		fault = zp_handles_verify(&pool->handles);
	if (!fault)
		fault = zp_pages_verify(&pool->pages);
	if (!fault)
		return 0;
	pool->host->error(pool->core, "The zbud pool is damaged: %s.", fault);
	return -EUCLEAN;
}
