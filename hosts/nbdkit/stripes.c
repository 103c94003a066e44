/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <stdbool.h>

#include "stripes.h"

void stripes_init(struct stripes *stripes)
{
	for (int i = 0; i < STRIPES; i++)
		pthread_mutex_init(&stripes->stripe[i].lock, NULL);
}

void stripes_fini(struct stripes *stripes)
{
	for (int i = 0; i < STRIPES; i++)
		pthread_mutex_destroy(&stripes->stripe[i].lock);
}

static bool is_in_range(unsigned int stripe, uint64_t first, uint64_t count)
{
	return (stripe - first) % STRIPES < count;
}

void stripes_lock(struct stripes *stripes, uint64_t first, uint64_t count)
{
	if (count == 1) {
		pthread_mutex_lock(&stripes->stripe[first % STRIPES].lock);
		return;
	}
	for (unsigned int i = 0; i < STRIPES; i++)
		if (is_in_range(i, first, count))
			pthread_mutex_lock(&stripes->stripe[i].lock);
}

void stripes_unlock(struct stripes *stripes, uint64_t first, uint64_t count)
{
	if (count == 1) {
		pthread_mutex_unlock(&stripes->stripe[first % STRIPES].lock);
		return;
	}
	for (unsigned int i = 0; i < STRIPES; i++)
		if (is_in_range(i, first, count))
			pthread_mutex_unlock(&stripes->stripe[i].lock);
}
