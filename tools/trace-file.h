/* SPDX-License-Identifier: MIT
 *
 * trace-file.h - what the filter trace recorded, read and checked; trace_format.h describes the file
 */
#ifndef TRACE_FILE_H
#define TRACE_FILE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../plugins/trace/trace_format.h"

#define TRACE_TEXT 240

struct trace_totals {
	uint64_t calls;
	uint64_t lost; /* calls that were not recorded */
	uint64_t shrinks;
	uint64_t objects;      /* that malloc made */
	uint64_t objects_live; /* at the end */
	uint64_t objects_peak; /* at once */
	uint64_t bytes;        /* in all of them, as asked for */
	uint64_t bytes_live;
	uint64_t bytes_peak;
	uint64_t peak_call; /* the call that brought bytes_peak, from 0 */
	uint64_t held_peak; /* by the pool */
	uint64_t held_live;
	uint64_t largest;        /* object, read or write, in bytes */
	uint64_t partial_writes; /* of a part of an object */
	uint64_t threads;
	uint64_t ns;
	uint64_t failed[TRACE_EOTHER + 1]; /* by reason */
};

struct trace_file {
	uint8_t *bytes;
	size_t size;
	char *spec; /* of what stood below the filter */
	uint64_t limit_bytes;
	uint64_t began_ns; /* since 1970 */
	bool cut_off;      /* it has no end: what lost, held_peak and held_live would say is not known */
	size_t blocks_end; /* where the last whole block ends, or what is whole of the one that was cut off */
	struct trace_totals totals;
};

struct trace_record {
	enum trace_op op;
	uint32_t thread;
	uint64_t ns;            /* since the beginning */
	enum trace_error error; /* 0: none */
	bool known;             /* object is one */
	uint64_t object;        /* its number */
	uint64_t operands[3];   /* without the object */
};

/* Where a walk over the records is. */
struct trace_cursor {
	const uint8_t *at, *end; /* in the block */
	const uint8_t *next_block, *blocks_end;
	uint32_t records; /* left in the block */
	uint32_t thread;
	uint64_t ns;
	uint64_t objects; /* made so far */
};

/*
 * A file that was cut off behind its header is good up to its last whole record, and cut_off says so.
 *
 * Check a file that is in memory, which `file` takes over.  0, or -errno and the reason in `text`.
 */
int trace_file_check(struct trace_file *file, char text[TRACE_TEXT]);
/* Read and check, block by block: what is no trace is not read to its end.  0, or -errno and the reason in `text`. */
int trace_file_read(struct trace_file *file, const char *path, char text[TRACE_TEXT]);
void trace_file_free(struct trace_file *file);

/* trace-records.c: a walk over a file that was found good. */
void trace_begin(const struct trace_file *file, struct trace_cursor *cursor);
/* false: that was the last. */
bool trace_next(struct trace_cursor *cursor, struct trace_record *record);

/*
 * trace-records.c: look at every record of a file whose blocks are good, and sum them up.  `partial` is where a block
 * begins that was cut off, or 0; it is made to end with its last whole record.  0, or -EBADMSG and the reason.
 */
int trace_records_check(struct trace_file *file, size_t partial, char text[TRACE_TEXT]);

#define TRACE_REFUSE(text, ...) (snprintf((text), TRACE_TEXT, __VA_ARGS__), -EBADMSG)

#endif /* TRACE_FILE_H */
