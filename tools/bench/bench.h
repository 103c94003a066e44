/* SPDX-License-Identifier: MIT
 *
 * bench.h - what `zpoolctl bench' was asked, and what came of it
 */
#ifndef BENCH_H
#define BENCH_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "job.h"
#include "sizes.h"

#define BENCH_ROUNDS_MAX 1000
#define BENCH_THREAD_COUNTS_MAX 16
#define BENCH_VERSION_BYTES 64

/* ---- What can be measured: workload.c ---- */

struct workload {
	const char *name;
	const char *does;
	uint32_t measures; /* bits */
};

extern const struct workload workloads[];
extern const unsigned int workload_count;

/* NULL: there is none of that name. */
const struct workload *workload_find(const char *name);

/* The group of a measure. */
enum group measure_group(enum measure measure);

/* ---- The command line: options.c ---- */

enum bench_form { BENCH_TABLE, BENCH_JSON, BENCH_CSV };

struct bench_options {
	char **specs; /* --type, NULL at the end; NULL: all drivers */
	size_t spec_count;
	uint32_t peers; /* bits: the number of a malloc, or BENCH_PEER_ZRAM */
	bool peers_named;
	uint32_t measures; /* bits */
	bool workloads_named;
	struct size_source source;
	unsigned int threads[BENCH_THREAD_COUNTS_MAX];
	unsigned int thread_count;
	unsigned int rounds;
	uint64_t objects; /* 0: the sizes decide */
	uint64_t seed;
	unsigned int timeout_seconds; /* 0: the number of objects decides */
	enum bench_form form;
	const char *plot_path; /* NULL: none */
};

#define BENCH_PEER_ZRAM 31

/* 0, or STATUS_USAGE after a message.  In a process that is to measure it does not return. */
int bench_parse(int argc, char **argv, struct bench_options *options);
void bench_options_free(struct bench_options *options);

/* ---- What is measured, and what came out ---- */

enum bench_kind { BENCH_DRIVER, BENCH_MALLOC, BENCH_KERNEL };

/* A measure with a number of threads. */
struct figures {
	unsigned int count; /* rounds that were measured; 0: there is nothing below */
	struct measurement *rounds;
	struct measurement watched; /* the latency of calls; operations 0: it was not measured */
};

struct timeline {
	struct sample *at;
	size_t count;
};

struct bench_row {
	enum bench_kind kind;
	char *label;
	const char *spec; /* of a driver, or "" */
	unsigned int malloc_number;
	const char *preload;
	bool named;  /* by the user */
	bool failed; /* not to be run again */
	char version[BENCH_VERSION_BYTES];
	char *notes[MEASURES]; /* why a measure was skipped; NULL: it was not */
	char *note;            /* why there is nothing at all */
	struct figures figures[BENCH_THREAD_COUNTS_MAX][MEASURES];
	struct timeline timeline; /* of the set, with the first number of threads */
};

struct bench {
	struct bench_options options;
	struct sizes sizes; /* of the objects, in random order */
	struct bench_row *rows;
	size_t row_count;
};

/* plan.c: the rows, each tried.  0, or the exit status after a message. */
int bench_plan(struct bench *bench);
void bench_free(struct bench *bench);

/* measure.c: all rounds.  0, or STATUS_FAILED after a message: no process could be started. */
int bench_measure(struct bench *bench);

/* ---- Figures: figures.c ---- */

/* Of a row's measure with the thread count of this index; false: it was not measured. */
bool bench_has(const struct bench_row *row, unsigned int threads, enum measure measure);

/* Medians of the rounds: nanoseconds for an operation; any number of a measurement. */
double bench_ns(const struct bench_row *row, unsigned int threads, enum measure measure);
double bench_median(const struct bench_row *row, unsigned int threads, enum measure measure,
		    double (*number)(const struct measurement *measurement));

/* The least or the largest of the rounds. */
double bench_extreme(const struct bench_row *row, unsigned int threads, enum measure measure, bool largest,
		     double (*number)(const struct measurement *measurement));

/* The numbers. */
double measurement_footprint(
	const struct measurement *measurement);                 /* resident memory and page tables over live bytes */
double measurement_hits(const struct measurement *measurement); /* a share of the operations */
double measurement_ns(const struct measurement *measurement);   /* for an operation */
double measurement_wall_ms(const struct measurement *measurement);
double measurement_operations(const struct measurement *measurement);
double measurement_live_bytes(const struct measurement *measurement);
double measurement_rss_bytes(const struct measurement *measurement);
double measurement_page_table_bytes(const struct measurement *measurement);
double measurement_pool_bytes(const struct measurement *measurement);
double measurement_madvise_calls(const struct measurement *measurement);
double measurement_moved_bytes(const struct measurement *measurement);

/* The median over that of the fastest malloc with as many threads; 0: there is no malloc. */
double bench_ratio(const struct bench *bench, const struct bench_row *row, unsigned int threads, enum measure measure);

/* Is the number of madvise() calls known? */
bool bench_counts_madvise(const struct bench_row *row);

/* ---- What is printed: report.c, report-json.c, report-csv.c ---- */

void bench_report(const struct bench *bench);
void bench_report_json(const struct bench *bench);
void bench_report_csv(const struct bench *bench);

/* plot.c: can it be drawn?  false after a message.  And draw it: 0, or STATUS_FAILED after a message. */
bool bench_can_plot(const char *path);
int bench_plot(const struct bench *bench);

#endif /* BENCH_H */
