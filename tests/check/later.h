/* SPDX-License-Identifier: MIT
 *
 * later.h - faults that only show with a newer version of the library, whose structures have grown. broken.c includes
 * this file after the driver and before the driver's structure.
 */

#ifdef FAULT_keeps_the_name
static const char *broken_name;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	broken_name = args->name;
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	return *(const volatile char *)broken_name ? slabs_malloc(pool, size, gfp, handle) : -ENOMEM;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_keeps_the_arguments
static const struct zpool_create_args *broken_args;

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	broken_args = args;
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create

static void broken_destroy(void *pool)
{
	static volatile uint64_t limit_bytes;

	limit_bytes = broken_args->limit_bytes;
	slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_refuses_larger_arguments
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	return args->struct_size == sizeof(*args) ? slabs_create(args, out) : -EINVAL;
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_refuses_a_later_host
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	return args->host->abi_minor <= ZPOOL_ABI_MINOR ? slabs_create(args, out) : -EINVAL;
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_clears_what_create_gives
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_created before = *out;

	memset(out, 0, out->struct_size);
	memcpy(out, &before, sizeof(before));
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_values_are_an_array
static const struct zpool_param broken_params[] = {
	{ .key = "first", .type = ZPOOL_PARAM_UINT, .default_value = "1", .max = 9, .help = "a number" },
	{ .key = "spare", .type = ZPOOL_PARAM_UINT, .default_value = "2", .max = 9, .help = "pages to keep" },
};
#define BROKEN_COPIES , .params = broken_params, .param_count = 2

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	int err = slabs_create(args, out);

	if (!err && args->values[1].number != 2)
		out->max_object_bytes = 2048;
	return err;
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_stats_have_one_size
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	(void)stats_size;
	return slabs_stats(pool, stats, sizeof(*stats));
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_stats_refuse_other_sizes
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	return stats_size == sizeof(*stats) ? slabs_stats(pool, stats, stats_size) : -EINVAL;
}
#define BROKEN_STATS broken_stats
#endif

#ifdef FAULT_stats_copy_too_much
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct zpool_stats now[2];

	memset(now, 1, sizeof(now));
	memset(now, 0, sizeof(now[0]));
	slabs_stats(pool, now, sizeof(now[0]));
	memcpy(stats, now, stats_size);
	return 0;
}
#define BROKEN_STATS broken_stats
#endif

/* The driver's account becomes wrong, which only verify detects. */
#ifdef FAULT_account_goes_wrong
static _Atomic(unsigned int) broken_frees;

static int broken_free(void *pool, unsigned long handle)
{
	atomic_fetch_add(&broken_frees, 1);
	return slabs_free(pool, handle);
}
#define BROKEN_FREE broken_free

static int broken_verify(void *pool)
{
	(void)pool;
	return atomic_load(&broken_frees) > 100 ? -EUCLEAN : 0;
}
#define BROKEN_COPIES , .verify = broken_verify
#endif
