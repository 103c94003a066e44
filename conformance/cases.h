/* SPDX-License-Identifier: MIT
 *
 * cases.h - the groups of cases; each group has a file of its own
 */
#ifndef CT_CASES_H
#define CT_CASES_H 1

#include "contract.h"

extern const struct ct_case ct_cases_load[];
extern const struct ct_case ct_cases_pools[];
extern const struct ct_case ct_cases_objects[];
extern const struct ct_case ct_cases_copies[];
extern const struct ct_case ct_cases_maps[];
extern const struct ct_case ct_cases_handles[];
extern const struct ct_case ct_cases_badinput[];
extern const struct ct_case ct_cases_limits[];
extern const struct ct_case ct_cases_memory[];
extern const struct ct_case ct_cases_sources[];
extern const struct ct_case ct_cases_leftovers[];
extern const struct ct_case ct_cases_walk[];
extern const struct ct_case ct_cases_extras[];
extern const struct ct_case ct_cases_stats[];
extern const struct ct_case ct_cases_stats_threads[];
extern const struct ct_case ct_cases_cancel[];
extern const struct ct_case ct_cases_compact[];
extern const struct ct_case ct_cases_budget[];
extern const struct ct_case ct_cases_room[];
extern const struct ct_case ct_cases_params[];
extern const struct ct_case ct_cases_params_store[];
extern const struct ct_case ct_cases_nowait[];
extern const struct ct_case ct_cases_shrink[];
extern const struct ct_case ct_cases_shrink_order[];
extern const struct ct_case ct_cases_evict[];
extern const struct ct_case ct_cases_evict_threads[];
extern const struct ct_case ct_cases_future[];
extern const struct ct_case ct_cases_scale[];
extern const struct ct_case ct_cases_threads[];
extern const struct ct_case ct_cases_pairs[];
extern const struct ct_case ct_cases_meetings[];
extern const struct ct_case ct_cases_fork[];
extern const struct ct_case ct_cases_model[];

#endif /* CT_CASES_H */
