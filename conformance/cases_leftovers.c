/* SPDX-License-Identifier: MIT
 *
 * cases_leftovers.c - what the process has left over when pools and objects are gone: memory, address space, files
 *
 * Each case compares the process before and after repeating the same work many times, with the same sizes in the same
 * order, so that the C library caches the same amount of freed memory both times.
 */
#include "cases.h"
#include "leftovers.h"
#include "objects.h"
#include "source.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POOLS = 200, WARM_UP = 30, OBJECTS = 60, TRIES = 3 };

/* A leak grows with every round, but the C library's cache of freed memory does not. */
static void repeat(void (*work)(void), unsigned int times_each, const char *what)
{
	for (int i = 0; i < WARM_UP; i++)
		work();
	for (int tries = 1; tries <= TRIES; tries++) {
		struct ct_leftovers before;

		ct_leftovers_look(&before);
		for (int i = 0; i < POOLS; i++)
			work();
		if (ct_leftovers_compare(&before, POOLS * times_each, what, tries == TRIES))
			return;
	}
}

static void need_a_plain_process(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind has memory and files of its own, and detects leaks itself");
}

static size_t size_of(size_t i)
{
	return 1 + i * 997 % ct.max_bytes;
}

/* Creates a pool and destroys it with live objects, one of them mapped. */
static void live_and_end(void)
{
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	unsigned long handles[OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++)
		CT_MUST(zpool_malloc(pool, size_of(i), i % 2 ? ZPOOL_GFP_ZERO : ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < OBJECTS; i += 3)
		zpool_free(pool, handles[i]);
	zpool_shrink(pool, 1, NULL);
	zpool_compact(pool, 0, 0, NULL);
	ct_trim(pool);
	zpool_map_handle(pool, handles[1], ZPOOL_MM_RO);
	zpool_destroy_pool(pool);
}

/* Creates a pool with every argument set, and calls every function on it. */
static void live_with_all_arguments(void)
{
	static struct ct_source source;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool_stats stats;
	struct zpool *pool;
	unsigned long handles[OBJECTS];

	ct_source_init(&source);
	args.node = 0;
	args.name = "a pool whose name is given by the caller and is as long as many file names are";
	args.evict = ct_evict_nothing;
	args.page_source = &source.table;
	pool = zpool_open(ct.spec, &args, sizeof(args));
	CT_CHECK(pool != NULL, "a pool with a node, a name, an evict callback and a page source cannot be created: %s",
		 zpool_last_error());
	for (size_t i = 0; i < OBJECTS; i++)
		CT_MUST(zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < OBJECTS; i += 3) {
		zpool_free(pool, handles[i]);
		zpool_free(pool, handles[i]);
	}
	zpool_set_limit(pool, zpool_get_total_size(pool));
	zpool_set_limit(pool, 0);
	zpool_get_stats(pool, &stats, sizeof(stats));
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0,
		 "zpool_destroy_pool() left %zu bytes of its page source reserved", ct_source_reserved_bytes(&source));
}

static void pools_with_all_arguments_leak_nothing(void)
{
	need_a_plain_process();
	repeat(live_with_all_arguments, 1, "pools that were created with a name, a node and a page source");
}

static void destroyed_pools_leak_nothing(void)
{
	need_a_plain_process();
	repeat(live_and_end, 1, "pools that were destroyed");
}

/* Makes creates fail: one at its first step, and others later, because of the limit or a lack of pages. */
static void fail_to_make(void)
{
	static struct ct_source source;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	const char *const limits[] = { "limit=1", "limit=4096", "limit=8192" };
	struct zpool *pool;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		zpool_destroy_pool(zpool_create_pool(ct_spec_with(limits[i]), ZPOOL_GFP_KERNEL, NULL));
	ct_source_init(&source);
	args.page_source = &source.table;
	for (int i = 0; i < 2; i++) {
		atomic_store(i ? &source.refuse_commit : &source.refuse_reserve, true);
		pool = zpool_open(ct.spec, &args, sizeof(args));
		atomic_store(i ? &source.refuse_commit : &source.refuse_reserve, false);
		zpool_destroy_pool(pool);
		CT_CHECK(ct_source_reserved_bytes(&source) == 0, "a pool %s left %zu bytes of its page source reserved",
			 pool ? "that was created without memory and destroyed" : "that could not be created",
			 ct_source_reserved_bytes(&source));
	}
}

static void failed_creations_leak_nothing(void)
{
	need_a_plain_process();
	repeat(fail_to_make, 1, "times five pools that could not be created");
}

/* ---- pools that end in the middle of something ---- */

static void fill_pool(struct zpool *pool, unsigned long *handles)
{
	for (size_t i = 0; i < OBJECTS; i++)
		CT_MUST(zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handles[i]));
}

