/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/patience.h"

#include <stdatomic.h>

static _Atomic unsigned int patience_ms = 60 * 1000;

struct timespec zp_patience_deadline(void)
{
	const unsigned int ms = atomic_load(&patience_ms);
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

unsigned int zp_patience_s(void)
{
	return (atomic_load(&patience_ms) + 999) / 1000;
}

void zp_set_patience(unsigned int ms)
{
	atomic_store(&patience_ms, ms);
}
