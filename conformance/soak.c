/* SPDX-License-Identifier: MIT
 *
 * soak.c - many threads on one pool for as long as is asked for, every byte checked
 *
 * Workers store, check, rewrite, free and map objects that any of them may have made.  Beside them one thread shrinks,
 * and one walks, trims, compacts and changes the limit.  It is a case of the contract suite's kind, run by its runner.
 *
 * At the end all but a quarter of the objects go and the pool is compacted.  Then the rest goes, and the pool must be
 * about as small as when it was new.
 */
#include "soak.h"

#include "crowd.h"
#include "footprint.h"

#include <stdio.h>
#include <time.h>

unsigned int ct_soak_seconds = 60;

enum { WORKERS = 4, SIDE_THREADS = 2, OBJECTS = 4000, REPORT_SECONDS = 10, MIB = 1 << 20 };

static atomic_bool over;

static bool working(void)
{
	return !atomic_load(&over) && !ct_stopping();
}

static void shrink_now_and_then(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (unsigned int i = 1; working(); i++) {
		if (ct_crowd_count(crowd) > OBJECTS / 2)
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

	if (thread->index == WORKERS)
		shrink_now_and_then(crowd, &thread->rng);
	else if (thread->index > WORKERS)
		tend_now_and_then(crowd, &thread->rng);
	else
		while (working())
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
	printf("# %s: %d threads, %u s, %lu operations, %u evicted of %u asked for, %zu objects in %llu KiB\n", ct.spec,
	       WORKERS, seconds, atomic_load(&crowd->done), atomic_load(&crowd->evicted), atomic_load(&crowd->asked),
	       ct_crowd_count(crowd), (unsigned long long)zpool_get_total_size(crowd->pool) / 1024);
	fflush(stdout);
}

static void run_threads(struct ct_crowd *crowd, const struct timespec *start)
{
	unsigned int reported = 0, seconds = 0;
	struct timespec tenth = { 0, 100000000 };

	atomic_store(&over, false);
	ct_threads_start(WORKERS + SIDE_THREADS, work, crowd);
	while (working() && seconds < ct_soak_seconds) {
		nanosleep(&tenth, NULL);
		seconds = seconds_since(start);
		if (seconds / REPORT_SECONDS != reported)
			report(crowd, seconds);
		reported = seconds / REPORT_SECONDS;
	}
	atomic_store(&over, true);
	ct_threads_join();
	CT_MUST(zpool_set_limit(crowd->pool, 0));
}

static uint64_t beyond(uint64_t whole, uint64_t part)
{
	return whole > part ? whole - part : 0;
}

/* Keeps this many objects.  Returns the bytes that the pool holds then beyond theirs.  No other thread is at work. */
static uint64_t take_stock(struct ct_crowd *crowd, size_t objects, uint64_t process_before)
{
	uint64_t stored = 0, overhead, process;
	int result;

	ct_set_check(crowd->pool, &crowd->set, "after the threads' work");
	ct_set_thin(crowd->pool, &crowd->set, objects, &ct.rng);
	for (size_t i = 0; i < crowd->set.count; i++)
		stored += crowd->set.at[i].size;
	result = zpool_compact(crowd->pool, 0, 0, NULL);
	CT_CHECK(result == 0 || result == -EOPNOTSUPP, "compacting the whole pool gave %s", ct_error_name(result));
	ct_trim(crowd->pool);
	overhead = beyond(zpool_get_total_size(crowd->pool), stored);
	process = ct_instrumented() ? 0 : beyond(footprint_bytes(), process_before + stored);
	printf("# %s: for %llu KiB in %zu objects the pool holds %llu KiB more, the process grew by %llu KiB more\n",
	       ct.spec, (unsigned long long)stored / 1024, crowd->set.count, (unsigned long long)overhead / 1024,
	       (unsigned long long)process / 1024);
	fflush(stdout);
	return overhead;
}

static void contents_last_for_as_long_as_asked(void)
{
	uint64_t process_before = 0, empty, left;
	struct ct_crowd crowd;
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	ct_crowd_open(&crowd, OBJECTS);
	empty = zpool_get_total_size(crowd.pool);
	if (!ct_instrumented())
		process_before = footprint_bytes();
	run_threads(&crowd, &start);
	report(&crowd, seconds_since(&start));
	(void)take_stock(&crowd, OBJECTS / 4, process_before);
	left = take_stock(&crowd, 0, process_before);
	CT_CHECK(left <= empty + MIB, "without any object the pool holds %llu bytes, and %llu when it was new",
		 (unsigned long long)left, (unsigned long long)empty);
	ct_crowd_close(&crowd);
}

static const struct ct_case soak_cases[] = {
	{ "soak", "Contents survive everything that threads do to a pool together.", contents_last_for_as_long_as_asked,
	  CT_SLOW },
	{ NULL, NULL, NULL, 0 },
};

const struct ct_group ct_groups_soak[] = { { "soak", soak_cases }, { NULL, NULL } };
