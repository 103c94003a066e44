/* SPDX-License-Identifier: MIT
 *
 * biased.h - a lock that one thread, its owner, takes with plain stores
 *
 * The owner marks itself as busy, and then checks whether another thread has asked it to keep out.  The other thread
 * asks first, and then waits until the owner is not busy.  Each side writes one flag and reads the other's, so a
 * processor that delays the write until after the read would let both in.  The owner executes no fence against that.
 * Instead the other side calls membarrier(2), which makes every running thread of the process execute one.  A locked
 * instruction in the owner's path would have to wait until all bytes that the program has just copied have left the
 * store buffer.
 *
 * If the kernel has no membarrier(2), or a system call filter refuses it, the owner executes the fence
 * (zp_biased_is_fenced).  Builds with the thread sanitizer do so too, because it cannot see the effect of the system
 * call.
 *
 * Source: Dice, Huang, Yang, "Asymmetric Dekker synchronization" (2001); Khuong, "Relaxed revocable locks" (2017).
 */
#ifndef ZP_SUPPORT_BIASED_H
#define ZP_SUPPORT_BIASED_H

#include "lock.h"
#include "yield.h"

struct zp_biased {
	_Atomic(bool) busy;    /* written by the owner */
	_Atomic(bool) revoked; /* written by the thread that keeps the owner out */
};

/* True if the owner has to execute the fence.  Changes at most once, from false to true. */
extern _Atomic(bool) zp_biased_is_fenced;

/* Asks the kernel for membarrier(2).  Called before the first lock is used; later calls do nothing. */
void zp_biased_setup(void);

/* The owner enters.  Returns false if another thread keeps it out; the owner must not wait for the lock then. */
static inline bool zp_biased_enter(struct zp_biased *biased)
{
	atomic_store_explicit(&biased->busy, true, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	/*
	 * Read only now: an owner that finds false has written its flag before others could stop using membarrier(2).
	 */
	if (__builtin_expect(atomic_load_explicit(&zp_biased_is_fenced, memory_order_relaxed), 0))
		(void)atomic_exchange_explicit(&biased->busy, true, memory_order_seq_cst);
	atomic_signal_fence(memory_order_seq_cst);
	zp_yield_point();
	if (__builtin_expect(!atomic_load_explicit(&biased->revoked, memory_order_seq_cst), 1))
		return true;
	atomic_store_explicit(&biased->busy, false, memory_order_release);
	return false;
}

static inline void zp_biased_leave(struct zp_biased *biased)
{
	zp_yield_point();
	atomic_store_explicit(&biased->busy, false, memory_order_release);
}

/*
 * Another thread keeps the owners of any number of locks out: it calls revoke for each lock, one barrier, and wait for
 * each lock; restore lets each owner in again.  The caller ensures that no two threads do this with the same lock at
 * once.
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
