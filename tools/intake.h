/* SPDX-License-Identifier: MIT
 *
 * intake.h - the sources of units: files and directories, or the memory of a process
 */
#ifndef INTAKE_H
#define INTAKE_H 1

#include <stdint.h>
#include <sys/types.h>

#include "units.h"

struct intake {
	uint64_t files;          /* read to their end */
	uint64_t skipped;        /* files and directories that could not be read, each reported in a message */
	uint64_t mappings;       /* of the process */
	uint64_t vanished_bytes; /* memory that the process released while it was read */
};

#define INTAKE_BUFFER_BYTES ((size_t)1 << 20) /* a multiple of every unit and page size */

/*
 * "-" is standard input, which is read to its end as one stream, after all files. The other paths are regular files,
 * and all regular files below directories, each of which is read once even if it is named several times. Symbolic links
 * are followed in `paths`, but not inside directories. Files that cannot be read are reported and skipped. Returns 0,
 * or -errno after a message if the units could not be stored.
 */
int intake_files(struct units *units, char *const *paths, struct intake *intake);

/*
 * Reads the private writable memory of a process, except pages that were never touched. The process keeps running, so
 * the result is not a snapshot of one moment. Returns 0, or -errno after a message.
 */
int intake_process(struct units *units, pid_t pid, struct intake *intake);

#endif /* INTAKE_H */
