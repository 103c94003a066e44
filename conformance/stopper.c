/* SPDX-License-Identifier: MIT
 *
 * stopper.c - interrupts a call at a random instruction and makes another call meanwhile
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "stopper.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STOPPER_SIGNAL (SIGRTMIN + 4)

/* How long the other thread may compute while the call is interrupted, because a driver may spin for a lock. */
#define MEANWHILE_NS 5000000

/*
 * The states in which the two threads take turns.  IDLE: the main thread has nothing to interrupt.  AIMING: the other
 * thread sends signals; a signal has MISSED if no call was running.  STOPPED: the call is interrupted, and the other
 * thread makes its call.  DONE: the other thread ends.
 */
enum turn { IDLE, AIMING, MISSED, STOPPED, DONE, OVER };

/*
 * inside  the main thread is executing the call
 * go      wakes the other thread
 * state   /proc/self/task/<the other thread>/stat
 */
static struct {
	struct sigaction before;
	pthread_t main, other;
	volatile sig_atomic_t inside;
	void (*meanwhile)(void *arg);
	void *arg;
	sem_t go;
	atomic_int turn, tid;
	int state;
} stopper;

static uint64_t processor_ns(clockid_t clock)
{
	struct timespec now = { 0, 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool other_sleeps(void)
{
	char text[256];
	ssize_t length = pread(stopper.state, text, sizeof(text) - 1, 0);
	const char *name_end;

	if (length <= 0)
		return true;
	text[length] = '\0';
	name_end = strrchr(text, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

/* Runs in the signal handler, during the interrupted call, and takes no lock. */
static void let_the_other_run(void)
{
	unsigned int asleep = 0;
	clockid_t clock;
	uint64_t began;

	if (pthread_getcpuclockid(stopper.other, &clock) != 0)
		return;
	began = processor_ns(clock);
	atomic_store(&stopper.turn, STOPPED);
	sem_post(&stopper.go);
	for (unsigned int looks = 0; atomic_load(&stopper.turn) != DONE && asleep < 3; looks++) {
		sched_yield();
		if (looks < 20)
			continue;
		asleep = other_sleeps() ? asleep + 1 : 0;
		if (processor_ns(clock) - began > MEANWHILE_NS)
			return;
	}
}

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	if (atomic_load(&stopper.turn) == AIMING) {
		if (stopper.inside) {
			stopper.inside = 0;
			let_the_other_run();
		} else {
			atomic_store(&stopper.turn, MISSED);
			sem_post(&stopper.go);
		}
	}
	errno = saved;
}

static void await_go(void)
{
	while (sem_wait(&stopper.go) != 0)
		continue;
}

/* A sleep of random length makes every instruction of the call equally likely. */
static void aim(struct ct_rng *rng)
{
	struct timespec moment = { 0, 1 + (long)ct_rng_below(rng, 20000) };

	do {
		nanosleep(&moment, NULL);
		atomic_store(&stopper.turn, AIMING);
		pthread_kill(stopper.main, STOPPER_SIGNAL);
		await_go();
	} while (atomic_load(&stopper.turn) == MISSED);
}

static void other_thread(struct ct_thread *thread)
{
	stopper.other = pthread_self();
	atomic_store(&stopper.tid, (int)syscall(SYS_gettid));
	for (;;) {
		await_go();
		if (atomic_load(&stopper.turn) == OVER)
			return;
		aim(&thread->rng);
		stopper.meanwhile(stopper.arg);
		atomic_store(&stopper.turn, DONE);
	}
}

bool ct_stopper_open(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	char path[64];

	if (ct_instrumented())
		return false;
	memset(&stopper, 0, sizeof(stopper));
	stopper.main = pthread_self();
	CT_CHECK(sigaction(STOPPER_SIGNAL, &action, &stopper.before) == 0, "sigaction: %s", strerror(errno));
	sem_init(&stopper.go, 0, 0);
	ct_threads_start(1, other_thread, NULL);
	while (atomic_load(&stopper.tid) == 0)
		sched_yield();
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&stopper.tid));
	stopper.state = open(path, O_RDONLY | O_CLOEXEC);
	return true;
}

void ct_stopper_close(void)
{
	atomic_store(&stopper.turn, OVER);
	sem_post(&stopper.go);
	ct_threads_join();
	if (stopper.state >= 0)
		close(stopper.state);
	sem_destroy(&stopper.go);
	sigaction(STOPPER_SIGNAL, &stopper.before, NULL);
}

void ct_stopper_run(void (*call)(void *arg), void (*undo)(void *arg), void (*meanwhile)(void *arg), void *arg)
{
	stopper.meanwhile = meanwhile;
	stopper.arg = arg;
	atomic_store(&stopper.turn, IDLE);
	sem_post(&stopper.go);
	/* With a real-time policy, the other thread may run only when this one yields; often would spoil the aim. */
	for (unsigned int tries = 1;; tries++) {
		stopper.inside = 1;
		call(arg);
		stopper.inside = 0;
		if (atomic_load(&stopper.turn) >= STOPPED)
			break;
		undo(arg);
		if (tries % 8192 == 0)
			sched_yield();
	}
	/* If the case has no process of its own, a failed check ends only the other thread. */
	for (unsigned int looks = 0; atomic_load(&stopper.turn) != DONE && !ct_stopping(); looks++) {
		if (looks < 1000)
			sched_yield();
		else
			nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	if (ct_stopping())
		ct_threads_join();
}
