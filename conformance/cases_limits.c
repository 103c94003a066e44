/* SPDX-License-Identifier: MIT
 *
 * cases_limits.c - the limit of zpool_get_total_size()
 */
#include "cases.h"
#include "objects.h"
#include "record.h"

#include <stdatomic.h>
#include <stdio.h>

#define MIB ((uint64_t)1 << 20)

enum { REFILL_TRIES = 100 };

/* Stores objects until malloc fails.  It must fail with -ENOMEM, and the pool must never exceed `limit`. */
static void fill_to_limit(struct zpool *pool, struct ct_set *set, uint64_t limit)
{
	for (;;) {
		size_t size = ct_rng_size(&ct.rng, ct.max_bytes);
		int result = ct_set_try(pool, set, size, ZPOOL_GFP_KERNEL);
		uint64_t total = zpool_get_total_size(pool);

		CT_CHECK(total <= limit,
			 "the limit is %llu, but the pool holds %llu after malloc of %zu bytes returned %s",
			 (unsigned long long)limit, (unsigned long long)total, size, ct_error_name(result));
		if (result == 0)
			continue;
		CT_CHECK(result == -ENOMEM, "result of malloc at the limit: got %s, expected -ENOMEM",
			 ct_error_name(result));
		return;
	}
}

/*
 * Fills the pool again after objects were freed. The first size that is tried may not fit although most others do, so
 * several fillings are tried until there are more than `enough` objects.
 */
static void refill_to_limit(struct zpool *pool, struct ct_set *set, uint64_t limit, size_t enough)
{
	for (int tries = 0; tries == 0 || (set->count <= enough && tries < REFILL_TRIES); tries++)
		fill_to_limit(pool, set, limit);
}

/* With a limit below the pool's size, mallocs may still use free space in the pool, but soon there is none left. */
static void expect_no_growth(struct zpool *pool, struct ct_set *set)
{
	uint64_t held = zpool_get_total_size(pool);
	int result;

	do {
		result = ct_set_try(pool, set, ct.max_bytes, ZPOOL_GFP_KERNEL);
		CT_CHECK(zpool_get_total_size(pool) <= held, "the limit is below %llu bytes, but the pool grew to %llu",
			 (unsigned long long)held, (unsigned long long)zpool_get_total_size(pool));
	} while (result == 0);
	CT_CHECK(result == -ENOMEM, "malloc with a limit below the pool's size returned %s", ct_error_name(result));
}

