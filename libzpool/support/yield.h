/* SPDX-License-Identifier: MIT
 *
 * yield.h - points at which a thread may give up its processor, to try schedules that seldom occur
 *
 * Between two steps of a protocol without locks, another thread gets its turn only if the system happens to interrupt
 * the first one there, which on an idle machine almost never happens.  A point marks such a place.  In builds with
 * ZPOOL_DEBUG_CHECKS, if the environment variable ZPOOL_YIELD is set to a number, a thread that passes a point
 * sometimes yields or sleeps there, as pseudo-random numbers decide: most often it continues, seldom it sleeps for some
 * microseconds, and very seldom for a few milliseconds.  The number is the seed.  Without the variable a point costs a
 * load, and in other builds it is no code at all.
 *
 * A point must not be passed by code that promises to make no system call, except with the variable set.
 */
#ifndef ZP_SUPPORT_YIELD_H
#define ZP_SUPPORT_YIELD_H

#ifdef ZPOOL_DEBUG_CHECKS
void zp_yield_point(void);
#else
#define zp_yield_point() ((void)0)
#endif

#endif
