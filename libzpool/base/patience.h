/* SPDX-License-Identifier: MIT
 *
 * patience.h - how long a thread waits for another one before it assumes a deadlock
 *
 * Some waits depend on foreign code: a plugin's constructor or a log handler may itself wait for the thread that waits
 * for it. Such a wait ends after 60 seconds, and the call fails with EDEADLK.
 */
#ifndef ZP_BASE_PATIENCE_H
#define ZP_BASE_PATIENCE_H 1

#include <time.h>

/* Returns the deadline of a wait that begins now, for the timed waits of pthreads (CLOCK_REALTIME). */
struct timespec zp_patience_deadline(void);

/* The length of the wait in seconds, rounded up, for messages. */
unsigned int zp_patience_s(void);

/* Shortens the wait in tests. */
void zp_set_patience(unsigned int ms);

#endif
