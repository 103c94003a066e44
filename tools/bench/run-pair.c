/* SPDX-License-Identifier: MIT
 *
 * run-pair.c - a hot malloc and free of one size, in each state that a pool can be in
 *
 * The cost of such a pair depends on the kind of slot that the allocator finds: a slot in new memory, a slot in a class
 * without free slots, one of many holes, or one of those that compaction left. Therefore each state is measured
 * separately.
 */
#include <config.h>

#include "run.h"

enum { PAIR_BYTES = 1000, PAIR_OBJECTS = 1000 };

static ALWAYS_INLINE void pair(struct worker *worker, const bool pooled, const bool watched)
{
	const struct allocator *allocator = &worker->run->allocator;

	for (uint64_t k = 0; k < worker->todo; k++) {
		uint64_t before = watched ? clock_ns() : 0, between;
		unsigned long object = allocator_take(allocator, pooled, PAIR_BYTES);

		between = watched ? clock_ns() : 0;
		allocator_drop(allocator, pooled, object);
		if (watched) {
			histogram_record(worker->calls[CALL_STORE], between - before);
			histogram_record(worker->calls[CALL_DROP], clock_ns() - between);
		}
	}
	worker->operations = worker->todo;
}
RUN_LOOP(loop, pair)

void pair_loop(struct worker *worker)
{
	loop(worker);
}

/* One million for each thread, and fewer in a trial run with few objects. */
uint64_t pair_operations(const struct run *run)
{
	uint64_t each = run->job->objects < 100000 ? 10 * run->job->objects : 1000000;

	return each * run->worker_count;
}

bool pair_is_too_large(const struct run *run)
{
	size_t most = run->allocator.pool ? zpool_max_object_size(run->allocator.pool) : SIZE_MAX;

	for (unsigned int m = MEASURE_PAIR_EMPTY; m <= MEASURE_PAIR_WORN && most < PAIR_BYTES; m++)
		if (run_wants(run, m))
			job_skip(m, "it accepts objects of up to %zu bytes, and a pair has one of %d", most,
				 (int)PAIR_BYTES);
	return most < PAIR_BYTES;
}

static void measure(struct run *run, enum measure state)
{
	if (run_wants(run, state))
		run_measure(run, state, pair_loop);
}

/* The first worker's live_bytes counts these objects. */
static void store_object(struct run *run, size_t at)
{
	run->objects[at] = allocator_take(&run->allocator, run->allocator.pool, PAIR_BYTES);
	run->workers[0].live_bytes += PAIR_BYTES;
}

static void drop_object(struct run *run, size_t at)
{
	allocator_drop(&run->allocator, run->allocator.pool, run->objects[at]);
	run->workers[0].live_bytes -= PAIR_BYTES;
}

void run_pair(struct run *run)
{
	run_open(run, run->job->threads);
	if (pair_is_too_large(run))
		return;
	run_share(run, pair_operations(run));
	measure(run, MEASURE_PAIR_EMPTY);
	for (size_t i = 0; i < PAIR_OBJECTS; i++)
		store_object(run, i);
	measure(run, MEASURE_PAIR_FULL);
	for (size_t i = 0; i < PAIR_OBJECTS; i += 2)
		drop_object(run, i);
	measure(run, MEASURE_PAIR_HOLES);
	allocator_compact(&run->allocator);
	measure(run, MEASURE_PAIR_COMPACTED);
	allocator_trim(&run->allocator);
	measure(run, MEASURE_PAIR_TRIMMED);
}
