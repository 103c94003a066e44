/* SPDX-License-Identifier: MIT
 *
 * zblock_verify.c - the driver's invariants
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

/* The totals that the walk over the types counts. */
struct audit {
	struct zblock_pool *pool;
	uint64_t slots_used, committed_pages, kept_handle_slots, live, cached;
	const char *fault;
};

/* Returns NULL if a block's record agrees with its memory, or a message that names the fault. */
static const char *audit_memory(struct zblock_pool *pool, const struct zblock_type *type,
				const struct zblock_block *block)
{
	if (block->base != (char *)zp_pages_address(&pool->pages, block->pgno) + ZBLOCK_HEAD_BYTES)
		return "a block's slots do not begin on its first page";
	if (block->committed >> type->pages)
		return "a block has more pages than its type";
	if (block->backed != zblock_slots_on(type, block->committed))
		return "a block's mask of slots with memory is wrong";
	if (type->all_slots & ~block->vacant & ~block->backed)
		return "an object lies on a page without memory";
	for (unsigned int page = 0; page < type->pages; page++)
		if (block->committed >> page & 1 && !zp_pages_is_committed(&pool->pages, block->pgno + page))
			return "a block and the page allocator disagree about a page's memory";
	return NULL;
}

static const char *audit_block(struct audit *audit, const struct zblock_type *type, uint32_t number,
			       enum zblock_list list)
{
	const struct zblock_block *block = zblock_block(audit->pool, number);

	if (zblock_type_index(block) != (unsigned int)(type - audit->pool->types) || block->list != list)
		return "a block is in a list of another type, or in the wrong list";
	if (!block->taken)
		return "the record of a block in use is free";
	if (block->vacant & ~type->all_slots)
		return "a block counts free slots beyond its last";
	if ((block->vacant == 0) != (list == ZBLOCK_FULL))
		return "a block with free slots is in the list of full blocks, or a full block is not";
	if ((block->vacant == type->all_slots) != (list == ZBLOCK_SPARE))
		return "an empty block was not given back, or the spare one is in use";
	if (list != ZBLOCK_SPARE && list != ZBLOCK_FULL &&
	    (zblock_idle_pages(type, block) != 0) != (list == ZBLOCK_IDLE))
		return "a block with an idle page is not in the list of such blocks, or one without is in it";
	audit->slots_used += zblock_used_slots(type, block);
	audit->committed_pages += (unsigned int)__builtin_popcount(block->committed);
	return audit_memory(audit->pool, type, block);
}

/* Checks one of a type's lists, and adds its blocks to *blocks. */
static const char *audit_list(struct audit *audit, const struct zblock_type *type, enum zblock_list list,
			      uint32_t *blocks)
{
	uint32_t head = list == ZBLOCK_ROOM ? type->room : list == ZBLOCK_IDLE ? type->idle : type->full;
	uint32_t number = head;
	const char *fault = NULL;

	if (head == ZBLOCK_NONE)
		return NULL;
	if (head >= audit->pool->record_end)
		return "a list of blocks contains an invalid number";
	do {
		uint32_t next = zblock_block(audit->pool, number)->next;

		if (++*blocks > type->blocks)
			return "a type has more blocks in its lists than it counts";
		fault = audit_block(audit, type, number, list);
		if (fault)
			return fault;
		if (next == ZBLOCK_NONE || next >= audit->pool->record_end)
			return "a list of blocks contains an invalid number";
		if (zblock_block(audit->pool, next)->prev != number)
			return "the links of a list of blocks do not agree";
		number = next;
	} while (number != head);
	return NULL;
}

static const char *audit_type(struct audit *audit, const struct zblock_type *type)
{
	uint64_t slots_before = audit->slots_used, pages_before = audit->committed_pages;
	uint32_t blocks = 0;
	const char *fault = audit_list(audit, type, ZBLOCK_ROOM, &blocks);

	if (!fault)
		fault = audit_list(audit, type, ZBLOCK_IDLE, &blocks);
	if (!fault)
		fault = audit_list(audit, type, ZBLOCK_FULL, &blocks);
	if (!fault && type->spare != ZBLOCK_NONE) {
		blocks++;
		fault = audit_block(audit, type, type->spare, ZBLOCK_SPARE);
	}
	if (fault)
		return fault;
	if (blocks != type->blocks)
		return "a type has lost a block";
	if (audit->slots_used - slots_before != type->used_slots)
		return "a type's count of used slots differs from that of its blocks";
	if (audit->committed_pages - pages_before != type->committed_pages)
		return "a type's count of pages differs from that of its blocks";
	if (type->spare_count > ZBLOCK_SPARE_SLOTS)
		return "a type keeps more handle slots than it may";
	audit->kept_handle_slots += type->spare_count;
	return NULL;
}

/* Checks that every record is in use or in the list of free ones.  The caller holds record_lock. */
static const char *audit_records(const struct zblock_pool *pool)
{
	uint32_t taken = 0, vacant = 0, before = ZBLOCK_NONE;

	if (pool->record_end > pool->records.ready && pool->record_end > 1)
		return "records without memory were handed out";
	for (uint32_t number = 1; number < pool->record_end; number++)
		taken += zblock_block(pool, number)->taken;
	for (uint32_t number = pool->record_free; number != ZBLOCK_NONE; number = zblock_block(pool, number)->next) {
		if (number >= pool->record_end || zblock_block(pool, number)->taken ||
		    zblock_block(pool, number)->prev != before || ++vacant > pool->record_end)
			return "the list of free records is broken";
		before = number;
	}
	return taken + vacant == pool->record_end - 1 ? NULL : "a record is neither free nor in use";
}

