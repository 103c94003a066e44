/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "budget.h"

#include <time.h>

enum { STAGE_BEGIN, STAGE_GROUPS, STAGE_RESERVE, STAGE_SEGMENTS };

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct zp_budget zp_budget_begin(const struct zpool_budget *from)
{
	struct zp_budget budget = { .bytes = from->bytes ? from->bytes : UINT64_MAX, .given = from->bytes || from->ns };

	if (from->ns) {
		uint64_t now = now_ns();

		budget.deadline_ns = from->ns < UINT64_MAX - now ? now + from->ns : UINT64_MAX;
	}
	return budget;
}

bool zp_budget_is_late(const struct zp_budget *budget)
{
	return budget->deadline_ns && now_ns() >= budget->deadline_ns;
}

bool zp_trim_step(struct zp_trim *trim, struct zp_handles *handles, struct zp_pages *pages)
{
	uint32_t gone;

	switch (trim->stage) {
	case STAGE_BEGIN:
		trim->left = zp_handles_idle_groups(handles);
		trim->stage = STAGE_GROUPS;
		__attribute__((fallthrough));
	case STAGE_GROUPS:
		gone = zp_handles_trim_some(handles);
		trim->left -= gone < trim->left ? gone : trim->left;
		if (gone && trim->left)
			return true;
		trim->left = zp_pages_reserved(pages);
		trim->stage = STAGE_RESERVE;
		return true;
	case STAGE_RESERVE:
		gone = zp_pages_trim_some(pages);
		trim->left -= gone < trim->left ? gone : trim->left;
		if (gone && trim->left)
			return true;
		trim->stage = STAGE_SEGMENTS;
		return true;
	default:
		return zp_pages_trim_segments(pages, &trim->segment);
	}
}
