/* SPDX-License-Identifier: MIT
 *
 * watch.c - which time counts when a case does nothing, computes, or is stopped together with the suite
 *
 * The clock and the processes of the case are made up.
 */
#include "conformance/watch.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conformance/processes.h"
#include "tests/unit/run.h"

enum { LIMIT_S = 60 };

static bool clock_is_fake;
static double clock_s, processor_s;
static struct ct_watch watch;
static char text[300];

/* watch.c calls this instead of clock_gettime(). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	if (!clock_is_fake)
		return __real_clock_gettime(clock, now);
	now->tv_sec = (time_t)clock_s;
	now->tv_nsec = (long)((clock_s - (double)now->tv_sec) * 1e9);
	return 0;
}

void ct_processes_each(void (*fn)(const struct ct_process *process, void *user), void *user)
{
	struct ct_process process = { .pid = 2, .parent = 1, .name = "case", .state = 'S' };

	process.ticks = (unsigned long long)(processor_s * (double)sysconf(_SC_CLK_TCK));
	fn(&process, user);
}

static void start(void)
{
	clock_is_fake = true;
	clock_s = 1000;
	processor_s = 0;
	ct_watch_start(&watch, LIMIT_S);
}

/* Looks every second while the case uses this share of a processor. Returns the look after which it is to be killed. */
static int look_for(int seconds, double share)
{
	for (int i = 1; i <= seconds; i++) {
		clock_s += 1.1;
		processor_s += 1.1 * share;
		if (ct_watch_look(&watch, 0, text, sizeof(text)))
			return i;
	}
	return 0;
}

START_TEST(case_that_does_nothing_is_a_deadlock)
{
	start();
	ck_assert_int_eq(look_for(LIMIT_S * 9 / 10, 0), 0);
	ck_assert_int_ne(look_for(LIMIT_S / 5, 0), 0);
	assert_contains(text, "a deadlock");
	clock_is_fake = false;
}
END_TEST

START_TEST(case_that_computes_without_a_step_is_an_endless_loop)
{
	start();
	ck_assert_int_eq(look_for(LIMIT_S * 9 / 10, 1), 0);
	ck_assert_int_ne(look_for(LIMIT_S / 5, 1), 0);
	assert_contains(text, "an endless loop");
	clock_is_fake = false;
}
END_TEST

/* A frozen control group, for example, stops the case and its keeper for as long as the user likes. */
START_TEST(pause_of_case_and_keeper_does_not_count)
{
	start();
	for (int i = 0; i < 10; i++) {
		clock_s += 3600;
		ck_assert_int_eq(look_for(1, 0), 0);
	}
	ck_assert_int_ne(look_for(LIMIT_S, 0), 0);
	assert_contains(text, "a deadlock");
	clock_is_fake = false;
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		case_that_does_nothing_is_a_deadlock,
		case_that_computes_without_a_step_is_an_endless_loop,
		pause_of_case_and_keeper_does_not_count,
	};

	return UNIT_RUN("watch", tests);
}
