/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interrupt.h"
#include "message.h"
#include "spool.h"

static const char *spool_dir(void)
{
	const char *dir = secure_getenv("TMPDIR");

	return dir && *dir ? dir : P_tmpdir;
}

/*
 * For file systems without O_TMPFILE. Signals are blocked while the file has a name, so that it cannot be left behind.
 */
static int open_and_unlink(const char *dir)
{
	sigset_t previous;
	char *name;
	int fd, error;

	if (asprintf(&name, "%s/zpoolctl-XXXXXX", dir) < 0)
		out_of_memory();
	interrupt_block(&previous);
	fd = mkostemp(name, O_CLOEXEC);
	error = errno;
	if (fd >= 0)
		unlink(name);
	interrupt_unblock(&previous);
	free(name);
	errno = error;
	return fd;
}

int spool_open(struct spool *spool)
{
	const char *dir = spool_dir();

	*spool = (struct spool){ .fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600) };
	if (spool->fd < 0)
		spool->fd = open_and_unlink(dir);
	if (spool->fd < 0) {
		int error = errno;

		warn("cannot create a temporary file in %s: %s; set TMPDIR to a writable directory", dir,
		     strerror(error));
		return -error;
	}
	spool->buffer = malloc(SPOOL_BUFFER_BYTES);
	if (!spool->buffer)
		out_of_memory();
	memset(spool->buffer, 0xff,
	       SPOOL_BUFFER_BYTES); /* resident from now on, so that using it does not look like growth */
	return 0;
}

static int write_all(int fd, const unsigned char *data, size_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t done = pwrite(fd, data, bytes, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			int error = done ? errno : ENOSPC;

			warn("cannot write a temporary file in %s: %s; set TMPDIR to a directory with more space",
			     spool_dir(), strerror(error));
			return -error;
		}
		data += done;
		bytes -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

int spool_flush(struct spool *spool)
{
	int error = write_all(spool->fd, spool->buffer, spool->buffered, spool->bytes - spool->buffered);

	if (!error)
		spool->buffered = 0;
	return error;
}

int spool_append(struct spool *spool, const void *data, size_t bytes)
{
	const unsigned char *from = data;

	while (bytes) {
		size_t part = SPOOL_BUFFER_BYTES - spool->buffered;

		if (part > bytes)
			part = bytes;
		memcpy(spool->buffer + spool->buffered, from, part);
		spool->buffered += part;
		spool->bytes += part;
		from += part;
		bytes -= part;
		if (spool->buffered == SPOOL_BUFFER_BYTES) {
			int error = spool_flush(spool);

			if (error)
				return error;
		}
	}
	return 0;
}

int spool_write(struct spool *spool, const void *data, size_t bytes, uint64_t offset)
{
	return write_all(spool->fd, data, bytes, offset);
}

int spool_read(const struct spool *spool, void *data, size_t bytes, uint64_t offset)
{
	unsigned char *to = data;

	while (bytes) {
		ssize_t done = pread(spool->fd, to, bytes, (off_t)offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			int error = done ? errno : EIO;

			warn("cannot read back a temporary file: %s", strerror(error));
			return -error;
		}
		to += done;
		bytes -= (size_t)done;
		offset += (uint64_t)done;
	}
	return 0;
}

void spool_close(struct spool *spool)
{
	if (spool->buffer)
		close(spool->fd);
	free(spool->buffer);
	*spool = (struct spool){ .fd = -1 };
}
