/* SPDX-License-Identifier: MIT
 *
 * pages_chunk.c - address space and access to it: chunks, the records of their segments, opening granules
 *
 * The functions for granules take open_lock and need no other lock.  All other functions are called with slow_lock
 * held, or while no other thread uses the pages.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "pages_internal.h"

#include <errno.h>

#include "os_pages.h"

/*
 * The number of segments in a chunk is a power of two, so that a later chunk can reuse the segment numbers of a
 * released one.
 */
enum { CHUNK_SEGMENTS_MAX = 256 };
enum { GRANULE_PAGES = ZP_SEGMENT_PAGES / 64, OPEN_GRANULES_MAX = 32, OPEN_SHARE_SHIFT = 5 };

_Static_assert(ZP_BASES_FIRST << 3 * (ZP_BASES_TABLES - 1) >= ZP_SEGMENTS_MAX,
	       "the last table of addresses has room for all segments");

/* ---- granules ---- */

/* Returns the bits of the granules that `count` pages from `first` touch. */
static uint64_t granule_bits(unsigned int first, unsigned int count)
{
	unsigned int from = first / GRANULE_PAGES, to = (first + count - 1) / GRANULE_PAGES;

	return UINT64_MAX >> (63 - (to - from)) << from;
}

/* Returns how many granules to open at once, in proportion to the bytes that the pool holds. */
static unsigned int open_step(struct zp_pages *pages)
{
	uint64_t step = zp_pages_held_bytes(pages) >> (OPEN_SHARE_SHIFT + ZP_PAGE_SHIFT);

	step /= GRANULE_PAGES;
	return step < 1 ? 1 : step > OPEN_GRANULES_MAX ? OPEN_GRANULES_MAX : (unsigned int)step;
}

/* open_lock is held. */
static int open_granules(struct zp_pages *pages, struct zp_segment *segment, uint64_t bits)
{
	const struct zpool_page_source *source = pages->source;
	char *base = zp_segment_base(pages, segment->number);

	while (bits) {
		unsigned int first = (unsigned int)__builtin_ctzll(bits);
		uint64_t above = ~(bits >> first);
		unsigned int count = above ? (unsigned int)__builtin_ctzll(above) : 64;
		uint64_t run = UINT64_MAX >> (64 - count) << first;
		int err = source->commit(source->context, base + first * GRANULE_PAGES * ZP_PAGE_BYTES,
					 count * GRANULE_PAGES * ZP_PAGE_BYTES);

		if (err)
			return err;
		atomic_fetch_or_explicit(&segment->open, run, memory_order_release);
		bits &= ~run;
	}
	return 0;
}

/*
 * A segment is opened from its front, including gaps, because the system does not rejoin mappings once they were used
 * separately.
 */
int zp_segment_open(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count)
{
	unsigned int end = segment->number == 1 ? ZP_FIRST_CHUNK_PAGES : ZP_SEGMENT_PAGES, ahead;
	uint64_t needed = granule_bits(first, count), wanted, open;
	int err = -ENOMEM;

	/* The caller owns these pages, so no other thread closes those that are open. */
	if (pages->source != &zp_os_pages || !(needed & ~atomic_load_explicit(&segment->open, memory_order_acquire)))
		return 0;
	ahead = first + open_step(pages) * GRANULE_PAGES;
	if (ahead < first + count)
		ahead = first + count;
	zp_lock(&pages->open_lock);
	open = atomic_load_explicit(&segment->open, memory_order_relaxed);
	needed &= ~open;
	wanted = granule_bits(0, ahead < end ? ahead : end) & ~open;
	if (wanted != needed)
		err = open_granules(pages, segment, wanted);
	/* A limit of the process may only allow the pages that are needed. */
	if (err)
		err = open_granules(pages, segment, needed);
	zp_unlock(&pages->open_lock);
	return err;
}

int zp_segment_commit(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count)
{
	const struct zpool_page_source *source = pages->source;

	if (source == &zp_os_pages)
		return zp_segment_open(pages, segment, first, count);
	return source->commit(source->context, zp_segment_base(pages, segment->number) + first * ZP_PAGE_BYTES,
			      count * ZP_PAGE_BYTES);
}

void zp_segment_close(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count)
{
	uint64_t bits = granule_bits(first, count);

	zp_lock(&pages->open_lock);
	if (atomic_fetch_and_explicit(&segment->open, ~bits, memory_order_relaxed) & bits)
		zp_os_pages_close(zp_segment_base(pages, segment->number) + first * ZP_PAGE_BYTES,
				  count * ZP_PAGE_BYTES);
	zp_unlock(&pages->open_lock);
}

/* ---- records and the table of addresses ---- */

