/* SPDX-License-Identifier: MIT
 *
 * timed_lock.h - how long locks are held, for each place that takes one
 *
 * A driver's sources and those of the support library are compiled with this file included first. The driver then takes
 * and releases its locks as usual, and for each place in the code that takes a lock it records the thread CPU time
 * until the release. Installed drivers do not include it.
 */
#ifndef BENCH_TIMED_LOCK_H
#define BENCH_TIMED_LOCK_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lock.h"

enum { TIMED_SITES = 128 };

/* A place in the code that takes a lock. */
struct timed_site {
	const char *lock, *function;
	int line;
	_Atomic(uint16_t) number; /* numbered from 1 in the order of the first use; 0 if not used yet */
};

/* The time from taking a lock to releasing it. */
struct timed_hold {
	uint32_t site; /* number of its site */
	uint32_t ns;
};

/*
 * The program that measures finds these with dlsym(). timed_start() begins a log, which ends when it is full;
 * timed_count() returns how many holds were logged since; timed_site() returns the site with a number, or NULL.
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

/* These functions call the originals in lock.h before the macros below hide their names. */
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
