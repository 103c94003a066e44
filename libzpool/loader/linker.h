/* SPDX-License-Identifier: MIT
 *
 * linker.h - no thread waits without end for the dynamic linker's lock
 *
 * The C library holds a lock of its own while dlopen(3) and dlclose(3) run constructors and destructors, and nobody can
 * wait for that lock with a time limit.  A constructor that waits for a thread which loads a plugin would therefore
 * hang both for good.  Every call of ours that takes the lock stands between zp_linker_begin() and zp_linker_end(), and
 * begins only while no other call of ours may be running a plugin's code, or gives up after some time.
 *
 * What a host opens on its own is not seen here.
 */
#ifndef ZP_LOADER_LINKER_H
#define ZP_LOADER_LINKER_H 1

#include <stdbool.h>

/* A call in progress.  On the stack of its thread. */
struct zp_linker_call {
	const char *path; /* of the file that is opened or closed, as the linker names it */
	bool maps;        /* it is opened, and was not in memory before: its constructors run */
	bool closes;      /* its destructors may run */
	struct zp_linker_call *next;
};

/*
 * Waits until no other call can be running a plugin's code.  0; or -EDEADLK, with the reason in *why, to be freed
 * (NULL: out of memory).
 */
int zp_linker_begin(struct zp_linker_call *call, char **why);
void zp_linker_end(struct zp_linker_call *call);

/* Is a file of this name in memory?  The linker goes by the name and does not look at the file again. */
bool zp_linker_has_mapped(const char *path);

/* The child of fork(2) has none of the parent's other threads, and so none of their calls. */
void zp_linker_forget_calls(void);

#endif
