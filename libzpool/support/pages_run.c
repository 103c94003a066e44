/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "pages_internal.h"

#include <errno.h>

/* How many segments of the reserve are searched for a run; few if another search follows. */
enum { LOOK_WAITING = 8, LOOK_NOWAIT = 64, LOOK_STRADDLING = 8 };

/* A run that was found or taken. */
struct run {
	struct zp_segment *segment;
	unsigned int first, pages;
	unsigned int commit_pages;  /* number of pages, from the first, that must have memory */
	unsigned int pending_pages; /* how many of these have no memory yet */
	struct zp_bits pending;     /* which pages these are; filled when the run is taken, if there are any */
};

/* ---- segments ---- */

void zp_segment_leave(struct zp_pages *pages, struct zp_segment *segment)
{
	unsigned int bucket = zp_bucket_of(segment->bound);

	zp_list_del(&segment->bucket);
	if (zp_list_empty(&pages->buckets[bucket]))
		pages->bucket_mask[bucket / 64] &= ~(UINT64_C(1) << (bucket % 64));
}

void zp_segment_enter(struct zp_pages *pages, struct zp_segment *segment, unsigned int bound)
{
	unsigned int bucket = zp_bucket_of(bound);

	if (!zp_list_empty(&segment->bucket)) {
		if (bucket == zp_bucket_of(segment->bound)) {
			segment->bound = (uint16_t)bound;
			return;
		}
		zp_segment_leave(pages, segment);
	}
	segment->bound = (uint16_t)bound;
	zp_list_add(&segment->bucket, &pages->buckets[bucket]);
	pages->bucket_mask[bucket / 64] |= UINT64_C(1) << (bucket % 64);
}

void zp_segment_keep(struct zp_pages *pages, struct zp_segment *segment, unsigned int npages)
{
	if (npages == 0)
		return;
	segment->reserve_pages = (uint16_t)(segment->reserve_pages + npages);
	pages->reserve_pages += npages;
	zp_list_move(&segment->reserve, &pages->reserve);
}

void zp_segment_unkeep(struct zp_pages *pages, struct zp_segment *segment, unsigned int npages)
{
	segment->reserve_pages = (uint16_t)(segment->reserve_pages - npages);
	pages->reserve_pages -= npages;
	if (segment->reserve_pages == 0)
		zp_list_del(&segment->reserve);
}

void zp_segment_set_used(struct zp_segment *segment, unsigned int first, unsigned int count)
{
	zp_bits_set(&segment->used, first, count);
	segment->used_pages = (uint16_t)(segment->used_pages + count);
}

void zp_segment_set_free(struct zp_pages *pages, struct zp_segment *segment, unsigned int first, unsigned int count)
{
	unsigned int run;

	zp_bits_clear(&segment->used, first, count);
	segment->used_pages = (uint16_t)(segment->used_pages - count);
	run = zp_bits_next_set(&segment->used, first) - zp_bits_after_prev_set(&segment->used, first);
	if (run > segment->bound)
		zp_segment_enter(pages, segment, run);
}

/* ---- finding free runs; all with pages->lock held ---- */

/*
 * Finds the best position in a segment for a run in which all pages that must have memory are in the reserve; ZP_BITS:
 * none.
 */
static unsigned int find_kept_in(const struct zp_segment *segment, const struct run *run, bool nowait)
{
	struct zp_bits kept = zp_segment_kept(segment), starts = kept, vacant;
	unsigned int place;

	zp_bits_starts(&starts, run->commit_pages);
	if (run->pages == run->commit_pages)
		return zp_bits_next_set(&starts, 0);
	vacant = zp_segment_free(segment);
	zp_bits_starts(&vacant, run->pages);
	zp_bits_and(&starts, &vacant);
	/* The rest of the run should be clean, or its memory would have to be released first. */
	vacant = starts;
	zp_bits_shift_down(&kept, run->commit_pages);
	zp_bits_and_not(&vacant, &kept);
	place = zp_bits_next_set(&vacant, 0);
	return place == ZP_BITS && nowait ? zp_bits_next_set(&starts, 0) : place;
}

static bool find_kept(struct zp_pages *pages, struct run *run, bool nowait)
{
	unsigned int looks = nowait ? LOOK_NOWAIT : LOOK_WAITING;
	struct zp_list *link;

	zp_list_for_each (link, &pages->reserve) {
		struct zp_segment *segment = zp_list_entry(link, struct zp_segment, reserve);
		unsigned int place;

		if (looks-- == 0)
			return false;
		if (segment->reserve_pages < run->commit_pages)
			continue;
		place = find_kept_in(segment, run, nowait);
		if (place == ZP_BITS)
			continue;
		run->segment = segment;
		run->first = place;
		return true;
	}
	return false;
}

