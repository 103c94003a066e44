/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "pages.h"

#include <errno.h>
#include <pthread.h>

#include "strict_source.h"
#include "unit.h"

enum { MIB = 1 << 20 };

static struct strict_source source;
static struct zp_pages pages;

/* The allocator accounts for exactly those bytes that the source has committed. */
static void check_books(void)
{
	const char *fault = zp_pages_verify(&pages);

	ck_assert_msg(!fault, "%s", fault);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), atomic_load(&source.committed_bytes));
	ck_assert_uint_eq(atomic_load(&source.faults), 0);
}

static void setup(void)
{
	strict_source_init(&source);
	ck_assert_int_eq(zp_pages_init(&pages, &source.table, -1, 0), 0);
}

static void teardown(void)
{
	zp_pages_fini(&pages);
	ck_assert(strict_source_fini(&source));
}

static uint32_t take(unsigned int npages)
{
	uint32_t pgno = ZP_PGNO_NONE;

	unit_require(zp_pages_get(&pages, npages, ZPOOL_GFP_KERNEL, &pgno) == 0);
	unit_require(pgno != ZP_PGNO_NONE);
	return pgno;
}

static void fill(uint32_t pgno, unsigned int npages)
{
	unsigned char *at = zp_pages_address(&pages, pgno);

	for (size_t i = 0; i < npages * ZP_PAGE_BYTES; i += 1024)
		memset(at + i, (int)(pgno % 255 + 1), 16);
}

static void check_filled(uint32_t pgno, unsigned int npages)
{
	const unsigned char *at = zp_pages_address(&pages, pgno);

	for (size_t i = 0; i < npages * ZP_PAGE_BYTES; i += 1024)
		unit_require(at[i] == pgno % 255 + 1);
}

START_TEST(runs_of_every_length_stay_in_a_segment_and_do_not_overlap)
{
	static const unsigned int lengths[] = { 1, 2, 3, 63, 64, 65, 100, 127, 128, 500, 512, 513, 1023, 1024 };
	enum { RUNS = sizeof(lengths) / sizeof(lengths[0]) };
	uint32_t pgno[RUNS];

	for (int i = 0; i < RUNS; i++) {
		pgno[i] = take(lengths[i]);
		ck_assert_uint_eq(pgno[i] / ZP_SEGMENT_PAGES, (pgno[i] + lengths[i] - 1) / ZP_SEGMENT_PAGES);
		fill(pgno[i], lengths[i]);
	}
	check_books();
	for (int i = 0; i < RUNS; i++)
		check_filled(pgno[i], lengths[i]);
	for (int i = 0; i < RUNS; i++)
		zp_pages_put(&pages, pgno[i], lengths[i]);
	ck_assert_uint_eq(zp_pages_handed_out(&pages), 0);
	check_books();
}
END_TEST

START_TEST(impossible_lengths_are_refused)
{
	uint32_t pgno;

	ck_assert_int_eq(zp_pages_get(&pages, 0, 0, &pgno), -EINVAL);
	ck_assert_int_eq(zp_pages_get(&pages, ZP_RUN_PAGES_MAX + 1, 0, &pgno), -EINVAL);
	ck_assert_int_eq(zp_pages_get_lazy(&pages, 4, 5, 0, &pgno), -EINVAL);
	check_books();
}
END_TEST

START_TEST(page_number_and_address_convert_to_each_other)
{
	uint32_t runs[40];
	int on_stack;

	for (int i = 0; i < 40; i++) {
		runs[i] = take(200);
		ck_assert_uint_eq(zp_pages_number(&pages, (char *)zp_pages_address(&pages, runs[i]) + 5), runs[i]);
		ck_assert_uint_eq(zp_pages_number(&pages, zp_pages_address(&pages, runs[i] + 199)), runs[i] + 199);
	}
	ck_assert_uint_eq(zp_pages_number(&pages, &on_stack), ZP_PGNO_NONE);
}
END_TEST

