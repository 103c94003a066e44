/* SPDX-License-Identifier: MIT
 *
 * cases_leftovers.c - what the process still has when pools and objects are gone: memory, addresses, open files
 *
 * Each looks at the process before and after doing the same work many times over, sizes and order included, so that
 * what a C library keeps of freed memory is the same both times.
 */
#include "cases.h"
#include "leftovers.h"
#include "objects.h"
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POOLS = 200, WARM_UP = 30, OBJECTS = 60, TRIES = 3 };

/* What leaks does so each time; what the C library keeps of freed memory does not. */
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
		ct_skip("a sanitizer or valgrind has memory and files of its own, and finds leaks itself");
}

static size_t size_of(size_t i)
{
	return 1 + i * 997 % ct.max_bytes;
}

/* A pool's life, with objects that are left to its end, one of them mapped. */
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

static void ended_pools_leave_nothing_behind(void)
{
	need_a_plain_process();
	repeat(live_and_end, 1, "pools that were destroyed");
}

/* A create that fails at its first step, and one that fails later: for the limit, or for want of pages. */
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
			 pool ? "made without memory and destroyed" : "that could not be made",
			 ct_source_reserved_bytes(&source));
	}
}

static void refused_pools_leave_nothing_behind(void)
{
	need_a_plain_process();
	repeat(fail_to_make, 1, "times five pools that could not be made");
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

static void freed_objects_leave_nothing_behind(void)
{
	need_a_plain_process();
	lasting_pool = ct_pool();
	repeat(store_and_free, OBJECTS, "objects that were freed");
	zpool_destroy_pool(lasting_pool);
}

/* Everything that could tempt somebody to print: what works, what is refused, and what there is no memory for. */
static void work_and_fail(void)
{
	struct zpool *pool = ct_pool_limited(1u << 20);
	unsigned long handle = 0;

	for (size_t i = 0; zpool_malloc(pool, size_of(i), ZPOOL_GFP_KERNEL, &handle) == 0; i++) {
		/* Refused, and so there is an end. */
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
	zpool_destroy_pool(zpool_create_pool(ct_spec_with("limit=1"), ZPOOL_GFP_KERNEL, NULL));
}

static void print_elsewhere(void *arg)
{
	char line[160] = "";
	FILE *elsewhere = tmpfile();

	(void)arg;
	CT_CHECK(elsewhere != NULL, "no temporary file: %s", strerror(errno));
	fflush(NULL);
	CT_CHECK(dup2(fileno(elsewhere), STDOUT_FILENO) >= 0 && dup2(fileno(elsewhere), STDERR_FILENO) >= 0, "dup2: %s",
		 strerror(errno));
	work_and_fail();
	fflush(NULL);
	rewind(elsewhere);
	if (fgets(line, sizeof(line), elsewhere))
		line[strcspn(line, "\n")] = '\0';
	CT_CHECK(ftell(elsewhere) == 0, "this was printed: \"%s\"; a driver has args->host->log() for that", line);
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
	{ "ended_pools_leave_nothing_behind",
	  "zpool_destroy_pool() gives back all that the pool had: memory of malloc's, address space, open files.",
	  ended_pools_leave_nothing_behind, 0 },
	{ "refused_pools_leave_nothing_behind", "A pool that could not be made leaves nothing behind.",
	  refused_pools_leave_nothing_behind, 0 },
	{ "freed_objects_leave_nothing_behind", "zpool_free() gives back all that the object had.",
	  freed_objects_leave_nothing_behind, 0 },
	{ "nothing_is_printed", "Nothing is printed unless asked for.", nothing_is_printed, CT_FORKS },
	{ NULL, NULL, NULL, 0 },
};
