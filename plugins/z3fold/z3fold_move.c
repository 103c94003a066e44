/* SPDX-License-Identifier: MIT
 *
 * z3fold_move.c - moving objects inside their page and to other pages
 *
 * The pool's lock is held during every move, so no thread that holds it sees an object between two slots.  An object
 * that is mapped, or that another thread has begun to free, is not moved.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>

#include "z3fold.h"

/* Finds the best slot for the middle object: next to its only neighbour, or as the first object if it is alone. */
static bool better_middle_slot(const struct z3fold_page *page, struct z3fold_slot *slot)
{
	unsigned int first = page->chunks[Z3FOLD_FIRST], last = page->chunks[Z3FOLD_LAST];

	if (!page->chunks[Z3FOLD_MIDDLE] || (first && last))
		return false;
	slot->buddy = first || last ? Z3FOLD_MIDDLE : Z3FOLD_FIRST;
	slot->chunk = last ? Z3FOLD_PAGE_CHUNKS - last - page->chunks[Z3FOLD_MIDDLE] : first;
	return slot->chunk != page->middle_at;
}

static unsigned int distance(unsigned int a, unsigned int b)
{
	return a > b ? a - b : b - a;
}

bool z3fold_shift_middle(struct z3fold_pool *pool, uint32_t pgno, unsigned int gain_chunks)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	struct z3fold_slot slot = { .pgno = pgno };
	unsigned int chunks = page->chunks[Z3FOLD_MIDDLE];
	uint32_t handle_slot = page->handle_slots[Z3FOLD_MIDDLE];
	uint64_t from, to;

	if (!better_middle_slot(page, &slot))
		return false;
	if (slot.buddy == Z3FOLD_MIDDLE && distance(slot.chunk, page->middle_at) < gain_chunks)
		return false;
	if (zp_handles_begin_move(&pool->handles, handle_slot, &from))
		return false;
	to = z3fold_location(pgno, slot.chunk);
	memmove(z3fold_address(pool, to), z3fold_address(pool, from), (size_t)chunks * Z3FOLD_CHUNK_BYTES);
	/* The room of the page does not change, so the page stays in its ring. */
	page->handle_slots[Z3FOLD_MIDDLE] = ZP_SLOT_NONE;
	page->chunks[Z3FOLD_MIDDLE] = 0;
	page->handle_slots[slot.buddy] = handle_slot;
	page->chunks[slot.buddy] = (uint8_t)chunks;
	page->middle_at = slot.buddy == Z3FOLD_MIDDLE ? slot.chunk & (Z3FOLD_PAGE_CHUNKS - 1) : 0;
	zp_handles_end_move(&pool->handles, handle_slot, to);
	pool->moved_bytes += (uint64_t)chunks * Z3FOLD_CHUNK_BYTES;
	return true;
}

/* An object that is being moved to another page: its new slot is reserved, but the bytes are not copied yet. */
struct migration {
	enum z3fold_buddy buddy;
	uint32_t handle_slot;
	unsigned int chunks;
	uint64_t from;
	struct z3fold_slot to;
};

/* Lists the objects of a page, the largest first, because that one is the most likely to find no room. */
static unsigned int list_objects(const struct z3fold_page *page, struct migration *list)
{
	unsigned int count = 0;

	for (unsigned int buddy = 0; buddy < Z3FOLD_BUDDIES; buddy++) {
		unsigned int at = count;

		if (!page->chunks[buddy])
			continue;
		for (; at > 0 && list[at - 1].chunks < page->chunks[buddy]; at--)
			list[at] = list[at - 1];
		list[at] = (struct migration){ .buddy = buddy,
					       .handle_slot = page->handle_slots[buddy],
					       .chunks = page->chunks[buddy] };
		count++;
	}
	return count;
}

/* Marks the object as moving and reserves a slot for it in another page. */
static bool begin_migration(struct z3fold_pool *pool, struct migration *object)
{
	if (zp_handles_begin_move(&pool->handles, object->handle_slot, &object->from))
		return false;
	if (!z3fold_find_slot(pool, object->chunks, &object->to)) {
		zp_handles_end_move(&pool->handles, object->handle_slot, object->from);
		return false;
	}
	z3fold_fill(pool, &object->to, object->chunks, object->handle_slot);
	return true;
}

static void cancel_migration(struct z3fold_pool *pool, const struct migration *object)
{
	z3fold_clear(pool, object->to.pgno, object->to.buddy);
	zp_handles_end_move(&pool->handles, object->handle_slot, object->from);
}

static void end_migration(struct z3fold_pool *pool, const struct migration *object, uint32_t from_pgno)
{
	uint64_t to = z3fold_location(object->to.pgno, object->to.chunk);
	size_t bytes = (size_t)object->chunks * Z3FOLD_CHUNK_BYTES;

	memcpy(z3fold_address(pool, to), z3fold_address(pool, object->from), bytes);
	zp_handles_end_move(&pool->handles, object->handle_slot, to);
	z3fold_page_inherit(pool, object->to.pgno, from_pgno);
	pool->moved_bytes += bytes;
}

bool z3fold_empty_page(struct z3fold_pool *pool, uint32_t pgno)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	struct migration objects[Z3FOLD_BUDDIES];
	unsigned int count = list_objects(page, objects), ready = 0;

	/* The page must not be found as a target for its own objects. */
	z3fold_room_leave(pool, pgno);
	while (ready < count && begin_migration(pool, &objects[ready]))
		ready++;
	if (ready < count) {
		while (ready > 0)
			cancel_migration(pool, &objects[--ready]);
		z3fold_room_enter(pool, pgno);
		return false;
	}
	for (unsigned int i = 0; i < count; i++)
		end_migration(pool, &objects[i], pgno);
	z3fold_page_leave_rings(pool, pgno);
	memset(page, 0, sizeof(*page));
	return true;
}
