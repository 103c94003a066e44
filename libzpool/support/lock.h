/* SPDX-License-Identifier: MIT
 *
 * lock.h - a lock for short critical sections
 *
 * The lock is one word, without a kernel object.  A thread that finds it held spins a little, then yields, then sleeps
 * for growing times of at most a millisecond.  Unlocking is one store and never a system call, however many threads
 * wait.  That is why ZPOOL_GFP_NOWAIT, which only tries locks, can promise to make no system call.  The lock is neither
 * fair nor recursive.
 *
 * After fork(), a lock that the forking thread held is held by that thread in the child too; a lock that another thread
 * held must be initialised again with zp_lock_init().
 *
 * Builds with ZPOOL_DEBUG_CHECKS store the owner in the word, and abort on a recursive lock, on an unlock by another
 * thread, and when a thread waits for a lock that comes before one that it holds in the locking order (zp_lock_rank()).
 */
#ifndef ZP_SUPPORT_LOCK_H
#define ZP_SUPPORT_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#if defined(__has_include)
#if __has_include(<sys/single_threaded.h>)
#define ZP_HAVE_SINGLE_THREADED 1
#include <sys/single_threaded.h>
#endif
#endif
#ifdef ZPOOL_DEBUG_CHECKS
#include <pthread.h>
#endif

#include "yield.h"

struct zp_lock {
	_Atomic(uintptr_t) owner; /* 0: free */
#ifdef ZPOOL_DEBUG_CHECKS
	const void *domain;
	const char *name;
	unsigned int rank; /* 0: the order of this lock is not checked */
	unsigned int index;
	struct zp_lock *next_held; /* guarded by the lock itself; the list of the locks that its owner holds */
#endif
};

/*
 * The locking order of the support library.  The locks of a driver come first: it numbers them from ZP_RANK_DRIVER in
 * an enumeration of its own.  doc/locking.md says what each lock guards; tests/dist/locks.sh compares the two.
 */
enum zp_rank {
	ZP_RANK_DRIVER = 1,
	ZP_RANK_CACHES = 64,
	ZP_RANK_HANDLES,
	ZP_RANK_PAGES_SLOW,
	ZP_RANK_PAGES,
	ZP_RANK_PAGES_OPEN,
};

/* Tracks how long a thread has waited for something that another thread is about to finish; zero at the start. */
struct zp_backoff {
	unsigned int rounds;
};

void zp_backoff_wait(struct zp_backoff *backoff);
void zp_lock_contended(struct zp_lock *lock);

#ifdef ZPOOL_DEBUG_CHECKS
void zp_lock_check_wait(const struct zp_lock *lock);
void zp_lock_note_taken(struct zp_lock *lock);
void zp_lock_note_released(struct zp_lock *lock);
#else
#define zp_lock_check_wait(lock) ((void)0)
#define zp_lock_note_taken(lock) ((void)0)
#define zp_lock_note_released(lock) ((void)0)
#endif

/*
 * Returns true if the process has never had a second thread.  Atomic operations then need no locked instruction, which
 * takes longer than everything else in a short path, because it waits for all earlier stores to reach memory.  Only the
 * calling thread could start a second thread, and not in the middle of one of our functions.  Threads that the C
 * library does not know of are not supported; its malloc does not support them either.
 */
static inline bool zp_is_single_threaded(void)
{
#ifdef ZP_HAVE_SINGLE_THREADED
	return __libc_single_threaded;
#else
	return false;
#endif
}

static inline uintptr_t zp_lock_self(void)
{
#ifdef ZPOOL_DEBUG_CHECKS
	return (uintptr_t)pthread_self();
#else
	return 1;
#endif
}

static inline void zp_lock_init(struct zp_lock *lock)
{
	atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
#ifdef ZPOOL_DEBUG_CHECKS
	lock->rank = 0;
#endif
}

/*
 * Gives an initialised lock its place in the locking order.  While a thread holds a lock, it may wait for locks of the
 * same domain that have a higher rank, or the same rank and a higher index.  The domain is the pool that the lock
 * belongs to, named by its struct zp_pages if it has one.  A thread may try any lock, since it does not wait then.
 */
#define zp_lock_rank(lock, rank, index, domain) zp_lock_rank_named(lock, rank, index, domain, #lock)

static inline void zp_lock_rank_named(struct zp_lock *lock, unsigned int rank, unsigned int index, const void *domain,
				      const char *name)
{
#ifdef ZPOOL_DEBUG_CHECKS
	lock->domain = domain;
	lock->name = name;
	lock->rank = rank;
	lock->index = index;
#else
	(void)lock, (void)rank, (void)index, (void)domain, (void)name;
#endif
}

static inline bool zp_trylock(struct zp_lock *lock)
{
	uintptr_t free_word = 0;

	if (zp_is_single_threaded()) {
		if (atomic_load_explicit(&lock->owner, memory_order_relaxed) != 0)
			return false;
		atomic_store_explicit(&lock->owner, zp_lock_self(), memory_order_relaxed);
	} else if (!atomic_compare_exchange_strong_explicit(&lock->owner, &free_word, zp_lock_self(),
							    memory_order_acquire, memory_order_relaxed)) {
		return false;
	}
	zp_lock_note_taken(lock);
	return true;
}

static inline void zp_lock(struct zp_lock *lock)
{
	zp_lock_check_wait(lock);
	zp_yield_point();
	if (!zp_trylock(lock))
		zp_lock_contended(lock);
}

static inline void zp_unlock(struct zp_lock *lock)
{
	zp_lock_note_released(lock);
	atomic_store_explicit(&lock->owner, 0, memory_order_release);
	zp_yield_point();
}

#endif
