/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "pages_internal.h"

#include <errno.h>

enum { RESERVE_PAGES_MIN = 64, RESERVE_SHARE_SHIFT = 7, BATCH_RUNS = 64 };

/* How many pages are released in one critical section of slow_lock: during a free, and in a trim. */
enum { EXCESS_PAGES = 48, TRIM_PAGES = 1024 };

/* How much one step of a trim does: pages and runs of the reserve, and segments that it checks. */
enum { SOME_PAGES = 64, SOME_RUNS = 4, SOME_SEGMENTS = 64, SOME_ASKED = 4 };

/* Runs of the reserve that are being released to the source. */
struct batch {
	unsigned int count;
	struct {
		uint32_t segment;
		uint16_t first, pages;
		bool refused;
	} run[BATCH_RUNS];
};

/* ---- the reserve ---- */

static uint32_t reserve_bound_pages(struct zp_pages *pages)
{
	uint64_t bytes = atomic_load_explicit(&pages->reserve_bound_bytes, memory_order_relaxed);
	uint64_t share = zp_pages_held_bytes(pages) >> (RESERVE_SHARE_SHIFT + ZP_PAGE_SHIFT);

	if (bytes == ZP_RESERVE_DEFAULT)
		return (uint32_t)(share > RESERVE_PAGES_MIN ? share : RESERVE_PAGES_MIN);
	bytes >>= ZP_PAGE_SHIFT;
	return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

bool zp_pages_reserve_is_full(struct zp_pages *pages)
{
	return pages->deferrals == 0 && pages->reserve_pages > reserve_bound_pages(pages) &&
	       pages->reserve_pages >= pages->flush_retry_pages;
}

/*
 * Takes up to `runs` runs out of the reserve, from the segments that pages were returned to longest ago.  Their pages
 * count as used.
 */
static void batch_collect(struct zp_pages *pages, struct batch *batch, uint32_t want, unsigned int runs)
{
	batch->count = 0;
	while (want > 0 && batch->count < runs && !zp_list_empty(&pages->reserve)) {
		struct zp_segment *segment = zp_list_entry(pages->reserve.prev, struct zp_segment, reserve);
		struct zp_bits kept = zp_segment_kept(segment);
		unsigned int first = 0, count;

		while (want > 0 && batch->count < runs && zp_bits_next_run(&kept, &first, &count)) {
			/* Cutting a run would cost another system call, so it is left whole for the next batch. */
			if (count > want && batch->count > 0)
				return;
			if (count > want)
				count = want;
			zp_segment_set_used(segment, first, count);
			zp_segment_unkeep(pages, segment, count);
			batch->run[batch->count].segment = segment->number;
			batch->run[batch->count].first = (uint16_t)first;
			batch->run[batch->count].pages = (uint16_t)count;
			batch->count++;
			want -= count;
			first += count;
		}
	}
}

/* Makes the runs free again; they are clean if the source took them.  Returns the number of pages that it took. */
static uint32_t batch_settle(struct zp_pages *pages, const struct batch *batch)
{
	uint32_t taken = 0;

	for (unsigned int i = 0; i < batch->count; i++) {
		struct zp_segment *segment = zp_segment(pages, batch->run[i].segment);
		unsigned int first = batch->run[i].first, count = batch->run[i].pages;

		zp_segment_set_free(pages, segment, first, count);
		if (batch->run[i].refused) {
			zp_segment_keep(pages, segment, count);
		} else {
			zp_bits_clear(&segment->committed, first, count);
			taken += count;
		}
	}
	return taken;
}

static bool batch_decommit(struct zp_pages *pages, struct batch *batch)
{
	const struct zpool_page_source *source = pages->source;
	bool refused = false;

	for (unsigned int i = 0; i < batch->count; i++) {
		char *base = zp_segment_base(pages, batch->run[i].segment);

		batch->run[i].refused = source->decommit(source->context, base + batch->run[i].first * ZP_PAGE_BYTES,
							 batch->run[i].pages * ZP_PAGE_BYTES) != 0;
		refused = refused || batch->run[i].refused;
	}
	return !refused;
}

/*
 * Releases `want` pages, or up to the given number of runs.  Returns true to continue; *taken grows by the number of
 * released pages.  slow_lock is held.
 */
static bool flush_batch(struct zp_pages *pages, uint32_t want, unsigned int runs, uint32_t *taken)
{
	struct batch batch;

	zp_lock(&pages->lock);
	batch_collect(pages, &batch, want, runs);
	zp_unlock(&pages->lock);
	if (batch.count == 0)
		return false;
	bool willing = batch_decommit(pages, &batch);
	zp_lock(&pages->lock);
	uint32_t gone = batch_settle(pages, &batch);
	/* A source that refuses is not called every time. */
	pages->flush_retry_pages = willing ? 0 : 2 * pages->reserve_pages;
	zp_unlock(&pages->lock);
	zp_account_refund(&pages->account, gone * ZP_PAGE_BYTES);
	*taken += gone;
	return willing;
}

static uint32_t reserve_excess(struct zp_pages *pages, uint32_t target)
{
	zp_lock(&pages->lock);
	uint32_t kept = pages->reserve_pages;
	zp_unlock(&pages->lock);
	return kept > target ? kept - target : 0;
}

/* Releases pages until `target` are left, and returns how many were released.  slow_lock is held. */
static uint32_t flush_to(struct zp_pages *pages, uint32_t target)
{
	uint32_t flushed = 0;

	while (flush_batch(pages, reserve_excess(pages, target), BATCH_RUNS, &flushed))
		continue;
	return flushed;
}

/*
 * The thread that holds the lock is flushing, or leaves the excess to the next thread that releases pages.  This may be
 * part of a free, in which no lock should be held for long, so the lock is released after every few pages.
 */
void zp_pages_flush_excess(struct zp_pages *pages)
{
	uint32_t target = reserve_bound_pages(pages) / 2, flushed = 0, excess;
	bool willing = true;

	while (willing && (excess = reserve_excess(pages, target)) > 0 && zp_trylock(&pages->slow_lock)) {
		willing = flush_batch(pages, excess < EXCESS_PAGES ? excess : EXCESS_PAGES, BATCH_RUNS, &flushed);
		zp_unlock(&pages->slow_lock);
	}
}

void zp_pages_defer_release(struct zp_pages *pages, bool begin)
{
	zp_lock(&pages->lock);
	/* There may be none at the end: a child of fork() ends what its parent's thread began. */
	if (begin)
		pages->deferrals++;
	else if (pages->deferrals > 0)
		pages->deferrals--;
	zp_unlock(&pages->lock);
}

int zp_pages_make_room_locked(struct zp_pages *pages, uint64_t bytes)
{
	uint64_t limit = atomic_load_explicit(&pages->account.limit_bytes, memory_order_relaxed);
	uint64_t held = zp_pages_held_bytes(pages), missing_pages;
	uint32_t flushed = 0;

	if (held <= limit && bytes <= limit - held)
		return 0;
	missing_pages = (held - limit + bytes + ZP_PAGE_BYTES - 1) >> ZP_PAGE_SHIFT;
	/* Other threads may take from the reserve meanwhile, so what is released is counted, not what is left. */
	if (missing_pages <= zp_pages_reserved(pages))
		while (flushed < missing_pages &&
		       flush_batch(pages, (uint32_t)missing_pages - flushed, BATCH_RUNS, &flushed))
			continue;
	if (flushed)
		return 0;
	atomic_fetch_add_explicit(&pages->account.refusals, 1, memory_order_relaxed);
	return -ENOMEM;
}

int zp_pages_make_room(struct zp_pages *pages, uint64_t bytes)
{
	int err;

	zp_lock(&pages->slow_lock);
	err = zp_pages_make_room_locked(pages, bytes);
	zp_unlock(&pages->slow_lock);
	return err;
}

void zp_pages_set_reserve(struct zp_pages *pages, uint64_t bytes)
{
	atomic_store_explicit(&pages->reserve_bound_bytes, bytes, memory_order_relaxed);
	zp_lock(&pages->slow_lock);
	flush_to(pages, reserve_bound_pages(pages));
	zp_unlock(&pages->slow_lock);
}

/* ---- trim ---- */

/*
 * Releases the page table of a part of a segment in which no page is used or cached.  Linux 6.14 and later free the
 * table when one call of madvise() covers its whole span; earlier kernels free it with the chunk.  Afterwards the part
 * no longer counts against the process's limits of data and of locked memory.  slow_lock is held.
 */
static void table_drop(struct zp_pages *pages, struct zp_segment *segment, unsigned int part)
{
	const struct zpool_page_source *source = pages->source;
	unsigned int first = part * ZP_TABLE_PAGES;

	zp_lock(&pages->lock);
	bool idle = segment->tables >> part & 1 && zp_bits_count(&segment->used, first, ZP_TABLE_PAGES) == 0 &&
		    zp_bits_count(&segment->committed, first, ZP_TABLE_PAGES) == 0;
	if (idle) {
		zp_segment_set_used(segment, first, ZP_TABLE_PAGES);
		segment->tables &= (uint8_t) ~(1u << part);
	}
	zp_unlock(&pages->lock);
	if (!idle)
		return;
	if (source->decommit(source->context, zp_segment_base(pages, segment->number) + first * ZP_PAGE_BYTES,
			     ZP_TABLE_PAGES * ZP_PAGE_BYTES) == 0)
		zp_segment_close(pages, segment, first, ZP_TABLE_PAGES);
	zp_lock(&pages->lock);
	zp_segment_set_free(pages, segment, first, ZP_TABLE_PAGES);
	zp_unlock(&pages->lock);
}

/* Only for the system's source, because another source may not expect a release of pages that it never committed. */
static void tables_drop(struct zp_pages *pages)
{
	if (!zp_pages_decommitted_readable(pages))
		return;
	for (uint32_t number = 1; number < pages->segments; number++) {
		if (!zp_segment_base(pages, number))
			continue;
		for (unsigned int part = 0; part < ZP_SEGMENT_PAGES / ZP_TABLE_PAGES; part++)
			table_drop(pages, zp_segment(pages, number), part);
	}
}

/*
 * Releases all that is in the reserve now; pages that are added meanwhile may stay.  Other threads may take slow_lock
 * after every batch.
 */
static uint32_t flush_in_turns(struct zp_pages *pages)
{
	uint32_t excess = reserve_excess(pages, 0), flushed = 0;
	bool willing = true;

	while (willing && flushed < excess) {
		uint32_t left = excess - flushed;

		zp_lock(&pages->slow_lock);
		willing = flush_batch(pages, left < TRIM_PAGES ? left : TRIM_PAGES, BATCH_RUNS, &flushed);
		zp_unlock(&pages->slow_lock);
	}
	return flushed;
}

void zp_pages_trim(struct zp_pages *pages, uint64_t *released)
{
	*released = flush_in_turns(pages) * (uint64_t)ZP_PAGE_BYTES;
	zp_lock(&pages->slow_lock);
	if (pages->segments > 1) {
		uint32_t number = 1 + zp_segment(pages, 1)->chunk_segments;

		for (; number < pages->segments; number += zp_segment(pages, number)->chunk_segments)
			if (zp_segment_base(pages, number))
				*released += zp_chunk_remove(pages, number);
	}
	tables_drop(pages);
	zp_unlock(&pages->slow_lock);
}

uint32_t zp_pages_reserved(struct zp_pages *pages)
{
	return reserve_excess(pages, 0);
}

uint32_t zp_pages_trim_some(struct zp_pages *pages)
{
	uint32_t flushed = 0;

	zp_lock(&pages->slow_lock);
	(void)flush_batch(pages, SOME_PAGES, SOME_RUNS, &flushed);
	zp_unlock(&pages->slow_lock);
	return flushed;
}

/*
 * Releases a chunk without a used page, or page tables of a segment that stays.  Returns true if the source may have
 * been called.
 */
static bool segment_trim(struct zp_pages *pages, uint32_t number)
{
	struct zp_segment *segment = zp_segment(pages, number);

	if (!zp_segment_base(pages, number))
		return false;
	/* The first chunk stays. */
	if (segment->chunk_segments && number > 1)
		(void)zp_chunk_remove(pages, number);
	if (!zp_segment_base(pages, number))
		return true;
	zp_lock(&pages->lock);
	bool has_tables = segment->tables && segment->used_pages < ZP_SEGMENT_PAGES;
	zp_unlock(&pages->lock);
	if (!has_tables || !zp_pages_decommitted_readable(pages))
		return false;
	for (unsigned int part = 0; part < ZP_SEGMENT_PAGES / ZP_TABLE_PAGES; part++)
		table_drop(pages, segment, part);
	return true;
}

bool zp_pages_trim_segments(struct zp_pages *pages, uint32_t *segment)
{
	unsigned int asked = 0;

	zp_lock(&pages->slow_lock);
	if (*segment == 0)
		*segment = 1;
	for (unsigned int i = 0; i < SOME_SEGMENTS && asked < SOME_ASKED && *segment < pages->segments; i++)
		asked += segment_trim(pages, (*segment)++);
	bool more = *segment < pages->segments;
	zp_unlock(&pages->slow_lock);
	return more;
}