/* All objects are live and most are mapped, some of them several times. */
static void end_mapped(void)
{
	struct zpool *pool = ct_pool();
	unsigned long handles[OBJECTS];

	fill_pool(pool, handles);
	for (size_t i = 0; i < OBJECTS; i++)
		for (size_t times = 0; times < i % 4; times++)
			zpool_map_handle(pool, handles[i], ZPOOL_MM_RW);
	zpool_destroy_pool(pool);
}

/* The callback frees every third object. */
static int evict_some(struct zpool *pool, unsigned long handle, void *user)
{
	unsigned int *asked = user;

	if (++*asked % 3)
		return -EBUSY;
	zpool_free(pool, handle);
	return 0;
}

static void end_half_evicted(void)
{
	unsigned int asked = 0;
	struct zpool *pool = ct_pool_evicting(evict_some, &asked);
	unsigned long handles[OBJECTS];

	fill_pool(pool, handles);
	for (unsigned int pages = 1; pages < 6; pages++)
		(void)zpool_shrink(pool, pages, NULL);
	zpool_destroy_pool(pool);
}

/* Mallocs that fail: at the limit, for lack of pages, with NOWAIT, and because of their size. */
static void end_after_failures(void)
{
	static struct ct_source source;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool *pool = ct_pool();
	unsigned long handle;
	int stored = 0;

	CT_MUST(zpool_set_limit(pool, zpool_get_total_size(pool) + 65536));
	while (stored < 4 * OBJECTS && zpool_malloc(pool, size_of((size_t)stored), ZPOOL_GFP_KERNEL, &handle) == 0)
		stored++;
	for (size_t i = 0; i < OBJECTS; i++) {
		(void)zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handle);
		(void)zpool_malloc(pool, size_of(i), ZPOOL_GFP_NOWAIT, &handle);
		(void)zpool_malloc(pool, ct.max_bytes + 1, ZPOOL_GFP_KERNEL, &handle);
	}
	zpool_destroy_pool(pool);

	ct_source_init(&source);
	args.page_source = &source.table;
	pool = zpool_open(ct.spec, &args, sizeof(args));
	CT_CHECK(pool != NULL, "a pool with a page source cannot be created: %s", zpool_last_error());
	CT_MUST(zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, &handle));
	atomic_store(&source.refuse_commit, true);
	for (stored = 0; stored < OBJECTS; stored++)
		(void)zpool_malloc(pool, size_of((size_t)stored), ZPOOL_GFP_KERNEL, &handle);
	zpool_destroy_pool(pool);
	CT_CHECK(ct_source_reserved_bytes(&source) == 0,
		 "zpool_destroy_pool() left %zu bytes of its page source reserved", ct_source_reserved_bytes(&source));
}

/* Threads that use the pool and end before it is destroyed, and others that end afterwards. */
static pthread_barrier_t pool_used, pool_ended;

static void *use_and_end(void *pool)
{
	unsigned long handle;

	for (size_t i = 0; i < OBJECTS; i++) {
		CT_MUST(zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handle));
		if (i % 3)
			zpool_free(pool, handle);
	}
	return NULL;
}

static void *use_and_outlive(void *pool)
{
	use_and_end(pool);
	pthread_barrier_wait(&pool_used);
	pthread_barrier_wait(&pool_ended);
	return NULL;
}

static void end_used_by_threads(void)
{
	struct zpool *pool = ct_pool();
	pthread_t thread, outliving;

	pthread_barrier_init(&pool_used, NULL, 2);
	pthread_barrier_init(&pool_ended, NULL, 2);
	CT_CHECK(pthread_create(&thread, NULL, use_and_end, pool) == 0, "the test suite cannot start a thread");
	CT_CHECK(pthread_join(thread, NULL) == 0, "the test suite cannot join a thread");
	CT_CHECK(pthread_create(&outliving, NULL, use_and_outlive, pool) == 0, "the test suite cannot start a thread");
	pthread_barrier_wait(&pool_used);
	zpool_destroy_pool(pool);
	pthread_barrier_wait(&pool_ended);
	CT_CHECK(pthread_join(outliving, NULL) == 0, "the test suite cannot join a thread");
	pthread_barrier_destroy(&pool_used);
	pthread_barrier_destroy(&pool_ended);
}

static void pools_destroyed_while_mapped_leak_nothing(void)
{
	need_a_plain_process();
	repeat(end_mapped, 1, "pools that were destroyed with mapped objects");
}

static void pools_destroyed_half_evicted_leak_nothing(void)
{
	ct_need(ZPOOL_CAP_EVICT);
	need_a_plain_process();
	repeat(end_half_evicted, 1, "pools that were destroyed after evictions of which some were refused");
}

