/* SPDX-License-Identifier: MIT
 *
 * threads.c - threads and forked processes of a case
 */
#include "case.h"
#include "outcome.h"
#include "watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <sys/wait.h>
#include <unistd.h>

struct running {
	pthread_t id;
	struct ct_thread thread;
	void (*fn)(struct ct_thread *thread);
};

static struct running running[CT_THREADS_MAX];
static unsigned int running_count;
static pthread_barrier_t running_start;

static void *thread_main(void *arg)
{
	struct running *r = arg;

	pthread_barrier_wait(&running_start);
	r->fn(&r->thread);
	return NULL;
}

void ct_threads_start(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg)
{
	CT_CHECK(count >= 1 && count <= CT_THREADS_MAX, "the test suite asked for %u threads", count);
	pthread_barrier_init(&running_start, NULL, count);
	running_count = count;
	for (unsigned int i = 0; i < count; i++) {
		int error;

		running[i].fn = fn;
		running[i].thread.index = i;
		running[i].thread.arg = arg;
		running[i].thread.rng.state = ct_rng_next(&ct.rng);
		error = pthread_create(&running[i].id, NULL, thread_main, &running[i]);
		CT_CHECK(error == 0, "pthread_create: %s", strerror(error));
	}
}

void ct_threads_join(void)
{
	for (unsigned int i = 0; i < running_count; i++)
		pthread_join(running[i].id, NULL);
	running_count = 0;
	pthread_barrier_destroy(&running_start);
	if (ct_outcome_known())
		ct_outcome_leave();
}

void ct_threads_run(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg)
{
	ct_threads_start(count, fn, arg);
	ct_threads_join();
}

/* Other threads of this process may make progress while the child hangs, so the child's own steps are watched. */
static void await_child(pid_t pid, int *status)
{
	struct timespec pause = { 0, 200000 };
	struct ct_watch watch;
	char text[300];
	pid_t ended;

	ct_watch_start(&watch, ct.timeout_s);
	while ((ended = waitpid(pid, status, WNOHANG)) != pid) {
		CT_CHECK(ended == 0 || errno == EINTR, "the forked process cannot be waited for: %s", strerror(errno));
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 20000000)
			pause.tv_nsec *= 2;
		if (!ct_watch_look(&watch, ct_child_steps(), text, sizeof(text)))
			continue;
		kill(pid, SIGKILL);
		waitpid(pid, status, 0);
		CT_CHECK(false, "in the forked process: %s", text);
	}
}

void ct_in_child(void (*fn)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CT_CHECK(pid >= 0, "fork: %s", strerror(errno));
	if (pid == 0) {
		ct_outcome_in_child();
		fn(arg);
		_exit(0);
	}
	await_child(pid, &status);
	if (ct_outcome_known())
		ct_outcome_leave();
	CT_CHECK(!WIFSIGNALED(status), "the forked process was killed by signal %d (%s)", WTERMSIG(status),
		 strsignal(WTERMSIG(status)));
	CT_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the forked process ended with status %#x",
		 (unsigned int)status);
}