static unsigned int find_vacant_in(const struct zp_segment *segment, unsigned int npages)
{
	struct zp_bits vacant = zp_segment_free(segment), clean = vacant;
	unsigned int place;

	/* Prefer clean pages, and leave the reserve to callers that search it. */
	zp_bits_and_not(&clean, &segment->committed);
	zp_bits_starts(&clean, npages);
	place = zp_bits_next_set(&clean, 0);
	if (place != ZP_BITS || segment->reserve_pages == 0)
		return place;
	zp_bits_starts(&vacant, npages);
	return zp_bits_next_set(&vacant, 0);
}

/* Returns a segment whose bound allows a run of that length, the tightest first; NULL: none. */
static struct zp_segment *candidate(struct zp_pages *pages, unsigned int npages)
{
	unsigned int bucket = zp_bucket_of(npages), looks = LOOK_STRADDLING;
	struct zp_list *link;

	if (npages > ZP_BUCKETS_EXACT) {
		/*
		 * This bucket has bounds below and above the length: check a few segments, then go to the next bucket.
		 */
		zp_list_for_each (link, &pages->buckets[bucket]) {
			struct zp_segment *segment = zp_list_entry(link, struct zp_segment, bucket);

			if (segment->bound >= npages)
				return segment;
			if (--looks == 0)
				break;
		}
		bucket++;
	}
	for (; bucket < ZP_BUCKETS; bucket = (bucket / 64 + 1) * 64) {
		uint64_t word = pages->bucket_mask[bucket / 64] & (UINT64_MAX << (bucket % 64));

		if (word) {
			bucket = bucket / 64 * 64 + (unsigned int)__builtin_ctzll(word);
			return zp_list_entry(pages->buckets[bucket].next, struct zp_segment, bucket);
		}
	}
	return NULL;
}

static bool find_vacant(struct zp_pages *pages, struct run *run)
{
	struct zp_segment *segment;

	while ((segment = candidate(pages, run->pages)) != NULL) {
		unsigned int place = find_vacant_in(segment, run->pages);
		struct zp_bits vacant;

		if (place != ZP_BITS) {
			run->segment = segment;
			run->first = place;
			return true;
		}
		vacant = zp_segment_free(segment);
		zp_segment_enter(pages, segment, zp_bits_longest_run(&vacant));
	}
	return false;
}

static bool run_find(struct zp_pages *pages, struct run *run, bool nowait)
{
	bool found = run->commit_pages > 0 && find_kept(pages, run, nowait);

	if (found) {
		run->pending_pages = 0;
		return true;
	}
	if ((nowait && run->commit_pages > 0) || !find_vacant(pages, run))
		return false;
	run->pending_pages = run->commit_pages - zp_bits_count(&run->segment->committed, run->first, run->commit_pages);
	return true;
}

/* ---- taking and releasing ---- */

/* Finds the pages of a range that have no memory yet. */
static void note_pending(struct zp_bits *pending, const struct zp_segment *segment, unsigned int first,
			 unsigned int count)
{
	*pending = (struct zp_bits){ { 0 } };
	zp_bits_set(pending, first, count);
	zp_bits_and_not(pending, &segment->committed);
}

static void run_take(struct zp_pages *pages, struct run *run)
{
	struct zp_segment *segment = run->segment;
	unsigned int kept = zp_bits_count(&segment->committed, run->first, run->pages);

	zp_segment_set_used(segment, run->first, run->pages);
	if (kept)
		zp_segment_unkeep(pages, segment, kept);
	if (run->pending_pages) {
		note_pending(&run->pending, segment, run->first, run->commit_pages);
		zp_segment_set_committed(segment, run->first, run->commit_pages);
	}
	if (segment->used_pages == ZP_SEGMENT_PAGES)
		zp_segment_enter(pages, segment, 0);
	atomic_fetch_add_explicit(&pages->run_pages, kept + run->pending_pages, memory_order_relaxed);
}

/* Handles pending pages that get no memory: clears their bits, which were already set, and refunds their charge. */
static void drop_pending(struct zp_pages *pages, struct zp_segment *segment, const struct zp_bits *pending)
{
	unsigned int lost = zp_bits_count(pending, 0, ZP_BITS);

	zp_lock(&pages->lock);
	zp_bits_and_not(&segment->committed, pending);
	atomic_fetch_sub_explicit(&pages->run_pages, lost, memory_order_relaxed);
	zp_unlock(&pages->lock);
	zp_account_refund(&pages->account, lost * ZP_PAGE_BYTES);
}

/* Commits the pending pages of a segment.  If the source refuses, the pages that it has not committed are dropped. */
static int commit_pending(struct zp_pages *pages, struct zp_segment *segment, struct zp_bits *pending)
{
	unsigned int first = 0, count;
	int err = 0;

	while (!err && zp_bits_next_run(pending, &first, &count)) {
		err = zp_segment_commit(pages, segment, first, count);
		if (!err)
			zp_bits_clear(pending, first, count);
	}
	if (err)
		drop_pending(pages, segment, pending);
	return err;
}

