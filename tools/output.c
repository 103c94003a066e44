/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "message.h"
#include "output.h"
#include "zpoolctl.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Standard output
 */

static pid_t guarded;

/* A forked child that exits has written nothing of its own to standard output. */
static void check_stdout(void)
{
	bool failed = ferror(stdout);

	if (getpid() != guarded)
		return;
	errno = 0;
	/* Some file systems report a full disk only when the file is closed. */
	if (!fflush(stdout) && !failed && (!close(STDOUT_FILENO) || errno == EBADF))
		return;
	if (errno)
		warn("cannot write to standard output: %s", strerror(errno));
	else
		warn("cannot write to standard output");
	_exit(STATUS_FAILED);
}

void output_guard(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	/*
	 * A closed standard stream is opened with the wrong access mode, so that using it fails as it would if it were
	 * still closed.
	 */
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	sigaction(SIGXFSZ, &ignore, NULL);
	guarded = getpid();
	atexit(check_stdout);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Files
 */

static bool report_unwritable(const char *path, int error)
{
	if (error == ENXIO)
		warn("%s: cannot be written: no process has it open for reading", path);
	else
		warn("%s: cannot be written: %s", path, strerror(error));
	return false;
}

/* Returns the directory that a file is in. The caller frees it. */
static char *directory_of(const char *path)
{
	char *copy = strdup(path), *directory = copy ? strdup(dirname(copy)) : NULL;

	if (!directory)
		out_of_memory();
	free(copy);
	return directory;
}

bool output_check(const char *path)
{
	struct stat status;
	char *directory;
	int error = 0;

	if (!*path)
		return report_unwritable(path, ENOENT);
	if (!stat(path, &status)) {
		error = S_ISDIR(status.st_mode) ? EISDIR : faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) ? errno : 0;
		return error ? report_unwritable(path, error) : true;
	}
	if (errno != ENOENT)
		return report_unwritable(path, errno);
	directory = directory_of(path);
	if (faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS))
		error = errno;
	free(directory);
	return error ? report_unwritable(path, error) : true;
}

/* Returns a descriptor of a temporary file that can replace the target, or -1 if there can be none. */
static int open_temporary(struct output *output, const struct stat *before)
{
	char *directory = directory_of(output->target);
	mode_t mode = umask(0);
	int fd;

	umask(mode);
	mode = before ? before->st_mode & 07777 : 0666 & ~mode;
	if (asprintf(&output->temporary, "%s/.zpoolctl-XXXXXX", directory) < 0)
		out_of_memory();
	free(directory);
	fd = mkostemp(output->temporary, O_CLOEXEC);
	if (fd >= 0 &&
	    !(before && (before->st_uid != geteuid() || before->st_gid != getegid()) &&
	      fchown(fd, before->st_uid, before->st_gid)) &&
	    !fchmod(fd, mode))
		return fd;
	if (fd >= 0) {
		unlink(output->temporary);
		close(fd);
	}
	free(output->temporary);
	output->temporary = NULL;
	return -1;
}

/*
 * Opens the file directly. O_NONBLOCK is needed because opening a FIFO would otherwise wait for a reader that may never
 * come.
 */
static int open_itself(struct output *output, const struct stat *before)
{
	int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = -1;

	if (!before) {
		fd = open(output->path, flags | O_CREAT | O_EXCL, 0666);
		output->made = fd >= 0;
	}
	if (fd < 0 && (before || errno == EEXIST))
		fd = open(output->path, flags | (before && !S_ISREG(before->st_mode) ? 0 : O_CREAT | O_TRUNC), 0666);
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

/* The temporary file of this process that is being written. */
static const struct output *unfinished;
static pid_t unfinished_owner;

/* The tool may exit in the middle, when there is no memory. */
static void remove_unfinished(void)
{
	if (unfinished && unfinished->temporary && getpid() == unfinished_owner)
		unlink(unfinished->temporary);
}

static void set_unfinished(const struct output *output)
{
	static bool is_registered;

	if (!is_registered)
		is_registered = atexit(remove_unfinished) == 0;
	unfinished = output;
	unfinished_owner = getpid();
}

/*
 * Returns a duplicate of standard output or standard error if that is this regular file, or -1.  Replacing the file
 * would take away what was printed, and truncating it what stood there before.
 */
static int duplicate_standard(const struct stat *file)
{
	struct stat standard;

	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
		if (file && S_ISREG(file->st_mode) && !fstat(fd, &standard) && standard.st_dev == file->st_dev &&
		    standard.st_ino == file->st_ino) {
			fflush(stdout);
			return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		}
	return -1;
}

bool output_begin(struct output *output, const char *path)
{
	struct stat status;
	const struct stat *before = stat(path, &status) ? NULL : &status;
	int fd = -1;

	if (!output_check(path))
		return false;
	*output = (struct output){ .path = path, .target = before ? realpath(path, NULL) : strdup(path) };
	if (!output->target)
		return report_unwritable(path, errno);
	fd = duplicate_standard(before);
	interrupt_block(&output->mask);
	/* The target of a dangling symbolic link is unknown, so no temporary file can be placed beside it. */
	if (fd < 0 && (before ? S_ISREG(before->st_mode) && before->st_nlink == 1 : lstat(path, &status) != 0))
		fd = open_temporary(output, before);
	if (!output->temporary) {
		interrupt_unblock(&output->mask);
		if (fd < 0)
			fd = open_itself(output, before);
	}
	if (fd < 0) {
		int error = errno;

		free(output->target);
		return report_unwritable(path, error);
	}
	set_unfinished(output);
	output->stream = fdopen(fd, "w");
	if (!output->stream)
		out_of_memory();
	return true;
}

static void release(struct output *output)
{
	unfinished = NULL;
	if (output->temporary)
		interrupt_unblock(&output->mask);
	free(output->temporary);
	free(output->target);
}

static void unlink_written(const struct output *output)
{
	if (output->temporary || output->made)
		unlink(output->temporary ? output->temporary : output->target);
}

bool output_end(struct output *output)
{
	int error = 0;

	errno = 0;
	if (ferror(output->stream) || fflush(output->stream))
		error = errno ? errno : EIO;
	if (fclose(output->stream) && !error)
		error = errno;
	if (!error && output->temporary && rename(output->temporary, output->target))
		error = errno;
	if (error)
		unlink_written(output);
	release(output);
	return error ? report_unwritable(output->path, error) : true;
}

void output_drop(struct output *output)
{
	fclose(output->stream);
	unlink_written(output);
	release(output);
}
