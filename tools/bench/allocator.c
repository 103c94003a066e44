/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>

#include "allocator.h"

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

/* The functions of the mallocs are looked up by name at run time, so none of them is needed to compile this file. */
static bool find(const char *name, void *function_pointer)
{
	void *symbol = dlsym(RTLD_DEFAULT, name);

	memcpy(function_pointer, &symbol, sizeof(symbol));
	return symbol;
}

static void purge_glibc(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static void version_glibc(char *text, size_t bytes)
{
#ifdef __GLIBC__
	snprintf(text, bytes, "%s", gnu_get_libc_version());
#else
	snprintf(text, bytes, "%s", "");
#endif
}

typedef int (*mallctl_function)(const char *, void *, size_t *, void *, size_t);

static void purge_jemalloc(void)
{
	mallctl_function control;

	/* 4096 is jemalloc's MALLCTL_ARENAS_ALL, which stands for all arenas. */
	if (find("mallctl", &control)) {
		control("thread.tcache.flush", NULL, NULL, NULL, 0);
		control("arena.4096.purge", NULL, NULL, NULL, 0);
	}
}

static void version_jemalloc(char *text, size_t bytes)
{
	mallctl_function control;
	const char *version = "";
	size_t size = sizeof(version);

	if (find("mallctl", &control))
		control("version", &version, &size, NULL, 0);
	snprintf(text, bytes, "%.*s", (int)strcspn(version, "-"), version);
}

static void purge_mimalloc(void)
{
	void (*collect)(bool force);

	if (find("mi_collect", &collect))
		collect(true);
}

static void version_mimalloc(char *text, size_t bytes)
{
	int (*version)(void);
	int number = find("mi_version", &version) ? version() : 0;

	snprintf(text, bytes, "%d.%d.%d", number / 100, number / 10 % 10, number % 10);
}

static void purge_tcmalloc(void)
{
	void (*idle)(void), (*release)(void);

	if (find("MallocExtension_MarkThreadIdle", &idle))
		idle();
	if (find("MallocExtension_ReleaseFreeMemory", &release))
		release();
}

static void version_tcmalloc(char *text, size_t bytes)
{
	const char *(*version)(int *major, int *minor, const char **patch);

	snprintf(text, bytes, "%s", find("tc_version", &version) ? version(NULL, NULL, NULL) : "");
}

const struct malloc_kind malloc_kinds[] = {
	{ .name = "glibc", .purge = purge_glibc, .version = version_glibc },
	{ .name = "jemalloc",
	  .libraries = { "libjemalloc.so.2" },
	  .symbol = "mallctl",
	  .counts_madvise = true,
	  .purge = purge_jemalloc,
	  .version = version_jemalloc,
	  .package = "libjemalloc2" },
	{ .name = "mimalloc",
	  .libraries = { "libmimalloc.so.2", "libmimalloc.so.3" },
	  .symbol = "mi_collect",
	  .counts_madvise = true,
	  .purge = purge_mimalloc,
	  .version = version_mimalloc,
	  .package = "libmimalloc2.0" },
	{ .name = "tcmalloc",
	  .libraries = { "libtcmalloc_minimal.so.4", "libtcmalloc.so.4" },
	  .symbol = "MallocExtension_ReleaseFreeMemory",
	  .counts_madvise = true,
	  .purge = purge_tcmalloc,
	  .version = version_tcmalloc,
	  .package = "libtcmalloc-minimal4" },
};
const unsigned int malloc_count = sizeof(malloc_kinds) / sizeof(malloc_kinds[0]);

bool malloc_is_here(const struct malloc_kind *kind)
{
	void (*function)(void);

	for (unsigned int i = 0; i < malloc_count; i++)
		if (malloc_kinds[i].symbol && (&malloc_kinds[i] == kind) != find(malloc_kinds[i].symbol, &function))
			return false;
	return true;
}

void allocator_open(struct allocator *allocator, const struct bench_job *job)
{
	*allocator = (struct allocator){ .malloc = *job->spec ? NULL : &malloc_kinds[job->malloc_number] };
	if (allocator->malloc)
		return;
	allocator->pool = zpool_create_pool(job->spec, ZPOOL_GFP_KERNEL, NULL);
	if (!allocator->pool)
		job_fail("%s", zpool_last_error());
}

void allocator_compact(const struct allocator *allocator)
{
	if (!allocator->pool)
		allocator->malloc->purge();
	else if (zpool_compact(allocator->pool, 0, 0, NULL) < 0)
		(void)zpool_trim(allocator->pool, NULL);
}

void allocator_trim(const struct allocator *allocator)
{
	if (allocator->pool)
		(void)zpool_trim(allocator->pool, NULL);
	else
		allocator->malloc->purge();
}

uint64_t allocator_pool_bytes(const struct allocator *allocator)
{
	return allocator->pool ? zpool_get_total_size(allocator->pool) : 0;
}

uint64_t allocator_moved_bytes(const struct allocator *allocator)
{
	struct zpool_stats stats;

	if (!allocator->pool || zpool_get_stats(allocator->pool, &stats, sizeof(stats)))
		return 0;
	return stats.compact_moved_bytes;
}

void allocator_fail(const struct allocator *allocator, const char *what, size_t bytes)
{
	job_fail("%s failed for an object of %zu bytes%s%s", what, bytes, allocator->pool ? ": " : "",
		 allocator->pool ? zpool_last_error() : "");
}
