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

/* Guards is_set_up.  No biased lock is in use when zp_biased_is_fenced becomes false. */
static struct zp_lock setup_lock;
static bool is_set_up;

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

void zp_biased_setup(void)
{
	zp_lock(&setup_lock);
	if (!is_set_up && !ALWAYS_FENCED && membarrier_call(REGISTER_PRIVATE_EXPEDITED) &&
	    membarrier_call(PRIVATE_EXPEDITED)) {
		atomic_store_explicit(&fences_suffice, false, memory_order_release);
		atomic_store_explicit(&zp_biased_is_fenced, false, memory_order_release);
	}
	is_set_up = true;
	zp_unlock(&setup_lock);
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
