/* SPDX-License-Identifier: MIT
 *
 * processes.h - the processes that descend from this one
 */
#ifndef CT_PROCESSES_H
#define CT_PROCESSES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * ticks     processor time in clock ticks, with that of its children that have ended
 * state     R, S, D, T, Z and so on, as in proc(5)
 */
struct ct_process {
	pid_t pid;
	pid_t parent;
	char name[32];
	char state;
	unsigned long long ticks;
};

/* Visit all descendants of the calling process, parents first.  Nothing is visited on a system without /proc. */
void ct_processes_each(void (*fn)(const struct ct_process *process, void *user), void *user);

#endif /* CT_PROCESSES_H */
