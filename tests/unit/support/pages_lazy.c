/* SPDX-License-Identifier: MIT
 *
 * Runs whose pages get memory one by one, page tables of idle parts, and the allocator under several threads and fork.
 */
#include <config.h>

#include "pages.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>

#include "strict_source.h"
#include "unit.h"

static struct strict_source source;
static struct zp_pages pages;

static void check_books(void)
{
	const char *fault = zp_pages_verify(&pages);

	ck_assert_msg(!fault, "%s", fault);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), atomic_load(&source.committed_bytes));
	ck_assert_uint_eq(atomic_load(&source.faults), 0);
}

static uint32_t take_lazy(unsigned int npages, unsigned int ncommit)
{
	uint32_t pgno = ZP_PGNO_NONE;

	unit_require(zp_pages_get_lazy(&pages, npages, ncommit, 0, &pgno) == 0);
	return pgno;
}

static void setup(void)
{
	strict_source_init(&source);
	ck_assert_int_eq(zp_pages_init(&pages, &source.table, -1, 0), 0);
	/* This makes the first chunk, so that its records do not change the bytes held later. */
	zp_pages_put(&pages, take_lazy(1, 0), 1);
}

static void teardown(void)
{
	zp_pages_fini(&pages);
	ck_assert(strict_source_fini(&source));
}

static unsigned int committed_in(uint32_t pgno, unsigned int npages)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < npages; i++)
		count += zp_pages_is_committed(&pages, pgno + i);
	return count;
}

START_TEST(lazy_run_holds_only_what_is_committed)
{
	uint64_t held = zp_pages_held_bytes(&pages);
	uint32_t pgno = take_lazy(64, 2);

	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 2 * ZP_PAGE_BYTES);
	ck_assert_uint_eq(zp_pages_handed_out(&pages), 2);
	ck_assert_uint_eq(committed_in(pgno, 64), 2);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno + 1, 4, 0), 0);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held + 5 * ZP_PAGE_BYTES);
	for (size_t i = 2 * ZP_PAGE_BYTES; i < 5 * ZP_PAGE_BYTES; i += 256)
		ck_assert_int_eq(((char *)zp_pages_address(&pages, pgno))[i], 0);
	memset(zp_pages_address(&pages, pgno), 1, 5 * ZP_PAGE_BYTES);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 5, ZPOOL_GFP_NOWAIT), 0);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 6, ZPOOL_GFP_NOWAIT), -ENOMEM);
	check_books();
	zp_pages_put(&pages, pgno, 64);
	ck_assert_uint_eq(pages.reserve_pages, 5);
	ck_assert_uint_eq(zp_pages_handed_out(&pages), 0);
	check_books();
}
END_TEST

START_TEST(pages_inside_a_run_can_be_decommitted_and_read_as_zero_later)
{
	uint32_t pgno;
	uint64_t held;

	ck_assert_int_eq(zp_pages_get(&pages, 32, 0, &pgno), 0);
	memset(zp_pages_address(&pages, pgno), 0x77, 32 * ZP_PAGE_BYTES);
	held = zp_pages_held_bytes(&pages);
	ck_assert_int_eq(zp_pages_decommit(&pages, pgno + 3, 4), 0);
	ck_assert_int_eq(zp_pages_decommit(&pages, pgno + 5, 9), 0);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held - 11 * ZP_PAGE_BYTES);
	check_books();
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 8, 0), 0);
	for (unsigned int i = 0; i < 8; i++)
		ck_assert_int_eq(*((char *)zp_pages_address(&pages, pgno + i)), i < 3 ? 0x77 : 0);
	check_books();
	atomic_store(&source.refuse_decommit, true);
	held = zp_pages_held_bytes(&pages);
	ck_assert_int_eq(zp_pages_decommit(&pages, pgno, 32), -EAGAIN);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	atomic_store(&source.refuse_decommit, false);
	check_books();
}
END_TEST

