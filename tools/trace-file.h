/* SPDX-License-Identifier: MIT
 *
 * trace-file.h - read and check the recording of the trace filter; trace_format.h describes the file
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../libzpool/support/trace_format.h"

#define TRACE_TEXT 240

struct trace_totals {
	uint64_t calls;
	uint64_t lost; /* calls that were not recorded */
	uint64_t shrinks;
	uint64_t objects;      /* objects that malloc created */
	uint64_t objects_live; /* at the end */
	uint64_t objects_peak; /* maximum at one time */
	uint64_t bytes;        /* in all of them, as requested */
	uint64_t bytes_live;
	uint64_t bytes_peak;
	uint64_t peak_call; /* index of the call that reached bytes_peak, from 0 */
	uint64_t held_peak; /* held by the pool */
	uint64_t held_live;
	uint64_t largest;        /* largest object, read or write, in bytes */
	uint64_t partial_writes; /* largest read or write of a part of an object */
	uint64_t threads;
	uint64_t ns;
	uint64_t failed[TRACE_EOTHER + 1]; /* failures by reason */
};

struct trace_file {
	uint8_t *bytes;
	size_t size;
	char *spec; /* of the layers below the filter */
	uint64_t limit_bytes;
	uint64_t began_ns; /* since 1970 */
	bool cut_off;      /* the file has no end record, so lost, held_peak and held_live are unknown */
	size_t blocks_end; /* the end of the last whole block, or of the complete records of a block that was cut off */
	struct trace_totals totals;
};

struct trace_record {
	enum trace_op op;
	uint32_t thread;
	uint64_t ns;            /* since the recording began */
	enum trace_error error; /* 0 if the call succeeded */
	bool known;             /* the call has an object */
	uint64_t object;        /* number of the object */
	uint64_t operands[3];   /* size of the record without the object */
};

/* The position of a walk over the records. */
struct trace_cursor {
	const uint8_t *at, *end; /* offset in the block */
	const uint8_t *next_block, *blocks_end;
	uint32_t records; /* number of records left in the block */
	uint32_t thread;
	uint64_t ns;
	uint64_t objects; /* made so far */
};

/*
 * A file that was cut off after its header is valid up to its last whole record, and cut_off is set.
 *
 * Checks a file that is in memory, which `file` takes over. Returns 0, or -errno with the reason in `text`.
 */
int trace_file_check(struct trace_file *file, char text[TRACE_TEXT]);
/*
 * Reads and checks a file block by block; a file that is not a trace is not read to its end. Returns 0, or -errno with
 * the reason in `text`.
 */
int trace_file_read(struct trace_file *file, const char *path, char text[TRACE_TEXT]);
void trace_file_free(struct trace_file *file);

/* trace-records.c: a walk over a file that has been checked. */
void trace_begin(const struct trace_file *file, struct trace_cursor *cursor);
/* Returns false at the end. */
bool trace_next(struct trace_cursor *cursor, struct trace_record *record);

/*
 * trace-records.c: checks every record of a file whose blocks are valid, and adds them up. `partial` is the offset of a
 * block that was cut off, or 0; it is made to end with its last whole record. Returns 0, or -EBADMSG with the reason.
 */
int trace_records_check(struct trace_file *file, size_t partial, char text[TRACE_TEXT]);

#define TRACE_REFUSE(text, ...) (snprintf((text), TRACE_TEXT, __VA_ARGS__), -EBADMSG)

#endif /* TRACE_FILE_H */
