/* SPDX-License-Identifier: MIT
 *
 * child.c - the parent's view of a child: how it ended, for how long it was silent, and that nobody else is killed
 */
#include "tools/child.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tools/message.h"

static unsigned int kills;
static char said[CHILD_TEXT];

/* child.c calls this instead of kill(). */
int __wrap_kill(pid_t pid, int number);
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
	kills++;
	return __real_kill(pid, number);
}

static bool clock_is_fake;
static unsigned int readings;
static int resume_fd;

/*
 * child.c calls this instead of clock_gettime(). The fake clock advances little with each reading, except that parent
 * and child are stopped for an hour before the third reading. After the tenth one, the child continues.
 */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (!clock_is_fake)
		return __real_clock_gettime(clock, now);
	readings++;
	now->tv_sec = 1000 + (readings > 2 ? 3600 : 0);
	now->tv_nsec = (long)readings * 1000000;
	if (readings == 10)
		ck_assert_int_eq((int)write(resume_fd, "x", 1), 1);
	return 0;
}

/* The tool's own warn() escapes its text, which needs the rest of the tool. */
void warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

static void keep(void *user, const void *bytes, size_t count)
{
	ck_assert_uint_le(count, 8);
	memcpy(user, bytes, count);
}

static void report(int out, void *arg)
{
	child_report(out, arg, 4);
}

static void leave(int out, void *arg)
{
	(void)out;
	_exit(*(const int *)arg);
}

static void wait_forever(int out, void *arg)
{
	(void)out;
	(void)arg;
	for (;;)
		pause();
}

static struct child_end run(void (*fn)(int out, void *arg), void *arg, char answer[8])
{
	struct child_job job = { .run = fn, .arg = arg, .sink = keep, .user = answer, .timeout_seconds = 1 };
	struct child_end end;

	kills = 0;
	ck_assert_int_eq(child_run(&job, &end), 0);
	child_describe(&end, said);
	return end;
}

START_TEST(answer_and_status_of_a_child_arrive)
{
	char text[] = "abc", answer[8] = "";
	struct child_end end;
	int status = 3;

	if (!unit_may_fork())
		return;
	end = run(report, text, answer);
	ck_assert(child_succeeded(&end));
	ck_assert_str_eq(answer, "abc");
	end = run(leave, &status, answer);
	ck_assert(!child_succeeded(&end));
	ck_assert_str_eq(said, "ended with status 3");
	ck_assert_uint_eq(kills, 0);
}
END_TEST

START_TEST(silent_child_is_killed_once)
{
	struct child_end end;
	char answer[8];

	if (!unit_may_fork())
		return;
	end = run(wait_forever, NULL, answer);
	ck_assert(end.hung && !child_succeeded(&end));
	ck_assert_str_eq(said, "stopped after 1 s in which nothing happened");
	ck_assert_uint_eq(kills, 1);
}
END_TEST

/* The kernel reaps the child at once, so that its pid may already belong to another process. */
START_TEST(child_that_is_reaped_elsewhere_ends_the_wait_and_is_not_killed)
{
	char text[] = "abc", answer[8] = "";
	struct child_end end;

	if (!unit_may_fork())
		return;
	ck_assert(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	end = run(report, text, answer);
	ck_assert(end.lost && !child_succeeded(&end));
	ck_assert_str_eq(said, "ended with an unknown status");
	ck_assert_str_eq(answer, "abc");
	ck_assert_uint_eq(kills, 0);

	child_expect();
	end = run(report, text, answer);
	ck_assert(child_succeeded(&end));
}
END_TEST

static void wait_for_a_byte(int out, void *arg)
{
	char byte;

	ck_assert_int_eq((int)read(*(const int *)arg, &byte, 1), 1);
	child_report(out, "abc", 4);
}

START_TEST(pause_of_parent_and_child_is_no_silence)
{
	struct child_end end;
	char answer[8] = "";
	int pipes[2];

	if (!unit_may_fork())
		return;
	ck_assert_int_eq(pipe(pipes), 0);
	resume_fd = pipes[1];
	clock_is_fake = true;
	end = run(wait_for_a_byte, &pipes[0], answer);
	clock_is_fake = false;
	ck_assert_str_eq(said, "ended with status 0");
	ck_assert(child_succeeded(&end));
	ck_assert_str_eq(answer, "abc");
	ck_assert_uint_eq(kills, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		answer_and_status_of_a_child_arrive,
		silent_child_is_killed_once,
		child_that_is_reaped_elsewhere_ends_the_wait_and_is_not_killed,
		pause_of_parent_and_child_is_no_silence,
	};

	return UNIT_RUN("child", tests);
}
