/* SPDX-License-Identifier: MIT
 *
 * run.h - one run in its process: the objects, the threads that work on them, and what is measured
 *
 * A loop is what a worker does in a measure.  It is written once, always inlined, with two constants: `pooled`, whether
 * objects are in a pool or in a malloc, and `watched`, whether each call is timed.  RUN_LOOP() makes the function of
 * it that chooses; so a loop that is timed as a whole reads no clock and has no branch for the other kind of allocator.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "../clock.h"
#include "allocator.h"
#include "histogram.h"
#include "job.h"

/* What is copied into objects: random bytes that the last level of cache holds at best. */
#define SOURCE_BYTES ((size_t)8 << 20)

/* A worker looks at the memory so often during its part of a watched measure. */
#define RUN_SAMPLES 24

struct run;

struct worker {
	struct run *run;
	unsigned int index;
	uint64_t random;     /* the state of worker_random() */
	size_t first, end;   /* its part of the objects */
	uint64_t todo;       /* operations that it is asked for, where the objects do not tell */
	uint64_t operations; /* done in this measure */
	uint64_t hits;
	int64_t live_bytes; /* of objects that it stored, less those that it dropped */
	uint64_t start_ns, end_ns;
	uint64_t next_sample;           /* the operation before which it looks at the memory */
	struct histogram *calls[CALLS]; /* NULL: not a watched run */
	pthread_t thread;
} __attribute__((aligned(128))); /* a cache line, and the one that is fetched with it, for each */

struct run {
	struct worker workers[BENCH_THREADS_MAX];
	const struct bench_job *job;
	const uint32_t *sizes; /* of the job */
	struct allocator allocator;
	unsigned long *objects; /* 0: there is none */
	uint32_t *bytes;        /* of each */
	const char *source;     /* SOURCE_BYTES, and size_max more */
	uint64_t began_ns;
	uint64_t base_rss_bytes, base_page_table_bytes;
	void (*loop)(struct worker *worker); /* that the workers run */
	_Atomic(uint64_t) start_ns;          /* when all begin; 0: not all have arrived */
	_Atomic(unsigned int) arrived;       /* workers that are ready to begin */
	unsigned int worker_count;
	enum measure measure; /* under way */
};

typedef void (*run_loop)(struct worker *worker);

#define RUN_LOOP(name, loop)                                                                                           \
	static void name(struct worker *worker)                                                                        \
	{                                                                                                              \
		const bool watched = worker->calls[0];                                                                 \
                                                                                                                       \
		if (worker->run->allocator.pool)                                                                       \
			watched ? loop(worker, true, true) : loop(worker, true, false);                                \
		else                                                                                                   \
			watched ? loop(worker, false, true) : loop(worker, false, false);                              \
	}

static inline uint64_t worker_random(struct worker *worker)
{
	worker->random ^= worker->random << 13;
	worker->random ^= worker->random >> 7;
	worker->random ^= worker->random << 17;
	return worker->random;
}

/* Below `bound`, which is less than 2^32. */
static inline size_t worker_below(struct worker *worker, size_t bound)
{
	return (size_t)((worker_random(worker) >> 32) * bound >> 32);
}

/* What the operation of this number copies into its object. */
static inline const char *run_source(const struct run *run, uint64_t operation)
{
	return run->source + (operation * 977 & (SOURCE_BYTES - 1));
}

/* Everything that is not the allocator's is in memory before the allocator is opened, so that it is no growth. */
void run_prepare(struct run *run, const struct bench_job *job, const uint32_t *sizes);

/* Open the allocator, for `threads` workers that share the objects. */
void run_open(struct run *run, unsigned int threads);

/* Is any object of the job too large for the allocator?  The measures of the job are skipped then. */
bool run_is_too_large(const struct run *run);

static inline bool run_wants(const struct run *run, enum measure measure)
{
	return run->job->measures & MEASURE_BIT(measure);
}

/* Let every worker run the loop, in threads if there are several, and tell what was measured if that is wanted. */
void run_measure(struct run *run, enum measure measure, run_loop loop);
/* Let every worker run it.  The wall time from the first worker's start to the last one's end. */
uint64_t run_work(struct run *run, run_loop loop);
/* The same without timing any call in a watched run. */
void run_unwatched(struct run *run, run_loop loop);

/* Ask every worker for a share of so many operations. */
void run_share(struct run *run, uint64_t operations);

/* For a measure that is no loop: begin, and tell when it has ended. */
void run_begin(struct run *run, enum measure measure, struct measurement *measurement);
void run_end(struct run *run, struct measurement *measurement);

/* Read the memory and tell the parent. */
void run_sample(const struct run *run);

/* In a watched loop, before an operation of `count`: look at the memory if it is time to. */
static ALWAYS_INLINE void worker_sample(struct worker *worker, uint64_t operation, uint64_t count)
{
	if (worker->index || operation < worker->next_sample)
		return;
	worker->next_sample = operation + count / RUN_SAMPLES + 1;
	run_sample(worker->run);
}

/* ---- The groups of workloads, one a file ---- */

void run_set(struct run *run);      /* fill, churn, read, drop and compact */
void run_pair(struct run *run);     /* a hot malloc and free */
void run_transfer(struct run *run); /* from one thread to another */
void run_evict(struct run *run);    /* under a limit */
void run_stall(struct run *run);    /* beside compaction */

/* run-set.c, for others: store the objects, drop three quarters of them. */
void set_fill(struct worker *worker);
void set_drop(struct worker *worker);
/* run-pair.c: malloc and free of 1000 bytes, and how often. */
void pair_loop(struct worker *worker);
uint64_t pair_operations(const struct run *run);

#endif /* BENCH_RUN_H */
