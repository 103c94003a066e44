/* SPDX-License-Identifier: MIT
 *
 * state.c - the state of the process that a driver shares with its host
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "state.h"
#include "processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

static void add(struct ct_state *state, const char *name, const char *format, ...) CT_PRINTF(3, 4);

static void add(struct ct_state *state, const char *name, const char *format, ...)
{
	struct ct_state_entry *entry;
	char value[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (state->count == state->capacity) {
		state->capacity = state->capacity ? 2 * state->capacity : 256;
		state->at = realloc(state->at, state->capacity * sizeof(*state->at));
		CT_CHECK(state->at != NULL, "the test suite is out of memory");
	}
	entry = &state->at[state->count++];
	entry->name = strdup(name);
	entry->value = strdup(value);
	CT_CHECK(entry->name && entry->value, "the test suite is out of memory");
}

/* ------------------------------------------------------------------------------------------------------------------
 * Threads and processes
 */

/* A thread that was joined may still be listed for a moment. */
static unsigned int thread_count(void)
{
	const struct timespec moment = { 0, 10000000 };
	unsigned int count = 0;

	for (int tries = 0; tries < 20; tries++) {
		DIR *tasks = opendir("/proc/self/task");

		count = 0;
		while (tasks && readdir(tasks))
			count++;
		if (tasks)
			closedir(tasks);
		if (count <= 3) /* minus "." and ".." */
			break;
		nanosleep(&moment, NULL);
	}
	return count > 2 ? count - 2 : 0;
}

static void add_process(const struct ct_process *process, void *user)
{
	char name[64];

	snprintf(name, sizeof(name), "process %d", (int)process->pid);
	add(user, name, "\"%s\"%s", process->name, process->state == 'Z' ? ", which has ended" : "");
}

static void add_processes(struct ct_state *state)
{
	struct rusage usage = { .ru_maxrss = 0 };

	add(state, "the number of threads", "%u", thread_count());
	ct_processes_each(add_process, state);
	getrusage(RUSAGE_CHILDREN, &usage);
	add(state, "whether a process was started and has ended", "%s", usage.ru_maxrss ? "yes" : "no");
}

/* ------------------------------------------------------------------------------------------------------------------
 * Descriptors, signals, timers
 */

static void add_files(struct ct_state *state)
{
	DIR *files = opendir("/proc/self/fd");
	struct dirent *entry;

	while (files && (entry = readdir(files))) {
		char name[64], path[64], target[512];
		int fd = atoi(entry->d_name);
		ssize_t length;

		if (entry->d_name[0] == '.' || fd == dirfd(files))
			continue;
		snprintf(name, sizeof(name), "descriptor %d", fd);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		add(state, name, "%s, status flags %#x, %s", target, (unsigned int)fcntl(fd, F_GETFL),
		    fcntl(fd, F_GETFD) & FD_CLOEXEC ? "close-on-exec" : "not close-on-exec");
	}
	if (files)
		closedir(files);
}

static void add_signals(struct ct_state *state)
{
	sigset_t mask, pending;
	stack_t stack = { .ss_flags = 0 };

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigpending(&pending);
	sigaltstack(NULL, &stack);
	add(state, "the alternate signal stack", "%p", stack.ss_flags & SS_DISABLE ? NULL : stack.ss_sp);
	for (int i = 1; i <= SIGRTMAX; i++) {
		struct sigaction action;
		const char *known = i < SIGRTMIN ? sigabbrev_np(i) : NULL;
		char name[64];

		if (sigaction(i, NULL, &action) != 0)
			continue;
		if (known)
			snprintf(name, sizeof(name), "signal SIG%s", known);
		else
			snprintf(name, sizeof(name), "signal %d", i);
		add(state, name, "%s, flags %#x%s%s",
		    action.sa_handler == SIG_DFL   ? "the default action"
		    : action.sa_handler == SIG_IGN ? "ignored"
						   : "a handler",
		    (unsigned int)action.sa_flags, sigismember(&mask, i) ? ", blocked" : "",
		    sigismember(&pending, i) ? ", pending" : "");
	}
}

