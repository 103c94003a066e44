/* SPDX-License-Identifier: MIT
 *
 * cases_shrink.c - zpool_shrink(): which objects it evicts, in which order, and what it reports
 */
#include "cases.h"
#include "evictor.h"

#include <stdlib.h>

static void shrink_without_callback_or_pages_is_refused(void)
{
	struct zpool *pool = ct_pool();
	unsigned int reclaimed = 99;
	struct ct_set set;

	ct_set_init(&set, 200);
	ct_set_fill(pool, &set, 100, &ct.rng);
	CT_REFUSED(zpool_shrink(pool, 1, &reclaimed), EINVAL);
	CT_CHECK(reclaimed == 0, "*reclaimed after zpool_shrink() without a callback is %u", reclaimed);
	CT_REFUSED(zpool_shrink(pool, 1, NULL), EINVAL);
	reclaimed = 99;
	CT_REFUSED(zpool_shrink(pool, 0, &reclaimed), EINVAL);
	CT_CHECK(reclaimed == 0, "*reclaimed after zpool_shrink() of 0 pages is %u", reclaimed);
	ct_set_check(pool, &set, "after calls of zpool_shrink() that were refused");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void shrink_of_zero_pages_is_refused(void)
{
	struct ct_evictor evictor;
	unsigned int reclaimed = 99;

	ct_evictor_open(&evictor, ct_evict_save, 200);
	ct_set_fill(evictor.pool, &evictor.set, 200, &ct.rng);
	CT_REFUSED(zpool_shrink(evictor.pool, 0, &reclaimed), EINVAL);
	CT_CHECK(reclaimed == 0, "*reclaimed after zpool_shrink() of 0 pages is %u", reclaimed);
	if (!ct_can(ZPOOL_CAP_EVICT)) {
		reclaimed = 99;
		CT_CHECK(!zpool_evictable(evictor.pool), "a driver that cannot evict created an evictable pool");
		CT_REFUSED(zpool_shrink(evictor.pool, 1, &reclaimed), EINVAL);
		CT_CHECK(reclaimed == 0, "*reclaimed after zpool_shrink() with a driver that cannot evict is %u",
			 reclaimed);
	}
	CT_CHECK(evictor.asked == 0, "calls of zpool_shrink() that were refused still called the callback %u times",
		 evictor.asked);
	ct_evictor_close(&evictor);
}

/* Returns how many pages to ask for: no more than a quarter of those that a pool has, but at least one. */
static unsigned int pages_to_ask_for(struct zpool *pool, unsigned int pages)
{
	uint64_t held = zpool_get_total_size(pool);
	uint64_t quarter = (held > ct.empty_bytes ? held - ct.empty_bytes : 0) / ct_page_bytes(pool) / 4;

	return quarter > pages ? pages : quarter > 1 ? (unsigned int)quarter : 1;
}

/* Reclaimed pages are free, so that zpool_trim() releases at least as many as zpool_shrink() reported. */
static void shrink_reports_the_reclaimed_pages(void)
{
	static const unsigned int most[] = { 1, 2, 10, 100, 1, 77 };
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, 100000);
	ct_set_fill_pages(evictor.pool, &evictor.set, ct_enough(4000), 400, &ct.rng);
	for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
		unsigned int reclaimed = 0, evicted = evictor.evicted, pages;
		uint64_t before, after;

		/* Small objects may all be on so few pages that the earlier calls have evicted them. */
		if (evictor.set.count == 0)
			ct_set_fill(evictor.pool, &evictor.set, 4000, &ct.rng);
		ct_trim(evictor.pool);
		before = zpool_get_total_size(evictor.pool);
		pages = pages_to_ask_for(evictor.pool, most[i]);
		CT_MUST(zpool_shrink(evictor.pool, pages, &reclaimed));
		CT_CHECK(reclaimed >= pages,
			 "pages reclaimed by a zpool_shrink() of %u pages that returned 0: expected no fewer, got %u",
			 pages, reclaimed);
		CT_CHECK(evictor.evicted > evicted,
			 "zpool_shrink() reported %u reclaimed pages without evicting anything", reclaimed);
		ct_trim(evictor.pool);
		after = zpool_get_total_size(evictor.pool);
		CT_CHECK(!ct_can(ZPOOL_CAP_TRIM) || after + 4096ull * reclaimed <= before,
			 "pages reclaimed: got %u, but total_size only went from %llu to %llu", reclaimed,
			 (unsigned long long)before, (unsigned long long)after);
		ct_set_check(evictor.pool, &evictor.set, "not evicted by zpool_shrink()");
	}
	ct_set_fill(evictor.pool, &evictor.set, 1, &ct.rng);
	CT_MUST(zpool_shrink(evictor.pool, 1, NULL));
	ct_evictor_close(&evictor);
}

