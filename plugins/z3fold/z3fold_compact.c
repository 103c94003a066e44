/* SPDX-License-Identifier: MIT
 *
 * z3fold_compact.c - moving the objects of half-used pages into the room of others
 *
 * Compaction tries pages in the order of their room, the emptiest first.  It returns each page whose objects all find
 * room elsewhere, in the smallest holes that suffice.  If one object of a page finds no room, all objects of the page
 * stay, so nothing was copied needlessly except perhaps a middle object that was shifted to make room.  A round visits
 * each ring of by_room once, for as many pages as the ring had when the round reached it.  So a round ends, no matter
 * what other threads do meanwhile.
 *
 * With a budget, a call works in steps: a step tries some pages or releases some memory.  The pool stores the position
 * where the last call stopped, and the next call continues there.  A page that could not be emptied becomes the last
 * one of its ring, so objects that stay mapped do not keep compaction from the pages after them.  A round that emptied
 * a page is followed by another round.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "z3fold.h"

/*
 * Limits for one hold of the lock: the number of pages tried, and the bytes copied.  The last page may exceed the limit
 * of bytes.
 */
enum { STEP_PAGES = 32, STEP_BYTES = 16 << 10 };

/*
 * A malloc at the limit stops after it emptied ROOM_PAGES.  It tries at most ROOM_TRIES_PER_FREE pages per free without
 * success.
 */
enum { ROOM_PAGES = 16, ROOM_TRIES_PER_FREE = 32 };

struct run {
	struct z3fold_pool *pool;
	struct zp_budget budget;
	struct z3fold_round at;
	uint64_t moved_bytes;
};

static bool byte_budget_is_spent(const struct run *run)
{
	return run->moved_bytes >= run->budget.bytes;
}

/* Returns the next page to try, or ZP_PGNO_NONE after the last one.  The caller holds the lock. */
static uint32_t next_page(struct run *run)
{
	struct z3fold_pool *pool = run->pool;

	while (run->at.left == 0 || pool->room_pages[run->at.room] == 0) {
		if (run->at.room == 1)
			return ZP_PGNO_NONE;
		run->at.room--;
		run->at.left = pool->room_pages[run->at.room];
	}
	run->at.left--;
	return pool->by_room[run->at.room];
}

/* Tries pages during one hold of the lock.  Returns true if there are more to try. */
static bool try_pages(struct run *run)
{
	struct z3fold_pool *pool = run->pool;
	uint32_t emptied[STEP_PAGES];
	unsigned int count = 0;
	uint64_t until = run->moved_bytes + STEP_BYTES;
	bool more = true;

	zp_lock(&pool->lock);
	for (unsigned int i = 0; i < STEP_PAGES && run->moved_bytes < until && !byte_budget_is_spent(run); i++) {
		uint64_t before = pool->moved_bytes;
		uint32_t pgno = next_page(run);

		more = pgno != ZP_PGNO_NONE;
		if (!more)
			break;
		if (z3fold_empty_page(pool, pgno))
			emptied[count++] = pgno;
		else /* The page was put at the front of its ring again, so the search continues behind it. */
			pool->by_room[run->at.room] = z3fold_page_at(pool, pgno)->links[Z3FOLD_BY_ROOM].next;
		run->moved_bytes += pool->moved_bytes - before;
	}
	zp_unlock(&pool->lock);
	for (unsigned int i = 0; i < count; i++)
		z3fold_page_put(pool, emptied[i]);
	run->at.unreleased_pages += count;
	run->at.gained |= count > 0;
	return more;
}

static void end_round(struct run *run)
{
	run->at.rounds++;
	run->at.room = 0;
	run->at.at_trim = !run->at.gained || run->at.rounds == ZP_BUDGET_ROUNDS_MAX;
	run->at.gained = false;
}

static void drop_spares(struct z3fold_pool *pool)
{
	uint32_t spare_handle_slot, spare_pgno;

	zp_lock(&pool->lock);
	spare_handle_slot = pool->spare_handle_slot;
	spare_pgno = pool->spare_pgno;
	pool->spare_handle_slot = ZP_SLOT_NONE;
	pool->spare_pgno = ZP_PGNO_NONE;
	zp_unlock(&pool->lock);
	if (spare_handle_slot != ZP_SLOT_NONE)
		zp_handles_unbind(&pool->handles, &spare_handle_slot, 1);
	if (spare_pgno != ZP_PGNO_NONE)
		zp_pages_put(&pool->pages, spare_pgno, 1);
}

