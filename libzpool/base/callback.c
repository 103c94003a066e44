/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/callback.h"

#include <stddef.h>

#if defined(__SANITIZE_THREAD__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define INSTRUMENTED 1
#endif
#endif

/* the nesting depth of zp_sanitizer_look_away() in this thread */
static _Thread_local unsigned int looked_away __attribute__((tls_model("initial-exec")));

#ifdef INSTRUMENTED

/* This library is itself built with the sanitizer, which must see everything here in order to find our own races. */
bool zp_sanitizer_watches(void)
{
	return false;
}

static void ignore_begin(void)
{
}

static void ignore_end(void)
{
}

void zp_sanitizer_release(void *pool)
{
	(void)pool;
}

void zp_sanitizer_acquire(void *pool)
{
	(void)pool;
}

#else

/*
 * The part of the sanitizer's interface that the runtimes of both gcc and clang export. The symbols are absent in all
 * other processes.
 */
extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));
extern void AnnotateIgnoreReadsBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreReadsEnd(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesBegin(const char *file, int line) __attribute__((weak));
extern void AnnotateIgnoreWritesEnd(const char *file, int line) __attribute__((weak));

bool zp_sanitizer_watches(void)
{
	return __tsan_acquire && __tsan_release && AnnotateIgnoreReadsBegin && AnnotateIgnoreReadsEnd &&
	       AnnotateIgnoreWritesBegin && AnnotateIgnoreWritesEnd;
}

static void ignore_begin(void)
{
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static void ignore_end(void)
{
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}

void zp_sanitizer_release(void *pool)
{
	__tsan_release(pool);
}

void zp_sanitizer_acquire(void *pool)
{
	__tsan_acquire(pool);
}

#endif

void zp_sanitizer_look_away(void)
{
	if (looked_away++ == 0)
		ignore_begin();
}

void zp_sanitizer_look_again(void)
{
	if (--looked_away == 0)
		ignore_end();
}

struct zp_callback zp_callback_begin(void)
{
	struct zp_callback callback = { zp_cancel_disable(), looked_away };

	looked_away = 0;
	if (callback.looked_away)
		ignore_end();
	return callback;
}

void zp_callback_end(const struct zp_callback *callback)
{
	if (callback->looked_away)
		ignore_begin();
	looked_away = callback->looked_away;
	zp_cancel_restore(callback->cancel_state);
}
