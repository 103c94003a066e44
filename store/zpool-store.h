/* SPDX-License-Identifier: MIT
 *
 * zpool-store.h - compressed units by key, on top of a pool
 *
 * A store keeps units of at most unit_bytes bytes, each under a 64-bit key, compressed in a pool of libzpool.  A unit
 * that repeats one machine word takes no object of the pool; one that does not shrink is stored as it is.
 *
 * The conventions of zpool.h hold here as well: 0 (or a count) on success and a negative errno on failure, NULL and
 * errno from functions that return pointers, and a sentence in zpool_last_error().  Every function but
 * zpool_store_close() may be called from any thread, on the same key too: the last put wins, and a get that runs at the
 * same time returns the old value or the new one, never a mixture.  None is async-signal-safe.  A store belongs to the
 * process that opened it: a child of fork(2) may not use it.
 *
 * Since 0.2.
 */
#ifndef ZPOOL_STORE_H
#define ZPOOL_STORE_H 1

#include <zpool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZPOOL_STORE_UNIT_BYTES_MIN 512
#define ZPOOL_STORE_UNIT_BYTES_MAX 65536

struct zpool_store;

/*
 * What zpool_store_open() takes.  Start from ZPOOL_STORE_ARGS_INIT.  Grows at its end.
 *
 * pool         the spec of the pool, with any driver and filters; NULL: "zsmalloc".  See zpool_open().
 * compressor   "lz4", "lz4hc[:LEVEL]", "zstd[:LEVEL]", "none" or one that zpool_store_add_compressor()
 * added; NULL: "lz4"
 * name         what messages call the pool; NULL: chosen by the library.  Copied.
 * unit_bytes   the largest value, a power of two from 512 to 65536; 0: 4096
 * unit_count   keys are below it; 0: any key may be used
 * limit_bytes  what zpool_store_get_total_size() never exceeds: pool, index and compression contexts; 0: no
 * limit.  With
 *              a limit here, the spec may not have one.
 */
struct zpool_store_args {
	const char *pool;
	const char *compressor;
	const char *name;
	uint64_t unit_bytes;
	uint64_t unit_count;
	uint64_t limit_bytes;
};
/* clang-format off */
#define ZPOOL_STORE_ARGS_INIT { NULL, NULL, NULL, 0, 0, 0 }
/* clang-format on */

/*
 * zpool_store_open - make a store
 *
 * args       see struct zpool_store_args; NULL for the defaults
 * args_size  sizeof(struct zpool_store_args) as the caller was compiled
 *
 * The store, for zpool_store_close().  NULL and errno: EINVAL, an unknown compressor (the message names
 * those that there
 * are), a level out of range, a unit size that is no power of two or out of range, or a limit in the spec beside
 * limit_bytes; E2BIG, a newer caller sets a member that this library does not know; ENOMEM, out of memory,
 * or limit_bytes
 * is below what an empty store needs, which the message tells; or what zpool_open() gives.
 */
ZPOOL_PUBLIC struct zpool_store *zpool_store_open(const struct zpool_store_args *args, size_t args_size);

/* zpool_store_close - end a store and all units in it.  No other thread may be inside a call on it.  NULL is
 * ignored. */
ZPOOL_PUBLIC void zpool_store_close(struct zpool_store *store);

/*
 * zpool_store_put - keep a value under a key, in place of the one that was there
 *
 * data   bytes bytes, 1 to unit_bytes.  No lock is held while they are compressed.
 *
 * 0, or -EINVAL: a NULL argument, a length out of range, a key that is not below unit_count; -ENOMEM: the limit is
 * reached, or there is no memory; -ENOSPC: the value does not shrink to what the pool's driver takes.  After a failure
 * the key keeps its old value.
 */
ZPOOL_PUBLIC int zpool_store_put(struct zpool_store *store, uint64_t key, const void *data, size_t bytes);

/*
 * zpool_store_get - copy a value out
 *
 * buf, room   receive it; room is at least the value's length
 *
 * The length of the value, or -ENOENT: the key has none; -EINVAL: a NULL argument, a key that is not below unit_count;
 * -ENOBUFS: the value is longer than room; -EIO: what the pool returned cannot be decompressed, so memory was
 * overwritten or the pool's driver is faulty.  After a failure the contents of buf are undefined.
 */
ZPOOL_PUBLIC int64_t zpool_store_get(struct zpool_store *store, uint64_t key, void *buf, size_t room);

/* zpool_store_drop - forget a value.  0, or -ENOENT: the key has none; -EINVAL: as zpool_store_get(). */
ZPOOL_PUBLIC int zpool_store_drop(struct zpool_store *store, uint64_t key);

/*
 * zpool_store_drop_range - forget the values of count keys from first on
 *
 * Takes time in proportion to the keys in the range or to the values in the store, whichever are fewer.
 *
 * 0, or -EINVAL: store is NULL, count is 0, or the range does not end below unit_count (or passes the last key).
 */
