/* SPDX-License-Identifier: MIT
 *
 * kernel_caller.c - a program by an author who knows the kernel's zpool but not libzpool
 *
 * A small front end, like zswap, stands before a swap device: it keeps compressed pages in a pool, writes them back to
 * the device when the pool exceeds its limit, and sends pages directly to the device if the pool does not accept them.
 * It uses the kernel's functions, types and flags by their names, which ZPOOL_KERNEL_NAMES provides. One of the drivers
 * is part of the program: it is registered and evicts as drivers in the kernel do.
 *
 * kernel_caller [--seed N] [TYPE...]: runs on its own driver and on the named drivers, or on those of the list in
 * ZPOOL_TEST_DRIVERS, separated by blanks, that are found. The exit status is 0; 1 after a message for each lost page
 * and each broken promise; 77 if no driver was found.
 */
#ifndef ZPOOL_KERNEL_NAMES
#define ZPOOL_KERNEL_NAMES
#endif
#include <zpool-driver.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PAGE_SIZE = 4096, OFFSETS = 2048, OPERATIONS = 40000, POOL_BYTES_MAX = 1 << 20, BUSY_ONE_IN = 13 };
enum { EXIT_SKIPPED = 77 };

/* Stored before the compressed bytes, because the evict callback receives only a handle. */
struct header {
	u64 offset;
};

struct entry {
	unsigned long handle;
	unsigned int length; /* number of compressed bytes; 0 if the page is not in the pool */
	bool same_filled;    /* the page is not in the pool because all its bytes have this value */
	unsigned char value;
};

struct counters {
	unsigned long stored, same_filled, written_back, pool_limit_hit, reject_reclaim_fail, reject_alloc_fail,
		reject_compress_poor, busy;
};

static struct entry entries[OFFSETS];
static struct counters counters;
static unsigned char device[OFFSETS][PAGE_SIZE];
static unsigned int versions[OFFSETS]; /* the version that was stored last; 0 if none was */
static unsigned long seed;
static int failures;

static void complain(const char *type, const char *what)
{
	fprintf(stderr, "FAIL: %s: %s; the last error was: %s\n", type, what, zpool_last_error());
	failures++;
}

static unsigned int next_random(u64 *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned int)(*state >> 33);
}

/* ---- the front end ---- */

/* Replaces a compressor: drops the zeros at the end of a page. */
static unsigned int compress(const unsigned char *page)
{
	unsigned int length = PAGE_SIZE;

	while (length > 1 && page[length - 1] == 0)
		length--;
	return length;
}

static void decompress(const unsigned char *from, unsigned int length, unsigned char *page)
{
	memcpy(page, from, length);
	memset(page + length, 0, PAGE_SIZE - length);
}

