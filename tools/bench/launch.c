/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../message.h"
#include "launch.h"

/* The job's file, and the part of a message that has arrived so far. */
struct process {
	const struct launch *launch;
	int job;
	struct bench_message message;
	size_t received;
};

static int write_all(int fd, const void *data, size_t bytes)
{
	const char *from = data;

	while (bytes) {
		ssize_t done = write(fd, from, bytes);

		if (done < 0 && errno != EINTR)
			return -errno;
		from += done > 0 ? done : 0;
		bytes -= done > 0 ? (size_t)done : 0;
	}
	return 0;
}

static int make_job(const struct launch *launch)
{
	int fd = memfd_create("zpoolctl-bench", MFD_CLOEXEC);
	int error = fd < 0 ? -errno : write_all(fd, launch->job, sizeof(*launch->job));

	if (!error)
		error = write_all(fd, launch->sizes, launch->job->objects * sizeof(*launch->sizes));
	if (!error)
		return fd;
	warn("cannot hand a job to a process: %s", strerror(-error));
	if (fd >= 0)
		close(fd);
	return error;
}

static void preload(const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char *list;

	if (!before || !*before)
		setenv("LD_PRELOAD", library, 1);
	else if (asprintf(&list, "%s:%s", library, before) > 0)
		setenv("LD_PRELOAD", list, 1);
}

static void keep_open(int fd)
{
	fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) & ~FD_CLOEXEC);
}

/* In the child: executes the tool's file again, with the job's file and the pipe for answers. */
static void become(int out, void *arg)
{
	const struct process *process = arg;
	struct bench_message message = { .kind = MESSAGE_FAILED };
	char command[] = "bench", option[64];
	char *args[] = { program_invocation_name, command, option, NULL };

	if (process->launch->preload)
		preload(process->launch->preload);
	if (process->launch->quiet) {
		int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(nothing, STDOUT_FILENO);
		dup2(nothing, STDERR_FILENO);
	}
	keep_open(out);
	keep_open(process->job);
	snprintf(option, sizeof(option), "--run-job=%d,%d", process->job, out);
	execv("/proc/self/exe", args);
	snprintf(message.text, sizeof(message.text), "/proc/self/exe: %s", strerror(errno));
	child_report(out, &message, sizeof(message));
}

static void on_message(void *user, const void *bytes, size_t count)
{
	struct process *process = user;
	const char *from = bytes;

	while (count) {
		size_t part = sizeof(process->message) - process->received;

		part = part < count ? part : count;
		memcpy((char *)&process->message + process->received, from, part);
		process->received += part;
		from += part;
		count -= part;
		if (process->received == sizeof(process->message)) {
			process->message.text[sizeof(process->message.text) - 1] = '\0';
			process->launch->on_message(process->launch->user, &process->message);
			process->received = 0;
		}
	}
}

int launch(const struct launch *launch, struct child_end *end)
{
	struct process process = { .launch = launch, .job = make_job(launch) };
	const struct child_job job = { .run = become,
				       .arg = &process,
				       .sink = on_message,
				       .user = &process,
				       .timeout_seconds = launch->timeout_seconds };
	int error;

	if (process.job < 0)
		return process.job;
	error = child_run(&job, end);
	close(process.job);
	return error;
}
