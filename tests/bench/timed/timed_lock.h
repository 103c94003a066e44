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
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

enum { TIMED_SITES = 128 };

/* A place that takes a lock. */
struct timed_site {
	const char *lock, *function;
	int line;
	_Atomic(uint16_t) number; /* in order of the first use, from 1; 0: not used yet */
};

/* From a lock's taking to its release. */
struct timed_hold {
	uint32_t site; /* its number */
	uint32_t ns;
};

/*
 * What whoever measures finds with dlsym(): begin a log, which ends when it is full; how many holds were logged since;
 * and the site of a number, or NULL.
 */
void timed_start(struct timed_hold *log, size_t room);
size_t timed_count(void);
const struct timed_site *timed_site(unsigned int number);

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
