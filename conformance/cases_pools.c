/* SPDX-License-Identifier: MIT
 *
 * cases_pools.c - creating and destroying pools, their names, and the capabilities they report
 */
#include "cases.h"
#include "objects.h"

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void driver_is_found_by_its_name(void)
{
	struct zpool *pool = zpool_create_pool(ct.spec, ZPOOL_GFP_KERNEL, NULL);

	CT_CHECK(pool != NULL, "zpool_create_pool(\"%s\") returned NULL: %s", ct.spec, zpool_last_error());
	zpool_destroy_pool(pool);
	pool = zpool_open(ct.spec, NULL, 0);
	CT_CHECK(pool != NULL, "zpool_open(\"%s\", NULL, 0) returned NULL: %s", ct.spec, zpool_last_error());
	zpool_destroy_pool(pool);
	CT_CHECK(zpool_has_pool(ct.spec), "zpool_has_pool(\"%s\") is false: %s", ct.spec, zpool_last_error());
}

static void type_spec_and_name_are_reported(void)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	char name[] = "swap cache";
	struct zpool *named, *first, *second;

	args.name = name;
	named = ct_pool_open("limit=64M", &args);
	memset(name, 'x', sizeof(name) - 1);
	CT_CHECK(strcmp(zpool_get_name(named), "swap cache") == 0, "a pool opened as \"swap cache\" is called \"%s\"",
		 zpool_get_name(named));
	CT_CHECK(strcmp(zpool_get_type(named), ct.type) == 0, "zpool_get_type() of \"%s\": got \"%s\"", ct.spec,
		 zpool_get_type(named));
	CT_CHECK(strcmp(zpool_get_spec(named), ct_spec_with("limit=64M")) == 0,
		 "spec of a pool created as \"%s\": got \"%s\"", ct_spec_with("limit=64M"), zpool_get_spec(named));
	first = ct_pool();
	second = ct_pool();
	CT_CHECK(strstr(zpool_get_name(first), ct.type) == zpool_get_name(first), "an unnamed pool is called \"%s\"",
		 zpool_get_name(first));
	CT_CHECK(strcmp(zpool_get_name(first), zpool_get_name(second)) != 0, "two unnamed pools are both called \"%s\"",
		 zpool_get_name(first));
	zpool_destroy_pool(named);
	zpool_destroy_pool(first);
	zpool_destroy_pool(second);
}

static unsigned int plain_evictions;

static int plain_evict(struct zpool *pool, unsigned long handle)
{
	plain_evictions++;
	zpool_free(pool, handle);
	return 0;
}

static void ops_are_read_only_during_create(void)
{
	struct zpool_ops ops = { plain_evict };
	struct zpool *pool;
	unsigned long handle;

	ct_need(ZPOOL_CAP_EVICT);
	pool = zpool_create_pool(ct.spec, ZPOOL_GFP_KERNEL, &ops);
	CT_CHECK(pool != NULL, "zpool_create_pool() returned NULL: %s", zpool_last_error());
	ops.evict = NULL;
	plain_evictions = 0;
	CT_MUST(zpool_malloc(pool, ct_size(100), ZPOOL_GFP_KERNEL, &handle));
	CT_MUST(zpool_shrink(pool, 1, NULL));
	CT_CHECK(plain_evictions == 1, "one object was evicted by %u calls of the callback", plain_evictions);
	CT_CHECK(ct_handle_is_dead(pool, handle), "handle %#lx is live after its callback freed it", handle);
	zpool_destroy_pool(pool);
}

static void open_accepts_older_and_newer_args(void)
{
	struct {
		struct zpool_open_args known;
		uint64_t later;
	} args;
	struct zpool *pool;

	memset(&args, 0xff, sizeof(args));
	args.known.gfp = ZPOOL_GFP_KERNEL;
	args.known.node = -1;
	pool = zpool_open(ct.spec, &args.known, offsetof(struct zpool_open_args, name));
	CT_CHECK(pool != NULL, "a caller built with an older zpool_open_args was refused: %s", zpool_last_error());
	CT_CHECK(!zpool_evictable(pool), "members beyond args_size were read");
	zpool_destroy_pool(pool);

	args.known = (struct zpool_open_args)ZPOOL_OPEN_ARGS_INIT;
	CT_REFUSED_NULL(zpool_open(ct.spec, &args.known, sizeof(args)), E2BIG);
	args.later = 0;
	pool = zpool_open(ct.spec, &args.known, sizeof(args));
	CT_CHECK(pool != NULL, "a caller built with a newer zpool_open_args, which sets no new member, was refused: %s",
		 zpool_last_error());
	zpool_destroy_pool(pool);
}

