/* SPDX-License-Identifier: MIT
 *
 * budget.h - how long one call of a driver's compact may work, and the trim at its end in small pieces
 *
 * A compaction with a budget works in steps, each of bounded size, and looks at the clock between them.  So a call
 * exceeds its time by one step at most, and makes one step at least.
 */
#ifndef ZP_SUPPORT_BUDGET_H
#define ZP_SUPPORT_BUDGET_H

#include "handles.h"

/*
 * A compaction by budgets goes round the pool until a round gains nothing.  Where other threads make new holes all the
 * time, each round gains something; it ends after so many.
 */
enum { ZP_BUDGET_ROUNDS_MAX = 4 };

struct zp_budget {
	uint64_t bytes;       /* UINT64_MAX: no bound */
	uint64_t deadline_ns; /* 0: no bound */
	bool given;           /* one of the two has a bound */
};

struct zp_budget zp_budget_begin(const struct zpool_budget *from);

/* Has the time run out? */
bool zp_budget_is_late(const struct zp_budget *budget);

/*
 * A trim in steps: idle groups of the handle table, the reserve of pages, page tables and chunks without a page in use.
 * Each step makes a few calls of the page source at most.  Zero to begin with.  What becomes idle after the trim began
 * may stay, so the end comes whatever other threads do.
 */
struct zp_trim {
	uint8_t stage;
	uint32_t left;    /* groups, or pages of the reserve, that this stage may still give back */
	uint32_t segment; /* that is looked at next */
};

/* false: that was the last step. */
bool zp_trim_step(struct zp_trim *trim, struct zp_handles *handles, struct zp_pages *pages);

#endif
