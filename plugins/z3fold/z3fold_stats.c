/* SPDX-License-Identifier: MIT
 *
 * z3fold_stats.c - counters, and the check of the driver's invariants
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "z3fold.h"

int z3fold_stats(void *pool_, struct zpool_stats *stats, size_t stats_size)
{
	struct z3fold_pool *pool = pool_;
	struct zpool_stats now = zp_stats_begin(&pool->pages, &pool->handles, &pool->counts);

	zp_lock(&pool->lock);
	now.objects = pool->objects;
	now.stored_bytes = pool->stored_chunks * Z3FOLD_CHUNK_BYTES;
	now.pages = pool->listed_pages + pool->reclaim_pages;
	now.free_slots = pool->open_slots;
	now.compactions = pool->compactions;
	now.compact_moved_bytes = pool->moved_bytes;
	now.compact_released_bytes = pool->released_bytes;
	now.evictions = pool->evictions;
	now.evict_refused = pool->evict_refused;
	zp_unlock(&pool->lock);
	return zp_stats_end(&now, stats, stats_size);
}

/* ---- verification ---- */

/* The totals of all pages in the rings. */
struct sums {
	uint64_t pages, objects, chunks, open_pages, open_slots;
};

/*
 * Returns true if the object's entry in the handle table has this location, also if another thread is freeing the
 * object.
 */
static bool handle_agrees(struct z3fold_pool *pool, uint32_t pgno, const struct z3fold_page *page,
			  enum z3fold_buddy buddy)
{
	uint32_t handle_slot = page->handle_slots[buddy];
	uint64_t word;

	if (page->chunks[buddy] == 0)
		return handle_slot == ZP_SLOT_NONE;
	if (handle_slot == ZP_SLOT_NONE || handle_slot >= zp_handles_slots(&pool->handles))
		return false;
	word = atomic_load_explicit(zp_handles_word(&pool->handles, handle_slot), memory_order_relaxed);
	return zp_word_state(word) != ZP_STATE_MOVING &&
	       (word & ZP_LOCATION_MASK) == z3fold_location(pgno, z3fold_first_chunk(page, buddy));
}

static const char *verify_geometry(const struct z3fold_page *page)
{
	unsigned int middle_end = page->middle_at + page->chunks[Z3FOLD_MIDDLE];

	if (z3fold_page_objects(page) == 0)
		return "an empty page was not given back";
	for (unsigned int i = 0; i < Z3FOLD_BUDDIES; i++)
		if (page->chunks[i] > Z3FOLD_PAGE_CHUNKS)
			return "an object is larger than a page";
	if (page->chunks[Z3FOLD_FIRST] + page->chunks[Z3FOLD_LAST] > Z3FOLD_PAGE_CHUNKS)
		return "the first and the last object of a page overlap";
	if (!page->chunks[Z3FOLD_MIDDLE])
		return page->middle_at ? "a page without a middle object has a position for it" : NULL;
	if (page->middle_at == 0)
		return "a middle object begins where the first object belongs";
	if (page->middle_at < page->chunks[Z3FOLD_FIRST])
		return "a middle object overlaps the first";
	if (middle_end > (unsigned int)Z3FOLD_PAGE_CHUNKS - page->chunks[Z3FOLD_LAST])
		return "a middle object overlaps the last, or the page's end";
	return NULL;
}

static const char *verify_page(struct z3fold_pool *pool, uint32_t pgno, struct sums *sums)
{
	const struct z3fold_page *page = z3fold_page_at(pool, pgno);
	const char *fault = verify_geometry(page);
	bool open = z3fold_page_room(page) > 0;

	if (fault)
		return fault;
	if (page->state != Z3FOLD_PAGE_LISTED)
		return "a page in the order of eviction is not marked as listed";
	if ((page->links[Z3FOLD_BY_ROOM].next != ZP_PGNO_NONE) != open)
		return "a page is in a ring by room although it has no room, or in none although it has";
	for (unsigned int i = 0; i < Z3FOLD_BUDDIES; i++)
		if (!handle_agrees(pool, pgno, page, i))
			return "an object's handle leads elsewhere";
	sums->pages++;
	sums->objects += z3fold_page_objects(page);
	sums->chunks += z3fold_page_used_chunks(page);
	sums->open_pages += open;
	sums->open_slots += open ? Z3FOLD_BUDDIES - z3fold_page_objects(page) : 0;
	return NULL;
}

/* Checks all pages in the order of eviction, the youngest first, and adds up what they hold. */
static const char *verify_ages(struct z3fold_pool *pool, struct sums *sums)
{
	uint32_t pgno = pool->newest, next;
	uint64_t stamp = pool->clock;

	if (pgno == ZP_PGNO_NONE)
		return NULL;
	do {
		const struct z3fold_page *page = z3fold_page_at(pool, pgno);
		const char *fault = verify_page(pool, pgno, sums);

		if (fault)
			return fault;
		if (page->stamp > stamp)
			return "the order of eviction differs from the order of the stamps";
		if (sums->pages > pool->listed_pages)
			return "more pages are in the order of eviction than were counted";
		stamp = page->stamp;
		next = page->links[Z3FOLD_BY_AGE].next;
		if (next == ZP_PGNO_NONE || z3fold_page_at(pool, next)->links[Z3FOLD_BY_AGE].prev != pgno)
			return "the ring by age is broken";
		pgno = next;
	} while (pgno != pool->newest);
	return NULL;
}

