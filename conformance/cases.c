/* SPDX-License-Identifier: MIT
 *
 * cases.c - all cases in the order in which they run: basic ones first, the longest last
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
	{ "leaks", ct_cases_leftovers },
	{ "walks", ct_cases_walk },
	{ "extras", ct_cases_extras },
	{ "statistics", ct_cases_stats },
	{ "statistics with several threads", ct_cases_stats_threads },
	{ "parameters", ct_cases_params },
	{ "parameter values", ct_cases_params_store },
	{ "allocation without waiting", ct_cases_nowait },
	{ "shrinking", ct_cases_shrink },
	{ "order of eviction", ct_cases_shrink_order },
	{ "evict callbacks", ct_cases_evict },
	{ "eviction with several threads", ct_cases_evict_threads },
	{ "compaction", ct_cases_compact },
	{ "compaction with budgets", ct_cases_budget },
	{ "newer versions of the library", ct_cases_future },
	{ "scale", ct_cases_scale },
	{ "caches and deferred releases", ct_cases_room },
	{ "threads", ct_cases_threads },
	{ "cancelled threads", ct_cases_cancel },
	{ "pairs of concurrent calls", ct_cases_pairs },
	{ "calls interrupted halfway", ct_cases_meetings },
	{ "fork", ct_cases_fork },
	{ "model", ct_cases_model },
	{ NULL, NULL },
};
