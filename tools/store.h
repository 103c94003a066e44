/* SPDX-License-Identifier: MIT
 *
 * store.h - what `zpoolctl store' was asked, and what came of it
 */
#ifndef STORE_H
#define STORE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "compressor.h"
#include "intake.h"
#include "trial-stats.h"
#include "trial.h"
#include "units.h"

struct store_options {
	char **specs; /* --type, NULL at the end */
	size_t spec_count;
	char **paths; /* NULL at the end */
	size_t path_count;
	pid_t pid; /* 0: none */
	uint32_t unit_bytes;
	uint64_t limit_bytes; /* 0: none */
	unsigned int timeout_seconds;
	struct compressor *compressor;
	const char *sizes_path; /* where to write the size of each unit; NULL: nowhere */
	bool foreign_specs;     /* a file names them: they must not name files themselves */
	bool stats;             /* print the drivers' own counters and classes */
	bool as_json;
};

/* How a driver did; all but the first is no success. */
enum store_outcome {
	STORE_IDENTICAL,
	STORE_DIFFERS,
	STORE_FAILED,  /* it could not go on, crashed or hung */
	STORE_REFUSED, /* it cannot do what was asked: evict, or take units of this size */
};

struct store_row {
	char *spec;  /* as it was opened, with the limit */
	char *label; /* as the user named it */
	bool named;  /* by the user, so that a refusal is a failure */
	bool run;    /* it came to a trial */
	enum store_outcome outcome;
	struct trial_result result;
	struct trial_stats *told; /* NULL: it came to no trial */
};

struct store {
	struct store_options options;
	struct units units;
	struct intake intake;
	struct store_row *rows;
	size_t row_count;
};

/*
 * store-options.c: the command line, or --help.  0, or STATUS_USAGE after a message.
 */
int store_parse(int argc, char **argv, struct store_options *options);
void store_options_free(struct store_options *options);

/*
 * store-plan.c: one row for each driver to try, with what is known before anything is read.  0, or the exit
 * status after a message: a named driver that cannot be had, or none at all.
 */
int store_plan(struct store *store);

/* store-report.c: the input and the table, or JSON */
void store_report_input(const struct store *store);
void store_report(const struct store *store);

/* The last column of the table.  Free it. */
char *store_outcome_text(const struct store_row *row);

/* store-stats.c: the drivers' statistics, printed, or for their row; null where a driver has none */
void store_print_stats(const struct store *store);
json_t *store_stats_json(const struct store_row *row);
json_t *store_classes_json(const struct store_row *row);

#endif /* STORE_H */
