/* SPDX-License-Identifier: MIT
 *
 * budget.h - the budget of one call of a driver's compact callback, and the trim at its end in small steps
 *
 * Compaction with a budget works in steps of bounded size, and checks the clock between them.  So a call exceeds its
 * time by at most one step, and does at least one step.
 */
#ifndef ZP_SUPPORT_BUDGET_H
#define ZP_SUPPORT_BUDGET_H

#include "handles.h"

/*
 * Compaction with budgets makes rounds through the pool until one round gains nothing.  If other threads keep making
 * new holes, every round gains something; so it stops after this many rounds.
 */
enum { ZP_BUDGET_ROUNDS_MAX = 4 };

struct zp_budget {
	uint64_t bytes;       /* UINT64_MAX: no limit */
	uint64_t deadline_ns; /* 0: no limit */
	bool given;           /* at least one of the two is limited */
};

struct zp_budget zp_budget_begin(const struct zpool_budget *from);

/* Returns true if the time is used up. */
bool zp_budget_is_late(const struct zp_budget *budget);

/*
 * A trim in steps: idle groups of the handle table, the reserve of pages, then page tables and chunks without a page in
 * use.  Each step makes at most a few calls of the page source.  The structure is zero at the start.  What becomes idle
 * after the trim has begun may be left, so that the trim ends whatever other threads do.
 */
struct zp_trim {
	uint8_t stage;
	uint32_t left;    /* groups, or pages of the reserve, that this stage may still release */
	uint32_t segment; /* the segment to check next */
};

/* Returns false if this was the last step. */
bool zp_trim_step(struct zp_trim *trim, struct zp_handles *handles, struct zp_pages *pages);

#endif
