/* SPDX-License-Identifier: MIT
 *
 * zblock_block.c - blocks: their lists and the memory behind their slots
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Lists: rings of numbers
 */

static uint32_t *head_of(struct zblock_type *type, unsigned int list)
{
	if (list == ZBLOCK_IDLE)
		return &type->idle;
	return list == ZBLOCK_ROOM ? &type->room : &type->full;
}

/* Returns the list that a block of the type belongs to while it has objects. */
static enum zblock_list list_of(const struct zblock_type *type, const struct zblock_block *block)
{
	if (!block->vacant)
		return ZBLOCK_FULL;
	return zblock_idle_pages(type, block) ? ZBLOCK_IDLE : ZBLOCK_ROOM;
}

/* Puts a block last in its list.  In a ring, that is in front of the first. */
static void list_last(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);
	enum zblock_list list = list_of(type, block);
	uint32_t *head = head_of(type, list);

	if (*head == ZBLOCK_NONE) {
		block->next = block->prev = *head = number;
	} else {
		struct zblock_block *first = zblock_block(pool, *head);

		block->next = *head;
		block->prev = first->prev;
		zblock_block(pool, first->prev)->next = number;
		first->prev = number;
	}
	block->list = (uint8_t)list;
}

void zblock_block_list(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	list_last(pool, type, number);
	*head_of(type, zblock_block(pool, number)->list) = number;
}

void zblock_block_unlist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);
	uint32_t *head = head_of(type, block->list);

	if (block->next == number) {
		*head = ZBLOCK_NONE;
	} else {
		zblock_block(pool, block->prev)->next = block->next;
		zblock_block(pool, block->next)->prev = block->prev;
		if (*head == number)
			*head = block->next;
	}
	block->list = ZBLOCK_UNLISTED;
}

void zblock_block_relist(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	const struct zblock_block *block = zblock_block(pool, number);

	if (list_of(type, block) == block->list)
		return;
	zblock_block_unlist(pool, type, number);
	zblock_block_list(pool, type, number);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A block's life
 */

int zblock_block_create(struct zblock_pool *pool, struct zblock_type *type, zpool_gfp_t gfp, uint32_t *number)
{
	bool nowait = gfp & ZPOOL_GFP_NOWAIT;
	unsigned int committed = (1u << type->first_pages) - 1;
	struct zblock_block *block;
	uint32_t pgno;
	int err = 0;

	*number = nowait ? type->spare_record : ZBLOCK_NONE;
	if (*number == ZBLOCK_NONE)
		err = zblock_record_get(pool, gfp, number);
	if (err)
		return err;
	err = zp_pages_get_lazy(&pool->pages, type->pages, type->first_pages, gfp, &pgno);
	/* Releasing the record could block, so the type keeps it for the next such call. */
	if (nowait)
		type->spare_record = err ? *number : ZBLOCK_NONE;
	else if (err)
		zblock_record_put(pool, *number);
	if (err)
		return err;
	/* If the reserve has memory, a NOWAIT call also commits the pages behind the first ones, for later calls. */
	for (unsigned int page = type->first_pages; nowait && page < type->pages; page++)
		if (zp_pages_commit(&pool->pages, pgno + page, 1, gfp) == 0)
			committed |= 1u << page;
	block = zblock_block(pool, *number);
	block->base = (char *)zp_pages_address(&pool->pages, pgno) + ZBLOCK_HEAD_BYTES;
	block->pgno = pgno;
	block->vacant = type->all_slots;
	block->committed = (uint8_t)committed;
	block->backed = zblock_slots_on(type, committed);
	return 0;
}

void zblock_blocks_destroy(struct zblock_pool *pool, const struct zblock_type *type, uint32_t first)
{
	for (uint32_t number = first, next; number != ZBLOCK_NONE; number = next) {
		next = zblock_block(pool, number)->next;
		zp_pages_put(&pool->pages, zblock_block(pool, number)->pgno, type->pages);
		zblock_record_put(pool, number);
	}
}

void zblock_block_join(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);

	/*
	 * A thread that asks for the size of an object reads the type without a lock, even if the block has been
	 * released.
	 */
	atomic_store_explicit(&block->type, (uint8_t)(type - pool->types), memory_order_relaxed);
	type->blocks++;
	type->committed_pages += (unsigned int)__builtin_popcount(block->committed);
	zblock_block_list(pool, type, number);
}

