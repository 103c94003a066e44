/* SPDX-License-Identifier: MIT
 *
 * project.h - writing the project of a new plugin
 */
#ifndef PROJECT_H
#define PROJECT_H 1

#include <stdbool.h>

struct project {
	const char *type; /* of the driver */
	const char *dir;  /* the folder to make; it must not exist */
	bool autotools;   /* configure.ac and Makefile.am instead of a Makefile */
	bool filter;      /* a filter instead of a driver with memory of its own */
};

/* Write all files, or say why not and leave nothing behind.  true: it is there. */
bool project_write(const struct project *project);

#endif /* PROJECT_H */
