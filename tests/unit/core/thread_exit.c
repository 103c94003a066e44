/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/thread_exit.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"

/* The hooks that ran, in order. */
static char trace[64];

static void note(void *arg)
{
	size_t length = strlen(trace);
	ck_assert_uint_lt(length + 1, sizeof(trace));
	trace[length] = *(const char *)arg;
	trace[length + 1] = '\0';
}

static void add(void (*fn)(void *arg), const char *arg)
{
	ck_assert_int_eq(zp_thread_exit_add(NULL, fn, (void *)(uintptr_t)arg), 0);
}

static void cancel(void (*fn)(void *arg), const char *arg)
{
	zp_thread_exit_cancel(fn, (void *)(uintptr_t)arg);
}

static void in_thread(void *(*fn)(void *user), void *user)
{
	pthread_t thread;
	trace[0] = '\0';
	ck_assert_int_eq(pthread_create(&thread, NULL, fn, user), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static const char a[] = "a", b[] = "b", c[] = "c";

static void *add_three(void *user)
{
	add(note, a);
	add(note, b);
	add(note, c);
	ck_assert_str_eq(trace, "");
	return user;
}

START_TEST(hooks_run_in_reverse_order_when_the_thread_ends)
{
	in_thread(add_three, NULL);
	ck_assert_str_eq(trace, "cba");
}
END_TEST

static void *add_the_same_twice(void *user)
{
	add(note, a);
	add(note, a);
	return user;
}

START_TEST(hook_that_was_added_twice_runs_twice)
{
	in_thread(add_the_same_twice, NULL);
	ck_assert_str_eq(trace, "aa");
}
END_TEST

static void note_too(void *arg)
{
	note(arg);
}

static void *add_and_cancel(void *user)
{
	add(note, a);
	add(note, b);
	add(note_too, a);
	add(note, a);
	cancel(note, a);
	return user;
}

START_TEST(cancel_removes_all_hooks_with_that_function_and_argument)
{
	in_thread(add_and_cancel, NULL);
	ck_assert_str_eq(trace, "ab");
}
END_TEST

START_TEST(cancel_of_what_was_never_added_is_harmless)
{
	cancel(note, "never");
	trace[0] = '\0';
	in_thread(add_three, NULL);
	cancel(note, a);
	ck_assert_str_eq(trace, "cba");
}
END_TEST

static pthread_barrier_t added, cancelled;

static void *add_and_wait(void *user)
{
	add(note, a);
	pthread_barrier_wait(&added);
	pthread_barrier_wait(&cancelled);
	return user;
}

START_TEST(cancel_reaches_hooks_of_other_threads)
{
	pthread_t threads[3];
	trace[0] = '\0';
	pthread_barrier_init(&added, NULL, 4);
	pthread_barrier_init(&cancelled, NULL, 4);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_wait, NULL), 0);
	pthread_barrier_wait(&added);
	cancel(note, a);
	pthread_barrier_wait(&cancelled);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert_str_eq(trace, "");
}
END_TEST

static pthread_barrier_t hook_runs, hook_may_end;
static _Atomic bool hook_ended;

static void slow(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&hook_runs);
	pthread_barrier_wait(&hook_may_end);
	hook_ended = true;
}

static void *end_slowly(void *user)
{
	add(slow, a);
	return user;
}

static void *cancel_slow(void *user)
{
	cancel(slow, a);
	*(bool *)user = hook_ended;
	return NULL;
}

START_TEST(cancel_waits_for_a_hook_that_runs_in_another_thread)
{
	pthread_t ending, cancelling;
	bool ended = false;
	hook_ended = false;
	pthread_barrier_init(&hook_runs, NULL, 2);
	pthread_barrier_init(&hook_may_end, NULL, 2);
	ck_assert_int_eq(pthread_create(&ending, NULL, end_slowly, NULL), 0);
	pthread_barrier_wait(&hook_runs);
	ck_assert_int_eq(pthread_create(&cancelling, NULL, cancel_slow, &ended), 0);
	/* Cancelling a different hook does not wait for the running one. */
	cancel(note, a);
	pthread_barrier_wait(&hook_may_end);
	pthread_join(ending, NULL);
	pthread_join(cancelling, NULL);
	ck_assert(ended);
}
END_TEST

static void cancel_itself(void *arg)
{
	cancel(cancel_itself, arg);
	note(arg);
}

static void *end_with_cancel_itself(void *user)
{
	add(cancel_itself, a);
	add(cancel_itself, a);
	return user;
}

START_TEST(cancel_from_inside_the_hook_itself_does_not_wait)
{
	in_thread(end_with_cancel_itself, NULL);
	ck_assert_str_eq(trace, "a");
}
END_TEST

static int rounds_left;

