/* SPDX-License-Identifier: MIT
 *
 * processes.h - the descendants of this process
 */
#ifndef CT_PROCESSES_H
#define CT_PROCESSES_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * ticks     processor time in clock ticks, including its children that have ended
 * state     R, S, D, T, Z and so on, as in proc(5)
 */
struct ct_process {
	pid_t pid;
	pid_t parent;
	char name[32];
	char state;
	unsigned long long ticks;
};

/* Visits all descendants of the calling process, parents first; none on a system without /proc. */
void ct_processes_each(void (*fn)(const struct ct_process *process, void *user), void *user);

#endif /* CT_PROCESSES_H */
