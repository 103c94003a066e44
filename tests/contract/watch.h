/* SPDX-License-Identifier: MIT
 *
 * watch.h - tells a deadlock, an endless loop and slow work from each other
 *
 * Time on the wall says little: the machine may be busy, the driver slow.  A case counts its steps (each check is
 * one), and the system counts the processor time of its processes.  Without a step,
 *
 * - processor time beyond the limit is an endless loop,
 * - the limit gone by without processor time is a deadlock.
 *
 * While steps are made the case may go on, up to CT_WATCH_WALL times the limit.
 */
#ifndef CT_WATCH_H
#define CT_WATCH_H 1

#include <stddef.h>
#include <stdint.h>

#define CT_WATCH_WALL 20

/*
 * limit_s     see above
 * steps       as seen last
 * loop_s      processor time since the last step
 * idle_s      time since the last step in which the processes waited
 * looked_ns   when ct_watch_look() last did its work, which is once a second
 */
struct ct_watch {
	unsigned int limit_s;
	uint64_t steps;
	double loop_s;
	double idle_s;
	double processor_s;
	uint64_t began_ns;
	uint64_t looked_ns;
};

void ct_watch_start(struct ct_watch *watch, unsigned int limit_s);

/*
 * Look at the descendants of the calling process, whose count of steps is `steps`.  0: they may go on.  1: they may
 * not, and text says why, as a sentence without its end.
 */
int ct_watch_look(struct ct_watch *watch, uint64_t steps, char *text, size_t text_size);

#endif /* CT_WATCH_H */
