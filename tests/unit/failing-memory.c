/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/unit/failing-memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number of allocations up to the one that fails; 0 if none fails. */
static _Thread_local unsigned int left;
static _Thread_local bool came;

void memory_fail_at(unsigned int nth)
{
	came = false;
	left = nth;
}

bool memory_stop(void)
{
	left = 0;
	return came;
}

static bool fails(void)
{
	if (left == 0 || --left > 0)
		return false;
	came = true;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *previous, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
FILE *__real_open_memstream(char **text, size_t *bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *previous, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
FILE *__wrap_open_memstream(char **text, size_t *bytes);
__attribute__((format(printf, 2, 0))) int __wrap_vasprintf(char **text, const char *format, va_list args);
__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **text, const char *format, ...);
__attribute__((format(printf, 3, 0))) int __wrap___vasprintf_chk(char **text, int flag, const char *format,
								 va_list args);
__attribute__((format(printf, 3, 4))) int __wrap___asprintf_chk(char **text, int flag, const char *format, ...);

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *previous, size_t bytes)
{
	return fails() ? NULL : __real_realloc(previous, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

FILE *__wrap_open_memstream(char **text, size_t *bytes)
{
	return fails() ? NULL : __real_open_memstream(text, bytes);
}

/*
 * With fortification, the library calls the checking variants of these functions, which are not wrapped. They end up
 * here.
 */
__attribute__((format(printf, 2, 0))) static int compose(char **text, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int length = fails() ? -1 : vsnprintf(NULL, 0, format, again);
	va_end(again);
	char *made = length < 0 ? NULL : __real_malloc((size_t)length + 1);
	if (!made)
		return -1;
	*text = made;
	return vsnprintf(made, (size_t)length + 1, format, args);
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
	return compose(text, format, args);
}

int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list args)
{
	(void)flag;
	return compose(text, format, args);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = compose(text, format, args);
	va_end(args);
	return length;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list args;
	(void)flag;
	va_start(args, format);
	int length = compose(text, format, args);
	va_end(args);
	return length;
}