/* Returns true if a slot that a thread caches belongs to the type, is in use, and holds no object. */
static bool is_cached_slot(struct zblock_pool *pool, uint32_t handle_slot, unsigned int index, bool dead)
{
	const struct zblock_block *block;
	uint64_t location;
	uint32_t number;

	if (handle_slot == ZP_SLOT_NONE || handle_slot >= zp_handles_slots(&pool->handles))
		return false;
	location = zp_handles_location(&pool->handles, handle_slot);
	number = zblock_location_block(location);
	if (number == ZBLOCK_NONE || number >= pool->record_end ||
	    (dead && !zp_handles_is_bound_to(&pool->handles, handle_slot, location)))
		return false;
	block = zblock_block(pool, number);
	if (zblock_type_index(block) == ZBLOCK_NO_TYPE || (dead && zblock_type_index(block) != index))
		return false;
	return !(block->vacant >> zblock_location_slot(location) & 1);
}

/*
 * Checks the calling thread's cache and those of threads that have ended.  The other threads would have to be stopped,
 * which takes too long in builds that verify the pool after each call.  The caller holds all types' locks and
 * caches.lock.
 */
static const char *audit_caches(struct audit *audit)
{
	struct zblock_pool *pool = audit->pool;

	for (struct zp_cache *cache = pool->caches.first; cache; cache = cache->next) {
		uint32_t pending = zp_cache_pending(cache);

		if (!zp_cache_is_at_rest(cache))
			continue;
		if (pending != ZP_ITEM_NONE && !is_cached_slot(pool, pending, ZBLOCK_NO_TYPE, false))
			return "a thread caches a slot that is not its own";
		audit->cached += pending != ZP_ITEM_NONE;
		for (unsigned int index = 1; index <= ZBLOCK_TYPES; index++) {
			const struct zp_magazine *magazine = &cache->magazines[index];
			unsigned int count = zp_magazine_count(magazine);

			if (count > ZP_MAGAZINE_ITEMS)
				return "a thread caches more slots than it can";
			for (unsigned int i = 0; i < count; i++)
				if (!is_cached_slot(pool, magazine->items[i], index, true))
					return "a thread caches a slot that is not its own";
			audit->cached += count;
		}
	}
	return NULL;
}

/*
 * Checks that a live handle leads to a slot in use.  The caller holds all types' locks, so no thread can complete a
 * free.
 */
static int audit_handle(unsigned long handle, uint64_t location, void *user)
{
	struct audit *audit = user;
	uint32_t number = zblock_location_block(location);
	const struct zblock_block *block;
	unsigned int index;

	(void)handle;
	audit->live++;
	audit->fault = "a handle leads to no block";
	if (number == ZBLOCK_NONE || number >= audit->pool->record_end)
		return -EUCLEAN;
	block = zblock_block(audit->pool, number);
	index = zblock_type_index(block);
	if (index == ZBLOCK_NO_TYPE || index > ZBLOCK_TYPES)
		return -EUCLEAN;
	audit->fault = "a handle leads to a free slot";
	if (!((audit->pool->types[index].all_slots & ~block->vacant) >> zblock_location_slot(location) & 1))
		return -EUCLEAN;
	audit->fault = NULL;
	return 0;
}

/*
 * Compares handles with slots.  While an object is being stored or freed, its handle slot is in use for longer than its
 * slot in a block, and the handle is live for a shorter time than either.
 */
static const char *audit_handles(struct audit *audit)
{
	if (zp_handles_each(&audit->pool->handles, audit_handle, audit))
		return audit->fault;
	if (audit->live + audit->cached > audit->slots_used)
		return "two handles lead to one slot";
	if (audit->slots_used + audit->kept_handle_slots > zp_handles_taken(&audit->pool->handles))
		return "a slot is in use without a handle";
	return NULL;
}

/* The caller holds all types' locks. */
static const char *audit_pool(struct zblock_pool *pool)
{
	struct audit audit = { .pool = pool };
	const char *fault = NULL;

	zp_lock(&pool->record_lock);
	for (unsigned int i = 1; i <= ZBLOCK_TYPES && !fault; i++)
		fault = audit_type(&audit, &pool->types[i]);
	if (!fault)
		fault = audit_records(pool);
	zp_lock(&pool->caches.lock);
	if (!fault)
		fault = audit_caches(&audit);
	if (!fault)
		fault = audit_handles(&audit);
	zp_unlock(&pool->caches.lock);
	if (!fault && audit.committed_pages > zp_pages_handed_out(&pool->pages))
		fault = "more pages are in use than were handed out";
	zp_unlock(&pool->record_lock);
	return fault;
}

int zblock_verify(void *pool_)
{
	struct zblock_pool *pool = pool_;
	const char *fault;

	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		zp_lock(&pool->types[i].lock);
	fault = audit_pool(pool);
	for (unsigned int i = ZBLOCK_TYPES; i >= 1; i--)
		zp_unlock(&pool->types[i].lock);
	if (!fault)
		fault = zp_handles_verify(&pool->handles);
	if (!fault)
		fault = zp_pages_verify(&pool->pages);
	if (!fault)
		return 0;
	pool->host->error(pool->core, "The zblock pool is damaged: %s.", fault);
	return -EUCLEAN;
}
