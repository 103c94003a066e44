/* SPDX-License-Identifier: MIT
 *
 * z3fold_compact.c - emptying half-used pages into the room of others
 *
 * Pages are tried from the one with most room to the one with least: each whose objects all find room elsewhere, in
 * the tightest holes that take them, is given back.  A page whose objects do not keeps them all, so nothing is copied
 * in vain but a middle object that made way.  Each ring of pages with as much room is gone round once, by the number
 * of pages that it had when it was come to; so the end comes, whatever other threads do meanwhile.
 *
 * With a budget a call works in steps: some pages tried, or some memory given back.  The pool remembers where the last
 * call stopped, and the next one continues there.  A page that could not be emptied stands last in its ring then, so
 * that objects which stay mapped do not keep the calls from what lies behind them.  After a round that emptied a page
 * another one begins.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "z3fold.h"

/* Under one hold of the lock: pages looked at, and bytes copied save for what the last page adds. */
enum { STEP_PAGES = 32, STEP_BYTES = 16 << 10 };

/* What a malloc at the limit is content with, and how many pages it may try in vain for each free. */
enum { ROOM_PAGES = 16, ROOM_TRIED_A_FREE = 32 };

struct run {
	struct z3fold_pool *pool;
	struct zp_budget budget;
	struct z3fold_round at;
	uint64_t moved_bytes;
};

static bool bytes_are_spent(const struct run *run)
{
	return run->moved_bytes >= run->budget.bytes;
}

/* The next page to try, with the lock held.  ZP_PGNO_NONE: all were tried. */
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

/* One hold of the lock.  true: there is more to try. */
static bool try_pages(struct run *run)
{
	struct z3fold_pool *pool = run->pool;
	uint32_t emptied[STEP_PAGES];
	unsigned int count = 0;
	uint64_t until = run->moved_bytes + STEP_BYTES;
	bool more = true;

	zp_lock(&pool->lock);
	for (unsigned int i = 0; i < STEP_PAGES && run->moved_bytes < until && !bytes_are_spent(run); i++) {
		uint64_t before = pool->moved_bytes;
		uint32_t pgno = next_page(run);

		more = pgno != ZP_PGNO_NONE;
		if (!more)
			break;
		if (z3fold_empty_page(pool, pgno))
			emptied[count++] = pgno;
		else /* It stands first in its ring again: the next one is to be. */
			pool->by_room[run->at.room] = z3fold_page_at(pool, pgno)->links[Z3FOLD_BY_ROOM].next;
		run->moved_bytes += pool->moved_bytes - before;
	}
	zp_unlock(&pool->lock);
	for (unsigned int i = 0; i < count; i++)
		z3fold_page_put(pool, emptied[i]);
	run->at.owed_pages += count;
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
	uint32_t spare_slot, spare_pgno;

	zp_lock(&pool->lock);
	spare_slot = pool->spare_slot;
	spare_pgno = pool->spare_pgno;
	pool->spare_slot = ZP_SLOT_NONE;
	pool->spare_pgno = ZP_PGNO_NONE;
	zp_unlock(&pool->lock);
	if (spare_slot != ZP_SLOT_NONE)
		zp_handles_unbind(&pool->handles, &spare_slot, 1);
	if (spare_pgno != ZP_PGNO_NONE)
		zp_pages_put(&pool->pages, spare_pgno, 1);
}

/* One step of the work.  false: all is done. */
static bool step(struct run *run)
{
	struct z3fold_pool *pool = run->pool;

	run->at.steps++;
	/* Where time counts, what was emptied goes before more is moved; else it can wait for its neighbours. */
	if (run->budget.deadline_ns && run->at.owed_pages) {
		uint32_t gone = zp_pages_trim_some(&pool->pages);

		run->at.owed_pages -= gone && gone < run->at.owed_pages ? gone : run->at.owed_pages;
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
		more = step(&run);
	while (more && !bytes_are_spent(&run) && !zp_budget_is_late(&run.budget));
	zp_pages_defer_release(&pool->pages, false);
	if (!run.budget.deadline_ns) {
		zp_pages_trim(&pool->pages, &of_pages);
		run.at.owed_pages = 0;
	}
	*released = released_since(pool, before);
	run_end(&run, more, *released);
	return more ? 1 : 0;
}

/* Gives back what the pool keeps beside its pages. */
static void drop_kept(struct z3fold_pool *pool)
{
	uint64_t ignored;
	uint32_t unit = 0;

	drop_spares(pool);
	zp_handles_trim(&pool->handles, &ignored);
	while (z3fold_records_trim(pool, &unit))
		continue;
}

/*
 * Tries pages until some are emptied.  Where all were tried in vain, frees have to pay for the next time: a program
 * that stores at its limit fails, evicts and stores again all the time.
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
	while (!too_early && more && run.at.owed_pages < ROOM_PAGES) {
		more = try_pages(&run);
		tried += STEP_PAGES;
	}
	zp_lock(&pool->lock);
	pool->released_bytes += run.at.owed_pages * ZP_PAGE_BYTES;
	if (!too_early && run.at.owed_pages == 0)
		pool->retry_at_frees = frees + tried / ROOM_TRIED_A_FREE;
	zp_unlock(&pool->lock);
	return run.at.owed_pages > 0;
}

bool z3fold_make_room(struct z3fold_pool *pool)
{
	uint64_t before = zp_pages_held_bytes(&pool->pages);

	drop_kept(pool);
	return zp_pages_held_bytes(&pool->pages) < before || empty_some_pages(pool);
}

int z3fold_trim(void *pool_, uint64_t *released)
{
	struct z3fold_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;

	drop_kept(pool);
	zp_pages_trim(&pool->pages, &ignored);
	*released = released_since(pool, before);
	return 0;
}