/*
 * Objects of one size are stored one after the other.  Every object that a call evicts must be older than all that it
 * leaves.  With most drivers, `largest` gives each object its own page; small objects share pages with neighbours of
 * similar age.
 */
static void evict_in_order(size_t size, size_t count)
{
	size_t *age, evicted = 0;
	struct ct_evictor evictor;

	ct_evictor_open(&evictor, ct_evict_save, count);
	evictor.first_tag = evictor.set.next_tag;
	while (evictor.set.count < count)
		ct_set_make(evictor.pool, &evictor.set, size);
	/* Reading does not make an object younger. */
	ct_set_check(evictor.pool, &evictor.set, "stored");
	evictor.order = calloc(count, sizeof(*evictor.order));
	age = evictor.order;
	CT_CHECK(age != NULL, "the test suite is out of memory");
	while (evictor.set.count > 0) {
		size_t oldest_left = SIZE_MAX;

		CT_MUST(zpool_shrink(evictor.pool, 1, NULL));
		for (size_t i = 0; i < evictor.set.count; i++)
			if (evictor.set.at[i].tag - evictor.first_tag < oldest_left)
				oldest_left = evictor.set.at[i].tag - evictor.first_tag;
		for (; evicted < evictor.evicted; evicted++)
			CT_CHECK(age[evicted] < oldest_left,
				 "object number %zu of %zu bytes was evicted before the older object number %zu",
				 age[evicted], size, oldest_left);
	}
	free(age);
	evictor.order = NULL;
	ct_evictor_close(&evictor);
}

static void shrink_evicts_the_oldest_first(void)
{
	ct_need(ZPOOL_CAP_EVICT);
	evict_in_order(ct.max_bytes, 300);
	evict_in_order(ct.max_bytes / 2 > 0 ? ct.max_bytes / 2 : 1, 300);
	evict_in_order(ct.max_bytes / 4 > 0 ? ct.max_bytes / 4 : 1, 300);
	evict_in_order(1, 600);
}

static void shrink_with_nothing_left_returns_einval(void)
{
	/* Converted to bytes, all but the last two numbers are 0 modulo 2^32. */
	static const unsigned int pages[] = { 1u << 20, 1u << 31, 3u << 20, INT32_MAX, UINT32_MAX };
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, 2000);
	for (size_t round = 0; round < sizeof(pages) / sizeof(pages[0]); round++) {
		unsigned int reclaimed = 0;
		uint64_t full;

		ct_set_fill(evictor.pool, &evictor.set, 1200, &ct.rng);
		full = zpool_get_total_size(evictor.pool);
		CT_REFUSED(zpool_shrink(evictor.pool, pages[round], &reclaimed), EINVAL);
		CT_CHECK(evictor.set.count == 0, "zpool_shrink() found nothing left to evict, but %zu objects are live",
			 evictor.set.count);
		CT_CHECK(reclaimed > 0 && reclaimed <= full / 4096, "pages reclaimed from a pool of %llu bytes: got %u",
			 (unsigned long long)full, reclaimed);
		reclaimed = 99;
		CT_REFUSED(zpool_shrink(evictor.pool, 1, &reclaimed), EINVAL);
		CT_CHECK(reclaimed == 0, "pages reclaimed from an emptied pool: expected 0, got %u", reclaimed);
	}
	ct_evictor_close(&evictor);
}

static void reclaimed_pages_are_counted_once(void)
{
	struct ct_evictor evictor;
	uint64_t full, sum = 0;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_save, 3000);
	ct_set_fill(evictor.pool, &evictor.set, 3000, &ct.rng);
	ct_set_thin(evictor.pool, &evictor.set, 2000, &ct.rng);
	ct_trim(evictor.pool);
	full = zpool_get_total_size(evictor.pool);
	while (evictor.set.count > 0) {
		unsigned int reclaimed = 0, asked = evictor.asked;
		int err = zpool_shrink(evictor.pool, 3, &reclaimed);

		/* The last objects may be on fewer pages than that. */
		CT_CHECK(err == 0 || (err == -EINVAL && evictor.set.count == 0),
			 "zpool_shrink() returned %d with %zu objects live: %s", err, evictor.set.count,
			 zpool_last_error());
		CT_CHECK(evictor.asked > asked, "pages reclaimed: got %u, but the callback was not called", reclaimed);
		sum += reclaimed;
		/*
		 * At least two objects fit on a small page; a driver that counts a page for each object counts some
		 * twice.
		 */
		CT_CHECK(sum <= full / 4096,
			 "the pool held %llu bytes, but zpool_shrink() has reported %llu reclaimed pages so far",
			 (unsigned long long)full, (unsigned long long)sum);
	}
	ct_evictor_close(&evictor);
}

