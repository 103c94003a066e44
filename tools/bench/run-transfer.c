/* SPDX-License-Identifier: MIT
 *
 * run-transfer.c - one thread stores objects, another one reads and drops them
 *
 * Workers form pairs, in which the one with the even index produces objects for the next one. A ring of objects with
 * one writer and one reader connects them. A run with one thread still uses one pair.
 */
#include <config.h>

#include <sched.h>
#include <stdatomic.h>

#include "../rss.h"
#include "run.h"

enum { RING_OBJECTS = 1024, TRANSFERS_PER_OBJECT = 2 };

struct transfer {
	unsigned long object;
	uint32_t bytes;
};

struct ring {
	struct transfer at[RING_OBJECTS];
	_Atomic(uint64_t) written __attribute__((aligned(128)));
	_Atomic(uint64_t) read __attribute__((aligned(128)));
};

static struct ring *rings;

/* Waits until a position of the ring is greater than `than`, and returns it. */
static ALWAYS_INLINE uint64_t wait_for(_Atomic(uint64_t) *position, uint64_t than)
{
	for (;;) {
		uint64_t now = atomic_load_explicit(position, memory_order_acquire);

		if (now > than)
			return now;
		sched_yield();
	}
}

static ALWAYS_INLINE void produce(struct worker *worker, struct ring *ring, const bool pooled, const bool watched)
{
	struct run *run = worker->run;
	uint64_t read = 0;

	for (uint64_t k = 0; k < worker->todo; k++) {
		uint32_t bytes = run->sizes[worker_below(worker, run->job->objects)];
		uint64_t start;

		if (watched)
			worker_sample(worker, k, worker->todo);
		if (k >= RING_OBJECTS && read <= k - RING_OBJECTS)
			read = wait_for(&ring->read, k - RING_OBJECTS);
		start = watched ? clock_ns() : 0;
		ring->at[k % RING_OBJECTS].object = allocator_store(&run->allocator, pooled, run_source(run, k), bytes);
		if (watched)
			histogram_record(worker->calls[CALL_STORE], clock_ns() - start);
		ring->at[k % RING_OBJECTS].bytes = bytes;
		atomic_store_explicit(&ring->written, k + 1, memory_order_release);
	}
	worker->operations = worker->todo;
}

static ALWAYS_INLINE void consume(struct worker *worker, struct ring *ring, const bool pooled, const bool watched)
{
	const struct allocator *allocator = &worker->run->allocator;
	char *to = malloc(worker->run->job->size_max);
	uint64_t written = 0;

	if (!to)
		job_fail("there is no memory for a buffer");
	for (uint64_t k = 0; k < worker->todo; k++) {
		const struct transfer *transfer = &ring->at[k % RING_OBJECTS];
		uint64_t before, between;

		if (written <= k)
			written = wait_for(&ring->written, k);
		before = watched ? clock_ns() : 0;
		allocator_read(allocator, pooled, transfer->object, to, transfer->bytes);
		__asm__ __volatile__("" : : "r"(to) : "memory");
		between = watched ? clock_ns() : 0;
		allocator_drop(allocator, pooled, transfer->object);
		if (watched) {
			histogram_record(worker->calls[CALL_READ], between - before);
			histogram_record(worker->calls[CALL_DROP], clock_ns() - between);
		}
		atomic_store_explicit(&ring->read, k + 1, memory_order_release);
	}
	free(to);
}

static ALWAYS_INLINE void transfer(struct worker *worker, const bool pooled, const bool watched)
{
	struct ring *ring = &rings[worker->index / 2];

	if (worker->index % 2)
		consume(worker, ring, pooled, watched);
	else
		produce(worker, ring, pooled, watched);
}
RUN_LOOP(transfer_loop, transfer)

void run_transfer(struct run *run)
{
	unsigned int pairs = run->job->threads > 1 ? run->job->threads / 2 : 1;

	rings = rss_array(pairs, sizeof(*rings));
	if (!rings)
		job_fail("there is no memory for the rings");
	run_open(run, 2 * pairs);
	if (run_is_too_large(run))
		return;
	run_share(run, 2 * TRANSFERS_PER_OBJECT * run->job->objects);
	run_measure(run, MEASURE_TRANSFER, transfer_loop);
}
