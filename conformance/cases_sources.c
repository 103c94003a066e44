/* SPDX-License-Identifier: MIT
 *
 * cases_sources.c - a page source of the host: how the driver calls it, and what happens when it fails
 */
#include "cases.h"
#include "objects.h"
#include "source.h"

static struct ct_source source;

static void need_objects_in_pages(void)
{
	if (!ct_source_holds_objects())
		ct_skip("%s stores objects outside the pages of a page source", ct.spec);
}

static void objects_lie_in_memory_of_the_page_source(void)
{
	struct zpool *pool;
	struct ct_set set;

	need_objects_in_pages();
	pool = ct_source_pool(&source);
	ct_set_init(&set, 3000);
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 3000, &ct.rng);
		for (size_t i = 0; i < set.count && ct_can(ZPOOL_CAP_MAP); i++) {
			void *address = zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RO);

			CT_CHECK(address && ct_source_has(&source, address, set.at[i].size),
				 "an object of %zu bytes is at %p, outside the memory of the page source",
				 set.at[i].size, address);
			zpool_unmap_handle(pool, set.at[i].handle);
		}
		ct_set_check(pool, &set, "in pages of the host");
		ct_set_thin(pool, &set, 300, &ct.rng);
		ct_trim(pool);
	}
	ct_set_check(pool, &set, "in pages of the host, after zpool_trim()");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void pages_are_returned_to_the_page_source(void)
{
	bool holds_objects = ct_source_holds_objects();
	struct zpool *pool = ct_source_pool(&source);
	size_t empty = ct_source_committed_bytes(&source), full, trimmed;
	struct ct_set set;

	ct_set_init(&set, 4000);
	ct_set_fill(pool, &set, 4000, &ct.rng);
	full = ct_source_committed_bytes(&source);
	ct_set_free_all(pool, &set);
	ct_trim(pool);
	trimmed = ct_source_committed_bytes(&source);
	CT_CHECK(!holds_objects || !ct_can(ZPOOL_CAP_TRIM) || trimmed < full / 4 ||
			 trimmed - empty < (full - empty) / 4,
		 "4000 objects had %zu bytes committed, and after all were freed and trimmed %zu bytes still are", full,
		 trimmed);
	ct_set_fill(pool, &set, 4000, &ct.rng);
	ct_set_check(pool, &set, "in pages committed again");
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0, "a destroyed pool left %zu bytes reserved",
		 ct_source_reserved_bytes(&source));
	ct_set_fini(&set);
}

static void refused_reserve_is_enomem(void)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool *pool = ct_source_pool(&source);
	struct ct_object object;
	int result;

	zpool_destroy_pool(pool);
	ct_source_init(&source);
	atomic_store(&source.refuse_reserve, true);
	args.page_source = &source.table;
	errno = 0;
	ct_message_mark();
	pool = zpool_open(ct.spec, &args, sizeof(args));
	if (!pool) {
		CT_CHECK(errno == ENOMEM, "without address space, zpool_open() set errno to %s", ct_error_name(-errno));
		ct_message_expect(__FILE__, __LINE__, "zpool_open() without address space");
		return;
	}
	result = ct_object_try(pool, &object, 1000 < ct.max_bytes ? 1000 : ct.max_bytes, ZPOOL_GFP_KERNEL, 1);
	CT_CHECK(result == -ENOMEM, "without address space, malloc returned %s", ct_error_name(result));
	atomic_store(&source.refuse_reserve, false);
	ct_object_make(pool, &object, 1000 < ct.max_bytes ? 1000 : ct.max_bytes, 1);
	ct_object_check(pool, &object, "once the page source had address space");
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0, "a destroyed pool left %zu bytes reserved",
		 ct_source_reserved_bytes(&source));
}

static void refused_commit_is_enomem(void)
{
	bool holds_objects = ct_source_holds_objects();
	struct zpool *pool = ct_source_pool(&source);
	uint64_t total;
	int result;
	struct ct_set set;

	ct_set_init(&set, 12000);
	ct_set_fill(pool, &set, 1000, &ct.rng);
	for (int round = 0; round < 4; round++) {
		atomic_store(&source.refuse_commit, true);
		/*
		 * Some mallocs find space in committed pages, and many do in a driver that keeps only its records
		 * there.
		 */
		do {
			total = zpool_get_total_size(pool);
			result = ct_set_try(pool, &set, ct_rng_size(&ct.rng, ct.max_bytes), ZPOOL_GFP_KERNEL);
		} while (result == 0 && set.count < 8000);
		CT_CHECK(result == -ENOMEM || (result == 0 && !holds_objects),
			 "malloc returned %s when the page source had no memory", ct_error_name(result));
		CT_CHECK(result == 0 || zpool_get_total_size(pool) <= total,
			 "a malloc that got no memory from the page source made the pool grow from %llu to %llu bytes",
			 (unsigned long long)total, (unsigned long long)zpool_get_total_size(pool));
		ct_set_check(pool, &set, "when the page source had no memory");
		ct_set_thin(pool, &set, set.count / 2, &ct.rng);
		atomic_store(&source.refuse_commit, false);
		ct_set_fill(pool, &set, set.count + 500, &ct.rng);
		ct_set_check(pool, &set, "when the page source had memory again");
	}
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0, "a destroyed pool left %zu bytes reserved",
		 ct_source_reserved_bytes(&source));
	ct_set_fini(&set);
}

/*
 * A driver may have returned whole reservations while the page source refused the rest, so that little is left to
 * return later.
 */
