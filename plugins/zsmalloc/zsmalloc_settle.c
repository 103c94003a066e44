/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_settle.c - what a whole compaction does after the objects of each class were moved together
 *
 * Tails.  A packed class still ends with a page that is half full on average.  With some two hundred classes, these
 * pages are most of what a pool wastes.  If all objects on such a page find free slots with memory in a slightly larger
 * class, they move there: they waste a few bytes each in slots that were unused, and a page is released.  From then on
 * such an object belongs to the larger class.
 *
 * Zspages.  Compaction leaves records with high numbers and zspages at high addresses.  A zspage whose number is above
 * what the number of zspages requires gets the lowest free record; its bytes are not copied.  A zspage that is nearly
 * alone under a page table is copied to the lowest free pages.  Afterwards, the table of records and the page tables
 * can shrink to what is live.
 *
 * Both need to isolate every object of a zspage, so a mapped object keeps its zspage where it is.
 */
#include <config.h>

#include "zsmalloc.h"

enum { RECORDS_SLACK_SHARE = 16 }; /* the table of records may be longer than needed by this share */
enum { LONELY_PAGES = 256 };       /* a zspage moves if its page table serves fewer pages than these */

/* ------------------------------------------------------------------------------------------------------------------
 * Tails
 */

/* Returns how many free slots of a zspage have memory. */
static unsigned int count_ready_slots(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	unsigned int ready = 0;

	for (unsigned int slot = 0; slot < class->slots; slot++)
		ready += !zsmalloc_slot_is_used(zspage, slot) &&
			 !(zsmalloc_slot_pages(class, slot) & ~zspage->committed);
	return ready;
}

/* Returns how many objects lie on the last page of a zspage that has any. */
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

/*
 * Moves the objects on the last page of a zspage, at most `most` of them, to a larger class that has free slots with
 * memory for all `count` objects of the page.  Returns how many were moved: less than `most` if there is no room or an
 * object is mapped.
 */
static unsigned int migrate_last_page(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t source,
				      unsigned int count, unsigned int most, struct zsmalloc_class *larger)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, source);
	int slot = class->slots, to;
	unsigned int moved = 0;

	/* This is the only place that waits for a second class's lock.  The smaller class's lock is taken first. */
	zp_lock(&larger->lock);
	uint32_t target = zsmalloc_fullest(larger);
	const struct zsmalloc_zspage *room = zsmalloc_zspage(pool, target);
	/* Eviction would ask for a young object too soon if it were in an older zspage. */
	bool keeps_order = !pool->evict || room->stamp >= zspage->stamp;
	if (target != ZSMALLOC_NONE && keeps_order && count_ready_slots(larger, room) >= count) {
		for (; moved < most; moved++) {
			to = zsmalloc_slot_find(larger, room, true);
			slot = zsmalloc_highest_used(zspage, slot);
			if (to < 0 || slot < 0 ||
			    zsmalloc_object_move(pool, zsmalloc_location(source, (unsigned int)slot),
						 zsmalloc_location(target, (unsigned int)to)))
				break;
		}
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
		unsigned int moved = migrate_last_page(pool, class, source, count, most, larger);

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

/*
 * Puts the objects in the slots of a zspage below `end` back after isolate_all().  `to` is the zspage's number now.  If
 * it was renumbered, its holes get their new locations, too.
 */
static void putback(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t to,
		    unsigned int end)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, to);

	for (unsigned int slot = 0; slot < end; slot++) {
		uint32_t handle_slot = zsmalloc_handle_slots(class, zspage)[slot];
		uint64_t location = zsmalloc_location(to, slot);

		if (zsmalloc_slot_is_used(zspage, slot))
			zp_handles_end_move(&pool->handles, handle_slot, location);
		else if (from != to &&
			 zp_handles_is_bound_to(&pool->handles, handle_slot, zsmalloc_location(from, slot)))
			zp_handles_set_location(&pool->handles, handle_slot, location);
	}
}

/* Isolates every object of a zspage.  Returns false, with no object isolated, if one of them cannot be. */
static bool isolate_all(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t handle_slot;

	for (unsigned int slot = 0; slot < class->slots; slot++) {
		if (!zsmalloc_slot_is_used(zspage, slot) ||
		    zsmalloc_object_isolate(pool, zsmalloc_location(number, slot), &handle_slot) == 0)
			continue;
		putback(pool, class, number, number, slot);
		return false;
	}
	return true;
}

/*
 * Moves a zspage that is lonely, and renumbers one whose number is not below `numbers`.  Called with the class's lock
 * held, for a zspage that is listed.
 */
static void settle_zspage(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number, uint32_t numbers)
{
	bool lonely = zp_pages_in_table(&pool->pages, zsmalloc_zspage(pool, number)->pgno) < LONELY_PAGES;
	uint32_t now = number;

	if ((number < numbers && !lonely) || !isolate_all(pool, class, number))
		return;
	if (lonely)
		zsmalloc_zspage_relocate(pool, class, number);
	if (number >= numbers && zsmalloc_zspage_renumber(pool, class, number, &now))
		now = number;
	putback(pool, class, number, now, class->slots);
}

/*
 * Returns true if the zspage is listed in the class with this index, whose lock is held.
 *
 * A record leaves its class in zsmalloc_record_put(), and gets into another one after that.  Without the lock of the
 * records, both could happen between the two checks, and the zspage would be listed in the other class.
 */
static bool is_listed_in(struct zsmalloc_pool *pool, const struct zsmalloc_header *header, uint16_t index)
{
	zp_lock(&pool->records.lock);
	bool listed =
		atomic_load_explicit(&header->class_index, memory_order_relaxed) == index && zsmalloc_is_listed(header);
	zp_unlock(&pool->records.lock);
	return listed;
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
		if (is_listed_in(pool, header, index))
			settle_zspage(pool, class, number, numbers);
		zp_unlock(&class->lock);
	}
}
