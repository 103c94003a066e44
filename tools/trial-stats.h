/* SPDX-License-Identifier: MIT
 *
 * trial-stats.h - a driver's statistics and size classes at the end of its trial
 */
#ifndef TRIAL_STATS_H
#define TRIAL_STATS_H 1

#include <stdbool.h>
#include <stddef.h>

#include <zpool.h>

/* More classes than a driver can have for objects of up to 64 KiB in steps of 16 bytes. */
#define TRIAL_CLASSES_MAX 4096

/*
 * The child writes this in memory that it shares with the parent, so the parent has the last statistics if a driver
 * crashes.
 *
 * counted, classed   true if the driver has counters, or size classes
 */
struct trial_stats {
	bool counted;
	bool classed;
	struct zpool_stats stats;
	size_t class_count;
	struct zpool_class_stats classes[TRIAL_CLASSES_MAX];
};

/* Returns NULL if memory runs out. */
struct trial_stats *trial_stats_new(void);
void trial_stats_free(struct trial_stats *reported);

/* Reads all statistics of the pool. */
void trial_stats_take(struct trial_stats *reported, struct zpool *pool);

/* Returns the number of readable classes, whatever the child wrote. */
size_t trial_stats_classes(const struct trial_stats *reported);

#endif /* TRIAL_STATS_H */