static bool is_same_filled(const unsigned char *page)
{
	return memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

static int write_back(struct zpool *pool, unsigned long handle)
{
	const struct header *header = zpool_map_handle(pool, handle, ZPOOL_MM_RO);
	struct entry *entry;

	if (!header)
		return -ENOENT;
	entry = &entries[header->offset];
	if (entry->handle != handle) {
		zpool_unmap_handle(pool, handle);
		return -EAGAIN;
	}
	/* Sometimes the page is in use and cannot be written. */
	if ((counters.written_back + counters.busy) % BUSY_ONE_IN == BUSY_ONE_IN - 1) {
		counters.busy++;
		zpool_unmap_handle(pool, handle);
		return -EEXIST;
	}
	decompress((const unsigned char *)(header + 1), entry->length, device[header->offset]);
	zpool_unmap_handle(pool, handle);
	zpool_free(pool, handle);
	entry->length = 0;
	counters.written_back++;
	return 0;
}

static const struct zpool_ops ops = { .evict = write_back };

static void invalidate_page(struct zpool *pool, unsigned int offset)
{
	if (entries[offset].length)
		zpool_free(pool, entries[offset].handle);
	memset(&entries[offset], 0, sizeof(entries[offset]));
}

static bool has_room(struct zpool *pool)
{
	if (zpool_get_total_size(pool) <= POOL_BYTES_MAX)
		return true;
	counters.pool_limit_hit++;
	if (zpool_shrink(pool, 1, NULL)) {
		counters.reject_reclaim_fail++;
		return false;
	}
	return zpool_get_total_size(pool) <= POOL_BYTES_MAX;
}

/* Returns 0 if the pool stored the page; otherwise the caller writes it to the device. */
static int store_page(struct zpool *pool, unsigned int offset, const unsigned char *page)
{
	/* Some of these flags are 0 here, which clang-tidy would report. */
	gfp_t gfp = __GFP_NORETRY | __GFP_NOWARN | __GFP_KSWAPD_RECLAIM; /* NOLINT(misc-redundant-expression) */
	struct entry *entry = &entries[offset];
	struct header *header;
	unsigned long handle;
	unsigned int length;
	int ret;

	invalidate_page(pool, offset);
	if (is_same_filled(page)) {
		entry->same_filled = true;
		entry->value = page[0];
		counters.same_filled++;
		return 0;
	}
	if (!has_room(pool))
		return -ENOMEM;
	length = compress(page);
	if (zpool_malloc_support_movable(pool))
		gfp |= __GFP_HIGHMEM | __GFP_MOVABLE;
	ret = zpool_malloc(pool, sizeof(*header) + length, gfp, &handle);
	if (ret) {
		counters.reject_compress_poor += ret == -ENOSPC;
		counters.reject_alloc_fail += ret != -ENOSPC;
		return ret;
	}
	header = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	header->offset = offset;
	memcpy(header + 1, page, length);
	zpool_unmap_handle(pool, handle);
	entry->handle = handle;
	entry->length = length;
	counters.stored++;
	return 0;
}

static void load_page(struct zpool *pool, unsigned int offset, unsigned char *page)
{
	const struct entry *entry = &entries[offset];
	const struct header *header;

	if (entry->same_filled) {
		memset(page, entry->value, PAGE_SIZE);
	} else if (entry->length) {
		header = zpool_map_handle(pool, entry->handle, ZPOOL_MM_RO);
		decompress((const unsigned char *)(header + 1), entry->length, page);
		zpool_unmap_handle(pool, entry->handle);
	} else {
		memcpy(page, device[offset], PAGE_SIZE);
	}
}

/* The type that the user chose, or else the default. */
static struct zpool *create_pool(char *type, char *fallback)
{
	if (!zpool_has_pool(type))
		type = fallback;
#if ZPOOL_KERNEL_NAMES + 0 >= 400
	return zpool_has_pool(type) ? zpool_create_pool(type, "caller", GFP_KERNEL, &ops) : NULL;
#else
	return zpool_has_pool(type) ? zpool_create_pool(type, GFP_KERNEL, &ops) : NULL;
#endif
}

/* ---- a driver that is part of the program ---- */

enum { SLOTS = 256 };

struct slots_pool {
	unsigned char bytes[SLOTS][PAGE_SIZE] __attribute__((aligned(16)));
	unsigned long uses[SLOTS]; /* odd if the slot is taken */
	unsigned int maps[SLOTS];
	unsigned int next;
};

static int slots_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, sizeof(struct slots_pool));
	return out->pool ? 0 : -ENOMEM;
}

static struct slots_pool *slots_find(void *pool_, unsigned long handle, unsigned long *slot)
{
	struct slots_pool *pool = pool_;

	*slot = handle % SLOTS;
	return pool->uses[*slot] % 2 && pool->uses[*slot] == handle / SLOTS ? pool : NULL;
}

static int slots_malloc(void *pool_, size_t size, gfp_t gfp, unsigned long *handle)
{
	struct slots_pool *pool = pool_;

	for (unsigned int tries = 0; tries < SLOTS; tries++) {
		unsigned int slot = pool->next++ % SLOTS;

		if (pool->uses[slot] % 2)
			continue;
		if (gfp & __GFP_ZERO)
			memset(pool->bytes[slot], 0, size);
		*handle = ++pool->uses[slot] * SLOTS + slot;
		return 0;
	}
	return -ENOMEM;
}

static int slots_free(void *pool_, unsigned long handle)
{
	unsigned long slot;
	struct slots_pool *pool = slots_find(pool_, handle, &slot);

	if (!pool || pool->maps[slot])
		return pool ? -EBUSY : -EINVAL;
	pool->uses[slot]++;
	return 0;
}

