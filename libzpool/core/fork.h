/* SPDX-License-Identifier: MIT
 *
 * fork.h - keeping pools usable in a forked child
 */
#ifndef ZP_CORE_FORK_H
#define ZP_CORE_FORK_H 1

#include <stdbool.h>

/*
 * True if the fork handlers are registered, which happens when the library is loaded, unless memory runs out. A use of
 * this variable also makes the linker include fork.c in programs that use the static library.
 */
extern bool zp_fork_armed;

#endif
