/* SPDX-License-Identifier: MIT
 *
 * cases_badinput.c - NULL arguments and unknown values, for every function that takes a pool
 */
#include "cases.h"
#include "objects.h"

#include <string.h>

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

static void null_pool_is_refused_by_object_calls(void)
{
	unsigned long handle = 12345;
	char buf[8] = "1234567";

	CT_REFUSED(zpool_malloc(NULL, 100, ZPOOL_GFP_KERNEL, &handle), EINVAL);
	CT_CHECK(handle == 12345, "a refused malloc changed *handle");
	CT_REFUSED_VOID(zpool_free(NULL, 12345));
	CT_REFUSED_NULL(zpool_map_handle(NULL, 12345, ZPOOL_MM_RW), EINVAL);
	CT_REFUSED_VOID(zpool_unmap_handle(NULL, 12345));
	CT_REFUSED(zpool_obj_size(NULL, 12345), EINVAL);
	CT_REFUSED(zpool_obj_read(NULL, 12345, buf, 4, 0), EINVAL);
	CT_REFUSED(zpool_obj_write(NULL, 12345, buf, 4, 0), EINVAL);
	CT_REFUSED(zpool_each_object(NULL, visit_object, NULL), EINVAL);
	CT_CHECK(strcmp(buf, "1234567") == 0, "a refused read changed the buffer");
}

static void null_pool_is_refused_by_pool_calls(void)
{
	struct zpool_stats stats;
	unsigned int reclaimed = 5;
	uint64_t released = 5;

	CT_REFUSED_NULL(zpool_get_type(NULL), EINVAL);
	CT_REFUSED_NULL(zpool_get_spec(NULL), EINVAL);
	CT_REFUSED_NULL(zpool_get_name(NULL), EINVAL);
	CT_REFUSED_NULL(zpool_get_total_size(NULL), EINVAL);
	CT_REFUSED_NULL(zpool_max_object_size(NULL), EINVAL);
	CT_REFUSED_NULL(zpool_alignment(NULL), EINVAL);
	CT_REFUSED(zpool_set_limit(NULL, 0), EINVAL);
	CT_REFUSED(zpool_set_param(NULL, "limit", "0"), EINVAL);
	CT_REFUSED(zpool_shrink(NULL, 1, &reclaimed), EINVAL);
	CT_CHECK(reclaimed == 0, "a failed zpool_shrink() left *reclaimed at %u", reclaimed);
	CT_REFUSED(zpool_shrink(NULL, 1, NULL), EINVAL);
	CT_REFUSED(zpool_compact(NULL, 0, 0, &released), EINVAL);
	CT_REFUSED(zpool_trim(NULL, &released), EINVAL);
	CT_REFUSED(zpool_get_stats(NULL, &stats, sizeof(stats)), EINVAL);
	CT_REFUSED(zpool_each_class(NULL, visit_class, NULL), EINVAL);
	CT_CHECK(!zpool_evictable(NULL) && !zpool_can_sleep_mapped(NULL) && !zpool_malloc_support_movable(NULL),
		 "a function that asks what a NULL pool can do returned true");
}

static void null_arguments_are_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object;
	struct ct_set set;

	ct_set_init(&set, 100);
	ct_set_fill(pool, &set, 100, &ct.rng);
	ct_object_make(pool, &object, ct_size(100), 1);
	CT_REFUSED(zpool_malloc(pool, ct_size(100), ZPOOL_GFP_KERNEL, NULL), EINVAL);
	CT_REFUSED(zpool_obj_read(pool, object.handle, NULL, 4, 0), EINVAL);
	CT_REFUSED(zpool_obj_write(pool, object.handle, NULL, 4, 0), EINVAL);
	CT_REFUSED(zpool_each_object(pool, NULL, NULL), EINVAL);
	CT_REFUSED(zpool_each_class(pool, NULL, NULL), EINVAL);
	CT_REFUSED(zpool_get_stats(pool, NULL, sizeof(struct zpool_stats)), EINVAL);
	CT_REFUSED(zpool_set_param(pool, NULL, "1"), EINVAL);
	CT_REFUSED(zpool_set_param(pool, "limit", NULL), EINVAL);
	ct_object_check(pool, &object, "after NULL arguments");
	ct_set_check(pool, &set, "after NULL arguments");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/*
 * A call that is refused changes nothing observable: neither the pool's size, nor which sizes it accepts, nor any
 * object.
 */
static void refused_calls_change_nothing(void)
{
	struct zpool *pool = ct_pool();
	unsigned long handle = 3;
	uint64_t before;
	struct ct_set set;

	ct_set_init(&set, 500);
	ct_set_fill(pool, &set, 500, &ct.rng);
	before = zpool_get_total_size(pool);
	for (int i = 0; i < 2000; i++) {
		zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &handle);
		zpool_malloc(pool, ct.largest_bytes + 1, ZPOOL_GFP_KERNEL, &handle);
		zpool_malloc(pool, ct_size(100), 0x100u, &handle);
		zpool_malloc(pool, ct_size(100), ZPOOL_GFP_KERNEL, NULL);
		zpool_map_handle(pool, set.at[0].handle, (enum zpool_mapmode)17);
		zpool_shrink(pool, 1, NULL);
		zpool_shrink(pool, 0, NULL);
		zpool_set_param(pool, "no_such_key", "1");
		zpool_obj_read(pool, set.at[0].handle, &handle, 0, 0);
	}
	CT_CHECK(handle == 3, "refused mallocs changed *handle to %#lx", handle);
	CT_CHECK(zpool_get_total_size(pool) == before, "refused calls changed the total size from %llu to %llu",
		 (unsigned long long)before, (unsigned long long)zpool_get_total_size(pool));
	ct_set_check(pool, &set, "after 18000 refused calls");
	ct_set_free_all(pool, &set);
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void last_error_stays_after_success(void)
{
	struct zpool *pool = ct_pool();
	char before[512];
	struct ct_object object;

	CT_REFUSED(zpool_malloc(pool, 0, ZPOOL_GFP_KERNEL, &object.handle), EINVAL);
	strncpy(before, zpool_last_error(), sizeof(before) - 1);
	before[sizeof(before) - 1] = '\0';
	ct_object_make(pool, &object, ct_size(50), 1);
	ct_object_check(pool, &object, "just stored");
	zpool_free(pool, object.handle);
	CT_CHECK(strncmp(zpool_last_error(), before, sizeof(before) - 1) == 0,
		 "calls that succeeded changed zpool_last_error() to \"%s\"", zpool_last_error());
	zpool_destroy_pool(pool);
}

const struct ct_case ct_cases_badinput[] = {
	{ "null_pool_is_refused_by_object_calls",
	  "With NULL as the pool, every call on objects fails with EINVAL and a message.",
	  null_pool_is_refused_by_object_calls, 0 },
	{ "null_pool_is_refused_by_pool_calls",
	  "With NULL as the pool, every call on pools returns false, or fails with EINVAL and a message.",
	  null_pool_is_refused_by_pool_calls, 0 },
	{ "null_arguments_are_refused", "A NULL argument where a pointer is required gives -EINVAL and a message.",
	  null_arguments_are_refused, 0 },
	{ "refused_calls_change_nothing", "A call that fails changes neither the pool nor the caller's variables.",
	  refused_calls_change_nothing, 0 },
	{ "last_error_stays_after_success", "A call that succeeds leaves zpool_last_error() unchanged.",
	  last_error_stays_after_success, 0 },
	{ NULL, NULL, NULL, 0 },
};
