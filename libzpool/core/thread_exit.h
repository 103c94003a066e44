/* SPDX-License-Identifier: MIT
 *
 * thread_exit.h - hooks that drivers run when a thread ends
 *
 * The hooks live in the core because a thread-specific destructor that points into an unmapped plugin would crash.
 */
#ifndef ZP_CORE_THREAD_EXIT_H
#define ZP_CORE_THREAD_EXIT_H 1

#include <stdbool.h>

/*
 * Registers fn(arg), which then runs when the calling thread ends. `core` is the layer, or NULL. Returns 0 or -ENOMEM.
 */
int zp_thread_exit_add(const void *core, void (*fn)(void *arg), void *arg);

/*
 * Removes fn(arg) from every thread. When it returns, no such call is running, unless it was called by fn(arg) itself.
 */
void zp_thread_exit_cancel(void (*fn)(void *arg), void *arg);

/*
 * Removes the hooks for which `wanted` returns true from every thread, and returns their number. Does not wait for a
 * hook that is running.
 */
unsigned int zp_thread_exit_drop(bool (*wanted)(const void *core, const void *context), const void *context);

/* For fork(). */
void zp_thread_exit_lock(void);
void zp_thread_exit_unlock(bool child);

#endif
