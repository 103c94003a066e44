/* SPDX-License-Identifier: MIT
 *
 * error.h - the calling thread's last error
 *
 * Every failure that a caller can see passes through here once, on its way out, with a sentence for
 * zpool_last_error().  The zp_fail functions return what the public function then returns.
 */
#ifndef ZP_BASE_ERROR_H
#define ZP_BASE_ERROR_H 1

#include <stdarg.h>
#include <stdbool.h>

/* err is a positive errno; gives -err. */
__attribute__((format(printf, 2, 3))) int zp_fail(int err, const char *format, ...);

/* The same without formatting, memory or system calls, for paths under ZPOOL_GFP_NOWAIT.  The text is not copied. */
int zp_fail_static(int err, const char *sentence);

/* For functions that return pointers: sets errno, gives NULL. */
__attribute__((format(printf, 2, 3))) void *zp_fail_null(int err, const char *format, ...);

/* A driver's own sentence for the failure it is about to return. */
__attribute__((format(printf, 1, 0))) void zp_error_from_driver(const char *format, va_list args);

/* Did a driver leave a sentence since this was last asked?  Then it stands, and the core adds none of its own. */
bool zp_error_take_driver_text(void);

/*
 * Around code of the host's that may call the library: what fails in there is not the failure that is being told of.
 * Set aside first, then put back, by the same thread.
 */
struct zp_error {
	const char *text;
	char *heap;
	bool from_driver;
};
void zp_error_set_aside(struct zp_error *error);
void zp_error_put_back(const struct zp_error *error);

/* Instead of putting it back: what failed since is the failure. */
void zp_error_discard(const struct zp_error *error);

/* The sentence that there is counts as a driver's: it stands for what a filter returns after a failure below it. */
void zp_error_keep(void);

#endif
