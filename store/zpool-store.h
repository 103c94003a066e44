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
 * A backing of the program's own: the functions through which a store reads and writes an image, in which the unit of a
 * key is at the offset key * unit_bytes.  The store calls them from any thread, several at the same time, but never two
 * for the same unit unless both read.  Offsets and lengths are multiples of unit_bytes, buffers are aligned to 4096
 * bytes.  A function may block; it must return, and it must not call the store.  Grows at its end.
 *
 * struct_size  sizeof(struct zpool_store_backing)
 * flags        0
 * user         the first argument of each function
 * name         what messages call the backing; NULL: "the backing"
 * size         the length of the image in bytes, or -errno; called once, at open
 * pread        the number of bytes that were read, or -errno.  Fewer than asked for is no error: the store calls again
 *              for the rest.  0: the image ends here, which the store reports as -EIO.
 * pwrite       the same for writing.  NULL: the backing is read-only, which zpool_store_open() refuses.
 * flush        0 when everything that was written is on stable storage, or -errno
 * discard      give the range's storage back; it reads as zero bytes afterwards.  0 or -errno.  NULL or -EOPNOTSUPP:
 *              the store uses zero instead.
 * zero         write zero bytes.  0 or -errno.  NULL or -EOPNOTSUPP: the store uses pwrite instead.
 * next_extent  how many bytes from the offset on are of one kind, 1 to `bytes`, or -errno; *is_hole says whether they
 *              are a hole, which reads as zero bytes.  NULL or a failure: the store reports data.
 * close        called by zpool_store_close(), and not where zpool_store_open() fails.  May be NULL.
 *
 * -EINTR from a function repeats the call.
 */
struct zpool_store_backing {
	uint32_t struct_size;
	uint32_t flags;
	void *user;
	const char *name;
	int64_t (*size)(void *user);
	int64_t (*pread)(void *user, void *buf, size_t bytes, uint64_t offset);
	int64_t (*pwrite)(void *user, const void *buf, size_t bytes, uint64_t offset);
	int (*flush)(void *user);
	int (*discard)(void *user, uint64_t offset, uint64_t bytes);
	int (*zero)(void *user, uint64_t offset, uint64_t bytes);
	int64_t (*next_extent)(void *user, uint64_t offset, uint64_t bytes, int *is_hole);
	void (*close)(void *user);
};

/*
 * Flags of struct zpool_store_args.
 *
 * ZPOOL_STORE_CREATE    create the file at backing_path if there is none, and extend it (or that of backing_fd) to
 *                       unit_count units if it is shorter.  Needs unit_count.
 * ZPOOL_STORE_EXCEED    when the limit is reached and the backing fails, a put exceeds the limit instead of being
 *                       refused, until the backing works again
 * ZPOOL_STORE_CHECKSUM  give each object in the pool a checksum (XXH3, 8 bytes), which is checked whenever the value is
 *                       used: a damaged value is reported as -EIO, and never written to the backing.  Values that
 *                       repeat one word have no object, and the image has no checksums.
 */
#define ZPOOL_STORE_CREATE 0x1u
#define ZPOOL_STORE_EXCEED 0x2u
#define ZPOOL_STORE_CHECKSUM 0x4u

/*
 * The options of zpool_store_open().  Start from ZPOOL_STORE_ARGS_INIT.  Grows at its end.
 *
 * pool            the spec of the pool, with any driver and filters; NULL: "zsmalloc".  See zpool_open().
 * compressor      "lz4", "lz4hc[:LEVEL]", "zstd[:LEVEL]", "none" or the name of one that was added with
 *                 zpool_store_add_compressor(); NULL: "lz4"
 * name            the pool's name in messages; NULL: chosen by the library.  Copied.
 * unit_bytes      the largest value, a power of two from 512 to 65536; 0: 4096
 * unit_count      keys are below it; 0: any key may be used, or with a backing, as many as the backing has units
 * limit_bytes     the maximum of zpool_store_get_total_size(): pool, index and compression contexts; 0: no limit.  With
 *                 a limit here, the spec may not have one.
 * backing_path    a regular file or a block device that holds the units for which there is no memory.  At most one of
 *                 the three may be set.  Copied.  The file is locked against other stores while this one is open.
 * backing         the same through functions of the program; the table is copied
 * backing_fd      the same as an open descriptor, which is duplicated; -1: none
 * flags           ZPOOL_STORE_CREATE, ZPOOL_STORE_EXCEED, ZPOOL_STORE_CHECKSUM
 * accept_percent  once the limit is reached, each put also evicts some units, until the store holds at most this
 *                 percentage of its limit, 1 to 100; 0: 90
 *
 * recompressor    a second, stronger compressor for zpool_store_recompress(), named as compressor is; NULL: none
 *
 * A store with a backing is a write-back cache of an image.  Every key has a value, of exactly unit_bytes bytes: the
 * one in memory, or else the one in the backing.  zpool_store_put() changes the memory only, and makes the unit dirty.
 * At the limit, units are evicted: a dirty one is written to the backing first, and one that was read since the last
 * look stays for another round.  Nothing is promised to be in the backing before zpool_store_flush() or
 * zpool_store_sync() returned 0.  When the backing fails, nothing is lost: the unit stays in memory, and the call
 * reports the error.
 */
