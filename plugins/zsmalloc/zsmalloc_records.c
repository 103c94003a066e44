/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_records.c - what zspages' numbers stand for: the tables of homes and of records, and a list of free ones
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

static size_t whole_pages(size_t bytes)
{
	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static size_t block_bytes(const struct zsmalloc_table *table, unsigned int block)
{
	return whole_pages((size_t)block_records(block) * table->entry_bytes);
}

static size_t ready_bytes(const struct zsmalloc_table *table, unsigned int block)
{
	uint32_t first = block_first(block), ready = table->ready;
	uint32_t inside = ready <= first ? 0 : ready - first;

	if (inside >= block_records(block))
		return block_bytes(table, block);
	return whole_pages((size_t)inside * table->entry_bytes);
}

void zsmalloc_records_init(struct zsmalloc_pool *pool)
{
	zp_lock_init(&pool->record_lock);
	pool->home_table = (struct zsmalloc_table){ .entry_bytes = sizeof(struct zsmalloc_home) };
	pool->record_table = (struct zsmalloc_table){ .entry_bytes = sizeof(struct zsmalloc_zspage) };
	pool->records_max = ZSMALLOC_RECORDS_MAX;
	pool->records = 1; /* number 0 is ZSMALLOC_NONE */
	pool->record_free = ZSMALLOC_NONE;
}

static void table_release(struct zsmalloc_pool *pool, const struct zsmalloc_table *table)
{
	for (unsigned int block = 0; block < ZSMALLOC_BLOCKS && table->blocks[block]; block++)
		zp_pages_meta_release(&pool->pages, table->blocks[block], block_bytes(table, block),
				      ready_bytes(table, block));
}

void zsmalloc_records_fini(struct zsmalloc_pool *pool)
{
	table_release(pool, &pool->record_table);
	table_release(pool, &pool->home_table);
}

/* Makes the next page of a table usable.  With record_lock held. */
static int table_grow(struct zsmalloc_pool *pool, struct zsmalloc_table *table, zpool_gfp_t gfp)
{
	unsigned int block = zsmalloc_record_block(table->ready);
	uint32_t first = block_first(block);

	if (block >= ZSMALLOC_BLOCKS)
		return -ENOMEM;
	if (!table->blocks[block]) {
		if (gfp & ZPOOL_GFP_NOWAIT)
			return -ENOMEM;
		void *address = zp_pages_meta_reserve(&pool->pages, block_bytes(table, block));
		if (!address)
			return -ENOMEM;
		table->blocks[block] = address;
		table->base[block] = (uintptr_t)address - (uintptr_t)first * table->entry_bytes;
	}
	size_t done = ready_bytes(table, block);
	int err = zp_pages_meta_commit(&pool->pages, (char *)table->blocks[block] + done, ZP_PAGE_BYTES, gfp);
	if (err)
		return err;
	uint32_t inside = (uint32_t)((done + ZP_PAGE_BYTES) / table->entry_bytes);
	table->ready = first + (inside < block_records(block) ? inside : block_records(block));
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
		if (pool->records >= pool->records_max)
			err = -ENOMEM;
		while (!err && pool->records >= pool->home_table.ready)
			err = table_grow(pool, &pool->home_table, gfp);
		while (!err && pool->records >= pool->record_table.ready)
			err = table_grow(pool, &pool->record_table, gfp);
		if (!err)
			*number = pool->records++;
	}
	/* Any class, lest a trim take the record for a free one. */
	if (!err) {
		struct zsmalloc_home *home = zsmalloc_home(pool, *number);

		zsmalloc_zspage(pool, *number)->home = home;
		atomic_store_explicit(&home->class_index, 0, memory_order_relaxed);
		pool->records_live++;
	}
	zp_unlock(&pool->record_lock);
	return err;
}

bool zsmalloc_records_are_full(struct zsmalloc_pool *pool)
{
	zp_lock(&pool->record_lock);
	bool full = pool->record_free == ZSMALLOC_NONE && pool->records >= pool->records_max;
	zp_unlock(&pool->record_lock);
	return full;
}

void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number)
{
	zp_lock(&pool->record_lock);
	atomic_store_explicit(&zsmalloc_home(pool, number)->class_index, ZSMALLOC_NO_CLASS, memory_order_relaxed);
	zsmalloc_zspage(pool, number)->next = pool->record_free;
	pool->record_free = number;
	pool->records_live--;
	zp_unlock(&pool->record_lock);
}

void zsmalloc_record_abandon(struct zsmalloc_pool *pool, uint32_t number)
{
	zp_lock(&pool->record_lock);
	atomic_store_explicit(&zsmalloc_home(pool, number)->class_index, ZSMALLOC_NO_CLASS, memory_order_relaxed);
	pool->records_live--;
	zp_unlock(&pool->record_lock);
}

static bool record_is_free(const struct zsmalloc_pool *pool, uint32_t number)
{
	return atomic_load_explicit(&zsmalloc_home(pool, number)->class_index, memory_order_relaxed) ==
	       ZSMALLOC_NO_CLASS;
}

/*
 * Takes memory from the entries of the last block with any that lie behind the last one in use.  true: that was all of
 * the block, and the one before it is next.  With record_lock held.
 */
static bool table_recede(struct zsmalloc_pool *pool, struct zsmalloc_table *table)
{
	if (table->ready == 0)
		return false;
	unsigned int block = zsmalloc_record_block(table->ready - 1);
	uint32_t first = block_first(block);
	size_t used_bytes = pool->records > first ? (size_t)(pool->records - first) * table->entry_bytes : 0;
	size_t keep = whole_pages(used_bytes), ready = ready_bytes(table, block);

	if (ready <= keep || zp_pages_meta_decommit(&pool->pages, (char *)table->blocks[block] + keep, ready - keep))
		return false;
	table->ready = first + (uint32_t)(keep / table->entry_bytes);
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
	while (zp_pages_decommitted_readable(&pool->pages) && table_recede(pool, &pool->record_table))
		continue;
	while (zp_pages_decommitted_readable(&pool->pages) && table_recede(pool, &pool->home_table))
		continue;
	zp_unlock(&pool->record_lock);
}