START_TEST(counts_are_right_after_random_takes_and_puts)
{
	struct unit_random random = unit_seed("counts_are_right_after_random_takes_and_puts");
	enum { RUNS = 400, STEPS = 10000 };
	static struct {
		uint32_t pgno;
		unsigned int npages;
	} run[RUNS];

	memset(run, 0, sizeof(run));
	for (int step = 0; step < STEPS; step++) {
		int i = (int)unit_below(&random, RUNS);

		if (run[i].npages) {
			check_filled(run[i].pgno, run[i].npages);
			zp_pages_put(&pages, run[i].pgno, run[i].npages);
			run[i].npages = 0;
		} else {
			run[i].npages = 1 + unit_below(&random, unit_below(&random, 50) ? 16 : 1024);
			run[i].pgno = take(run[i].npages);
			fill(run[i].pgno, run[i].npages);
		}
		if (step % 500 == 0)
			check_books();
	}
	check_books();
}
END_TEST

START_TEST(runs_are_found_in_fragmented_segments)
{
	/* If every second page is taken, no run of two pages is free until a neighbour is freed. */
	enum { PAGES = 4 * 1024 };
	static uint32_t pgno[PAGES];
	uint32_t segments;

	for (int i = 0; i < PAGES; i++)
		pgno[i] = take(1);
	for (int i = 0; i < PAGES; i += 2)
		zp_pages_put(&pages, pgno[i], 1);
	zp_pages_trim(&pages, &(uint64_t){ 0 });
	segments = pages.segments_living;
	for (int i = 0; i < 3 * 1024; i++)
		take(2);
	ck_assert_uint_gt(pages.segments_living, segments);
	check_books();
	segments = pages.segments_living;
	for (int i = 1; i < PAGES; i += 2)
		zp_pages_put(&pages, pgno[i], 1);
	for (int i = 0; i < 64; i++)
		take(2);
	ck_assert_uint_eq(pages.segments_living, segments);
	check_books();
}
END_TEST

START_TEST(bounds_below_the_length_in_its_bucket_are_skipped)
{
	/*
	 * Free runs of 100 pages have 64 taken pages between them; a run of 110 is in the same bucket, but fits in
	 * none.
	 */
	uint32_t pgno[60];
	unsigned int pieces = 0, segments;

	for (int i = 0; i < 6; i++) {
		uint32_t segment = take(1024);

		for (unsigned int first = 0; first + 164 <= 1024; first += 164)
			pgno[pieces++] = segment + first;
		zp_pages_put(&pages, segment + 984, 40);
	}
	for (unsigned int i = 0; i < pieces; i++)
		zp_pages_put(&pages, pgno[i], 100);
	segments = pages.segments_living;
	for (unsigned int i = 0; i < pieces; i++)
		take(100);
	ck_assert_uint_eq(pages.segments_living, segments);
	for (unsigned int i = 0; i < pieces; i++)
		zp_pages_put(&pages, pgno[i], 100);
	for (unsigned int length = 101; length < 128; length += 9) {
		uint32_t elsewhere = take(length);

		for (unsigned int i = 0; i < pieces; i++)
			ck_assert_uint_ne(elsewhere / ZP_SEGMENT_PAGES, pgno[i] / ZP_SEGMENT_PAGES);
	}
	check_books();
}
END_TEST

START_TEST(single_pages_come_from_the_reserve_first)
{
	uint32_t a = take(1), b = take(1), held;
	unsigned int commits;

	take(100);
	zp_pages_put(&pages, a, 1);
	held = (uint32_t)zp_pages_held_bytes(&pages);
	commits = atomic_load(&source.commits);
	ck_assert_uint_eq(take(1), a);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	ck_assert_uint_eq(atomic_load(&source.commits), commits);
	zp_pages_put(&pages, b, 1);
	check_books();
}
END_TEST

