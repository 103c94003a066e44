/* SPDX-License-Identifier: MIT
 *
 * fork.h - keeping pools usable in a forked child
 */
#ifndef ZP_CORE_FORK_H
#define ZP_CORE_FORK_H 1

#include <stdbool.h>

/*
 * Does fork() take our locks?  It does from the moment that the library is loaded, unless there was no memory.  Looking
 * here is also what links fork.c into a program that has the static library.
 */
extern bool zp_fork_armed;

#endif
