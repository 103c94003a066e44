/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/unit/run.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A child that takes longer counts as hanging. */
enum { CHILD_SECONDS = 60 };

int unit_run(const char *suite_name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(suite_name);
	TCase *tcase = tcase_create(suite_name);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	tcase_set_timeout(tcase, CHILD_SECONDS);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}

static size_t heap_bytes(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	return mallinfo2().uordblks;
#else
	return 0;
#endif
}

size_t unit_heap_growth_bytes(void (*fn)(void))
{
	size_t before = 0;

	for (int i = 0; i < UNIT_HEAP_ROUNDS; i++) {
		fn();
		if (i == 1)
			before = heap_bytes();
	}
	size_t after = heap_bytes();
	return after > before ? after - before : 0;
}

bool unit_may_fork(void)
{
	return getenv("ZPOOL_TEST_NO_FORK") == NULL;
}

bool unit_child_can_allocate(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
	return false;
#endif
#endif
	return getenv("ZPOOL_TEST_VALGRIND") == NULL;
}

int unit_in_child(int (*fn)(void))
{
	int status = 0;
	fflush(NULL);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		/* Check's own handler would end the whole test. */
		(void)signal(SIGALRM, SIG_DFL);
		alarm(CHILD_SECONDS / 2);
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

unsigned int unit_seed(void)
{
	const char *given = getenv("UNIT_SEED");
	unsigned int seed =
		given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL) ^ (unsigned int)getpid();
	printf("UNIT_SEED=%u\n", seed);
	fflush(stdout);
	return seed;
}

int unit_run_self(const char *argument, const char *variable, char *text, size_t text_bytes)
{
	char self[PATH_MAX] = "", *arguments[] = { self, (char *)(uintptr_t)argument, NULL };
	char *environment[64];
	size_t count = 0, length = 0;
	int ends[2], status = 0;
	posix_spawn_file_actions_t actions;
	pid_t child;

	for (char **entry = environ; *entry && count < 62; entry++)
		if (strncmp(*entry, variable, strcspn(variable, "=") + 1) != 0)
			environment[count++] = *entry;
	environment[count++] = (char *)(uintptr_t)variable;
	environment[count] = NULL;

	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
	ck_assert_int_eq(pipe(ends), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, ends[0]);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
	ck_assert_int_eq(posix_spawn(&child, self, &actions, NULL, arguments, environment), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	ssize_t n;
	while (length + 1 < text_bytes && (n = read(ends[0], text + length, text_bytes - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void unit_leave_descriptors(int count)
{
	static struct rlimit before;
	struct rlimit limit;
	if (count < 0) {
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		return;
	}
	int lowest = open("/", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(lowest, 0);
	close(lowest);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	limit = before;
	limit.rlim_cur = (rlim_t)(lowest + count);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