/*
 * Commits a run that was taken.  The whole run is opened, including pages that are committed later, because a limit of
 * the process may forbid it by then.  If it forbids that now, the run is released.
 */
static int run_commit(struct zp_pages *pages, struct run *run, bool nowait)
{
	int err = nowait ? 0 : zp_segment_open(pages, run->segment, run->first, run->pages);

	if (run->pending_pages && err)
		drop_pending(pages, run->segment, &run->pending);
	else if (run->pending_pages)
		err = commit_pending(pages, run->segment, &run->pending);
	if (err)
		zp_pages_put(pages, zp_pgno(run->segment->number, run->first), run->pages);
	return err;
}

/* Finds the free pages of a segment that can be used without a system call. */
static struct zp_bits open_pages(const struct zp_segment *segment)
{
	enum { GRANULE_PAGES = ZP_SEGMENT_PAGES / 64, WORD_GRANULES = 64 / GRANULE_PAGES };
	uint64_t open = atomic_load_explicit(&segment->open, memory_order_relaxed);
	struct zp_bits out = zp_segment_free(segment);

	for (unsigned int i = 0; i < 64; i++)
		if (!(open >> i & 1))
			out.word[i / WORD_GRANULES] &=
				~(((UINT64_C(1) << GRANULE_PAGES) - 1) << i % WORD_GRANULES * GRANULE_PAGES);
	return out;
}

/* When the process may not open more memory: finds a run in open memory.  Checks every segment. */
static int run_take_open(struct zp_pages *pages, struct run *run)
{
	bool found = false;

	zp_lock(&pages->lock);
	for (uint32_t number = 1; number < pages->segments && !found; number++) {
		struct zp_bits starts;

		run->segment = zp_segment(pages, number);
		if (!zp_segment_base(pages, number) || run->segment->bound < run->pages)
			continue;
		starts = open_pages(run->segment);
		zp_bits_starts(&starts, run->pages);
		run->first = zp_bits_next_set(&starts, 0);
		found = run->first != ZP_BITS;
	}
	if (found) {
		run->pending_pages =
			run->commit_pages - zp_bits_count(&run->segment->committed, run->first, run->commit_pages);
		found = zp_account_charge(&pages->account, run->pending_pages * ZP_PAGE_BYTES);
	}
	if (found)
		run_take(pages, run);
	zp_unlock(&pages->lock);
	if (!found)
		return -ENOMEM;
	return run_commit(pages, run, false);
}

static bool lock_for(struct zp_pages *pages, bool nowait)
{
	if (nowait)
		return zp_trylock(&pages->lock);
	zp_lock(&pages->lock);
	return true;
}

int zp_pages_get_lazy(struct zp_pages *pages, unsigned int npages, unsigned int ncommit, zpool_gfp_t gfp,
		      uint32_t *pgno)
{
	struct run run;
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, paid = false;
	int err = 0;

	run.pages = npages;
	run.commit_pages = ncommit;
	if (npages == 0 || npages > ZP_RUN_PAGES_MAX || ncommit > npages)
		return -EINVAL;
	while (!paid) {
		bool found;
		uint32_t growth;

		if (!lock_for(pages, nowait))
			return -EAGAIN;
		growth = pages->growth;
		found = run_find(pages, &run, nowait);
		paid = found && zp_account_charge(&pages->account, run.pending_pages * ZP_PAGE_BYTES);
		if (paid)
			run_take(pages, &run);
		zp_unlock(&pages->lock);
		if (!paid && nowait)
			return -ENOMEM;
		if (!paid)
			err = found ? zp_pages_make_room(pages, run.pending_pages * ZP_PAGE_BYTES)
				    : zp_pages_grow(pages, growth);
		if (err)
			return err;
	}
	err = run_commit(pages, &run, nowait);
	if (err && run_take_open(pages, &run))
		return err;
	*pgno = zp_pgno(run.segment->number, run.first);
	if (ncommit < npages && !nowait)
		/* Pages that the source does not take back stay committed and held. */
		(void)zp_pages_decommit(pages, *pgno + ncommit, npages - ncommit);
	return 0;
}

int zp_pages_get(struct zp_pages *pages, unsigned int npages, zpool_gfp_t gfp, uint32_t *pgno)
{
	return zp_pages_get_lazy(pages, npages, npages, gfp, pgno);
}

