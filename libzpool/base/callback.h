/* SPDX-License-Identifier: MIT
 *
 * callback.h - calling functions of the host's from inside the library
 *
 * The host's evict function, visitors, log handler and page source run with cancellation disabled: a thread that is
 * cancelled in one of them would not return to the library, which may be in the middle of moving an object.
 *
 * The thread sanitizer of a host looks at memory that the library's own code shares between threads without seeing the
 * library's locks, unless the library is built with it too.  So the library makes it ignore accesses while its own
 * code runs (see core/watched.c), and observe them again while a function of the host's runs.
 */
#ifndef ZP_BASE_CALLBACK_H
#define ZP_BASE_CALLBACK_H 1

#include <stdbool.h>

#include "support/cancel.h"

/* Is the host built with the thread sanitizer, and this library not? */
bool zp_sanitizer_watches(void);

/* What the host did to memory before it gave it to us comes before what it does with memory that it gets from us. */
void zp_sanitizer_release(void *pool);
void zp_sanitizer_acquire(void *pool);

/* Around code of the library's and its drivers'; nests.  Only where zp_sanitizer_watches(). */
void zp_sanitizer_look_away(void);
void zp_sanitizer_look_again(void);

/* Around code of the host's, wherever it is called from: what begin returned goes to end. */
struct zp_callback {
	int cancel_state;
	unsigned int looked_away;
};
struct zp_callback zp_callback_begin(void);
void zp_callback_end(const struct zp_callback *callback);

/* From here to the end of the block, which ends with a call of the host's function. */
#define ZP_CALLBACK_HERE                                                                                               \
	const struct zp_callback zp_callback_ __attribute__((cleanup(zp_callback_end), unused)) = zp_callback_begin()

#endif