START_TEST(reserve_stays_within_its_bound_and_is_returned_in_batches)
{
	enum { PAGES = 2000 };
	static uint32_t pgno[PAGES];

	for (int i = 0; i < PAGES; i++)
		pgno[i] = take(1);
	for (int i = 0; i < PAGES; i++) {
		zp_pages_put(&pages, pgno[i], 1);
		ck_assert_uint_le(pages.reserve_pages, 64);
	}
	check_books();
	/* Neighbouring pages were released together, and each batch had at least half of the bound. */
	ck_assert_uint_le(atomic_load(&source.decommits), PAGES / 16);
	ck_assert_uint_gt(pages.reserve_pages, 0);
}
END_TEST

START_TEST(deferred_release_decommits_long_runs)
{
	enum { PAGES = 2000 };
	static uint32_t pgno[PAGES];
	uint64_t released;

	for (int i = 0; i < PAGES; i++)
		pgno[i] = take(1);
	zp_pages_defer_release(&pages, true);
	for (int i = 0; i < PAGES; i++)
		zp_pages_put(&pages, pgno[(i * 7) % PAGES], 1);
	ck_assert_uint_eq(pages.reserve_pages, PAGES);
	ck_assert_uint_eq(atomic_load(&source.decommits), 0);
	zp_pages_defer_release(&pages, false);
	zp_pages_trim(&pages, &released);
	ck_assert_uint_eq(released, PAGES * ZP_PAGE_BYTES);
	ck_assert_uint_le(atomic_load(&source.decommits), 4);
	check_books();
}
END_TEST

START_TEST(reserve_bound_can_be_set)
{
	uint32_t pgno = take(500);

	zp_pages_set_reserve(&pages, 300 * ZP_PAGE_BYTES);
	zp_pages_put(&pages, pgno, 200);
	ck_assert_uint_eq(pages.reserve_pages, 200);
	zp_pages_put(&pages, pgno + 200, 300);
	ck_assert_uint_eq(pages.reserve_pages, 150);
	zp_pages_set_reserve(&pages, 0);
	ck_assert_uint_eq(pages.reserve_pages, 0);
	zp_pages_put(&pages, take(3), 3);
	ck_assert_uint_eq(pages.reserve_pages, 0);
	check_books();
}
END_TEST

START_TEST(limit_is_exact_and_the_reserve_is_used_before_failing)
{
	uint64_t limit;
	uint32_t pgno[10], run;

	take(1);
	limit = zp_pages_held_bytes(&pages) + 10 * ZP_PAGE_BYTES;
	zp_pages_set_limit(&pages, limit);
	for (int i = 0; i < 10; i++)
		pgno[i] = take(1);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), limit);
	ck_assert_uint_eq(zp_pages_limit_refusals(&pages), 0);
	ck_assert_int_eq(zp_pages_get(&pages, 1, ZPOOL_GFP_NOWAIT, &run), -ENOMEM);
	ck_assert_uint_eq(zp_pages_limit_refusals(&pages), 0);
	ck_assert_int_eq(zp_pages_get(&pages, 1, 0, &run), -ENOMEM);
	ck_assert_uint_eq(zp_pages_limit_refusals(&pages), 1);
	/* Five scattered pages of the reserve are no run of 5, but the limit allows a run once they are released. */
	for (int i = 0; i < 10; i += 2)
		zp_pages_put(&pages, pgno[i], 1);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), limit);
	ck_assert_int_eq(zp_pages_get(&pages, 6, 0, &run), -ENOMEM);
	ck_assert_uint_eq(pages.reserve_pages, 5);
	ck_assert_uint_eq(zp_pages_limit_refusals(&pages), 2);
	run = take(5);
	ck_assert_uint_eq(zp_pages_limit_refusals(&pages), 2);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), limit);
	ck_assert_uint_eq(zp_pages_peak_bytes(&pages), limit);
	/* A limit below what the pool holds only stops growth. */
	zp_pages_set_limit(&pages, 4096);
	ck_assert_int_eq(zp_pages_get(&pages, 1, 0, &pgno[0]), -ENOMEM);
	zp_pages_put(&pages, run, 5);
	ck_assert_int_eq(zp_pages_get(&pages, 6, 0, &pgno[0]), -ENOMEM);
	ck_assert_int_eq(zp_pages_get(&pages, 5, 0, &pgno[0]), 0);
	check_books();
}
END_TEST