struct zpool_store_args {
	const char *pool;
	const char *compressor;
	const char *name;
	uint64_t unit_bytes;
	uint64_t unit_count;
	uint64_t limit_bytes;
	const char *backing_path;
	const struct zpool_store_backing *backing;
	int32_t backing_fd;
	uint32_t flags;
	uint32_t accept_percent;
	uint32_t reserved; /* 0 */
	const char *recompressor;
};
/* clang-format off */
#define ZPOOL_STORE_ARGS_INIT { NULL, NULL, NULL, 0, 0, 0, NULL, NULL, -1, 0, 0, 0, NULL }
/* clang-format on */

/*
 * zpool_store_open - make a store
 *
 * args       see struct zpool_store_args; NULL for the defaults
 * args_size  sizeof(struct zpool_store_args) as the caller was compiled
 *
 * The store, for zpool_store_close().  NULL and errno: EINVAL, an unknown compressor (the message lists them), a level
 * out of range, a unit size that is no power of two or out of range, a limit in the spec beside limit_bytes, two
 * backings, an unknown flag, a backing that is no regular file or block device, or one whose length is no multiple of
 * unit_bytes where unit_count does not say how much to use; ENOSPC, the backing is smaller than unit_count units;
 * EROFS, it is read-only; EBUSY, another store or a mounted file system uses it; E2BIG, a newer caller sets a member
 * that this library does not know; ENOMEM, out of memory, or limit_bytes is below what an empty store needs, which the
 * message states; EOPNOTSUPP, the library was built without checksums; or what zpool_open(), open(2) or the backing's
 * size gives.
 */
ZPOOL_PUBLIC struct zpool_store *zpool_store_open(const struct zpool_store_args *args, size_t args_size);

/*
 * zpool_store_close - end a store and all units in it
 *
 * With a backing, what is dirty is written and flushed first.  A failure cannot be reported here: a program that needs
 * to know calls zpool_store_flush() first.  No other thread may be inside a call on the store.  NULL is ignored.
 */
ZPOOL_PUBLIC void zpool_store_close(struct zpool_store *store);

/*
 * zpool_store_put - keep a value under a key, in place of the one that was there
 *
 * data   bytes bytes, 1 to unit_bytes; with a backing, exactly unit_bytes.  No lock is held while they are compressed.
 *
 * 0, or -EINVAL: a NULL argument, a length out of range, a key that is not below unit_count; -ENOMEM: the limit is
 * reached, or there is no memory; -ENOSPC: the value does not shrink to what the pool's driver takes.  With a backing,
 * such values are written to the backing at once, and what fails is what the backing returns, such as -EIO or -ENOSPC.
 * After a failure the key keeps its old value.
 */
ZPOOL_PUBLIC int zpool_store_put(struct zpool_store *store, uint64_t key, const void *data, size_t bytes);

/*
 * zpool_store_get - copy a value out
 *
 * buf, room   receive it; room is at least the value's length
 *
 * A unit that is not in memory is loaded from the backing, and kept in memory if the limit leaves room.
 *
 * The length of the value, or -ENOENT: the key has none; -EINVAL: a NULL argument, a key that is not below unit_count;
 * -ENOBUFS: the value is longer than room; -EIO: what the pool returned cannot be decompressed, so memory was
 * overwritten or the pool's driver is faulty; or what the backing returns.  After a failure the contents of buf are
 * undefined.
 */
