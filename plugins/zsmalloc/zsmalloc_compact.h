/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_compact.h - objects change place, so that pages become free
 */
#ifndef ZSMALLOC_COMPACT_H
#define ZSMALLOC_COMPACT_H

#include "budget.h"

struct zsmalloc_pool;
struct zsmalloc_class;

/* What one run of compaction may do, and what it leaves. */
struct zsmalloc_compact_policy {
	unsigned int window;       /* mask of tenths of fullness that count as equal */
	unsigned int spared_pages; /* may stay idle in a zspage */
	unsigned int idle_steps;   /* may move nothing; 0: any number */
	bool committed_only;       /* into slots that have memory, so that the pool does not grow meanwhile */
	bool stop_below_threshold; /* when the class wastes no more than automatic compaction leaves */
};

/* One run of compaction in one class. */
struct zsmalloc_run {
	struct zsmalloc_pool *pool;
	struct zsmalloc_class *class;
	const struct zsmalloc_compact_policy *policy;
	uint32_t id;
	unsigned int idle_steps;
	uint64_t moved_bytes;
	int64_t released_pages; /* less those that targets were given */
};

/*
 * Where a compaction by budgets stopped.  Of calls at the same time, which began at the same place, the one that got
 * further counts.  Zero: at the beginning.
 */
struct zsmalloc_round {
	uint64_t series;       /* compactions by budgets that came to their end before this one */
	uint64_t steps;        /* done in this one */
	uint32_t id;           /* of the marks of zspages that could not be emptied in this round */
	uint32_t classes_left; /* classes 0 to classes_left - 1, of which the last is current; 0: the round begins */
	uint32_t steps_left;   /* that the current class may still take; 0: it has not begun */
	bool at_tail;          /* only its last page is left to do */
	bool gained;           /* this round has won a page */
	bool at_trim;          /* the rounds are over */
	uint8_t rounds;
	uint32_t owed_pages; /* that were emptied, and lie in the reserve */
	struct zp_trim trim;
};

/* ---- zsmalloc_compact.c ---- */

/*
 * The object in a slot becomes the caller's, as zp_handles_begin_move() says.  0 and its handle slot; -EBUSY: it is
 * mapped, or being freed or moved, or its zspage's handle slots are damaged.
 */
int zsmalloc_object_isolate(struct zsmalloc_pool *pool, uint64_t location, uint32_t *handle_slot);

/* 0; -EBUSY: it cannot be moved now; -ENOMEM: its new place can get no memory. */
int zsmalloc_object_move(struct zsmalloc_pool *pool, uint64_t from, uint64_t to);

/*
 * One hold of the class's lock: moves until the run has moved `budget` bytes, but a step's worth at most.  true: there
 * is more to do in this class.
 */
bool zsmalloc_compact_step(struct zsmalloc_run *run, uint64_t budget);

uint32_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool);

/* ---- zsmalloc_auto.c: compaction inside free and malloc ---- */

/* Bytes with memory that no slot in use takes; what the tails and heads of zspages take included. */
uint64_t zsmalloc_class_waste(const struct zsmalloc_class *class);

/* Is there a page to win in the class, at least?  With its lock held. */
bool zsmalloc_wastes_a_page(const struct zsmalloc_class *class);

/* Does automatic compaction begin in the class?  With its lock held. */
bool zsmalloc_wants_compaction(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Does it end there? */
bool zsmalloc_is_below_threshold(const struct zsmalloc_class *class);

/*
 * Automatic compaction, without a lock, and a little at a time: after a free, of its class; after a malloc for which
 * the pool grew, of the next class that wants it.  Only one
 * thread at a time compacts this way.
 */
void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_compact_next(struct zsmalloc_pool *pool);

/* A malloc that found no memory.  What one try takes and the next gives back is no progress. */
struct zsmalloc_need {
	size_t bytes;
	uint64_t least_used_bytes; /* by all tries; UINT64_MAX to begin with */
	bool moved;                /* a try only moved objects */
};

/*
 * Gives back what the pool caches and, where automatic compaction is on, what a partial compaction frees, or else a
 * whole one.  true: another try is worth it.
 */
bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need);

/* ---- zsmalloc_settle.c: what a whole compaction does with packed classes ---- */

/*
 * The objects on the last page of a class go where a class a little larger has room with memory, page by page, as long
 * as a page is won.  With the class's lock held.  Returns the bytes moved; the object that reaches `budget` is the
 * last, and the next call continues behind it.  0: there is nothing to move.
 */
uint64_t zsmalloc_migrate_tail(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t budget);

/* Zspages with high record numbers, or nearly alone under a page table, move.  Without a lock. */
void zsmalloc_settle_zspages(struct zsmalloc_pool *pool);

/* ---- zsmalloc_round.c: compaction that is asked for ---- */

int zsmalloc_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);

#endif
