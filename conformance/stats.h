/* SPDX-License-Identifier: MIT
 *
 * stats.h - checks of a pool's statistics
 */
#ifndef CT_STATS_H
#define CT_STATS_H 1

#include "case.h"

static inline struct zpool_stats stats_of(struct zpool *pool)
{
	struct zpool_stats stats;

	CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	return stats;
}

/* Checks that a member of the statistics has this value. */
#define STAT_IS(stats, member, value, when)                                                                            \
	CT_CHECK((stats).member == (uint64_t)(value), "%s, %s: got %llu, expected %llu", when, #member,                \
		 (unsigned long long)(stats).member, (unsigned long long)(value))

#endif /* CT_STATS_H */
