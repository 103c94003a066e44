/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it calls a function of libzpool.
 */
#define MOCK_TYPE calls_zpool
#include "mock.h"

extern ZPOOL_PUBLIC const char *(*const calls_zpool_function)(void);
const char *(*const calls_zpool_function)(void) = zpool_version;
