/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/error.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

static void *text_of_this_thread(void *user)
{
	char *copy = user;
	(void)snprintf(copy, 64, "%s", zpool_last_error());
	return NULL;
}

static void in_thread(void *(*fn)(void *user), void *user)
{
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, fn, user), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

__attribute__((format(printf, 1, 2))) static void driver_says(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	zp_error_from_driver(format, args);
	va_end(args);
}

START_TEST(thread_without_an_error_reads_the_empty_text)
{
	char text[64] = "?";
	in_thread(text_of_this_thread, text);
	ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(fail_returns_the_negative_errno_and_sets_the_text)
{
	ck_assert_int_eq(zp_fail(ENOSPC, "%s has %d", "it", 7), -ENOSPC);
	ck_assert_str_eq(zpool_last_error(), "it has 7");
}
END_TEST

START_TEST(fail_null_returns_null_and_sets_errno)
{
	errno = 0;
	ck_assert_ptr_null(zp_fail_null(EBUSY, "busy %u", 3u));
	ck_assert_int_eq(errno, EBUSY);
	ck_assert_str_eq(zpool_last_error(), "busy 3");
}
END_TEST

START_TEST(fail_static_sets_the_text_without_a_copy)
{
	static const char sentence[] = "It is so.";
	ck_assert_int_eq(zp_fail_static(EAGAIN, sentence), -EAGAIN);
	ck_assert_ptr_eq(zpool_last_error(), sentence);
}
END_TEST

START_TEST(reading_the_last_error_does_not_clear_it)
{
	(void)zp_fail(EIO, "still here");
	ck_assert_str_eq(zpool_last_error(), "still here");
	ck_assert_str_eq(zpool_last_error(), "still here");
}
END_TEST

START_TEST(arguments_may_point_to_the_previous_text)
{
	(void)zp_fail(EIO, "first");
	(void)zp_fail(EIO, "<%s>", zpool_last_error());
	ck_assert_str_eq(zpool_last_error(), "<first>");
	(void)zp_fail_static(EIO, "static");
	(void)zp_fail(EIO, "<%s>", zpool_last_error());
	ck_assert_str_eq(zpool_last_error(), "<static>");
}
END_TEST

START_TEST(long_text_is_not_truncated)
{
	static char long_text[100001];
	memset(long_text, 'x', sizeof(long_text) - 1);
	(void)zp_fail(EIO, "%s!", long_text);
	ck_assert_uint_eq(strlen(zpool_last_error()), sizeof(long_text));
	ck_assert_int_eq(zpool_last_error()[sizeof(long_text) - 1], '!');
}
END_TEST

START_TEST(empty_text_is_accepted)
{
	(void)zp_fail(EIO, "something");
	(void)zp_fail(EIO, "%s", "");
	ck_assert_str_eq(zpool_last_error(), "");
}
END_TEST

static void *fail_and_read(void *user)
{
	(void)zp_fail(EIO, "the message of the other thread");
	return text_of_this_thread(user);
}

START_TEST(each_thread_has_its_own_text)
{
	char text[64] = "";
	(void)zp_fail(EIO, "the message of the main thread");
	in_thread(fail_and_read, text);
	ck_assert_str_eq(text, "the message of the other thread");
	ck_assert_str_eq(zpool_last_error(), "the message of the main thread");
}
END_TEST

START_TEST(message_of_the_driver_is_used_only_once)
{
	driver_says("page %d is torn", 9);
	ck_assert_str_eq(zpool_last_error(), "page 9 is torn");
	ck_assert(zp_error_take_driver_text());
	ck_assert(!zp_error_take_driver_text());
	ck_assert_str_eq(zpool_last_error(), "page 9 is torn");
}
END_TEST

START_TEST(later_message_of_the_core_replaces_the_drivers)
{
	driver_says("a");
	(void)zp_fail(EIO, "b");
	ck_assert(!zp_error_take_driver_text());
	driver_says("a");
	(void)zp_fail_static(EIO, "b");
	ck_assert(!zp_error_take_driver_text());
	driver_says("a");
	(void)zp_fail_null(EIO, "b");
	ck_assert(!zp_error_take_driver_text());
}
END_TEST

START_TEST(preserved_message_counts_as_the_drivers)
{
	(void)zp_fail(EIO, "from below");
	zp_error_keep();
	ck_assert(zp_error_take_driver_text());
	ck_assert_str_eq(zpool_last_error(), "from below");
}
END_TEST

START_TEST(saved_error_text_is_restored_after_other_failures)
{
	struct zp_error aside;
	driver_says("the outer one");
	for (int failures = 0; failures < 3; failures++) {
		zp_error_set_aside(&aside);
		ck_assert_str_eq(zpool_last_error(), "");
		for (int i = 0; i < failures; i++)
			(void)zp_fail(EIO, "an inner one");
		zp_error_put_back(&aside);
		ck_assert_str_eq(zpool_last_error(), "the outer one");
	}
	ck_assert(zp_error_take_driver_text());
	(void)zp_fail(EIO, "later");
	ck_assert_str_eq(zpool_last_error(), "later");
}
END_TEST

static void set_texts_aside(void)
{
	struct zp_error aside;

	(void)zp_fail(EIO, "%0256d", 1);
	zp_error_set_aside(&aside);
	(void)zp_fail(EIO, "%0256d", 2);
	zp_error_put_back(&aside);
	zp_error_set_aside(&aside);
	(void)zp_fail(EIO, "%0256d", 3);
	zp_error_discard(&aside);
}

START_TEST(texts_that_are_set_aside_and_replaced_are_freed)
{
	ck_assert_uint_lt(unit_heap_growth_bytes(set_texts_aside), 64 * UNIT_HEAP_ROUNDS);
}
END_TEST

START_TEST(error_without_memory_keeps_the_errno)
{
	(void)zp_fail(EIO, "before");
	memory_fail_at(1);
	int err = zp_fail(EBUSY, "lost");
	ck_assert(memory_stop());
	ck_assert_int_eq(err, -EBUSY);
	assert_contains(zpool_last_error(), "Out of memory");
	(void)zp_fail(EIO, "found again");
	ck_assert_str_eq(zpool_last_error(), "found again");
}
END_TEST

static pthread_key_t late_key;
static char late_text[64];

static void fail_late(void *user)
{
	(void)user;
	(void)zp_fail(EIO, "said at the very end");
	(void)snprintf(late_text, sizeof(late_text), "%s", zpool_last_error());
}

static void *fail_before_and_at_exit(void *user)
{
	(void)zp_fail(EIO, "said before");
	ck_assert_int_eq(pthread_setspecific(late_key, &late_key), 0);
	return user;
}

/*
 * The destructors of other keys run before or after the library's own, and must be able to set a message in both cases.
 */
START_TEST(messages_can_be_set_in_thread_destructors)
{
	late_text[0] = '\0';
	ck_assert_int_eq(pthread_key_create(&late_key, fail_late), 0);
	in_thread(fail_before_and_at_exit, NULL);
	ck_assert_int_eq(pthread_key_delete(late_key), 0);
	ck_assert_str_eq(late_text, "said at the very end");
}
END_TEST

/* The library must not store its text under a key that it did not get. */
START_TEST(thread_keys_of_the_program_keep_their_values)
{
	static pthread_key_t keys[PTHREAD_KEYS_MAX];
	static char value;
	size_t count = 0;

	while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0)
		ck_assert_int_eq(pthread_setspecific(keys[count++], &value), 0);
	(void)zp_fail(EIO, "said without a key");
	ck_assert_str_eq(zpool_last_error(), "said without a key");
	for (size_t i = 0; i < count; i++)
		ck_assert_ptr_eq(pthread_getspecific(keys[i]), &value);
	while (count)
		ck_assert_int_eq(pthread_key_delete(keys[--count]), 0);
	(void)zp_fail(EIO, "said with a key");
	ck_assert_str_eq(zpool_last_error(), "said with a key");
}
END_TEST