static void pools_destroyed_after_failures_leak_nothing(void)
{
	need_a_plain_process();
	repeat(end_after_failures, 2, "pools that were destroyed after mallocs that failed");
}

static void pools_destroyed_after_threads_leak_nothing(void)
{
	need_a_plain_process();
#ifdef __GLIBC__
	/* Memory that a thread allocates from its own malloc() arena would not be counted. */
	mallopt(M_ARENA_MAX, 1);
#endif
	repeat(end_used_by_threads, 1, "pools that were destroyed before the threads that had used them ended");
}

static struct zpool *lasting_pool;

static void store_and_free(void)
{
	struct zpool *pool = lasting_pool;
	unsigned long handles[OBJECTS];

	for (size_t i = 0; i < OBJECTS; i++)
		CT_MUST(zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < OBJECTS; i++)
		zpool_free(pool, handles[i]);
}

/* If the pool keeps anything for freed objects, such as a table entry, it grows with every round. */
static void expect_no_growth_of_the_pool(void)
{
	for (int tries = 1; tries <= TRIES; tries++) {
		uint64_t before, after;

		ct_trim(lasting_pool);
		before = zpool_get_total_size(lasting_pool);
		for (int i = 0; i < POOLS; i++)
			store_and_free();
		ct_trim(lasting_pool);
		after = zpool_get_total_size(lasting_pool);
		if (after <= before + 8192)
			return;
		CT_CHECK(
			tries < TRIES,
			"storing and freeing %d objects made the pool grow from %llu to %llu bytes, as in every earlier round",
			POOLS * OBJECTS, (unsigned long long)before, (unsigned long long)after);
	}
}

static int visit_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool;
	(void)handle;
	(void)size;
	(void)user;
	return 0;
}

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats;
	(void)stats_size;
	(void)user;
	return 0;
}

/* Makes every call that should allocate nothing permanently, some of them refused, on a pool whose objects stay. */
static unsigned long lasting_handles[OBJECTS];

static void call_everything(void)
{
	struct zpool *pool = lasting_pool;
	struct zpool_stats stats;
	char byte;

	for (size_t i = 0; i < OBJECTS; i += 20) {
		(void)zpool_obj_read(pool, lasting_handles[i], &byte, 1, 0);
		(void)zpool_obj_write(pool, lasting_handles[i], "x", 1, 0);
		(void)zpool_obj_size(pool, lasting_handles[i]);
		if (zpool_map_handle(pool, lasting_handles[i], ZPOOL_MM_RW)) {
			zpool_free(pool, lasting_handles[i]);
			zpool_unmap_handle(pool, lasting_handles[i]);
		}
	}
	zpool_free(pool, 1);
	zpool_unmap_handle(pool, lasting_handles[0]);
	zpool_map_handle(pool, 1, ZPOOL_MM_RO);
	zpool_each_object(pool, visit_object, NULL);
	zpool_each_class(pool, visit_class, NULL);
	zpool_get_stats(pool, &stats, sizeof(stats));
	zpool_set_limit(pool, 1u << 30);
	zpool_set_limit(pool, 0);
	zpool_shrink(pool, 1, NULL);
	zpool_compact(pool, 1, 0, NULL);
	zpool_trim(pool, NULL);
}

static void calls_leak_nothing(void)
{
	need_a_plain_process();
	lasting_pool = ct_pool_evicting(ct_evict_nothing, NULL);
	for (size_t i = 0; i < OBJECTS; i++)
		CT_MUST(zpool_malloc(lasting_pool, size_of(i), ZPOOL_GFP_KERNEL, &lasting_handles[i]));
	repeat(call_everything, 1, "rounds of every call on a pool");
	zpool_destroy_pool(lasting_pool);
}

static void freed_objects_leak_nothing(void)
{
	need_a_plain_process();
	lasting_pool = ct_pool();
	repeat(store_and_free, OBJECTS, "objects that were freed");
	expect_no_growth_of_the_pool();
	zpool_destroy_pool(lasting_pool);
}

static void *store_free_and_end(void *arg)
{
	store_and_free();
	return arg;
}

/* Two threads at the same time, which cannot share what a driver keeps for each. */
static void lend_to_threads(void)
{
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		CT_CHECK(pthread_create(&threads[i], NULL, store_free_and_end, NULL) == 0,
			 "the test suite cannot start a thread");
	for (size_t i = 0; i < 2; i++)
		CT_CHECK(pthread_join(threads[i], NULL) == 0, "the test suite cannot join a thread");
}

/* The pool lives on, so its destruction cannot free what the driver had allocated for the threads. */
static void ended_threads_leave_nothing_in_a_pool(void)
{
	need_a_plain_process();
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
#endif
	lasting_pool = ct_pool();
	repeat(lend_to_threads, 2, "threads that used a pool and ended before it");
	zpool_destroy_pool(lasting_pool);
}

