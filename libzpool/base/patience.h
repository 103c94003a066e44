/* SPDX-License-Identifier: MIT
 *
 * patience.h - how long a thread waits for another one before it calls the wait a deadlock
 *
 * Some waits depend on code that is not ours: a plugin's constructor or a log handler may itself wait for the thread
 * that waits for it.  Such a wait ends after 60 seconds, and the call fails with EDEADLK.
 */
#ifndef ZP_BASE_PATIENCE_H
#define ZP_BASE_PATIENCE_H 1

#include <time.h>

/* When a wait that begins now ends, as the timed waits of pthreads take it (CLOCK_REALTIME). */
struct timespec zp_patience_deadline(void);

/* The length of the wait, rounded up, for messages. */
unsigned zp_patience_s(void);

/* For tests, which have no minute to spare. */
void zp_set_patience(unsigned ms);

#endif
