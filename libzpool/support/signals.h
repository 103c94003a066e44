/* SPDX-License-Identifier: MIT
 *
 * signals.h - a write that fails does not end the host's process
 *
 * A write beyond the file size limit raises SIGXFSZ, and one to a pipe without a reader raises SIGPIPE; both end a
 * process that does not expect them.  The kernel sends them to the writing thread, so the thread blocks them before the
 * write, discards what the write raised, and then restores its previous signal mask.  A signal that was pending before
 * stays pending.
 *
 *     struct zp_write_signals signals;
 *
 *     zp_write_signals_block(&signals);
 *     ...write(2), which fails with EPIPE or EFBIG...
 *     zp_write_signals_restore(&signals);
 *
 * This needs POSIX: compiled as plain C11, without _POSIX_C_SOURCE or the like, this header is empty.
 */
#ifndef ZP_SUPPORT_SIGNALS_H
#define ZP_SUPPORT_SIGNALS_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 199506L

struct zp_write_signals {
	sigset_t raisable; /* those of the two signals that were not pending before */
	sigset_t mask;     /* the thread's previous mask */
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

/* Called by the same thread.  Preserves errno, which says why the write failed. */
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
