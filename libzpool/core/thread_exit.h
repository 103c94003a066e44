/* SPDX-License-Identifier: MIT
 *
 * thread_exit.h - what drivers want done when a thread ends
 *
 * It lives here and not in the plugins, because a thread's destructor that points into an unmapped plugin crashes.
 */
#ifndef ZP_CORE_THREAD_EXIT_H
#define ZP_CORE_THREAD_EXIT_H 1

#include <stdbool.h>

/* Have fn(arg) called when the calling thread ends.  0 or -ENOMEM. */
int zp_thread_exit_add(void (*fn)(void *arg), void *arg);

/* Forget fn(arg) in every thread; on return none is running, but for a call that the caller itself is inside of. */
void zp_thread_exit_cancel(void (*fn)(void *arg), void *arg);

/* Around fork(). */
void zp_thread_exit_lock(void);
void zp_thread_exit_unlock(bool child);

#endif