static void add_timers(struct ct_state *state)
{
	static const char *const names[] = { "the timer ITIMER_REAL, or alarm()", "the timer ITIMER_VIRTUAL",
					     "the timer ITIMER_PROF" };
	FILE *timers = fopen("/proc/self/timers", "re");
	unsigned int count = 0;
	char line[256];

	for (int i = 0; i < 3; i++) {
		struct itimerval timer = { .it_value = { 0, 0 } };

		getitimer(i, &timer);
		add(state, names[i], "%s", timer.it_value.tv_sec || timer.it_value.tv_usec ? "running" : "off");
	}
	while (timers && fgets(line, sizeof(line), timers))
		count += strncmp(line, "ID:", 3) == 0;
	if (timers)
		fclose(timers);
	add(state, "the number of timers", "%u", count);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Settings
 */

static void add_environment(struct ct_state *state)
{
	for (char **variable = environ; variable && *variable; variable++) {
		size_t length = strcspn(*variable, "=");
		char name[300];

		snprintf(name, sizeof(name), "the environment variable %.*s", (int)length, *variable);
		add(state, name, "\"%s\"", (*variable)[length] ? *variable + length + 1 : "");
	}
}

static void add_limits(struct ct_state *state)
{
	static const char *const names[] = { "CPU",      "FSIZE",  "DATA",    "STACK", "CORE",  "RSS",
					     "NPROC",    "NOFILE", "MEMLOCK", "AS",    "LOCKS", "SIGPENDING",
					     "MSGQUEUE", "NICE",   "RTPRIO",  "RTTIME" };

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct rlimit limit;
		char name[64];

		if (getrlimit((int)i, &limit) != 0)
			continue;
		snprintf(name, sizeof(name), "the resource limit RLIMIT_%s", names[i]);
		add(state, name, "%lld, at most %lld", (long long)limit.rlim_cur, (long long)limit.rlim_max);
	}
}

static void add_link(struct ct_state *state, const char *name, const char *path)
{
	char target[1024];
	ssize_t length = readlink(path, target, sizeof(target) - 1);

	target[length > 0 ? length : 0] = '\0';
	add(state, name, "%s", target);
}

static void add_first_line(struct ct_state *state, const char *name, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[256] = "";

	if (file && fgets(line, sizeof(line), file))
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
	add(state, name, "%s", line);
}

/* Settings that the kernel reports, by the kernel's names. */
static void add_status(struct ct_state *state)
{
	static const char *const keys[] = { "Name",   "Umask",   "Uid",        "Gid",          "Groups",      "NSpgid",
					    "NSsid",  "VmLck",   "CapInh",     "CapPrm",       "CapEff",      "CapBnd",
					    "CapAmb", "Seccomp", "NoNewPrivs", "Cpus_allowed", "Mems_allowed" };
	FILE *file = fopen("/proc/self/status", "re");
	char line[4096];

	while (file && fgets(line, sizeof(line), file)) {
		size_t length = strcspn(line, ":");

		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			char name[64];

			if (strlen(keys[i]) != length || strncmp(line, keys[i], length) != 0)
				continue;
			line[strcspn(line, "\n")] = '\0';
			snprintf(name, sizeof(name), "%s of /proc/self/status", keys[i]);
			add(state, name, "%s", line + length + 1 + strspn(line + length + 1, " \t"));
		}
	}
	if (file)
		fclose(file);
}

/* The rounding mode, the traps, and flushing of denormals to zero, which -ffast-math sets when a file is loaded. */
static uint64_t floating_point_control(void)
{
#if defined(__SSE__)
	uint16_t x87;

	__asm__ volatile("fnstcw %0" : "=m"(x87));
	return (uint64_t)x87 << 32 | (__builtin_ia32_stmxcsr() & 0xffc0u);
#elif defined(__aarch64__)
	uint64_t control;

	__asm__ volatile("mrs %0, fpcr" : "=r"(control));
	return control;
#else
	return 0;
#endif
}

static void add_thread(struct ct_state *state)
{
	int cancel_state, cancel_type;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &cancel_type);
	pthread_setcanceltype(cancel_type, NULL);
	pthread_setcancelstate(cancel_state, NULL);
	add(state, "the thread's cancellation", "%s, %s",
	    cancel_state == PTHREAD_CANCEL_ENABLE ? "enabled" : "disabled",
	    cancel_type == PTHREAD_CANCEL_DEFERRED ? "deferred" : "asynchronous");
	add(state, "the thread's floating-point control", "%#llx", (unsigned long long)floating_point_control());
}

static void add_streams(struct ct_state *state)
{
	FILE *const streams[] = { stdin, stdout, stderr };
	static const char *const names[] = { "the buffer of stdin", "the buffer of stdout", "the buffer of stderr" };

	for (int i = 0; i < 3; i++)
		add(state, names[i], "%zu bytes%s", __fbufsize(streams[i]), __flbf(streams[i]) ? ", by lines" : "");
}

/* Counts the System V shared memory segments that this process created. */
static unsigned int shared_segments(void)
{
	FILE *file = fopen("/proc/sysvipc/shm", "re");
	unsigned int count = 0;
	char line[512];
	int creator;

	while (file && fgets(line, sizeof(line), file))
		count += sscanf(line, "%*s %*s %*s %*s %d", &creator) == 1 && creator == getpid();
	if (file)
		fclose(file);
	return count;
}