ZPOOL_PUBLIC int64_t zpool_store_get(struct zpool_store *store, uint64_t key, void *buf, size_t room);

/*
 * zpool_store_drop - forget a value
 *
 * With a backing, the value becomes unit_bytes zero bytes, and its storage in the backing is given back (discard) at
 * the next flush at the latest.
 *
 * 0, or -ENOENT: the key has none; -EINVAL: store is NULL, or the key is not below unit_count; or what the backing
 * returns.
 */
ZPOOL_PUBLIC int zpool_store_drop(struct zpool_store *store, uint64_t key);

/*
 * zpool_store_drop_range - forget the values of count keys from first on
 *
 * Takes time in proportion to the keys in the range or to the values in the store, whichever are fewer.  With a
 * backing, units that are not in memory are discarded in the backing during the call.
 *
 * 0, or -EINVAL: store is NULL, count is 0, or the range does not end below unit_count (or passes the last key); or
 * what the backing returns, and only a part of the range is dropped.
 */
ZPOOL_PUBLIC int zpool_store_drop_range(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_zero_range - let count keys from first on have values of unit_bytes zero bytes, which take no object
 *
 * With a backing, units that are not in memory are written during the call.
 *
 * 0, or -EINVAL as zpool_store_drop_range(); -ENOMEM: the limit is reached or there is no memory, or what the backing
 * returns, and only a part of the range is zero.
 */
ZPOOL_PUBLIC int zpool_store_zero_range(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_flush - write everything that is dirty to the backing, and flush the backing
 *
 * When it returns 0, every put, drop and zero_range that had returned before the call is on the backing's stable
 * storage.  Other threads may use the store meanwhile.  0 at once without a backing.
 *
 * 0, or -EINVAL: store is NULL; or what the backing returns.  Then the units that could not be written stay dirty, the
 * others were written, and the next flush tries again.
 */
ZPOOL_PUBLIC int zpool_store_flush(struct zpool_store *store);

/*
 * zpool_store_sync - the same for count keys from first on
 *
 * 0, or -EINVAL as zpool_store_drop_range(); or what the backing returns.
 */
ZPOOL_PUBLIC int zpool_store_sync(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_prefetch - load count keys from first on from the backing
 *
 * Ends early, without an error, where the limit leaves no room: it evicts nothing.  0 at once without a backing.
 *
 * 0, or -EINVAL as zpool_store_drop_range(); or what the backing returns.
 */
ZPOOL_PUBLIC int zpool_store_prefetch(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_shrink - evict units until the store holds `bytes` bytes less
 *
 * released   receives by how much zpool_store_get_total_size() became smaller, also on failure; may be NULL
 *
 * 0, or -EINVAL: store is NULL, or bytes is 0; -EOPNOTSUPP: the store has no backing; -EAGAIN: nothing more can be
 * evicted at present; or what the backing returns.
 */
ZPOOL_PUBLIC int zpool_store_shrink(struct zpool_store *store, uint64_t bytes, uint64_t *released);

/* What zpool_store_next_extent() finds. */
enum zpool_store_extent {
	ZPOOL_STORE_HOLE, /* keys without a value; with a backing, units that were dropped or are a hole in it */
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
 * zpool_store_recompress - compress values once more, with the second compressor
 *
 * flags      0, or ZPOOL_STORE_RECOMPRESS_ALL
 * max_units  about how many values to compress; 0: no limit.  The next call continues behind them.
 *
 * Passes once over the values in memory.  One that was put or read since the pass before is left as it is, and counts
 * as idle from now on; so a program that calls this every ten minutes recompresses what was idle for ten to twenty.
 * With ZPOOL_STORE_RECOMPRESS_ALL, all values are recompressed.  A value that does not become shorter stays as it is.
 * Other threads may use the store meanwhile; a put of the value that is being compressed waits for it.
 *
 * 0 when the pass is complete, 1 when max_units ended it; -EINVAL: store is NULL, or there are unknown flags;
 * -EOPNOTSUPP: the store was opened without a recompressor.
 */
#define ZPOOL_STORE_RECOMPRESS_ALL 0x1u
ZPOOL_PUBLIC int zpool_store_recompress(struct zpool_store *store, uint32_t flags, uint64_t max_units);

/*
 * What zpool_store_watch_pressure() waits for and does.  Start from ZPOOL_STORE_PRESSURE_INIT.  Grows at its end.
 *
 * path             a file of pressure stall information (PSI): /proc/pressure/memory, or memory.pressure of a cgroup;
 *                  NULL: memory.pressure of the process's own cgroup, or else /proc/pressure/memory
 * fd               instead of a path, a descriptor of the program's that poll(2) reports POLLPRI for; it is duplicated;
 *                  -1: none
 * stall_ms         an event is that some threads waited for memory for so long
 * window_ms        within such a time, 500 to 10000; Linux wants multiples of 2000 from unprivileged processes.  There
 *                  is at most one event in this time.  0 and 0: 150 of 2000.
 * release_percent  how much of the store to evict at an event, if it has a backing, 1 to 100; 0: 10
 */
struct zpool_store_pressure {
	const char *path;
	int32_t fd;
	uint32_t stall_ms;
	uint32_t window_ms;
	uint32_t release_percent;
};
/* clang-format off */
#define ZPOOL_STORE_PRESSURE_INIT { NULL, -1, 0, 0, 0 }
/* clang-format on */

/*
 * zpool_store_watch_pressure - start a thread that gives memory back when the system is short of it
 *
 * args, args_size  see struct zpool_store_pressure; NULL: the defaults
 *
 * At each event the thread recompresses about a thousand idle values, if the store has a recompressor; then it compacts
 * and trims the pool, and with a backing it evicts release_percent of the store.  It blocks all signals.  This is the
 * only thread that the library ever starts.
 *
 * 0, or -EINVAL: store is NULL, or an argument is out of range; -EBUSY: there is such a thread already; -EOPNOTSUPP:
 * the system has no PSI; -ENOMEM: no memory; -E2BIG: as zpool_store_open(); or the error of open(2), of the write that
 * sets the threshold, or of pthread_create(3).
 */
ZPOOL_PUBLIC int zpool_store_watch_pressure(struct zpool_store *store, const struct zpool_store_pressure *args,
					    size_t args_size);

/*
 * zpool_store_unwatch_pressure - end that thread, after what it is doing; zpool_store_close() does it, too
 *
 * 0, or -EINVAL: store is NULL; -ENOENT: there is no such thread.
 */
ZPOOL_PUBLIC int zpool_store_unwatch_pressure(struct zpool_store *store);

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
 * The result of zpool_store_get_stats().  Grows at its end.  The first eight and `dirty` describe the present, the
 * others count since the store was opened.  While other threads use the store, the members need not belong to one
 * moment.
 */
struct zpool_store_stats {
	uint64_t units;          /* values in memory */
	uint64_t same_filled;    /* of these, those without an object */
	uint64_t incompressible; /* of these, those that are stored as they are */
	uint64_t original_bytes; /* the sum of the values' lengths */
	uint64_t stored_bytes;   /* the sum of their objects' lengths, headers included */
	uint64_t pool_bytes;     /* zpool_get_total_size() of the pool */
	uint64_t index_bytes;
	uint64_t context_bytes;
	uint64_t puts;
	uint64_t hits;   /* gets that found a value in memory */
	uint64_t misses; /* gets that found none */
	uint64_t drops;
	uint64_t refused_limit;     /* puts that the limit refused, or for which there was no memory */
	uint64_t refused_too_large; /* puts of which the driver did not take the object */
	uint64_t refused_other;     /* puts that failed in another way */
	uint64_t damaged;           /* values that the pool returned damaged */
	uint64_t refused_backing;   /* puts that failed because the backing did */
	uint64_t dirty;             /* units that differ from the backing, or may do so */
	uint64_t loaded;            /* units that were read from the backing */
	uint64_t written_back;      /* dirty units that were written to the backing, discarded or zeroed */
	uint64_t written_through;   /* of puts, those that went to the backing at once */
	uint64_t evicted;           /* units that left the memory to make room */
	uint64_t second_chances;    /* units that stayed because they had been read since the last look */
	uint64_t load_errors;       /* reads that the backing failed */
	uint64_t write_errors;      /* writes, zeroes and discards that it failed */
	uint64_t flushes;           /* flushes of the backing that succeeded */
	uint64_t recompressed;      /* values that the second compressor made shorter */
	uint64_t recompress_saved;  /* by how many bytes in all */
	uint64_t pressure_events;   /* after which the thread of zpool_store_watch_pressure() gave memory back */
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
