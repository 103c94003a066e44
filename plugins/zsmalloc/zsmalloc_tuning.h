/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_tuning.h - constants of zsmalloc that were chosen by measurement
 *
 * `zpoolctl bench --type zsmalloc` measures their effect: the workloads churn and long-churn that of caches, borrowing
 * and thresholds; drop and stall that of compaction.
 */
#ifndef ZSMALLOC_TUNING_H
#define ZSMALLOC_TUNING_H

enum {
	/*
	 * A thread caches ZP_MAGAZINE_ITEMS slots of a class, or CACHED_MIN and a share of the class's used slots if
	 * that is less.  With fewer cached slots, classes of a few dozen objects are slower; with more, pools of many
	 * small classes need more memory.
	 */
	ZSMALLOC_CACHED_MIN = 1,
	ZSMALLOC_CACHED_SHARE = 32,
	ZSMALLOC_CACHED_FROM_SLOTS = 3, /* of a class with fewer used slots, only the pending slot is cached */

	ZSMALLOC_FLUSH_SLOTS = 4,  /* the oldest slots of a full magazine, which go back to the class together */
	ZSMALLOC_REFILL_SLOTS = 3, /* slots that a malloc puts into an empty magazine, besides the one it takes */

	/*
	 * Before a malloc commits memory, it takes a hole of one of the next classes.  Slots of classes further away
	 * would waste more than the page is worth.
	 */
	ZSMALLOC_BORROW_CLASSES = 8,
	ZSMALLOC_BORROW_SHARE = 8, /* such a slot is larger by at most this share */
	ZSMALLOC_RING_LOOKS = 4,   /* zspages of a group that are searched for a hole */

	/* A whole compaction searches more classes for slots for the objects of a last page, because it wins a page. */
	ZSMALLOC_MIGRATE_CLASSES = 16,
	ZSMALLOC_MIGRATE_SHARE = 4,

	/*
	 * Automatic compaction of a class begins when the class wastes more than BEGIN_PAGES and BEGIN_SHARE of its
	 * pages together, and the pool more than BEGIN_PAGES and POOL_SHARE.  It ends when the class wastes no more
	 * than END_PAGES and END_SHARE.  With 80,000 objects and 40 random replacements of each, pool shares of 20, 32,
	 * 40 and 48 left footprints of 1.076, 1.066, 1.060 and 1.059 with one thread, and 1.090, 1.075, 1.070 and 1.071
	 * with two.
	 */
	ZSMALLOC_BEGIN_PAGES = 4,
	ZSMALLOC_BEGIN_SHARE = 12,
	ZSMALLOC_POOL_SHARE = 48,
	ZSMALLOC_END_PAGES = 4,
	ZSMALLOC_END_SHARE = 36,
	ZSMALLOC_CHECK_SHARE = 32,      /* the pool's waste is computed again after frees of this share of the class */
	ZSMALLOC_AUTO_BYTES = 64 << 10, /* moved by one call of free or malloc */
	ZSMALLOC_NEED_BYTES = 64 << 10, /* moved by one try of a malloc at the limit */
	ZSMALLOC_AUTO_IDLE_STEPS = 4,   /* steps without a move after which such a call stops */
	ZSMALLOC_AUTO_CLASSES = 16,     /* classes that a malloc examines when the pool has grown */
	ZSMALLOC_IDLE_SHARE = 2,        /* a zspage with this share of idle pages releases them and keeps its objects */
	ZSMALLOC_AUTO_SPARED_PAGES = 1, /* idle pages that a zspage keeps for its next objects */

	ZSMALLOC_STEP_BYTES = 32 << 10, /* moved while a class's lock is held, in some 30 us */
	ZSMALLOC_SPARE_PAGES = 2        /* a class keeps an empty zspage that has no more pages with memory */
};

#endif
