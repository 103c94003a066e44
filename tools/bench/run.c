/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <sched.h>
#include <string.h>

#include "../../conformance/footprint.h"
#include "../rss.h"
#include "madvise.h"
#include "run.h"

#define SPREAD_NS UINT64_C(5000000)

/* Ends the run if there is no memory. */
static void *array(size_t count, size_t size)
{
	void *array = rss_array(count, size);

	if (!array)
		job_fail("there is no memory for the table of objects");
	return array;
}

static void fill_source(struct run *run)
{
	size_t words = (SOURCE_BYTES + run->job->size_max) / sizeof(uint64_t) + 1;
	struct worker worker = { .random = 42 };
	uint64_t *source = array(words, sizeof(*source));

	for (size_t i = 0; i < words; i++)
		source[i] = worker_random(&worker);
	run->source = (const char *)source;
}

void run_prepare(struct run *run, const struct bench_job *job, const uint32_t *sizes)
{
	*run = (struct run){ .job = job, .sizes = sizes, .began_ns = clock_ns() };
	run->objects = array(job->objects, sizeof(*run->objects));
	run->bytes = array(job->objects, sizeof(*run->bytes));
	fill_source(run);
	if (job->watched)
		for (unsigned int i = 0; i < BENCH_THREADS_MAX; i++)
			for (unsigned int c = 0; c < CALLS; c++)
				run->workers[i].calls[c] =
					i < 2 * job->threads + 1 ? array(1, sizeof(struct histogram)) : NULL;
	/* A driver's code is loaded before the measurement, because a malloc's code is loaded, too. */
	if (*job->spec)
		(void)zpool_has_pool(job->spec);
	footprint_settle();
	(void)footprint_bytes();
}

