/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 64 };

static bool transfer(int fd, void *data, size_t size, bool out)
{
	char *at = data;

	while (size) {
		ssize_t done = out ? write(fd, at, size) : read(fd, at, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		at += done;
		size -= (size_t)done;
	}
	return true;
}

static void become(char **argv, const char *name)
{
	char *args[ARGS_MAX + 3];
	char as[] = "--as", *copy = strdup(name);
	int count = 0;

	for (; argv[count] && count < ARGS_MAX; count++)
		args[count] = argv[count];
	args[count++] = as;
	args[count++] = copy;
	args[count] = NULL;
	for (size_t i = 0; i < subject_malloc_count; i++)
		if (subject_mallocs[i].library && !strncmp(name, SUBJECT_MALLOC, strlen(SUBJECT_MALLOC)) &&
		    !strcmp(name + strlen(SUBJECT_MALLOC), subject_mallocs[i].name))
			setenv("LD_PRELOAD", subject_mallocs[i].library, 1);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execv("/proc/self/exe", args);
	fprintf(stderr, "/proc/self/exe: %s\n", strerror(errno));
	_exit(1);
}

bool peer_is_installed(char **argv, const struct subject_malloc *which)
{
	char name[64];
	int status = -1, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	snprintf(name, sizeof(name), SUBJECT_MALLOC "%s", which->name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(nothing, fd);
		become(argv, name);
	}
	close(nothing);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void peer_start(struct peer *peer, char **argv, const char *name)
{
	int to[2], from[2];

	fflush(stdout);
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || (peer->pid = fork()) < 0) {
		fprintf(stderr, "no process for %s: %s\n", name, strerror(errno));
		exit(1);
	}
	if (peer->pid == 0) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		become(argv, name);
	}
	close(to[0]);
	close(from[1]);
	peer->to = to[1];
	peer->from = from[0];
	signal(SIGPIPE, SIG_IGN);
}

bool peer_ask(struct peer *peer, const void *command, size_t command_size, void *answer, size_t answer_size)
{
	return transfer(peer->to, (void *)(uintptr_t)command, command_size, true) &&
	       transfer(peer->from, answer, answer_size, false);
}

bool peer_stop(struct peer *peer)
{
	int status = -1;

	close(peer->to);
	close(peer->from);
	while (waitpid(peer->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

bool peer_next(void *command, size_t size)
{
	return transfer(STDIN_FILENO, command, size, false);
}

void peer_answer(const void *answer, size_t size)
{
	if (!transfer(STDOUT_FILENO, (void *)(uintptr_t)answer, size, true))
		exit(1);
}