static void open_refuses_bad_args(void)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	CT_REFUSED_NULL(zpool_create_pool(NULL, ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool("", ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool(ct.spec, 0x10u, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_create_pool(ct.spec, ~0u, NULL), EINVAL);
	CT_REFUSED_NULL(zpool_open(NULL, NULL, 0), EINVAL);
	args.gfp = 0x80000000u;
	CT_REFUSED_NULL(zpool_open(ct.spec, &args, sizeof(args)), EINVAL);
	args.gfp = ZPOOL_GFP_KERNEL;
	args.node = -2;
	CT_REFUSED_NULL(zpool_open(ct.spec, &args, sizeof(args)), EINVAL);
	args.node = 1024;
	CT_REFUSED_NULL(zpool_open(ct.spec, &args, sizeof(args)), EINVAL);
}

/*
 * A pool's name is only used in messages.  A driver must not refuse any name, or use it as a format string or a path.
 */
static void any_pool_name_is_accepted(void)
{
	static char longest[1001];
	const char *const names[] = { "", "x", "%s%n%d", "/../a/b", "two\nlines \x1b[31m \xff", longest };
	struct ct_object object;

	memset(longest, 'n', sizeof(longest) - 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
		struct zpool *pool;

		args.name = names[i];
		pool = zpool_open(ct.spec, &args, sizeof(args));
		CT_CHECK(pool != NULL,
			 "with a name of %zu characters, number %zu of the names tried, the pool cannot be created: %s",
			 strlen(names[i]), i + 1, zpool_last_error());
		CT_CHECK(strcmp(zpool_get_name(pool), names[i]) == 0, "a pool that was named \"%s\" is called \"%s\"",
			 names[i], zpool_get_name(pool));
		ct_object_make(pool, &object, ct.max_bytes, 1);
		CT_REFUSED(zpool_malloc(pool, ct.largest_bytes + 1, ZPOOL_GFP_KERNEL, &object.handle), ENOSPC);
		ct_object_check(pool, &object, "in a pool with an unusual name");
		zpool_destroy_pool(pool);
	}
}

/* HIGHMEM and MOVABLE are hints, which a driver may ignore but not refuse. */
static void every_gfp_hint_is_accepted(void)
{
	static const zpool_gfp_t hints[] = { ZPOOL_GFP_HIGHMEM, ZPOOL_GFP_MOVABLE,
					     ZPOOL_GFP_HIGHMEM | ZPOOL_GFP_MOVABLE };
	struct ct_object object;

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		struct zpool *pool = zpool_create_pool(ct.spec, hints[i], NULL);

		CT_CHECK(pool != NULL, "with gfp %#x, which are only hints, the pool cannot be created: %s", hints[i],
			 zpool_last_error());
		ct_object_make(pool, &object, ct.max_bytes, 1);
		ct_object_check(pool, &object, "in a pool that was created with hints");
		zpool_destroy_pool(pool);
	}
}

static void node_is_only_a_preference(void)
{
	static const int nodes[] = { -1, 0, 1023 };
	struct ct_object object;

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
		struct zpool *pool;

		args.node = nodes[i];
		pool = ct_pool_open(NULL, &args);
		ct_object_make(pool, &object, ct.max_bytes, i);
		ct_object_check(pool, &object, "in a pool bound to a node");
		zpool_destroy_pool(pool);
	}
}

static void sizes_and_alignment_are_sane(void)
{
	struct zpool *pool = ct_pool();

	CT_CHECK(ct.alignment_bytes >= 8 && (ct.alignment_bytes & (ct.alignment_bytes - 1)) == 0,
		 "zpool_alignment() is %zu", ct.alignment_bytes);
	CT_CHECK(zpool_max_object_size(pool) == ct.largest_bytes && zpool_alignment(pool) == ct.alignment_bytes,
		 "two pools with the same spec differ in their largest object or their alignment");
	zpool_destroy_pool(pool);
}

