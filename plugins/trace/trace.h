/* SPDX-License-Identifier: MIT
 *
 * trace.h - shared between the files of the filter trace; trace.c describes the design
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
	uint32_t size;        /* the requested size */
	uint64_t number;
};

struct trace_objects {
	struct trace_slot *slots;
	size_t mask; /* slots - 1 */
	size_t used;
};

int trace_objects_init(struct trace_objects *objects);
void trace_objects_fini(struct trace_objects *objects);

/*
 * Adds an object.  A handle that is already in the table now belongs to the new object.  May allocate memory unless
 * `wait` is false.  Returns false if there is no memory.
 */
bool trace_objects_add(struct trace_objects *objects, const struct trace_slot *object, bool wait);
/* Returns true if an object can be added without waiting. */
bool trace_objects_has_room(const struct trace_objects *objects);
/* Returns NULL if there is no such object.  The result is valid until the next change. */
const struct trace_slot *trace_objects_find(const struct trace_objects *objects, unsigned long handle);
void trace_objects_remove(struct trace_objects *objects, unsigned long handle);

/* ------------------------------------------------------------------------------------------------------------------
 * trace_file.c: nothing here raises a signal, cancels the thread, or waits for ever.
 */

/*
 * Opens the file for writing, without changing an existing one.  *made: the file did not exist before.  Returns a
 * descriptor or -errno; -EEXIST: there is a regular file, and `overwrite` is false.
 */
int trace_file_open(const char *path, bool overwrite, bool *made);
/*
 * Locks a regular file against other pools until it is closed.  Returns 0, also where files cannot be locked, or EBUSY.
 */
int trace_file_lock(int fd);
/* Removes the file if the path still names the one that is open. */
void trace_file_remove(int fd, const char *path);
/* Writes all bytes.  Returns 0 or errno. */
int trace_file_write(int fd, const uint8_t *bytes, size_t count);
/* Returns 0 or errno. */
int trace_file_close(int fd);
/* Closes a forked child's copy of the descriptor, and leaves the lock to the parent. */
void trace_file_close_copy(int fd);
/* Returns a text for errno that fits this kind of file. */
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
	const char *path; /* belongs to the caller */
	bool made;        /* the file did not exist before */
	int fd;           /* -1: nothing more is written */
	int error;        /* the errno that ended the writing; 0: none */
	uint8_t *head;    /* the block: its header, then its payload */
	uint8_t *at, *end;
	uint32_t records; /* records in the block */
	uint64_t last_ns;
	uint32_t last_thread;
	struct trace_thread threads[TRACE_THREAD_SLOTS];
	uint32_t thread_count;
	uint64_t calls;     /* records in the file or in the block */
	uint64_t lost;      /* calls that were not recorded */
	uint64_t held_peak; /* bytes */
	bool abandoned;     /* in a forked child, whose calls are not recorded */
};

/* Opens the file and writes the header.  Returns 0 or -errno; on failure, no new file is left. */
int trace_writer_init(struct trace_writer *writer, const char *path, bool overwrite, size_t buffer_bytes,
		      const char *spec, uint64_t limit_bytes);
/* Writes what is left, and the end block. */
void trace_writer_fini(struct trace_writer *writer, uint64_t held_bytes);
/*
 * Called instead of trace_writer_fini() for a pool that could not be created: removes the file if it did not exist
 * before.
 */
void trace_writer_discard(struct trace_writer *writer);
/* Closes the file in a forked child, which shares its position with the parent. */
void trace_writer_abandon(struct trace_writer *writer);

/* Returns true if the block has space for one more record. */
static inline bool trace_writer_has_room(const struct trace_writer *writer)
{
	return writer->fd < 0 || writer->end - writer->at >= TRACE_RECORD_BYTES_MAX;
}
/* Writes the block to the file if it is nearly full.  Returns 0, or the errno of the first failure. */
int trace_writer_flush(struct trace_writer *writer);
/* Adds a record.  The block must have space. */
void trace_writer_add(struct trace_writer *writer, enum trace_op op, int err, const uint64_t *operands,
		      unsigned int count);

#endif
