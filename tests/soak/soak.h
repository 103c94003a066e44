/* SPDX-License-Identifier: MIT
 *
 * soak.h - an endurance test: does the memory of a process that uses the library drift?
 *
 * A subject is a driver, a stack or a kind of store.  Each subject has a process of its own, which repeats a cycle of
 * bursts, replacements and drains with sizes that shift, while threads and pools come and go.  After each step of the
 * cycle, while no worker runs, the process measures itself and sends the sample to the main process.
 *
 * The cycle's length is given in steps and operations, and the run is four quarters with the same number of cycles.
 * So all quarters do the same work, and the means of their samples differ only if the library's state drifts.
 */
#ifndef SOAK_H
#define SOAK_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <zpool.h>

#include "conformance/pattern.h"

enum { SUBJECTS_MAX = 32, QUARTERS = 4, WORKERS = 2, OBJECT_BYTES_MAX = 65536 };

enum sizes { SIZES_SMALL, SIZES_PAGES, SIZES_LARGE };

/*
 * percent       how much of the live bytes there is at the end of the phase; it changes evenly from step to step
 * new_threads   every step starts new threads; otherwise one set of threads works during the phase
 * visits        pools of other drivers are created and destroyed, and drivers are unloaded
 * compacts      another thread compacts and trims while the workers work
 * evicts        objects are evicted between the steps
 */
struct phase {
	const char *name;
	unsigned int steps;
	unsigned int percent;
	enum sizes sizes;
	bool new_threads, visits, compacts, evicts;
};

struct step {
	const struct phase *phase;
	unsigned int number; /* since the beginning of the run */
	double share;        /* of the live bytes, from 0 to 1 */
	uint64_t operations; /* of each worker */
};

/*
 * The functions that a kind of subject supplies.
 *
 * slowness   how many operations of a pool take as long as one of this kind
 */
struct workload {
	unsigned int slowness;
	void (*open)(const char *spec);
	/* Checks everything that is stored, and frees all. */
	void (*close)(void);
	/* Called by each worker, with its number; and by one more thread at the same time. */
	void (*work)(const struct step *step, unsigned int worker);
	void (*tend)(const struct step *step);
	/* Called while no worker runs. */
	void (*rest)(const struct step *step);
	/* Called at the end of each cycle. */
	void (*check)(void);
	void (*count)(uint64_t *objects, uint64_t *live_bytes);
};

extern const struct workload pool_workload, store_workload, cache_workload;

/* name        a spec of pools, or `store' or `store-file' */
struct subject {
	const char *name;
	const char *spec;
	const struct workload *workload;
};

struct soak {
	uint64_t seed;
	uint64_t live_bytes; /* of each subject, after a burst */
	double step_s;       /* a step does not begin before so much time per step before it; 0: at once */
	unsigned int cycles; /* a multiple of QUARTERS */
	uint64_t operations; /* of a worker in a step */
	unsigned int subject_count;
	struct subject subjects[SUBJECTS_MAX];
};
extern struct soak soak;

/* What the subject's process measured.  The resident bytes are those beyond what it had without any pool. */
struct sample {
	uint32_t subject;
	uint32_t cycle;
	double seconds;
	uint64_t operations;
	uint64_t objects;
	uint64_t live_bytes;
	uint64_t resident_bytes;
	uint64_t heap_bytes;
	uint64_t mappings;
	uint64_t descriptors;
};

/* Prints the message with the subject's name and the seed, and aborts. */
__attribute__((format(printf, 1, 2))) _Noreturn void soak_fail(const char *format, ...);
#define soak_check(condition, ...)                                                                                     \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			soak_fail(__VA_ARGS__);                                                                        \
	} while (0)

/* ---- subject.c ---- */

/* Runs a subject, and writes a sample to the descriptor after each step. */
void subject_run(unsigned int number, int samples);
unsigned int steps_per_cycle(void);
double soak_seconds(void);

/* ---- gang.c ---- */

/* Workers, which are started before a step and wait for each other after it. */
void gang_start(void (*work)(const struct step *step, unsigned int worker));
/* Lets all work on a step, calls tend() meanwhile, and waits until they are done. */
void gang_work(const struct step *step, void (*tend)(const struct step *step));
void gang_end(void);

/* ---- sizes.c ---- */

size_t choose_size(enum sizes sizes, struct ct_rng *rng, size_t largest);

/* ---- report.c ---- */

/* Prints a line for each subject and cycle, also to the file if it is not NULL. */
void report_begin(FILE *csv);
void report_sample(const struct sample *sample);
/* Prints the verdict.  Returns true if nothing drifted. */
bool report_verdict(void);

#endif
