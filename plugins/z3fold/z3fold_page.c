/* SPDX-License-Identifier: MIT
 *
 * z3fold_page.c - pages, their rings and their slots
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <pthread.h>
#include <string.h>

#include "z3fold.h"

/* ---- rings ---- */

static struct z3fold_link *link_of(struct z3fold_pool *pool, enum z3fold_ring ring, uint32_t pgno)
{
	return &z3fold_page_at(pool, pgno)->links[ring];
}

static void ring_insert_before(struct z3fold_pool *pool, enum z3fold_ring ring, uint32_t pgno, uint32_t next)
{
	struct z3fold_link *link = link_of(pool, ring, pgno);

	link->next = next;
	link->prev = link_of(pool, ring, next)->prev;
	link_of(pool, ring, link->prev)->next = pgno;
	link_of(pool, ring, next)->prev = pgno;
}

static void ring_add_first(struct z3fold_pool *pool, enum z3fold_ring ring, uint32_t *first, uint32_t pgno)
{
	if (*first == ZP_PGNO_NONE)
		*link_of(pool, ring, pgno) = (struct z3fold_link){ pgno, pgno };
	else
		ring_insert_before(pool, ring, pgno, *first);
	*first = pgno;
}

static void ring_remove(struct z3fold_pool *pool, enum z3fold_ring ring, uint32_t *first, uint32_t pgno)
{
	struct z3fold_link *link = link_of(pool, ring, pgno);

	link_of(pool, ring, link->prev)->next = link->next;
	link_of(pool, ring, link->next)->prev = link->prev;
	if (*first == pgno)
		*first = link->next == pgno ? ZP_PGNO_NONE : link->next;
	*link = (struct z3fold_link){ ZP_PGNO_NONE, ZP_PGNO_NONE };
}

/* Adds a page to the ring for its room, if it has any room. */
void z3fold_room_enter(struct z3fold_pool *pool, uint32_t pgno)
{
	const struct z3fold_page *page = z3fold_page_at(pool, pgno);
	unsigned int room = z3fold_page_room(page);

	if (room == 0)
		return;
	ring_add_first(pool, Z3FOLD_BY_ROOM, &pool->by_room[room], pgno);
	pool->room_pages[room]++;
	pool->room_mask |= UINT64_C(1) << room;
	pool->open_slots += Z3FOLD_BUDDIES - z3fold_page_objects(page);
}

/*
 * Must be called before the page changes, because its ring follows from its room.  Does nothing if it is on no such
 * ring.
 */
void z3fold_room_leave(struct z3fold_pool *pool, uint32_t pgno)
{
	const struct z3fold_page *page = z3fold_page_at(pool, pgno);
	unsigned int room = z3fold_page_room(page);

	if (page->links[Z3FOLD_BY_ROOM].next == ZP_PGNO_NONE)
		return;
	ring_remove(pool, Z3FOLD_BY_ROOM, &pool->by_room[room], pgno);
	pool->room_pages[room]--;
	if (pool->room_pages[room] == 0)
		pool->room_mask &= ~(UINT64_C(1) << room);
	pool->open_slots -= Z3FOLD_BUDDIES - z3fold_page_objects(page);
}

static void age_enter(struct z3fold_pool *pool, uint32_t pgno)
{
	z3fold_page_at(pool, pgno)->stamp = ++pool->clock;
	ring_add_first(pool, Z3FOLD_BY_AGE, &pool->newest, pgno);
}

void z3fold_page_inherit(struct z3fold_pool *pool, uint32_t to, uint32_t from)
{
	struct z3fold_page *page = z3fold_page_at(pool, to);
	const struct z3fold_page *source = z3fold_page_at(pool, from);

	if (page->stamp >= source->stamp)
		return;
	page->stamp = source->stamp;
	ring_remove(pool, Z3FOLD_BY_AGE, &pool->newest, to);
	ring_insert_before(pool, Z3FOLD_BY_AGE, to, source->links[Z3FOLD_BY_AGE].next);
}

void z3fold_page_enter_rings(struct z3fold_pool *pool, uint32_t pgno)
{
	z3fold_page_at(pool, pgno)->state = Z3FOLD_PAGE_LISTED;
	z3fold_room_enter(pool, pgno);
	age_enter(pool, pgno);
	pool->listed_pages++;
}

