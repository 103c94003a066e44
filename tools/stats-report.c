/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zpool.h>

#include "interrupt.h"
#include "message.h"
#include "stats-report.h"

static volatile sig_atomic_t wanted;
static int file = -1;

/* The parent has no pool, so it forwards the signal to its child. */
static void take_signal(int number)
{
	if (!interrupt_forward(number))
		wanted = 1;
}

bool stats_report_start(void)
{
	const struct sigaction action = { .sa_handler = take_signal, .sa_flags = SA_RESTART };
	const char *path = getenv("ZPOOL_STATS");

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
	if (!wanted)
		return;
	wanted = 0;
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
	remove_partial_line(start);
}
