/* SPDX-License-Identifier: MIT
 *
 * Measures the cost that the front end adds to a call: malloc+free and map+unmap on a driver that does nothing,
 * alternately through libzpool and through the driver's function pointers. The driver is loaded as a plugin, so both
 * ways call the same code.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "zpool-driver.h"

enum { ROUNDS = 31, CALLS = 2000000 };

/* The same driver, as its plugin exports it, and the pool that its callbacks receive. */
static const struct zpool_driver *direct;
static void *object;

static double time_malloc_direct(void)
{
	const struct zpool_driver *driver = direct;
	void *pool = object;
	unsigned long handle;
	double start = bench_now_ns();
	for (int i = 0; i < CALLS; i++) {
		if (driver->malloc(pool, 64, 0, &handle) != 0)
			abort();
		(void)driver->free(pool, handle);
	}
	return (bench_now_ns() - start) / CALLS;
}

static double time_malloc_front(struct zpool *pool)
{
	unsigned long handle;
	double start = bench_now_ns();
	for (int i = 0; i < CALLS; i++) {
		if (zpool_malloc(pool, 64, 0, &handle) != 0)
			abort();
		zpool_free(pool, handle);
	}
	return (bench_now_ns() - start) / CALLS;
}

static double time_map_direct(void)
{
	const struct zpool_driver *driver = direct;
	void *pool = object;
	double start = bench_now_ns();
	for (int i = 0; i < CALLS; i++) {
		if (!driver->map(pool, 1, ZPOOL_MM_RW))
			abort();
		(void)driver->unmap(pool, 1);
	}
	return (bench_now_ns() - start) / CALLS;
}

static double time_map_front(struct zpool *pool)
{
	double start = bench_now_ns();
	for (int i = 0; i < CALLS; i++) {
		if (!zpool_map_handle(pool, 1, ZPOOL_MM_RW))
			abort();
		zpool_unmap_handle(pool, 1);
	}
	return (bench_now_ns() - start) / CALLS;
}

/* Each pair has two calls, so the cost added to one call is half of the difference. */
static void report(const char *pair, double *front, double *direct_ns)
{
	double f = bench_median(front, ROUNDS), d = bench_median(direct_ns, ROUNDS);
	printf("%-14s front end %6.2f ns per pair, function pointers %6.2f ns per pair: %+.2f ns per call\n", pair, f,
	       d, (f - d) / 2);
}

/* The library has already opened the file, so dlopen() returns the same code. */
static bool find_direct(void)
{
	char directory[PATH_MAX - 64], path[PATH_MAX];
	struct zpool_created created = { .struct_size = sizeof(created) };

	if (zpool_get_plugin_path(directory, sizeof(directory)) >= (int)sizeof(directory))
		return false;
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof(path), "%s/nothing.so", directory);
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	direct = module ? dlsym(module, "zpool_driver") : NULL;
	if (!direct || direct->create(NULL, &created) != 0)
		return false;
	object = created.pool;
	return true;
}

int main(void)
{
	static double front[ROUNDS], direct_ns[ROUNDS];

	struct zpool *pool = zpool_create_pool("nothing", ZPOOL_GFP_KERNEL, NULL);
	if (!pool || !find_direct()) {
		fprintf(stderr, "frontend: %s\n",
			pool ? "the plugin could not be opened a second time" : zpool_last_error());
		return 1;
	}
	printf("frontend: medians of %d rounds of %d pairs, alternating\n", ROUNDS, CALLS);
	for (int i = 0; i < ROUNDS; i++) {
		direct_ns[i] = time_malloc_direct();
		front[i] = time_malloc_front(pool);
	}
	report("malloc+free", front, direct_ns);
	for (int i = 0; i < ROUNDS; i++) {
		direct_ns[i] = time_map_direct();
		front[i] = time_map_front(pool);
	}
	report("map+unmap", front, direct_ns);
	zpool_destroy_pool(pool);
	return 0;
}
