/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "interrupt.h"
#include "message.h"

#define POLL_MS 100

/* The most that counts between two looks at the clock: if this process was stopped meanwhile, so was the child. */
#define LOOK_NS_MAX UINT64_C(200000000)

void child_expect(void)
{
	struct sigaction standard = { .sa_handler = SIG_DFL };

	sigaction(SIGCHLD, &standard, NULL);
}

void child_report(int out, const void *bytes, size_t count)
{
	const char *from = bytes;

	while (count) {
		ssize_t done = write(out, from, count);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			_exit(1);
		from += done;
		count -= (size_t)done;
	}
}

static void run_in_child(const struct child_job *job, int out, pid_t parent, const sigset_t *mask)
{
	interrupt_set_child(0);
	interrupt_set_line(false);
	interrupt_default();
	interrupt_unblock(mask);
	/* The kernel kills the child when the parent dies, even if the parent died of SIGKILL. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		_exit(1);
	job->run(out, job->arg);
	_exit(0);
}

/*
 * Reads what is in the pipe now. Returns 1, 0 at the end of the pipe, or -1 on an error, after which the child must be
 * killed: it would wait until somebody reads what it writes.
 */
static int drain(const struct child_job *job, int in, bool *received)
{
	char bytes[4096];

	for (;;) {
		ssize_t got = read(in, bytes, sizeof(bytes));

		if (got > 0) {
			*received = true;
			job->sink(job->user, bytes, (size_t)got);
		} else if (!got) {
			return 0;
		} else if (errno == EAGAIN) {
			return 1;
		} else if (errno != EINTR) {
			warn("cannot read the results of a child process: %s", strerror(errno));
			return -1;
		}
	}
}

/* Returns true if the child is dead. Its pid stays its own until take_status(), unless something else reaps it. */
static bool is_dead(pid_t pid)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ? errno == ECHILD : info.si_pid == pid;
}

static void take_status(pid_t pid, struct child_end *end)
{
	interrupt_set_child(0);
	end->lost = waitpid(pid, &end->status, 0) != pid;
}

/*
 * Serves the pipe until the child is dead. The end of the pipe does not mean that the child is dead, because a driver
 * may close files; and the child's death does not mean the end of the pipe, because a driver may leave processes
 * behind.
 */
static void attend(const struct child_job *job, pid_t pid, int in, struct child_end *end)
{
	const uint64_t patience_ns = job->timeout_seconds * UINT64_C(1000000000);
	uint64_t looked_ns = clock_ns(), silent_ns = 0;
	bool killed = false;
	int open = 1;

	for (;;) {
		struct pollfd wait = { .fd = open > 0 ? in : -1, .events = POLLIN };
		bool received = false;
		uint64_t now;

		poll(&wait, 1, open > 0 ? POLL_MS : 1);
		if (is_dead(pid)) {
			take_status(pid, end);
			if (open > 0)
				drain(job, in, &received);
			return;
		}
		if (open > 0)
			open = drain(job, in, &received);
		now = clock_ns();
		silent_ns += now - looked_ns < LOOK_NS_MAX ? now - looked_ns : LOOK_NS_MAX;
		looked_ns = now;
		if (received)
			silent_ns = 0;
		end->hung = end->hung || (!killed && silent_ns > patience_ns);
		if (!killed && (end->hung || open < 0)) {
			kill(pid, SIGKILL);
			killed = true;
		}
	}
}

int child_run(const struct child_job *job, struct child_end *end)
{
	pid_t parent = getpid();
	sigset_t mask;
	int pipes[2];
	pid_t pid;

	*end = (struct child_end){ .timeout_seconds = job->timeout_seconds };
	if (pipe2(pipes, O_CLOEXEC)) {
		warn("cannot make a pipe: %s", strerror(errno));
		return -errno;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	fflush(NULL);
	interrupt_block(&mask);
	pid = fork();
	if (!pid) {
		close(pipes[0]);
		run_in_child(job, pipes[1], parent, &mask);
	}
	interrupt_set_child(pid > 0 ? pid : 0);
	interrupt_unblock(&mask);
	close(pipes[1]);
	if (pid > 0)
		attend(job, pid, pipes[0], end);
	interrupt_set_child(0);
	close(pipes[0]);
	if (pid < 0) {
		warn("cannot fork: %s", strerror(errno));
		return -EAGAIN;
	}
	return 0;
}

bool child_succeeded(const struct child_end *end)
{
	return !end->hung && !end->lost && WIFEXITED(end->status) && !WEXITSTATUS(end->status);
}

void child_describe(const struct child_end *end, char text[CHILD_TEXT])
{
	if (end->hung) {
		snprintf(text, CHILD_TEXT, "stopped after %u s in which nothing happened", end->timeout_seconds);
	} else if (end->lost) {
		snprintf(text, CHILD_TEXT, "ended with an unknown status");
	} else if (WIFSIGNALED(end->status)) {
		const char *name = sigabbrev_np(WTERMSIG(end->status));

		snprintf(text, CHILD_TEXT, "killed by SIG%s (%s)", name ? name : "?", strsignal(WTERMSIG(end->status)));
	} else {
		snprintf(text, CHILD_TEXT, "ended with status %d", WEXITSTATUS(end->status));
	}
}
