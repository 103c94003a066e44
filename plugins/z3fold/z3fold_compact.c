/* SPDX-License-Identifier: MIT
 *
 * z3fold_compact.c - emptying half-used pages into the room of others
 *
 * Pages are tried from the one with most room to the one with least: each whose objects all find room elsewhere, in
 * the tightest holes that take them, is given back.  A page whose objects do not keeps them all, so nothing is copied
 * in vain but a middle object that made way.  Each ring of pages with as much room is gone round once, by the number
 * of pages that it had when it was come to; so the end comes, whatever other threads do meanwhile.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <time.h>

#include "z3fold.h"

/* Under one hold of the lock: pages looked at, and bytes copied save for what the last page adds. */
enum { STEP_PAGES = 32, STEP_BYTES = 16 << 10 };

struct run {
	struct z3fold_pool *pool;
	unsigned int room; /* the ring that is being gone round, and how many of its pages are left */
	uint32_t left;
	uint64_t budget_bytes;
	uint64_t moved_bytes;
	uint64_t emptied_pages;
};

static bool budget_is_spent(const struct run *run)
{
	return run->moved_bytes >= run->budget_bytes;
}

/* The next page to try, with the lock held.  ZP_PGNO_NONE: all were tried. */
static uint32_t next_page(struct run *run)
{
	struct z3fold_pool *pool = run->pool;

	while (run->left == 0 || pool->room_pages[run->room] == 0) {
		if (run->room == 1)
			return ZP_PGNO_NONE;
		run->room--;
		run->left = pool->room_pages[run->room];
	}
	run->left--;
	return pool->by_room[run->room];
}

/* One hold of the lock.  true: there is more to try. */
static bool step(struct run *run)
{
	struct z3fold_pool *pool = run->pool;
	uint32_t emptied[STEP_PAGES];
	unsigned int count = 0;
	uint64_t until = run->moved_bytes + STEP_BYTES;
	bool more = true;

	zp_lock(&pool->lock);
	for (unsigned int i = 0; i < STEP_PAGES && run->moved_bytes < until && !budget_is_spent(run); i++) {
		uint64_t before = pool->moved_bytes;
		uint32_t pgno = next_page(run);

		more = pgno != ZP_PGNO_NONE;
		if (!more)
			break;
		if (z3fold_empty_page(pool, pgno))
			emptied[count++] = pgno;
		else /* It stands first in its ring again: the next one is to be. */
			pool->by_room[run->room] = z3fold_page_at(pool, pgno)->links[Z3FOLD_BY_ROOM].next;
		run->moved_bytes += pool->moved_bytes - before;
	}
	pool->released_bytes += count * ZP_PAGE_BYTES;
	zp_unlock(&pool->lock);
	for (unsigned int i = 0; i < count; i++)
		z3fold_page_put(pool, emptied[i]);
	run->emptied_pages += count;
	return more;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Gives back what the pool keeps beside its pages.  Returns how many bytes; those of the reserve are *of_pages. */
static uint64_t trim(struct z3fold_pool *pool, uint64_t *of_pages)
{
	uint64_t of_handles;
	uint32_t spare_slot, spare_pgno;

	zp_lock(&pool->lock);
	spare_slot = pool->spare_slot;
	spare_pgno = pool->spare_pgno;
	pool->spare_slot = ZP_SLOT_NONE;
	pool->spare_pgno = ZP_PGNO_NONE;
	zp_unlock(&pool->lock);
	if (spare_slot != ZP_SLOT_NONE)
		zp_handles_put(&pool->handles, &spare_slot, 1);
	if (spare_pgno != ZP_PGNO_NONE)
		zp_pages_put(&pool->pages, spare_pgno, 1);
	zp_handles_trim(&pool->handles, &of_handles);
	zp_pages_trim(&pool->pages, of_pages);
	return of_handles + z3fold_records_trim(pool);
}

int z3fold_compact(void *pool_, const struct zpool_budget *budget, uint64_t *released)
{
	struct z3fold_pool *pool = pool_;
	struct run run = { .pool = pool,
			   .room = Z3FOLD_PAGE_CHUNKS,
			   .budget_bytes = budget->bytes ? budget->bytes : UINT64_MAX };
	uint64_t deadline_ns = budget->ns ? now_ns() + budget->ns : 0;
	uint64_t beside = 0, of_pages;
	bool more = true, late = false;

	zp_lock(&pool->lock);
	pool->compactions++;
	zp_unlock(&pool->lock);
	while (more && !late && !budget_is_spent(&run)) {
		more = step(&run);
		late = deadline_ns && now_ns() >= deadline_ns;
	}
	/* What was emptied lies in the reserve as yet. */
	if (!more)
		beside = trim(pool, &of_pages);
	else
		zp_pages_trim(&pool->pages, &of_pages);
	if (beside) {
		zp_lock(&pool->lock);
		pool->released_bytes += beside;
		zp_unlock(&pool->lock);
	}
	*released = run.emptied_pages * ZP_PAGE_BYTES + beside;
	return more ? 1 : 0;
}

int z3fold_trim(void *pool, uint64_t *released)
{
	uint64_t of_pages, beside = trim(pool, &of_pages);

	*released = of_pages + beside;
	return 0;
}
