/* SPDX-License-Identifier: MIT
 *
 * signals.h - a write that fails does not end the host's process
 *
 * A write past the file size limit raises SIGXFSZ, one to a pipe that nobody reads SIGPIPE, and both end a process that
 * does not expect them.  The kernel raises them for the thread that writes, so the thread blocks them before the write,
 * discards what the write raised, and then restores the signal mask that it found.  A signal that was pending before
 * stays pending.
 *
 *     struct zp_write_signals signals;
 *
 *     zp_write_signals_block(&signals);
 *     ...write(2), which fails with EPIPE or EFBIG...
 *     zp_write_signals_restore(&signals);
 *
 * It needs POSIX: compiled as plain C11, without _POSIX_C_SOURCE or the like, this header is empty.
 */
#ifndef ZP_SUPPORT_SIGNALS_H
#define ZP_SUPPORT_SIGNALS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199506L

struct zp_write_signals {
	sigset_t raisable; /* those of the two that were not pending before */
	sigset_t mask;     /* the thread's own */
};

static inline void zp_write_signals_block(struct zp_write_signals *signals)
{
	sigset_t pending, blocked;

	sigemptyset(&pending);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGXFSZ);
	sigaddset(&blocked, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &blocked, &signals->mask);
	(void)sigpending(&pending);
	signals->raisable = blocked;
	if (sigismember(&pending, SIGXFSZ))
		sigdelset(&signals->raisable, SIGXFSZ);
	if (sigismember(&pending, SIGPIPE))
		sigdelset(&signals->raisable, SIGPIPE);
}

/* By the same thread.  Keeps errno, which says why the write failed. */
static inline void zp_write_signals_restore(const struct zp_write_signals *signals)
{
	const struct timespec no_time = { 0, 0 };
	int saved_errno = errno;

	while (sigtimedwait(&signals->raisable, NULL, &no_time) >= 0 || errno == EINTR)
		;
	(void)pthread_sigmask(SIG_SETMASK, &signals->mask, NULL);
	errno = saved_errno;
}

#endif /* _POSIX_C_SOURCE */

#endif