/* After mlockall(MCL_FUTURE), a page is resident even if nothing has touched it. */
static bool locks_new_pages(void)
{
	long page_bytes = sysconf(_SC_PAGESIZE);
	unsigned char resident = 0;
	void *page = mmap(NULL, (size_t)page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return false;
	if (mincore(page, (size_t)page_bytes, &resident) != 0)
		resident = 0;
	munmap(page, (size_t)page_bytes);
	return resident & 1;
}

#ifdef __linux__
static void add_kernel_settings(struct ct_state *state)
{
	int death_signal = 0, reaper = 0, policy = 0;

	prctl(PR_GET_PDEATHSIG, &death_signal);
	prctl(PR_GET_CHILD_SUBREAPER, &reaper);
	add(state, "the parent-death signal", "%d", death_signal);
	add(state, "the child-subreaper attribute", "%d", reaper);
	add(state, "the dumpable attribute", "%d", prctl(PR_GET_DUMPABLE));
	add(state, "the keep-capabilities flag", "%d", prctl(PR_GET_KEEPCAPS));
	add(state, "the timer slack", "%d", prctl(PR_GET_TIMERSLACK));
	add(state, "the setting of transparent huge pages", "%d", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	add(state, "the personality", "%#x", (unsigned int)personality(0xffffffffu));
	if (syscall(SYS_get_mempolicy, &policy, NULL, 0, NULL, 0) == 0)
		add(state, "the memory policy", "%d", policy);
	add(state, "the I/O priority", "%ld", syscall(SYS_ioprio_get, 1, 0));
}
#endif

static void add_settings(struct ct_state *state)
{
	add_environment(state);
	add_limits(state);
	add_status(state);
	add_link(state, "the working directory", "/proc/self/cwd");
	add_link(state, "the root directory", "/proc/self/root");
	add_first_line(state, "oom_score_adj", "/proc/self/oom_score_adj");
	add_first_line(state, "coredump_filter", "/proc/self/coredump_filter");
	add(state, "the locale", "%s", setlocale(LC_ALL, NULL));
	add(state, "the thread's locale", "%p", (void *)uselocale((locale_t)0));
	add(state, "the nice value", "%d", getpriority(PRIO_PROCESS, 0));
	add(state, "the scheduling policy", "%d", sched_getscheduler(0));
	add_thread(state);
	add_streams(state);
	add(state, "the number of System V shared memory segments", "%u", shared_segments());
	add(state, "whether new pages are locked", "%s", locks_new_pages() ? "yes" : "no");
#ifdef __linux__
	add_kernel_settings(state);
#endif
}

void ct_state_take(struct ct_state *state, unsigned int flags)
{
	memset(state, 0, sizeof(*state));
	add_timers(state);
	add_processes(state);
	if (!(flags & CT_STATE_NO_FILES))
		add_files(state);
	add_signals(state);
	add_settings(state);
}

void ct_state_free(struct ct_state *state)
{
	for (size_t i = 0; i < state->count; i++) {
		free(state->at[i].name);
		free(state->at[i].value);
	}
	free(state->at);
	memset(state, 0, sizeof(*state));
}

/* ------------------------------------------------------------------------------------------------------------------
 * Comparing
 */

static const char *value_of(const struct ct_state *state, const char *name)
{
	for (size_t i = 0; i < state->count; i++)
		if (strcmp(state->at[i].name, name) == 0)
			return state->at[i].value;
	return NULL;
}

static void note_difference(char *text, size_t size, const char *name, const char *before, const char *now)
{
	size_t used = strlen(text);

	if (used >= size - 1)
		return;
	snprintf(text + used, size - used, "%s%s was changed to %s from %s", used ? "; " : "", name, now ? now : "gone",
		 before ? before : "absent");
}

void ct_state_compare(const struct ct_state *before, const struct ct_state *now, const char *what)
{
	char differences[2048] = "";

	for (size_t i = 0; i < now->count; i++) {
		const char *value = value_of(before, now->at[i].name);

		if (!value || strcmp(value, now->at[i].value) != 0)
			note_difference(differences, sizeof(differences), now->at[i].name, value, now->at[i].value);
	}
	for (size_t i = 0; i < before->count; i++)
		if (!value_of(now, before->at[i].name))
			note_difference(differences, sizeof(differences), before->at[i].name, before->at[i].value,
					NULL);
	CT_CHECK(differences[0] == '\0', "%s changed the process: %s", what, differences);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Output
 */

void ct_capture_start(struct ct_capture *capture)
{
	fflush(NULL);
	capture->file = memfd_create("contract output", MFD_CLOEXEC);
	capture->saved[0] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	capture->saved[1] = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	CT_CHECK(capture->file >= 0 && capture->saved[0] >= 0 && capture->saved[1] >= 0,
		 "the test suite cannot capture the output: %s", strerror(errno));
	dup2(capture->file, STDOUT_FILENO);
	dup2(capture->file, STDERR_FILENO);
}

void ct_capture_end(struct ct_capture *capture, const char *what)
{
	char text[200];
	ssize_t length;

	fflush(NULL);
	length = pread(capture->file, text, sizeof(text) - 1, 0);
	dup2(capture->saved[0], STDOUT_FILENO);
	dup2(capture->saved[1], STDERR_FILENO);
	close(capture->saved[0]);
	close(capture->saved[1]);
	close(capture->file);
	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	CT_CHECK(length <= 0, "%s printed \"%s\"; a driver should call args->host->log() instead", what, text);
}
