/* SPDX-License-Identifier: MIT
 *
 * run-stall.c - the longest time of a store and a drop while another thread compacts the pool
 *
 * One worker repeatedly compacts a set of which three quarters were dropped. The other worker replaces objects of its
 * own, and times each call. A compaction begins when the other worker is about to make its first call, so that even the
 * compaction of a small set has a call beside it.
 */
#include <config.h>

#include <sched.h>
#include <stdatomic.h>

#include "run.h"

enum { COMPACTIONS = 8, OWN_OBJECTS = 256 };

static _Atomic(bool) replacing, compacting;

static ALWAYS_INLINE void replace_until_done(struct worker *worker, const bool pooled)
{
	struct run *run = worker->run;
	unsigned long objects[OWN_OBJECTS] = { 0 };
	uint64_t k = 0;

	atomic_store_explicit(&replacing, true, memory_order_relaxed);
	do {
		uint32_t bytes = run->sizes[worker_below(worker, run->job->objects)];
		unsigned long *object = &objects[k % OWN_OBJECTS];
		uint64_t before = clock_ns(), between;

		if (*object)
			allocator_drop(&run->allocator, pooled, *object);
		between = clock_ns();
		if (*object)
			histogram_record(worker->calls[CALL_DROP], between - before);
		*object = allocator_store(&run->allocator, pooled, run_source(run, k), bytes);
		histogram_record(worker->calls[CALL_STORE], clock_ns() - between);
		k++;
	} while (atomic_load_explicit(&compacting, memory_order_relaxed));
	for (size_t i = 0; i < OWN_OBJECTS; i++)
		if (objects[i])
			allocator_drop(&run->allocator, pooled, objects[i]);
}

static ALWAYS_INLINE void stall(struct worker *worker, const bool pooled, const bool watched)
{
	(void)watched;
	if (worker->index) {
		replace_until_done(worker, pooled);
		return;
	}
	while (!atomic_load_explicit(&replacing, memory_order_relaxed))
		sched_yield();
	allocator_compact(&worker->run->allocator);
	atomic_store_explicit(&compacting, false, memory_order_relaxed);
}
RUN_LOOP(stall_loop, stall)

void run_stall(struct run *run)
{
	struct measurement measurement;

	run_open(run, 2);
	if (run_is_too_large(run))
		return;
	run_begin(run, MEASURE_STALL, &measurement);
	for (unsigned int i = 0; i < COMPACTIONS; i++) {
		run_unwatched(run, set_fill);
		run_unwatched(run, set_drop);
		atomic_store_explicit(&replacing, false, memory_order_relaxed);
		atomic_store_explicit(&compacting, true, memory_order_relaxed);
		measurement.wall_ns += run_work(run, stall_loop);
	}
	measurement.operations = COMPACTIONS;
	run_end(run, &measurement);
}
