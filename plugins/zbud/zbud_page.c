/* SPDX-License-Identifier: MIT
 *
 * zbud_page.c - pages, the lists that link them, and the two objects inside
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "zbud.h"

struct zbud_page *zbud_page_init(struct zbud_pool *pool, uint32_t pgno)
{
	struct zbud_page *page = zbud_page_at(pool, pgno);

	memset(page, 0, sizeof(*page));
	zp_list_init(&page->unbuddied);
	zp_list_init(&page->lru);
	page->pgno = pgno;
	return page;
}

/* Takes the page off the list of pages with room for a second object, if it is on one. */
static void unbuddied_leave(struct zbud_pool *pool, struct zbud_page *page)
{
	unsigned int room = zbud_free_chunks(page);

	if (zp_list_empty(&page->unbuddied))
		return;
	zp_list_del(&page->unbuddied);
	if (zp_list_empty(&pool->unbuddied[room]))
		pool->unbuddied_mask &= ~(UINT64_C(1) << room);
}

static void unbuddied_enter(struct zbud_pool *pool, struct zbud_page *page)
{
	unsigned int room = zbud_free_chunks(page);

	if (page->chunks[ZBUD_FIRST] && page->chunks[ZBUD_LAST])
		return;
	zp_list_add(&page->unbuddied, &pool->unbuddied[room]);
	pool->unbuddied_mask |= UINT64_C(1) << room;
}

void zbud_page_leave_lists(struct zbud_pool *pool, struct zbud_page *page)
{
	unbuddied_leave(pool, page);
	zp_list_del(&page->lru);
	pool->lru_pages--;
}

void zbud_page_enter_lists(struct zbud_pool *pool, struct zbud_page *page)
{
	unbuddied_enter(pool, page);
	zp_list_add(&page->lru, &pool->lru);
	pool->lru_pages++;
}

/* Returns the page with the least room that suffices beside its one object, or NULL. */
struct zbud_page *zbud_page_find(struct zbud_pool *pool, unsigned int chunks)
{
	uint64_t fitting = pool->unbuddied_mask & (UINT64_MAX << chunks);

	if (!fitting)
		return NULL;
	return zp_list_entry(pool->unbuddied[__builtin_ctzll(fitting)].next, struct zbud_page, unbuddied);
}

void zbud_page_touch(struct zbud_pool *pool, struct zbud_page *page)
{
	zp_list_del(&page->lru);
	zp_list_add(&page->lru, &pool->lru);
}

/* The caller publishes the object afterwards. */
void zbud_page_put_object(struct zbud_pool *pool, struct zbud_page *page, unsigned int chunks, uint32_t slot)
{
	enum zbud_buddy buddy = page->chunks[ZBUD_FIRST] ? ZBUD_LAST : ZBUD_FIRST;

	if (!zbud_page_is_empty(page))
		zbud_page_leave_lists(pool, page);
	page->chunks[buddy] = (uint8_t)chunks;
	zbud_page_enter_lists(pool, page);
	pool->used_slots[chunks]++;
	page->handle_slots[buddy] = slot;
	zp_handles_set_location(&pool->handles, slot, zbud_location(page->pgno, zbud_first_chunk(buddy, chunks)));
}

bool zbud_page_drop_object(struct zbud_pool *pool, uint64_t location)
{
	struct zbud_page *page = zbud_page_at(pool, zbud_location_pgno(location));
	enum zbud_buddy buddy = zbud_location_buddy(location);
	bool vacant;

	pool->used_slots[page->chunks[buddy]]--;
	if (!page->under_reclaim)
		unbuddied_leave(pool, page);
	page->chunks[buddy] = 0;
	page->handle_slots[buddy] = ZP_SLOT_NONE;
	vacant = zbud_page_is_empty(page);
	if (page->under_reclaim)
		return false;
	/* A free does not count as a use of the page, so the page keeps its position in the order of eviction. */
	if (!vacant) {
		unbuddied_enter(pool, page);
		return false;
	}
	zbud_page_leave_lists(pool, page);
	return true;
}