START_TEST(commit_within_a_run_obeys_the_limit_and_failing_sources)
{
	uint32_t pgno = take_lazy(16, 0);
	uint64_t held = zp_pages_held_bytes(&pages);

	zp_pages_set_limit(&pages, held + 3 * ZP_PAGE_BYTES);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 4, 0), -ENOMEM);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno + 2, 1, 0), 0);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno + 6, 1, 0), 0);
	zp_pages_set_limit(&pages, 0);
	/*
	 * Three pieces of the run have no memory, and the source commits only one: that one stays and is accounted for.
	 */
	atomic_store(&source.commits_left, 1);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 10, 0), -ENOMEM);
	ck_assert_uint_eq(committed_in(pgno, 16), 4);
	check_books();
	atomic_store(&source.commits_left, -1);
	ck_assert_int_eq(zp_pages_commit(&pages, pgno, 16, 0), 0);
	check_books();
}
END_TEST

START_TEST(lazy_run_uses_reserved_pages_first)
{
	uint32_t pgno = take_lazy(40, 8), again;
	unsigned int commits;

	zp_pages_put(&pages, pgno, 40);
	ck_assert_uint_eq(pages.reserve_pages, 8);
	commits = atomic_load(&source.commits);
	again = take_lazy(20, 1);
	ck_assert_uint_eq(atomic_load(&source.commits), commits);
	ck_assert_uint_eq(committed_in(again, 20), 1);
	ck_assert_uint_eq(pages.reserve_pages, 7);
	check_books();
	/* If the run can only be placed on committed pages, the memory behind its unused part is released. */
	zp_pages_put(&pages, take_lazy(1024, 0), 1024);
	ck_assert_int_eq(zp_pages_get(&pages, 1024, 0, &pgno), 0);
	zp_pages_set_reserve(&pages, 8 << 20);
	zp_pages_put(&pages, pgno, 1024);
	again = take_lazy(1024, 1);
	ck_assert_uint_eq(committed_in(again, 1024), 1);
	check_books();
}
END_TEST

START_TEST(lazy_run_with_nowait_does_not_call_the_source)
{
	uint32_t pgno;
	unsigned int calls;

	ck_assert_int_eq(zp_pages_get(&pages, 10, 0, &pgno), 0);
	zp_pages_put(&pages, pgno, 10);
	calls = atomic_load(&source.commits) + atomic_load(&source.decommits) + atomic_load(&source.reserves);
	ck_assert_int_eq(zp_pages_get_lazy(&pages, 200, 2, ZPOOL_GFP_NOWAIT, &pgno), 0);
	ck_assert_uint_eq(committed_in(pgno, 2), 2);
	ck_assert_int_eq(zp_pages_get_lazy(&pages, 20, 20, ZPOOL_GFP_NOWAIT, &pgno), -ENOMEM);
	ck_assert_uint_eq(atomic_load(&source.commits) + atomic_load(&source.decommits) + atomic_load(&source.reserves),
			  calls);
	check_books();
}
END_TEST

START_TEST(counts_are_right_after_random_lazy_runs)
{
	struct unit_random random = unit_seed("counts_are_right_after_random_lazy_runs");
	enum { RUNS = 120, STEPS = 12000 };
	static struct {
		uint32_t pgno;
		unsigned int npages;
	} run[RUNS];

	memset(run, 0, sizeof(run));
	for (int step = 0; step < STEPS; step++) {
		int i = (int)unit_below(&random, RUNS);
		unsigned int npages = run[i].npages, first = npages ? unit_below(&random, npages) : 0;
		unsigned int count = npages ? 1 + unit_below(&random, npages - first) : 0;

		if (npages == 0) {
			run[i].npages = 1 + unit_below(&random, 64);
			run[i].pgno = take_lazy(run[i].npages, unit_below(&random, run[i].npages + 1));
		} else if (unit_below(&random, 3) == 0) {
			zp_pages_put(&pages, run[i].pgno, npages);
			run[i].npages = 0;
		} else if (unit_below(&random, 2) == 0) {
			ck_assert_int_eq(zp_pages_commit(&pages, run[i].pgno + first, count, 0), 0);
			ck_assert_uint_eq(committed_in(run[i].pgno + first, count), count);
			memset(zp_pages_address(&pages, run[i].pgno + first), i, count * ZP_PAGE_BYTES);
		} else {
			ck_assert_int_eq(zp_pages_decommit(&pages, run[i].pgno + first, count), 0);
			ck_assert_uint_eq(committed_in(run[i].pgno + first, count), 0);
		}
		if (step % 500 == 0)
			check_books();
	}
	check_books();
}
END_TEST

