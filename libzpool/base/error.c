/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
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

/* The key that frees a thread's text, or -1. */
static _Atomic(int64_t) error_key = -1;

static const char out_of_memory[] = "Out of memory while composing an error message.";

static void error_slot_free(void *heap)
{
	free(heap);
	error_slot = (struct zp_error){ 0 };
}

/*
 * Returns the key, or -1 if the program uses all of them. It is tried again every time, because the program may free
 * one. There is no lock, because a child of fork() would find it held by a thread that does not exist there.
 */
static int64_t error_key_get(void)
{
	int64_t key = error_key;
	pthread_key_t made;

	if (key >= 0 || pthread_key_create(&made, error_slot_free) != 0)
		return key;
	if (atomic_compare_exchange_strong(&error_key, &key, (int64_t)made))
		return (int64_t)made;
	(void)pthread_key_delete(made);
	return key;
}

/*
 * Lets the text be freed with the thread. Without a key it stays when the thread ends. Returns false if there is no
 * memory for the thread's value of the key.
 */
static bool error_key_set(const char *text)
{
	int64_t key = error_key_get();

	return key < 0 || pthread_setspecific((pthread_key_t)key, text) == 0;
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
	if (!text || !error_key_set(text)) {
		free(text);
		error_slot.text = out_of_memory;
		return;
	}
	free(error_slot.heap);
	error_slot.heap = text;
	error_slot.text = text;
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
		(void)error_key_set(error->heap);
	}
	error_slot = *error;
}

void zp_error_discard(const struct zp_error *error)
{
	if (!error->heap)
		return;
	free(error->heap);
	(void)error_key_set(error_slot.heap);
}

const char *zpool_last_error(void)
{
	return error_slot.text ? error_slot.text : "";
}