static void capabilities_match_behaviour(void)
{
	const uint32_t shown = ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP | ZPOOL_CAP_COMPACT | ZPOOL_CAP_STATS |
			       ZPOOL_CAP_CLASSES | ZPOOL_CAP_OBJECTS | ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_TRIM |
			       ZPOOL_CAP_MOVABLE | ZPOOL_CAP_SLEEP_MAPPED;
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	uint32_t does = ct_caps_by_behaviour(pool);

	zpool_destroy_pool(pool);
	CT_CHECK((does & shown) == (ct.caps & shown),
		 "capabilities: zpool_each_driver() shows %#x, but a pool of the driver has %#x",
		 (unsigned int)(ct.caps & shown), (unsigned int)(does & shown));
	pool = ct_pool();
	CT_CHECK(!zpool_evictable(pool), "zpool_evictable() returned true for a pool without a callback");
	zpool_destroy_pool(pool);
}

struct info_seen {
	bool seen;
	uint32_t pools;
	size_t max_bytes;
	size_t alignment_bytes;
};

static int info_visit(const struct zpool_driver_info *info, void *user)
{
	struct info_seen *seen = user;

	if (strcmp(info->type, ct.type) != 0)
		return 0;
	CT_CHECK(!seen->seen, "zpool_each_driver() shows %s twice", ct.type);
	CT_CHECK(info->struct_size >= offsetof(struct zpool_driver_info, alignment_bytes), "struct_size is %u",
		 (unsigned int)info->struct_size);
	CT_CHECK(info->loaded && !info->fault, "a pool of %s exists, but zpool_each_driver() shows the driver as %s%s",
		 ct.type, info->loaded ? "loaded with a fault: " : "not loaded", info->fault ? info->fault : "");
	CT_CHECK(info->version && info->version[0] && info->description && info->description[0],
		 "zpool_each_driver() shows %s without a version or a description", ct.type);
	CT_CHECK(info->abi_major >= 1, "zpool_each_driver() shows %s with ABI %u.%u", ct.type,
		 (unsigned int)info->abi_major, (unsigned int)info->abi_minor);
	CT_CHECK((info->origin == ZPOOL_ORIGIN_FILE) == (info->path != NULL),
		 "zpool_each_driver() shows %s with an origin and a path that contradict each other", ct.type);
	seen->seen = true;
	seen->pools = info->pools;
	seen->max_bytes = info->max_object_bytes;
	seen->alignment_bytes = info->alignment_bytes;
	return 0;
}

static void driver_info_is_true(void)
{
	struct info_seen before = { false, 0, 0, 0 }, during = { false, 0, 0, 0 };
	struct zpool *pools[3];

	CT_MUST(zpool_each_driver(info_visit, &before));
	for (size_t i = 0; i < 3; i++)
		pools[i] = ct_pool();
	CT_MUST(zpool_each_driver(info_visit, &during));
	for (size_t i = 0; i < 3; i++)
		zpool_destroy_pool(pools[i]);
	CT_CHECK(during.seen, "zpool_each_driver() does not show %s", ct.type);
	CT_CHECK(during.pools == before.pools + 3,
		 "3 more pools were created; zpool_each_driver() counted %u pools before and %u now",
		 (unsigned int)before.pools, (unsigned int)during.pools);
	if (!strchr(ct.spec, '+') && !strchr(ct.spec, ':'))
		CT_CHECK(
			during.max_bytes == ct.largest_bytes && during.alignment_bytes == ct.alignment_bytes,
			"zpool_each_driver() shows objects of at most %zu bytes aligned to %zu, but a pool has %zu and %zu",
			during.max_bytes, during.alignment_bytes, ct.largest_bytes, ct.alignment_bytes);
}