enum { THREADS = 4, THREAD_STEPS = 4000, THREAD_RUNS = 40 };

struct worker {
	pthread_t thread;
	struct unit_random random;
	int failures;
};

static bool run_is(uint32_t pgno, unsigned int npages, unsigned int mark)
{
	for (unsigned int i = 0; i < npages; i++)
		if (*(unsigned int *)zp_pages_address(&pages, pgno + i) != mark)
			return false;
	return true;
}

static void *churn(void *arg)
{
	struct worker *worker = arg;
	struct {
		uint32_t pgno;
		unsigned int npages;
	} run[THREAD_RUNS] = { { 0, 0 } };

	for (int step = 0; step < THREAD_STEPS; step++) {
		unsigned int i = unit_below(&worker->random, THREAD_RUNS), mark = (unsigned int)(uintptr_t)worker + i;

		if (run[i].npages) {
			worker->failures += !run_is(run[i].pgno, run[i].npages, mark);
			zp_pages_put(&pages, run[i].pgno, run[i].npages);
			run[i].npages = 0;
			continue;
		}
		run[i].npages = 1 + unit_below(&worker->random, 30);
		if (zp_pages_get(&pages, run[i].npages, step % 5 ? 0 : ZPOOL_GFP_NOWAIT, &run[i].pgno))
			run[i].npages = 0;
		for (unsigned int page = 0; page < run[i].npages; page++)
			*(unsigned int *)zp_pages_address(&pages, run[i].pgno + page) = mark;
		if (step % 400 == 0)
			zp_pages_trim(&pages, &(uint64_t){ 0 });
	}
	for (int i = 0; i < THREAD_RUNS; i++)
		if (run[i].npages)
			zp_pages_put(&pages, run[i].pgno, run[i].npages);
	return NULL;
}

static void churn_in_threads(void)
{
	struct unit_random random = unit_seed("threads_never_share_a_page");
	struct worker workers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .random.state = unit_random(&random) | 1 };
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, churn, &workers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		ck_assert_int_eq(workers[i].failures, 0);
	}
	ck_assert_uint_eq(zp_pages_handed_out(&pages), 0);
	check_books();
}

START_TEST(threads_never_share_a_page)
{
	churn_in_threads();
}
END_TEST

START_TEST(threads_never_exceed_the_limit)
{
	uint64_t limit = zp_pages_held_bytes(&pages) + 700 * ZP_PAGE_BYTES;

	zp_pages_set_limit(&pages, limit);
	churn_in_threads();
	ck_assert_uint_le(zp_pages_peak_bytes(&pages), limit);
	ck_assert_uint_gt(zp_pages_peak_bytes(&pages), limit - 300 * ZP_PAGE_BYTES);
}
END_TEST

