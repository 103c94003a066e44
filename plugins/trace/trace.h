/* SPDX-License-Identifier: MIT
 *
 * trace.h - the parts of the filter trace; trace.c tells what it is about
 */
#ifndef TRACE_H
#define TRACE_H 1

#include <zpool-driver.h>

#include <pthread.h>
#include <stdbool.h>

#include "lock.h"
#include "trace_format.h"

/* ------------------------------------------------------------------------------------------------------------------
 * trace_objects.c: from a handle of the driver below to the object's number.  Open addressing; the caller locks.
 */

struct trace_slot {
	unsigned long handle; /* 0: free */
	uint32_t size;        /* as asked for */
	uint64_t number;
};

struct trace_objects {
	struct trace_slot *slots;
	size_t mask; /* slots - 1 */
	size_t used;
};

int trace_objects_init(struct trace_objects *objects);
void trace_objects_fini(struct trace_objects *objects);

/* A handle that is there already is the new object's.  May ask the system for memory unless `wait` is false.  false: no
 * memory. */
bool trace_objects_add(struct trace_objects *objects, const struct trace_slot *object, bool wait);
/* Can an object be added by a call that does not wait? */
bool trace_objects_has_room(const struct trace_objects *objects);
/* NULL: no such object.  Good until the next change. */
const struct trace_slot *trace_objects_find(const struct trace_objects *objects, unsigned long handle);
void trace_objects_remove(struct trace_objects *objects, unsigned long handle);

/* ------------------------------------------------------------------------------------------------------------------
 * trace_file.c: nothing here raises a signal, cancels the thread, or waits for ever.
 */

/*
 * Opens the file for writing, without changing one that is there.  *made: it was not there before.  A descriptor or
 * -errno; -EEXIST: a regular file is there, and `overwrite` is false.
 */
int trace_file_open(const char *path, bool overwrite, bool *made);
/* Removes the file if the path still names the one that is open. */
void trace_file_remove(int fd, const char *path);
/* Writes all of it: 0 or errno. */
int trace_file_write(int fd, const uint8_t *bytes, size_t count);
/* 0 or errno. */
int trace_file_close(int fd);
/* What errno says of this file, in words. */
const char *trace_file_reason(int err);

/* ------------------------------------------------------------------------------------------------------------------
 * trace_writer.c: the file and the block that is being filled; the caller locks.
 */

enum { TRACE_THREAD_SLOTS = 2 * TRACE_THREADS_MAX };

struct trace_thread {
	pthread_t self;
	uint32_t number; /* 0: the slot is free */
};

struct trace_writer {
	const char *path; /* the caller's */
	bool made;        /* the file was not there before */
	int fd;           /* -1: nothing is written any more */
	int error;        /* errno of what ended the writing, 0: nothing did */
	uint8_t *head;    /* the block: its head, then its payload */
	uint8_t *at, *end;
	uint32_t records; /* in the block */
	uint64_t last_ns;
	uint32_t last_thread;
	struct trace_thread threads[TRACE_THREAD_SLOTS];
	uint32_t thread_count;
	uint64_t calls;     /* records in the file or on their way there */
	uint64_t lost;      /* calls that are not */
	uint64_t held_peak; /* bytes */
	bool abandoned;     /* in a forked child: nobody misses its calls */
};

/* Opens the file and writes the header.  0 or -errno: there is no file that was not there before. */
int trace_writer_init(struct trace_writer *writer, const char *path, bool overwrite, size_t buffer_bytes,
		      const char *spec, uint64_t limit_bytes);
/* Writes what is left, and the end. */
void trace_writer_fini(struct trace_writer *writer, uint64_t held_bytes);
/* Instead of trace_writer_fini(), for a pool that could not be made: removes the file if it was not there before. */
void trace_writer_discard(struct trace_writer *writer);
/* Lets go of the file, of which a forked child has the parent's position. */
void trace_writer_abandon(struct trace_writer *writer);

/* Is there room for one more record? */
static inline bool trace_writer_has_room(const struct trace_writer *writer)
{
	return writer->fd < 0 || writer->end - writer->at >= TRACE_RECORD_BYTES_MAX;
}
/* Writes the block to the file, if it is nearly full.  Gives 0, or the errno of the first failure of all. */
int trace_writer_flush(struct trace_writer *writer);
/* Adds a record.  There is room. */
void trace_writer_add(struct trace_writer *writer, enum trace_op op, int err, const uint64_t *operands,
		      unsigned int count);

#endif