int zp_pages_get_lowest(struct zp_pages *pages, unsigned int npages, uint32_t below, uint32_t *pgno)
{
	struct run run = { .pages = npages };
	bool found = false;

	zp_lock(&pages->lock);
	for (uint32_t number = 1; number <= zp_segment_of(below) && !found; number++) {
		run.segment = zp_segment(pages, number);
		if (!zp_segment_base(pages, number) || run.segment->bound < npages)
			continue;
		run.first = find_vacant_in(run.segment, npages);
		found = run.first != ZP_BITS && zp_pgno(number, run.first) < below;
	}
	if (found)
		run_take(pages, &run);
	zp_unlock(&pages->lock);
	if (!found || run_commit(pages, &run, false))
		return -ENOMEM;
	*pgno = zp_pgno(run.segment->number, run.first);
	/* The pages there that are in the reserve are released, or stay committed and held. */
	(void)zp_pages_decommit(pages, *pgno, npages);
	return 0;
}

void zp_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages)
{
	struct zp_segment *segment = zp_segment(pages, zp_segment_of(pgno));
	unsigned int first = zp_page_of(pgno), committed;
	bool full;

	zp_lock(&pages->lock);
	committed = zp_bits_count(&segment->committed, first, npages);
	zp_segment_set_free(pages, segment, first, npages);
	zp_segment_keep(pages, segment, committed);
	atomic_fetch_sub_explicit(&pages->run_pages, committed, memory_order_relaxed);
	full = zp_pages_reserve_is_full(pages);
	zp_unlock(&pages->lock);
	if (full)
		zp_pages_flush_excess(pages);
}

int zp_pages_commit(struct zp_pages *pages, uint32_t pgno, unsigned int npages, zpool_gfp_t gfp)
{
	struct zp_segment *segment = zp_segment(pages, zp_segment_of(pgno));
	unsigned int first = zp_page_of(pgno), missing;
	bool nowait = gfp & ZPOOL_GFP_NOWAIT, paid;
	struct zp_bits pending;

	do {
		int err;

		if (!lock_for(pages, nowait))
			return -EAGAIN;
		missing = npages - zp_bits_count(&segment->committed, first, npages);
		paid = missing == 0 || (!nowait && zp_account_charge(&pages->account, missing * ZP_PAGE_BYTES));
		if (paid && missing) {
			note_pending(&pending, segment, first, npages);
			zp_segment_set_committed(segment, first, npages);
			atomic_fetch_add_explicit(&pages->run_pages, missing, memory_order_relaxed);
		}
		zp_unlock(&pages->lock);
		err = paid ? 0 : nowait ? -ENOMEM : zp_pages_make_room(pages, missing * ZP_PAGE_BYTES);
		if (err)
			return err;
	} while (!paid);
	return missing ? commit_pending(pages, segment, &pending) : 0;
}

int zp_pages_decommit(struct zp_pages *pages, uint32_t pgno, unsigned int npages)
{
	const struct zpool_page_source *source = pages->source;
	struct zp_segment *segment = zp_segment(pages, zp_segment_of(pgno));
	char *base = zp_segment_base(pages, segment->number);
	unsigned int first = zp_page_of(pgno), end = first + npages, count, gone;
	struct zp_bits taken = { { 0 } };
	int err = 0;

	zp_bits_set(&taken, first, npages);
	zp_lock(&pages->lock);
	zp_bits_and(&taken, &segment->committed);
	zp_unlock(&pages->lock);
	while (first < end && zp_bits_next_run(&taken, &first, &count)) {
		int refused = source->decommit(source->context, base + first * ZP_PAGE_BYTES, count * ZP_PAGE_BYTES);

		if (refused) {
			zp_bits_clear(&taken, first, count);
			err = refused;
		}
		first += count;
	}
	gone = zp_bits_count(&taken, 0, ZP_BITS);
	if (gone == 0)
		return err;
	zp_lock(&pages->lock);
	zp_bits_and_not(&segment->committed, &taken);
	atomic_fetch_sub_explicit(&pages->run_pages, gone, memory_order_relaxed);
	zp_unlock(&pages->lock);
	zp_account_refund(&pages->account, gone * ZP_PAGE_BYTES);
	return err;
}

bool zp_pages_is_committed(struct zp_pages *pages, uint32_t pgno)
{
	struct zp_segment *segment = zp_segment(pages, zp_segment_of(pgno));
	unsigned int page = zp_page_of(pgno);
	bool committed;

	zp_lock(&pages->lock);
	committed = segment->committed.word[page / 64] >> (page % 64) & 1;
	zp_unlock(&pages->lock);
	return committed;
}

unsigned int zp_pages_in_table(struct zp_pages *pages, uint32_t pgno)
{
	const struct zp_segment *segment = zp_segment(pages, zp_segment_of(pgno));
	unsigned int first = zp_page_of(pgno) & ~(ZP_TABLE_PAGES - 1u), count;

	zp_lock(&pages->lock);
	count = zp_bits_count(&segment->committed, first, ZP_TABLE_PAGES);
	zp_unlock(&pages->lock);
	return count;
}
