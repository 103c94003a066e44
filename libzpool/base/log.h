/* SPDX-License-Identifier: MIT
 *
 * log.h - log messages of the library
 *
 * Nothing is logged unless the host set a handler or the environment variable ZPOOL_DEBUG asks for it.
 */
#ifndef ZP_BASE_LOG_H
#define ZP_BASE_LOG_H 1

#include <stdarg.h>
#include <stdbool.h>

#include "zpool.h"

__attribute__((format(printf, 2, 3))) void zp_log(enum zpool_log_level level, const char *format, ...);
__attribute__((format(printf, 3, 0))) void zp_vlog(enum zpool_log_level level, const char *prefix, const char *format,
						   va_list args);

/* For fork(): the handler is not replaced between these two calls.  It may be running in another thread. */
void zp_log_lock(void);
void zp_log_unlock(bool child);

#endif
