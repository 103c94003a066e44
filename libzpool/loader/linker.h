/* SPDX-License-Identifier: MIT
 *
 * linker.h - avoid waiting forever for the dynamic linker's lock
 *
 * The C library holds its own lock while dlopen(3) and dlclose(3) run constructors and destructors, and waiting for
 * that lock has no time limit. A constructor that waits for a thread that loads a plugin would therefore deadlock with
 * it. Every libzpool call that takes this lock is enclosed by zp_linker_begin() and zp_linker_end(). It starts only
 * when no other such call may be running code of a plugin, and gives up after some time.
 *
 * Calls that the host makes to the linker are not covered.
 */
#ifndef ZP_LOADER_LINKER_H
#define ZP_LOADER_LINKER_H 1

#include <stdbool.h>

/* A call in progress, on the stack of its thread. */
struct zp_linker_call {
	const char *path; /* of the file that is opened or closed, as the linker names it */
	bool maps;        /* the file is being opened and was not in memory before, so its constructors run */
	bool closes;      /* the destructors of the file may run */
	struct zp_linker_call *next;
};

/*
 * Waits until no other call can be running code of a plugin. Returns 0, or -EDEADLK with the reason in *why, which the
 * caller frees (NULL: out of memory).
 */
int zp_linker_begin(struct zp_linker_call *call, char **why);
void zp_linker_end(struct zp_linker_call *call);

/* Returns true if a file of this name is in memory. The linker compares names and does not examine the file again. */
bool zp_linker_has_mapped(const char *path);

/* The other threads of the parent, and so their calls, do not exist in the child of fork(2). */
void zp_linker_forget_calls(void);

#endif
