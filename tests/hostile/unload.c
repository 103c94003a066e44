/* SPDX-License-Identifier: MIT
 *
 * unload.c - a program opens the shared libraries with dlopen(3), uses them in threads, and closes them while these
 * threads are alive
 *
 * The threads end, and the program forks, after the last dlclose(3).  Every round does the same, so the number of
 * mappings and descriptors must not grow.  tests/install/closed_module.sh does this with the static library.
 */
#include "config.h"

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zpool.h>

#include "plugins/shipped.h"
#ifdef TEST_STORE
#include "zpool-store.h"
#endif

enum { SKIPPED = 77, THREADS = 3, ROUNDS = 12, SETTLED = 4, OBJECTS = 300, UNIT = 4096 };

static char library_path[PATH_MAX];
static pthread_barrier_t used, closed;
static _Atomic int failed;

#define FAIL(...)                                                                                                      \
	do {                                                                                                           \
		fprintf(stderr, __VA_ARGS__);                                                                          \
		fputc('\n', stderr);                                                                                   \
		failed = 1;                                                                                            \
	} while (0)

/* Defines a variable with the address of the library's function of that name. */
#define FUNCTION(library, name)                                                                                        \
	__typeof__(name) *name##_fn = NULL;                                                                            \
	*(void **)&name##_fn = dlsym(library, #name)

/* ------------------------------------------------------------------------------------------------------------------
 * What a thread does with the library
 */

static void store_objects(void *library, const char *spec)
{
	FUNCTION(library, zpool_create_pool);
	FUNCTION(library, zpool_malloc);
	FUNCTION(library, zpool_free);
	FUNCTION(library, zpool_destroy_pool);
	FUNCTION(library, zpool_last_error);
	unsigned long handles[OBJECTS];
	struct zpool *pool;

	if (!zpool_create_pool_fn || !zpool_malloc_fn || !zpool_free_fn || !zpool_destroy_pool_fn ||
	    !zpool_last_error_fn) {
		FAIL("the library lacks a function: %s", dlerror());
		return;
	}
	pool = zpool_create_pool_fn(spec, ZPOOL_GFP_KERNEL, NULL);
	if (!pool) {
		FAIL("%s: %s", spec, zpool_last_error_fn());
		return;
	}
	for (int i = 0; i < OBJECTS; i++)
		if (zpool_malloc_fn(pool, 100, ZPOOL_GFP_KERNEL, &handles[i]))
			FAIL("%s: %s", spec, zpool_last_error_fn());
	for (int i = 0; i < OBJECTS; i += 2)
		zpool_free_fn(pool, handles[i]);
	/* This leaves an error message, which must be freed when the thread ends. */
	zpool_free_fn(pool, 12345);
	zpool_destroy_pool_fn(pool);
}

#ifdef TEST_STORE
static void store_values(void *library, const char *spec)
{
	FUNCTION(library, zpool_store_open);
	FUNCTION(library, zpool_store_put);
	FUNCTION(library, zpool_store_close);
	FUNCTION(library, zpool_store_watch_pressure);
	FUNCTION(library, zpool_last_error);
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_pressure pressure = ZPOOL_STORE_PRESSURE_INIT;
	unsigned char value[UNIT] = "value";
	struct zpool_store *store;
	int ends[2];

	if (!zpool_store_open_fn || !zpool_store_put_fn || !zpool_store_close_fn || !zpool_store_watch_pressure_fn) {
		FAIL("the library lacks a function: %s", dlerror());
		return;
	}
	args.pool = spec;
	store = zpool_store_open_fn(&args, sizeof(args));
	if (!store || pipe(ends)) {
		FAIL("%s: %s", spec, zpool_last_error_fn());
		return;
	}
	pressure.fd = ends[0];
	if (zpool_store_watch_pressure_fn(store, &pressure, sizeof(pressure)))
		FAIL("%s: %s", spec, zpool_last_error_fn());
	for (uint64_t key = 0; key < OBJECTS; key++)
		if (zpool_store_put_fn(store, key, value, UNIT))
			FAIL("%s: %s", spec, zpool_last_error_fn());
	zpool_store_close_fn(store);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
#endif

/* The thread ends after the whole program has closed the library. */
static void *use_library(void *spec)
{
	void *library = dlopen(library_path, RTLD_NOW | RTLD_LOCAL);

	if (library) {
		store_objects(library, spec);
#ifdef TEST_STORE
		store_values(library, spec);
#endif
	} else {
		FAIL("%s", dlerror());
	}
	(void)pthread_barrier_wait(&used);
	if (library && dlclose(library))
		FAIL("%s", dlerror());
	(void)pthread_barrier_wait(&closed);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Rounds
 */

static unsigned int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (dir && readdir(dir))
		count++;
	if (dir)
		(void)closedir(dir);
	return count;
}

static unsigned int count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		count += c == '\n';
	if (file)
		(void)fclose(file);
	return count;
}

