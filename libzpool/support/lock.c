/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "lock.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cancel.h"

/* The lock is held for some hundred nanoseconds, so that spinning for about a microsecond is usually enough. */
enum { SPIN_ROUNDS = 64, YIELD_ROUNDS = 16, SLEEP_FIRST_NS = 1000, SLEEP_MAX_NS = 1000000 };

static inline void zp_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
	__asm__ __volatile__("yield");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

void zp_backoff_wait(struct zp_backoff *backoff)
{
	unsigned int round = backoff->rounds++;
	struct timespec pause = { .tv_sec = 0, .tv_nsec = SLEEP_MAX_NS };

	if (round < SPIN_ROUNDS) {
		zp_cpu_pause();
		return;
	}
	round -= SPIN_ROUNDS;
	if (round < YIELD_ROUNDS) {
		sched_yield();
		return;
	}
	round -= YIELD_ROUNDS;
	if (round < 10 && (SLEEP_FIRST_NS << round) < SLEEP_MAX_NS)
		pause.tv_nsec = SLEEP_FIRST_NS << round;
	else
		backoff->rounds--; /* stop at the longest sleep, so that the counter never wraps */
	/* A waiting thread may hold other locks, and would never release them if it were cancelled in its sleep. */
	int cancel_state = zp_cancel_disable();
	nanosleep(&pause, NULL);
	zp_cancel_restore(cancel_state);
}

void zp_lock_contended(struct zp_lock *lock)
{
	struct zp_backoff backoff = { 0 };

	do {
		/* Waiters only read, so that the holder keeps the cache line. */
		while (atomic_load_explicit(&lock->owner, memory_order_relaxed) != 0)
			zp_backoff_wait(&backoff);
	} while (!zp_trylock(lock));
}

#ifdef ZPOOL_DEBUG_CHECKS
/* The locks that the thread holds, the one that was taken last first.  Each plugin has a list of its own. */
static _Thread_local struct zp_lock *held __attribute__((tls_model("initial-exec")));

_Noreturn static void fail(const char *fault, const struct zp_lock *lock, const struct zp_lock *other)
{
	fprintf(stderr, "libzpool: %s: %s (rank %u, index %u) at %p", fault, lock->name ? lock->name : "a lock",
		lock->rank, lock->index, (const void *)lock);
	if (other)
		fprintf(stderr, " while %s (rank %u, index %u) at %p is held", other->name, other->rank, other->index,
			(const void *)other);
	fputs("\n", stderr);
	abort();
}

static bool is_mine(const struct zp_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed) == zp_lock_self();
}

static bool comes_after(const struct zp_lock *lock, const struct zp_lock *other)
{
	return lock->rank != other->rank ? lock->rank > other->rank : lock->index > other->index;
}

void zp_lock_check_wait(const struct zp_lock *lock)
{
	if (is_mine(lock))
		fail("a thread takes a lock that it holds", lock, NULL);
	for (const struct zp_lock *other = lock->rank ? held : NULL; other; other = other->next_held)
		if (other->rank && other->domain == lock->domain && !comes_after(lock, other))
			fail("a thread takes locks in the wrong order", lock, other);
}

void zp_lock_note_taken(struct zp_lock *lock)
{
	lock->next_held = held;
	held = lock;
}

void zp_lock_note_released(struct zp_lock *lock)
{
	struct zp_lock **link = &held;

	if (!is_mine(lock))
		fail("a thread releases a lock that it does not hold", lock, NULL);
	while (*link && *link != lock)
		link = &(*link)->next_held;
	if (*link)
		*link = lock->next_held;
}
#endif
