/* SPDX-License-Identifier: MIT
 *
 * cases_pairs.c - every pair of calls, made at the same time
 */
#include "cases.h"
#include "crowd.h"

#include <stdatomic.h>
#include <string.h>

static unsigned int rounds(unsigned int full)
{
	return ct_instrumented() ? full / 10 : full;
}

enum { OBJECTS = 400 };

/* ---- pairs of calls: two calls that take the same two locks in different order deadlock ---- */

static void call_malloc(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct ct_object object;
	size_t size = ct_rng_size(rng, ct_size(4096));
	int result = ct_object_try(crowd->pool, &object, size, ZPOOL_GFP_KERNEL, ct_rng_next(rng));

	/* Another thread may have set a limit. */
	CT_CHECK(result == 0 || result == -ENOMEM, "malloc returned %s", ct_error_name(result));
	if (result == 0)
		ct_crowd_put(crowd, &object);
}

/* Keep enough objects to free, to evict and to move. */
static void call_free(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct ct_object object;

	if (ct_crowd_count(crowd) < OBJECTS / 2)
		call_malloc(crowd, rng);
	if (ct_crowd_take(crowd, rng, &object))
		zpool_free(crowd->pool, object.handle);
}

static void call_copy(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct ct_object object;

	if (!ct_crowd_take(crowd, rng, &object))
		return;
	ct_object_check(crowd->pool, &object, "during another call");
	ct_crowd_put(crowd, &object);
}

static void call_shrink(struct ct_crowd *crowd, struct ct_rng *rng)
{
	for (int i = 0; i < 8 && ct_crowd_count(crowd) < OBJECTS / 2; i++)
		call_malloc(crowd, rng);
	(void)zpool_shrink(crowd->pool, 1, NULL);
}

static void call_compact(struct ct_crowd *crowd, struct ct_rng *rng)
{
	call_free(crowd, rng);
	(void)zpool_compact(crowd->pool, ct_rng_below(rng, 8) ? 1 : 0, 0, NULL);
}

static void call_trim(struct ct_crowd *crowd, struct ct_rng *rng)
{
	(void)rng;
	ct_trim(crowd->pool);
}

static void call_walk(struct ct_crowd *crowd, struct ct_rng *rng)
{
	(void)rng;
	ct_crowd_walk(crowd);
}

static int see_class(const struct zpool_class_stats *class_stats, size_t size, void *user)
{
	(void)class_stats;
	(void)size;
	(void)user;
	return 0;
}

static void call_stats(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct zpool_stats stats;

	(void)rng;
	(void)zpool_get_stats(crowd->pool, &stats, sizeof(stats));
	(void)zpool_each_class(crowd->pool, see_class, NULL);
	(void)zpool_get_total_size(crowd->pool);
}

static void call_set_limit(struct ct_crowd *crowd, struct ct_rng *rng)
{
	uint64_t limit = ct_rng_below(rng, 2) ? zpool_get_total_size(crowd->pool) + 65536 : 0;

	CT_MUST(zpool_set_limit(crowd->pool, limit));
}

static const struct call {
	const char *name;
	void (*fn)(struct ct_crowd *crowd, struct ct_rng *rng);
	unsigned int rounds;
} calls[] = {
	{ "malloc", call_malloc, 800 }, { "free", call_free, 800 },        { "copy", call_copy, 400 },
	{ "shrink", call_shrink, 200 }, { "compact", call_compact, 300 },  { "trim", call_trim, 60 },
	{ "walk", call_walk, 20 },      { "statistics", call_stats, 300 }, { "set_limit", call_set_limit, 400 },
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

struct pair {
	struct ct_crowd crowd;
	const struct call *calls[2];
	atomic_uint busy;
};

/* Both threads repeat their calls until each has made enough of them, so that neither has the pool for itself. */
static void make_calls(struct ct_thread *thread)
{
	struct pair *pair = thread->arg;
	const struct call *call = pair->calls[thread->index];
	unsigned int least = rounds(call->rounds) + 1, most = 20 * least;

	for (unsigned int i = 0; i < most && !ct_stopping(); i++) {
		if (i == least)
			atomic_fetch_sub(&pair->busy, 1);
		if (i >= least && atomic_load(&pair->busy) == 0)
			return;
		call->fn(&pair->crowd, &thread->rng);
		CT_CHECK(true, "this is a step");
	}
}

static void any_two_calls_run_concurrently(void)
{
	static struct pair pair;

	for (size_t first = 0; first < CALLS; first++) {
		for (size_t second = first; second < CALLS; second++) {
			memset(&pair, 0, sizeof(pair));
			pair.calls[0] = &calls[first];
			pair.calls[1] = &calls[second];
			atomic_init(&pair.busy, 2);
			ct_crowd_open(&pair.crowd, 4 * OBJECTS);
			ct_set_fill(pair.crowd.pool, &pair.crowd.set, OBJECTS, &ct.rng);
			ct_threads_run(2, make_calls, &pair);
			ct_crowd_close(&pair.crowd);
		}
	}
}

const struct ct_case ct_cases_pairs[] = {
	{ "any_two_calls_run_concurrently", "Any two calls may run at the same time, and both finish.",
	  any_two_calls_run_concurrently, 0 },
	{ NULL, NULL, NULL, 0 },
};
