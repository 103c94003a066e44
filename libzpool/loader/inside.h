/* SPDX-License-Identifier: MIT
 *
 * inside.h - is this thread loading or unloading a plugin?
 *
 * Such a thread may be running a plugin's constructor or destructor, which may call libzpool. Waiting for another load
 * from there would deadlock, because the C library holds its loader lock around constructors.
 */
#ifndef ZP_LOADER_INSIDE_H
#define ZP_LOADER_INSIDE_H 1

#include <stdbool.h>

/* Returns true if the calling thread is inside a load or an unload. */
bool zp_loader_inside(void);

/*
 * Between these two calls zp_loader_inside() is true. They also cover the work around the module's own code, because a
 * log handler may call libzpool from there.
 */
void zp_loader_enter(void);
void zp_loader_leave(void);

#endif
