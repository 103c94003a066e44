/* SPDX-License-Identifier: MIT
 *
 * Pools in a process that locks its memory: the process must pay for the memory that the pools hold, but not for
 * reserved address space.
 */
#include "config.h"

#include "tests/limits/limits.h"

enum { SIZE = 2000, OBJECTS = 10000, SLACK_BYTES = 256 << 10, LOCKED_BYTES = 64 << 20 };

static unsigned long handles[OBJECTS];

/* Ordinary users may lock 8 MiB on most systems, and the program with a full pool needs more. */
static void need_locked_memory(void)
{
	struct rlimit limit;

	if (geteuid() && (getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_max < LOCKED_BYTES))
		LIMITS_SKIP_CHILD("this user may not lock %d bytes of memory", LOCKED_BYTES);
	if (geteuid())
		limits_set(RLIMIT_MEMLOCK, limit.rlim_max);
}

static void lock_memory(int flags)
{
	if (mlockall(flags))
		LIMITS_SKIP_CHILD("cannot lock memory: %s", strerror(errno));
}

/* The limit that total_size promises for pools of 16 MiB and more, with some slack for smaller pools. */
static void expect_resident(struct zpool *pool, uint64_t before, const char *when)
{
	uint64_t grown = limits_status_bytes("VmRSS") - before, total = zpool_get_total_size(pool);

	LIMITS_CHECK(grown <= total + total / 50 + SLACK_BYTES, "%s: the process holds %llu bytes for a pool of %llu",
		     when, (unsigned long long)grown, (unsigned long long)total);
}

static void fill(struct zpool *pool)
{
	for (unsigned int i = 0; i < OBJECTS; i++)
		LIMITS_CHECK(limits_store(pool, SIZE, i, &handles[i]) == 0, "%s", zpool_last_error());
}

static void lock_and_fill(int flags)
{
	uint64_t before;
	struct zpool *pool;

	need_locked_memory();
	limits_load_driver();
	lock_memory(flags);
	before = limits_status_bytes("VmRSS");
	pool = limits_pool();
	expect_resident(pool, before, "empty");
	fill(pool);
	expect_resident(pool, before, "full");
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (i % 8)
			zpool_free(pool, handles[i]);
	(void)zpool_compact(pool, 0, 0, NULL);
	(void)zpool_trim(pool, NULL);
	/* The C library's malloc may cache freed memory, so the libc driver is not checked here. */
	if (strcmp(limits_driver, "libc") != 0)
		expect_resident(pool, before, "after most objects were freed and the pool trimmed");
	for (unsigned int i = 0; i < OBJECTS; i += 8)
		limits_compare(pool, SIZE, i, handles[i]);
	zpool_destroy_pool(pool);
}

static int fill_where_future_memory_is_locked(void)
{
	lock_and_fill(MCL_CURRENT | MCL_FUTURE);
	return 0;
}

START_TEST(pool_with_locked_future_memory_uses_what_it_holds)
{
	limits_for_each_driver(fill_where_future_memory_is_locked);
}
END_TEST

#ifdef MCL_ONFAULT
static int fill_where_memory_is_locked_on_fault(void)
{
	lock_and_fill(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return 0;
}

START_TEST(pool_with_memory_locked_on_fault_uses_what_it_holds)
{
	limits_for_each_driver(fill_where_memory_is_locked_on_fault);
}
END_TEST
#endif

/* Checks that the memory of objects is locked, as the host requested. */
static int lock_objects(void)
{
	uint64_t before;
	struct zpool *pool;

	need_locked_memory();
	limits_load_driver();
	lock_memory(MCL_CURRENT | MCL_FUTURE);
	before = limits_status_bytes("VmLck");
	pool = limits_pool();
	fill(pool);
	LIMITS_CHECK(limits_status_bytes("VmLck") - before >= (uint64_t)SIZE * OBJECTS,
		     "%llu bytes of memory were locked before objects were stored, and %llu afterwards",
		     (unsigned long long)before, (unsigned long long)limits_status_bytes("VmLck"));
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(objects_of_a_process_that_locks_future_memory_are_locked)
{
	limits_for_each_driver(lock_objects);
}
END_TEST

/* The pool exists before the host locks everything, so the lock covers its whole address space, committed or not. */
static int fill_a_pool_that_was_locked_later(void)
{
	struct zpool *pool;
	unsigned long handle;
	uint64_t before;

	need_locked_memory();
	pool = limits_pool();
	LIMITS_CHECK(limits_store(pool, SIZE, 0, &handle) == 0, "%s", zpool_last_error());
	lock_memory(MCL_CURRENT);
	before = limits_status_bytes("VmRSS");
	fill(pool);
	expect_resident(pool, before, "full");
	limits_compare(pool, SIZE, 0, handle);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_locked_after_its_creation_grows_by_what_it_holds)
{
	limits_for_each_driver(fill_a_pool_that_was_locked_later);
}
END_TEST

/*
 * An ordinary user may lock 8 MiB on most systems. Pools use what is left of that, then return -ENOMEM and lose
 * nothing.
 */
static int fill_up_to_the_limit_of_locked_memory(void)
{
	enum { LIMIT_BYTES = 8 << 20, STORED_MIN = LIMIT_BYTES / 4 / SIZE };
	struct zpool *pool;
	unsigned int stored = 0;
	uint64_t total;
	int err;

	limits_load_driver();
	/* Root may lock any amount of memory, so the test gives up root's rights. */
	if (geteuid() == 0 && seteuid(65534))
		LIMITS_SKIP_CHILD("cannot give up root's rights: %s", strerror(errno));
	limits_set(RLIMIT_MEMLOCK, LIMIT_BYTES);
	lock_memory(MCL_FUTURE);
	pool = limits_pool();
	do {
		total = zpool_get_total_size(pool);
		err = limits_store(pool, SIZE, stored, &handles[stored]);
		stored += err == 0;
	} while (err == 0 && stored < OBJECTS);
	LIMITS_CHECK(err == -ENOMEM, "after %u objects, malloc returned %d", stored, err);
	LIMITS_CHECK(stored >= STORED_MIN, "only %u objects of %d bytes fit", stored, SIZE);
	LIMITS_CHECK(zpool_get_total_size(pool) <= total, "the failed malloc made the pool grow");
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	for (unsigned int i = 0; i < stored; i += 2)
		zpool_free(pool, handles[i]);
	for (unsigned int i = 0; i < stored / 4; i++)
		LIMITS_CHECK(limits_store(pool, SIZE, 2 * i, &handles[2 * i]) == 0, "%s", zpool_last_error());
	zpool_destroy_pool(pool);
	pool = limits_pool();
	for (unsigned int i = 0; i < STORED_MIN; i++)
		LIMITS_CHECK(limits_store(pool, SIZE, i, &handles[i]) == 0, "%s", zpool_last_error());
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_fills_the_limit_of_locked_memory)
{
	limits_for_each_driver(fill_up_to_the_limit_of_locked_memory);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		pool_with_locked_future_memory_uses_what_it_holds,
#ifdef MCL_ONFAULT
		pool_with_memory_locked_on_fault_uses_what_it_holds,
#endif
		objects_of_a_process_that_locks_future_memory_are_locked,
		pool_locked_after_its_creation_grows_by_what_it_holds,
		pool_fills_the_limit_of_locked_memory,
	};

	return UNIT_RUN("limits: locked memory", tests);
}
