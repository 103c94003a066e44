/* SPDX-License-Identifier: MIT
 *
 * watch.h - distinguishes a deadlock, an endless loop and slow work
 *
 * Elapsed time alone says little, because the machine may be busy or the driver slow.  A case counts its steps (each
 * check is one), and the system counts the processor time of its processes.  Without a step,
 *
 * - processor time beyond the limit means an endless loop,
 * - reaching the limit without using processor time means a deadlock.
 *
 * The time in which the watching process itself was stopped or frozen does not count.
 *
 * While the case makes steps it may continue for up to CT_WATCH_WALL times the limit.
 */
#ifndef CT_WATCH_H
#define CT_WATCH_H 1

#include <stddef.h>
#include <stdint.h>

#define CT_WATCH_WALL 20

/*
 * limit_s     see above
 * steps       the last known number of steps
 * loop_s      processor time since the last step
 * idle_s      time since the last step during which the processes waited
 * wall_s      time since the start, without that in which this process was stopped or frozen
 * looked_ns   when ct_watch_look() last did its work, which is once a second
 */
struct ct_watch {
	unsigned int limit_s;
	uint64_t steps;
	double loop_s;
	double idle_s;
	double processor_s;
	double wall_s;
	uint64_t looked_ns;
};

void ct_watch_start(struct ct_watch *watch, unsigned int limit_s);

/*
 * Checks the descendants of the calling process, which have made `steps` steps.  Returns 0 if they may continue.
 * Returns 1 if not, and sets text to the reason, as a sentence without its full stop.
 */
int ct_watch_look(struct ct_watch *watch, uint64_t steps, char *text, size_t text_size);

#endif /* CT_WATCH_H */
