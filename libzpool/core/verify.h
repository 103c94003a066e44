/* SPDX-License-Identifier: MIT
 *
 * verify.h - in builds with debug checks, the pool's drivers check their consistency after every call
 *
 * A driver that finds its pool damaged aborts the process at once, with its message in the log and in
 * zpool_last_error(). The call that did the damage, or the one after it, is then on the stack.
 *
 * The cost of a check grows with the pool, so large pools are checked less often: a pool of up to 256 KiB after every
 * call, up to 512 KiB after every second call, and so on. The environment variable ZPOOL_VERIFY fixes the interval:
 * after every call (1), every second call (2), or never (0). A NOWAIT call is checked by the next call that may wait,
 * because a check takes locks.
 */
#ifndef ZP_CORE_VERIFY_H
#define ZP_CORE_VERIFY_H 1

struct zpool;

#ifdef ZPOOL_DEBUG_CHECKS
/* `what` names the call that has just ended, for the message. The caller holds no lock. */
void zp_pool_verify(struct zpool *pool, const char *what);
#else
static inline void zp_pool_verify(struct zpool *pool, const char *what)
{
	(void)pool;
	(void)what;
}
#endif

#endif
