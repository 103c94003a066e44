/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_records.c - the tables of zspage headers and records, and the list of free records
 */
#include <config.h>

#include "zsmalloc.h"

void zsmalloc_records_init(struct zsmalloc_records *records)
{
	zp_lock_init(&records->lock);
	zp_table_init(&records->headers, sizeof(struct zsmalloc_header));
	zp_table_init(&records->records, sizeof(struct zsmalloc_zspage));
	records->max = ZSMALLOC_NUMBERS;
	records->end = 1; /* number 0 is ZSMALLOC_NONE */
	records->first_free = ZSMALLOC_NONE;
}

void zsmalloc_records_fini(struct zsmalloc_pool *pool)
{
	zp_table_fini(&pool->records.records, &pool->pages);
	zp_table_fini(&pool->records.headers, &pool->pages);
}

/* Hands out a number for the first time.  Called with the lock held. */
static int take_new_number(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number)
{
	struct zsmalloc_records *records = &pool->records;
	int err = records->end >= records->max ? -ENOMEM : 0;

	while (!err && records->end >= records->headers.ready)
		err = zp_table_grow(&records->headers, &pool->pages, gfp);
	while (!err && records->end >= records->records.ready)
		err = zp_table_grow(&records->records, &pool->pages, gfp);
	if (!err)
		*number = records->end++;
	return err;
}

int zsmalloc_record_get(struct zsmalloc_pool *pool, zpool_gfp_t gfp, uint32_t *number)
{
	struct zsmalloc_records *records = &pool->records;
	int err = 0;

	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_lock(&records->lock);
	else if (!zp_trylock(&records->lock))
		return -EAGAIN;
	if (records->first_free != ZSMALLOC_NONE) {
		*number = records->first_free;
		records->first_free = zsmalloc_zspage(pool, *number)->links[ZSMALLOC_BY_FULLNESS].next;
	} else {
		err = take_new_number(pool, gfp, number);
	}
	/* The record is in no class yet, but zsmalloc_records_trim() must not treat it as free. */
	if (!err) {
		struct zsmalloc_header *header = zsmalloc_header(pool, *number);

		zsmalloc_zspage(pool, *number)->header = header;
		atomic_store_explicit(&header->class_index, ZSMALLOC_FUTURE_CLASS, memory_order_relaxed);
		records->live++;
	}
	zp_unlock(&records->lock);
	return err;
}

bool zsmalloc_records_are_full(struct zsmalloc_pool *pool)
{
	struct zsmalloc_records *records = &pool->records;

	zp_lock(&records->lock);
	bool full = records->first_free == ZSMALLOC_NONE && records->end >= records->max;
	zp_unlock(&records->lock);
	return full;
}

void zsmalloc_record_put(struct zsmalloc_pool *pool, uint32_t number, bool reusable)
{
	zp_lock(&pool->records.lock);
	atomic_store_explicit(&zsmalloc_header(pool, number)->class_index, ZSMALLOC_NO_CLASS, memory_order_relaxed);
	pool->records.live--;
	if (reusable) {
		zsmalloc_zspage(pool, number)->links[ZSMALLOC_BY_FULLNESS].next = pool->records.first_free;
		pool->records.first_free = number;
	}
	zp_unlock(&pool->records.lock);
}

static bool is_free(const struct zsmalloc_pool *pool, uint32_t number)
{
	return atomic_load_explicit(&zsmalloc_header(pool, number)->class_index, memory_order_relaxed) ==
	       ZSMALLOC_NO_CLASS;
}

void zsmalloc_records_trim(struct zsmalloc_pool *pool)
{
	struct zsmalloc_records *records = &pool->records;

	zp_lock(&records->lock);
	while (records->end > 1 && is_free(pool, records->end - 1))
		records->end--;
	records->first_free = ZSMALLOC_NONE;
	for (uint32_t number = records->end; number-- > 1;) {
		if (!is_free(pool, number))
			continue;
		zsmalloc_zspage(pool, number)->links[ZSMALLOC_BY_FULLNESS].next = records->first_free;
		records->first_free = number;
	}
	zp_table_trim(&records->records, &pool->pages, records->end);
	zp_table_trim(&records->headers, &pool->pages, records->end);
	zp_unlock(&records->lock);
}