void z3fold_page_leave_rings(struct z3fold_pool *pool, uint32_t pgno)
{
	z3fold_room_leave(pool, pgno);
	ring_remove(pool, Z3FOLD_BY_AGE, &pool->newest, pgno);
	z3fold_page_at(pool, pgno)->state = Z3FOLD_PAGE_FREE;
	pool->listed_pages--;
}

void z3fold_reclaim_begin(struct z3fold_pool *pool, uint32_t pgno)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);

	page->state = Z3FOLD_PAGE_UNDER_RECLAIM;
	page->stamp = (uintptr_t)pthread_self();
	ring_add_first(pool, Z3FOLD_BY_AGE, &pool->reclaiming, pgno);
	pool->reclaim_pages++;
}

void z3fold_reclaim_end(struct z3fold_pool *pool, uint32_t pgno)
{
	ring_remove(pool, Z3FOLD_BY_AGE, &pool->reclaiming, pgno);
	z3fold_page_at(pool, pgno)->state = Z3FOLD_PAGE_FREE;
	pool->reclaim_pages--;
}

void z3fold_reclaims_of_others_end(struct z3fold_pool *pool)
{
	uint32_t pgno = pool->reclaiming;

	for (uint64_t left = pool->reclaim_pages; left; left--) {
		const struct z3fold_page *page = z3fold_page_at(pool, pgno);
		uint32_t this = pgno;

		pgno = page->links[Z3FOLD_BY_AGE].next;
		if (page->stamp == (uintptr_t)pthread_self())
			continue;
		z3fold_reclaim_end(pool, this);
		if (z3fold_page_objects(page) == 0)
			z3fold_page_put(pool, this);
		else
			z3fold_page_enter_rings(pool, this);
	}
}

/* ---- slots ---- */

void z3fold_page_init(struct z3fold_pool *pool, uint32_t pgno)
{
	memset(z3fold_page_at(pool, pgno), 0, sizeof(struct z3fold_page));
}

/* Without a middle object, the page has one hole, between the first and the last object. */
static bool slot_without_middle(const struct z3fold_page *page, unsigned int chunks, struct z3fold_slot *slot)
{
	unsigned int first = page->chunks[Z3FOLD_FIRST], last = page->chunks[Z3FOLD_LAST];

	if (first + last + chunks > Z3FOLD_PAGE_CHUNKS)
		return false;
	if (!first) {
		slot->buddy = Z3FOLD_FIRST;
		slot->chunk = 0;
	} else if (!last) {
		slot->buddy = Z3FOLD_LAST;
		slot->chunk = Z3FOLD_PAGE_CHUNKS - chunks;
	} else {
		slot->buddy = Z3FOLD_MIDDLE;
		slot->chunk = first;
	}
	return true;
}

/* With a middle object, the page has a hole on each side of it; only a side without another object can be used. */
static bool slot_beside_middle(const struct z3fold_page *page, unsigned int chunks, struct z3fold_slot *slot)
{
	unsigned int middle_end = page->middle_at + page->chunks[Z3FOLD_MIDDLE];
	unsigned int left = page->chunks[Z3FOLD_FIRST] ? 0 : page->middle_at;
	unsigned int right = page->chunks[Z3FOLD_LAST] ? 0 : Z3FOLD_PAGE_CHUNKS - middle_end;

	if (left >= chunks && (right < chunks || left <= right)) {
		slot->buddy = Z3FOLD_FIRST;
		slot->chunk = 0;
		return true;
	}
	slot->buddy = Z3FOLD_LAST;
	slot->chunk = Z3FOLD_PAGE_CHUNKS - chunks;
	return right >= chunks;
}

/*
 * Finds the slot in a page with enough room, and shifts a middle object that is in the way.  Returns false if it is
 * mapped.
 */
static bool open_slot(struct z3fold_pool *pool, uint32_t pgno, unsigned int chunks, struct z3fold_slot *slot)
{
	const struct z3fold_page *page = z3fold_page_at(pool, pgno);

	slot->pgno = pgno;
	if (page->chunks[Z3FOLD_MIDDLE] && slot_beside_middle(page, chunks, slot))
		return true;
	if (page->chunks[Z3FOLD_MIDDLE] && !z3fold_shift_middle(pool, pgno, 1))
		return false;
	/* A middle object that was alone is the first object now. */
	return page->chunks[Z3FOLD_MIDDLE] ? slot_beside_middle(page, chunks, slot)
					   : slot_without_middle(page, chunks, slot);
}

