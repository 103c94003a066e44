/* SPDX-License-Identifier: MIT
 *
 * watch.c - distinguishes a deadlock, an endless loop and slow work
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "watch.h"
#include "processes.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS UINT64_C(1000000000)

/* The most that counts between two looks: if this process was stopped or frozen meanwhile, so was the case. */
#define LOOK_NS_MAX (3 * LOOK_NS)

/* Processes that use less than this share of a processor are helpers that poll while the driver's threads wait. */
#define IDLE_SHARE 0.05

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void ct_watch_start(struct ct_watch *watch, unsigned int limit_s)
{
	memset(watch, 0, sizeof(*watch));
	watch->limit_s = limit_s;
	watch->looked_ns = now_ns();
}

struct usage {
	unsigned long long ticks;
	bool runnable;
	bool seen;
};

/* A process in state R or D waits for a processor or a disk that others use; this is not a deadlock. */
static void add_usage(const struct ct_process *process, void *user)
{
	struct usage *usage = user;

	usage->seen = true;
	usage->ticks += process->ticks;
	usage->runnable = usage->runnable || process->state == 'R' || process->state == 'D';
}

static void account(struct ct_watch *watch, uint64_t steps, double elapsed_s)
{
	struct usage usage = { 0, false, false };
	double processor_s, used_s;

	ct_processes_each(add_usage, &usage);
	processor_s = (double)usage.ticks / (double)sysconf(_SC_CLK_TCK);
	used_s = processor_s > watch->processor_s ? processor_s - watch->processor_s : 0;
	watch->processor_s = processor_s;
	if (steps != watch->steps) {
		watch->steps = steps;
		watch->loop_s = 0;
		watch->idle_s = 0;
		return;
	}
	watch->loop_s += used_s;
	if (usage.seen && used_s < IDLE_SHARE * elapsed_s && !usage.runnable)
		watch->idle_s += elapsed_s;
	else if (watch->idle_s > 4 * elapsed_s)
		watch->idle_s -= 4 * elapsed_s;
	else
		watch->idle_s = 0;
}

int ct_watch_look(struct ct_watch *watch, uint64_t steps, char *text, size_t text_size)
{
	uint64_t now = now_ns(), elapsed_ns = now - watch->looked_ns;
	double elapsed_s = (double)(elapsed_ns < LOOK_NS_MAX ? elapsed_ns : LOOK_NS_MAX) / 1e9;

	if (elapsed_ns < LOOK_NS)
		return 0;
	account(watch, steps, elapsed_s);
	watch->wall_s += elapsed_s;
	watch->looked_ns = now;
	if (watch->loop_s > watch->limit_s)
		snprintf(
			text, text_size,
			"an endless loop: the case used %.0f s of processor time without finishing a step, and was killed",
			watch->loop_s);
	else if (watch->idle_s > watch->limit_s)
		snprintf(
			text, text_size,
			"a deadlock: for %.0f s the case neither finished a step nor used the processor, and was killed",
			watch->idle_s);
	else if (watch->wall_s > (double)watch->limit_s * CT_WATCH_WALL)
		snprintf(
			text, text_size,
			"the case was killed after %.0f s, in which it used %.0f s of processor time: it is very slow, or repeats its steps forever; --timeout gives it more time",
			watch->wall_s, watch->processor_s);
	else
		return 0;
	return 1;
}
