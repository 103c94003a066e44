/* SPDX-License-Identifier: MIT
 *
 * run.h - one run in its process: the objects, the threads that work on them, and the measurements
 *
 * A loop is the work of a worker in a measure. It is written once as an inline function with two constant arguments:
 * `pooled` is true if objects are in a pool and not in a malloc, and `watched` is true if each call is timed.
 * RUN_LOOP() defines a function that chooses among the four variants. So a loop that is timed as a whole reads no
 * clock, and has no branch for the other kind of allocator.
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

/* Objects are filled from this many random bytes, which fit at most into the last level of cache. */
#define SOURCE_BYTES ((size_t)8 << 20)

/* The number of memory samples that a worker takes during its part of a watched measure. */
#define RUN_SAMPLES 24

struct run;

struct worker {
	struct run *run;
	unsigned int index;
	uint64_t random;     /* state of worker_random() */
	size_t first, end;   /* its part of the objects */
	uint64_t todo;       /* requested operations, in measures that do not visit each object */
	uint64_t operations; /* finished operations of this measure */
	uint64_t hits;
	int64_t live_bytes; /* of the objects that it stored, minus those that it dropped */
	uint64_t start_ns, end_ns;
	uint64_t next_sample;           /* number of the operation before which it samples the memory */
	struct histogram *calls[CALLS]; /* NULL if the run is not watched */
	pthread_t thread;
	/* each worker has a cache line, and the next one, which is prefetched with it, to itself */
} __attribute__((aligned(128)));

struct run {
	struct worker workers[BENCH_THREADS_MAX];
	const struct bench_job *job;
	const uint32_t *sizes; /* from the job */
	struct allocator allocator;
	unsigned long *objects; /* 0 if there is no object */
	uint32_t *bytes;        /* size of each object */
	const char *source;     /* SOURCE_BYTES, plus size_max */
	uint64_t began_ns;
	uint64_t base_rss_bytes, base_page_table_bytes;
	void (*loop)(struct worker *worker); /* the function that the workers run */
	_Atomic(uint64_t) start_ns;          /* when all workers begin; 0 until all have arrived */
	_Atomic(unsigned int) arrived;       /* number of workers that are ready to begin */
	unsigned int worker_count;
	enum measure measure; /* the current measure */
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

/* Returns a random number below `bound`, which must be less than 2^32. */
static inline size_t worker_below(struct worker *worker, size_t bound)
{
	return (size_t)((worker_random(worker) >> 32) * bound >> 32);
}

/* Returns the bytes that the operation with this number copies into its object. */
static inline const char *run_source(const struct run *run, uint64_t operation)
{
	return run->source + (operation * 977 & (SOURCE_BYTES - 1));
}

/* Allocates all memory that is not the allocator's, so that it does not count as the allocator's growth. */
void run_prepare(struct run *run, const struct bench_job *job, const uint32_t *sizes);

/* Opens the allocator for `threads` workers, which share the objects. */
void run_open(struct run *run, unsigned int threads);

/* Returns true, and skips the measures of the job, if an object is too large for the allocator. */
bool run_is_too_large(const struct run *run);

static inline bool run_wants(const struct run *run, enum measure measure)
{
	return run->job->measures & MEASURE_BIT(measure);
}

/*
 * Lets every worker run the loop, in threads if there are several, and reports the measurement if the job asks for it.
 */
void run_measure(struct run *run, enum measure measure, run_loop loop);
/*
 * Lets every worker run the loop. Returns the wall time from the start of the first worker to the end of the last one.
 */
uint64_t run_work(struct run *run, run_loop loop);
/* Lets every worker run the loop without timing any call, also in a watched run. */
void run_unwatched(struct run *run, run_loop loop);

/* Distributes this many operations among the workers. */
void run_share(struct run *run, uint64_t operations);

/* For a measure without a loop: begin it, and report the measurement at its end. */
void run_begin(struct run *run, enum measure measure, struct measurement *measurement);
void run_end(struct run *run, struct measurement *measurement);

/* Reads the memory and reports it to the parent. */
void run_sample(const struct run *run);

/* In a watched loop of `count` operations, called before each operation: samples the memory if a sample is due. */
static ALWAYS_INLINE void worker_sample(struct worker *worker, uint64_t operation, uint64_t count)
{
	if (worker->index || operation < worker->next_sample)
		return;
	worker->next_sample = operation + count / RUN_SAMPLES + 1;
	run_sample(worker->run);
}

/* ---- The groups of workloads, each in a file of its own ---- */

void run_set(struct run *run);      /* fill, churn, read, drop and compact */
void run_pair(struct run *run);     /* a hot malloc and free */
void run_transfer(struct run *run); /* transfer from one thread to another */
void run_evict(struct run *run);    /* a cache under a limit */
void run_stall(struct run *run);    /* store and drop while another thread compacts */

/* run-set.c, also used by other files: store the objects; drop three quarters of them. */
void set_fill(struct worker *worker);
void set_drop(struct worker *worker);
/* run-pair.c: malloc and free of 1000 bytes; returns how many pairs are measured. */
void pair_loop(struct worker *worker);
uint64_t pair_operations(const struct run *run);

/* Returns true, and skips the pair measures of the job, if the object of a pair is too large for the allocator. */
bool pair_is_too_large(const struct run *run);

#endif /* BENCH_RUN_H */
