/* SPDX-License-Identifier: MIT
 *
 * cases_stats.c - what zpool_get_stats() and zpool_each_class() report
 */
#include "cases.h"
#include "crowd.h"
#include "evictor.h"
#include "source.h"
#include "stats.h"

#include <string.h>

#define STALE 0x1234567ul

static uint64_t bytes_behind(struct zpool *pool, const struct ct_set *set)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < set->count; i++)
		bytes += ct_can(ZPOOL_CAP_OBJ_SIZE) ? (uint64_t)zpool_obj_size(pool, set->at[i].handle)
						    : set->at[i].size;
	return bytes;
}

/*
 * The driver chooses the size of its pages, at least CT_PAGE_BYTES_MIN, but all that it reports must fit to one size:
 * the pages hold the stored bytes, and the pool holds the pages.  These are the limits of that size so far.
 */
struct page_size {
	uint64_t least, most;
};

static void narrow(struct page_size *page, const struct zpool_stats *stats, const char *when)
{
	uint64_t least, most;

	if (stats->pages == 0)
		return;
	least = (stats->stored_bytes + stats->pages - 1) / stats->pages;
	most = stats->pool_bytes / stats->pages;
	page->least = least > page->least ? least : page->least;
	page->most = most < page->most ? most : page->most;
	CT_CHECK(
		page->least <= page->most && page->most >= CT_PAGE_BYTES_MIN,
		"%s, pages: got %llu pages with %llu stored bytes in a pool of %llu bytes, but no page of 4096 bytes or more has at least %llu and at most %llu bytes, as these and earlier numbers say",
		when, (unsigned long long)stats->pages, (unsigned long long)stats->stored_bytes,
		(unsigned long long)stats->pool_bytes, (unsigned long long)page->least, (unsigned long long)page->most);
}

static void expect_contents(struct zpool *pool, const struct ct_set *set, struct page_size *page, const char *when)
{
	struct zpool_stats stats = stats_of(pool);

	STAT_IS(stats, objects, set->count, when);
	STAT_IS(stats, stored_bytes, bytes_behind(pool, set), when);
	STAT_IS(stats, pool_bytes, zpool_get_total_size(pool), when);
	narrow(page, &stats, when);
}

static void stats_report_stored_objects(void)
{
	struct page_size page = { 0, UINT64_MAX };
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, 3000);
	expect_contents(pool, &set, &page, "empty");
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 3000, &ct.rng);
		expect_contents(pool, &set, &page, "filled");
		ct_set_thin(pool, &set, 700, &ct.rng);
		expect_contents(pool, &set, &page, "after frees");
		ct_trim(pool);
		expect_contents(pool, &set, &page, "after zpool_trim()");
		if (ct_can(ZPOOL_CAP_COMPACT))
			CT_MUST(zpool_compact(pool, 0, 0, NULL));
		expect_contents(pool, &set, &page, "after compaction");
	}
	ct_set_free_all(pool, &set);
	expect_contents(pool, &set, &page, "after the last free");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/*
 * A driver that counts each page several times is found by what it reports when it empties the pool.  It may release
 * some pages without reporting them, such as cached ones.
 */
static void stats_count_the_pages_that_shrink_empties(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_STATS | ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, ct_enough(3000));
	for (int round = 0; round < 3; round++) {
		unsigned int reclaimed = 0;
		uint64_t pages;

		ct_set_fill(evictor.pool, &evictor.set, ct_enough(3000), &ct.rng);
		ct_trim(evictor.pool);
		pages = stats_of(evictor.pool).pages;
		if (pages == 0)
			ct_skip("%s does not count its pages", ct.spec);
		CT_REFUSED(zpool_shrink(evictor.pool, UINT32_MAX, &reclaimed), EINVAL);
		CT_CHECK(
			reclaimed <= pages && reclaimed > pages / 2,
			"pages: got %llu, but zpool_shrink() then emptied the pool and reported %u reclaimed pages; expected more than half as many, and no more",
			(unsigned long long)pages, reclaimed);
	}
	ct_evictor_close(&evictor);
}

