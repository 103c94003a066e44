/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_settle.c - what a whole compaction does once its classes are packed
 *
 * Tails.  A packed class still ends in a page that is half full on average; with some two hundred classes that is what
 * the pool wastes most.  The objects on such a page go to free slots of a class a little larger, slots that have memory
 * already, if all of them find room: they waste a few bytes of room that was idle, and a page is won.  An object of a
 * larger class is as good as any other of it: it is freed, moved and evicted there.
 *
 * Zspages.  Compaction leaves records with high numbers and zspages at high addresses.  A zspage whose number is beyond
 * what so many records need takes the lowest free record, without a byte copied; one that lies where a page table
 * serves little else is copied to the lowest place that is free.  Then the table of records and the page tables shrink
 * to what is live.
 *
 * Both need every object of a zspage in hand, so a mapped object keeps its zspage where it is.
 */
#include <config.h>

#include "zsmalloc.h"

enum { RECORDS_SLACK_SHARE = 16 }; /* what the table of records may be longer than needed */
enum { LONELY_PAGES = 256 };       /* of those under a page table: fewer are not worth it */

/* ------------------------------------------------------------------------------------------------------------------
 * Tails
 */

/* Free slots of a zspage that have memory. */
static unsigned int count_ready_slots(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	unsigned int ready = 0;

	for (unsigned int slot = 0; slot < class->slots; slot++)
		ready += !zsmalloc_slot_is_used(zspage, slot) &&
			 !(zsmalloc_slot_pages(class, slot) & ~zspage->committed);
	return ready;
}

/* Objects that lie on the page of the highest one. */
static unsigned int count_last_objects(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	int slot = zsmalloc_highest_used(zspage, class->slots);
	uint64_t pages = slot < 0 ? 0 : zsmalloc_slot_pages(class, (unsigned int)slot);
	uint64_t last = pages & ~(pages >> 1);
	unsigned int count = 0;

	for (; slot >= 0 && (zsmalloc_slot_pages(class, (unsigned int)slot) & last);
	     slot = zsmalloc_highest_used(zspage, slot))
		count++;
	return count;
}

/* Moves the last `count` objects of a zspage.  With both locks held. */
static unsigned int move_last(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t source,
			      unsigned int count, struct zsmalloc_class *larger, uint32_t target)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, source), *room = zsmalloc_zspage(pool, target);
	unsigned int moved = 0;

	for (int slot = class->slots; moved < count; moved++) {
		int to = zsmalloc_slot_find(larger, room, true);

		slot = zsmalloc_highest_used(zspage, slot);
		if (to < 0 || slot < 0 ||
		    zsmalloc_object_move(pool, zsmalloc_location(source, (unsigned int)slot),
					 zsmalloc_location(target, (unsigned int)to)))
			break;
	}
	return moved;
}

/*
 * Tries one larger class, which must have room for all `count` objects of the page.  How many were moved: `most`, or
 * less if one was mapped; 0: no room.
 */
static unsigned int migrate_last(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t source,
				 unsigned int count, unsigned int most, struct zsmalloc_class *larger)
{
	unsigned int moved = 0;

	/* The only place where two classes' locks are held: the smaller class's first. */
	zp_lock(&larger->lock);
	uint32_t target = zsmalloc_fullest(larger);
	if (target != ZSMALLOC_NONE) {
		const struct zsmalloc_zspage *room = zsmalloc_zspage(pool, target);
		bool keeps_order = !pool->evict || room->stamp >= zsmalloc_zspage(pool, source)->stamp;

		if (keeps_order && count_ready_slots(larger, room) >= count)
			moved = move_last(pool, class, source, most, larger, target);
	}
	zp_unlock(&larger->lock);
	return moved;
}

