/* SPDX-License-Identifier: MIT
 *
 * trace_writer.c - writes records into blocks, and blocks into the file
 *
 * A block is encoded in the memory from which it is written, after its header, which is filled in at the end.  After
 * the first failed write nothing more is written, because a reader could not get past half a block in the middle of a
 * file.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cancel.h"
#include "secret.h"

static uint64_t trace_ns(clockid_t clock)
{
	struct timespec now = { 0, 0 };

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The file
 */

static void trace_write(struct trace_writer *writer, const uint8_t *bytes, size_t count)
{
	ZP_CANCEL_DISABLED_HERE;
	int err = writer->fd >= 0 ? trace_file_write(writer->fd, bytes, count) : 0;

	if (!err)
		return;
	writer->error = err;
	(void)trace_file_close(writer->fd);
	writer->fd = -1;
}

/* Writes the current block to the file and begins the next one. */
static void trace_write_block(struct trace_writer *writer, const char *kind)
{
	size_t bytes = (size_t)(writer->at - writer->head);
	uint32_t check;

	memcpy(writer->head, kind, 4);
	trace_put(writer->head + 4, bytes - TRACE_BLOCK_BYTES, 4);
	trace_put(writer->head + 8, writer->records, 4);
	check = trace_check(TRACE_CHECK_BEGIN, writer->head, 12);
	check = trace_check(check, writer->head + TRACE_BLOCK_BYTES, bytes - TRACE_BLOCK_BYTES);
	trace_put(writer->head + 12, check, 4);
	trace_write(writer, writer->head, bytes);
	if (writer->fd < 0) {
		writer->calls -= writer->records;
		writer->lost += writer->records;
	}
	writer->at = writer->head + TRACE_BLOCK_BYTES;
	writer->records = 0;
}

/*
 * Returns 0 or errno.  An existing file is truncated last, so that its contents are still there if nothing can be
 * written.
 */
static int trace_write_header(struct trace_writer *writer, const char *spec, uint64_t limit_bytes)
{
	uint8_t header[TRACE_HEADER_BYTES];
	size_t spec_bytes = strlen(spec);
	struct stat status;
	uint32_t check;
	int err;

	for (unsigned int i = 0; i < 8; i++)
		header[i] = (uint8_t)TRACE_MAGIC[i];
	trace_put(header + 8, TRACE_VERSION, 4);
	trace_put(header + 12, spec_bytes, 4);
	trace_put(header + 16, trace_ns(CLOCK_REALTIME), 8);
	trace_put(header + 24, limit_bytes, 8);
	check = trace_check(TRACE_CHECK_BEGIN, header, 32);
	trace_put(header + 32, trace_check(check, (const uint8_t *)spec, spec_bytes), 4);
	err = trace_file_write(writer->fd, header, sizeof(header));
	if (!err)
		err = trace_file_write(writer->fd, (const uint8_t *)spec, spec_bytes);
	if (err || writer->made || fstat(writer->fd, &status) != 0 || !S_ISREG(status.st_mode))
		return err;
	return ftruncate(writer->fd, (off_t)(TRACE_HEADER_BYTES + spec_bytes)) == 0 ? 0 : errno;
}

int trace_writer_init(struct trace_writer *writer, const char *path, bool overwrite, size_t buffer_bytes,
		      const char *spec, uint64_t limit_bytes)
{
	int fd, err;

	memset(writer, 0, sizeof(*writer));
	writer->head = malloc(TRACE_BLOCK_BYTES + buffer_bytes);
	if (!writer->head)
		return -ENOMEM;
	writer->path = path;
	writer->at = writer->head + TRACE_BLOCK_BYTES;
	writer->end = writer->at + buffer_bytes;
	writer->last_thread = 1;
	writer->last_ns = trace_ns(CLOCK_MONOTONIC);
	fd = trace_file_open(path, overwrite, &writer->made);
	writer->fd = fd;
	err = fd < 0 ? -fd : trace_file_lock(fd);
	/* The file belongs to the pool that has locked it, even if this one has made it. */
	if (err)
		writer->made = false;
	else
		err = trace_write_header(writer, spec, limit_bytes);
	if (err)
		trace_writer_discard(writer);
	return -err;
}

