/* SPDX-License-Identifier: MIT
 *
 * watchdog.c - finds threads that hang or loop, and prints what each thread is doing
 *
 * Elapsed time proves nothing, because the machine may be busy and the library slow.  If an actor does not finish a
 * step while the process uses much processor time, the actor is in an endless loop, or waits for a thread that is.  If
 * for a long time no thread of the process runs or could run, the threads wait for each other.
 */
#include <config.h>

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__has_include)
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAVE_STACKS 1
#endif
#endif

#include "races.h"

/* A step takes long if many threads share few processors, and longer if each call is checked. */
enum { STEP_CPU_S = 120, STEP_CPU_S_PER_ACTOR = 3, IDLE_S = 60, FRAMES_MAX = 40 };
#define IDLE_SHARE 0.02

static struct {
	uint64_t steps;
	unsigned int serial;
	double cpu_s;
} seen[ACTORS_MAX];
static double looked_s, looked_cpu_s, idle_s;

static double clock_seconds(clockid_t id)
{
	struct timespec now;

	(void)clock_gettime(id, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double process_cpu_seconds(void)
{
	return clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- reports ---- */

#ifdef HAVE_STACKS
static void print_stack(int number)
{
	void *frames[FRAMES_MAX];

	(void)number;
	backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
}
#endif

void print_actors(void)
{
	for (unsigned int i = 0; i < races.actor_count; i++) {
		struct actor *actor = races.actors[i];
		struct timespec pause = { .tv_nsec = 20000000 };

		if (!actor || atomic_load(&actor->ended))
			continue;
		struct place *place = atomic_load(&actor->place);
		const char *call = atomic_load(&actor->call);
		fprintf(stderr, "thread %u: role %s, %" PRIu64 " steps, %s%s%s%s\n", actor->serial, actor->role,
			atomic_load(&actor->steps), place ? place->spec : "no pool", call ? ", inside " : "",
			call ? call : "", actor == self ? ", this one" : "");
#ifdef HAVE_STACKS
		if (actor != self && pthread_kill(actor->thread, SIGUSR2) == 0)
			(void)nanosleep(&pause, NULL);
#else
		(void)pause;
#endif
	}
}

void races_fail(const char *format, ...)
{
	static _Atomic(bool) failed;
	const char *call = atomic_load(&self->call);
	va_list args;
	int state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (atomic_exchange(&failed, true))
		(void)pause(); /* another thread is reporting, and will end the process */
	(void)fflush(stdout);
	fprintf(stderr, "races: FAILED in thread %u, role %s%s%s: ", self->serial, self->role ? self->role : "none",
		call ? ", inside " : "", call ? call : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nraces: repeat it with --seed %" PRIu64 " --threads %u --places %u --objects %u\n",
		races.seed, races.actor_count, races.place_count, races.object_count);
	print_actors();
	abort();
}

/* ---- checks ---- */

void watchdog_start(void)
{
#ifdef HAVE_STACKS
	struct sigaction action = { .sa_handler = print_stack };
	void *frames[1];

	(void)backtrace(frames, 1); /* the first call allocates memory, which a signal handler must not do */
	(void)sigaction(SIGUSR2, &action, NULL);
#endif
	looked_s = clock_seconds(CLOCK_MONOTONIC);
	looked_cpu_s = process_cpu_seconds();
}

/* Returns true if a thread of this process runs, or waits for a processor or a disk; false also without /proc. */
static bool some_thread_is_runnable(void)
{
	DIR *tasks = opendir("/proc/self/task");
	bool runnable = false;

	for (struct dirent *task; tasks && !runnable && (task = readdir(tasks));) {
		char name[300], line[512], *state;
		FILE *stat;

		(void)snprintf(name, sizeof(name), "/proc/self/task/%s/stat", task->d_name);
		if (atoi(task->d_name) == getpid() || !(stat = fopen(name, "re")))
			continue;
		state = fgets(line, sizeof(line), stat) ? strrchr(line, ')') : NULL;
		runnable = state && (state[2] == 'R' || state[2] == 'D');
		(void)fclose(stat);
	}
	if (tasks)
		(void)closedir(tasks);
	return runnable;
}

static void look_at_actor(unsigned int i, double cpu_s)
{
	const struct actor *actor = races.actors[i];
	double limit_s = STEP_CPU_S + STEP_CPU_S_PER_ACTOR * (double)races.actor_count;
	uint64_t steps = actor ? atomic_load(&actor->steps) : 0;

	if (!actor || atomic_load(&actor->ended) || steps != seen[i].steps || actor->serial != seen[i].serial) {
		seen[i].steps = steps;
		seen[i].serial = actor ? actor->serial : 0;
		seen[i].cpu_s = cpu_s;
		return;
	}
	races_check(cpu_s - seen[i].cpu_s < limit_s,
		    "thread %u, role %s, has not finished a step for %.0f s of processor time", actor->serial,
		    actor->role, cpu_s - seen[i].cpu_s);
}

void watchdog_look(void)
{
	double now_s = clock_seconds(CLOCK_MONOTONIC), cpu_s = process_cpu_seconds(), elapsed_s = now_s - looked_s;

	if (elapsed_s < 1)
		return;
	for (unsigned int i = 0; i < races.actor_count; i++)
		look_at_actor(i, cpu_s);
	if (cpu_s - looked_cpu_s < IDLE_SHARE * elapsed_s && !some_thread_is_runnable())
		idle_s += elapsed_s;
	else
		idle_s = 0;
	looked_s = now_s;
	looked_cpu_s = cpu_s;
	races_check(idle_s < IDLE_S, "all threads have been waiting for %.0f s", idle_s);
}
