/* SPDX-License-Identifier: MIT
 *
 * project.h - write the project of a new plugin
 */
#ifndef PROJECT_H
#define PROJECT_H 1

#include <stdbool.h>

struct project {
	const char *type; /* the type of the driver */
	const char *dir;  /* the directory to create; it must not exist */
	bool autotools;   /* configure.ac and Makefile.am instead of a Makefile */
	bool filter;      /* a filter instead of a driver with memory of its own */
};

/* Writes all files, or reports the error and leaves nothing behind. Returns true on success. */
bool project_write(const struct project *project);

#endif /* PROJECT_H */