/*
 * A thread that charges memory notes the peak afterwards, and may be interrupted in between.  A reader that has seen
 * the memory must still see it in the peak when it was refunded.
 */
START_TEST(peak_that_was_seen_does_not_fall)
{
	uint64_t held = zp_pages_held_bytes(&pages) + 100 * ZP_PAGE_BYTES;

	atomic_store(&pages.account.held_bytes, held);
	ck_assert_uint_eq(zp_pages_peak_bytes(&pages), held);
	zp_account_refund(&pages.account, 100 * ZP_PAGE_BYTES);
	ck_assert_uint_eq(zp_pages_peak_bytes(&pages), held);
	check_books();
}
END_TEST

START_TEST(limit_below_an_empty_allocator_fails_init)
{
	struct strict_source other;
	struct zp_pages small;

	strict_source_init(&other);
	ck_assert_int_eq(zp_pages_init(&small, &other.table, -1, 100), -ENOMEM);
	ck_assert(strict_source_fini(&other));
}
END_TEST

START_TEST(charges_are_counted_and_use_the_reserve)
{
	uint64_t held = zp_pages_held_bytes(&pages);

	ck_assert_int_eq(zp_pages_charge(&pages, 1000, 0), 0);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 1000);
	zp_pages_refund(&pages, 1000);
	zp_pages_put(&pages, take(8), 8);
	zp_pages_set_limit(&pages, zp_pages_held_bytes(&pages) + 100);
	ck_assert_int_eq(zp_pages_charge(&pages, 200, ZPOOL_GFP_NOWAIT), -ENOMEM);
	ck_assert_uint_eq(pages.reserve_pages, 8);
	ck_assert_int_eq(zp_pages_charge(&pages, 200, 0), 0);
	ck_assert_uint_eq(pages.reserve_pages, 7);
	ck_assert_int_eq(zp_pages_charge(&pages, 8 * ZP_PAGE_BYTES, 0), -ENOMEM);
	zp_pages_refund(&pages, 200);
	check_books();
}
END_TEST

START_TEST(nowait_uses_only_the_reserve)
{
	uint32_t pgno;
	unsigned int calls;

	ck_assert_int_eq(zp_pages_get(&pages, 1, ZPOOL_GFP_NOWAIT, &pgno), -ENOMEM);
	zp_pages_put(&pages, take(10), 10);
	calls = atomic_load(&source.commits) + atomic_load(&source.decommits) + atomic_load(&source.reserves);
	ck_assert_int_eq(zp_pages_get(&pages, 4, ZPOOL_GFP_NOWAIT, &pgno), 0);
	ck_assert_int_eq(zp_pages_get(&pages, 7, ZPOOL_GFP_NOWAIT, &pgno), -ENOMEM);
	ck_assert_int_eq(zp_pages_get(&pages, 6, ZPOOL_GFP_NOWAIT, &pgno), 0);
	ck_assert_int_eq(zp_pages_get(&pages, 1, ZPOOL_GFP_NOWAIT, &pgno), -ENOMEM);
	ck_assert_uint_eq(atomic_load(&source.commits) + atomic_load(&source.decommits) + atomic_load(&source.reserves),
			  calls);
	zp_lock(&pages.lock);
	ck_assert_int_eq(zp_pages_get(&pages, 1, ZPOOL_GFP_NOWAIT, &pgno), -EAGAIN);
	zp_unlock(&pages.lock);
	check_books();
}
END_TEST

