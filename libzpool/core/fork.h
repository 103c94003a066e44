/* SPDX-License-Identifier: MIT
 *
 * fork.h - keeping pools usable in a forked child
 */
#ifndef ZP_CORE_FORK_H
#define ZP_CORE_FORK_H 1

#include <stdbool.h>

/*
 * Are the fork handlers registered? They are from the moment that the library is loaded, unless memory ran out. A call
 * of this function also makes the linker include fork.c in programs that use the static library.
 */
extern bool zp_fork_armed;

#endif
