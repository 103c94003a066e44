/* SPDX-License-Identifier: MIT
 *
 * callback.h - calling the host's functions from inside the library
 *
 * The host's evict function, visitors, log handler and page source run with cancellation disabled. A thread that is
 * cancelled in one of them would not return to the library, which may be in the middle of moving an object.
 *
 * If the host is built with the thread sanitizer and the library is not, the sanitizer watches memory that the library
 * shares between threads without seeing the library's locks. The library therefore makes it ignore accesses while its
 * own code runs (see core/watched.c), and observe them again while a function of the host runs.
 */
#ifndef ZP_BASE_CALLBACK_H
#define ZP_BASE_CALLBACK_H 1

#include <stdbool.h>

#include "support/cancel.h"

/* True if the host is built with the thread sanitizer, and this library is not. */
bool zp_sanitizer_watches(void);

/*
 * Declares that everything the host did to memory before passing it to the library happens before what it does with
 * memory that it gets from the library.
 */
void zp_sanitizer_release(void *pool);
void zp_sanitizer_acquire(void *pool);

/*
 * These two enclose code of the library and its drivers, and nest. They may be called only if zp_sanitizer_watches().
 */
void zp_sanitizer_look_away(void);
void zp_sanitizer_look_again(void);

/* These two enclose a call of a host function, wherever it is made. The value that begin returns is passed to end. */
struct zp_callback {
	int cancel_state;
	unsigned int looked_away;
};
struct zp_callback zp_callback_begin(void);
void zp_callback_end(const struct zp_callback *callback);

/* Covers the rest of the block, which must end with the call of the host's function. */
#define ZP_CALLBACK_HERE                                                                                               \
	const struct zp_callback zp_callback_ __attribute__((cleanup(zp_callback_end), unused)) = zp_callback_begin()

#endif