static void limit_is_never_exceeded(void)
{
	const uint64_t limit = ct_limit(4 * MIB);
	struct zpool *pool = ct_pool_limited(limit);
	uint64_t full;
	struct ct_set set;
	unsigned long handle;

	ct_set_init(&set, ct_set_to_limit());
	fill_to_limit(pool, &set, limit);
	full = zpool_get_total_size(pool);
	CT_CHECK(full > limit / 2, "malloc returned -ENOMEM when the pool held only %llu of %llu bytes",
		 (unsigned long long)full, (unsigned long long)limit);
	/* Space for the largest object may be left when another size fails, but not forever. */
	while (ct_set_try(pool, &set, ct.max_bytes, ZPOOL_GFP_KERNEL) == 0)
		CT_CHECK(zpool_get_total_size(pool) <= limit, "the limit is %llu, but the pool holds %llu bytes",
			 (unsigned long long)limit, (unsigned long long)zpool_get_total_size(pool));
	CT_REFUSED(zpool_malloc(pool, ct.max_bytes, ZPOOL_GFP_KERNEL, &handle), ENOMEM);
	ct_set_check(pool, &set, "with the pool at its limit");
	for (int round = 0; round < 5; round++) {
		size_t before = set.count;

		ct_set_thin(pool, &set, before / 2, &ct.rng);
		refill_to_limit(pool, &set, limit, before * 3 / 5);
		CT_CHECK(set.count > before * 3 / 5,
			 "half of %zu objects were freed, but only %zu could be stored again", before,
			 set.count - before / 2);
		ct_set_check(pool, &set, "after freeing half at the limit and filling up again");
	}
	ct_set_free_all(pool, &set);
	fill_to_limit(pool, &set, limit);
	ct_set_check(pool, &set, "after freeing all at the limit and filling up again");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/*
 * Some of these limits lie inside a step in which the driver allocates memory, be it several pages or a chunk of a
 * table.
 */
static void limit_is_exact_for_every_value(void)
{
	struct ct_set set;

	ct_set_init(&set, ct_set_to_limit());
	for (uint64_t i = 0; i < 48; i++) {
		uint64_t limit = ct_limit(MIB / 2) + i * 4096 + i % 3 * 2047;
		struct zpool *pool = ct_pool_limited(limit);

		fill_to_limit(pool, &set, limit);
		while (ct_set_try(pool, &set, 1 + i * 87 % ct.max_bytes, ZPOOL_GFP_KERNEL) == 0)
			;
		CT_CHECK(zpool_get_total_size(pool) <= limit, "the limit is %llu, but the pool holds %llu bytes",
			 (unsigned long long)limit, (unsigned long long)zpool_get_total_size(pool));
		ct_set_free_all(pool, &set);
		zpool_destroy_pool(pool);
	}
	ct_set_fini(&set);
}

static void fail_mallocs(struct zpool *pool, unsigned int count)
{
	struct ct_object object;

	for (unsigned int i = 0; i < count; i++) {
		int result = ct_object_try(pool, &object, ct.max_bytes, i % 2 ? ZPOOL_GFP_KERNEL : ZPOOL_GFP_NOWAIT, 1);

		CT_CHECK(result == -ENOMEM, "malloc of %zu bytes returned -ENOMEM before, but now returned %s",
			 ct.max_bytes, ct_error_name(result));
	}
}

/* A malloc that fails must release what it had taken before, such as a handle or a page. */
static void failed_mallocs_change_nothing(void)
{
	const uint64_t limit = ct_limit(2 * MIB);
	struct zpool *pool = ct_pool_limited(limit);
	unsigned int lost = 0, tolerated = ct_can(ZPOOL_CAP_COMPACT) ? 30 : 4;
	uint64_t before;
	struct ct_set set;

	ct_set_init(&set, ct_set_to_limit());
	fill_to_limit(pool, &set, limit);
	while (ct_set_try(pool, &set, ct.max_bytes, ZPOOL_GFP_KERNEL) == 0)
		;
	/*
	 * The first failures may leave something for the next malloc, such as a page of a table, but no later ones may.
	 */
	fail_mallocs(pool, 100);
	before = zpool_get_total_size(pool);
	fail_mallocs(pool, 100000);
	CT_CHECK(zpool_get_total_size(pool) <= before, "failed mallocs made the pool grow from %llu to %llu bytes",
		 (unsigned long long)before, (unsigned long long)zpool_get_total_size(pool));
	/*
	 * A failure must not use up the space that a free has just released.  A leak loses some for each failure.  A
	 * few may be lost otherwise: a C library's malloc rounds some sizes differently, and a driver that compacts
	 * before it fails may give the page of the slot to another size class.
	 */
	for (int i = 0; i < 3000; i++) {
		size_t position = ct_rng_below(&ct.rng, set.count), size = set.at[position].size;
		unsigned long handle;

		ct_set_free(pool, &set, position);
		if (zpool_malloc(pool, ct.max_bytes, i % 2 ? ZPOOL_GFP_KERNEL : ZPOOL_GFP_NOWAIT, &handle) == 0)
			zpool_free(pool, handle);
		lost += ct_set_try(pool, &set, size, ZPOOL_GFP_KERNEL) != 0;
	}
	CT_CHECK(lost <= tolerated,
		 "after a failed malloc, %u of 3000 objects could not reuse the space of one that had just been freed",
		 lost);
	ct_set_check(pool, &set, "after failed mallocs");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void limit_zero_means_no_limit(void)
{
	struct zpool *pool = ct_pool_limited(0);
	struct ct_set set;

	ct_set_init(&set, 12000);
	ct_set_fill(pool, &set, 6000, &ct.rng);
	CT_MUST(zpool_set_limit(pool, 1));
	expect_no_growth(pool, &set);
	CT_MUST(zpool_set_limit(pool, 0));
	ct_set_thin(pool, &set, 3000, &ct.rng);
	ct_set_fill(pool, &set, 6000, &ct.rng);
	ct_set_check(pool, &set, "without a limit");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void limit_accepts_suffixes(void)
{
	const uint64_t mib = (ct_limit(2 * MIB) + MIB - 1) / MIB;
	const struct {
		const char *suffix;
		uint64_t count;
	} limits[] = { { "", mib * MIB }, { "K", mib * 1024 }, { "M", mib } };
	struct zpool *pool;
	struct ct_set set;

	ct_set_init(&set, ct_set_to_limit());
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "limit=%llu%s", (unsigned long long)limits[i].count, limits[i].suffix);
		pool = ct_pool_open(text, NULL);
		fill_to_limit(pool, &set, mib * MIB);
		CT_CHECK(zpool_get_total_size(pool) > mib * MIB / 2, "%s, the pool stopped growing at %llu bytes", text,
			 (unsigned long long)zpool_get_total_size(pool));
		ct_set_free_all(pool, &set);
		zpool_destroy_pool(pool);
	}
	pool = ct_pool_open("limit=1G", NULL);
	zpool_destroy_pool(pool);
	pool = ct_pool_open("limit=1T", NULL);
	zpool_destroy_pool(pool);
	CT_REFUSED_NULL(zpool_create_pool(ct_spec_with("limit=2X"), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool(ct_spec_with("limit=-1"), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool(ct_spec_with("limit=99999999999T"), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool(ct_spec_with("limit="), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	ct_set_fini(&set);
}

static void limit_below_an_empty_pool_is_enomem(void)
{
	struct zpool *pool;

	errno = 0;
	ct_message_mark();
	pool = zpool_create_pool(ct_spec_with("limit=1"), ZPOOL_GFP_KERNEL, NULL);
	if (!pool) {
		CT_CHECK(errno == ENOMEM, "errno of zpool_create_pool() with limit=1: got %s, expected ENOMEM",
			 ct_error_name(-errno));
		ct_message_expect(__FILE__, __LINE__, "zpool_create_pool() with limit=1");
		return;
	}
	CT_CHECK(zpool_get_total_size(pool) <= 1,
		 "zpool_create_pool() with limit=1 succeeded, and the pool holds %llu bytes",
		 (unsigned long long)zpool_get_total_size(pool));
	zpool_destroy_pool(pool);
}

static void limit_can_be_changed_at_any_time(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object extra;
	uint64_t held;
	size_t before;
	struct ct_set set;

	ct_set_init(&set, ct_set_to_limit());
	ct_set_fill(pool, &set, 2000, &ct.rng);
	held = zpool_get_total_size(pool);
	/* With the limit below the pool's size, no object is lost and none can be added. */
	CT_MUST(zpool_set_limit(pool, held / 2));
	expect_no_growth(pool, &set);
	ct_set_check(pool, &set, "with the limit below the pool's size");
	/* After enough frees there is space again, and the limit is respected. */
	ct_set_thin(pool, &set, 200, &ct.rng);
	ct_trim(pool);
	before = set.count;
	if (zpool_get_total_size(pool) < held / 2) {
		refill_to_limit(pool, &set, held / 2, before + 100);
		CT_CHECK(set.count > before + 100,
			 "nine tenths of the objects were freed, but only %zu objects could be stored",
			 set.count - before);
	}
	/* The limit is raised, and then removed. */
	CT_MUST(zpool_set_limit(pool, 2 * held));
	fill_to_limit(pool, &set, 2 * held);
	CT_CHECK(zpool_get_total_size(pool) > held,
		 "the limit was raised to %llu, but the pool stops growing at %llu bytes",
		 (unsigned long long)(2 * held), (unsigned long long)zpool_get_total_size(pool));
	CT_MUST(zpool_set_limit(pool, 0));
	ct_object_make(pool, &extra, ct.max_bytes, 7);
	ct_object_check(pool, &extra, "stored without a limit");
	ct_set_check(pool, &set, "after the limit changed");
	/* What a trim releases under a limit below the pool's size must not be taken again. */
	CT_MUST(zpool_set_limit(pool, 1));
	ct_set_free_all(pool, &set);
	zpool_free(pool, extra.handle);
	ct_trim(pool);
	expect_no_growth(pool, &set);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* A limit of more than 32 bits must not be truncated to a small one. */
static void limits_above_four_gibibytes_work(void)
{
	const uint64_t limit = (UINT64_C(1) << 32) + 4096;
	struct zpool *pools[2] = { ct_pool_limited(limit), ct_pool() };
	struct ct_set set;

	CT_MUST(zpool_set_limit(pools[1], limit));
	for (int i = 0; i < 2; i++) {
		ct_set_init(&set, 300);
		while (set.count < 300)
			CT_CHECK(ct_set_try(pools[i], &set, ct.max_bytes, ZPOOL_GFP_KERNEL) == 0,
				 "with a limit of %llu bytes, set %s, malloc failed when the pool held %llu bytes: %s",
				 (unsigned long long)limit, i ? "by zpool_set_limit()" : "in the spec",
				 (unsigned long long)zpool_get_total_size(pools[i]), zpool_last_error());
		ct_set_check(pools[i], &set, "with a limit above 4 GiB");
		ct_set_fini(&set);
		zpool_destroy_pool(pools[i]);
	}
}

/* The second pool's limit is set after the first pool's, and a third pool has no limit. */
static void each_pool_has_its_own_limit(void)
{
	const uint64_t limits[2] = { ct_limit(MIB), 2 * ct_limit(MIB) };
	struct zpool *pools[3] = { ct_pool(), ct_pool(), ct_pool() };
	struct ct_set sets[3];

	for (int i = 0; i < 3; i++)
		ct_set_init(&sets[i], ct_set_to_limit());
	for (int i = 0; i < 2; i++)
		CT_MUST(zpool_set_limit(pools[i], limits[i]));
	for (int i = 0; i < 2; i++) {
		fill_to_limit(pools[i], &sets[i], limits[i]);
		CT_CHECK(
			zpool_get_total_size(pools[i]) > limits[i] / 2,
			"a pool with a limit of %llu bytes stopped growing at %llu, while another pool has a limit of %llu",
			(unsigned long long)limits[i], (unsigned long long)zpool_get_total_size(pools[i]),
			(unsigned long long)limits[!i]);
	}
	while (zpool_get_total_size(pools[2]) <= limits[1] + limits[1] / 4)
		CT_CHECK(ct_set_try(pools[2], &sets[2], ct.max_bytes, ZPOOL_GFP_KERNEL) == 0,
			 "a pool without a limit stopped growing at %llu bytes, while other pools have limits: %s",
			 (unsigned long long)zpool_get_total_size(pools[2]), zpool_last_error());
	for (int i = 0; i < 3; i++) {
		ct_set_check(pools[i], &sets[i], "with other pools that have other limits");
		zpool_destroy_pool(pools[i]);
		ct_set_fini(&sets[i]);
	}
}

struct crowd {
	struct zpool *pool;
	uint64_t limit, bound;
	atomic_uint refused;
};

/* So many objects that four threads together reach the limit even with small objects. */
enum { CROWD_OBJECTS = 400, CROWD_SMALL_OBJECTS = 4000 };

static size_t crowd_objects(void)
{
	return ct.max_bytes < 2048 ? CROWD_SMALL_OBJECTS : CROWD_OBJECTS;
}

static void crowd_member(struct ct_thread *thread)
{
	struct crowd *crowd = thread->arg;
	unsigned long handles[CROWD_SMALL_OBJECTS];
	size_t held = 0;

	for (int i = 0; i < 20000 && !ct_stopping(); i++) {
		uint64_t total;

		if (held < crowd_objects() && ct_rng_below(&thread->rng, 100) < 60) {
			size_t size = ct_rng_size(&thread->rng, ct.max_bytes);
			int result = zpool_malloc(crowd->pool, size, ZPOOL_GFP_KERNEL, &handles[held]);

			CT_CHECK(result == 0 || result == -ENOMEM, "malloc of %zu bytes returned %s", size,
				 ct_error_name(result));
			if (result == 0)
				held++;
			else
				atomic_fetch_add(&crowd->refused, 1);
		} else if (held > 0) {
			zpool_free(crowd->pool, handles[--held]);
		}
		total = zpool_get_total_size(crowd->pool);
		CT_CHECK(total <= crowd->bound,
			 "total_size with a limit of %llu bytes: expected at most %llu, got %llu",
			 (unsigned long long)crowd->limit, (unsigned long long)crowd->bound, (unsigned long long)total);
	}
	while (held > 0)
		zpool_free(crowd->pool, handles[--held]);
}

static void limit_holds_while_threads_allocate(void)
{
	struct crowd crowd = { NULL, ct_limit(MIB / 2), 0, 0 };

	crowd.pool = ct_pool_limited(crowd.limit);
	/* If the core enforces the limit, one malloc at a time may exceed it and is then undone. */
	crowd.bound = crowd.limit + (ct_keeps_limit_itself() ? 0 : 2 * ct.step_bytes + 65536);
	ct_threads_run(4, crowd_member, &crowd);
	/* If even the largest objects are too small to reach the limit, it is enough that it was never exceeded. */
	CT_CHECK(atomic_load(&crowd.refused) > 0 || crowd_objects() * ct.max_bytes < crowd.limit,
		 "four threads with up to %zu objects each never reached a limit of %llu bytes", crowd_objects(),
		 (unsigned long long)crowd.limit);
	zpool_destroy_pool(crowd.pool);
}

static unsigned int unasked;

static int count_unasked(struct zpool *pool, unsigned long handle, void *user)
{
	(void)pool;
	(void)handle;
	(void)user;
	unasked++;
	return -EBUSY;
}

static void only_shrink_evicts(void)
{
	const uint64_t limit = ct_limit(MIB);
	struct zpool *pool;
	struct ct_set set;

	ct_need(ZPOOL_CAP_EVICT);
	unasked = 0;
	pool = ct_pool_evicting(count_unasked, NULL);
	CT_MUST(zpool_set_limit(pool, limit));
	ct_set_init(&set, ct_set_to_limit());
	fill_to_limit(pool, &set, limit);
	ct_trim(pool);
	if (ct_can(ZPOOL_CAP_COMPACT))
		zpool_compact(pool, 0, 0, NULL);
	CT_MUST(zpool_set_limit(pool, limit / 2));
	CT_CHECK(unasked == 0, "the callback was called %u times, though zpool_shrink() was never called", unasked);
	ct_set_check(pool, &set, "without zpool_shrink()");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_limits[] = {
	{ "limit_is_never_exceeded",
	  "zpool_get_total_size() never exceeds the limit; malloc returns -ENOMEM at the limit, and freeing makes room again.",
	  limit_is_never_exceeded, 0 },
	{ "limit_is_exact_for_every_value",
	  "The limit is respected for every value, not only up to the next page or chunk.",
	  limit_is_exact_for_every_value, 0 },
	{ "failed_mallocs_change_nothing", "A malloc that fails changes nothing.", failed_mallocs_change_nothing, 0 },
	{ "limit_zero_means_no_limit", "A limit of 0 means no limit.", limit_zero_means_no_limit, 0 },
	{ "limit_accepts_suffixes",
	  "The parameter limit is a size in bytes with suffixes K, M, G, T; any other value gives EINVAL.",
	  limit_accepts_suffixes, 0 },
	{ "limit_below_an_empty_pool_is_enomem",
	  "Creating a pool with a limit below what an empty pool needs returns NULL with ENOMEM.",
	  limit_below_an_empty_pool_is_enomem, 0 },
	{ "limit_can_be_changed_at_any_time",
	  "zpool_set_limit() works at any time; a limit below the pool's size loses nothing and only stops growth.",
	  limit_can_be_changed_at_any_time, 0 },
	{ "limits_above_four_gibibytes_work", "A limit may be larger than 32 bits can hold.",
	  limits_above_four_gibibytes_work, 0 },
	{ "each_pool_has_its_own_limit", "Each pool of a driver has its own limit, or none.",
	  each_pool_has_its_own_limit, 0 },
	{ "limit_holds_while_threads_allocate", "The limit is respected while several threads allocate and free.",
	  limit_holds_while_threads_allocate, 0 },
	{ "only_shrink_evicts", "Only zpool_shrink() evicts objects; the limit, trim and compaction do not.",
	  only_shrink_evicts, 0 },
	{ NULL, NULL, NULL, 0 },
};
