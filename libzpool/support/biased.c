/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "biased.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "cancel.h"

#if defined(__SANITIZE_THREAD__)
#define ALWAYS_FENCED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ALWAYS_FENCED true
#endif
#endif
#ifndef ALWAYS_FENCED
#define ALWAYS_FENCED false
#endif

/* These are from <linux/membarrier.h>, a header that not every C library comes with. */
enum { PRIVATE_EXPEDITED = 1 << 3, REGISTER_PRIVATE_EXPEDITED = 1 << 4 };

/* This is far longer than a processor delays a store. */
enum { STORES_ARE_SEEN_NS = 10 * 1000 * 1000 };

_Atomic(bool) zp_biased_is_fenced = true;

/* True once every store of an owner that did not execute the fence is in memory. */
static _Atomic(bool) fences_suffice = true;

/* True once membarrier(2) was tried.  No biased lock is in use before. */
static _Atomic(bool) is_set_up;

/* The process whose thread is trying it; 0: none. */
static _Atomic(pid_t) setup_by;

static bool membarrier_call(int command)
{
	int saved_errno = errno;
	bool done = false;

#ifdef SYS_membarrier
	done = syscall(SYS_membarrier, command, 0, 0) == 0;
#else
	(void)command;
#endif
	errno = saved_errno;
	return done;
}

static void try_membarrier(void)
{
	bool works =
		!ALWAYS_FENCED && membarrier_call(REGISTER_PRIVATE_EXPEDITED) && membarrier_call(PRIVATE_EXPEDITED);

	atomic_store_explicit(&fences_suffice, !works, memory_order_relaxed);
	atomic_store_explicit(&zp_biased_is_fenced, !works, memory_order_relaxed);
}

/*
 * Fork does not wait for this, because no pool exists yet.  So a child takes over from a thread of its parent, which
 * would never finish there.
 */
void zp_biased_setup(void)
{
	struct zp_backoff backoff = { 0 };
	pid_t self;

	if (atomic_load_explicit(&is_set_up, memory_order_acquire))
		return;
	self = getpid();
	while (!atomic_load_explicit(&is_set_up, memory_order_acquire)) {
		pid_t other = atomic_load_explicit(&setup_by, memory_order_relaxed);

		if (other == self || !atomic_compare_exchange_strong(&setup_by, &other, self)) {
			zp_backoff_wait(&backoff);
			continue;
		}
		try_membarrier();
		atomic_store_explicit(&is_set_up, true, memory_order_release);
	}
}

/*
 * The system call worked before but is refused now, so a system call filter was installed in between.  From now on,
 * owners execute the fence.  An owner reads this after it has written its flag, so if it does not execute the fence,
 * its flag is in memory by the time this function returns.  A second thread that comes here meanwhile has to wait too.
 */
static void fall_back(void)
{
	struct timespec pause = { .tv_nsec = STORES_ARE_SEEN_NS };

	atomic_store_explicit(&zp_biased_is_fenced, true, memory_order_seq_cst);
	int cancel_state = zp_cancel_disable();
	nanosleep(&pause, NULL);
	zp_cancel_restore(cancel_state);
	atomic_store_explicit(&fences_suffice, true, memory_order_seq_cst);
}

void zp_biased_barrier(void)
{
	if (zp_is_single_threaded() || atomic_load_explicit(&fences_suffice, memory_order_acquire))
		return;
	/* The registration may not be inherited by a child of fork(). */
	if (membarrier_call(PRIVATE_EXPEDITED) ||
	    (membarrier_call(REGISTER_PRIVATE_EXPEDITED) && membarrier_call(PRIVATE_EXPEDITED)))
		return;
	fall_back();
}

void zp_biased_wait(struct zp_biased *biased)
{
	struct zp_backoff backoff = { 0 };

	zp_yield_point();
	while (atomic_load_explicit(&biased->busy, memory_order_seq_cst))
		zp_backoff_wait(&backoff);
}