START_TEST(child_of_fork_can_use_the_pool)
{
	uint32_t pgno;
	pid_t child;
	int status;

	if (!unit_may_fork())
		return;
	ck_assert_int_eq(zp_pages_get(&pages, 3, 0, &pgno), 0);
	/* This stands for another thread that defers releases and does not exist in the child. */
	zp_pages_defer_release(&pages, true);
	zp_pages_fork(&pages, ZPOOL_FORK_PREPARE);
	child = fork();
	zp_pages_fork(&pages, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	if (child == 0) {
		uint32_t other;
		bool fine = zp_pages_get(&pages, 5, 0, &other) == 0;

		zp_pages_put(&pages, pgno, 3);
		_exit(fine && !zp_pages_verify(&pages) && pages.deferrals == 0 ? 0 : 1);
	}
	zp_pages_defer_release(&pages, false);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	zp_pages_put(&pages, pgno, 3);
	check_books();
}
END_TEST

/* In the child, the thread that called fork() ends what it had begun before. */
START_TEST(reserve_has_a_bound_in_the_child_of_a_thread_that_defers_release)
{
	enum { PAGES = 200, BOUND_PAGES = 64 };
	uint32_t pgno[PAGES];

	for (int i = 0; i < PAGES; i++)
		ck_assert_int_eq(zp_pages_get(&pages, 1, ZPOOL_GFP_KERNEL, &pgno[i]), 0);
	zp_pages_defer_release(&pages, true);
	zp_pages_fork(&pages, ZPOOL_FORK_PREPARE);
	zp_pages_fork(&pages, ZPOOL_FORK_CHILD);
	zp_pages_defer_release(&pages, false);
	for (int i = 0; i < PAGES; i++) {
		zp_pages_put(&pages, pgno[i], 1);
		ck_assert_uint_le(pages.reserve_pages, BOUND_PAGES);
	}
	check_books();
}
END_TEST

/* Page tables can be released only if the pages come from the system's source. */
START_TEST(trim_decommits_page_tables_of_idle_parts)
{
	static struct zp_pages own;
	uint32_t first, low, high, again;
	uint64_t released;

	ck_assert_int_eq(zp_pages_init(&own, NULL, -1, 0), 0);
	/* The first chunk is smaller than the range of one page table, so it is used up first. */
	ck_assert_int_eq(zp_pages_get(&own, ZP_FIRST_CHUNK_PAGES, ZPOOL_GFP_KERNEL, &first), 0);
	ck_assert_int_eq(zp_pages_get(&own, ZP_TABLE_PAGES, ZPOOL_GFP_KERNEL, &low), 0);
	ck_assert_int_eq(zp_pages_get(&own, 3, ZPOOL_GFP_KERNEL, &high), 0);
	const struct zp_segment *segment = &own.blocks[0][2];
	memset(zp_pages_address(&own, low), 0x77, ZP_TABLE_PAGES * ZP_PAGE_BYTES);
	memset(zp_pages_address(&own, high), 0x77, 3 * ZP_PAGE_BYTES);
	ck_assert_uint_eq(segment->tables, 3);
	zp_pages_trim(&own, &released);
	ck_assert_uint_eq(segment->tables, 3);
	zp_pages_put(&own, low, ZP_TABLE_PAGES);
	zp_pages_trim(&own, &released);
	ck_assert_uint_eq(segment->tables, 2);
	ck_assert_ptr_null(zp_pages_verify(&own));
	ck_assert_int_eq(*(char *)zp_pages_address(&own, high), 0x77);
	/* The released part can be used as before. */
	ck_assert_int_eq(zp_pages_get(&own, ZP_TABLE_PAGES, ZPOOL_GFP_KERNEL, &again), 0);
	ck_assert_uint_eq(again, low);
	ck_assert_int_eq(*(char *)zp_pages_address(&own, again), 0);
	ck_assert_uint_eq(segment->tables, 3);
	zp_pages_fini(&own);
}
END_TEST

/* A chunk that was released leaves a segment without an address between two others. */
START_TEST(trim_decommits_page_tables_beyond_a_released_chunk)
{
	static struct zp_pages own;
	uint32_t first, whole, low, high;
	uint64_t released;

	ck_assert_int_eq(zp_pages_init(&own, NULL, -1, 0), 0);
	ck_assert_int_eq(zp_pages_get(&own, ZP_FIRST_CHUNK_PAGES, ZPOOL_GFP_KERNEL, &first), 0);
	ck_assert_int_eq(zp_pages_get(&own, ZP_SEGMENT_PAGES, ZPOOL_GFP_KERNEL, &whole), 0);
	ck_assert_int_eq(zp_pages_get(&own, ZP_TABLE_PAGES, ZPOOL_GFP_KERNEL, &low), 0);
	ck_assert_int_eq(zp_pages_get(&own, ZP_TABLE_PAGES, ZPOOL_GFP_KERNEL, &high), 0);
	ck_assert_uint_eq(whole >> ZP_SEGMENT_SHIFT, 2);
	ck_assert_uint_eq(low >> ZP_SEGMENT_SHIFT, 3);
	ck_assert_uint_eq(high >> ZP_SEGMENT_SHIFT, 3);
	ck_assert_uint_eq(own.blocks[0][3].tables, 3);
	zp_pages_put(&own, whole, ZP_SEGMENT_PAGES);
	zp_pages_trim(&own, &released);
	ck_assert_ptr_null(atomic_load(&atomic_load(&own.bases)[2]));
	zp_pages_put(&own, low, ZP_TABLE_PAGES);
	zp_pages_trim(&own, &released);
	ck_assert_uint_eq(own.blocks[0][3].tables, 2);
	ck_assert_ptr_null(zp_pages_verify(&own));
	zp_pages_fini(&own);
}
END_TEST

/* A compaction with a time budget looks at its clock between these calls. */
START_TEST(trim_of_segments_looks_at_some_of_them_in_each_call)
{
	enum { SEGMENTS = 300, MOST = 64 };
	uint32_t segment = 0, before, taken[SEGMENTS];
	unsigned int calls = 1;

	for (int i = 0; i < SEGMENTS; i++)
		taken[i] = take_lazy(ZP_SEGMENT_PAGES, 0);
	for (before = 1; zp_pages_trim_segments(&pages, &segment); before = segment, calls++)
		ck_assert(segment > before && segment <= before + MOST);
	ck_assert_uint_gt(calls, SEGMENTS / MOST);
	ck_assert_uint_gt(segment, SEGMENTS);
	for (int i = 0; i < SEGMENTS; i++)
		zp_pages_put(&pages, taken[i], ZP_SEGMENT_PAGES);
	check_books();
}
END_TEST

/* The table of addresses gets memory as it grows, and a larger one replaces it when it is full. */
START_TEST(addresses_stay_the_same_while_their_table_grows)
{
	enum { SEGMENTS = 4 * ZP_BASES_FIRST };
	static uint32_t taken[SEGMENTS];
	static char *address[SEGMENTS];
	uint64_t held = zp_pages_held_bytes(&pages), released;

	for (int i = 0; i < SEGMENTS; i++) {
		taken[i] = take_lazy(ZP_SEGMENT_PAGES, 0);
		address[i] = zp_pages_address(&pages, taken[i]);
	}
	check_books();
	ck_assert_uint_gt(zp_pages_held_bytes(&pages), held);
	for (int i = 0; i < SEGMENTS; i++)
		unit_require(zp_pages_address(&pages, taken[i]) == address[i]);
	for (int i = 0; i < SEGMENTS; i++)
		zp_pages_put(&pages, taken[i], ZP_SEGMENT_PAGES);
	zp_pages_trim(&pages, &released);
	check_books();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/pages, lazy and shared");
	TCase *tables = tcase_create("page tables");
	TCase *lazy = tcase_create("lazy"), *shared = tcase_create("shared");

	tcase_add_checked_fixture(lazy, setup, teardown);
	tcase_add_checked_fixture(shared, setup, teardown);
	tcase_set_timeout(lazy, 120);
	tcase_set_timeout(shared, 300);
	tcase_add_test(lazy, lazy_run_holds_only_what_is_committed);
	tcase_add_test(lazy, pages_inside_a_run_can_be_decommitted_and_read_as_zero_later);
	tcase_add_test(lazy, commit_within_a_run_obeys_the_limit_and_failing_sources);
	tcase_add_test(lazy, lazy_run_uses_reserved_pages_first);
	tcase_add_test(lazy, lazy_run_with_nowait_does_not_call_the_source);
	tcase_add_test(lazy, counts_are_right_after_random_lazy_runs);
	tcase_add_test(shared, threads_never_share_a_page);
	tcase_add_test(shared, threads_never_exceed_the_limit);
	tcase_add_test(shared, child_of_fork_can_use_the_pool);
	tcase_add_test(shared, reserve_has_a_bound_in_the_child_of_a_thread_that_defers_release);
	tcase_add_test(lazy, trim_of_segments_looks_at_some_of_them_in_each_call);
	tcase_add_test(lazy, addresses_stay_the_same_while_their_table_grows);
	suite_add_tcase(suite, lazy);
	suite_add_tcase(suite, shared);
	suite_add_tcase(suite, tables);
	tcase_add_test(tables, trim_decommits_page_tables_of_idle_parts);
	tcase_add_test(tables, trim_decommits_page_tables_beyond_a_released_chunk);
	return suite_run(suite);
}
