/* SPDX-License-Identifier: MIT
 *
 * zblock_records.c - the table of blocks' records
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

void zblock_records_init(struct zblock_pool *pool)
{
	zp_lock_init(&pool->record_lock);
	zp_lock_rank(&pool->record_lock, ZBLOCK_RANK_RECORDS, 0, &pool->pages);
	zp_table_init(&pool->records, sizeof(struct zblock_block));
	pool->record_end = 1; /* number 0 is ZBLOCK_NONE */
	pool->record_free = ZBLOCK_NONE;
}

void zblock_records_fini(struct zblock_pool *pool)
{
	zp_table_fini(&pool->records, &pool->pages);
}

/* The caller holds record_lock. */
static void list_free_record(struct zblock_pool *pool, uint32_t number)
{
	struct zblock_block *block = zblock_block(pool, number);

	block->next = pool->record_free;
	block->prev = ZBLOCK_NONE;
	if (block->next != ZBLOCK_NONE)
		zblock_block(pool, block->next)->prev = number;
	pool->record_free = number;
}

static void unlist_free_record(struct zblock_pool *pool, uint32_t number)
{
	const struct zblock_block *block = zblock_block(pool, number);

	if (block->prev != ZBLOCK_NONE)
		zblock_block(pool, block->prev)->next = block->next;
	else
		pool->record_free = block->next;
	if (block->next != ZBLOCK_NONE)
		zblock_block(pool, block->next)->prev = block->prev;
}

/* Returns a record that was never handed out.  The caller holds record_lock. */
static int take_new_record(struct zblock_pool *pool, zpool_gfp_t gfp, uint32_t *number)
{
	int err = 0;

	if (pool->record_end >= UINT32_C(1) << ZBLOCK_NUMBER_BITS)
		return -ENOMEM;
	if (pool->record_end >= pool->records.ready)
		err = zp_table_grow(&pool->records, &pool->pages, gfp);
	if (!err)
		*number = pool->record_end++;
	return err;
}

int zblock_record_get(struct zblock_pool *pool, zpool_gfp_t gfp, uint32_t *number)
{
	int err = 0;

	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&pool->record_lock);
	else if (!zp_trylock(&pool->record_lock))
		return -EAGAIN;
	if (pool->record_free != ZBLOCK_NONE) {
		*number = pool->record_free;
		unlist_free_record(pool, *number);
	} else {
		err = take_new_record(pool, gfp, number);
	}
	if (!err)
		zblock_block(pool, *number)->taken = true;
	zp_unlock(&pool->record_lock);
	return err;
}

void zblock_record_put(struct zblock_pool *pool, uint32_t number)
{
	zp_lock(&pool->record_lock);
	zblock_block(pool, number)->taken = false;
	list_free_record(pool, number);
	zp_unlock(&pool->record_lock);
}

void zblock_records_sort(struct zblock_pool *pool)
{
	zp_lock(&pool->record_lock);
	pool->record_free = ZBLOCK_NONE;
	for (uint32_t number = pool->record_end; number-- > 1;)
		if (!zblock_block(pool, number)->taken)
			list_free_record(pool, number);
	zp_unlock(&pool->record_lock);
}

void zblock_records_trim(struct zblock_pool *pool)
{
	zp_lock(&pool->record_lock);
	while (pool->record_end > 1 && !zblock_block(pool, pool->record_end - 1)->taken)
		unlist_free_record(pool, --pool->record_end);
	zp_table_trim(&pool->records, &pool->pages, pool->record_end);
	zp_unlock(&pool->record_lock);
}
