/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_records.c - the table of zspages' records: blocks that grow, so that addresses stay, and a list of free ones
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zsmalloc.h"

static uint32_t block_first(unsigned int block)
{
	return block ? UINT32_C(1) << (ZSMALLOC_BLOCK_SHIFT + block - 1) : 0;
}

static uint32_t block_records(unsigned int block)
{
	return block ? block_first(block) : UINT32_C(1) << ZSMALLOC_BLOCK_SHIFT;
}

static size_t block_bytes(unsigned int block)
{
	size_t bytes = block_records(block) * sizeof(struct zsmalloc_zspage);

	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static size_t ready_bytes(const struct zsmalloc_pool *pool, unsigned int block)
{
	uint32_t first = block_first(block), ready = pool->records_ready;
	uint32_t inside = ready <= first ? 0 : ready - first;

	if (inside >= block_records(block))
		return block_bytes(block);
	return (inside * sizeof(struct zsmalloc_zspage) + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

void zsmalloc_records_init(struct zsmalloc_pool *pool)
{
	zp_lock_init(&pool->record_lock);
	pool->records = 1; /* number 0 is ZSMALLOC_NONE */
	pool->records_ready = 0;
	pool->record_free = ZSMALLOC_NONE;
}

void zsmalloc_records_fini(struct zsmalloc_pool *pool)
{
	for (unsigned int block = 0; block < ZSMALLOC_BLOCKS && pool->record_blocks[block]; block++)
		zp_pages_meta_release(&pool->pages, pool->record_blocks[block], block_bytes(block),
				      ready_bytes(pool, block));
}

/* Makes the next page of records usable.  With record_lock held. */
static int records_grow(struct zsmalloc_pool *pool, zpool_gfp_t gfp)
{
	unsigned int block = zsmalloc_record_block(pool->records_ready);
	uint32_t first = block_first(block);

	if (block >= ZSMALLOC_BLOCKS)
		return -ENOMEM;
	if (!pool->record_blocks[block]) {
		if (gfp & ZPOOL_GFP_NOWAIT)
			return -ENOMEM;
		void *address = zp_pages_meta_reserve(&pool->pages, block_bytes(block));
		if (!address)
			return -ENOMEM;
		pool->record_blocks[block] = address;
		pool->record_base[block] = (uintptr_t)address - (uintptr_t)first * sizeof(struct zsmalloc_zspage);
	}
	size_t done = ready_bytes(pool, block);
	int err = zp_pages_meta_commit(&pool->pages, (char *)pool->record_blocks[block] + done, ZP_PAGE_BYTES, gfp);
	if (err)
		return err;
	uint32_t inside = (uint32_t)((done + ZP_PAGE_BYTES) / sizeof(struct zsmalloc_zspage));
	pool->records_ready = first + (inside < block_records(block) ? inside : block_records(block));
	return 0;
}

int zsmalloc_record_get(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number)
{
	int err = 0;

	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&pool->record_lock);
	else if (!zp_trylock(&pool->record_lock))
		return -EAGAIN;
	if (pool->record_free != ZSMALLOC_NONE) {
		*number = pool->record_free;
		pool->record_free = zsmalloc_zspage(pool, *number)->next;
	} else {
		while (!err && pool->records >= pool->records_ready)
			err = records_grow(pool, gfp);
		if (!err)
			*number = pool->records++;
	}
	/* Any class, lest a trim take the record for a free one. */
	if (!err) {
		atomic_store_explicit(&zsmalloc_zspage(pool, *number)->class_index, 0, memory_order_relaxed);
		pool->records_live++;
	}
	zp_unlock(&pool->record_lock);
	return err;
}

void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zp_lock(&pool->record_lock);
	atomic_store_explicit(&zspage->class_index, ZSMALLOC_NO_CLASS, memory_order_relaxed);
	zspage->next = pool->record_free;
	pool->record_free = number;
	pool->records_live--;
	zp_unlock(&pool->record_lock);
}

void zsmalloc_record_abandon(struct zsmalloc_pool *pool, uint32_t number)
{
	zp_lock(&pool->record_lock);
	atomic_store_explicit(&zsmalloc_zspage(pool, number)->class_index, ZSMALLOC_NO_CLASS, memory_order_relaxed);
	pool->records_live--;
	zp_unlock(&pool->record_lock);
}

static bool record_is_free(const struct zsmalloc_pool *pool, uint32_t number)
{
	return atomic_load_explicit(&zsmalloc_zspage(pool, number)->class_index, memory_order_relaxed) ==
	       ZSMALLOC_NO_CLASS;
}

/*
 * Takes memory from the records of the last block with any that lie behind the last one in use.  true: that was all of
 * the block, and the one before it is next.  With record_lock held.
 */
static bool records_recede(struct zsmalloc_pool *pool)
{
	if (pool->records_ready == 0)
		return false;
	unsigned int block = zsmalloc_record_block(pool->records_ready - 1);
	uint32_t first = block_first(block);
	size_t used_bytes = pool->records > first ? (pool->records - first) * sizeof(struct zsmalloc_zspage) : 0;
	size_t keep = (used_bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1), ready = ready_bytes(pool, block);

	if (ready <= keep ||
	    zp_pages_meta_decommit(&pool->pages, (char *)pool->record_blocks[block] + keep, ready - keep))
		return false;
	pool->records_ready = first + (uint32_t)(keep / sizeof(struct zsmalloc_zspage));
	return keep == 0;
}

/*
 * The free records are put in order, so that the lowest are taken first, and the pages of those behind the last one in
 * use go back.  Who asks for the size of a freed object may look into what went: only the system's source lets that be
 * read.
 */
void zsmalloc_records_trim(struct zsmalloc_pool *pool)
{
	zp_lock(&pool->record_lock);
	while (pool->records > 1 && record_is_free(pool, pool->records - 1))
		pool->records--;
	pool->record_free = ZSMALLOC_NONE;
	for (uint32_t number = pool->records; number-- > 1;) {
		if (!record_is_free(pool, number))
			continue;
		zsmalloc_zspage(pool, number)->next = pool->record_free;
		pool->record_free = number;
	}
	while (zp_pages_always_readable(&pool->pages) && records_recede(pool))
		continue;
	zp_unlock(&pool->record_lock);
}