static void refused_decommit_loses_nothing(void)
{
	enum { SLACK = 64 << 10 };
	struct zpool *pool;
	size_t kept, empty;
	struct ct_set set;

	ct_need(ZPOOL_CAP_TRIM);
	need_objects_in_pages();
	pool = ct_source_pool(&source);
	empty = ct_source_committed_bytes(&source);
	ct_set_init(&set, 3000);
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 3000, &ct.rng);
		atomic_store(&source.refuse_decommit, true);
		ct_set_thin(pool, &set, 300, &ct.rng);
		/* Decommit may fail entirely.  Nothing may be lost then, and the driver has to try again later. */
		zpool_trim(pool, NULL);
		ct_set_check(pool, &set, "after the page source refused to take memory back");
		for (int i = 0; i < 200; i++) {
			unsigned char first = 0xff;
			unsigned long handle;

			CT_MUST(zpool_malloc(pool, 600 < ct.max_bytes ? 600 : ct.max_bytes, ZPOOL_GFP_ZERO, &handle));
			ct_bytes_get(pool, handle, &first, 1, 0);
			CT_CHECK(
				first == 0,
				"memory that the page source refused to take back is returned without zeroing for ZPOOL_GFP_ZERO");
			zpool_free(pool, handle);
		}
		ct_set_check(pool, &set, "after mallocs from memory that the page source refused to take back");
		ct_set_free_all(pool, &set);
		zpool_trim(pool, NULL);
		kept = ct_source_committed_bytes(&source);
		atomic_store(&source.refuse_decommit, false);
		ct_trim(pool);
		CT_CHECK(
			ct_source_committed_bytes(&source) < kept || kept <= empty + SLACK,
			"%zu bytes stay committed after zpool_trim(), though every object is free and the page source accepts memory again; zpool_trim() must release free memory",
			kept);
	}
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0, "a destroyed pool left %zu bytes reserved",
		 ct_source_reserved_bytes(&source));
	ct_set_fini(&set);
}

/* Two pools with their own sources, and one without, grow and shrink in turns. */
static void each_pool_uses_its_own_page_source(void)
{
	static struct ct_source other_source;
	struct zpool *pools[3];
	struct ct_set sets[3];
	size_t first, other;

	need_objects_in_pages();
	pools[0] = ct_source_pool(&source);
	pools[1] = ct_source_pool(&other_source);
	pools[2] = ct_pool();
	for (size_t i = 0; i < 3; i++)
		ct_set_init(&sets[i], 2000);
	for (int round = 0; round < 3; round++) {
		first = ct_source_committed_bytes(&source);
		other = ct_source_committed_bytes(&other_source);
		ct_set_fill(pools[0], &sets[0], 2000, &ct.rng);
		CT_CHECK(
			ct_source_committed_bytes(&source) > first && ct_source_committed_bytes(&other_source) == other,
			"objects were stored in one pool; its page source committed %zu more bytes, but the page source of another pool committed %zu",
			ct_source_committed_bytes(&source) - first, ct_source_committed_bytes(&other_source) - other);
		ct_set_fill(pools[1], &sets[1], 2000, &ct.rng);
		first = ct_source_committed_bytes(&source);
		other = ct_source_committed_bytes(&other_source);
		ct_set_fill(pools[2], &sets[2], 2000, &ct.rng);
		CT_CHECK(
			ct_source_committed_bytes(&source) == first &&
				ct_source_committed_bytes(&other_source) == other,
			"objects were stored in a pool without a page source, but the page sources of other pools committed memory");
		for (size_t i = 0; i < 3; i++) {
			ct_set_check(pools[i], &sets[i], "with other pools that have other page sources");
			ct_set_free_all(pools[i], &sets[i]);
			ct_trim(pools[i]);
		}
	}
	zpool_destroy_pool(pools[0]);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0,
		 "zpool_destroy_pool() left %zu bytes of its page source reserved", ct_source_reserved_bytes(&source));
	ct_set_fill(pools[1], &sets[1], 2000, &ct.rng);
	ct_set_check(pools[1], &sets[1], "after a pool with another page source was destroyed");
	zpool_destroy_pool(pools[1]);
	zpool_destroy_pool(pools[2]);
	for (size_t i = 0; i < 3; i++)
		ct_set_fini(&sets[i]);
}

const struct ct_case ct_cases_sources[] = {
	{ "objects_lie_in_memory_of_the_page_source",
	  "With a page source of the host, all objects lie in memory that it reserved and committed, and the driver follows the rules for page sources.",
	  objects_lie_in_memory_of_the_page_source, 0 },
	{ "each_pool_uses_its_own_page_source", "Each pool takes pages only from its own page source.",
	  each_pool_uses_its_own_page_source, 0 },
	{ "pages_are_returned_to_the_page_source",
	  "zpool_trim() returns pages to the source, and zpool_destroy_pool() returns every reservation.",
	  pages_are_returned_to_the_page_source, 0 },
	{ "refused_reserve_is_enomem",
	  "If the page source has no address space, calls fail with ENOMEM, and work again once it has some.",
	  refused_reserve_is_enomem, 0 },
	{ "refused_commit_is_enomem",
	  "If the page source has no memory, malloc returns -ENOMEM; no object is lost and the pool's size does not change.",
	  refused_commit_is_enomem, 0 },
	{ "refused_decommit_loses_nothing",
	  "A range that the page source refused to take back stays usable, and is offered again later.",
	  refused_decommit_loses_nothing, 0 },
	{ NULL, NULL, NULL, 0 },
};