static const char *verify_room(struct z3fold_pool *pool, unsigned int room, uint64_t *pages)
{
	uint32_t first = pool->by_room[room], pgno = first, count = 0;

	if ((pool->room_mask >> room & 1) != (first != ZP_PGNO_NONE))
		return "the mask of rings with pages is wrong";
	while (pgno != ZP_PGNO_NONE && count < pool->room_pages[room] + 1) {
		const struct z3fold_page *page = z3fold_page_at(pool, pgno);

		if (page->state != Z3FOLD_PAGE_LISTED || z3fold_page_room(page) != room)
			return "a page is in the ring of another room than it has";
		count++;
		pgno = page->links[Z3FOLD_BY_ROOM].next;
		if (pgno == first)
			break;
	}
	*pages += count;
	return count == pool->room_pages[room] ? NULL : "the count of pages in a ring by room is wrong";
}

static const char *verify_rooms(struct z3fold_pool *pool, uint64_t expected)
{
	const char *fault = NULL;
	uint64_t pages = 0;

	for (unsigned int room = 0; room < Z3FOLD_PAGE_CHUNKS && !fault; room++)
		fault = verify_room(pool, room, &pages);
	if (!fault && pages != expected)
		fault = "the number of pages in rings by room differs from the number of pages with room";
	return fault;
}

static const char *verify_sums(struct z3fold_pool *pool, const struct sums *sums)
{
	if (sums->pages != pool->listed_pages)
		return "the count of pages differs from the order of eviction";
	if (sums->open_slots != pool->open_slots)
		return "the count of free slots in pages with room is wrong";
	if (pool->reclaim_pages == 0 && (sums->objects != pool->objects || sums->chunks != pool->stored_chunks))
		return "the counts of objects and bytes differ from those of the pages";
	if (sums->objects > pool->objects || sums->chunks > pool->stored_chunks)
		return "pages hold more objects or bytes than were counted";
	if (sums->pages + pool->reclaim_pages > zp_pages_handed_out(&pool->pages))
		return "more pages are in use than were handed out";
	if (pool->objects > zp_handles_taken(&pool->handles))
		return "more objects are counted than have handles";
	return NULL;
}

struct handle_check {
	struct z3fold_pool *pool;
	const char *fault;
};

/* Checks the opposite direction: a live handle leads to a page in use, and to the object there that has its slot. */
static int verify_handle(unsigned long handle, uint64_t location, void *user)
{
	struct handle_check *check = user;
	struct z3fold_pool *pool = check->pool;

	zp_lock(&pool->lock);
	/*
	 * The object may have been freed or moved since zp_handles_each() read its entry.  The lock excludes both from
	 * here on.
	 */
	if (zp_handles_lookup(&pool->handles, handle, &location) == 0) {
		uint32_t pgno = z3fold_location_pgno(location);
		unsigned int chunk = z3fold_location_chunk(location);
		const struct z3fold_page *page = z3fold_record_is_ready(pool, pgno) ? z3fold_page_at(pool, pgno) : NULL;

		if (!page || page->state == Z3FOLD_PAGE_FREE)
			check->fault = "a live handle leads to a page that is not in use";
		else if (page->handle_slots[z3fold_buddy_at(page, chunk)] != zp_handle_slot(handle) ||
			 z3fold_first_chunk(page, z3fold_buddy_at(page, chunk)) != chunk)
			check->fault = "a live handle leads to a position where its object is not";
	}
	zp_unlock(&pool->lock);
	return check->fault ? -EUCLEAN : 0;
}

int z3fold_verify(void *pool_)
{
	struct z3fold_pool *pool = pool_;
	struct handle_check check = { .pool = pool };
	struct sums sums = { 0 };

	zp_lock(&pool->lock);
	check.fault = verify_ages(pool, &sums);
	if (!check.fault)
		check.fault = verify_sums(pool, &sums);
	if (!check.fault)
		check.fault = verify_rooms(pool, sums.open_pages);
	zp_unlock(&pool->lock);
	if (!check.fault)
		(void)zp_handles_each(&pool->handles, verify_handle, &check);
	if (!check.fault)
		check.fault = zp_handles_verify(&pool->handles);
	if (!check.fault)
		check.fault = zp_pages_verify(&pool->pages);
	if (!check.fault)
		return 0;
	pool->host->error(pool->core, "The z3fold pool is damaged: %s.", check.fault);
	return -EUCLEAN;
}
