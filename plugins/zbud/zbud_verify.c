/* SPDX-License-Identifier: MIT
 *
 * zbud_verify.c - the driver's invariants
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zbud.h"

/* Returns true if the object is where its handle says.  An object that another thread is freeing is still there. */
static bool handle_agrees(struct zbud_pool *pool, const struct zbud_page *page, enum zbud_buddy buddy)
{
	uint64_t location, expected;

	if (page->chunks[buddy] == 0)
		return page->handles[buddy] == 0;
	expected = zbud_location(page->pgno, zbud_first_chunk(buddy, page->chunks[buddy]));
	if (zp_handles_lookup(&pool->handles, page->handles[buddy], &location) == 0)
		return location == expected;
	return zp_handles_is_bound_to(&pool->handles, zp_handle_slot(page->handles[buddy]), expected);
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
		return "a handle leads to another place than its object's";
	if (zp_list_empty(&page->unbuddied) != (page->chunks[ZBUD_FIRST] && page->chunks[ZBUD_LAST]))
		return "a page with one object is on no list, or one with two is on one";
	return NULL;
}

/* Every page in the order of eviction, and what they hold. */
static const char *verify_lru(struct zbud_pool *pool, uint64_t *unbuddied)
{
	uint64_t pages = 0, objects = 0, stored_bytes = 0;
	const char *fault = NULL;
	struct zp_list *link;

	zp_list_for_each (link, &pool->lru) {
		struct zbud_page *page = zp_list_entry(link, struct zbud_page, lru);

		fault = verify_page(pool, page);
		if (fault || ++pages > pool->lru_pages)
			break;
		*unbuddied += !zp_list_empty(&page->unbuddied);
		for (unsigned int i = 0; i < ZBUD_BUDDIES; i++) {
			objects += page->chunks[i] != 0;
			stored_bytes += page->chunks[i] * ZBUD_CHUNK_BYTES;
		}
	}
	if (fault)
		return fault;
	if (pages != pool->lru_pages)
		return "the count of pages differs from the order of eviction";
	if (pool->reclaim_pages == 0 && (objects != pool->objects || stored_bytes != pool->stored_bytes))
		return "the counts of objects and bytes differ from the pages'";
	if (pages + pool->reclaim_pages > zp_pages_handed_out(&pool->pages))
		return "more pages are in use than were handed out";
	return NULL;
}

static const char *verify_unbuddied(struct zbud_pool *pool, uint64_t expected)
{
	uint64_t pages = 0;

	for (unsigned int room = 0; room < ZBUD_PAGE_CHUNKS; room++) {
		struct zp_list *link;

		if ((pool->unbuddied_mask >> room & 1) == zp_list_empty(&pool->unbuddied[room]))
			return "the map of lists with room is wrong";
		zp_list_for_each (link, &pool->unbuddied[room]) {
			if (zbud_free_chunks(zp_list_entry(link, struct zbud_page, unbuddied)) != room)
				return "a page is on the list of another number of free chunks";
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
