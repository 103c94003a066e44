/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zpool.h>

#include "message.h"
#include "stats-report.h"

/* The parent, which receives the signals, and the children, which have the pools, share this memory. */
static struct shared {
	_Atomic bool wanted; /* a signal was received, and no pool was printed since */
	_Atomic bool failed; /* a line could not be written */
} * shared;

static int file = -1;

static void take_signal(int number)
{
	(void)number;
	shared->wanted = true;
}

bool stats_report_start(void)
{
	const struct sigaction action = { .sa_handler = take_signal, .sa_flags = SA_RESTART };
	const char *path = getenv("ZPOOL_STATS");
	void *memory = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		out_of_memory();
	shared = memory;
	sigaction(SIGUSR1, &action, NULL);
	if (!path || !*path)
		return true;
	/*
	 * With O_NONBLOCK, a FIFO without a reader is an error instead of a wait. Writes to a FIFO that has a reader
	 * may block.
	 */
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	if (file < 0)
		warn("ZPOOL_STATS: cannot write %s: %s", path, strerror(errno));
	else
		fcntl(file, F_SETFL, O_APPEND);
	return file >= 0;
}

/* If the reader has closed the pipe, the write must fail with an error instead of ending the process with SIGPIPE. */
static int dump(int to, unsigned int format)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction before;
	int error;

	sigaction(SIGPIPE, &ignore, &before);
	error = zpool_dump(to, format);
	sigaction(SIGPIPE, &before, NULL);
	return error;
}

void stats_report_poll(void)
{
	if (shared && atomic_exchange(&shared->wanted, false))
		(void)dump(STDERR_FILENO, ZPOOL_DUMP_TEXT);
}

/* A line that could not be written completely is removed from a regular file, which a reader takes to be whole. */
static void remove_partial_line(off_t start)
{
	struct stat status;

	if (start >= 0 && !fstat(file, &status) && S_ISREG(status.st_mode) && ftruncate(file, start))
		warn("ZPOOL_STATS: the last line is not complete: %s", strerror(errno));
}

void stats_report_end(void)
{
	off_t start;

	stats_report_poll();
	if (file < 0)
		return;
	start = lseek(file, 0, SEEK_END);
	if (!dump(file, ZPOOL_DUMP_JSON))
		return;
	warn("ZPOOL_STATS: %s", zpool_last_error());
	shared->failed = true;
	remove_partial_line(start);
}

bool stats_report_failed(void)
{
	return shared && shared->failed;
}
