/* SPDX-License-Identifier: MIT
 *
 * env.h - environment variables, which are ignored in privileged programs
 */
#ifndef ZP_BASE_ENV_H
#define ZP_BASE_ENV_H 1

#include <stdbool.h>

/* As secure_getenv(3): NULL in set-user-ID, set-group-ID and otherwise privileged programs. */
const char *zp_secure_getenv(const char *name);

/* Returns true if the program runs with privileges that its caller lacks (AT_SECURE). */
bool zp_is_secure(void);

#endif
