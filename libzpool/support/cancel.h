/* SPDX-License-Identifier: MIT
 *
 * cancel.h - no thread is cancelled inside the library
 *
 * A thread that pthread_cancel() ends in the middle of a call would leave locks held and records half-written.  So code
 * that may reach a cancellation point (a sleep, a wait on a condition, reading and writing files, a function of the
 * host) first disables cancellation, and afterwards restores the previous state.  A request that arrives meanwhile
 * stays pending, and is honoured at the thread's next cancellation point after the call.
 *
 * Both functions cost an atomic operation in the C library, so they belong in paths that may block, not in hot paths.
 * They nest.
 */
#ifndef ZP_SUPPORT_CANCEL_H
#define ZP_SUPPORT_CANCEL_H

#include <pthread.h>

/* Returns the state that the same thread must pass to zp_cancel_restore(). */
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
 * Disables cancellation until the end of the block, however the block is left.  For functions with many returns:
 *
 *     ZP_CANCEL_DISABLED_HERE;
 */
#define ZP_CANCEL_DISABLED_HERE                                                                                        \
	const int zp_cancel_state_ __attribute__((cleanup(zp_cancel_restore_at), unused)) = zp_cancel_disable()

#endif