static void *slots_map(void *pool_, unsigned long handle, enum zpool_mapmode mode)
{
	unsigned long slot;
	struct slots_pool *pool = slots_find(pool_, handle, &slot);

	(void)mode;
	if (!pool) {
		errno = EINVAL;
		return NULL;
	}
	pool->maps[slot]++;
	return pool->bytes[slot];
}

static int slots_unmap(void *pool_, unsigned long handle)
{
	unsigned long slot;
	struct slots_pool *pool = slots_find(pool_, handle, &slot);

	if (!pool || !pool->maps[slot])
		return -EINVAL;
	pool->maps[slot]--;
	return 0;
}

/* Calls the owner's evict function as in the kernel, through the driver's own pool. */
static int slots_shrink(void *pool_, unsigned int pages, unsigned int *reclaimed)
{
	struct slots_pool *pool = pool_;

	*reclaimed = 0;
	for (unsigned int i = 0; i < SLOTS && *reclaimed < pages; i++) {
		unsigned int slot = (pool->next + i) % SLOTS;

		if (pool->uses[slot] % 2 && zpool_evict(pool, pool->uses[slot] * SLOTS + slot) == 0)
			++*reclaimed;
	}
	return *reclaimed < pages ? -EAGAIN : 0;
}

static u64 slots_total_size(void *pool_)
{
	struct slots_pool *pool = pool_;
	u64 bytes = sizeof(*pool) - sizeof(pool->bytes);

	/* Reports eight times the actual size, so that the front end reaches its limit. */
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		bytes += pool->uses[slot] % 2 * 8 * PAGE_SIZE;
	return bytes;
}

static const struct zpool_driver slots_driver = {
	.magic = ZPOOL_DRIVER_MAGIC,
	.abi_major = ZPOOL_ABI_MAJOR,
	.abi_minor = ZPOOL_ABI_MINOR,
	.struct_size = sizeof(struct zpool_driver),
	.param_size = sizeof(struct zpool_param),
	.type = "slots",
	.max_object_bytes = PAGE_SIZE,
	.alignment_bytes = 16,
	.create = slots_create,
	.destroy = free,
	.malloc = slots_malloc,
	.free = slots_free,
	.shrink = slots_shrink,
	.map = slots_map,
	.unmap = slots_unmap,
	.total_size = slots_total_size,
};

/* ---- the run ---- */

/*
 * The contents of a page follow from its offset and version: some pages have only one value, some do not compress, and
 * most are in between.
 */
static void fill_page(unsigned char *page, unsigned int offset, unsigned int version)
{
	u64 state = (u64)seed << 32 ^ offset * UINT64_C(2654435761) ^ version;
	unsigned int kind = next_random(&state) % 16;
	unsigned int length = kind == 0 ? 0 : kind == 1 ? PAGE_SIZE : next_random(&state) % PAGE_SIZE;

	memset(page, 0, PAGE_SIZE);
	for (unsigned int i = 0; i < length; i++)
		page[i] = (unsigned char)(next_random(&state) | 1);
}

static void compare_page(struct zpool *pool, unsigned int offset)
{
	unsigned char found[PAGE_SIZE], wanted[PAGE_SIZE];

	if (!versions[offset])
		return;
	load_page(pool, offset, found);
	fill_page(wanted, offset, versions[offset]);
	if (memcmp(found, wanted, PAGE_SIZE) != 0)
		complain(zpool_get_type(pool), "a page was read back with different bytes");
}

static void work(struct zpool *pool, u64 *state)
{
	unsigned char page[PAGE_SIZE];
	int failed_before = failures;

	for (unsigned int i = 0; i < OPERATIONS && failures == failed_before; i++) {
		unsigned int offset = next_random(state) % OFFSETS;

		switch (next_random(state) % 4) {
		case 0:
			compare_page(pool, offset);
			break;
		case 1:
			invalidate_page(pool, offset);
			versions[offset] = 0;
			break;
		default:
			versions[offset] = i + 1;
			fill_page(page, offset, versions[offset]);
			if (store_page(pool, offset, page))
				memcpy(device[offset], page, PAGE_SIZE);
			break;
		}
	}
	for (unsigned int offset = 0; offset < OFFSETS; offset++)
		compare_page(pool, offset);
}