/* The library's fork handlers run in the child and in its parent. */
static void fork_once(void)
{
	int status = 1;
	pid_t child = getenv("ZPOOL_TEST_NO_FORK") ? 0 : fork();

	if (child == 0) {
		if (!getenv("ZPOOL_TEST_NO_FORK"))
			_exit(0);
		return;
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		FAIL("a child ended with status %d", status);
}

static void run_round(const char *spec)
{
	pthread_t threads[THREADS];
	int started = 0;

	while (started < THREADS && pthread_create(&threads[started], NULL, use_library, (void *)(uintptr_t)spec) == 0)
		started++;
	if (started < THREADS) {
		FAIL("a thread cannot be started");
		exit(EXIT_FAILURE);
	}
	for (int i = 0; i < started; i++)
		(void)pthread_join(threads[i], NULL);
	fork_once();
}

static bool find_library(const char *name)
{
	const char *build = getenv("abs_top_builddir");

	return snprintf(library_path, sizeof(library_path), "%s/%s", build ? build : ".", name) <
		       (int)sizeof(library_path) &&
	       access(library_path, R_OK) == 0;
}

int main(void)
{
#define SPEC(type) type,
	static const char *const specs[] = { SHIPPED_DRIVERS(SPEC) "guard+zsmalloc" };
	const unsigned int count = sizeof(specs) / sizeof(specs[0]);
	unsigned int mappings = 0, descriptors = 0, mappings_now, descriptors_now;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("skipped: a sanitizer must be in the program from the beginning, and adds mappings");
	return SKIPPED;
#endif
	if (!find_library(TEST_LIBRARY) || !getenv("ZPOOL_PLUGIN_PATH")) {
		puts("skipped: built without shared libraries");
		return SKIPPED;
	}
	(void)pthread_barrier_init(&used, NULL, THREADS);
	(void)pthread_barrier_init(&closed, NULL, THREADS);
	for (unsigned int round = 0; round < ROUNDS && !failed; round++) {
		for (unsigned int i = 0; i < count; i++)
			run_round(specs[i]);
		if (round == SETTLED) {
			mappings = count_mappings();
			descriptors = count_descriptors();
		}
	}
	mappings_now = count_mappings();
	descriptors_now = count_descriptors();
	if (!failed && descriptors_now != descriptors)
		FAIL("%u descriptors were open after %d rounds, and %u after %d", descriptors, SETTLED + 1,
		     descriptors_now, ROUNDS);
	/* The C library caches stacks and arenas of threads, which vary a little. Valgrind has mappings of its own. */
	if (!failed && !getenv("ZPOOL_TEST_VALGRIND") && mappings_now > mappings + 4 * THREADS)
		FAIL("there were %u mappings after %d rounds, and %u after %d", mappings, SETTLED + 1, mappings_now,
		     ROUNDS);
	printf("%d rounds on %u specs: %u mappings, %u descriptors\n", ROUNDS, count, mappings_now, descriptors_now);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
