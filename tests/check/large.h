/* SPDX-License-Identifier: MIT
 *
 * large.h - faults that only show in large pools. broken.c includes this file after the driver and before the driver's
 * structure.
 */

#ifdef FAULT_walk_ends_at_20000
static int (*broken_visit)(unsigned long handle, size_t size, void *user);
static unsigned int broken_visits;

static int broken_object(unsigned long handle, size_t size, void *user)
{
	return ++broken_visits > 20000 ? 0 : broken_visit(handle, size, user);
}

static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	broken_visit = fn;
	broken_visits = 0;
	return slabs_each_object(pool, broken_object, user);
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

#ifdef FAULT_objects_share_bytes_beyond_65536
static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	static char shared[4096] __attribute__((aligned(256)));
	void *address = slabs_map(pool, handle, mode);

	return address && zp_handle_slot(handle) > 65536 ? shared : address;
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_objects_are_counted_in_16_bits
static int broken_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct zpool_stats now = { 0 };

	slabs_stats(pool, &now, sizeof(now));
	now.objects &= 0xffff;
	memcpy(stats, &now, stats_size < sizeof(now) ? stats_size : sizeof(now));
	return 0;
}
#define BROKEN_STATS broken_stats
#endif

/* An object beyond 32 MiB gets an address near the beginning of the pool. */
#ifdef FAULT_addresses_wrap_at_32_megabytes
static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	char *first = zp_pages_address(&((struct slabs_pool *)pool)->pages, 0);
	char *address = slabs_map(pool, handle, mode);

	return address && address > first ? first + (size_t)(address - first) % (32u << 20) : address;
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_total_size_wraps_at_128_mib
static uint64_t broken_total_size(void *pool)
{
	return slabs_total_size(pool) % (128u << 20);
}
#define BROKEN_TOTAL_SIZE broken_total_size
#endif

/*
 * Objects above 4096 bytes are blocks of the C library, found by the slot of their handle.  Those above 128 KiB share
 * one block.
 */
#ifdef FAULT_the_largest_objects_overlap
#define BROKEN_OBJECT_BYTES (1 << 20)

static char *broken_blocks[1 << 16];
static char broken_shared[BROKEN_OBJECT_BYTES] __attribute__((aligned(256)));

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size > 4096 ? 1 : size, gfp, handle);

	if (!err && size > 4096)
		broken_blocks[zp_handle_slot(*handle)] =
			size > 128 << 10 ? broken_shared : aligned_alloc(256, (size + 255) & ~255ul);
	return err;
}
#define BROKEN_MALLOC broken_malloc

static int broken_free(void *pool, unsigned long handle)
{
	char **block = &broken_blocks[zp_handle_slot(handle)], *old = *block;
	int err;

	*block = NULL;
	err = slabs_free(pool, handle);
	if (!err && old != broken_shared)
		free(old);
	return err;
}
#define BROKEN_FREE broken_free

static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	char *address = slabs_map(pool, handle, mode), *block = broken_blocks[zp_handle_slot(handle)];

	return address && block ? block : address;
}
#define BROKEN_MAP broken_map
#endif
