/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <sys/mman.h>

#include "trial-stats.h"

struct trial_stats *trial_stats_new(void)
{
	void *reported =
		mmap(NULL, sizeof(struct trial_stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return reported == MAP_FAILED ? NULL : reported;
}

void trial_stats_free(struct trial_stats *reported)
{
	if (reported)
		munmap(reported, sizeof(*reported));
}

static int add_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct trial_stats *reported = user;

	if (reported->class_count == TRIAL_CLASSES_MAX)
		return 1;
	memcpy(&reported->classes[reported->class_count++], stats,
	       stats_size < sizeof(*stats) ? stats_size : sizeof(*stats));
	return 0;
}

void trial_stats_take(struct trial_stats *reported, struct zpool *pool)
{
	reported->counted = zpool_get_stats(pool, &reported->stats, sizeof(reported->stats)) == 0;
	reported->class_count = 0;
	reported->classed = zpool_each_class(pool, add_class, reported) >= 0;
}

size_t trial_stats_classes(const struct trial_stats *reported)
{
	if (!reported->classed)
		return 0;
	return reported->class_count < TRIAL_CLASSES_MAX ? reported->class_count : TRIAL_CLASSES_MAX;
}
