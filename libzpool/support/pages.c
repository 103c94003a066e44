/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "pages_internal.h"

#include <errno.h>
#include <string.h>

#include "os_pages.h"

static bool source_is_sane(const struct zpool_page_source *source)
{
	return source->struct_size >= sizeof(*source) && source->reserve && source->commit && source->decommit &&
	       source->release;
}

int zp_pages_init(struct zp_pages *pages, const struct zpool_page_source *source, int node, uint64_t limit_bytes)
{
	memset(pages, 0, sizeof(*pages));
	pages->source = source ? source : &zp_os_pages;
	if (!source_is_sane(pages->source))
		return -EINVAL;
	pages->node = node;
	zp_account_init(&pages->account, limit_bytes);
	atomic_init(&pages->reserve_bound_bytes, ZP_RESERVE_DEFAULT);
	zp_lock_init(&pages->lock);
	zp_lock_init(&pages->slow_lock);
	zp_lock_init(&pages->open_lock);
	zp_lock_rank(&pages->slow_lock, ZP_RANK_PAGES_SLOW, 0, pages);
	zp_lock_rank(&pages->lock, ZP_RANK_PAGES, 0, pages);
	zp_lock_rank(&pages->open_lock, ZP_RANK_PAGES_OPEN, 0, pages);
	zp_list_init(&pages->reserve);
	for (unsigned int i = 0; i < ZP_BUCKETS; i++)
		zp_list_init(&pages->buckets[i]);
	/* No page has the number ZP_PGNO_NONE, because segment 0 is not used. */
	pages->segments = 1;
	pages->records_ready = 1;

	return zp_chunks_init(pages);
}

void zp_pages_fini(struct zp_pages *pages)
{
	zp_chunks_fini(pages);
	memset(pages, 0, sizeof(*pages));
}

int zp_pages_charge(struct zp_pages *pages, uint64_t bytes, zpool_gfp_t gfp)
{
	while (!zp_account_charge(&pages->account, bytes)) {
		int err = gfp & ZPOOL_GFP_NOWAIT ? -ENOMEM : zp_pages_make_room(pages, bytes);

		if (err)
			return err;
	}
	return 0;
}

void *zp_pages_meta_reserve(struct zp_pages *pages, size_t bytes)
{
	return pages->source->reserve(pages->source->context, bytes, ZP_PAGE_BYTES, pages->node);
}

int zp_pages_meta_commit(struct zp_pages *pages, void *address, size_t bytes, zpool_gfp_t gfp)
{
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT)
		return -ENOMEM;
	err = zp_pages_charge(pages, bytes, gfp);
	if (err)
		return err;
	err = pages->source->commit(pages->source->context, address, bytes);
	if (err)
		zp_pages_refund(pages, bytes);
	return err;
}

int zp_pages_meta_decommit(struct zp_pages *pages, void *address, size_t bytes)
{
	int err = pages->source->decommit(pages->source->context, address, bytes);

	if (!err)
		zp_pages_refund(pages, bytes);
	return err;
}

void zp_pages_meta_release(struct zp_pages *pages, void *address, size_t bytes, size_t committed_bytes)
{
	pages->source->release(pages->source->context, address, bytes);
	zp_pages_refund(pages, committed_bytes);
}

bool zp_pages_decommitted_readable(const struct zp_pages *pages)
{
	return pages->source == &zp_os_pages;
}

uint32_t zp_pages_number(struct zp_pages *pages, const void *address)
{
	uint32_t number, count, pgno = ZP_PGNO_NONE;

	zp_lock(&pages->slow_lock);
	for (number = 1; number < pages->segments; number += count) {
		uintptr_t base = (uintptr_t)zp_segment_base(pages, number);
		uintptr_t offset = (uintptr_t)address - base;

		count = zp_segment(pages, number)->chunk_segments;
		if (base && offset < zp_chunk_bytes(pages, number)) {
			pgno = zp_pgno(number, 0) + (uint32_t)(offset >> ZP_PAGE_SHIFT);
			break;
		}
	}
	zp_unlock(&pages->slow_lock);
	return pgno;
}

void zp_pages_fork(struct zp_pages *pages, enum zpool_fork_phase phase)
{
	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&pages->slow_lock);
		zp_lock(&pages->lock);
		zp_lock(&pages->open_lock);
		return;
	}
	/* The threads that had deferred release do not exist in the child. */
	if (phase == ZPOOL_FORK_CHILD)
		pages->deferrals = 0;
	zp_unlock(&pages->open_lock);
	zp_unlock(&pages->lock);
	zp_unlock(&pages->slow_lock);
}

/* Checks one segment against its own counts, and adds to the totals of pages in runs and in the reserve. */
static const char *verify_segment(struct zp_pages *pages, struct zp_segment *segment, uint64_t *in_runs,
				  uint64_t *in_reserve)
{
	struct zp_bits kept = zp_segment_kept(segment), vacant = zp_segment_free(segment);
	struct zp_bits handed_out = segment->committed;
	struct zp_list *link;
	bool listed = false;

	zp_bits_and(&handed_out, &segment->used);
	*in_runs += zp_bits_count(&handed_out, 0, ZP_BITS);
	*in_reserve += segment->reserve_pages;
	if (zp_bits_count(&segment->used, 0, ZP_BITS) != segment->used_pages)
		return "a segment's count of used pages differs from its bitmap";
	if (zp_bits_count(&kept, 0, ZP_BITS) != segment->reserve_pages)
		return "a segment's count of reserve pages differs from its bitmaps";
	if (zp_bits_longest_run(&vacant) > segment->bound)
		return "a segment has a longer free run than its bound says";
	zp_list_for_each (link, &pages->buckets[zp_bucket_of(segment->bound)])
		listed = listed || link == &segment->bucket;
	if (!listed)
		return "a segment is not in the bucket of its bound";
	if (zp_list_empty(&segment->reserve) != (segment->reserve_pages == 0))
		return "a segment is on the list of the reserve although its count is 0, or is missing there";
	return NULL;
}

const char *zp_pages_verify(struct zp_pages *pages)
{
	uint64_t in_runs = 0, in_reserve = 0;
	const char *fault = NULL;
	uint32_t living = 0;

	zp_lock(&pages->slow_lock);
	zp_lock(&pages->lock);
	for (uint32_t number = 1; number < pages->segments && !fault; number++) {
		if (!zp_segment_base(pages, number))
			continue;
		living++;
		fault = verify_segment(pages, zp_segment(pages, number), &in_runs, &in_reserve);
	}
	if (!fault && living != pages->segments_living)
		fault = "the count of segments differs from the table";
	if (!fault && in_runs != zp_pages_handed_out(pages))
		fault = "the count of pages handed out differs from the bitmaps";
	if (!fault && in_reserve != pages->reserve_pages)
		fault = "the count of pages in the reserve differs from the segments'";
	if (!fault && (in_runs + in_reserve) * ZP_PAGE_BYTES > zp_pages_held_bytes(pages))
		fault = "the account has fewer bytes than are committed";
	zp_unlock(&pages->lock);
	zp_unlock(&pages->slow_lock);
	return fault;
}