static void pools_are_independent(void)
{
	enum { POOLS = 24, OBJECTS = 150 };
	struct zpool *pools[POOLS];
	struct ct_set sets[POOLS];

	for (size_t i = 0; i < POOLS; i++) {
		pools[i] = ct_pool();
		ct_set_init(&sets[i], OBJECTS);
	}
	for (size_t n = 1; n <= OBJECTS; n++)
		for (size_t i = 0; i < POOLS; i++)
			ct_set_fill(pools[i], &sets[i], n, &ct.rng);
	for (size_t i = 0; i < POOLS; i += 2)
		zpool_destroy_pool(pools[i]);
	for (size_t i = 1; i < POOLS; i += 2) {
		ct_set_check(pools[i], &sets[i], "after other pools of the driver were destroyed");
		ct_set_thin(pools[i], &sets[i], OBJECTS / 2, &ct.rng);
	}
	for (size_t i = 1; i < POOLS; i += 2) {
		ct_set_fill(pools[i], &sets[i], OBJECTS, &ct.rng);
		ct_set_check(pools[i], &sets[i], "after other pools of the driver freed and allocated");
		zpool_destroy_pool(pools[i]);
	}
	for (size_t i = 0; i < POOLS; i++)
		ct_set_fini(&sets[i]);
}

/* A table of pools, or the pool number in a handle, may be too small.  256 is a likely limit. */
static void hundreds_of_pools_can_exist(void)
{
	enum { POOLS = 300, OBJECTS = 4 };
	static struct zpool *pools[POOLS];
	static struct ct_object objects[POOLS][OBJECTS];

	for (size_t i = 0; i < POOLS; i++) {
		pools[i] = ct_pool();
		for (size_t k = 0; k < OBJECTS; k++)
			ct_object_make(pools[i], &objects[i][k], 1 + (i * OBJECTS + k) * 37 % ct.max_bytes,
				       i * OBJECTS + k);
	}
	for (size_t i = 0; i < POOLS; i++) {
		for (size_t k = 0; k < OBJECTS; k++)
			ct_object_check(pools[i], &objects[i][k], "with 299 other pools");
		/* On 32-bit machines one of 4096 foreign handles may be accepted. */
		for (size_t step = 1; sizeof(long) > 4 && step < POOLS; step += step < 4 ? 1 : 97)
			CT_CHECK(ct_handle_is_dead(pools[(i + step) % POOLS], objects[i][0].handle),
				 "pool %zu accepts handle %#lx, which belongs to pool %zu", (i + step) % POOLS,
				 objects[i][0].handle, i);
	}
	for (size_t i = 0; i < POOLS; i += 2)
		zpool_destroy_pool(pools[i]);
	for (size_t i = 1; i < POOLS; i += 2) {
		for (size_t k = 0; k < OBJECTS; k++) {
			ct_object_check(pools[i], &objects[i][k], "after half of 300 pools were destroyed");
			zpool_free(pools[i], objects[i][k].handle);
		}
		zpool_destroy_pool(pools[i]);
	}
}

static void empty_pool_works(void)
{
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	unsigned int reclaimed = 77;

	CT_CHECK(ct_handle_is_dead(pool, 1), "an empty pool accepts handle 1");
	CT_CHECK(zpool_shrink(pool, 1, &reclaimed) == -EINVAL && reclaimed == 0,
		 "zpool_shrink() of an empty pool did not return -EINVAL with 0 pages, but reclaimed %u", reclaimed);
	ct_trim(pool);
	ct_trim(pool);
	CT_MUST(zpool_set_limit(pool, 0));
	zpool_destroy_pool(pool);
}

static void destroy_frees_live_and_mapped_objects(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, 500);
	ct_set_fill(pool, &set, 500, &ct.rng);
	for (size_t i = 0; i < set.count && ct_can(ZPOOL_CAP_MAP); i += 3)
		for (size_t times = 0; times <= i % 7; times++)
			CT_CHECK(zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RW) != NULL,
				 "zpool_map_handle() returned NULL: %s", zpool_last_error());
	ct_log_open();
	zpool_destroy_pool(pool);
	CT_CHECK(ct_log_errors() == 0, "destroying a pool with live objects logged %u errors", ct_log_errors());
	ct_log_close();
	ct_set_fini(&set);
}

static unsigned int thread_count(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int count = 0;

	if (!tasks)
		ct_skip("this system does not list a process's threads");
	while (readdir(tasks))
		count++;
	closedir(tasks);
	return count;
}

