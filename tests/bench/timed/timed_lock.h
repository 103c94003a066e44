/* SPDX-License-Identifier: MIT
 *
 * timed_lock.h - how long locks are held, place by place
 *
 * A driver whose sources, and those of the support library, are compiled with this file included first takes and
 * releases its locks as always, and notes for each place in the code that takes a lock the thread CPU time until the
 * release.  The drivers that are installed know nothing of it.
 */
#ifndef BENCH_TIMED_LOCK_H
#define BENCH_TIMED_LOCK_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lock.h"

/* Eight buckets for each power of two of nanoseconds, up to an hour. */
enum { TIMED_SUB_BITS = 3, TIMED_BUCKETS = (42 - TIMED_SUB_BITS + 1) << TIMED_SUB_BITS };

/* A place that takes a lock. */
struct timed_site {
	const char *lock, *function;
	int line;
	struct timed_site *next; /* of those that were used */
	atomic_bool listed;
	_Atomic(uint64_t) holds, max_ns;
	_Atomic(uint64_t) buckets[TIMED_BUCKETS];
};

static inline unsigned int timed_bucket(uint64_t ns)
{
	unsigned int exponent, bucket;

	if (ns < 1u << TIMED_SUB_BITS)
		return (unsigned int)ns;
	exponent = 63 - (unsigned int)__builtin_clzll(ns);
	bucket = (exponent - TIMED_SUB_BITS + 1) << TIMED_SUB_BITS;
	bucket += (unsigned int)(ns >> (exponent - TIMED_SUB_BITS)) & ((1u << TIMED_SUB_BITS) - 1);
	return bucket < TIMED_BUCKETS ? bucket : TIMED_BUCKETS - 1;
}

/* The largest value in a bucket. */
static inline uint64_t timed_bucket_ns(unsigned int bucket)
{
	unsigned int exponent = bucket >> TIMED_SUB_BITS, sub = bucket & ((1u << TIMED_SUB_BITS) - 1);

	if (exponent == 0)
		return sub;
	return ((uint64_t)((1u << TIMED_SUB_BITS) + sub + 1) << (exponent - 1)) - 1;
}

/* The driver has these two for whoever measures, found with dlsym(): the places that were used, and a new beginning. */
struct timed_site *timed_sites(void);
void timed_reset(void);

void timed_taken(struct zp_lock *lock, struct timed_site *site);
void timed_releasing(struct zp_lock *lock);

static inline bool timed_note(struct zp_lock *lock, struct timed_site *site, bool taken)
{
	if (taken)
		timed_taken(lock, site);
	return taken;
}

/* Functions of those names inside, so that what they do stays in lock.h. */
static inline void timed_lock(struct zp_lock *lock)
{
	zp_lock(lock);
}

static inline bool timed_trylock(struct zp_lock *lock)
{
	return zp_trylock(lock);
}

static inline void timed_unlock(struct zp_lock *lock)
{
	timed_releasing(lock);
	zp_unlock(lock);
}

#define TIMED_SITE(expression)                                                                                         \
	static struct timed_site site = { .lock = (expression), .function = __func__, .line = __LINE__ }

#define zp_lock(lock)                                                                                                  \
	__extension__({                                                                                                \
		TIMED_SITE(#lock);                                                                                     \
		timed_lock(lock);                                                                                      \
		timed_note(lock, &site, true);                                                                         \
	})
#define zp_trylock(lock)                                                                                               \
	__extension__({                                                                                                \
		TIMED_SITE(#lock);                                                                                     \
		timed_note(lock, &site, timed_trylock(lock));                                                          \
	})
#define zp_unlock(lock) timed_unlock(lock)

#endif