START_TEST(trim_releases_the_reserve_and_vacant_chunks)
{
	enum { RUNS = 60 };
	uint32_t pgno[RUNS];
	uint64_t held_empty, reserved, released;

	zp_pages_put(&pages, take(1), 1);
	zp_pages_trim(&pages, &released);
	ck_assert_uint_eq(released, ZP_PAGE_BYTES);
	held_empty = zp_pages_held_bytes(&pages);
	reserved = atomic_load(&source.reserved_bytes);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < RUNS; i++)
			pgno[i] = take(1000);
		ck_assert_uint_ge(atomic_load(&source.reserved_bytes), RUNS * 4ull * MIB);
		for (int i = 0; i < RUNS; i++)
			zp_pages_put(&pages, pgno[i], 1000);
		zp_pages_trim(&pages, &released);
		ck_assert_uint_gt(released, 0);
		check_books();
		/* Only the records of segments remain, and the next round uses them again. */
		ck_assert_uint_le(zp_pages_held_bytes(&pages), held_empty + 16 * ZP_PAGE_BYTES);
		ck_assert_uint_le(atomic_load(&source.reserved_bytes), reserved + 16 * ZP_PAGE_BYTES);
	}
	ck_assert_uint_le(pages.segments, 1 + 127);
}
END_TEST

START_TEST(chunks_shrink_where_large_reservations_fail)
{
	atomic_store(&source.reserve_bytes_max, 9 * MIB);
	for (int i = 0; i < 40; i++)
		take(1024);
	check_books();
	atomic_store(&source.reserve_bytes_max, 0);
	for (int i = 0; i < 3; i++) {
		uint32_t pgno;

		if (zp_pages_get(&pages, 1024, 0, &pgno) == -ENOMEM)
			break;
		ck_assert_int_lt(i, 2);
	}
	check_books();
	atomic_store(&source.reserve_bytes_max, SIZE_MAX);
	take(1024);
	check_books();
}
END_TEST

START_TEST(commit_that_fails_changes_nothing)
{
	uint64_t held;
	uint32_t pgno, scattered[8];

	for (int i = 0; i < 8; i++)
		scattered[i] = take(1);
	held = zp_pages_held_bytes(&pages);
	atomic_store(&source.commits_left, 0);
	ck_assert_int_eq(zp_pages_get(&pages, 5, 0, &pgno), -ENOMEM);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	ck_assert_uint_eq(zp_pages_handed_out(&pages), 8);
	check_books();
	atomic_store(&source.commits_left, -1);
	for (int i = 0; i < 8; i++)
		zp_pages_put(&pages, scattered[i], 1);
	take(5);
	check_books();
}
END_TEST

START_TEST(failed_decommit_keeps_the_pages_and_is_tried_again)
{
	/* The run is in the first chunk, which a trim does not release. */
	enum { RUN = ZP_FIRST_CHUNK_PAGES - 1 };
	uint32_t pgno = take(RUN);
	uint64_t held = zp_pages_held_bytes(&pages), released;
	unsigned int asked;

	atomic_store(&source.refuse_decommit, true);
	for (unsigned int i = 0; i < RUN; i++)
		zp_pages_put(&pages, pgno + i, 1);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	ck_assert_uint_eq(pages.reserve_pages, RUN);
	/* The allocator does not ask the source again at every put. */
	asked = atomic_load(&source.decommits);
	ck_assert_uint_gt(asked, 0);
	ck_assert_uint_lt(asked, 10);
	check_books();
	zp_pages_trim(&pages, &released);
	ck_assert_uint_eq(released, 0);
	atomic_store(&source.refuse_decommit, false);
	zp_pages_trim(&pages, &released);
	ck_assert_uint_eq(released, RUN * ZP_PAGE_BYTES);
	check_books();
}
END_TEST

