/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_tuning.h - the constants of zsmalloc that were chosen by measuring
 *
 * `zpoolctl bench --type zsmalloc` measures them again: workloads churn and long-churn for caches, borrowing and the
 * thresholds, drop and stall for compaction.
 */
#ifndef ZSMALLOC_TUNING_H
#define ZSMALLOC_TUNING_H

enum {
	/*
	 * A class keeps ZP_MAGAZINE_ITEMS slots in each thread's cache, or these and a share of its slots in use, if
	 * that is fewer.  Fewer cost time in classes of a few dozen objects, more cost memory in pools of many small
	 * classes.
	 */
	ZSMALLOC_CACHED_MIN = 1,
	ZSMALLOC_CACHED_SHARE = 32,
	ZSMALLOC_CACHED_FROM_SLOTS = 3, /* a class with fewer slots in use caches the pending slot alone */

	ZSMALLOC_FLUSH_SLOTS = 4,  /* the oldest of a full magazine that go back to their class at once */
	ZSMALLOC_REFILL_SLOTS = 3, /* taken beside the one that an empty magazine's malloc wants */

	/*
	 * A malloc whose class has no free slot with memory takes a hole of one of the next classes before it takes new
	 * memory.  Further classes waste more in the slot than a page is worth.
	 */
	ZSMALLOC_BORROW_CLASSES = 8,
	ZSMALLOC_BORROW_SHARE = 8, /* and slots that are larger by this share at most */
	ZSMALLOC_RING_LOOKS = 4,   /* zspages of one fullness that are looked at for a hole */

	/* A whole compaction looks further for a place for the objects of a class's last page, which wins that page. */
	ZSMALLOC_MIGRATE_CLASSES = 16,
	ZSMALLOC_MIGRATE_SHARE = 4,

	/*
	 * Automatic compaction of a class begins when the class wastes more than BEGIN_PAGES and a BEGIN_SHARE of what
	 * it holds, and the pool more than BEGIN_PAGES and a POOL_SHARE; it ends when the class wastes END_PAGES and an
	 * END_SHARE.  With 80,000 objects and 40 random replaces of each, pool shares of 20, 32, 40 and 48 left
	 * footprints of 1.076, 1.066, 1.060 and 1.059 with one thread, and 1.090, 1.075, 1.070 and 1.071 with two.
	 */
	ZSMALLOC_BEGIN_PAGES = 4,
	ZSMALLOC_BEGIN_SHARE = 12,
	ZSMALLOC_POOL_SHARE = 48,
	ZSMALLOC_END_PAGES = 4,
	ZSMALLOC_END_SHARE = 36,
	ZSMALLOC_CHECK_SHARE = 32,      /* a class asks for the pool's waste after this share of it was freed */
	ZSMALLOC_AUTO_BYTES = 64 << 10, /* moved by one such call */
	ZSMALLOC_NEED_BYTES = 64 << 10, /* moved by one try of a malloc at the limit */
	ZSMALLOC_AUTO_IDLE_STEPS = 4,   /* that move nothing, likewise */
	ZSMALLOC_AUTO_CLASSES = 16,     /* looked at by a malloc for which the pool grew */
	ZSMALLOC_IDLE_SHARE = 2,        /* idle pages of a zspage that are given back instead of moving its objects */
	ZSMALLOC_AUTO_SPARED_PAGES = 1, /* idle pages that a zspage keeps for its next objects */

	ZSMALLOC_STEP_BYTES = 32 << 10, /* moved under one hold of a class's lock: some 30 us */
	ZSMALLOC_SPARE_PAGES = 2        /* an empty zspage with no more memory than this stays with its class */
};

#endif
