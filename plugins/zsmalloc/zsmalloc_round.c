/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_round.c - compaction on request, of the whole pool or with a budget
 *
 * A round visits all classes, the largest first.  In each class it releases what is cached, moves objects together
 * (zsmalloc_compact.c) and migrates the last page (zsmalloc_settle.c).  After the last round, the memory that grew with
 * the pool besides its zspages is released: caches of threads that have ended, records, groups of the handle table,
 * page tables.
 *
 * With a budget, a call works in steps.  A step moves a few objects or releases some memory.  The pool remembers where
 * a call stopped and which zspages could not be emptied, and the next call continues there.  The number of steps in a
 * class is limited by what the class held when the round reached it, so a round ends even if other threads keep
 * allocating and freeing.
 *
 * A round that released a page is followed by another round, because it may have made further moves possible.
 */
#include <config.h>

#include "zsmalloc.h"

static const struct zsmalloc_compact_policy whole_policy = { .window = 7 };

/* One call of zsmalloc_compact(). */
struct compact_call {
	struct zsmalloc_run run;
	struct zp_budget budget;
	struct zsmalloc_round at;
};

/*
 * Moves objects of the current class or, when these are packed, of its last page.  Returns true if there is more to do
 * in the class.  Called with the lock held.
 */
static bool class_step(struct compact_call *call)
{
	struct zsmalloc_run *run = &call->run;
	struct zsmalloc_class *class = run->class;
	uint64_t left = call->budget.bytes - run->moved_bytes;

	if (call->at.steps_left == 0) {
		/* Later rounds skip the classes in which no page can be won. */
		if (call->at.rounds && !zsmalloc_wastes_a_page(class))
			return false;
		/* An object may move twice, and a zspage may cost a step without a move. */
		call->at.steps_left = 2 * ((uint64_t) class->used_slots + class->zspages) + 2;
		zsmalloc_class_begin_draining(run->pool, class);
		run->released_pages += (int64_t)zsmalloc_class_drop_cached(run->pool, class);
		if (class->zspages == 0)
			return false;
	}
	call->at.steps_left--;
	if (!call->at.at_tail) {
		call->at.at_tail = !zsmalloc_compact_step(run, call->budget.bytes);
		return call->at.steps_left > 0;
	}
	uint64_t pages = class->committed_pages;
	uint64_t moved =
		zsmalloc_migrate_tail(run->pool, class, left < ZSMALLOC_STEP_BYTES ? left : ZSMALLOC_STEP_BYTES);
	run->moved_bytes += moved;
	run->released_pages += (int64_t)(pages - class->committed_pages);
	return moved && call->at.steps_left > 0;
}

static void compact_current_class(struct compact_call *call)
{
	struct zsmalloc_run *run = &call->run;
	int64_t before = run->released_pages;

	run->class = &run->pool->classes[call->at.classes_left - 1];
	run->id = call->at.id;
	bool more = zsmalloc_class_is_used(run->class);
	if (more) {
		zp_lock(&run->class->lock);
		more = class_step(call);
		if (!more)
			zsmalloc_class_end_draining(run->pool, run->class);
		zsmalloc_class_unlock(run->pool, run->class);
	}
	if (run->released_pages > before) {
		call->at.gained = true;
		call->at.owed_pages += (uint32_t)(run->released_pages - before);
	}
	if (more)
		return;
	call->at.steps_left = 0;
	call->at.at_tail = false;
	if (--call->at.classes_left > 0)
		return;
	call->at.rounds++;
	call->at.at_trim = !call->at.gained || call->at.rounds == ZP_BUDGET_ROUNDS_MAX;
}

/* Shrinks caches and records.  Without a budget, it first moves zspages, which may take long. */
static void settle(struct compact_call *call)
{
	struct zsmalloc_pool *pool = call->run.pool;

	zp_caches_trim(&pool->caches);
	zsmalloc_records_trim(pool);
	if (call->budget.given)
		return;
	zsmalloc_settle_zspages(pool);
	zsmalloc_records_trim(pool);
}

/* Does one step.  Returns false if it was the last one. */
static bool compact_step(struct compact_call *call)
{
	struct zsmalloc_pool *pool = call->run.pool;

	call->at.steps++;
	/*
	 * A call with a deadline releases emptied pages before it moves more, so that it has released them when it
	 * stops.  Other calls release them at their end, in longer runs.
	 */
	if (call->budget.deadline_ns && call->at.owed_pages) {
		uint32_t gone = zp_pages_trim_some(&pool->pages);

		call->at.owed_pages -= gone && gone < call->at.owed_pages ? gone : call->at.owed_pages;
		return true;
	}
	if (call->at.at_trim)
		return zp_trim_step(&call->at.trim, &pool->handles, &pool->pages);
	if (call->at.classes_left == 0) {
		call->at.id = zsmalloc_next_compaction_id(pool);
		call->at.classes_left = pool->class_count;
		call->at.gained = false;
	}
	compact_current_class(call);
	if (call->at.at_trim)
		settle(call);
	return true;
}

static struct compact_call call_begin(struct zsmalloc_pool *pool, const struct zpool_budget *budget)
{
	struct compact_call call = { .run = { .pool = pool, .policy = &whole_policy },
				     .budget = zp_budget_begin(budget) };

	if (call.budget.given) {
		zp_lock(&pool->records.lock);
		call.at = pool->round;
		zp_unlock(&pool->records.lock);
	}
	return call;
}

static void call_end(struct compact_call *call, bool more, uint64_t released)
{
	struct zsmalloc_pool *pool = call->run.pool;

	atomic_fetch_add_explicit(&pool->compactions, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->moved_bytes, call->run.moved_bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&pool->released_bytes, released, memory_order_relaxed);
	if (!call->budget.given)
		return;
	if (more && call->run.class) {
		zp_lock(&call->run.class->lock);
		zsmalloc_class_end_draining(pool, call->run.class);
		zp_unlock(&call->run.class->lock);
	}
	zp_lock(&pool->records.lock);
	if (call->at.series == pool->round.series && call->at.steps > pool->round.steps)
		pool->round = more ? call->at : (struct zsmalloc_round){ .series = call->at.series + 1 };
	zp_unlock(&pool->records.lock);
}

int zsmalloc_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct zsmalloc_pool *pool = pool_;
	uint64_t before = zp_pages_held_bytes(&pool->pages), ignored;
	struct compact_call call = call_begin(pool, budget);
	bool more;

	zp_caches_hold(&pool->caches);
	zp_pages_defer_release(&pool->pages, true);
	do
		more = compact_step(&call);
	while (more && call.run.moved_bytes < call.budget.bytes && !zp_budget_is_late(&call.budget));
	zp_pages_defer_release(&pool->pages, false);
	zp_caches_release(&pool->caches);
	if (!call.budget.deadline_ns) {
		zp_pages_trim(&pool->pages, &ignored);
		call.at.owed_pages = 0;
	}
	uint64_t after = zp_pages_held_bytes(&pool->pages);
	*released = before > after ? before - after : 0;
	call_end(&call, more, *released);
	zsmalloc_report_damage(pool);
	return more ? 1 : 0;
}
