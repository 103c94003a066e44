/* SPDX-License-Identifier: MIT
 *
 * cases_future.c - a driver used by a newer version of the library, whose structures have grown, and the driver's
 * verify callback
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "cases.h"
#include "future.h"
#include "objects.h"

#include <stdio.h>
#include <string.h>

enum { OBJECTS = 300 };

static int free_it(struct zpool *pool, unsigned long handle, void *user)
{
	struct ct_set *set = user;
	size_t position = ct_set_find(set, handle);

	CT_CHECK(position != SIZE_MAX, "the callback is asked to evict an object that is not live");
	ct_set_remove(set, position);
	zpool_free(pool, handle);
	return 0;
}

static struct zpool *open_as(const char *spec, struct ct_set *set)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool *pool;

	args.evict = free_it;
	args.user = set;
	args.name = "a pool's name";
	pool = zpool_open(spec, &args, sizeof(args));
	CT_CHECK(pool != NULL, "zpool_open(\"%s\") returned NULL: %s", spec, zpool_last_error());
	return pool;
}

static struct zpool *open_future(struct ct_set *set)
{
	return open_as(ct_future_spec(), set);
}

/* Calls that may make the driver read the arguments of create again. */
static void live(struct zpool *pool, struct ct_set *set, unsigned int rounds)
{
	struct zpool_stats stats;
	unsigned long handle = 0;

	for (unsigned int round = 0; round < rounds; round++) {
		ct_set_fill(pool, set, OBJECTS, &ct.rng);
		ct_set_check(pool, set, "stored with a newer version of the library");
		ct_set_thin(pool, set, OBJECTS / 3, &ct.rng);
		zpool_shrink(pool, 1, NULL);
		zpool_compact(pool, 4096, 1000000, NULL);
		zpool_compact(pool, 0, 0, NULL);
		zpool_trim(pool, NULL);
		zpool_get_stats(pool, &stats, sizeof(stats));
		ct_set_check(pool, set, "kept with a newer version of the library");
		CT_CHECK(zpool_malloc(pool, ct.largest_bytes + 1, ZPOOL_GFP_KERNEL, &handle) != 0,
			 "an object larger than zpool_max_object_size() was accepted");
		zpool_set_limit(pool, zpool_get_total_size(pool));
		while (ct_set_try(pool, set, ct.max_bytes, ZPOOL_GFP_KERNEL) == 0)
			;
		CT_MUST(zpool_set_limit(pool, 0));
	}
	/* A stale handle is refused with a message, which may contain the pool's name. */
	ct_set_free_all(pool, set);
	zpool_free(pool, 0x1234567);
	zpool_destroy_pool(pool);
}

static void create_keeps_no_pointer_to_its_arguments(void)
{
	struct ct_set set;
	struct zpool *pool;

	ct_set_init(&set, ct_set_to_limit());
	pool = open_future(&set);
	live(pool, &set, 2);
	ct_set_fini(&set);
}

static uint64_t filled_bytes(struct zpool *pool, struct ct_set *set)
{
	uint64_t bytes;

	for (size_t i = 0; i < OBJECTS; i++)
		ct_set_make(pool, set, 1 + i * 37 % ct.max_bytes);
	bytes = zpool_get_total_size(pool);
	ct_set_free_all(pool, set);
	return bytes;
}

static void expect_alike(uint64_t today, uint64_t later, const char *what)
{
	uint64_t apart = today > later ? today - later : later - today;

	CT_CHECK(apart <= today / 4 + (256u << 10) + 2 * ct.step_bytes,
		 "%s: %llu bytes with this version's structures, but %llu with larger structures and the same values",
		 what, (unsigned long long)today, (unsigned long long)later);
}

/* A driver that treats the values as an array of the structure it knows reads the bytes between them. */
static void parameter_values_may_be_larger(void)
{
	struct zpool *today, *later;
	struct ct_set set;

	ct_set_init(&set, 1000);
	later = open_future(&set);
	today = open_as(ct.spec, &set);
	CT_CHECK(zpool_max_object_size(today) == zpool_max_object_size(later),
		 "with larger structures and the same values the largest object has %zu bytes, otherwise %zu",
		 zpool_max_object_size(later), zpool_max_object_size(today));
	CT_CHECK(zpool_alignment(today) == zpool_alignment(later),
		 "the alignment depends on the size of the structures");
	expect_alike(zpool_get_total_size(today), zpool_get_total_size(later), "an empty pool");
	expect_alike(filled_bytes(today, &set), filled_bytes(later, &set), "a pool with objects");
	expect_alike(zpool_get_total_size(today), zpool_get_total_size(later), "a pool that was emptied");
	zpool_destroy_pool(today);
	zpool_destroy_pool(later);
	ct_set_fini(&set);
}

static void stats_fit_every_structure_size(void)
{
	struct zpool_stats stats;
	struct zpool *pool;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, OBJECTS);
	pool = open_future(&set);
	CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	ct_set_fill(pool, &set, OBJECTS, &ct.rng);
	CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void verify_finds_no_damage(void)
{
	struct ct_set set;
	struct zpool *pool;

	ct_set_init(&set, ct_set_to_limit());
	pool = open_future(&set);
	if (!ct_future_has_verify())
		ct_skip("%s has no verify callback", ct.spec);
	live(pool, &set, 4);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_future[] = {
	{ "create_keeps_no_pointer_to_its_arguments",
	  "A driver keeps no pointer to the arguments and strings of create, and accepts structures larger than it knows.",
	  create_keeps_no_pointer_to_its_arguments, 0 },
	{ "parameter_values_may_be_larger",
	  "A driver finds the values of parameters value_size bytes apart, whatever that size is.",
	  parameter_values_may_be_larger, 0 },
	{ "stats_fit_every_structure_size",
	  "The stats callback fills only the members that it knows and that fit into the caller's structure.",
	  stats_fit_every_structure_size, 0 },
	{ "verify_finds_no_damage", "The driver's verify callback finds no damage after any call that changes a pool.",
	  verify_finds_no_damage, 0 },
	{ NULL, NULL, NULL, 0 },
};
