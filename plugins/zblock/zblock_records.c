/* SPDX-License-Identifier: MIT
 *
 * zblock_records.c - the table of blocks' records
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "zblock.h"

static uint32_t chunk_first(unsigned int chunk)
{
	return chunk ? UINT32_C(1) << (ZBLOCK_CHUNK_SHIFT + chunk - 1) : 0;
}

static size_t chunk_bytes(unsigned int chunk)
{
	uint32_t records = chunk ? chunk_first(chunk) : UINT32_C(1) << ZBLOCK_CHUNK_SHIFT;

	return (size_t)records * ZBLOCK_RECORD_BYTES;
}

/* How much of a chunk is committed. */
static size_t ready_bytes(const struct zblock_pool *pool, unsigned int chunk)
{
	uint32_t first = chunk_first(chunk);
	size_t bytes = pool->records_ready > first ? (size_t)(pool->records_ready - first) * ZBLOCK_RECORD_BYTES : 0;

	return bytes < chunk_bytes(chunk) ? bytes : chunk_bytes(chunk);
}

void zblock_records_init(struct zblock_pool *pool)
{
	zp_lock_init(&pool->record_lock);
	pool->records = 1; /* number 0 is ZBLOCK_NONE */
	pool->records_ready = 0;
	pool->record_free = ZBLOCK_NONE;
}

void zblock_records_fini(struct zblock_pool *pool)
{
	for (unsigned int chunk = 0; chunk < ZBLOCK_CHUNKS && pool->chunks[chunk]; chunk++)
		zp_pages_meta_release(&pool->pages, pool->chunks[chunk], chunk_bytes(chunk), ready_bytes(pool, chunk));
}

/* Makes the next page of records usable.  With record_lock held. */
static int records_grow(struct zblock_pool *pool, zpool_gfp_t gfp)
{
	unsigned int chunk = zblock_chunk_of(pool->records_ready);
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT || chunk >= ZBLOCK_CHUNKS)
		return -ENOMEM;
	if (!pool->chunks[chunk]) {
		char *address = zp_pages_meta_reserve(&pool->pages, chunk_bytes(chunk));

		if (!address)
			return -ENOMEM;
		pool->chunks[chunk] = address;
		pool->chunk_base[chunk] = (uintptr_t)address - (uintptr_t)chunk_first(chunk) * ZBLOCK_RECORD_BYTES;
	}
	err = zp_pages_meta_commit(&pool->pages, zblock_block(pool, pool->records_ready), ZP_PAGE_BYTES, gfp);
	if (!err)
		pool->records_ready += ZBLOCK_PAGE_RECORDS;
	return err;
}

/* With record_lock held. */
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
		if (pool->records >= pool->records_ready)
			err = records_grow(pool, gfp);
		if (!err)
			*number = pool->records++;
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
	for (uint32_t number = pool->records; number-- > 1;)
		if (!zblock_block(pool, number)->taken)
			list_free_record(pool, number);
	zp_unlock(&pool->record_lock);
}

/*
 * Gives the pages of records behind the last one in use back.  A thread that asks for the size of an object that was
 * just freed may read from such a page, and only the system's source allows that.
 */
bool zblock_records_trim(struct zblock_pool *pool)
{
	uint32_t keep, ready;

	if (!zp_pages_decommitted_readable(&pool->pages))
		return false;
	zp_lock(&pool->record_lock);
	while (pool->records > 1 && !zblock_block(pool, pool->records - 1)->taken)
		unlist_free_record(pool, --pool->records);
	keep = (pool->records + ZBLOCK_PAGE_RECORDS - 1) & ~(uint32_t)(ZBLOCK_PAGE_RECORDS - 1);
	ready = pool->records_ready;
	while (pool->records_ready > keep) {
		unsigned int chunk = zblock_chunk_of(pool->records_ready - 1);
		uint32_t from = keep > chunk_first(chunk) ? keep : chunk_first(chunk);
		size_t bytes = (size_t)(pool->records_ready - from) * ZBLOCK_RECORD_BYTES;

		if (zp_pages_meta_decommit(&pool->pages, zblock_block(pool, from), bytes))
			break;
		pool->records_ready = from;
	}
	keep = pool->records_ready;
	zp_unlock(&pool->record_lock);
	return keep < ready;
}