START_TEST(metadata_is_held_as_it_is_committed)
{
	uint64_t held = zp_pages_held_bytes(&pages);
	char *meta = zp_pages_meta_reserve(&pages, 64 * MIB);

	ck_assert_ptr_nonnull(meta);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	ck_assert_int_eq(zp_pages_meta_commit(&pages, meta + MIB, 8192, ZPOOL_GFP_NOWAIT), -ENOMEM);
	ck_assert_int_eq(zp_pages_meta_commit(&pages, meta + MIB, 8192, 0), 0);
	meta[MIB + 8191] = 1;
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 8192);
	check_books();
	ck_assert_int_eq(zp_pages_meta_decommit(&pages, meta + MIB, 4096), 0);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 4096);
	zp_pages_set_limit(&pages, held + 4096 + 4095);
	ck_assert_int_eq(zp_pages_meta_commit(&pages, meta, 4096, 0), -ENOMEM);
	atomic_store(&source.refuse_decommit, true);
	ck_assert_int_eq(zp_pages_meta_decommit(&pages, meta + MIB + 4096, 4096), -EAGAIN);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 4096);
	atomic_store(&source.refuse_decommit, false);
	zp_pages_meta_release(&pages, meta, 64 * MIB, 4096);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	check_books();
}
END_TEST

START_TEST(source_with_a_hole_is_refused)
{
	struct zpool_page_source broken = source.table;
	struct zp_pages none;

	broken.decommit = NULL;
	ck_assert_int_eq(zp_pages_init(&none, &broken, -1, 0), -EINVAL);
	broken = source.table;
	broken.struct_size = 8;
	ck_assert_int_eq(zp_pages_init(&none, &broken, -1, 0), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/pages");
	TCase *runs = tcase_create("runs"), *bounds = tcase_create("bounds"), *sources = tcase_create("source");

	tcase_add_checked_fixture(runs, setup, teardown);
	tcase_add_checked_fixture(bounds, setup, teardown);
	tcase_add_checked_fixture(sources, setup, teardown);
	tcase_set_timeout(runs, 120);
	tcase_set_timeout(bounds, 120);
	tcase_set_timeout(sources, 120);
	tcase_add_test(runs, runs_of_every_length_stay_in_a_segment_and_do_not_overlap);
	tcase_add_test(runs, impossible_lengths_are_refused);
	tcase_add_test(runs, page_number_and_address_convert_to_each_other);
	tcase_add_test(runs, counts_are_right_after_random_takes_and_puts);
	tcase_add_test(runs, runs_are_found_in_fragmented_segments);
	tcase_add_test(runs, bounds_below_the_length_in_its_bucket_are_skipped);
	tcase_add_test(runs, single_pages_come_from_the_reserve_first);
	tcase_add_test(bounds, reserve_stays_within_its_bound_and_is_returned_in_batches);
	tcase_add_test(bounds, deferred_release_decommits_long_runs);
	tcase_add_test(bounds, reserve_bound_can_be_set);
	tcase_add_test(bounds, peak_that_was_seen_does_not_fall);
	tcase_add_test(bounds, limit_is_exact_and_the_reserve_is_used_before_failing);
	tcase_add_test(bounds, limit_below_an_empty_allocator_fails_init);
	tcase_add_test(bounds, charges_are_counted_and_use_the_reserve);
	tcase_add_test(bounds, nowait_uses_only_the_reserve);
	tcase_add_test(sources, trim_releases_the_reserve_and_vacant_chunks);
	tcase_add_test(sources, chunks_shrink_where_large_reservations_fail);
	tcase_add_test(sources, commit_that_fails_changes_nothing);
	tcase_add_test(sources, failed_decommit_keeps_the_pages_and_is_tried_again);
	tcase_add_test(sources, metadata_is_held_as_it_is_committed);
	tcase_add_test(sources, source_with_a_hole_is_refused);
	suite_add_tcase(suite, runs);
	suite_add_tcase(suite, bounds);
	suite_add_tcase(suite, sources);
	return suite_run(suite);
}
