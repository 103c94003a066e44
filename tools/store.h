/* SPDX-License-Identifier: MIT
 *
 * store.h - the options and results of `zpoolctl store'
 */
#ifndef STORE_H
#define STORE_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "intake.h"
#include "trial-stats.h"
#include "trial.h"
#include "units.h"

struct store_options {
	char **specs; /* --type, terminated by NULL */
	size_t spec_count;
	char **paths; /* terminated by NULL */
	size_t path_count;
	pid_t pid; /* 0: none */
	uint32_t unit_bytes;
	uint64_t limit_bytes; /* 0: none */
	unsigned int timeout_seconds;
	const char *sizes_path; /* the file for the size of each unit; NULL: none */
	bool foreign_specs;     /* the specs come from a file, so they must not name files themselves */
	bool stats;             /* print the drivers' own statistics and size classes */
	bool as_json;
};

/* The outcome for a driver; all except the first are failures. */
enum store_outcome {
	STORE_IDENTICAL,
	STORE_DIFFERS,
	STORE_FAILED,  /* it could not continue, crashed or hung */
	STORE_REFUSED, /* it cannot do what was asked: evict, or accept units of this size */
};

struct store_row {
	char *spec;  /* as it was opened, including the limit */
	char *label; /* as the user named it */
	bool named;  /* named by the user, so that a refusal is a failure */
	bool run;    /* the trial took place */
	enum store_outcome outcome;
	struct trial_result result;
	struct trial_stats *reported; /* NULL: there was no trial */
};

struct store {
	struct store_options options;
	struct units units;
	struct intake intake;
	struct store_row *rows;
	size_t row_count;
};

/* store-options.c: parses the command line, or prints --help. Returns 0, or STATUS_USAGE after a message. */
int store_parse(int argc, char **argv, struct store_options *options);
void store_options_free(struct store_options *options);

/*
 * store-plan.c: creates a row for each driver to try, with what is known before any input is read. Returns 0, or the
 * exit status after a message if a named driver is not available, or none at all.
 */
int store_plan(struct store *store);

/* store-report.c: the input and the table, or JSON */
void store_report_input(const struct store *store);
void store_report(const struct store *store);

/* Returns the last column of the table. The caller frees it. */
char *store_outcome_text(const struct store_row *row);

/* store-stats.c: prints the drivers' statistics, or adds them to a row; null if a driver has none */
void store_print_stats(const struct store *store);
json_t *store_stats_json(const struct store_row *row);
json_t *store_classes_json(const struct store_row *row);

#endif /* STORE_H */
