/* SPDX-License-Identifier: MIT
 *
 * keeper.c - a process that runs one case in another process and supervises it
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "keeper.h"
#include "processes.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define POLL_MS 100
/* A pipe holds at most a megabyte, unless its size was changed as root. */
enum { OUTPUT_ROUND_BYTES = 64 << 10, OUTPUT_LAST_ROUNDS = 64 };

/*
 * The output of the case: the first bytes are kept, and the last of the rest.
 *
 * in    the reading end of the pipe that is the case's standard output and standard error
 */
struct output {
	int in;
	bool pass;
	char head[CT_OUTPUT_HEAD_BYTES];
	char tail[CT_OUTPUT_TAIL_BYTES];
	size_t head_bytes, tail_bytes, left_out_bytes;
};

static void output_add(struct output *output, const char *bytes, size_t count)
{
	size_t room = sizeof(output->head) - output->head_bytes, first = count < room ? count : room;

	if (output->pass && write(STDERR_FILENO, bytes, count) < 0)
		output->pass = false;
	memcpy(output->head + output->head_bytes, bytes, first);
	output->head_bytes += first;
	for (size_t i = first; i < count; i++) {
		if (output->tail_bytes == sizeof(output->tail)) {
			size_t half = sizeof(output->tail) / 2;

			memmove(output->tail, output->tail + half, half);
			output->tail_bytes = half;
			output->left_out_bytes += half;
		}
		output->tail[output->tail_bytes++] = bytes[i];
	}
}

/*
 * Reads what is there, but at most OUTPUT_ROUND_BYTES: a case that prints without end would otherwise keep the keeper
 * from looking at the time.  Returns true if there may be more.
 */
static bool output_read(struct output *output)
{
	char bytes[4096];
	size_t sum = 0;
	ssize_t got;

	while ((got = read(output->in, bytes, sizeof(bytes))) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0)
			output_add(output, bytes, (size_t)got);
		sum += got > 0 ? (size_t)got : 0;
		if (sum >= OUTPUT_ROUND_BYTES)
			return true;
	}
	/* The writing end is closed everywhere, so that waiting for it would return at once. */
	if (got == 0) {
		close(output->in);
		output->in = -1;
	}
	return false;
}

/*
 * Reads what is left when the case and all its processes have ended.  A process that could not be killed may still
 * print, but not keep the keeper from ending.
 */
static void output_read_rest(struct output *output)
{
	for (int rounds = 0; rounds < OUTPUT_LAST_ROUNDS && output->in >= 0 && output_read(output);)
		rounds++;
}

static void copy_text(char **to, const char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		*(*to)++ = bytes[i] == '\0' ? '?' : bytes[i];
	**to = '\0';
}