static void stats_of_a_new_pool_are_zero(void)
{
	struct zpool *pool = ct_pool();
	struct zpool_stats stats;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, 2000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	ct_set_check(pool, &set, "stored");
	stats = stats_of(pool);
	STAT_IS(stats, mapped_handles, 0, "nothing is mapped");
	STAT_IS(stats, evictions, 0, "nothing was evicted");
	STAT_IS(stats, evict_refused, 0, "nothing was evicted");
	STAT_IS(stats, malloc_failed_limit, 0, "no malloc failed");
	STAT_IS(stats, malloc_failed_memory, 0, "no malloc failed");
	STAT_IS(stats, malloc_failed_again, 0, "no malloc failed");
	STAT_IS(stats, refused_handles, 0, "no handle was refused");
	STAT_IS(stats, errors, 0, "nothing was misused");
	if (!ct_can(ZPOOL_CAP_COMPACT)) {
		STAT_IS(stats, free_slots, 0, "the driver does not compact");
		STAT_IS(stats, compactions, 0, "the driver does not compact");
		STAT_IS(stats, compact_moved_bytes, 0, "the driver does not compact");
		STAT_IS(stats, compact_released_bytes, 0, "the driver does not compact");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void peak_size_never_falls(void)
{
	/* Far above what is stored; the limit only bounds the values that may be reported. */
	const uint64_t limit = (64u << 20) + 4000 * ct.step_bytes;
	struct zpool *pool = ct_pool_limited(limit);
	uint64_t most = 0, peak = 0;
	struct zpool_stats stats;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, 4000);
	for (int round = 0; round < 4; round++) {
		/* Store fewer objects each time. */
		ct_set_fill(pool, &set, 4000u >> round, &ct.rng);
		if (zpool_get_total_size(pool) > most)
			most = zpool_get_total_size(pool);
		stats = stats_of(pool);
		CT_CHECK(stats.pool_bytes_peak >= most, "pool_bytes_peak: expected at least %llu, got %llu",
			 (unsigned long long)most, (unsigned long long)stats.pool_bytes_peak);
		CT_CHECK(stats.pool_bytes_peak <= limit, "pool_bytes_peak: got %llu, which is above the limit",
			 (unsigned long long)stats.pool_bytes_peak);
		CT_CHECK(stats.pool_bytes_peak >= peak, "pool_bytes_peak fell from %llu to %llu",
			 (unsigned long long)peak, (unsigned long long)stats.pool_bytes_peak);
		peak = stats.pool_bytes_peak;
		ct_set_free_all(pool, &set);
		ct_trim(pool);
		stats = stats_of(pool);
		STAT_IS(stats, pool_bytes_peak, peak, "after all memory was released");
	}
	CT_CHECK(peak < most + most / 4 + (1u << 20), "the pool held at most %llu bytes, but the peak is %llu",
		 (unsigned long long)most, (unsigned long long)peak);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void stats_count_mapped_handles(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS | ZPOOL_CAP_MAP);
	ct_set_init(&set, 2000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	for (size_t i = 0; i < set.count; i++) {
		/* A handle that is mapped several times counts once. */
		for (size_t times = 0; times <= i % 3; times++)
			CT_CHECK(zpool_map_handle(pool, set.at[i].handle, ZPOOL_MM_RO) != NULL, "mapping failed");
		if (i % 100 == 0)
			STAT_IS(stats_of(pool), mapped_handles, i + 1, "while handles are mapped");
	}
	zpool_free(pool, set.at[0].handle);
	STAT_IS(stats_of(pool), mapped_handles, 2000, "after freeing a mapped object was refused");
	for (size_t i = 0; i < set.count; i++) {
		for (size_t times = 0; times <= i % 3; times++) {
			if (i % 100 == 2)
				STAT_IS(stats_of(pool), mapped_handles, 2000 - i, "while one mapping is left");
			zpool_unmap_handle(pool, set.at[i].handle);
		}
	}
	STAT_IS(stats_of(pool), mapped_handles, 0, "after the last unmap");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void stats_count_refused_handles(void)
{
	struct zpool *pool = ct_pool(), *other = ct_pool();
	struct ct_object object, foreign;
	uint64_t expected = 0;
	char byte = 0;

	ct_need(ZPOOL_CAP_STATS);
	ct_object_make(pool, &object, ct_size(100), 1);
	ct_object_make(other, &foreign, ct_size(100), 2);
	for (int round = 0; round < 3; round++) {
		zpool_free(pool, STALE);
		zpool_free(pool, 0);
		zpool_free(pool, foreign.handle);
		expected += 3;
		CT_CHECK(zpool_obj_read(pool, STALE, &byte, 1, 0) < 0 && zpool_obj_write(pool, STALE, &byte, 1, 0) < 0,
			 "zpool_obj_size() accepted an invented handle");
		expected += 2;
		if (!ct_can(ZPOOL_CAP_MAP))
			continue;
		CT_CHECK(zpool_map_handle(pool, STALE, ZPOOL_MM_RO) == NULL, "an invented handle was mapped");
		zpool_unmap_handle(pool, object.handle);
		expected += 2;
		CT_CHECK(zpool_map_handle(pool, object.handle, ZPOOL_MM_RO) != NULL, "mapping failed");
		zpool_free(pool, object.handle);
		zpool_unmap_handle(pool, object.handle);
		expected++;
	}
	STAT_IS(stats_of(pool), refused_handles, expected, "after refused calls");
	STAT_IS(stats_of(other), refused_handles, 0, "in a pool that refused no handle");
	STAT_IS(stats_of(pool), objects, 1, "after refused calls");
	zpool_destroy_pool(other);
	zpool_destroy_pool(pool);
}

/* Failures at the limit.  However much the driver has cached, a malloc that may wait can ask for more. */
static void stats_separate_limit_and_nowait_failures(void)
{
	struct zpool *pool = ct_pool_limited(ct_limit(2u << 20));
	uint64_t limit = 0, nowait = 0;
	struct zpool_stats stats;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	ct_set_init(&set, ct_set_to_limit());
	for (int round = 0; round < 6; round++) {
		for (int failures = 0; failures < 50;) {
			bool wait = ct_rng_below(&ct.rng, 3) > 0;
			int result = ct_set_try(pool, &set, ct_rng_size(&ct.rng, ct.max_bytes),
						wait ? ZPOOL_GFP_KERNEL : ZPOOL_GFP_NOWAIT);

			CT_CHECK(result == 0 || result == -ENOMEM, "malloc at the limit returned %s",
				 ct_error_name(result));
			if (result == 0)
				continue;
			failures += wait;
			*(wait ? &limit : &nowait) += 1;
		}
		stats = stats_of(pool);
		STAT_IS(stats, malloc_failed_limit, limit, "mallocs failed at the limit");
		STAT_IS(stats, malloc_failed_memory, nowait, "mallocs with NOWAIT found no memory ready");
		STAT_IS(stats, malloc_failed_again, 0, "no lock was held by another thread");
		STAT_IS(stats, objects, set.count, "after mallocs that failed at the limit");
		ct_set_thin(pool, &set, set.count / 2, &ct.rng);
	}
	CT_REFUSED(zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &set.at[0].handle), EINVAL);
	CT_REFUSED(zpool_malloc(pool, ct.largest_bytes + 1, ZPOOL_GFP_KERNEL, &set.at[0].handle), ENOSPC);
	stats = stats_of(pool);
	STAT_IS(stats, malloc_failed_limit + stats.malloc_failed_memory, limit + nowait,
		"after calls refused for their arguments");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void stats_count_failures_of_the_page_source(void)
{
	static struct ct_source source;
	uint64_t failures = 0;
	struct zpool_stats stats;
	struct zpool *pool;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS);
	if (!ct_source_holds_objects())
		ct_skip("the driver stores objects outside the source's pages");
	ct_source_init(&source);
	pool = ct_source_pool(&source);
	CT_MUST(zpool_set_limit(pool, 1u << 30));
	ct_set_init(&set, 4000);
	ct_set_fill(pool, &set, 500, &ct.rng);
	atomic_store(&source.refuse_commit, true);
	while (failures < 100)
		failures += ct_set_try(pool, &set, ct.max_bytes, ZPOOL_GFP_KERNEL) != 0;
	stats = stats_of(pool);
	STAT_IS(stats, malloc_failed_memory, failures, "the source refused memory");
	STAT_IS(stats, malloc_failed_limit, 0, "the limit was not reached");
	STAT_IS(stats, objects, set.count, "after the source refused memory");
	atomic_store(&source.refuse_commit, false);
	ct_set_make(pool, &set, ct.max_bytes);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static int keep_or_free(struct ct_evictor *evictor, size_t position)
{
	unsigned int kind = (unsigned int)ct_rng_below(&ct.rng, 4);

	/* Callbacks that refuse, return 0 but keep the object, return an error but free it, or evict it. */
	if (kind < 2)
		return kind == 0 ? -EIO : 0;
	ct_evict_save(evictor, position);
	return kind == 2 ? -EIO : 0;
}

static void stats_count_evictions(void)
{
	struct ct_evictor evictor;
	struct zpool_stats stats;

	ct_need(ZPOOL_CAP_STATS | ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, keep_or_free, 2000);
	for (int round = 0; round < 100; round++) {
		ct_set_fill(evictor.pool, &evictor.set, 1000, &ct.rng);
		(void)zpool_shrink(evictor.pool, 1 + (unsigned int)ct_rng_below(&ct.rng, 20), NULL);
		stats = stats_of(evictor.pool);
		STAT_IS(stats, evictions, evictor.evicted, "callbacks freed their objects");
		STAT_IS(stats, evict_refused, evictor.asked - evictor.evicted, "callbacks kept their objects");
		STAT_IS(stats, objects, evictor.set.count, "after evictions");
	}
	CT_CHECK(evictor.evicted > 0 && evictor.evicted < evictor.asked, "%u of %u objects were evicted",
		 evictor.evicted, evictor.asked);
	ct_evictor_close(&evictor);
}

/* Returns an array with the address of each object, or of NULL if the driver cannot map. */
static void note_addresses(struct zpool *pool, const struct ct_set *set, const void **addresses)
{
	for (size_t i = 0; i < set->count && ct_can(ZPOOL_CAP_MAP); i++) {
		addresses[i] = zpool_map_handle(pool, set->at[i].handle, ZPOOL_MM_RO);
		CT_CHECK(addresses[i] != NULL, "mapping failed");
		zpool_unmap_handle(pool, set->at[i].handle);
	}
}

/* Returns the bytes of the objects whose address has changed. */
static uint64_t moved_bytes(struct zpool *pool, const struct ct_set *set, const void *const *before)
{
	static const void *now[1500];
	uint64_t bytes = 0;

	note_addresses(pool, set, now);
	for (size_t i = 0; i < set->count; i++)
		bytes += now[i] != before[i] ? set->at[i].size : 0;
	return bytes;
}

static void stats_count_compaction(void)
{
	static const void *addresses[1500];
	struct zpool *pool = ct_pool();
	struct zpool_stats before, after;
	struct ct_set set;

	ct_need(ZPOOL_CAP_STATS | ZPOOL_CAP_COMPACT);
	ct_set_init(&set, 6000);
	for (int round = 0; round < 3; round++) {
		uint64_t released = 0, stored, moved;

		ct_set_fill(pool, &set, 6000, &ct.rng);
		ct_set_thin_mapped(pool, &set, 1500, &ct.rng);
		note_addresses(pool, &set, addresses);
		before = stats_of(pool);
		CT_CHECK(before.free_slots > 0, "many objects were freed, but no class has a free slot");
		CT_MUST(zpool_compact(pool, 0, 0, &released));
		after = stats_of(pool);
		stored = after.stored_bytes;
		CT_CHECK(after.compactions > before.compactions, "a compaction was not counted");
		CT_CHECK(after.compact_moved_bytes > before.compact_moved_bytes &&
				 after.compact_moved_bytes - before.compact_moved_bytes <= 2 * stored,
			 "compact_moved_bytes of a pool that stores %llu bytes: got %llu", (unsigned long long)stored,
			 (unsigned long long)(after.compact_moved_bytes - before.compact_moved_bytes));
		moved = moved_bytes(pool, &set, addresses);
		/* A driver need not count objects whose whole page changes its address. */
		CT_CHECK(after.compact_moved_bytes - before.compact_moved_bytes >= moved / 8,
			 "objects of %llu bytes have new addresses, but compact_moved_bytes grew by %llu",
			 (unsigned long long)moved,
			 (unsigned long long)(after.compact_moved_bytes - before.compact_moved_bytes));
		STAT_IS(after, compact_released_bytes - before.compact_released_bytes, released,
			"zpool_compact() reported another number");
		CT_CHECK(after.free_slots < before.free_slots, "compaction released none of %llu free slots",
			 (unsigned long long)before.free_slots);
		STAT_IS(after, objects, 1500, "after compaction");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void stats_fit_older_and_newer_callers(void)
{
	struct {
		struct zpool_stats known;
		uint64_t later[4];
	} stats;
	const unsigned char *bytes;
	struct zpool *pool = ct_pool();

	ct_need(ZPOOL_CAP_STATS);
	bytes = memset(&stats, 0xee, sizeof(stats));
	CT_MUST(zpool_get_stats(pool, &stats.known, 16));
	for (size_t i = 16; i < sizeof(stats); i++)
		CT_CHECK(bytes[i] == 0xee, "given 16 bytes, zpool_get_stats() wrote byte %zu", i);
	CT_MUST(zpool_get_stats(pool, &stats.known, sizeof(stats)));
	for (size_t i = 0; i < 4; i++)
		CT_CHECK(stats.later[i] == 0, "a member that the library does not know reads as %#llx instead of 0",
			 (unsigned long long)stats.later[i]);
	CT_REFUSED(zpool_get_stats(pool, &stats.known, 0), EINVAL);
	zpool_destroy_pool(pool);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Size classes
 */

struct class_sum {
	struct zpool_stats stats; /* of the whole pool */
	uint64_t object_bytes;    /* of the previous class */
	uint64_t objects, stored_bytes, pages, free_slots;
};

static int add_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct class_sum *sum = user;
	uint64_t zspages = 0;

	CT_CHECK(stats_size >= sizeof(*stats), "zpool_each_class() passed a structure of %zu bytes", stats_size);
	CT_CHECK(stats->object_bytes > sum->object_bytes, "the class of %llu bytes comes after the class of %llu",
		 (unsigned long long)stats->object_bytes, (unsigned long long)sum->object_bytes);
	CT_CHECK(stats->objects <= stats->slots, "a class has %llu objects in %llu slots",
		 (unsigned long long)stats->objects, (unsigned long long)stats->slots);
	for (int i = 0; i <= 10; i++)
		zspages += stats->fullness[i];
	CT_CHECK(zspages <= stats->zspages && zspages + 1 >= stats->zspages,
		 "a class has %llu zspages, at most one of them empty, but its histogram counts %llu",
		 (unsigned long long)stats->zspages, (unsigned long long)zspages);
	CT_CHECK(stats->slots == 0 || stats->fullness[10] * stats->slots <= stats->objects * stats->zspages,
		 "a class has %llu objects, which cannot fill %llu zspages", (unsigned long long)stats->objects,
		 (unsigned long long)stats->fullness[10]);
	CT_CHECK(stats->objects < stats->slots || stats->slots == 0 || stats->fullness[10] == stats->zspages,
		 "every slot is in use, but of %llu zspages only %llu count as full",
		 (unsigned long long)stats->zspages, (unsigned long long)stats->fullness[10]);
	CT_CHECK(stats->pages <= stats->zspages * stats->pages_per_zspage,
		 "a class has %llu pages, more than its %llu zspages of %llu pages each",
		 (unsigned long long)stats->pages, (unsigned long long)stats->zspages,
		 (unsigned long long)stats->pages_per_zspage);
	CT_CHECK(stats->freeable_pages <= stats->pages, "a class has %llu pages, but %llu count as freeable",
		 (unsigned long long)stats->pages, (unsigned long long)stats->freeable_pages);
	sum->object_bytes = stats->object_bytes;
	sum->objects += stats->objects;
	sum->free_slots += stats->slots - stats->objects;
	sum->stored_bytes += stats->objects * stats->object_bytes;
	sum->pages += stats->pages;
	return 0;
}

static int stop_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats;
	(void)stats_size;
	(void)user;
	return 99;
}

static void expect_classes(struct zpool *pool, const struct ct_set *set, const char *when)
{
	struct class_sum sum = { { 0 }, 0, 0, 0, 0, 0 };

	CT_MUST(zpool_each_class(pool, add_class, &sum));
	CT_CHECK(sum.objects == set->count, "%s: %zu objects are live, but the classes count %llu", when, set->count,
		 (unsigned long long)sum.objects);
	if (!ct_can(ZPOOL_CAP_STATS))
		return;
	sum.stats = stats_of(pool);
	STAT_IS(sum.stats, stored_bytes, sum.stored_bytes, when);
	STAT_IS(sum.stats, pages, sum.pages, when);
	CT_CHECK(sum.stats.free_slots <= sum.free_slots,
		 "%s: the statistics show %llu free slots, but the classes have only %llu", when,
		 (unsigned long long)sum.stats.free_slots, (unsigned long long)sum.free_slots);
}

static void classes_hold_all_objects(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_need(ZPOOL_CAP_CLASSES);
	ct_set_init(&set, 4000);
	expect_classes(pool, &set, "empty");
	for (int round = 0; round < 3; round++) {
		ct_set_fill(pool, &set, 4000, &ct.rng);
		expect_classes(pool, &set, "filled");
		ct_set_thin(pool, &set, 1200, &ct.rng);
		expect_classes(pool, &set, "after frees");
		if (ct_can(ZPOOL_CAP_COMPACT))
			CT_MUST(zpool_compact(pool, 0, 0, NULL));
		expect_classes(pool, &set, "after compaction");
	}
	CT_CHECK(zpool_each_class(pool, stop_class, NULL) == 99,
		 "the walk over classes did not return the callback's value");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_stats[] = {
	{ "stats_report_stored_objects", "zpool_get_stats() reports the objects, their bytes, and the pool's size.",
	  stats_report_stored_objects, 0 },
	{ "stats_count_the_pages_that_shrink_empties",
	  "zpool_get_stats() and zpool_shrink() count pages in the same unit, each page once.",
	  stats_count_the_pages_that_shrink_empties, 0 },
	{ "stats_of_a_new_pool_are_zero", "In a new pool every counter is 0.", stats_of_a_new_pool_are_zero, 0 },
	{ "peak_size_never_falls", "pool_bytes_peak is the largest size that the pool ever had.", peak_size_never_falls,
	  0 },
	{ "stats_count_mapped_handles", "mapped_handles counts each handle that is currently mapped once.",
	  stats_count_mapped_handles, 0 },
	{ "stats_count_refused_handles", "refused_handles counts every call that was refused for its handle.",
	  stats_count_refused_handles, 0 },
	{ "stats_separate_limit_and_nowait_failures",
	  "Mallocs that fail at the limit and mallocs with NOWAIT that find no memory ready have separate counters.",
	  stats_separate_limit_and_nowait_failures, 0 },
	{ "stats_count_failures_of_the_page_source",
	  "A malloc that fails because the system has no memory is counted separately from one at the limit.",
	  stats_count_failures_of_the_page_source, 0 },
	{ "stats_count_evictions",
	  "After a callback, an object that is gone counts as evicted, one that stays as refused.",
	  stats_count_evictions, 0 },
	{ "stats_count_compaction", "Compactions are counted, with the bytes that they moved and released.",
	  stats_count_compaction, 0 },
	{ "stats_fit_older_and_newer_callers",
	  "zpool_get_stats() writes stats_size bytes; members that the library does not know read as 0.",
	  stats_fit_older_and_newer_callers, 0 },
	{ "classes_hold_all_objects",
	  "The size classes come in order of size, and together account for every object, byte and page.",
	  classes_hold_all_objects, 0 },
	{ NULL, NULL, NULL, 0 },
};
