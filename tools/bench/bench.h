/* SPDX-License-Identifier: MIT
 *
 * bench.h - the options and results of `zpoolctl bench'
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

/* ---- The workloads that can be measured: workload.c ---- */

struct workload {
	const char *name;
	const char *does;
	uint32_t measures; /* a set of MEASURE_BIT() */
};

extern const struct workload workloads[];
extern const unsigned int workload_count;

/* Returns NULL if there is no workload of that name. */
const struct workload *workload_find(const char *name);

/* Returns the group that a measure belongs to. */
enum group measure_group(enum measure measure);

/* ---- The command line: options.c ---- */

enum bench_form { BENCH_TABLE, BENCH_JSON, BENCH_CSV };

struct bench_options {
	char **specs; /* from --type, terminated by NULL; NULL for all drivers */
	size_t spec_count;
	uint32_t peers; /* a set of bits: indices of malloc_kinds, and BENCH_PEER_ZRAM */
	bool peers_named;
	uint32_t measures; /* a set of MEASURE_BIT() */
	bool workloads_named;
	struct size_source source;
	unsigned int threads[BENCH_THREAD_COUNTS_MAX];
	unsigned int thread_count;
	unsigned int rounds;
	uint64_t objects; /* 0 if the source of the sizes determines it */
	uint64_t seed;
	unsigned int timeout_seconds; /* 0 if the number of objects determines it */
	enum bench_form form;
	const char *plot_path; /* NULL for no plot */
};

#define BENCH_PEER_ZRAM 31

/* Returns 0, or STATUS_USAGE after a message. In a process that was started to measure, it does not return. */
int bench_parse(int argc, char **argv, struct bench_options *options);
void bench_options_free(struct bench_options *options);

/* ---- What is measured, and the results ---- */

enum bench_kind { BENCH_DRIVER, BENCH_MALLOC, BENCH_KERNEL };

/* The results of a measure with one number of threads. */
struct figures {
	unsigned int count; /* number of measured rounds; 0 if the measure was not made */
	struct measurement *rounds;
	struct measurement watched; /* the latency of calls; its `operations` is 0 if it was not measured */
};

struct timeline {
	struct sample *at;
	size_t count;
};

struct bench_row {
	enum bench_kind kind;
	char *label;
	const char *spec; /* of a driver; "" for other rows */
	unsigned int malloc_number;
	const char *preload;
	bool named;  /* named by the user */
	bool failed; /* this row is not run again */
	char version[BENCH_VERSION_BYTES];
	char *notes[MEASURES]; /* why a measure was skipped; NULL if it was not */
	char *note;            /* why the row has no results at all */
	struct figures figures[BENCH_THREAD_COUNTS_MAX][MEASURES];
	struct timeline timeline; /* memory during the workloads on the working set, with the first number of threads */
};

struct bench {
	struct bench_options options;
	struct sizes sizes; /* sizes of the objects, in random order */
	struct bench_row *rows;
	size_t row_count;
};

/* plan.c: creates the rows and tries each of them. Returns 0, or the exit status after a message. */
int bench_plan(struct bench *bench);
void bench_free(struct bench *bench);

/* measure.c: runs all rounds. Returns 0, or STATUS_FAILED after a message if no process could be started. */
int bench_measure(struct bench *bench);

/* ---- Figures: figures.c ---- */

/* Returns true if the row has results for this measure and this index of a thread count. */
bool bench_has(const struct bench_row *row, unsigned int threads, enum measure measure);

/* Return the median over the rounds: of nanoseconds for an operation, or of any number of a measurement. */
double bench_ns(const struct bench_row *row, unsigned int threads, enum measure measure);
double bench_median(const struct bench_row *row, unsigned int threads, enum measure measure,
		    double (*number)(const struct measurement *measurement));

/* Returns the smallest or the largest value of all rounds. */
double bench_extreme(const struct bench_row *row, unsigned int threads, enum measure measure, bool largest,
		     double (*number)(const struct measurement *measurement));

/* ---- The numbers of a measurement, for bench_median() and bench_extreme() ---- */
double measurement_footprint(
	/* resident memory and page tables, divided by live bytes */
	const struct measurement *measurement);
double measurement_hits(const struct measurement *measurement); /* a share of the operations */
double measurement_ns(
	/* for one operation of all threads together; of a pair, for one of a single thread */
	const struct measurement *measurement);
double measurement_wall_ms(const struct measurement *measurement);
double measurement_operations(const struct measurement *measurement);
double measurement_live_bytes(const struct measurement *measurement);
double measurement_rss_bytes(const struct measurement *measurement);
double measurement_page_table_bytes(const struct measurement *measurement);
double measurement_pool_bytes(const struct measurement *measurement);
double measurement_madvise_calls(const struct measurement *measurement);
double measurement_moved_bytes(const struct measurement *measurement);

/* Returns the median divided by that of the fastest malloc with as many threads, or 0 if there is no malloc. */
double bench_ratio(const struct bench *bench, const struct bench_row *row, unsigned int threads, enum measure measure);

/* Returns true if the number of madvise() calls is known. */
bool bench_counts_madvise(const struct bench_row *row);

/* ---- Output: report.c, report-json.c, report-csv.c ---- */

void bench_report(const struct bench *bench);
void bench_report_json(const struct bench *bench);
void bench_report_csv(const struct bench *bench);

/*
 * plot.c: bench_can_plot() returns false after a message if a plot is impossible. bench_plot() draws it and returns 0,
 * or STATUS_FAILED after a message.
 */
bool bench_can_plot(const char *path);
int bench_plot(const struct bench *bench);

#endif /* BENCH_H */