static void output_keep(const struct output *output, struct ct_result *result)
{
	char *to = result->output;

	copy_text(&to, output->head, output->head_bytes);
	if (output->left_out_bytes)
		to += sprintf(to, "\n[%zu bytes are left out here]\n", output->left_out_bytes);
	copy_text(&to, output->tail, output->tail_bytes);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Processes that the case leaves behind
 */

struct leftovers {
	unsigned int count;
	struct ct_process first;
};

static void kill_leftover(const struct ct_process *process, void *user)
{
	struct leftovers *leftovers = user;

	if (process->state == 'Z')
		return;
	if (leftovers && leftovers->count++ == 0)
		leftovers->first = *process;
	kill(process->pid, SIGKILL);
}

/*
 * The keeper becomes their parent when their own parent is gone.  A process that forks meanwhile is found in the next
 * round.
 */
static void end_leftovers(struct leftovers *leftovers)
{
	memset(leftovers, 0, sizeof(*leftovers));
	ct_processes_each(kill_leftover, leftovers);
	for (int rounds = 0; rounds < 1000; rounds++) {
		pid_t ended = waitpid(-1, NULL, WNOHANG);
		struct timespec pause = { 0, 1000000 };

		if (ended < 0 && errno == ECHILD)
			return;
		if (ended > 0)
			continue;
		ct_processes_each(kill_leftover, NULL);
		nanosleep(&pause, NULL);
	}
}

static void judge_leftovers(struct ct_result *result, const struct leftovers *leftovers)
{
	if (leftovers->count == 0 || atomic_load(&result->outcome) == CT_FAILED)
		return;
	ct_result_fail(
		result,
		"the driver left %u process%s running (\"%s\", %d) when the case had ended: a driver must not start processes",
		leftovers->count, leftovers->count == 1 ? "" : "es", leftovers->first.name, (int)leftovers->first.pid);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The case's own process
 */

static void judge(struct ct_result *result, int status)
{
	int outcome = atomic_load(&result->outcome);

	if (WIFSTOPPED(status))
		ct_result_fail(result, "stopped by signal %d (%s)", WSTOPSIG(status), strsignal(WSTOPSIG(status)));
	else if (WIFSIGNALED(status))
		ct_result_fail(result, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (outcome <= CT_ENDING)
		ct_result_fail(result, "the process ended with status %d in the middle of the case",
			       WEXITSTATUS(status));
	else if (outcome == CT_PASSED && WEXITSTATUS(status) != 0)
		ct_result_fail(result, "the case passed, but its process ended with status %d (a leak?)",
			       WEXITSTATUS(status));
}

static void end_process(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

static volatile sig_atomic_t must_end;

static void on_term(int signal_number)
{
	(void)signal_number;
	must_end = 1;
}

/* Waits until the process has ended, or was killed for the reason that is then in the result. */
static void attend(const struct ct_keeper_job *job, pid_t pid, struct output *output, struct ct_result *result)
{
	struct ct_watch watch;
	char text[300];

	ct_watch_start(&watch, job->timeout_s);
	for (;;) {
		struct pollfd wait = { .fd = output->in, .events = POLLIN };
		pid_t changed;
		int status = 0;

		/* Without the pipe, only polling shows that the process has ended. */
		poll(&wait, 1, output->in < 0 ? 1 : POLL_MS);
		if (output->in >= 0)
			(void)output_read(output);
		changed = waitpid(pid, &status, WNOHANG | WUNTRACED);
		if (changed < 0 && errno == ECHILD) {
			ct_result_fail(result, "the process of the case ended, but its status is lost");
			return;
		}
		if (changed == pid) {
			judge(result, status);
			if (WIFSTOPPED(status))
				end_process(pid);
			return;
		}
		if (must_end) {
			end_process(pid);
			ct_result_fail(result, "interrupted");
			return;
		}
		if (ct_watch_look(&watch, atomic_load(&result->steps) + atomic_load(&result->child_steps), text,
				  sizeof(text))) {
			end_process(pid);
			ct_result_fail(result, "%s", text);
			return;
		}
	}
}

_Noreturn static void run_case(const struct ct_keeper_job *job, int out, pid_t keeper)
{
	/* The case gets a duplicate descriptor, so that what a driver does to it has no effect outside the case. */
	int in = open("/dev/null", O_RDONLY);

	setpgid(0, 0);
#ifdef __linux__
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	if (in > 0) {
		dup2(in, STDIN_FILENO);
		close(in);
	}
	if (getppid() != keeper || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		_exit(3);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &job->mask, NULL);
	job->body(job->arg);
	/* exit(), not _exit(), because leak checkers run at exit. */
	exit(0);
}

static void keep(const struct ct_keeper_job *job, struct ct_result *result)
{
	static struct output output;
	struct leftovers leftovers;
	pid_t keeper = getpid(), pid;
	int pipes[2];

#ifdef __linux__
	prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
	if (pipe2(pipes, O_CLOEXEC)) {
		ct_result_fail(result, "the test suite cannot create a pipe for the output of the case: %s",
			       strerror(errno));
		return;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid == 0) {
		close(pipes[0]);
		run_case(job, pipes[1], keeper);
	}
	close(pipes[1]);
	output.in = pipes[0];
	output.pass = job->pass_output;
	if (pid < 0) {
		ct_result_fail(result, "fork failed: %s", strerror(errno));
		return;
	}
	attend(job, pid, &output, result);
	end_leftovers(&leftovers);
	judge_leftovers(result, &leftovers);
	output_read_rest(&output);
	output_keep(&output, result);
}

pid_t ct_keeper_start(const struct ct_keeper_job *job, struct ct_result *result)
{
	pid_t runner = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		struct sigaction action = { .sa_handler = on_term };
		sigset_t none;

		/* Ctrl-C in a terminal is handled by the runner, which then sends a signal to its keepers. */
		setpgid(0, 0);
		sigaction(SIGTERM, &action, NULL);
#ifdef __linux__
		prctl(PR_SET_PDEATHSIG, SIGTERM);
#endif
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (getppid() == runner)
			keep(job, result);
		_exit(0);
	}
	return pid;
}

void ct_keeper_ended(struct ct_result *result, int status)
{
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || atomic_load(&result->outcome) <= CT_ENDING)
		ct_result_fail(result, "the process that supervises the case ended with status %#x",
			       (unsigned int)status);
}