static bool fails_meanwhile;
static unsigned int keys_made, keys_deleted;

/*
 * The library calls these two functions instead of the C library's.  While this thread makes a key for the texts,
 * another thread makes one as well.
 */
int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	int (*create)(pthread_key_t *, void (*)(void *)) = NULL;
	char text[64] = "";

	*(void **)&create = dlsym(RTLD_NEXT, "pthread_key_create");
	if (fails_meanwhile) {
		fails_meanwhile = false;
		in_thread(fail_and_read, text);
		ck_assert_str_eq(text, "the message of the other thread");
	}
	keys_made++;
	return create(key, destructor);
}

int pthread_key_delete(pthread_key_t key)
{
	int (*delete)(pthread_key_t) = NULL;

	*(void **)&delete = dlsym(RTLD_NEXT, "pthread_key_delete");
	keys_deleted++;
	return delete (key);
}

/* This case is the first one, because the key is made at the first message of the process. */
START_TEST(threads_that_fail_first_at_once_share_one_key)
{
	fails_meanwhile = true;
	keys_made = keys_deleted = 0;
	(void)zp_fail(EIO, "the message of this thread");
	ck_assert_str_eq(zpool_last_error(), "the message of this thread");
	ck_assert(!fails_meanwhile);
	ck_assert_uint_eq(keys_made, 2);
	ck_assert_uint_eq(keys_deleted, 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		threads_that_fail_first_at_once_share_one_key,
		thread_without_an_error_reads_the_empty_text,
		fail_returns_the_negative_errno_and_sets_the_text,
		fail_null_returns_null_and_sets_errno,
		fail_static_sets_the_text_without_a_copy,
		reading_the_last_error_does_not_clear_it,
		arguments_may_point_to_the_previous_text,
		long_text_is_not_truncated,
		empty_text_is_accepted,
		each_thread_has_its_own_text,
		message_of_the_driver_is_used_only_once,
		later_message_of_the_core_replaces_the_drivers,
		preserved_message_counts_as_the_drivers,
		saved_error_text_is_restored_after_other_failures,
		texts_that_are_set_aside_and_replaced_are_freed,
		error_without_memory_keeps_the_errno,
		messages_can_be_set_in_thread_destructors,
		thread_keys_of_the_program_keep_their_values,
	};
	return UNIT_RUN("base/error", tests);
}