static void add_another(void *arg)
{
	note(arg);
	if (--rounds_left > 0)
		add(add_another, arg);
}

static void *end_with_a_chain(void *user)
{
	add(note, b);
	add(add_another, a);
	return user;
}

/* The chain is longer than the number of rounds in which the system calls a thread's destructors. */
START_TEST(hooks_added_by_hooks_run)
{
	rounds_left = 20;
	in_thread(end_with_a_chain, NULL);
	ck_assert_str_eq(trace, "aaaaaaaaaaaaaaaaaaaab");
	/* The thread has ended, so cancel has nothing to wait for. */
	cancel(add_another, a);
}
END_TEST

static pthread_key_t late_key;

static void add_late(void *arg)
{
	add(note, arg);
}

static void *end_with_a_late_hook(void *user)
{
	add(note, b);
	ck_assert_int_eq(pthread_setspecific(late_key, a), 0);
	return user;
}

START_TEST(hook_added_by_another_keys_destructor_runs)
{
	ck_assert_int_eq(pthread_key_create(&late_key, add_late), 0);
	in_thread(end_with_a_late_hook, NULL);
	ck_assert_int_eq(pthread_key_delete(late_key), 0);
	ck_assert_uint_eq(strlen(trace), 2);
	assert_contains(trace, "a");
	assert_contains(trace, "b");
}
END_TEST

static void *fail_to_add(void *user)
{
	unsigned int *failures = user;
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		int err = zp_thread_exit_add(NULL, note, (void *)(uintptr_t)a);
		if (!memory_stop())
			return NULL;
		if (err == -ENOMEM)
			++*failures;
	}
}

START_TEST(add_without_memory_is_reported_and_adds_nothing)
{
	unsigned int failures = 0;
	in_thread(fail_to_add, &failures);
	ck_assert_uint_eq(failures, 2);
	ck_assert_str_eq(trace, "a");
}
END_TEST

static _Atomic unsigned int ran;

static void count(void *arg)
{
	(void)arg;
	ran++;
}

static void *add_and_cancel_often(void *user)
{
	for (int i = 0; i < 50; i++) {
		add(count, user);
		cancel(count, user);
		add(count, b);
	}
	return NULL;
}

START_TEST(many_threads_add_and_cancel_at_once)
{
	static char names[8];
	pthread_t threads[8];
	ran = 0;
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, add_and_cancel_often, &names[i]), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(ran, 8 * 50);
}
END_TEST

/* This test is about the parent; core/fork.c tests that the child drops its hooks. */
START_TEST(parent_of_a_fork_keeps_all_hooks)
{
	pthread_t thread;
	bool ended = false;
	hook_ended = false;
	pthread_barrier_init(&hook_runs, NULL, 2);
	pthread_barrier_init(&hook_may_end, NULL, 2);
	add(note, b);
	ck_assert_int_eq(pthread_create(&thread, NULL, end_slowly, NULL), 0);
	pthread_barrier_wait(&hook_runs);
	zp_thread_exit_lock();
	zp_thread_exit_unlock(false);
	pthread_t cancelling;
	ck_assert_int_eq(pthread_create(&cancelling, NULL, cancel_slow, &ended), 0);
	pthread_barrier_wait(&hook_may_end);
	pthread_join(cancelling, NULL);
	pthread_join(thread, NULL);
	ck_assert(ended);
	cancel(note, b);
}
END_TEST

START_TEST(hook_can_be_added_when_the_program_frees_a_key)
{
	static pthread_key_t keys[PTHREAD_KEYS_MAX];
	size_t count = 0;

	if (!unit_may_fork()) /* In one process for all tests, an earlier test has created the library's key. */
		return;
	while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0)
		count++;
	ck_assert_int_eq(zp_thread_exit_add(NULL, note, (void *)(uintptr_t)a), -ENOMEM);
	while (count)
		ck_assert_int_eq(pthread_key_delete(keys[--count]), 0);
	in_thread(add_three, NULL);
	ck_assert_str_eq(trace, "cba");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		hooks_run_in_reverse_order_when_the_thread_ends,
		hook_that_was_added_twice_runs_twice,
		cancel_removes_all_hooks_with_that_function_and_argument,
		cancel_of_what_was_never_added_is_harmless,
		cancel_reaches_hooks_of_other_threads,
		cancel_waits_for_a_hook_that_runs_in_another_thread,
		cancel_from_inside_the_hook_itself_does_not_wait,
		hooks_added_by_hooks_run,
		hook_added_by_another_keys_destructor_runs,
		add_without_memory_is_reported_and_adds_nothing,
		many_threads_add_and_cancel_at_once,
		parent_of_a_fork_keeps_all_hooks,
		hook_can_be_added_when_the_program_frees_a_key,
	};
	return UNIT_RUN("core/thread_exit", tests);
}
