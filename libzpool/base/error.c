/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "zpool.h"

/*
 * Only pointers live in thread-local storage, because it is allocated when a thread starts and never by a system call
 * in the middle of a NOWAIT call. The text itself is on the heap, grows to the longest message, and is freed with the
 * thread.
 */
static _Thread_local struct zp_error error_slot __attribute__((tls_model("initial-exec")));
static pthread_key_t error_key;
static pthread_once_t error_key_once = PTHREAD_ONCE_INIT;

static const char out_of_memory[] = "Out of memory while composing an error message.";

static void error_slot_free(void *heap)
{
	free(heap);
	error_slot = (struct zp_error){ 0 };
}

static void error_key_create(void)
{
	/* Without a key, the texts of ended threads are leaked, which is harmless. */
	(void)pthread_key_create(&error_key, error_slot_free);
}

/* A thread that ends through exit() runs no key destructor, so its text is freed here. */
__attribute__((destructor)) static void error_slot_free_last(void)
{
	error_slot_free(error_slot.heap);
}

/* The new text is formatted into a separate buffer, because the old text may be among the arguments. */
__attribute__((format(printf, 1, 0))) static void error_format(const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);

	char *text = length < 0 ? NULL : malloc((size_t)length + 1);
	if (!text) {
		error_slot.text = out_of_memory;
		return;
	}
	(void)vsnprintf(text, (size_t)length + 1, format, args);
	/* Messages quote paths, names and texts of drivers, which are not trusted. */
	text = zp_text_escape(text);
	if (!text) {
		error_slot.text = out_of_memory;
		return;
	}
	free(error_slot.heap);
	error_slot.heap = text;
	error_slot.text = text;
	(void)pthread_once(&error_key_once, error_key_create);
	(void)pthread_setspecific(error_key, text);
}

int zp_fail(int err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	error_format(format, args);
	va_end(args);
	error_slot.from_driver = false;
	return -err;
}

int zpool_set_error(int err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	error_format(format, args);
	va_end(args);
	error_slot.from_driver = false;
	return -err;
}

int zp_fail_static(int err, const char *sentence)
{
	error_slot.text = sentence;
	error_slot.from_driver = false;
	return -err;
}

void *zp_fail_null(int err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	error_format(format, args);
	va_end(args);
	error_slot.from_driver = false;
	errno = err;
	return NULL;
}

void zp_error_from_driver(const char *format, va_list args)
{
	error_format(format, args);
	error_slot.from_driver = true;
}

bool zp_error_take_driver_text(void)
{
	bool taken = error_slot.from_driver;
	error_slot.from_driver = false;
	return taken;
}

void zp_error_keep(void)
{
	error_slot.from_driver = true;
}

void zp_error_set_aside(struct zp_error *error)
{
	*error = error_slot;
	error_slot = (struct zp_error){ 0 };
}

void zp_error_put_back(const struct zp_error *error)
{
	if (error_slot.heap) {
		free(error_slot.heap);
		(void)pthread_setspecific(error_key, error->heap);
	}
	error_slot = *error;
}

void zp_error_discard(const struct zp_error *error)
{
	if (!error->heap)
		return;
	free(error->heap);
	(void)pthread_setspecific(error_key, error_slot.heap);
}

const char *zpool_last_error(void)
{
	return error_slot.text ? error_slot.text : "";
}
