/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "yield.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "cancel.h"
#include "secret.h"

#ifdef ZPOOL_DEBUG_CHECKS

/* One point in so many, on average. */
enum { YIELD_IN = 512, NAP_IN = 4096, SLEEP_IN = 1 << 19 };
enum { NAP_MAX_NS = 1 << 16, SLEEP_MAX_NS = 1 << 22 };

enum { UNKNOWN, OFF, ON };

static _Atomic(int) setting = UNKNOWN;
static _Atomic(uint64_t) seed;
static _Atomic(uint64_t) threads;

static int read_setting(void)
{
	const char *text = getenv("ZPOOL_YIELD");
	char *end;
	int found = OFF;

	if (text && *text >= '0' && *text <= '9') {
		uint64_t number = strtoull(text, &end, 10);

		if (*end == '\0') {
			atomic_store_explicit(&seed, number, memory_order_relaxed);
			found = ON;
		}
	}
	atomic_store_explicit(&setting, found, memory_order_release);
	return found;
}

/* Each thread has a sequence of its own, which begins with the seed and the number of the thread. */
static uint64_t next_random(void)
{
	static _Thread_local uint64_t state __attribute__((tls_model("initial-exec")));

	if (state == 0)
		state = zp_mix(atomic_load_explicit(&seed, memory_order_relaxed) +
			       zp_mix(1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed)));
	return zp_mix(state++);
}

static void rest(uint64_t nanoseconds)
{
	struct timespec pause = { .tv_nsec = (long)nanoseconds };
	int cancel_state = zp_cancel_disable();

	(void)nanosleep(&pause, NULL);
	zp_cancel_restore(cancel_state);
}

static void give_up_processor(void)
{
	uint64_t random = next_random();
	int saved_errno = errno;

	if (random % SLEEP_IN == 0)
		rest((random >> 32) % SLEEP_MAX_NS);
	else if (random % NAP_IN == 0)
		rest((random >> 32) % NAP_MAX_NS);
	else if (random % YIELD_IN == 0)
		(void)sched_yield();
	errno = saved_errno;
}

void zp_yield_point(void)
{
	int now = atomic_load_explicit(&setting, memory_order_acquire);

	if (now == UNKNOWN)
		now = read_setting();
	if (now == ON)
		give_up_processor();
}
#endif
