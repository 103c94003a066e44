/* SPDX-License-Identifier: MIT
 *
 * zblock_block.c - blocks: their lists and the memory behind their slots
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

/* How many blocks mallocs at the limit may look at for each free: a program at its limit fails all the time. */
enum { LOOKS_A_FREE = 32 };

/* ------------------------------------------------------------------------------------------------------------------
 * Lists: rings of numbers
 */

static uint32_t *head_of(struct zblock_type *type, unsigned int list)
{
	return list == ZBLOCK_ROOM ? &type->room : &type->full;
}

/* Last in a list, which in a ring is in front of the first. */
static void list_last(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, enum zblock_list list)
{
	struct zblock_block *block = zblock_block(pool, number);
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

void zblock_block_list(struct zblock_pool *pool, struct zblock_type *type, uint32_t number, enum zblock_list list)
{
	list_last(pool, type, number, list);
	*head_of(type, list) = number;
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
	/* Giving the record back could mean to wait: it is kept for the next such call. */
	if (nowait)
		type->spare_record = err ? *number : ZBLOCK_NONE;
	else if (err)
		zblock_record_put(pool, *number);
	if (err)
		return err;
	/* With NOWAIT a run keeps what memory it has behind the first pages, for the next such calls. */
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

void zblock_block_destroy(struct zblock_pool *pool, const struct zblock_type *type, uint32_t number)
{
	zp_pages_put(&pool->pages, zblock_block(pool, number)->pgno, type->pages);
	zblock_record_put(pool, number);
}

void zblock_block_join(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);

	/* Read without a lock by those who ask for the size of an object that used to be in this record's block. */
	atomic_store_explicit(&block->type, (uint8_t)(type - pool->types), memory_order_relaxed);
	type->blocks++;
	type->committed_pages += (unsigned int)__builtin_popcount(block->committed);
	zblock_block_list(pool, type, number, ZBLOCK_ROOM);
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

/* Takes memory from the pages of a block with room on which no object lies. */
static void thin_block(struct zblock_pool *pool, struct zblock_type *type, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);
	unsigned int idle = zblock_idle_pages(type, block), left = block->committed;

	while (idle) {
		unsigned int first = (unsigned int)__builtin_ctz(idle);
		unsigned int count = (unsigned int)__builtin_ctz(~(idle >> first));
		unsigned int run = ((1u << count) - 1) << first;

		idle &= ~run;
		/* What the source does not take we keep. */
		if (zp_pages_decommit(&pool->pages, block->pgno + first, count) == 0)
			left &= ~run;
	}
	if (left == block->committed)
		return;
	set_committed(type, block, left);
	/* Those with memory for their next object come first. */
	if (!(block->vacant & block->backed)) {
		zblock_block_unlist(pool, type, number);
		list_last(pool, type, number, ZBLOCK_ROOM);
	}
}

/* One block at a time, so that nobody waits for more than one block's worth of the page source. */
void zblock_thin(struct zblock_pool *pool)
{
	uint32_t records;

	zp_lock(&pool->record_lock);
	records = pool->records;
	zp_unlock(&pool->record_lock);
	for (uint32_t number = 1; number < records; number++) {
		struct zblock_block *block = zblock_block(pool, number);
		unsigned int index = zblock_type_index(block);
		struct zblock_type *type = &pool->types[index];

		if (index == ZBLOCK_NO_TYPE)
			continue;
		zp_lock(&type->lock);
		/* What still is of the type under its lock stays so. */
		if (zblock_type_index(block) == index && block->list == ZBLOCK_ROOM)
			thin_block(pool, type, number);
		zp_unlock(&type->lock);
	}
}

static void drop_spares_of(struct zblock_pool *pool, struct zblock_type *type)
{
	uint32_t spare, record, slots[ZBLOCK_SPARE_SLOTS];
	unsigned int count;

	zp_lock(&type->lock);
	spare = type->spare;
	record = type->spare_record;
	count = type->spare_count;
	for (unsigned int i = 0; i < count; i++)
		slots[i] = type->spare_slots[i];
	type->spare = type->spare_record = ZBLOCK_NONE;
	type->spare_count = 0;
	if (spare != ZBLOCK_NONE)
		zblock_block_leave(pool, type, spare);
	zp_unlock(&type->lock);
	if (spare != ZBLOCK_NONE)
		zblock_block_destroy(pool, type, spare);
	if (record != ZBLOCK_NONE)
		zblock_record_put(pool, record);
	if (count)
		zp_handles_unbind(&pool->handles, slots, count);
}

void zblock_drop_spares(struct zblock_pool *pool)
{
	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++)
		drop_spares_of(pool, &pool->types[i]);
}

/* Frees so far, of which a block looked at costs a share. */
static uint64_t count_frees(struct zblock_pool *pool)
{
	uint64_t frees = 0;

	for (unsigned int i = 1; i <= ZBLOCK_TYPES; i++) {
		zp_lock(&pool->types[i].lock);
		frees += pool->types[i].frees;
		zp_unlock(&pool->types[i].lock);
	}
	return frees;
}

/* What is held by objects and records; the reserve is there for the next malloc. */
static uint64_t used_bytes(struct zblock_pool *pool)
{
	return zp_pages_held_bytes(&pool->pages) - zp_pages_reserved(&pool->pages) * ZP_PAGE_BYTES;
}

bool zblock_make_room(struct zblock_pool *pool)
{
	uint64_t frees = count_frees(pool), before = used_bytes(pool), ignored;
	uint32_t records;

	if (frees < atomic_load_explicit(&pool->retry_at_frees, memory_order_relaxed))
		return false;
	zp_lock(&pool->record_lock);
	records = pool->records;
	zp_unlock(&pool->record_lock);
	/* All blocks are looked at now; without a free there is nothing to find in them. */
	atomic_store_explicit(&pool->retry_at_frees, frees + 1 + records / LOOKS_A_FREE, memory_order_relaxed);
	zblock_drop_spares(pool);
	zblock_thin(pool);
	zblock_records_trim(pool);
	zp_handles_trim(&pool->handles, &ignored);
	return used_bytes(pool) < before;
}