void zblock_block_leave(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);

	block->list = ZBLOCK_UNLISTED;
	atomic_store_explicit(&block->type, ZBLOCK_NO_TYPE, memory_order_relaxed);
	type->blocks--;
	type->committed_pages -= (unsigned int)__builtin_popcount(block->committed);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Memory
 */

static void set_committed(struct zblock_type *type, struct zblock_block *block, unsigned int pages)
{
	type->committed_pages += (unsigned int)__builtin_popcount(pages);
	type->committed_pages -= (unsigned int)__builtin_popcount(block->committed);
	block->committed = (uint8_t)pages;
	block->backed = zblock_slots_on(type, pages);
}

int zblock_slot_back(struct zblock_pool *pool, struct zblock_type *type, struct zblock_block *block, unsigned int slot,
		     zpool_gfp_t gfp)
{
	unsigned int missing = zblock_slot_pages(type, slot) & ~(unsigned int)block->committed;
	unsigned int first = (unsigned int)__builtin_ctz(missing);
	unsigned int pages = 32u - (unsigned int)__builtin_clz(missing) - first;
	int err = zp_pages_commit(&pool->pages, block->pgno + first, pages, gfp);

	if (!err)
		set_committed(type, block, block->committed | missing);
	return err;
}

/* Decommits a block's idle pages.  Returns false if the page source refuses some of them. */
static bool decommit_idle_of_block(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);
	unsigned int idle = zblock_idle_pages(type, block), left = block->committed;
	bool taken;

	while (idle) {
		unsigned int first = (unsigned int)__builtin_ctz(idle);
		unsigned int count = (unsigned int)__builtin_ctz(~(idle >> first));
		unsigned int run = ((1u << count) - 1) << first;

		idle &= ~run;
		if (zp_pages_decommit(&pool->pages, block->pgno + first, count) == 0)
			left &= ~run;
	}
	zblock_block_unlist(pool, type, number);
	set_committed(type, block, left);
	/*
	 * Blocks with memory for their next object come first.  If the source refused, the next trim tries another
	 * block first.
	 */
	taken = list_of(type, block) != ZBLOCK_IDLE;
	if (taken && block->vacant & block->backed)
		zblock_block_list(pool, type, number);
	else
		list_last(pool, type, number);
	return taken;
}

/*
 * Takes the type's lock for one block at a time, so that other threads wait for the page source no longer than one
 * block takes.
 */
static void decommit_idle_of_type(struct zblock_pool *pool, struct zblock_type *type)
{
	bool more = true;

	while (more) {
		zp_lock(&type->lock);
		more = type->idle != ZBLOCK_NONE && decommit_idle_of_block(pool, type, type->idle);
		zp_unlock(&type->lock);
	}
}

static void decommit_idle(struct zblock_pool *pool)
{
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		decommit_idle_of_type(pool, &pool->types[i]);
}

static void drop_spares_of(struct zblock_pool *pool, struct zblock_type *type)
{
	struct zp_flushes *flushes = &pool->flushes[type - pool->types];
	uint32_t emptied = ZBLOCK_NONE, record, slots[ZBLOCK_SPARE_SLOTS];
	unsigned int count, flush_round;

	zp_lock(&type->lock);
	zblock_cached_put(pool, type, &emptied);
	record = type->spare_record;
	count = type->spare_count;
	for (unsigned int i = 0; i < count; i++)
		slots[i] = type->spare_slots[i];
	if (type->spare != ZBLOCK_NONE) {
		zblock_block_leave(pool, type, type->spare);
		zblock_block(pool, type->spare)->next = emptied;
		emptied = type->spare;
	}
	type->spare = type->spare_record = ZBLOCK_NONE;
	type->spare_count = 0;
	flush_round = zp_flushes_turn(flushes);
	zp_unlock(&type->lock);
	zblock_blocks_destroy(pool, type, emptied);
	if (record != ZBLOCK_NONE)
		zblock_record_put(pool, record);
	if (count)
		zp_handles_unbind(&pool->handles, slots, count);
	zp_flushes_wait(flushes, flush_round);
}

static void drop_spares(struct zblock_pool *pool)
{
	zp_caches_hold(&pool->caches);
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		drop_spares_of(pool, &pool->types[i]);
	zp_caches_release(&pool->caches);
}

void zblock_make_room(struct zblock_pool *pool)
{
	uint64_t ignored;

	zp_lock(&pool->room_lock);
	drop_spares(pool);
	decommit_idle(pool);
	zblock_records_trim(pool);
	zp_caches_trim(&pool->caches);
	zp_handles_trim(&pool->handles, &ignored);
	zp_unlock(&pool->room_lock);
}
