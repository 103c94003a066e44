/* SPDX-License-Identifier: MIT
 *
 * soak.c - many threads on one pool for as long as is asked for, every byte checked
 *
 * Workers store, check, rewrite, free and map objects that any of them may have made.  Beside them one thread shrinks,
 * and one walks, trims, compacts and changes the limit.  It is a case of the contract suite's kind, run by its runner.
 *
 * With a range of threads the run is cut into stages, one for each number of workers, on the same pool.  After a stage
 * all but a quarter of the objects go and the pool is compacted: what it holds then, and what the process grew by,
 * beyond the objects' own bytes must not become more from stage to stage.  At the end, without any object, the pool
 * must be about as small as when it was new.
 */
#include "soak.h"

#include "footprint.h"
#include "crowd.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

struct ct_soak ct_soak = { 4, 4, 60, 0, 4000, SIZE_MAX };

enum { SIDE_THREADS = CT_SOAK_SIDE_THREADS, REPORT_SECONDS = 10, MIB = 1 << 20 };

/* A stage runs this many workers until they have made this many operations, or until the main thread ends it. */
static struct {
	unsigned int threads;
	unsigned long until;
	atomic_bool over;
} stage;

/* The memory of the pool and of the process beyond the bytes of the objects. */
struct overhead {
	uint64_t pool, process;
};

static bool working(void)
{
	return !atomic_load(&stage.over) && !ct_stopping();
}

static void shrink_now_and_then(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (unsigned int i = 1; working(); i++) {
		if (ct_crowd_count(crowd) > ct_soak.objects / 2)
			zpool_shrink(crowd->pool, 1 + (unsigned int)ct_rng_below(rng, 64), NULL);
		if (i % 8 == 0)
			ct_nap();
	}
}

static void tend_now_and_then(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (unsigned int i = 1; working(); i++) {
		if (i % 64 == 0)
			ct_crowd_walk(crowd);
		else
			ct_crowd_tend(crowd, rng);
		ct_nap();
	}
}

static void work(struct ct_thread *thread)
{
	struct ct_crowd *crowd = thread->arg;

	if (thread->index == stage.threads)
		shrink_now_and_then(crowd, &thread->rng);
	else if (thread->index > stage.threads)
		tend_now_and_then(crowd, &thread->rng);
	else
		while (working() && atomic_load(&crowd->done) < stage.until)
			ct_crowd_step(crowd, &thread->rng);
}

static unsigned int seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned int)(now.tv_sec - start->tv_sec - (now.tv_nsec < start->tv_nsec));
}

static void report(struct ct_crowd *crowd, unsigned int seconds)
{
	unsigned long done = atomic_load(&crowd->done);

	printf("# %s: %u threads, %u s, %lu operations", ct.spec, stage.threads, seconds, done);
	if (ct_soak.operations)
		printf(" (%llu %%)", done * 100ull / ct_soak.operations);
	printf(", %u evicted of %u asked for, %zu objects in %llu KiB\n", atomic_load(&crowd->evicted),
	       atomic_load(&crowd->asked), ct_crowd_count(crowd),
	       (unsigned long long)zpool_get_total_size(crowd->pool) / 1024);
	fflush(stdout);
}

/* Runs a stage until its operations are done, or until this many seconds after the beginning of the run. */
static void run_stage(struct ct_crowd *crowd, const struct timespec *start, unsigned int until_seconds)
{
	unsigned int reported = seconds_since(start) / REPORT_SECONDS, seconds;
	struct timespec tenth = { 0, 100000000 };

	atomic_store(&stage.over, false);
	ct_threads_start(stage.threads + SIDE_THREADS, work, crowd);
	while (working() && atomic_load(&crowd->done) < stage.until) {
		nanosleep(&tenth, NULL);
		seconds = seconds_since(start);
		if (seconds >= until_seconds)
			break;
		if (seconds / REPORT_SECONDS != reported)
			report(crowd, seconds);
		reported = seconds / REPORT_SECONDS;
	}
	atomic_store(&stage.over, true);
	ct_threads_join();
	CT_MUST(zpool_set_limit(crowd->pool, 0));
}