void run_open(struct run *run, unsigned int threads)
{
	run->base_rss_bytes = rss_bytes();
	run->base_page_table_bytes = footprint_page_table_bytes();
	if (!run->allocator.pool && !run->allocator.malloc)
		allocator_open(&run->allocator, run->job);
	run->worker_count = threads;
	for (unsigned int i = 0; i < threads; i++) {
		struct worker *worker = &run->workers[i];

		worker->run = run;
		worker->index = i;
		worker->random = (run->job->seed + i + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
		worker->first = run->job->objects * i / threads;
		worker->end = run->job->objects * (i + 1) / threads;
	}
}

bool run_is_too_large(const struct run *run)
{
	size_t most = run->allocator.pool ? zpool_max_object_size(run->allocator.pool) : SIZE_MAX;
	uint64_t larger = 0;

	for (uint64_t i = 0; i < run->job->objects; i++)
		larger += run->sizes[i] > most;
	for (unsigned int m = 0; m < MEASURES && larger; m++)
		if (run_wants(run, m))
			job_skip(m, "it accepts objects of up to %zu bytes, and %llu of the %llu are larger", most,
				 (unsigned long long)larger, (unsigned long long)run->job->objects);
	return larger;
}

/* ---- Workers ---- */

/*
 * All workers begin at the same time, shortly after the last one has arrived. They busy-wait until then, so that the
 * system distributes them: threads that are woken together would share one processor for some milliseconds.
 */
static void wait_for_start(struct run *run)
{
	uint64_t start_ns;

	if (run->worker_count == 1)
		return;
	if (atomic_fetch_add(&run->arrived, 1) + 1 == run->worker_count)
		atomic_store(&run->start_ns, clock_ns() + SPREAD_NS);
	while (!(start_ns = atomic_load(&run->start_ns)))
		sched_yield();
	while (clock_ns() < start_ns)
		;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	wait_for_start(worker->run);
	worker->start_ns = clock_ns();
	worker->run->loop(worker);
	worker->end_ns = clock_ns();
	return NULL;
}

uint64_t run_work(struct run *run, run_loop loop)
{
	uint64_t start_ns = UINT64_MAX, end_ns = 0;

	run->loop = loop;
	atomic_store(&run->arrived, 0);
	atomic_store(&run->start_ns, 0);
	for (unsigned int i = 0; i < run->worker_count; i++) {
		run->workers[i].operations = 0;
		run->workers[i].hits = 0;
		run->workers[i].next_sample = 0;
	}
	/*
	 * A single worker runs without a thread, because many allocators are faster in a process that never had two
	 * threads.
	 */
	if (run->worker_count == 1)
		worker_main(&run->workers[0]);
	for (unsigned int i = 0; i < run->worker_count && run->worker_count > 1; i++)
		if (pthread_create(&run->workers[i].thread, NULL, worker_main, &run->workers[i]))
			job_fail("a thread could not be started");
	for (unsigned int i = 0; i < run->worker_count; i++) {
		struct worker *worker = &run->workers[i];

		if (run->worker_count > 1)
			pthread_join(worker->thread, NULL);
		start_ns = worker->start_ns < start_ns ? worker->start_ns : start_ns;
		end_ns = worker->end_ns > end_ns ? worker->end_ns : end_ns;
	}
	return end_ns - start_ns;
}

void run_unwatched(struct run *run, run_loop loop)
{
	struct histogram *calls[BENCH_THREADS_MAX][CALLS];

	for (unsigned int i = 0; i < run->worker_count; i++) {
		memcpy(calls[i], run->workers[i].calls, sizeof(calls[i]));
		memset(run->workers[i].calls, 0, sizeof(calls[i]));
	}
	(void)run_work(run, loop);
	for (unsigned int i = 0; i < run->worker_count; i++)
		memcpy(run->workers[i].calls, calls[i], sizeof(calls[i]));
}

void run_share(struct run *run, uint64_t operations)
{
	for (unsigned int i = 0; i < run->worker_count; i++)
		run->workers[i].todo = operations / run->worker_count;
}

/* ---- Measures ---- */

void run_begin(struct run *run, enum measure measure, struct measurement *measurement)
{
	run->measure = measure;
	*measurement = (struct measurement){
		.measure = measure,
		.madvise_calls = madvise_calls(),
		.moved_bytes = allocator_moved_bytes(&run->allocator),
	};
	for (unsigned int i = 0; i < run->worker_count; i++)
		run->workers[i].operations = run->workers[i].hits = 0;
}

static void sum_latency(struct run *run, enum call call, struct latency *latency)
{
	struct histogram *sum = run->workers[0].calls[call];

	for (unsigned int i = 1; i < run->worker_count; i++) {
		histogram_add(sum, run->workers[i].calls[call]);
		memset(run->workers[i].calls[call], 0, sizeof(*sum));
	}
	*latency = (struct latency){
		.count = sum->count,
		.p50_ns = histogram_quantile(sum, 0.5),
		.p90_ns = histogram_quantile(sum, 0.9),
		.p99_ns = histogram_quantile(sum, 0.99),
		.p999_ns = histogram_quantile(sum, 0.999),
		.p9999_ns = histogram_quantile(sum, 0.9999),
		.largest_ns = sum->largest,
	};
	memset(sum, 0, sizeof(*sum));
}

static uint64_t growth(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

void run_end(struct run *run, struct measurement *measurement)
{
	struct bench_message message = { .kind = MESSAGE_MEASUREMENT };

	measurement->madvise_calls = madvise_calls() - measurement->madvise_calls;
	measurement->moved_bytes = allocator_moved_bytes(&run->allocator) - measurement->moved_bytes;
	measurement->rss_bytes = growth(rss_bytes(), run->base_rss_bytes);
	measurement->page_table_bytes = growth(footprint_page_table_bytes(), run->base_page_table_bytes);
	measurement->pool_bytes = allocator_pool_bytes(&run->allocator);
	measurement->threads = run->worker_count;
	for (unsigned int i = 0; i < run->worker_count; i++) {
		measurement->operations += run->workers[i].operations;
		measurement->hits += run->workers[i].hits;
		measurement->live_bytes += (uint64_t)run->workers[i].live_bytes;
	}
	for (unsigned int c = 0; c < CALLS && run->job->watched; c++)
		sum_latency(run, c, &measurement->latency[c]);
	message.measurement = *measurement;
	if (run_wants(run, measurement->measure))
		job_report(&message);
}

void run_measure(struct run *run, enum measure measure, run_loop loop)
{
	struct measurement measurement;

	run_begin(run, measure, &measurement);
	measurement.wall_ns = run_work(run, loop);
	run_end(run, &measurement);
}

void run_sample(const struct run *run)
{
	struct bench_message message = { .kind = MESSAGE_SAMPLE };

	message.sample = (struct sample){
		.measure = run->measure,
		.rss_bytes = growth(rss_bytes(), run->base_rss_bytes),
		.page_table_bytes = growth(footprint_page_table_bytes(), run->base_page_table_bytes),
		.pool_bytes = allocator_pool_bytes(&run->allocator),
		.ns = clock_ns() - run->began_ns,
	};
	job_report(&message);
}