static void no_thread_is_started(void)
{
	unsigned int before = thread_count();
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	struct ct_set set;

	ct_set_init(&set, 2000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	zpool_shrink(pool, 10, NULL);
	zpool_compact(pool, 0, 0, NULL);
	ct_set_free_all(pool, &set);
	ct_trim(pool);
	CT_CHECK(thread_count() == before, "using a pool started %u threads", thread_count() - before);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void keep_working(struct ct_thread *thread)
{
	unsigned long handle;

	for (;;)
		if (zpool_malloc(thread->arg, ct_size(100), ZPOOL_GFP_KERNEL, &handle) == 0)
			zpool_free(thread->arg, handle);
}

static void leave_while_working(void *arg)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	(void)arg;
	ct_set_init(&set, 300);
	ct_set_fill(pool, &set, 300, &ct.rng);
	ct_threads_start(2, keep_working, pool);
	exit(0);
}

static void pools_may_outlive_main(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind reports what threads hold at the end as leaks");
	for (int i = 0; i < 20; i++)
		ct_in_child(leave_while_working, NULL);
}

static void destroy_ignores_null(void)
{
	ct_log_open();
	zpool_destroy_pool(NULL);
	CT_CHECK(ct_log_errors() == 0, "zpool_destroy_pool(NULL) logged an error");
	ct_log_close();
}

const struct ct_case ct_cases_pools[] = {
	{ "driver_is_found_by_its_name", "An installed driver is found by its name, and zpool_has_pool() returns true.",
	  driver_is_found_by_its_name, 0 },
	{ "type_spec_and_name_are_reported",
	  "A pool reports the type in the last part of its spec, the whole spec, and the name it was opened with or a generated unique one.",
	  type_spec_and_name_are_reported, 0 },
	{ "ops_are_read_only_during_create", "struct zpool_ops is only read during zpool_create_pool().",
	  ops_are_read_only_during_create, 0 },
	{ "open_accepts_older_and_newer_args",
	  "zpool_open() uses defaults for members beyond args_size, and fails with E2BIG if unknown members are set.",
	  open_accepts_older_and_newer_args, 0 },
	{ "open_refuses_bad_args",
	  "A missing spec, unknown flags and nodes outside -1 to 1023 are refused with EINVAL.", open_refuses_bad_args,
	  0 },
	{ "any_pool_name_is_accepted", "A pool can be created with any name, and keeps it.", any_pool_name_is_accepted,
	  0 },
	{ "every_gfp_hint_is_accepted", "A pool can be created with any hint of ZPOOL_GFP_*.",
	  every_gfp_hint_is_accepted, 0 },
	{ "node_is_only_a_preference", "A pool works even when it is bound to a node that the system does not have.",
	  node_is_only_a_preference, 0 },
	{ "sizes_and_alignment_are_sane", "zpool_alignment() is a power of two, at least 8.",
	  sizes_and_alignment_are_sane, 0 },
	{ "capabilities_match_behaviour",
	  "Every capability that zpool_each_driver() shows works, and calls that need another one return -EOPNOTSUPP.",
	  capabilities_match_behaviour, 0 },
	{ "driver_info_is_true",
	  "zpool_each_driver() shows a loaded driver once, with version, ABI, limits and the number of its pools.",
	  driver_info_is_true, 0 },
	{ "pools_are_independent", "Pools of one driver share nothing: what happens in one does not affect the others.",
	  pools_are_independent, 0 },
	{ "hundreds_of_pools_can_exist", "A process may have hundreds of pools of a driver, each with its own handles.",
	  hundreds_of_pools_can_exist, 0 },
	{ "empty_pool_works", "Every function works on an empty pool.", empty_pool_works, 0 },
	{ "destroy_frees_live_and_mapped_objects",
	  "zpool_destroy_pool() frees live objects, mapped or not, without an error.",
	  destroy_frees_live_and_mapped_objects, 0 },
	{ "no_thread_is_started", "The library and the driver start no thread unless asked to.", no_thread_is_started,
	  0 },
	{ "pools_may_outlive_main", "A program may exit while pools exist and threads use them.",
	  pools_may_outlive_main, CT_FORKS },
	{ "destroy_ignores_null", "zpool_destroy_pool(NULL) does nothing.", destroy_ignores_null, 0 },
	{ NULL, NULL, NULL, 0 },
};
