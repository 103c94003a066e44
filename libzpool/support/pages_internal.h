/* SPDX-License-Identifier: MIT
 *
 * pages_internal.h - shared between the files of the page-run allocator:
 *
 *     pages.c           set-up, the account, metadata, checks
 *     pages_run.c       finding, taking and releasing runs
 *     pages_chunk.c     chunks and their records, opening and closing
 *     pages_source.c    release to the source: the reserve's batches, trim
 */
#ifndef ZP_SUPPORT_PAGES_INTERNAL_H
#define ZP_SUPPORT_PAGES_INTERNAL_H

#include "pages.h"

static inline unsigned int zp_record_block(uint32_t number)
{
	return (unsigned int)(32 - ZP_BLOCK_SHIFT) - (unsigned int)__builtin_clz(number | ((1u << ZP_BLOCK_SHIFT) - 1));
}

static inline uint32_t zp_record_block_first(unsigned int block)
{
	return block ? UINT32_C(1) << (ZP_BLOCK_SHIFT + block - 1) : 0;
}

static inline struct zp_segment *zp_segment(struct zp_pages *pages, uint32_t number)
{
	unsigned int block = zp_record_block(number);

	return &pages->blocks[block][number - zp_record_block_first(block)];
}

static inline char *zp_segment_base(struct zp_pages *pages, uint32_t number)
{
	zp_base *bases = atomic_load_explicit(&pages->bases, memory_order_relaxed);

	return atomic_load_explicit(&bases[number], memory_order_relaxed);
}

static inline uint32_t zp_segment_of(uint32_t pgno)
{
	return pgno >> ZP_SEGMENT_SHIFT;
}

static inline unsigned int zp_page_of(uint32_t pgno)
{
	return pgno & (ZP_SEGMENT_PAGES - 1);
}

static inline uint32_t zp_pgno(uint32_t segment, unsigned int page)
{
	return segment << ZP_SEGMENT_SHIFT | page;
}

static inline struct zp_bits zp_segment_free(const struct zp_segment *segment)
{
	struct zp_bits out;

	for (unsigned int i = 0; i < ZP_BITS_WORDS; i++)
		out.word[i] = ~segment->used.word[i];
	return out;
}

/* Returns the pages of the segment that are in the reserve. */
static inline struct zp_bits zp_segment_kept(const struct zp_segment *segment)
{
	struct zp_bits out = segment->committed;

	zp_bits_and_not(&out, &segment->used);
	return out;
}

/* Notes that pages are about to get memory, so that the system has page tables for them from now on. */
static inline void zp_segment_set_committed(struct zp_segment *segment, unsigned int first, unsigned int count)
{
	zp_bits_set(&segment->committed, first, count);
	for (unsigned int part = first / ZP_TABLE_PAGES; part <= (first + count - 1) / ZP_TABLE_PAGES; part++)
		segment->tables |= (uint8_t)(1u << part);
}

static inline unsigned int zp_bucket_of(unsigned int run)
{
	return run <= ZP_BUCKETS_EXACT ? run : ZP_BUCKETS_EXACT + 26u - (unsigned int)__builtin_clz(run);
}

/*
 * Functions of pages_run.c that are called with pages->lock held.  enter sets a segment's bound and puts the segment
 * into its bucket, and leave removes it.  keep and unkeep change the counts of the reserve.  set_used and set_free mark
 * the pages of a run.
 */
void zp_segment_enter(struct zp_pages *pages, struct zp_segment *segment, unsigned int bound);
void zp_segment_leave(struct zp_pages *pages, struct zp_segment *segment);
void zp_segment_keep(struct zp_pages *pages, struct zp_segment *segment, unsigned int npages);
void zp_segment_unkeep(struct zp_pages *pages, struct zp_segment *segment, unsigned int npages);
void zp_segment_set_used(struct zp_segment *segment, unsigned int first, unsigned int count);
void zp_segment_set_free(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count);

/*
 * Creates the first table of addresses.  Returns 0 or -ENOMEM (pages_chunk.c has all functions down to
 * zp_segment_close()).
 */
int zp_chunks_init(struct zp_pages *pages);

/* Returns the address space of the chunk whose first segment this is. */
size_t zp_chunk_bytes(struct zp_pages *pages, uint32_t number);

/* Releases a chunk without a used page.  Returns the bytes that were still committed in it.  slow_lock is held. */
uint64_t zp_chunk_remove(struct zp_pages *pages, uint32_t number);

/* Releases everything that zp_pages_grow() has created, including chunks. */
void zp_chunks_fini(struct zp_pages *pages);

/*
 * Makes pages of the system's source accessible; does nothing for other sources.  No other thread may own the pages.
 * Returns 0 or -ENOMEM.
 */
int zp_segment_open(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count);

/* Commits pages of a segment that no other thread owns.  Returns 0 or -errno. */
int zp_segment_commit(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count);

/* Closes whole granules of the system's source, whose pages were decommitted and count as used meanwhile. */
void zp_segment_close(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count);

/* Adds a chunk, unless one was added since pages->growth was read.  Returns 0 or -errno. */
int zp_pages_grow(struct zp_pages *pages, uint32_t growth);

/*
 * Releases pages of the reserve so that `bytes` fit under the limit.  Returns 0 if the caller should try again, or
 * -ENOMEM if they cannot fit.
 */
int zp_pages_make_room(struct zp_pages *pages, uint64_t bytes);
int zp_pages_make_room_locked(struct zp_pages *pages, uint64_t bytes); /* slow_lock is held */

/*
 * zp_pages_reserve_is_full() returns true if a batch should be released; it is called with pages->lock held.
 * zp_pages_flush_excess() then releases a batch; it is called without the lock.
 */
bool zp_pages_reserve_is_full(struct zp_pages *pages);
void zp_pages_flush_excess(struct zp_pages *pages);

#endif
