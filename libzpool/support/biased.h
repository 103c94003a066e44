/* SPDX-License-Identifier: MIT
 *
 * biased.h - a lock that one thread, its owner, takes with plain stores
 *
 * The owner marks itself busy, then looks whether another thread has asked it to keep out; the other thread asks first,
 * and then waits until the owner is not busy.  Each side writes one flag and reads the other's, so a processor that
 * delays the write behind the read would let both in.  The owner does not pay for a fence against that: the other side
 * calls membarrier(2), which makes every running thread of the process execute one.  A locked instruction in the
 * owner's path would have to wait for all bytes that the program has just copied to leave the store buffer.
 *
 * Where the kernel has no membarrier(2), or a filter of system calls refuses it, the owner executes the fence after all
 * (zp_biased_is_fenced).  So it does in builds with the thread sanitizer, which cannot see the system call's effect.
 *
 * Source: Dice, Huang, Yang, "Asymmetric Dekker synchronization" (2001); Khuong, "Relaxed revocable locks" (2017).
 */
#ifndef ZP_SUPPORT_BIASED_H
#define ZP_SUPPORT_BIASED_H

#include "lock.h"

struct zp_biased {
	_Atomic(bool) busy;    /* written by the owner */
	_Atomic(bool) revoked; /* written by the thread that keeps the owner out */
};

/* Does the owner have to execute the fence?  Changes at most once, from false to true. */
extern _Atomic(bool) zp_biased_is_fenced;

/* Asks the kernel for membarrier(2).  Called before the first lock is used; later calls do nothing. */
void zp_biased_setup(void);

/* The owner comes in.  false: it is kept out, and must not wait for the lock. */
static inline bool zp_biased_enter(struct zp_biased *biased)
{
	if (__builtin_expect(atomic_load_explicit(&zp_biased_is_fenced, memory_order_relaxed), 0))
		(void)atomic_exchange_explicit(&biased->busy, true, memory_order_seq_cst);
	else
		atomic_store_explicit(&biased->busy, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(!atomic_load_explicit(&biased->revoked, memory_order_seq_cst), 1))
		return true;
	atomic_store_explicit(&biased->busy, false, memory_order_release);
	return false;
}

static inline void zp_biased_leave(struct zp_biased *biased)
{
	atomic_store_explicit(&biased->busy, false, memory_order_release);
}

/*
 * Another thread keeps the owners of any number of locks out: revoke for each, one barrier, wait for each; restore for
 * each lets them in again.  The caller sees to it that no two threads do so with a lock at the same time.
 */
static inline void zp_biased_revoke(struct zp_biased *biased)
{
	(void)atomic_exchange_explicit(&biased->revoked, true, memory_order_seq_cst);
}

void zp_biased_barrier(void);
void zp_biased_wait(struct zp_biased *biased);

static inline void zp_biased_restore(struct zp_biased *biased)
{
	atomic_store_explicit(&biased->revoked, false, memory_order_release);
}

#endif
