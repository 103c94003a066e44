/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_round.c - compaction that is asked for, at once or by budgets
 *
 * A round goes through all classes, from the largest.  In each it drops what is kept for the next objects, moves
 * objects together (zsmalloc_compact.c) and settles the last page (zsmalloc_settle.c).  In the end comes what grew with
 * the pool beside its zspages: caches of threads that have ended, records, groups of the handle table, page tables.
 *
 * With a budget a call works in steps: a few objects moved, or some memory given back.  The pool remembers where the
 * last call stopped, with the marks of what could not be emptied, and the next one continues there.  A class gets a
 * number of steps that suffices for what it had when the round came to it, so that the end comes although other threads
 * store and free.
 *
 * After a round that won a page another one begins.
 */
#include <config.h>

#include "zsmalloc.h"

static const struct zsmalloc_compact_policy whole_policy = { .window = 7 };

struct work {
	struct zsmalloc_run run;
	struct zp_budget budget;
	struct zsmalloc_round at;
};

static bool bytes_are_spent(const struct work *work)
{
	return work->run.moved_bytes >= work->budget.bytes;
}

static void begin_round(struct work *work)
{
	work->at.id = zsmalloc_next_compaction_id(work->run.pool);
	work->at.classes_left = work->run.pool->class_count;
	work->at.steps_left = 0;
	work->at.at_tail = false;
	work->at.gained = false;
}

static void end_round(struct work *work)
{
	work->at.rounds++;
	work->at.at_trim = !work->at.gained || work->at.rounds == ZP_BUDGET_ROUNDS_MAX;
}

/* Objects may move twice, and a zspage may be tried without a move. */
static uint32_t steps_for(const struct zsmalloc_class *class)
{
	return 2 * (class->used_slots + class->zspages) + 2;
}

/* Moves objects of the current class, or its last page.  true: there is more to do.  With the lock held. */
static bool class_step(struct work *work)
{
	struct zsmalloc_run *run = &work->run;
	struct zsmalloc_class *class = run->class;
	uint64_t left = work->budget.bytes - run->moved_bytes, pages, moved;

	/* Later rounds pass over the classes in which nothing can be won. */
	if (work->at.steps_left == 0 && work->at.rounds && !zsmalloc_wastes_a_page(class))
		return false;
	if (work->at.steps_left == 0) {
		work->at.steps_left = steps_for(class);
		zsmalloc_class_begin_draining(run->pool, class);
		run->released_pages += (int64_t)zsmalloc_class_drop_cached(run->pool, class);
		if (class->zspages == 0)
			return false;
	}
	work->at.steps_left--;
	if (!work->at.at_tail) {
		work->at.at_tail = !zsmalloc_compact_step(run, work->budget.bytes);
		return work->at.steps_left > 0;
	}
	pages = class->committed_pages;
	moved = zsmalloc_migrate_tail(run->pool, class, left < ZSMALLOC_STEP_BYTES ? left : ZSMALLOC_STEP_BYTES);
	run->moved_bytes += moved;
	run->released_pages += (int64_t)(pages - class->committed_pages);
	return moved && work->at.steps_left > 0;
}

static void compact_class(struct work *work)
{
	struct zsmalloc_run *run = &work->run;
	int64_t before = run->released_pages;

	run->class = &run->pool->classes[work->at.classes_left - 1];
	run->id = work->at.id;
	bool more = zsmalloc_class_is_used(run->class);
	if (more) {
		zp_lock(&run->class->lock);
		more = class_step(work);
		if (!more)
			zsmalloc_class_end_draining(run->pool, run->class);
		zsmalloc_class_unlock(run->pool, run->class);
	}
	if (run->released_pages > before) {
		work->at.gained = true;
		work->at.owed_pages += (uint32_t)(run->released_pages - before);
	}
	if (more)
		return;
	work->at.steps_left = 0;
	work->at.at_tail = false;
	work->at.classes_left--;
	if (work->at.classes_left == 0)
		end_round(work);
}

/* Shrinks what grew with the pool beside its zspages and the handle table. */
static void settle(struct work *work)
{
	struct zsmalloc_pool *pool = work->run.pool;

	zp_caches_trim(&pool->caches);
	zsmalloc_records_trim(pool);
	if (work->budget.given)
		return;
	zsmalloc_settle_zspages(pool);
	zsmalloc_records_trim(pool);
}

/* One step of the work.  false: all is done. */
static bool step(struct work *work)
{
	struct zsmalloc_pool *pool = work->run.pool;

	work->at.steps++;
	/* Where time counts, what was emptied goes before more is moved; else it can wait for its neighbours. */
	if (work->budget.deadline_ns && work->at.owed_pages) {
		uint32_t gone = zp_pages_trim_some(&pool->pages);

		work->at.owed_pages -= gone && gone < work->at.owed_pages ? gone : work->at.owed_pages;
		return true;
	}
	if (work->at.at_trim)
		return zp_trim_step(&work->at.trim, &pool->handles, &pool->pages);
	if (work->at.classes_left == 0)
		begin_round(work);
	compact_class(work);
	if (work->at.at_trim)
		settle(work);
	return true;
}

static struct work work_begin(struct zsmalloc_pool *pool, const struct zpool_budget *budget)
{
	struct work work = { .run = { .pool = pool, .policy = &whole_policy }, .budget = zp_budget_begin(budget) };

	if (!work.budget.given)
		return work;
	zp_lock(&pool->records.lock);
	work.at = pool->round;
	zp_unlock(&pool->records.lock);
	return work;
}

static void work_end(struct work *work, bool more, uint64_t released)
{
	struct zsmalloc_pool *pool = work->run.pool;

	atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->moved_bytes, work->run.moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->released_bytes, released, memory_order_relaxed);
	if (!work->budget.given)
		return;
	if (more && work->run.class) {
		zp_lock(&work->run.class->lock);
		zsmalloc_class_end_draining(pool, work->run.class);
		zp_unlock(&work->run.class->lock);
	}
	zp_lock(&pool->records.lock);
	if (work->at.series == pool->round.series && work->at.steps > pool->round.steps)
		pool->round = more ? work->at : (struct zsmalloc_round){ .series = work->at.series + 1 };
	zp_unlock(&pool->records.lock);
}

int zsmalloc_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), after, of_pages;
	struct work work = work_begin(pool, budget);
	bool more;

	zp_caches_hold(&pool->caches);
	zp_pages_defer_release(&pool->pages, true);
	do
		more = step(&work);
	while (more && !bytes_are_spent(&work) && !zp_budget_is_late(&work.budget));
	zp_pages_defer_release(&pool->pages, false);
	zp_caches_release(&pool->caches);
	if (!work.budget.deadline_ns) {
		zp_pages_trim(&pool->pages, &of_pages);
		work.at.owed_pages = 0;
	}
	after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	work_end(&work, more, *released);
	return more ? 1 : 0;
}
