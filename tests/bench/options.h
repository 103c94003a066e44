/* SPDX-License-Identifier: MIT
 *
 * options.h - the command line that the benchmarks share
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "draw.h"

enum { OPTIONS_SUBJECTS = 32, OPTIONS_TRACES = 8 };

struct options {
	char **argv;
	const char *program;
	const char *as; /* in a child: the subject */
	char *subjects[OPTIONS_SUBJECTS];
	size_t subject_count;
	const char *missing[OPTIONS_SUBJECTS]; /* mallocs that are not installed */
	size_t missing_count;
	struct draw_trace traces[OPTIONS_TRACES];
	size_t trace_count;
	size_t objects;
	unsigned int rounds;
	unsigned int default_traces; /* of those in the tree, lz4 first */
	uint64_t seed;
	bool peers;
	bool uncompacted; /* by default, put zsmalloc without its automatic compaction beside zsmalloc */
	bool as_json;
};

/*
 * Parses, or exits after a message or --help.  `defaults` holds all that has a default.  In a child only `as`, the
 * traces and the numbers are filled in, and the subject is prepared.
 */
void options_parse(struct options *options, const struct options *defaults, int argc, char **argv, const char *help);

/* The name to print for a subject: without "malloc=". */
const char *options_label(const char *subject);
bool options_is_malloc(const char *subject);

#endif