static void expect(struct zpool *pool)
{
	const char *type = zpool_get_type(pool);
	bool evicts = zpool_evictable(pool);

	if (!counters.stored || !counters.same_filled || !counters.pool_limit_hit)
		complain(type, "too few pages were stored in the pool");
	if (evicts && (!counters.written_back || !counters.busy))
		complain(type, "the driver can evict, but wrote nothing back");
	if (!evicts && (counters.written_back || counters.reject_reclaim_fail != counters.pool_limit_hit))
		complain(type, "the driver cannot evict, but a shrink returned 0");
	if (zpool_max_object_size(pool) < PAGE_SIZE + sizeof(struct header) && !counters.reject_compress_poor)
		complain(type, "an object that is too large was not refused with -ENOSPC");
	if (counters.reject_alloc_fail && strcmp(type, "slots") != 0)
		complain(type, "malloc failed without a limit");
	printf("%-8s stored %lu, written back %lu, same filled %lu, limit hit %lu, rejected: %lu reclaim, %lu alloc, %lu poor\n",
	       type, counters.stored, counters.written_back, counters.same_filled, counters.pool_limit_hit,
	       counters.reject_reclaim_fail, counters.reject_alloc_fail, counters.reject_compress_poor);
}

/* These are the flags of callers that must not wait. */
static void work_in_atomic_context(struct zpool *pool)
{
	static const gfp_t flags[] = { GFP_ATOMIC, GFP_NOWAIT | __GFP_HIGHMEM | __GFP_MOVABLE, GFP_NOIO | __GFP_ZERO };
	unsigned long handle;

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		int ret = zpool_malloc(pool, 100, flags[i], &handle);
		const char *object;

		if (ret && (i == 2 || (ret != -ENOMEM && ret != -EAGAIN)))
			complain(zpool_get_type(pool), "malloc failed with an error that these flags do not allow");
		if (ret)
			continue;
		object = zpool_map_handle(pool, handle, ZPOOL_MM_DEFAULT);
		if (i == 2 && (object[0] || object[99]))
			complain(zpool_get_type(pool), "__GFP_ZERO returned bytes that are not zero");
		zpool_unmap_handle(pool, handle);
		zpool_free(pool, handle);
	}
}

static bool run(char *type, u64 *state)
{
	static char absent[] = "nosuch";
	struct zpool *pool = create_pool(absent, type);

	if (!pool)
		return false;
	if (strcmp(zpool_get_spec(pool), type) != 0)
		complain(type, "another driver was opened");
	memset(entries, 0, sizeof(entries));
	memset(versions, 0, sizeof(versions));
	memset(&counters, 0, sizeof(counters));
	work_in_atomic_context(pool);
	work(pool, state);
	expect(pool);
	zpool_destroy_pool(pool);
	return true;
}

int main(int argc, char **argv)
{
	static char own[] = "slots", shipped[512];
	const char *list = getenv("ZPOOL_TEST_DRIVERS");
	unsigned int found = 0;
	u64 state;

	seed = (unsigned long)time(NULL);
	if (argc > 2 && strcmp(argv[1], "--seed") == 0) {
		seed = strtoul(argv[2], NULL, 0);
		argc -= 2;
		argv += 2;
	}
	printf("seed %lu\n", seed);
	state = seed;
	if (zpool_register_driver(&slots_driver) || zpool_register_driver(&slots_driver) != -EEXIST)
		complain(own, "a driver could not be registered, or was registered twice");
	for (int i = 1; i < argc; i++)
		if (run(argv[i], &state))
			found++;
		else
			complain(argv[i], "no pool could be created");
	if (argc == 1 && list && snprintf(shipped, sizeof(shipped), "%s", list) >= (int)sizeof(shipped))
		complain(own, "ZPOOL_TEST_DRIVERS is too long");
	for (char *type = strtok(shipped, " "); type; type = strtok(NULL, " "))
		found += run(type, &state);
	if (!run(own, &state))
		complain(own, "no pool of a registered driver could be created");
	if (zpool_unregister_driver(&slots_driver) || zpool_has_pool(own))
		complain(own, "a driver without pools could not be unregistered");
	if (failures)
		return EXIT_FAILURE;
	return found ? EXIT_SUCCESS : EXIT_SKIPPED;
}
