/* SPDX-License-Identifier: MIT
 *
 * cases.c - all cases, in the order in which they run: what others build upon first, the longest last
 */
#include "cases.h"

const struct ct_group ct_groups[] = {
	{ "loading", ct_cases_load },
	{ "pools", ct_cases_pools },
	{ "objects", ct_cases_objects },
	{ "copies", ct_cases_copies },
	{ "maps", ct_cases_maps },
	{ "handles", ct_cases_handles },
	{ "bad input", ct_cases_badinput },
	{ "limits", ct_cases_limits },
	{ "memory", ct_cases_memory },
	{ "page sources", ct_cases_sources },
	{ "what stays behind", ct_cases_leftovers },
	{ "walks", ct_cases_walk },
	{ "extras", ct_cases_extras },
	{ "statistics", ct_cases_stats },
	{ "parameters", ct_cases_params },
	{ "values of parameters", ct_cases_params_store },
	{ "no waiting", ct_cases_nowait },
	{ "shrinking", ct_cases_shrink },
	{ "order of eviction", ct_cases_shrink_order },
	{ "evict callbacks", ct_cases_evict },
	{ "eviction among threads", ct_cases_evict_threads },
	{ "compaction", ct_cases_compact },
	{ "compaction by budgets", ct_cases_budget },
	{ "later cores", ct_cases_future },
	{ "scale", ct_cases_scale },
	{ "what is kept", ct_cases_room },
	{ "threads", ct_cases_threads },
	{ "pairs of calls", ct_cases_pairs },
	{ "calls stopped midway", ct_cases_meetings },
	{ "fork", ct_cases_fork },
	{ "model", ct_cases_model },
	{ NULL, NULL },
};