static int commit_records(struct zp_pages *pages, void *address, size_t bytes)
{
	while (!zp_account_charge(&pages->account, bytes)) {
		int err = zp_pages_make_room_locked(pages, bytes);

		if (err)
			return err;
	}
	if (pages->source->commit(pages->source->context, address, bytes) == 0)
		return 0;
	zp_pages_refund(pages, bytes);
	return -ENOMEM;
}

static size_t page_round_up(size_t bytes)
{
	return (bytes + ZP_PAGE_BYTES - 1) & ~(ZP_PAGE_BYTES - 1);
}

static size_t block_bytes(unsigned int block)
{
	uint32_t records = block ? zp_record_block_first(block) : UINT32_C(1) << ZP_BLOCK_SHIFT;

	return page_round_up(records * sizeof(struct zp_segment));
}

static uint32_t bases_capacity(unsigned int table)
{
	return (uint32_t)ZP_BASES_FIRST << 3 * table;
}

/* With 32-bit addresses the first table fills half a page. */
static size_t bases_bytes(unsigned int table)
{
	return page_round_up(bases_capacity(table) * sizeof(zp_base));
}

/* Replaces a full table by a larger one, or creates the first, with memory for the entries of segments up to `end`. */
static int replace_bases(struct zp_pages *pages, uint32_t end)
{
	unsigned int table = 0;
	size_t ready_bytes;
	zp_base *bases;
	int err;

	while (bases_capacity(table) < end)
		table++;
	ready_bytes = page_round_up(end * sizeof(zp_base));
	bases = zp_pages_meta_reserve(pages, bases_bytes(table));
	if (!bases)
		return -ENOMEM;
	err = commit_records(pages, (void *)bases, ready_bytes);
	if (err) {
		zp_pages_meta_release(pages, (void *)bases, bases_bytes(table), 0);
		return err;
	}
	for (uint32_t number = 1; number < pages->segments; number++)
		atomic_store_explicit(&bases[number], zp_segment_base(pages, number), memory_order_relaxed);
	pages->bases_tables[table] = bases;
	pages->bases_capacity = bases_capacity(table);
	pages->bases_ready_bytes = ready_bytes;
	atomic_store_explicit(&pages->bases, bases, memory_order_release);
	return 0;
}

static int make_bases_ready(struct zp_pages *pages, uint32_t end)
{
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);
	size_t bytes = page_round_up(end * sizeof(zp_base));
	int err;

	if (end > pages->bases_capacity)
		return replace_bases(pages, end);
	if (bytes <= pages->bases_ready_bytes)
		return 0;
	err = commit_records(pages, (char *)bases + pages->bases_ready_bytes, bytes - pages->bases_ready_bytes);
	if (!err)
		pages->bases_ready_bytes = bytes;
	return err;
}

/* Commits the records and table entries of segments up to `end`.  If this fails halfway, the finished part stays. */
static int make_records_ready(struct zp_pages *pages, uint32_t end)
{
	int err = make_bases_ready(pages, end);

	while (!err && pages->records_ready < end) {
		unsigned int block = zp_record_block(pages->records_ready);
		uint32_t first = zp_record_block_first(block), block_end = zp_record_block_first(block + 1);
		uint32_t ready = pages->records_ready == 1 ? 0 : pages->records_ready - first; /* no segment is 0 */
		uint32_t wanted = (end < block_end ? end : block_end) - first;
		size_t from = page_round_up(ready * sizeof(struct zp_segment));
		size_t to = page_round_up(wanted * sizeof(struct zp_segment));

		if (!pages->blocks[block])
			pages->blocks[block] = zp_pages_meta_reserve(pages, block_bytes(block));
		if (!pages->blocks[block])
			return -ENOMEM;
		err = to > from ? commit_records(pages, (char *)pages->blocks[block] + from, to - from) : 0;
		if (!err)
			pages->records_ready = first + wanted;
	}
	return err;
}

int zp_chunks_init(struct zp_pages *pages)
{
	return replace_bases(pages, pages->segments);
}

/* ---- chunks ---- */

size_t zp_chunk_bytes(struct zp_pages *pages, uint32_t number)
{
	return number == 1 ? ZP_FIRST_CHUNK_PAGES * ZP_PAGE_BYTES
			   : zp_segment(pages, number)->chunk_segments * ZP_SEGMENT_BYTES;
}

/*
 * Finds the largest hole in the numbers, of at most `count` segments, or takes new numbers.  Returns 0 if there are
 * none left.
 */
static uint32_t choose_numbers(struct zp_pages *pages, uint32_t *count)
{
	uint32_t best = 0, best_count = 0;

	for (uint32_t number = 1, step; number < pages->segments; number += step) {
		step = zp_segment(pages, number)->chunk_segments;
		if (!zp_segment_base(pages, number) && step <= *count && step > best_count) {
			best = number;
			best_count = step;
		}
	}
	if (best) {
		*count = best_count;
		return best;
	}
	return *count <= ZP_SEGMENTS_MAX - pages->segments ? pages->segments : 0;
}