ZPOOL_PUBLIC int zpool_store_drop_range(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_zero_range - let count keys from first on have values of unit_bytes zero bytes, which take no object
 *
 * 0, or -EINVAL as zpool_store_drop_range(); -ENOMEM: the limit is reached or there is no memory, and only the first
 * part of the range is zero.
 */
ZPOOL_PUBLIC int zpool_store_zero_range(struct zpool_store *store, uint64_t first, uint64_t count);

/* What zpool_store_next_extent() finds. */
enum zpool_store_extent {
	ZPOOL_STORE_HOLE, /* keys without a value */
	ZPOOL_STORE_ZERO, /* values of unit_bytes zero bytes */
	ZPOOL_STORE_DATA  /* other values */
};

/*
 * zpool_store_next_extent - how many keys from first on are of one kind
 *
 * max_count   how far to look, at least 1; cut off at unit_count
 * count       receives the length of the extent, 1 to max_count keys
 *
 * An extent may be told in parts.  The kind (enum zpool_store_extent), or -EINVAL: a NULL argument, max_count 0, first
 * is not below unit_count.  Where other threads change the range meanwhile, each key is reported as it was at some time
 * during the call.  A hole takes time in proportion to its length or to the number of values, whichever is less.
 */
ZPOOL_PUBLIC int zpool_store_next_extent(struct zpool_store *store, uint64_t first, uint64_t max_count,
					 uint64_t *count);

/*
 * zpool_store_set_limit - change the limit, as struct zpool_store_args has it
 *
 * Below what is held now it only stops growth.  0, or -EINVAL: store is NULL.
 */
ZPOOL_PUBLIC int zpool_store_set_limit(struct zpool_store *store, uint64_t limit_bytes);

/* zpool_store_get_total_size - bytes that the store holds: pool, index, contexts.  0, errno EINVAL: store is NULL. */
ZPOOL_PUBLIC uint64_t zpool_store_get_total_size(struct zpool_store *store);

/*
 * zpool_store_compact - give memory back: zpool_compact() and zpool_trim() on the pool
 *
 * budget_bytes, budget_ns   as for zpool_compact(), of which -EOPNOTSUPP is no failure here
 *
 * 0 when nothing is left to gain, 1 when the budget ended it, or -EINVAL: store is NULL.
 */
ZPOOL_PUBLIC int zpool_store_compact(struct zpool_store *store, uint64_t budget_bytes, uint64_t budget_ns);

/*
 * What zpool_store_get_stats() tells.  Grows at its end.  The first six describe the present, the others
 * count since the
 * store was opened.  While other threads use the store, the members need not belong to one moment.
 */
struct zpool_store_stats {
	uint64_t units;          /* values that there are */
	uint64_t same_filled;    /* of these, those without an object */
	uint64_t incompressible; /* of these, those that are stored as they are */
	uint64_t original_bytes; /* the sum of the values' lengths */
	uint64_t stored_bytes;   /* the sum of their objects' lengths, headers included */
	uint64_t pool_bytes;     /* zpool_get_total_size() of the pool */
	uint64_t index_bytes;
	uint64_t context_bytes;
	uint64_t puts;
	uint64_t hits;   /* gets that found a value */
	uint64_t misses; /* gets that found none */
	uint64_t drops;
	uint64_t refused_limit;     /* puts that the limit refused, or for which there was no memory */
	uint64_t refused_too_large; /* puts of which the driver did not take the object */
	uint64_t refused_other;     /* puts that failed in another way */
	uint64_t damaged;           /* gets that returned -EIO */
};

/*
 * zpool_store_get_stats - a store's counters
 *
 * stats_size   sizeof(struct zpool_store_stats) as the caller was compiled; what this library does not know reads as 0
 *
 * 0, or -EINVAL: a NULL argument, stats_size 0.
 */
ZPOOL_PUBLIC int zpool_store_get_stats(struct zpool_store *store, struct zpool_store_stats *stats, size_t stats_size);

/*
 * A compressor.  The functions may be called from several threads at once, but never with the same context.
 *
 * struct_size    sizeof(struct zpool_store_compressor)
 * name           as type names are written: [a-z][a-z0-9_]*, at most 31 characters
 * level_min, level_max, level_default   what NAME:LEVEL may say; all 0: it takes no level
 * create         a context for one thread at a time, NULL: no memory
 * destroy        the end of a context
 * context_bytes  memory that a context holds
 * compress       the length of what was written to to[0..room), 0: it does not fit
 * decompress     the length of what was written to to[0..room), 0: the input is damaged or does not fit
 */
struct zpool_store_compressor {
	uint32_t struct_size;
	int32_t level_min;
	int32_t level_max;
	int32_t level_default;
	const char *name;
	void *(*create)(int level);
	void (*destroy)(void *context);
	size_t (*context_bytes)(const void *context);
	size_t (*compress)(void *context, const void *from, size_t bytes, void *to, size_t room);
	size_t (*decompress)(void *context, const void *from, size_t bytes, void *to, size_t room);
};

/*
 * zpool_store_add_compressor - make a compressor of the program's known to stores that are opened later
 *
 * compressor   stays valid and unchanged for as long as the process runs
 *
 * 0, or -EINVAL: NULL, another struct_size, no valid name, a function that is missing, or levels out of order; -EEXIST:
 * there is one of that name; -ENOSPC: 32 were added already.
 */
ZPOOL_PUBLIC int zpool_store_add_compressor(const struct zpool_store_compressor *compressor);

#ifdef __cplusplus
}
#endif

#endif /* ZPOOL_STORE_H */
