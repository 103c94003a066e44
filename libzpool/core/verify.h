/* SPDX-License-Identifier: MIT
 *
 * verify.h - in builds with debug checks: after every call the pool's drivers look whether all is well
 *
 * A driver that finds its pool damaged ends the process there and then, with its sentence in the log and in
 * zpool_last_error(): the call that did the damage, or the one after it, is on the stack.
 *
 * Looking costs as much as the pool is large, so a large pool is looked at less often: up to 256 KiB after every
 * call, up to 512 KiB after every second, and so on.  The environment variable ZPOOL_VERIFY fixes that: after every
 * call (1), every second (2), or never (0).  What a NOWAIT call did is seen by the next that may wait, for looking
 * takes locks.
 */
#ifndef ZP_CORE_VERIFY_H
#define ZP_CORE_VERIFY_H 1

struct zpool;

#ifdef ZPOOL_DEBUG_CHECKS
/* what: the call that has just ended, for the message.  With no lock held. */
void zp_pool_verify(struct zpool *pool, const char *what);
#else
static inline void zp_pool_verify(struct zpool *pool, const char *what)
{
	(void)pool;
	(void)what;
}
#endif

#endif