static void refused_evictions_return_eagain(void)
{
	struct ct_evictor evictor;
	unsigned int reclaimed = 99;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_refuse, 1000);
	ct_set_fill(evictor.pool, &evictor.set, 1000, &ct.rng);
	for (unsigned int pages = 1; pages < 100; pages += 7) {
		CT_REFUSED(zpool_shrink(evictor.pool, pages, &reclaimed), EAGAIN);
		CT_CHECK(reclaimed == 0, "pages reclaimed while every callback refused: expected 0, got %u", reclaimed);
	}
	CT_CHECK(evictor.asked > 0, "zpool_shrink() returned -EAGAIN without calling the callback");
	ct_set_check(evictor.pool, &evictor.set, "after evictions that were all refused");
	/* An object whose eviction was refused must be offered to the callback again. */
	evictor.decide = ct_evict_save;
	CT_REFUSED(zpool_shrink(evictor.pool, UINT32_MAX, &reclaimed), EINVAL);
	CT_CHECK(evictor.set.count == 0, "%zu objects whose eviction was refused once are never evicted",
		 evictor.set.count);
	ct_evictor_close(&evictor);
}

static void partly_refused_pages_are_not_counted(void)
{
	struct ct_evictor evictor;

	ct_need(ZPOOL_CAP_EVICT);
	ct_evictor_open(&evictor, ct_evict_sometimes, 3000);
	for (int round = 0; round < 200; round++) {
		unsigned int reclaimed = 99;
		int result;

		ct_set_fill(evictor.pool, &evictor.set, 1500, &ct.rng);
		result = zpool_shrink(evictor.pool, 1 + (unsigned int)ct_rng_below(&ct.rng, 40), &reclaimed);
		CT_CHECK(result == 0 || result == -EAGAIN || (result == -EINVAL && evictor.set.count == 0),
			 "zpool_shrink() with a callback that refuses some objects returned %s", ct_error_name(result));
		CT_CHECK(reclaimed < 100 + 40, "pages reclaimed: expected fewer than 140, got %u", reclaimed);
		if (round % 20 == 0)
			ct_set_check(evictor.pool, &evictor.set, "after evictions of which some were refused");
	}
	ct_set_check(evictor.pool, &evictor.set, "after evictions of which some were refused");
	ct_evictor_close(&evictor);
}

const struct ct_case ct_cases_shrink[] = {
	{ "shrink_without_callback_or_pages_is_refused",
	  "zpool_shrink() without a callback or with 0 pages returns -EINVAL; it sets *reclaimed, which may be NULL.",
	  shrink_without_callback_or_pages_is_refused, 0 },
	{ "shrink_of_zero_pages_is_refused",
	  "zpool_shrink() of 0 pages, or with a driver that cannot evict, returns -EINVAL.",
	  shrink_of_zero_pages_is_refused, 0 },
	{ "shrink_reports_the_reclaimed_pages",
	  "zpool_shrink() returns 0 when all pages asked for were reclaimed, and reports how many.",
	  shrink_reports_the_reclaimed_pages, 0 },
	{ "shrink_evicts_the_oldest_first", "Objects are evicted in order of age, oldest first.",
	  shrink_evicts_the_oldest_first, 0 },
	{ "shrink_with_nothing_left_returns_einval", "When nothing is left to evict, zpool_shrink() returns -EINVAL.",
	  shrink_with_nothing_left_returns_einval, 0 },
	{ "reclaimed_pages_are_counted_once", "zpool_shrink() reports no more reclaimed pages than the pool had.",
	  reclaimed_pages_are_counted_once, 0 },
	{ "refused_evictions_return_eagain",
	  "If callbacks refuse every object, zpool_shrink() returns -EAGAIN and no object is lost.",
	  refused_evictions_return_eagain, 0 },
	{ "partly_refused_pages_are_not_counted",
	  "An object whose eviction was refused stays, and its page is not counted as reclaimed.",
	  partly_refused_pages_are_not_counted, 0 },
	{ NULL, NULL, NULL, 0 },
};