uint64_t zsmalloc_migrate_tail(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t budget)
{
	struct zsmalloc_class *larger = class + 1;
	uint32_t source = zsmalloc_fullest(class);
	uint64_t moved_bytes = 0;

	while (source != ZSMALLOC_NONE && moved_bytes < budget && zsmalloc_may_migrate(pool, class, larger)) {
		struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, source);
		unsigned int count = count_last_objects(class, zspage);
		uint64_t affordable = (budget - moved_bytes - 1) / class->slot_bytes + 1;
		unsigned int most = affordable < count ? (unsigned int)affordable : count;
		unsigned int moved = migrate_last(pool, class, source, count, most, larger);

		moved_bytes += (uint64_t)moved * class->slot_bytes;
		if (zspage->used_slots == 0) {
			zsmalloc_zspage_unlist(pool, class, source);
			zsmalloc_zspage_retire(pool, class, source, false);
			break;
		}
		if (moved)
			(void)zsmalloc_zspage_decommit_idle(pool, class, source, 0);
		if (moved < most)
			larger++;
	}
	return moved_bytes;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Zspages
 */

/* Ends the move of the objects in a zspage's slots below `end`: they are in zspage `number` now. */
static void putback(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, unsigned int end)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	for (unsigned int slot = 0; slot < end; slot++)
		if (zsmalloc_slot_is_used(zspage, slot))
			zp_handles_end_move(&pool->handles, zsmalloc_handle_slots(class, zspage)[slot],
					    zsmalloc_location(number, slot));
}

/* Isolates every object of a zspage.  false: one could not be, and none is. */
static bool isolate_all(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t handle_slot;

	for (unsigned int slot = 0; slot < class->slots; slot++) {
		if (!zsmalloc_slot_is_used(zspage, slot) ||
		    zsmalloc_object_isolate(pool, zsmalloc_location(number, slot), &handle_slot) == 0)
			continue;
		putback(pool, class, number, slot);
		return false;
	}
	return true;
}

/* The holes of a zspage that had another number get their new locations. */
static void relocate_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t to)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, to);

	for (unsigned int slot = 0; slot < class->slots; slot++) {
		uint32_t handle_slot = zsmalloc_handle_slots(class, zspage)[slot];

		if (!zsmalloc_slot_is_used(zspage, slot) &&
		    zp_handles_is_bound_to(&pool->handles, handle_slot, zsmalloc_location(from, slot)))
			zp_handles_set_location(&pool->handles, handle_slot, zsmalloc_location(to, slot));
	}
}

/* With the class's lock held, and the zspage on its lists. */
static void settle_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, uint32_t numbers)
{
	bool lonely = zp_pages_in_table(&pool->pages, zsmalloc_zspage(pool, number)->pgno) < LONELY_PAGES;
	uint32_t now = number;

	if ((number < numbers && !lonely) || !isolate_all(pool, class, number))
		return;
	if (lonely)
		(void)zsmalloc_zspage_relocate(pool, class, number);
	if (number >= numbers && zsmalloc_zspage_renumber(pool, class, number, &now) == 0)
		relocate_holes(pool, class, number, now);
	else
		now = number;
	putback(pool, class, now, class->slots);
}

void zsmalloc_settle_zspages(struct zsmalloc_pool *pool)
{
	zp_lock(&pool->records.lock);
	uint32_t records = pool->records.end, live = pool->records.live;
	zp_unlock(&pool->records.lock);
	uint32_t numbers = live + live / RECORDS_SLACK_SHARE;

	for (uint32_t number = records; number-- > 1;) {
		const struct zsmalloc_header *header = zsmalloc_header(pool, number);
		uint16_t index = atomic_load_explicit(&header->class_index, memory_order_relaxed);

		if (index >= pool->class_count)
			continue;
		struct zsmalloc_class *class = &pool->classes[index];
		zp_lock(&class->lock);
		/* Whoever makes a zspage of a record, or ends it, has this lock when the zspage is listed. */
		if (atomic_load_explicit(&header->class_index, memory_order_relaxed) == index &&
		    zsmalloc_is_listed(header))
			settle_zspage(pool, class, number, numbers);
		zp_unlock(&class->lock);
	}
}
