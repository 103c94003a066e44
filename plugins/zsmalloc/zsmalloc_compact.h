/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_compact.h - compaction: moving objects together, so that pages become free
 */
#ifndef ZSMALLOC_COMPACT_H
#define ZSMALLOC_COMPACT_H

#include "budget.h"

struct zsmalloc_pool;
struct zsmalloc_class;

/* What a run of compaction may do, and when it stops. */
struct zsmalloc_compact_policy {
	unsigned int window;       /* mask of tenths of fullness that count as equally full */
	unsigned int spared_pages; /* idle pages that a zspage keeps */
	unsigned int idle_steps;   /* steps that move nothing before the run stops; 0: any number */
	bool committed_only;       /* move only into slots that have memory, so that the pool does not grow */
	bool stop_below_threshold; /* stop when the class wastes no more than automatic compaction leaves */
};

/* One run of compaction in one class. */
struct zsmalloc_run {
	struct zsmalloc_pool *pool;
	struct zsmalloc_class *class;
	const struct zsmalloc_compact_policy *policy;
	uint64_t id;
	unsigned int idle_steps; /* steps so far that moved nothing */
	bool met_pinned;         /* a zspage has objects that could not be moved */
	bool tried_all;          /* no zspage is left that the run has not tried */
	uint64_t moved_bytes;
	int64_t released_pages; /* minus the pages that were committed for moved objects */
};

/*
 * Where a compaction with a budget stopped.  Calls that run at the same time start from the same state; the one that
 * got furthest stores its own.  All members are zero at the beginning.
 */
struct zsmalloc_round {
	uint64_t series;       /* compactions with a budget that were completed before this one */
	uint64_t steps;        /* done in this one */
	uint64_t id;           /* marks the zspages that could not be emptied in this round */
	uint64_t steps_left;   /* that the current class may still take; 0: the class has not begun */
	uint32_t classes_left; /* classes 0 to classes_left - 1, of which the last is current; 0: a round begins */
	bool at_tail;          /* the current class is packed, and only its last page is left */
	bool gained;           /* this round has released a page */
	bool at_trim;          /* all rounds are done */
	uint8_t rounds;
	uint32_t owed_pages; /* pages that were emptied and are in the reserve, not yet released */
	struct zp_trim trim;
};

/* ---- zsmalloc_compact.c: with the locks of the classes held ---- */

/*
 * Isolates the object at a location, so that only the caller may move it (see zp_handles_begin_move()).  Returns 0 with
 * its handle slot, or -EBUSY if the object is mapped, being freed or moved, or its back pointer is damaged.
 */
int zsmalloc_object_isolate(struct zsmalloc_pool *pool, uint64_t location, uint32_t *handle_slot);

/*
 * Logs that a back pointer was damaged, if one was found since the last call.  Called without a lock, because a log
 * handler may use the pool.  free, map, unmap and NOWAIT mallocs do not call it: a filter may hold a lock of its own
 * during these.  What they find is logged by a later call.
 */
void zsmalloc_report_damage(struct zsmalloc_pool *pool);

/*
 * Moves an object to a free slot.  Returns 0, -EBUSY if it cannot be moved now, or -ENOMEM if its new slot can get no
 * memory.
 */
int zsmalloc_object_move(struct zsmalloc_pool *pool, uint64_t from, uint64_t to);

/*
 * Moves objects of the run's class until the run has moved `budget` bytes, but no more than ZSMALLOC_STEP_BYTES.
 * Returns true if there is more to do in this class.
 */
bool zsmalloc_compact_step(struct zsmalloc_run *run, uint64_t budget);

uint64_t zsmalloc_next_compaction_id(struct zsmalloc_pool *pool);

/* ---- zsmalloc_auto.c: compaction inside free and malloc ---- */

/*
 * Returns the bytes with memory that no used slot takes.  Back pointers do not count, because compaction cannot win
 * them; what is left over at the end of each zspage does, because it is little.
 */
uint64_t zsmalloc_class_waste(const struct zsmalloc_class *class);

/* Returns true if compaction of the class would release at least a page.  Called with its lock held. */
bool zsmalloc_wastes_a_page(const struct zsmalloc_class *class);

/*
 * Returns true if automatic compaction should begin or continue in the class.  Ends it if the class has reached the
 * threshold, or automatic compaction was disabled meanwhile.  Called with the class's lock held.
 */
bool zsmalloc_wants_compaction(struct zsmalloc_pool *pool, struct zsmalloc_class *class);

/* Returns true if the class wastes so little that automatic compaction ends. */
bool zsmalloc_is_below_threshold(const struct zsmalloc_class *class);

/*
 * Does some automatic compaction: compact_some in a class in which an object was freed, compact_next in the next class
 * that wastes too much, after a malloc for which the pool grew.  Called without a lock.  Only one thread at a time
 * compacts this way; others return at once.
 */
void zsmalloc_compact_some(struct zsmalloc_pool *pool, struct zsmalloc_class *class);
void zsmalloc_compact_next(struct zsmalloc_pool *pool);

/*
 * The state of a malloc that found no memory.  It keeps the least use of memory over all tries, because memory that one
 * try takes and the next one releases is no progress.
 */
struct zsmalloc_need {
	size_t bytes;
	uint64_t least_used_bytes; /* UINT64_MAX at the beginning */
	bool moved;                /* a try has only moved objects */
};

/*
 * Releases what the pool caches and, if automatic compaction is enabled, what a partial or a whole compaction wins.
 * Returns true if the malloc should try again.
 */
bool zsmalloc_make_room(struct zsmalloc_pool *pool, struct zsmalloc_need *need);

/* ---- zsmalloc_settle.c: what a whole compaction does with packed classes ---- */

/*
 * Moves the objects on the last page of a class to a slightly larger class that has free slots with memory, page by
 * page, as long as a page is won.  Called with the class's lock held.  The object that reaches `budget` bytes is the
 * last one, and the next call continues behind it.  Returns the bytes moved, 0 if nothing can be moved.
 */
uint64_t zsmalloc_migrate_tail(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint64_t budget);

/* Moves zspages that have high record numbers or are nearly alone under a page table.  Called without a lock. */
void zsmalloc_settle_zspages(struct zsmalloc_pool *pool);

/* ---- zsmalloc_round.c: compaction on request ---- */

int zsmalloc_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);

#endif
