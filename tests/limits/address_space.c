/* SPDX-License-Identifier: MIT
 *
 * Pools under limits of data and address space, and the number of mappings that they use.
 */
#include "config.h"

#include "tests/limits/limits.h"

enum { MIB = 1 << 20, SIZE = 2000, OBJECTS = 20000, POOLS = 200 };

static unsigned long handles[OBJECTS];
static struct zpool *pools[POOLS];

static void make_pools_of_one_object(void)
{
	for (unsigned int i = 0; i < POOLS; i++) {
		pools[i] = limits_pool();
		LIMITS_CHECK(limits_store(pools[i], SIZE, i, &handles[i]) == 0, "pool %u: %s", i, zpool_last_error());
	}
	for (unsigned int i = 0; i < POOLS; i++)
		limits_compare(pools[i], SIZE, i, handles[i]);
	for (unsigned int i = 0; i < POOLS; i++)
		zpool_destroy_pool(pools[i]);
}

static int make_pools_under_a_limit_of_data(void)
{
	limits_load_driver();
	limits_set(RLIMIT_DATA, limits_status_bytes("VmData") + 128ull * MIB);
	make_pools_of_one_object();
	return 0;
}

START_TEST(two_hundred_pools_fit_an_eighth_of_a_gigabyte_of_data)
{
	limits_for_each_driver(make_pools_under_a_limit_of_data);
}
END_TEST

static int make_pools_under_a_limit_of_address_space(void)
{
	limits_load_driver();
	limits_set(RLIMIT_AS, limits_status_bytes("VmSize") + 512ull * MIB);
	make_pools_of_one_object();
	return 0;
}

START_TEST(two_hundred_pools_fit_half_a_gigabyte_of_address_space)
{
	limits_for_each_driver(make_pools_under_a_limit_of_address_space);
}
END_TEST

/*
 * Stores objects until the process may have no more memory. The next malloc must return -ENOMEM and lose or count
 * nothing, and memory that is freed must be usable again.
 */
static void fill_and_refill(struct zpool *pool, unsigned int stored_min)
{
	unsigned int stored = 0;
	uint64_t total;
	int err;

	do {
		total = zpool_get_total_size(pool);
		err = limits_store(pool, SIZE, stored, &handles[stored]);
		stored += err == 0;
	} while (err == 0 && stored < OBJECTS);
	LIMITS_CHECK(err == -ENOMEM, "after %u objects, malloc returned %d", stored, err);
	LIMITS_CHECK(stored >= stored_min, "only %u objects of %d bytes fit", stored, SIZE);
	LIMITS_CHECK(zpool_get_total_size(pool) <= total, "the failed malloc made the pool grow");
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	for (unsigned int i = 0; i < stored; i += 2)
		zpool_free(pool, handles[i]);
	for (unsigned int i = 0; i < stored / 4; i++)
		LIMITS_CHECK(limits_store(pool, SIZE, 2 * i, &handles[2 * i]) == 0, "%s", zpool_last_error());
	for (unsigned int i = 1; i < stored; i += 2)
		limits_compare(pool, SIZE, i, handles[i]);
}

static int fill_up_to_a_limit_of_data(void)
{
	struct zpool *pool = limits_pool();

	limits_set(RLIMIT_DATA, limits_status_bytes("VmData") + 10ull * MIB);
	fill_and_refill(pool, 3 * MIB / SIZE);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_at_a_limit_of_data_returns_enomem)
{
	limits_for_each_driver(fill_up_to_a_limit_of_data);
}
END_TEST

static int fill_up_to_a_limit_of_address_space(void)
{
	struct zpool *pool = limits_pool();

	limits_set(RLIMIT_AS, limits_status_bytes("VmSize") + 20ull * MIB);
	fill_and_refill(pool, 3 * MIB / SIZE);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_at_a_limit_of_address_space_returns_enomem)
{
	limits_for_each_driver(fill_up_to_a_limit_of_address_space);
}
END_TEST

static int use_a_pool_without_further_mappings(void)
{
	struct zpool *pool = limits_pool();
	unsigned int stored = 0;
	size_t bytes;
	char *taken;
	int err = 0;

	for (; stored < 100; stored++)
		LIMITS_CHECK(limits_store(pool, SIZE, stored, &handles[stored]) == 0, "%s", zpool_last_error());
	taken = limits_take_mappings(&bytes);
	for (; stored < OBJECTS && !err; stored += err == 0)
		err = limits_store(pool, SIZE, stored, &handles[stored]);
	LIMITS_CHECK(err == 0 || err == -ENOMEM, "after %u objects, malloc returned %d", stored, err);
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	for (unsigned int i = 0; i < stored; i += 2)
		zpool_free(pool, handles[i]);
	(void)zpool_trim(pool, NULL);
	munmap(taken, bytes);
	for (unsigned int i = 0; i < stored; i += 2)
		LIMITS_CHECK(limits_store(pool, SIZE, i, &handles[i]) == 0, "%s", zpool_last_error());
	for (unsigned int i = 0; i < stored; i++)
		limits_compare(pool, SIZE, i, handles[i]);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_at_the_limit_of_mappings_returns_enomem)
{
	limits_for_each_driver(use_a_pool_without_further_mappings);
}
END_TEST

/* A process has a limited number of mappings (65530 on most systems), so holes in a pool must not split them. */
static int count_mappings(void)
{
	unsigned int before, seed = unit_seed();
	struct zpool *pool;
	static size_t sizes[OBJECTS];

	limits_load_driver();
	before = limits_mappings();
	pool = limits_pool();
	srand(seed);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		sizes[i] = 16 + (size_t)rand() % 3500;
		LIMITS_CHECK(limits_store(pool, sizes[i], i, &handles[i]) == 0, "%s", zpool_last_error());
	}
	LIMITS_CHECK(limits_mappings() - before <= 64, "a full pool has %u mappings", limits_mappings() - before);
	for (unsigned int n = 0; n < 4 * OBJECTS; n++) {
		unsigned int i = (unsigned int)rand() % OBJECTS;

		zpool_free(pool, handles[i]);
		sizes[i] = 16 + (size_t)rand() % 3500;
		LIMITS_CHECK(limits_store(pool, sizes[i], i, &handles[i]) == 0, "%s", zpool_last_error());
	}
	LIMITS_CHECK(limits_mappings() - before <= 64, "the pool has %u mappings after churn",
		     limits_mappings() - before);
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (i % 8)
			zpool_free(pool, handles[i]);
	(void)zpool_compact(pool, 0, 0, NULL);
	(void)zpool_trim(pool, NULL);
	LIMITS_CHECK(limits_mappings() - before <= 64, "the pool has %u mappings after most objects were freed",
		     limits_mappings() - before);
	for (unsigned int i = 0; i < OBJECTS; i += 8)
		limits_compare(pool, sizes[i], i, handles[i]);
	zpool_destroy_pool(pool);
	return 0;
}

START_TEST(pool_takes_few_mappings)
{
	limits_for_each_driver(count_mappings);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		two_hundred_pools_fit_an_eighth_of_a_gigabyte_of_data,
		two_hundred_pools_fit_half_a_gigabyte_of_address_space,
		pool_at_a_limit_of_data_returns_enomem,
		pool_at_a_limit_of_address_space_returns_enomem,
		pool_at_the_limit_of_mappings_returns_enomem,
		pool_takes_few_mappings,
	};

	return UNIT_RUN("limits: address space", tests);
}
