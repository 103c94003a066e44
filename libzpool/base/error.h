/* SPDX-License-Identifier: MIT
 *
 * error.h - the calling thread's last error
 *
 * Every failure that a caller can see is recorded here once before it is returned, with a sentence for
 * zpool_last_error(). The zp_fail functions return the value that the public function then returns.
 */
#ifndef ZP_BASE_ERROR_H
#define ZP_BASE_ERROR_H 1

#include <stdarg.h>
#include <stdbool.h>

/* err is a positive errno. Returns -err. */
__attribute__((format(printf, 2, 3))) int zp_fail(int err, const char *format, ...);

/*
 * Like zp_fail() without formatting, memory or system calls, for paths under ZPOOL_GFP_NOWAIT. The text is not copied.
 */
int zp_fail_static(int err, const char *sentence);

/* For functions that return pointers: sets errno and returns NULL. */
__attribute__((format(printf, 2, 3))) void *zp_fail_null(int err, const char *format, ...);

/* Records the message of a driver about the failure that it is about to return. */
__attribute__((format(printf, 1, 0))) void zp_error_from_driver(const char *format, va_list args);

/*
 * Returns true if a driver has set a message since the last call of this function. The core then keeps that message and
 * does not set its own.
 */
bool zp_error_take_driver_text(void);

/*
 * These two enclose calls of host functions that may call the library, because errors inside them must not replace the
 * error that is being reported. The same thread saves the error first and restores it afterwards.
 */
struct zp_error {
	const char *text;
	char *heap;
	bool from_driver;
};
void zp_error_set_aside(struct zp_error *error);
void zp_error_put_back(const struct zp_error *error);

/* Discards the saved error: an error that was recorded since then is the one to report. */
void zp_error_discard(const struct zp_error *error);

/*
 * Marks the current message as a driver's, so that it also describes the error that a filter returns for a failure
 * below it.
 */
void zp_error_keep(void);

#endif
