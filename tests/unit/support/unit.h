/* SPDX-License-Identifier: MIT
 *
 * unit.h - what the unit tests of the support library and the drivers share
 */
#ifndef UNIT_H
#define UNIT_H

#include "tests/suite.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define UNIT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define UNIT_SANITIZED 1
#endif
#endif
#ifndef UNIT_SANITIZED
#define UNIT_SANITIZED 0
#endif

/* The generator is xorshift64*, which gives the same sequence for the same seed on every machine. */
struct unit_random {
	uint64_t state;
};

static inline uint64_t unit_random(struct unit_random *random)
{
	random->state ^= random->state >> 12;
	random->state ^= random->state << 25;
	random->state ^= random->state >> 27;
	return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

static inline uint32_t unit_below(struct unit_random *random, uint32_t bound)
{
	return (uint32_t)((unit_random(random) >> 32) * bound >> 32);
}

/* Takes a test's seed from ZPOOL_TEST_SEED or from the clock, and prints it so that a failure can be repeated. */
static inline struct unit_random unit_seed(const char *test)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	struct unit_random random;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random.state = given ? strtoull(given, NULL, 0) : ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec) | 1;
	printf("# %s: ZPOOL_TEST_SEED=%#llx\n", test, (unsigned long long)random.state);
	fflush(stdout);
	if (random.state == 0)
		random.state = 1;
	return random;
}

/* For loops with many checks: Check's own assertions send a message to the parent process for every success. */
#define unit_require(condition)                                                                                        \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			ck_abort_msg("this should be true: %s", #condition);                                           \
	} while (0)

static inline bool unit_on_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/* The thread sanitizer kills the forked children of a program with threads. */
static inline bool unit_may_fork(void)
{
	return !getenv("ZPOOL_TEST_NO_FORK");
}

#endif