void trace_writer_discard(struct trace_writer *writer)
{
	if (writer->fd >= 0) {
		if (writer->made)
			trace_file_remove(writer->fd, writer->path);
		(void)trace_file_close(writer->fd);
	}
	writer->fd = -1;
	free(writer->head);
}

void trace_writer_fini(struct trace_writer *writer, uint64_t held_bytes)
{
	if (writer->records)
		trace_write_block(writer, TRACE_BLOCK_DATA);
	if (writer->fd >= 0) {
		uint8_t *at = writer->at;

		trace_put(at, writer->calls, 8);
		trace_put(at + 8, writer->lost, 8);
		trace_put(at + 16, writer->held_peak, 8);
		trace_put(at + 24, held_bytes, 8);
		writer->at += TRACE_END_BYTES;
		trace_write_block(writer, TRACE_BLOCK_END);
	}
	if (writer->fd >= 0) {
		int err = trace_file_close(writer->fd);

		writer->error = err ? err : writer->error;
	}
	free(writer->head);
}

void trace_writer_abandon(struct trace_writer *writer)
{
	if (writer->fd >= 0)
		trace_file_close_copy(writer->fd);
	writer->fd = -1;
	writer->records = 0;
	writer->abandoned = true;
}

int trace_writer_flush(struct trace_writer *writer)
{
	if (writer->fd >= 0 && writer->end - writer->at < (writer->end - writer->head) / 2)
		trace_write_block(writer, TRACE_BLOCK_DATA);
	return writer->error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Records
 */

/*
 * Returns the calling thread's number.  A thread whose pthread_t was that of an ended thread has that thread's number
 * too.
 */
static uint32_t trace_thread(struct trace_writer *writer)
{
	pthread_t self = pthread_self();
	uintptr_t key = 0;
	size_t at;

	memcpy(&key, &self, sizeof(self) < sizeof(key) ? sizeof(self) : sizeof(key));
	at = (size_t)zp_mix(key) % TRACE_THREAD_SLOTS;
	while (writer->threads[at].number && !pthread_equal(writer->threads[at].self, self))
		at = (at + 1) % TRACE_THREAD_SLOTS;
	if (!writer->threads[at].number && writer->thread_count < TRACE_THREADS_MAX)
		writer->threads[at] = (struct trace_thread){ self, ++writer->thread_count };
	return writer->threads[at].number;
}

static enum trace_error trace_error_of(int err)
{
	static const struct {
		int number;
		enum trace_error error;
	} errors[] = { { EINVAL, TRACE_EINVAL }, { ENOMEM, TRACE_ENOMEM }, { ENOSPC, TRACE_ENOSPC },
		       { EAGAIN, TRACE_EAGAIN }, { EBUSY, TRACE_EBUSY },   { EOPNOTSUPP, TRACE_EOPNOTSUPP } };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].number == -err)
			return errors[i].error;
	return TRACE_EOTHER;
}

void trace_writer_add(struct trace_writer *writer, enum trace_op op, int err, const uint64_t *operands,
		      unsigned int count)
{
	uint32_t thread;
	uint64_t now;
	uint8_t *at = writer->at;

	if (writer->fd < 0) {
		writer->lost++;
		return;
	}
	thread = trace_thread(writer);
	now = trace_ns(CLOCK_MONOTONIC);
	*at++ = (uint8_t)((unsigned int)op | (thread != writer->last_thread ? TRACE_THREAD : 0u) |
			  (err ? TRACE_FAILED : 0u));
	at = trace_put_varint(at, now - writer->last_ns);
	if (thread != writer->last_thread)
		at = trace_put_varint(at, thread);
	if (err)
		at = trace_put_varint(at, trace_error_of(err));
	for (unsigned int i = 0; i < count; i++)
		at = trace_put_varint(at, operands[i]);
	writer->at = at;
	writer->last_thread = thread;
	writer->last_ns = now;
	writer->records++;
	writer->calls++;
}