static uint64_t beyond(uint64_t whole, uint64_t part)
{
	return whole > part ? whole - part : 0;
}

/* Nobody else is at work. */
static struct overhead take_stock(struct ct_crowd *crowd, size_t objects, uint64_t process_before)
{
	struct overhead overhead;
	uint64_t stored = 0;
	int result;

	ct_set_check(crowd->pool, &crowd->set, "after a stage");
	ct_set_thin(crowd->pool, &crowd->set, objects, &ct.rng);
	for (size_t i = 0; i < crowd->set.count; i++)
		stored += crowd->set.at[i].size;
	result = zpool_compact(crowd->pool, 0, 0, NULL);
	CT_CHECK(result == 0 || result == -EOPNOTSUPP, "compacting the whole pool gave %s", ct_error_name(result));
	ct_trim(crowd->pool);
	overhead.pool = beyond(zpool_get_total_size(crowd->pool), stored);
	overhead.process = ct_instrumented() ? 0 : beyond(footprint_bytes(), process_before + stored);
	printf("# %s: %u threads are done, %lu operations; for %llu KiB in %zu objects the pool holds %llu KiB more, the process grew by %llu KiB more\n",
	       ct.spec, stage.threads, atomic_load(&crowd->done), (unsigned long long)stored / 1024, crowd->set.count,
	       (unsigned long long)overhead.pool / 1024, (unsigned long long)overhead.process / 1024);
	fflush(stdout);
	return overhead;
}

/* The objects left are others in each stage, and threads leave stacks and arenas behind. */
static void compare(const struct overhead *first, const struct overhead *now)
{
	uint64_t slack = first->pool / 4 + MIB / 2;

	CT_CHECK(now->pool <= first->pool + slack,
		 "the pool held %llu bytes more than its objects after the first stage, and now %llu",
		 (unsigned long long)first->pool, (unsigned long long)now->pool);
	slack = first->process / 2 + 2 * MIB;
	CT_CHECK(now->process <= first->process + slack,
		 "the process grew by %llu bytes more than its objects in the first stage, and by %llu until now",
		 (unsigned long long)first->process, (unsigned long long)now->process);
}

static void contents_last_for_as_long_as_asked(void)
{
	unsigned int count = ct_soak.threads_most - ct_soak.threads_least + 1;
	struct overhead first = { 0, 0 }, now;
	uint64_t process_before = 0, empty;
	struct ct_crowd crowd;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (ct_soak.largest < ct.max_bytes)
		ct.max_bytes = ct_soak.largest;
	ct_crowd_open(&crowd, ct_soak.objects);
	empty = zpool_get_total_size(crowd.pool);
	if (!ct_instrumented())
		process_before = footprint_bytes();
	for (unsigned int i = 1; i <= count && !ct_stopping(); i++) {
		stage.threads = ct_soak.threads_least + i - 1;
		stage.until = ct_soak.operations ? (unsigned long)(ct_soak.operations * i / count) : ULONG_MAX;
		run_stage(&crowd, &start, (unsigned int)((unsigned long long)ct_soak.seconds * i / count));
		now = take_stock(&crowd, ct_soak.objects / 4, process_before);
		if (i == 1)
			first = now;
		compare(&first, &now);
	}
	report(&crowd, seconds_since(&start));
	now = take_stock(&crowd, 0, process_before);
	CT_CHECK(now.pool <= empty + MIB, "without any object the pool holds %llu bytes, and %llu when it was new",
		 (unsigned long long)now.pool, (unsigned long long)empty);
	ct_crowd_close(&crowd);
}

static const struct ct_case soak_cases[] = {
	{ "soak", "Contents survive everything that threads do to a pool together.", contents_last_for_as_long_as_asked,
	  CT_SLOW },
	{ NULL, NULL, NULL, 0 },
};

const struct ct_group ct_groups_soak[] = { { "soak", soak_cases }, { NULL, NULL } };
