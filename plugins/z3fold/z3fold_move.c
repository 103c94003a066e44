/* SPDX-License-Identifier: MIT
 *
 * z3fold_move.c - moving objects, inside their page and out of it
 *
 * Every move is made under the pool's lock: who holds it sees no object between two places.  An object that is
 * mapped, or that somebody has begun to free, is not moved.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "z3fold.h"

/* Where the middle object wastes nothing: beside its only neighbour, or as the first where it is alone. */
static bool better_place(const struct z3fold_page *page, struct z3fold_place *place)
{
	unsigned int first = page->chunks[Z3FOLD_FIRST], last = page->chunks[Z3FOLD_LAST];

	if (!page->chunks[Z3FOLD_MIDDLE] || (first && last))
		return false;
	place->buddy = first || last ? Z3FOLD_MIDDLE : Z3FOLD_FIRST;
	place->chunk = last ? Z3FOLD_PAGE_CHUNKS - last - page->chunks[Z3FOLD_MIDDLE] : first;
	return place->chunk != page->middle_at;
}

static unsigned int distance(unsigned int a, unsigned int b)
{
	return a > b ? a - b : b - a;
}

bool z3fold_settle_middle(struct z3fold_pool *pool, uint32_t pgno, unsigned int gain_chunks)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	struct z3fold_place place = { .pgno = pgno };
	unsigned int chunks = page->chunks[Z3FOLD_MIDDLE];
	uint32_t slot = page->slots[Z3FOLD_MIDDLE];
	uint64_t from, to;

	if (!better_place(page, &place))
		return false;
	if (place.buddy == Z3FOLD_MIDDLE && distance(place.chunk, page->middle_at) < gain_chunks)
		return false;
	if (zp_handles_begin_move(&pool->handles, slot, &from))
		return false;
	to = z3fold_location(pgno, place.chunk);
	memmove(z3fold_address(pool, to), z3fold_address(pool, from), (size_t)chunks * Z3FOLD_CHUNK_BYTES);
	/* The page's room stays what it was, so its ring does. */
	page->slots[Z3FOLD_MIDDLE] = ZP_SLOT_NONE;
	page->chunks[Z3FOLD_MIDDLE] = 0;
	page->slots[place.buddy] = slot;
	page->chunks[place.buddy] = (uint8_t)chunks;
	page->middle_at = place.buddy == Z3FOLD_MIDDLE ? place.chunk & (Z3FOLD_PAGE_CHUNKS - 1) : 0;
	zp_handles_end_move(&pool->handles, slot, to);
	pool->moved_bytes += (uint64_t)chunks * Z3FOLD_CHUNK_BYTES;
	return true;
}

/* An object on its way to another page: its place is taken, its bytes are not there yet. */
struct departure {
	enum z3fold_buddy buddy;
	uint32_t slot;
	unsigned int chunks;
	uint64_t from;
	struct z3fold_place to;
};

/* The objects of a page, the largest first: that finds room for it or need not look further. */
static unsigned int list_objects(const struct z3fold_page *page, struct departure *list)
{
	unsigned int count = 0;

	for (unsigned int buddy = 0; buddy < Z3FOLD_BUDDIES; buddy++) {
		unsigned int at = count;

		if (!page->chunks[buddy])
			continue;
		for (; at > 0 && list[at - 1].chunks < page->chunks[buddy]; at--)
			list[at] = list[at - 1];
		list[at] =
			(struct departure){ .buddy = buddy, .slot = page->slots[buddy], .chunks = page->chunks[buddy] };
		count++;
	}
	return count;
}

/* Make sure of the object and of a place in another page. */
static bool depart(struct z3fold_pool *pool, struct departure *object)
{
	if (zp_handles_begin_move(&pool->handles, object->slot, &object->from))
		return false;
	if (!z3fold_find_place(pool, object->chunks, &object->to)) {
		zp_handles_end_move(&pool->handles, object->slot, object->from);
		return false;
	}
	z3fold_fill(pool, &object->to, object->chunks, object->slot);
	return true;
}

static void turn_back(struct z3fold_pool *pool, const struct departure *object)
{
	z3fold_clear(pool, object->to.pgno, object->to.buddy);
	zp_handles_end_move(&pool->handles, object->slot, object->from);
}

static void arrive(struct z3fold_pool *pool, const struct departure *object, uint32_t from_pgno)
{
	uint64_t to = z3fold_location(object->to.pgno, object->to.chunk);
	size_t bytes = (size_t)object->chunks * Z3FOLD_CHUNK_BYTES;

	memcpy(z3fold_address(pool, to), z3fold_address(pool, object->from), bytes);
	zp_handles_end_move(&pool->handles, object->slot, to);
	z3fold_page_inherit(pool, object->to.pgno, from_pgno);
	pool->moved_bytes += bytes;
}

bool z3fold_empty_page(struct z3fold_pool *pool, uint32_t pgno)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	struct departure objects[Z3FOLD_BUDDIES];
	unsigned int count = list_objects(page, objects), ready = 0;

	/* Out of its ring, the page is no place for its own objects. */
	z3fold_room_leave(pool, pgno);
	while (ready < count && depart(pool, &objects[ready]))
		ready++;
	if (ready < count) {
		while (ready > 0)
			turn_back(pool, &objects[--ready]);
		z3fold_room_enter(pool, pgno);
		return false;
	}
	for (unsigned int i = 0; i < count; i++)
		arrive(pool, &objects[i], pgno);
	z3fold_page_leave_rings(pool, pgno);
	memset(page, 0, sizeof *page);
	return true;
}