/* Makes one step of the compaction.  Returns false when the compaction is finished. */
static bool compact_step(struct run *run)
{
	struct z3fold_pool *pool = run->pool;

	run->at.steps++;
	/*
	 * With a deadline, release emptied pages before moving more objects.  Without one, release them all at the end,
	 * when neighbouring pages can go together.
	 */
	if (run->budget.deadline_ns && run->at.unreleased_pages) {
		uint32_t gone = zp_pages_trim_some(&pool->pages);

		run->at.unreleased_pages -= gone && gone < run->at.unreleased_pages ? gone : run->at.unreleased_pages;
		return true;
	}
	if (run->at.at_trim)
		return z3fold_records_trim(pool, &run->at.record_unit) ||
		       zp_trim_step(&run->at.trim, &pool->handles, &pool->pages);
	if (run->at.room == 0) {
		run->at.room = Z3FOLD_PAGE_CHUNKS;
		run->at.left = 0;
	}
	if (!try_pages(run))
		end_round(run);
	if (run->at.at_trim)
		drop_spares(pool);
	return true;
}

static struct run run_begin(struct z3fold_pool *pool, const struct zpool_budget *budget)
{
	struct run run = { .pool = pool, .budget = zp_budget_begin(budget) };

	zp_lock(&pool->lock);
	pool->compactions++;
	if (run.budget.given)
		run.at = pool->round;
	zp_unlock(&pool->lock);
	return run;
}

static void run_end(struct run *run, bool more, uint64_t released)
{
	struct z3fold_pool *pool = run->pool;

	zp_lock(&pool->lock);
	pool->released_bytes += released;
	if (run->budget.given && run->at.series == pool->round.series && run->at.steps > pool->round.steps)
		pool->round = more ? run->at : (struct z3fold_round){ .series = run->at.series + 1 };
	zp_unlock(&pool->lock);
}

static uint64_t released_since(struct z3fold_pool *pool, uint64_t held_before)
{
	uint64_t held = zp_pages_held_bytes(&pool->pages);

	return held_before > held ? held_before - held : 0;
}

int z3fold_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct z3fold_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), of_pages;
	struct run run = run_begin(pool, budget);
	bool more;

	zp_pages_defer_release(&pool->pages, true);
	do
		more = compact_step(&run);
	while (more && !byte_budget_is_spent(&run) && !zp_budget_is_late(&run.budget));
	zp_pages_defer_release(&pool->pages, false);
	if (!run.budget.deadline_ns) {
		zp_pages_trim(&pool->pages, &of_pages);
		run.at.unreleased_pages = 0;
	}
	*released = released_since(pool, before);
	run_end(&run, more, *released);
	return more ? 1 : 0;
}

/* Returns what the pool has cached in addition to its pages. */
static void drop_cached(struct z3fold_pool *pool)
{
	uint64_t ignored;
	uint32_t unit = 0;

	drop_spares(pool);
	zp_handles_trim(&pool->handles, &ignored);
	while (z3fold_records_trim(pool, &unit))
		continue;
}

/*
 * Tries pages until some are emptied.  After tries without success, a number of frees must happen before the next try.
 * Otherwise, in a program that works at its limit, almost every malloc would try all pages.
 */
static bool empty_some_pages(struct z3fold_pool *pool)
{
	struct run run = { .pool = pool, .budget = { .bytes = UINT64_MAX }, .at = { .room = Z3FOLD_PAGE_CHUNKS } };
	uint64_t frees, tried = 0;
	bool more = true;

	zp_lock(&pool->lock);
	frees = pool->frees;
	bool too_early = frees < pool->retry_at_frees;
	zp_unlock(&pool->lock);
	while (!too_early && more && run.at.unreleased_pages < ROOM_PAGES) {
		more = try_pages(&run);
		tried += STEP_PAGES;
	}
	zp_lock(&pool->lock);
	pool->released_bytes += run.at.unreleased_pages * ZP_PAGE_BYTES;
	if (!too_early && run.at.unreleased_pages == 0)
		pool->retry_at_frees = frees + tried / ROOM_TRIES_PER_FREE;
	zp_unlock(&pool->lock);
	return run.at.unreleased_pages > 0;
}

bool z3fold_make_room(struct z3fold_pool *pool)
{
	uint64_t before = zp_pages_held_bytes(&pool->pages);

	drop_cached(pool);
	return zp_pages_held_bytes(&pool->pages) < before || empty_some_pages(pool);
}

int z3fold_trim(void *pool_, uint64_t *released)
{
	struct z3fold_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;

	drop_cached(pool);
	zp_pages_trim(&pool->pages, &ignored);
	*released = released_since(pool, before);
	return 0;
}
