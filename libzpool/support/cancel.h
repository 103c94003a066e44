/* SPDX-License-Identifier: MIT
 *
 * cancel.h - no thread is cancelled inside the library
 *
 * A thread that pthread_cancel() ends in the middle of a call would leave locks taken and records half-written.  So
 * code that may reach a cancellation point (a sleep, a wait on a condition, reading and writing files, a function of
 * the host's) first disables cancellation and then restores the state that it found.  A request that arrives meanwhile
 * stays pending and is honoured at the thread's next cancellation point after the call.
 *
 * Both functions cost an atomic operation in the C library, so they belong into paths that may block, not into paths
 * that are hot.  They nest.
 */
#ifndef ZP_SUPPORT_CANCEL_H
#define ZP_SUPPORT_CANCEL_H

#include <pthread.h>

/* Returns the state to be given to zp_cancel_restore() by the same thread. */
static inline int zp_cancel_disable(void)
{
	int state = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	return state;
}

static inline void zp_cancel_restore(int state)
{
	(void)pthread_setcancelstate(state, &state);
}

static inline void zp_cancel_restore_at(const int *state)
{
	zp_cancel_restore(*state);
}

/*
 * Disables cancellation from here to the end of the block, however it is left.  For functions with many returns:
 *
 *     ZP_CANCEL_DISABLED_HERE;
 */
#define ZP_CANCEL_DISABLED_HERE                                                                                        \
	const int zp_cancel_state_ __attribute__((cleanup(zp_cancel_restore_at), unused)) = zp_cancel_disable()

#endif