static void segment_begin(struct zp_pages *pages, uint32_t number, uint32_t chunk_segments, char *base)
{
	struct zp_segment *segment = zp_segment(pages, number);
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);

	*segment = (struct zp_segment){ .number = number, .chunk_segments = chunk_segments };
	zp_list_init(&segment->bucket);
	zp_list_init(&segment->reserve);
	if (number == 1) /* The part of the segment that the first chunk does not have is never free. */
		zp_segment_set_used(segment, ZP_FIRST_CHUNK_PAGES, ZP_SEGMENT_PAGES - ZP_FIRST_CHUNK_PAGES);
	zp_segment_enter(pages, segment, number == 1 ? ZP_FIRST_CHUNK_PAGES : ZP_SEGMENT_PAGES);
	atomic_store_explicit(&bases[number], base, memory_order_relaxed);
}

static int chunk_add(struct zp_pages *pages, uint32_t count)
{
	const struct zpool_page_source *source = pages->source;
	uint32_t number = choose_numbers(pages, &count);
	char *base;
	int err;

	if (number == 0)
		return -ENOMEM;
	err = make_records_ready(pages, number + count);
	if (err)
		return err;
	if (number == 1)
		base = source->reserve(source->context, ZP_FIRST_CHUNK_PAGES * ZP_PAGE_BYTES, ZP_PAGE_BYTES,
				       pages->node);
	else
		base = source->reserve(source->context, count * ZP_SEGMENT_BYTES, ZP_SEGMENT_BYTES, pages->node);
	if (!base)
		return -ENOMEM;
	zp_lock(&pages->lock);
	/*
	 * Inserts from the last to the first, so that the first is taken first: mappings that are opened upward are
	 * joined.
	 */
	for (uint32_t i = count; i-- > 0;)
		segment_begin(pages, number + i, i == 0 ? count : 0, base + i * ZP_SEGMENT_BYTES);
	if (number == pages->segments)
		pages->segments = number + count;
	pages->segments_living += count;
	pages->growth++;
	zp_unlock(&pages->lock);
	return 0;
}

int zp_pages_grow(struct zp_pages *pages, uint32_t growth)
{
	uint32_t count = 1;
	int err = 0;

	zp_lock(&pages->slow_lock);
	if (pages->growth == growth) {
		while (count < CHUNK_SEGMENTS_MAX && count * 2 <= pages->segments_living)
			count *= 2;
		do
			err = chunk_add(pages, count);
		while (err && (count /= 2) > 0);
	}
	zp_unlock(&pages->slow_lock);
	return err;
}

uint64_t zp_chunk_remove(struct zp_pages *pages, uint32_t number)
{
	const struct zpool_page_source *source = pages->source;
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);
	uint32_t count = zp_segment(pages, number)->chunk_segments;
	char *base = zp_segment_base(pages, number);
	uint64_t committed = 0;
	bool vacant = true;

	zp_lock(&pages->lock);
	for (uint32_t i = 0; i < count; i++)
		vacant = vacant && zp_segment(pages, number + i)->used_pages == 0;
	for (uint32_t i = 0; vacant && i < count; i++) {
		struct zp_segment *segment = zp_segment(pages, number + i);

		committed += segment->reserve_pages * ZP_PAGE_BYTES;
		zp_segment_unkeep(pages, segment, segment->reserve_pages);
		zp_segment_leave(pages, segment);
		atomic_store_explicit(&bases[number + i], NULL, memory_order_relaxed);
	}
	if (vacant)
		pages->segments_living -= count;
	zp_unlock(&pages->lock);
	if (!vacant)
		return 0;
	source->release(source->context, base, count * ZP_SEGMENT_BYTES);
	zp_account_refund(&pages->account, committed);
	return committed;
}

void zp_chunks_fini(struct zp_pages *pages)
{
	const struct zpool_page_source *source = pages->source;
	uint32_t number, next;

	for (number = 1; number < pages->segments; number = next) {
		char *base = zp_segment_base(pages, number);

		next = number + zp_segment(pages, number)->chunk_segments;
		if (base)
			source->release(source->context, base, zp_chunk_bytes(pages, number));
	}
	for (unsigned int block = 0; block < ZP_BLOCKS; block++)
		if (pages->blocks[block])
			source->release(source->context, pages->blocks[block], block_bytes(block));
	for (unsigned int table = 0; table < ZP_BASES_TABLES; table++)
		if (pages->bases_tables[table])
			source->release(source->context, (void *)pages->bases_tables[table], bases_bytes(table));
}
