/* SPDX-License-Identifier: MIT
 *
 * trial-stats.h - what a driver's counters and size classes told at the end of its trial
 */
#ifndef TRIAL_STATS_H
#define TRIAL_STATS_H 1

#include <stdbool.h>
#include <stddef.h>

#include <zpool.h>

/* More classes than objects of up to 64 KiB in steps of 16 bytes can have. */
#define TRIAL_CLASSES_MAX 4096

/*
 * Written by the child, in memory that it shares with the parent, so that a driver's crash leaves what was told before.
 *
 * counted, classed   the driver has counters, or classes
 */
struct trial_stats {
	bool counted;
	bool classed;
	struct zpool_stats stats;
	size_t class_count;
	struct zpool_class_stats classes[TRIAL_CLASSES_MAX];
};

/* NULL: out of memory. */
struct trial_stats *trial_stats_new(void);
void trial_stats_free(struct trial_stats *told);

/* Ask the pool for all. */
void trial_stats_take(struct trial_stats *told, struct zpool *pool);

/* The number of classes that can be read, whatever the child wrote. */
size_t trial_stats_classes(const struct trial_stats *told);

#endif /* TRIAL_STATS_H */