bool z3fold_find_slot(struct z3fold_pool *pool, unsigned int chunks, struct z3fold_slot *slot)
{
	uint64_t fitting = chunks < Z3FOLD_PAGE_CHUNKS ? pool->room_mask & (UINT64_MAX << chunks) : 0;
	unsigned int tries = 0;

	for (; fitting; fitting &= fitting - 1) {
		uint32_t *first = &pool->by_room[__builtin_ctzll(fitting)];
		uint32_t left = pool->room_pages[__builtin_ctzll(fitting)];

		for (; left; left--) {
			if (open_slot(pool, *first, chunks, slot))
				return true;
			/* The next search begins with the other pages of the ring. */
			*first = link_of(pool, Z3FOLD_BY_ROOM, *first)->next;
			if (++tries == Z3FOLD_FIND_TRIES)
				return false;
		}
	}
	return false;
}

struct z3fold_slot z3fold_slot_in_new_page(uint32_t pgno)
{
	return (struct z3fold_slot){ .pgno = pgno, .buddy = Z3FOLD_FIRST, .chunk = 0 };
}

/* ---- objects ---- */

void z3fold_fill(struct z3fold_pool *pool, const struct z3fold_slot *slot, unsigned int chunks, uint32_t handle_slot)
{
	struct z3fold_page *page = z3fold_page_at(pool, slot->pgno);

	z3fold_room_leave(pool, slot->pgno);
	page->handle_slots[slot->buddy] = handle_slot;
	page->chunks[slot->buddy] = (uint8_t)chunks;
	if (slot->buddy == Z3FOLD_MIDDLE)
		page->middle_at = slot->chunk & (Z3FOLD_PAGE_CHUNKS - 1);
	if (page->state == Z3FOLD_PAGE_LISTED)
		z3fold_room_enter(pool, slot->pgno);
}

void z3fold_clear(struct z3fold_pool *pool, uint32_t pgno, enum z3fold_buddy buddy)
{
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	bool filed = page->state == Z3FOLD_PAGE_LISTED;

	if (filed)
		z3fold_room_leave(pool, pgno);
	page->handle_slots[buddy] = ZP_SLOT_NONE;
	page->chunks[buddy] = 0;
	if (buddy == Z3FOLD_MIDDLE)
		page->middle_at = 0;
	if (filed && z3fold_page_objects(page))
		z3fold_room_enter(pool, pgno);
}

unsigned long z3fold_store(struct z3fold_pool *pool, const struct z3fold_slot *slot, unsigned int chunks,
			   uint32_t handle_slot, bool zero)
{
	uint64_t location = z3fold_location(slot->pgno, slot->chunk);

	z3fold_fill(pool, slot, chunks, handle_slot);
	if (z3fold_page_at(pool, slot->pgno)->state == Z3FOLD_PAGE_LISTED) {
		ring_remove(pool, Z3FOLD_BY_AGE, &pool->newest, slot->pgno);
		age_enter(pool, slot->pgno);
	} else {
		z3fold_page_enter_rings(pool, slot->pgno);
	}
	if (zero)
		memset(z3fold_address(pool, location), 0, (size_t)chunks * Z3FOLD_CHUNK_BYTES);
	pool->objects++;
	pool->stored_chunks += chunks;
	return zp_handles_publish(&pool->handles, handle_slot, location);
}

uint32_t z3fold_drop(struct z3fold_pool *pool, uint64_t location)
{
	uint32_t pgno = z3fold_location_pgno(location);
	struct z3fold_page *page = z3fold_page_at(pool, pgno);
	enum z3fold_buddy buddy = z3fold_buddy_at(page, z3fold_location_chunk(location));

	pool->objects--;
	pool->frees++;
	pool->stored_chunks -= page->chunks[buddy];
	z3fold_clear(pool, pgno, buddy);
	if (page->state == Z3FOLD_PAGE_UNDER_RECLAIM)
		return ZP_PGNO_NONE;
	/* A free does not make the page younger. */
	if (z3fold_page_objects(page) == 0) {
		z3fold_page_leave_rings(pool, pgno);
		return pgno;
	}
	if (z3fold_page_objects(page) == 1 && z3fold_empty_page(pool, pgno)) {
		pool->released_bytes += ZP_PAGE_BYTES;
		return pgno;
	}
	(void)z3fold_shift_middle(pool, pgno, Z3FOLD_GAIN_CHUNKS);
	return ZP_PGNO_NONE;
}
