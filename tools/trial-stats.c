/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>
#include <sys/mman.h>

#include "trial-stats.h"

struct trial_stats *trial_stats_new(void)
{
	void *told = mmap(NULL, sizeof(struct trial_stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return told == MAP_FAILED ? NULL : told;
}

void trial_stats_free(struct trial_stats *told)
{
	if (told)
		munmap(told, sizeof(*told));
}

static int add_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct trial_stats *told = user;

	if (told->class_count == TRIAL_CLASSES_MAX)
		return 1;
	memcpy(&told->classes[told->class_count++], stats, stats_size < sizeof(*stats) ? stats_size : sizeof(*stats));
	return 0;
}

void trial_stats_take(struct trial_stats *told, struct zpool *pool)
{
	told->counted = zpool_get_stats(pool, &told->stats, sizeof(told->stats)) == 0;
	told->class_count = 0;
	told->classed = zpool_each_class(pool, add_class, told) >= 0;
}

size_t trial_stats_classes(const struct trial_stats *told)
{
	if (!told->classed)
		return 0;
	return told->class_count < TRIAL_CLASSES_MAX ? told->class_count : TRIAL_CLASSES_MAX;
}
