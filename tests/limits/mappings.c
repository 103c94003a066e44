/* SPDX-License-Identifier: MIT
 *
 * The process has as many mappings as the system allows (vm.max_map_count), or may have no more memory: loads, new
 * pools, filters and stores fail with ENOMEM and a message or work, lose nothing, and work once there is room again.
 */
#include "config.h"

#include "tests/limits/limits.h"

#ifdef HAVE_STORE
#include "zpool-store.h"
#endif

enum { SIZE = 500, OBJECTS = 3000, UNIT = 4096 };

static unsigned long handles[OBJECTS];

/* Each call has its limit on memory or mappings reported as ENOMEM. */
static void expect_enomem(bool works, const char *what)
{
	LIMITS_CHECK(works || errno == ENOMEM || errno == ENOEXEC, "%s: errno is %d: %s", what, errno,
		     zpool_last_error());
	LIMITS_CHECK(works || *zpool_last_error(), "%s: there is no message", what);
}

static int load_without_mappings(void)
{
	struct zpool *pool;
	size_t bytes;
	char *taken = limits_take_mappings(&bytes);

	errno = 0;
	pool = zpool_create_pool(limits_driver, ZPOOL_GFP_KERNEL, NULL);
	LIMITS_CHECK(pool == NULL, "the plugin was mapped");
	LIMITS_CHECK(errno == ENOMEM, "errno is %d: %s", errno, zpool_last_error());
	LIMITS_CHECK(*zpool_last_error(), "there is no message");
	(void)munmap(taken, bytes);
	limits_load_driver();
	LIMITS_CHECK(zpool_unload_driver(limits_driver) == 0, "%s", zpool_last_error());
	limits_load_driver();
	return 0;
}

START_TEST(load_without_mappings_fails_and_succeeds_later)
{
	limits_for_each_driver(load_without_mappings);
}
END_TEST

static int use_stack_without_mappings(void)
{
	char spec[64];
	struct zpool *pool, *second;
	unsigned int stored = 0, before;
	size_t bytes;
	char *taken;

	(void)snprintf(spec, sizeof(spec), "guard+fault+%s", limits_driver);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	LIMITS_CHECK(pool != NULL, "%s", zpool_last_error());
	for (; stored < 100; stored++)
		LIMITS_CHECK(limits_store(pool, SIZE, stored, &handles[stored]) == 0, "%s", zpool_last_error());
	before = stored;
	taken = limits_take_mappings(&bytes);
	second = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	expect_enomem(second != NULL, "a second pool");
	zpool_destroy_pool(second);
	while (stored < OBJECTS && limits_store(pool, SIZE, stored, &handles[stored]) == 0)
		stored++;
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	for (unsigned int i = 0; i < before; i++)
		zpool_free(pool, handles[i]);
	(void)munmap(taken, bytes);
	for (unsigned int i = 0; i < before; i++)
		LIMITS_CHECK(limits_store(pool, SIZE, i, &handles[i]) == 0, "%s", zpool_last_error());
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(stack_without_further_mappings_loses_nothing)
{
	limits_for_each_driver(use_stack_without_mappings);
}
END_TEST

#ifdef HAVE_STORE
/* Values that do not shrink. */
static void fill(unsigned char *value, uint64_t key)
{
	uint32_t seed = (uint32_t)key * 2654435761U + 1;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
}

/* Puts values while the surroundings are tight, reads them then and afterwards, and opens another store. */
static int use_store_in(void (*tighten)(void), void (*loosen)(void))
{
	enum { KEYS = 2000, KEYS_BEFORE = 50 };
	static bool has_value[KEYS];
	unsigned char value[UNIT], found[UNIT];
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store, *second;

	args.pool = limits_driver;
	store = zpool_store_open(&args, sizeof(args));
	LIMITS_CHECK(store != NULL, "%s", zpool_last_error());
	for (uint64_t key = 0; key < KEYS; key++) {
		int err;

		if (key == KEYS_BEFORE)
			tighten();
		fill(value, key);
		err = zpool_store_put(store, key, value, UNIT);
		/* zbud and others refuse values of a whole page. */
		LIMITS_CHECK(err == 0 || err == -ENOMEM || err == -ENOSPC, "put returned %d", err);
		has_value[key] = err == 0;
	}
	second = zpool_store_open(&args, sizeof(args));
	expect_enomem(second != NULL, "a second store");
	zpool_store_close(second);
	for (int round = 0; round < 2; round++) {
		for (uint64_t key = 0; key < KEYS; key++) {
			if (!has_value[key])
				continue;
			fill(value, key);
			LIMITS_CHECK(zpool_store_get(store, key, found, UNIT) == UNIT, "%s", zpool_last_error());
			LIMITS_CHECK(memcmp(value, found, UNIT) == 0, "key %u differs", (unsigned int)key);
		}
		if (round == 0)
			loosen();
	}
	zpool_store_close(store);
	store = zpool_store_open(&args, sizeof(args));
	LIMITS_CHECK(store != NULL, "%s", zpool_last_error());
	zpool_store_close(store);
	return 0;
}

static char *taken;
static size_t taken_bytes;

static void take_mappings(void)
{
	taken = limits_take_mappings(&taken_bytes);
}

static void give_mappings_back(void)
{
	(void)munmap(taken, taken_bytes);
}

static int use_store_without_mappings(void)
{
	return use_store_in(take_mappings, give_mappings_back);
}

START_TEST(store_without_further_mappings_loses_nothing)
{
	limits_for_each_driver(use_store_without_mappings);
}
END_TEST

static void set_soft_limit(int resource, uint64_t bytes)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		LIMITS_SKIP_CHILD("there is no such limit: %s", strerror(errno));
	limit.rlim_cur = bytes && bytes < limit.rlim_max ? (rlim_t)bytes : limit.rlim_max;
	if (setrlimit(resource, &limit))
		LIMITS_SKIP_CHILD("cannot set the limit: %s", strerror(errno));
}

static void limit_memory(void)
{
	set_soft_limit(RLIMIT_DATA, limits_status_bytes("VmData") + (3 << 20));
	set_soft_limit(RLIMIT_AS, limits_status_bytes("VmSize") + (16 << 20));
}

static void lift_limits(void)
{
	set_soft_limit(RLIMIT_DATA, 0);
	set_soft_limit(RLIMIT_AS, 0);
}

static int use_store_at_a_limit(void)
{
	return use_store_in(limit_memory, lift_limits);
}

START_TEST(store_at_a_limit_of_memory_loses_nothing)
{
	limits_for_each_driver(use_store_at_a_limit);
}
END_TEST
#endif

int main(void)
{
	const TTest *const tests[] = {
		load_without_mappings_fails_and_succeeds_later,
		stack_without_further_mappings_loses_nothing,
#ifdef HAVE_STORE
		store_without_further_mappings_loses_nothing,
		store_at_a_limit_of_memory_loses_nothing,
#endif
	};

	return UNIT_RUN("limits: mappings", tests);
}
