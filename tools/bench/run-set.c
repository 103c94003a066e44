/* SPDX-License-Identifier: MIT
 *
 * run-set.c - a working set of objects: filled, churned, read, dropped and compacted
 *
 * Each worker has its own part of the objects. A replacement drops a random object and stores another one, whose size
 * is drawn from the sizes of the job.
 */
#include <config.h>

#include "run.h"

/* The number of operations for each object. */
enum { CHURN_PER_OBJECT = 4, LONG_CHURN_PER_OBJECT = 36, READS_PER_OBJECT = 4 };

/* Stores an object of `bytes` at an empty index, as the operation with this number. */
static ALWAYS_INLINE void store(struct worker *worker, size_t at, uint32_t bytes, uint64_t operation, const bool pooled,
				const bool watched)
{
	struct run *run = worker->run;
	uint64_t start = watched ? clock_ns() : 0;

	run->objects[at] = allocator_store(&run->allocator, pooled, run_source(run, operation), bytes);
	if (watched)
		histogram_record(worker->calls[CALL_STORE], clock_ns() - start);
	run->bytes[at] = bytes;
	worker->live_bytes += bytes;
}

static ALWAYS_INLINE void drop(struct worker *worker, size_t at, const bool pooled, const bool watched)
{
	struct run *run = worker->run;
	uint64_t start = watched ? clock_ns() : 0;

	allocator_drop(&run->allocator, pooled, run->objects[at]);
	if (watched)
		histogram_record(worker->calls[CALL_DROP], clock_ns() - start);
	worker->live_bytes -= run->bytes[at];
}

/* This also stores objects that were dropped before, so the set can be filled again. */
static ALWAYS_INLINE void fill(struct worker *worker, const bool pooled, const bool watched)
{
	const struct run *run = worker->run;

	for (size_t i = worker->first; i < worker->end; i++) {
		if (watched)
			worker_sample(worker, i - worker->first, worker->end - worker->first);
		if (run->objects[i])
			continue;
		store(worker, i, run->sizes[i], i, pooled, watched);
		worker->operations++;
	}
}
RUN_LOOP(fill_loop, fill)

static ALWAYS_INLINE void churn(struct worker *worker, const bool pooled, const bool watched)
{
	const struct run *run = worker->run;
	size_t part = worker->end - worker->first;

	for (uint64_t k = 0; k < worker->todo; k++) {
		size_t at = worker->first + worker_below(worker, part);
		uint32_t bytes = run->sizes[worker_below(worker, run->job->objects)];

		if (watched)
			worker_sample(worker, k, worker->todo);
		drop(worker, at, pooled, watched);
		store(worker, at, bytes, k, pooled, watched);
	}
	worker->operations = worker->todo;
}
RUN_LOOP(churn_loop, churn)

static ALWAYS_INLINE void read_any(struct worker *worker, const bool pooled, const bool watched)
{
	const struct run *run = worker->run;
	size_t part = worker->end - worker->first;
	char buffer[65536];
	char *to = run->job->size_max > sizeof(buffer) ? malloc(run->job->size_max) : buffer;

	if (!to)
		job_fail("there is no memory for a buffer");
	for (uint64_t k = 0; k < worker->todo; k++) {
		size_t at = worker->first + worker_below(worker, part);
		uint64_t start;

		if (watched)
			worker_sample(worker, k, worker->todo);
		start = watched ? clock_ns() : 0;
		allocator_read(&run->allocator, pooled, run->objects[at], to, run->bytes[at]);
		__asm__ __volatile__("" : : "r"(to) : "memory");
		if (watched)
			histogram_record(worker->calls[CALL_READ], clock_ns() - start);
	}
	worker->operations = worker->todo;
	if (to != buffer)
		free(to);
}
RUN_LOOP(read_loop, read_any)

static ALWAYS_INLINE void drop_most(struct worker *worker, const bool pooled, const bool watched)
{
	struct run *run = worker->run;

	for (size_t i = worker->first; i < worker->end; i++) {
		if (watched)
			worker_sample(worker, i - worker->first, worker->end - worker->first);
		if (!run->objects[i] || worker_random(worker) >> 62 == 0)
			continue;
		drop(worker, i, pooled, watched);
		run->objects[i] = 0;
		worker->operations++;
	}
}
RUN_LOOP(drop_loop, drop_most)

void set_fill(struct worker *worker)
{
	fill_loop(worker);
}

void set_drop(struct worker *worker)
{
	drop_loop(worker);
}

static void compact(struct run *run)
{
	struct measurement measurement;
	uint64_t start_ns;

	run_begin(run, MEASURE_COMPACT, &measurement);
	start_ns = clock_ns();
	allocator_compact(&run->allocator);
	measurement.wall_ns = clock_ns() - start_ns;
	measurement.moves = run->allocator.pool && zpool_compact(run->allocator.pool, 1, 1, NULL) >= 0;
	run_end(run, &measurement);
	if (run->job->watched)
		run_sample(run);
}

void run_set(struct run *run)
{
	run_open(run, run->job->threads);
	if (run_is_too_large(run))
		return;
	run_measure(run, MEASURE_FILL, set_fill);
	run_share(run, CHURN_PER_OBJECT * run->job->objects);
	if (run_wants(run, MEASURE_CHURN) || run_wants(run, MEASURE_PAIR_WORN))
		run_measure(run, MEASURE_CHURN, churn_loop);
	run_share(run, LONG_CHURN_PER_OBJECT * run->job->objects);
	if (run_wants(run, MEASURE_LONG_CHURN))
		run_measure(run, MEASURE_LONG_CHURN, churn_loop);
	run_share(run, READS_PER_OBJECT * run->job->objects);
	if (run_wants(run, MEASURE_READ))
		run_measure(run, MEASURE_READ, read_loop);
	if (!run_wants(run, MEASURE_DROP) && !run_wants(run, MEASURE_PAIR_WORN))
		return;
	run_measure(run, MEASURE_DROP, set_drop);
	compact(run);
	run_share(run, pair_operations(run));
	if (run_wants(run, MEASURE_PAIR_WORN) && !pair_is_too_large(run))
		run_measure(run, MEASURE_PAIR_WORN, pair_loop);
}
