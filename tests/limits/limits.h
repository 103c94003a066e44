/* SPDX-License-Identifier: MIT
 *
 * limits.h - what the tests of resource limits share: a child process for each driver, figures of the process, objects
 */
#ifndef LIMITS_H
#define LIMITS_H 1

#include "plugins/shipped.h"
#include "tests/unit/child.h"
#include "tests/unit/run.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || __has_feature(thread_sanitizer) ||                \
	__has_feature(address_sanitizer)
#define LIMITS_SANITIZED 1
#else
#define LIMITS_SANITIZED 0
#endif

#define LIMITS_DRIVER(type) type,
static const char *const limits_drivers[] = { SHIPPED_DRIVERS(LIMITS_DRIVER) };
enum { LIMITS_DRIVERS = sizeof(limits_drivers) / sizeof(limits_drivers[0]) };

/* The driver that the child uses. */
static const char *limits_driver;

#define LIMITS_CHECK(condition, ...) CHILD_CHECK(limits_driver, condition, __VA_ARGS__)
#define LIMITS_SKIP_CHILD(...) CHILD_SKIP(limits_driver, __VA_ARGS__)

/* Returns false, and says so, if a figure of the process would mean little. */
static inline bool limits_may_run(void)
{
	const char *preload = getenv("LD_PRELOAD");
	bool may = !LIMITS_SANITIZED && unit_may_fork() && (!preload || !strstr(preload, "vgpreload"));

	if (!may)
		printf("# skipped: a sanitizer or valgrind would add its own memory to the figures\n");
	return may;
}

/* Runs the work in a child process, once for each driver. */
static inline void limits_for_each_driver(int (*work)(void))
{
	if (!limits_may_run())
		return;
	for (int i = 0; i < LIMITS_DRIVERS; i++) {
		limits_driver = limits_drivers[i];
		int status = unit_in_child(work);

		ck_assert_msg(status == 0 || status == CHILD_SKIPPED, "%s: the child ended with status %d",
			      limits_driver, status);
	}
}

/* Returns a figure of /proc/self/status in bytes, such as "VmRSS". */
static inline uint64_t limits_status_bytes(const char *key)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long kilobytes = 0;
	size_t length = strlen(key);
	char line[256];

	if (!file)
		LIMITS_SKIP_CHILD("this system has no /proc/self/status");
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			kilobytes = strtoull(line + length + 1, NULL, 10);
	(void)fclose(file);
	return kilobytes << 10;
}

static inline unsigned int limits_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned int lines = 0;
	int c;

	if (!file)
		LIMITS_SKIP_CHILD("this system has no /proc/self/maps");
	while ((c = getc(file)) != EOF)
		lines += c == '\n';
	(void)fclose(file);
	return lines;
}

static inline struct zpool *limits_pool(void)
{
	struct zpool *pool = zpool_create_pool(limits_driver, ZPOOL_GFP_KERNEL, NULL);

	LIMITS_CHECK(pool != NULL, "%s", zpool_last_error());
	return pool;
}

/* Loads the driver's code and creates a first pool, so that neither counts as growth later. */
static inline void limits_load_driver(void)
{
	zpool_destroy_pool(limits_pool());
}

/* Stores an object whose bytes follow from its number. */
static inline int limits_store(struct zpool *pool, size_t size, unsigned int number, unsigned long *handle)
{
	char bytes[4096];
	int err = zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, handle);

	if (err)
		return err;
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(number * 31 + i);
	LIMITS_CHECK(zpool_obj_write(pool, *handle, bytes, size, 0) == (int64_t)size, "%s", zpool_last_error());
	return 0;
}

static inline void limits_compare(struct zpool *pool, size_t size, unsigned int number, unsigned long handle)
{
	char bytes[4096];

	LIMITS_CHECK(zpool_obj_read(pool, handle, bytes, size, 0) == (int64_t)size, "%s", zpool_last_error());
	for (size_t i = 0; i < size; i++)
		LIMITS_CHECK(bytes[i] == (char)(number * 31 + i), "byte %zu of object %u differs", i, number);
}

static inline void limits_set(int resource, uint64_t bytes)
{
	struct rlimit limit = { (rlim_t)bytes, (rlim_t)bytes };

	if (setrlimit(resource, &limit))
		LIMITS_SKIP_CHILD("cannot set the limit: %s", strerror(errno));
}

/* Uses up the mappings that the process may have, with pages that alternate between two protections. */
static inline char *limits_take_mappings(size_t *bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), count = (size_t)1 << 20;
	char *at = mmap(NULL, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		LIMITS_SKIP_CHILD("no address space is left: %s", strerror(errno));
	*bytes = count * page;
	for (size_t i = 1; i < count; i += 2)
		if (mprotect(at + i * page, page, PROT_READ))
			return at;
	LIMITS_SKIP_CHILD("the system allows a million mappings");
}

#endif
