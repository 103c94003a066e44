/* SPDX-License-Identifier: MIT
 *
 * intake.h - where units come from: files and folders, or the memory of a process
 */
#ifndef INTAKE_H
#define INTAKE_H 1

#include <stdint.h>
#include <sys/types.h>

#include "units.h"

struct intake {
	uint64_t files;          /* read to their end */
	uint64_t skipped;        /* files and folders that could not be read, each named in a message */
	uint64_t mappings;       /* of the process */
	uint64_t vanished_bytes; /* memory that the process gave up while it was read */
};

#define INTAKE_BUFFER_BYTES ((size_t)1 << 20) /* a multiple of every unit and page size */

/*
 * "-" is standard input, read to its end as one stream, after all files.  The others are regular files, and all of
 * them below folders, each once however often it is named; symbolic links are followed in `paths`, but not inside
 * folders.  What cannot be read is said and skipped.  0, or -errno after a message: the units could not be kept.
 */
int intake_files(struct units *units, char *const *paths, struct intake *intake);

/*
 * The private writable memory of a process, as far as it was ever touched.  The process goes on running, so this is
 * no snapshot of one moment.  0, or -errno after a message.
 */
int intake_process(struct units *units, pid_t pid, struct intake *intake);

#endif /* INTAKE_H */