/* Forks while a pool exists, which makes the driver's fork callback run. */
static void live_through_a_fork(void)
{
	struct zpool *pool = ct_pool();
	unsigned long handle;
	pid_t pid;

	CT_MUST(zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, &handle));
	pid = fork();
	if (pid == 0) {
		fflush(NULL);
		_exit(0);
	}
	CT_CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid, "the test suite cannot fork a process: %s", strerror(errno));
	zpool_destroy_pool(pool);
}

/* Makes calls that might print something: some succeed, some are refused, and some run out of memory. */
static void work_and_fail(void)
{
	struct zpool *pool = ct_pool_limited(ct_limit(1u << 20));
	unsigned long handle = 0;

	for (size_t i = 0; zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handle) == 0; i++) {
		/* The malloc was refused, so the loop ends. */
		if (zpool_map_handle(pool, handle, ZPOOL_MM_RW)) {
			zpool_free(pool, handle);
			zpool_unmap_handle(pool, handle);
		}
	}
	zpool_free(pool, handle);
	zpool_free(pool, handle);
	zpool_unmap_handle(pool, handle);
	zpool_malloc(pool, ct.max_bytes + 1, ZPOOL_GFP_KERNEL, &handle);
	zpool_destroy_pool(pool);
	live_and_end();
	live_through_a_fork();
	zpool_destroy_pool(zpool_create_pool(ct_spec_with("limit=1"), ZPOOL_GFP_KERNEL, NULL));
}

static void print_elsewhere(void *arg)
{
	char line[160] = "";
	FILE *elsewhere = tmpfile();

	(void)arg;
	CT_CHECK(elsewhere != NULL, "the test suite cannot create a temporary file: %s", strerror(errno));
	fflush(NULL);
	CT_CHECK(dup2(fileno(elsewhere), STDOUT_FILENO) >= 0 && dup2(fileno(elsewhere), STDERR_FILENO) >= 0, "dup2: %s",
		 strerror(errno));
	work_and_fail();
	fflush(NULL);
	rewind(elsewhere);
	if (fgets(line, sizeof(line), elsewhere))
		line[strcspn(line, "\n")] = '\0';
	CT_CHECK(ftell(elsewhere) == 0, "the driver printed \"%s\"; it should call args->host->log() instead", line);
}

static void nothing_is_printed(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind prints what it finds");
	if (getenv("ZPOOL_DEBUG"))
		ct_skip("ZPOOL_DEBUG asks the library to print");
	ct_in_child(print_elsewhere, NULL);
}

const struct ct_case ct_cases_leftovers[] = {
	{ "destroyed_pools_leak_nothing",
	  "zpool_destroy_pool() releases everything the pool had: memory of malloc(), address space, open files.",
	  destroyed_pools_leak_nothing, 0 },
	{ "pools_with_all_arguments_leak_nothing",
	  "zpool_destroy_pool() releases everything of a pool with a name, a node, a callback and a page source.",
	  pools_with_all_arguments_leak_nothing, 0 },
	{ "calls_leak_nothing", "No call on a live pool leaks memory or an open file.", calls_leak_nothing, 0 },
	{ "pools_destroyed_while_mapped_leak_nothing",
	  "zpool_destroy_pool() releases everything even when objects are still mapped.",
	  pools_destroyed_while_mapped_leak_nothing, 0 },
	{ "pools_destroyed_half_evicted_leak_nothing",
	  "zpool_destroy_pool() releases everything after evictions of which some were refused.",
	  pools_destroyed_half_evicted_leak_nothing, 0 },
	{ "pools_destroyed_after_failures_leak_nothing",
	  "zpool_destroy_pool() releases everything after mallocs that failed.",
	  pools_destroyed_after_failures_leak_nothing, 0 },
	{ "pools_destroyed_after_threads_leak_nothing",
	  "zpool_destroy_pool() releases everything that threads cached, whether they have ended or still run.",
	  pools_destroyed_after_threads_leak_nothing, 0 },
	{ "ended_threads_leave_nothing_in_a_pool",
	  "A pool keeps no memory for threads that have ended, even while it lives on.",
	  ended_threads_leave_nothing_in_a_pool, 0 },
	{ "failed_creations_leak_nothing", "A failed pool creation leaks nothing.", failed_creations_leak_nothing, 0 },
	{ "freed_objects_leak_nothing", "zpool_free() releases everything that belonged to the object.",
	  freed_objects_leak_nothing, 0 },
	{ "nothing_is_printed", "The library and the driver print nothing unless asked to.", nothing_is_printed,
	  CT_FORKS },
	{ NULL, NULL, NULL, 0 },
};
