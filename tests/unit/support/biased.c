/* SPDX-License-Identifier: MIT
 *
 * biased.c - the lock that its owner takes with plain stores, with and without membarrier(2)
 */
#include <config.h>

#include "biased.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

enum { REVOCATIONS = 200, STORES_ARE_SEEN_NS = 10 * 1000 * 1000 };

static struct zp_biased biased;
static unsigned long counter;
static _Atomic(unsigned long) entries; /* how often the owner entered */
static _Atomic(bool) is_over;

static bool filter_membarrier(uint32_t answer)
{
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), (struct sock_filter *)code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/*
 * Makes membarrier(2) fail in this process from here on.  Returns false if the system does not allow system call
 * filters.
 */
static bool refuse_membarrier(void)
{
	return filter_membarrier(SECCOMP_RET_ERRNO | EPERM);
}

static void *own(void *unused)
{
	(void)unused;
	while (!atomic_load(&is_over)) {
		/* On a busy machine, an owner that spins would keep the other thread from its processor. */
		if (!zp_biased_enter(&biased)) {
			(void)sched_yield();
			continue;
		}
		counter++;
		atomic_fetch_add_explicit(&entries, 1, memory_order_relaxed);
		zp_biased_leave(&biased);
	}
	return NULL;
}

/*
 * The owner and a thread that keeps it out increase the same counter without atomic operations, and no increment may
 * be lost.
 */
static void exclude(void (*halfway)(void))
{
	pthread_t thread;

	counter = 0;
	atomic_store(&entries, 0);
	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, own, NULL), 0);
	for (int i = 0; i < REVOCATIONS; i++) {
		unsigned long seen = atomic_load(&entries);

		if (i == REVOCATIONS / 2 && halfway)
			halfway();
		while (atomic_load(&entries) == seen)
			sched_yield();
		zp_biased_revoke(&biased);
		zp_biased_barrier();
		zp_biased_wait(&biased);
		counter++;
		zp_biased_restore(&biased);
	}
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(counter, atomic_load(&entries) + REVOCATIONS);
}

START_TEST(owner_is_excluded_until_the_hold_ends)
{
	zp_biased_setup();
	ck_assert(zp_biased_enter(&biased));
	zp_biased_leave(&biased);
	zp_biased_revoke(&biased);
	zp_biased_barrier();
	zp_biased_wait(&biased);
	ck_assert(!zp_biased_enter(&biased));
	zp_biased_restore(&biased);
	ck_assert(zp_biased_enter(&biased));
	zp_biased_leave(&biased);
}
END_TEST

START_TEST(owner_and_another_thread_exclude_each_other)
{
	zp_biased_setup();
	exclude(NULL);
}
END_TEST

START_TEST(without_membarrier_the_owner_executes_the_fence)
{
	if (!refuse_membarrier())
		return;
	zp_biased_setup();
	ck_assert(atomic_load(&zp_biased_is_fenced));
	exclude(NULL);
}
END_TEST

static void refuse_halfway(void)
{
	(void)refuse_membarrier();
	errno = 4711;
	zp_biased_barrier();
	ck_assert_int_eq(errno, 4711);
}

/* A program may forbid system calls after its pools were created. */
START_TEST(membarrier_that_is_refused_later_is_replaced_by_the_fence)
{
	zp_biased_setup();
	exclude(refuse_halfway);
	exclude(NULL);
}
END_TEST

static volatile pid_t child = -1;

/* Runs in the place of the first membarrier(2). */
static void fork_in_setup(int signal)
{
	(void)signal;
	if (child >= 0)
		return;
	child = fork();
	if (child)
		return;
	/* Check has installed its own handler. */
	(void)sigaction(SIGALRM, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
	(void)alarm(5);
	zp_biased_setup();
	_exit(zp_biased_enter(&biased) ? 0 : 1);
}

/* In the child, the thread that was trying membarrier(2) does not exist, so its first pool must not wait for it. */
START_TEST(child_does_not_wait_for_a_setup_that_the_fork_interrupted)
{
	struct sigaction action = { .sa_handler = fork_in_setup, .sa_flags = SA_NODEFER };
	int status;

	if (!unit_may_fork())
		return;
	ck_assert_int_eq(sigaction(SIGSYS, &action, NULL), 0);
	if (!filter_membarrier(SECCOMP_RET_TRAP))
		return;
	zp_biased_setup();
	if (child < 0)
		return;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert(zp_biased_enter(&biased));
	zp_biased_leave(&biased);
}
END_TEST

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *wait_until_over(void *unused)
{
	(void)unused;
	while (!atomic_load(&is_over))
		(void)sched_yield();
	return NULL;
}

/*
 * One thread has told the owners to execute the fence, and is still waiting for the stores of those that did not.
 * Another thread must not take the fences for granted yet; it sleeps itself, which a slow machine can only prolong.
 */
START_TEST(thread_that_finds_a_refusal_in_progress_waits_for_the_stores_too)
{
	pthread_t thread;
	uint64_t before;

	zp_biased_setup();
	if (atomic_load(&zp_biased_is_fenced) || !refuse_membarrier())
		return;
	atomic_store(&is_over, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, wait_until_over, NULL), 0);
	atomic_store(&zp_biased_is_fenced, true);
	before = now_ns();
	zp_biased_barrier();
	ck_assert_uint_ge(now_ns() - before, STORES_ARE_SEEN_NS);
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/biased");
	TCase *tcase = tcase_create("biased");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, owner_is_excluded_until_the_hold_ends);
	tcase_add_test(tcase, owner_and_another_thread_exclude_each_other);
	tcase_add_test(tcase, without_membarrier_the_owner_executes_the_fence);
	tcase_add_test(tcase, membarrier_that_is_refused_later_is_replaced_by_the_fence);
	tcase_add_test(tcase, child_does_not_wait_for_a_setup_that_the_fork_interrupted);
	tcase_add_test(tcase, thread_that_finds_a_refusal_in_progress_waits_for_the_stores_too);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
