/* SPDX-License-Identifier: MIT
 *
 * trace_file.c - opening and writing the file without harm to the program
 *
 * A write that fails raises no signal (signals.h).  The file is opened without waiting, because opening a FIFO would
 * otherwise block until a process reads it.  Files that are not regular are also written without waiting, and a reader
 * that reads nothing for TRACE_WAIT_MS counts as a failed write, so that the pool does not stand still for it.
 *
 * A regular file is locked, because two pools would overwrite each other's records.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cancel.h"
#include "signals.h"

#ifndef TRACE_WAIT_MS
#define TRACE_WAIT_MS 10000
#endif

static const int trace_open_flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

/* ------------------------------------------------------------------------------------------------------------------
 * Open
 */

/*
 * Returns 0, or why an existing file must not be written to.  Opening a device may have effects, so that comes later.
 */
static int trace_judge(const struct stat *status, bool overwrite)
{
	if (S_ISREG(status->st_mode))
		return overwrite ? 0 : -EEXIST;
	if (S_ISDIR(status->st_mode))
		return -EISDIR;
	/* Writing to a pipe or a terminal destroys nothing.  A disk would lose its contents. */
	return S_ISFIFO(status->st_mode) || S_ISCHR(status->st_mode) ? 0 : -ENODEV;
}

static int trace_open_existing(const char *path, bool overwrite, bool *made)
{
	struct stat status;
	int fd, err;

	if (stat(path, &status) != 0) {
		/* The file is a dangling symbolic link, so its target is created. */
		*made = errno == ENOENT && overwrite;
		fd = *made ? open(path, trace_open_flags | O_CREAT, 0600) : -1;
		return fd >= 0 ? fd : -errno;
	}
	err = trace_judge(&status, overwrite);
	if (err)
		return err;
	fd = open(path, trace_open_flags);
	if (fd < 0)
		return -errno;
	/* The path may name another file by now. */
	err = fstat(fd, &status) != 0 ? -errno : trace_judge(&status, overwrite);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int trace_file_open(const char *path, bool overwrite, bool *made)
{
	ZP_CANCEL_DISABLED_HERE;
	int fd = open(path, trace_open_flags | O_CREAT | O_EXCL, 0600);

	*made = fd >= 0;
	if (fd >= 0)
		return fd;
	return errno == EEXIST ? trace_open_existing(path, overwrite, made) : -errno;
}

#ifdef F_OFD_SETLK
/* Locks or unlocks a regular file, as a whole.  Returns 0 or errno. */
static int trace_set_lock(int fd, short type)
{
	struct flock whole = { .l_type = type, .l_whence = SEEK_SET };
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return 0;
	return fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
}
#endif

int trace_file_lock(int fd)
{
#ifdef F_OFD_SETLK
	ZP_CANCEL_DISABLED_HERE;
	int err = trace_set_lock(fd, F_WRLCK);

	/* A file system without locks gives other errors. */
	return err == EAGAIN || err == EACCES ? EBUSY : 0;
#else
	(void)fd;
	return 0;
#endif
}

void trace_file_remove(int fd, const char *path)
{
	ZP_CANCEL_DISABLED_HERE;
	char *name = realpath(path, NULL); /* path of a symbolic link's target */
	struct stat ours, named;

	if (name && fstat(fd, &ours) == 0 && lstat(name, &named) == 0 && ours.st_dev == named.st_dev &&
	    ours.st_ino == named.st_ino)
		(void)unlink(name);
	free(name);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Write
 */

static int64_t trace_now_ms(void)
{
	struct timespec now = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0 or errno. */
static int trace_wait(int fd)
{
	const int64_t end_ms = trace_now_ms() + TRACE_WAIT_MS;
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int64_t left_ms = TRACE_WAIT_MS;
	int ready;

	do {
		ready = poll(&wait, 1, (int)left_ms);
		left_ms = end_ms - trace_now_ms();
	} while (ready < 0 && errno == EINTR && left_ms > 0);
	if (ready > 0)
		return 0;
	return ready == 0 || errno == EINTR ? ETIMEDOUT : errno;
}

/* Returns 0 or errno. */
static int trace_write_all(int fd, const uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t done = write(fd, bytes, count);
		int err = done < 0 ? errno : EIO;

		if (done > 0) {
			bytes += done;
			count -= (size_t)done;
			continue;
		}
		if (err == EAGAIN)
			err = trace_wait(fd);
		if (err && err != EINTR)
			return err;
	}
	return 0;
}

int trace_file_write(int fd, const uint8_t *bytes, size_t count)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zp_write_signals signals;
	int err;

	zp_write_signals_block(&signals);
	err = trace_write_all(fd, bytes, count);
	zp_write_signals_restore(&signals);
	return err;
}

int trace_file_close(int fd)
{
	ZP_CANCEL_DISABLED_HERE;

	/* A child of fork() may not have closed its copy of the descriptor yet, which would keep the lock. */
#ifdef F_OFD_SETLK
	(void)trace_set_lock(fd, F_UNLCK);
#endif
	return close(fd) == 0 || errno == EINTR ? 0 : errno;
}

void trace_file_close_copy(int fd)
{
	ZP_CANCEL_DISABLED_HERE;

	(void)close(fd);
}

const char *trace_file_reason(int err)
{
	switch (err) {
	case ENXIO:
		return "it is a FIFO that no process reads, a socket, or a device that does not exist";
	case ENODEV:
		return "it is neither a regular file, nor a FIFO, nor a character device";
	case EBUSY:
		return "it is in use: another pool or program writes to it";
	case EPIPE:
		return "the process that was reading it has closed it";
	case ETIMEDOUT:
		return "the process that reads it has read nothing for several seconds";
	default:
		return strerror(err);
	}
}
