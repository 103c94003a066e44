/* SPDX-License-Identifier: MIT
 *
 * zpool-store.h - a store: compressed values by key, in a pool
 *
 * A store keeps units of at most unit_bytes bytes, each under a 64-bit key, compressed in a pool of libzpool.  A unit
 * that repeats one machine word takes no object of the pool, and one that does not shrink is stored as it is, in an
 * object of its own length.  The object is up to 20 bytes longer if it has a checksum, or if there is a backing and the
 * driver evicts.
 *
 * The conventions of zpool.h hold here as well: 0 (or a count) on success and a negative errno on failure, NULL and
 * errno from functions that return pointers, and a sentence in zpool_last_error().  Every function but
 * zpool_store_close() may be called from any thread, also on the same key: the last put wins, and a get that runs at
 * the same time returns the old value or the new one, never a mixture.  No function is async-signal-safe, no thread is
 * cancelled inside the library, and every function but those that train a dictionary works on a stack of 16 KiB.  A
 * store belongs to the process that opened it: a child of fork(2) may not use it.
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
#define ZPOOL_STORE_DICTIONARY_BYTES_MAX 1048576

struct zpool_store;

/*
 * A program can supply a backing of its own: the functions through which a store reads and writes an image, in which
 * the unit of a key is at the offset key * unit_bytes.  The store calls them from any thread, several at the same time,
 * but never two for the same unit unless both read, or one is next_extent.  Only one flush runs at a time.  Offsets and
 * lengths are multiples of unit_bytes, and buffers are aligned to 4096 bytes.  A function may block, but it must
 * return, and it must not call the store.  Later versions may add members at the end of the structure.
 *
 * struct_size  is sizeof(struct zpool_store_backing).
 * flags        is 0.
 * user         is the first argument of each function.
 * name         is what messages call the backing; with NULL, "The store's backing".
 * size         returns the length of the image in bytes, or -errno.  It is called once, by zpool_store_open().
 * pread        returns the number of bytes that it has read, or -errno.  Fewer bytes than asked for are no error: the
 *              store calls again for the rest.  0 means that the image ends here, which the store reports as -EIO.
 * pwrite       returns the number of bytes that it has written in the same way.  If it is NULL, the backing is
 *              read-only, and zpool_store_open() refuses it.
 * flush        returns 0 when everything that was written is on stable storage, or -errno.
 * discard      gives the storage of a range back, which reads as zero bytes afterwards, and returns 0 or -errno.  If it
 *              is NULL or returns -EOPNOTSUPP, the store uses zero instead.
 * zero         writes zero bytes, and returns 0 or -errno.  If it is NULL or returns -EOPNOTSUPP, the store uses pwrite
 *              instead.
 * next_extent  returns how many bytes from the offset on, 1 to `bytes`, are of one kind, or -errno.  It sets *is_hole
 *              to 1 if they are a hole, which reads as zero bytes, and to 0 otherwise.  If it is NULL or fails, the
 *              store reports data.
 * close        is called by zpool_store_close(), but not if zpool_store_open() fails; it may be NULL.
 *
 * If a function returns -EINTR, the store repeats the call.
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
 * These are the flags of struct zpool_store_args.
 *
 * ZPOOL_STORE_CREATE    creates the file at backing_path if there is none, and extends it (or that of backing_fd) to
 *                       unit_count units if it is shorter.  The flag needs a unit_count.
 * ZPOOL_STORE_EXCEED    lets a put exceed the limit, instead of refusing it, when the limit is reached and the backing
 *                       fails, until the backing works again.
 * ZPOOL_STORE_CHECKSUM  gives each object in the pool a checksum (XXH3, 8 bytes), which is checked whenever the value
 *                       is used: a damaged value is reported as -EIO, and never written to the backing.  Values that
 *                       repeat one word have no object, and the image has no checksums.
 */
#define ZPOOL_STORE_CREATE 0x1u
#define ZPOOL_STORE_EXCEED 0x2u
#define ZPOOL_STORE_CHECKSUM 0x4u

/*
 * These are the options of zpool_store_open().  The caller starts from ZPOOL_STORE_ARGS_INIT.  Later versions may add
 * members at the end of the structure.
 *
 * pool            is the spec of the pool, with any driver and filters; NULL means "zsmalloc".  See zpool_open().
 * compressor      is "lz4", "lz4hc[:LEVEL]", "zstd[:LEVEL]", "none" or the name of one that was added with
 *                 zpool_store_add_compressor(); NULL means "lz4".
 * name            is the pool's name in messages; with NULL, the library chooses one.  The store copies the string.
 * unit_bytes      is the length of the largest value, a power of two from 512 to 65536; 0 means 4096.
 * unit_count      is above every key.  With 0, any key may be used; with a backing, 0 means the number of units in it.
 * limit_bytes     is the maximum of zpool_store_get_total_size(), which covers the pool, the index, the compression
 *                 contexts and the dictionaries; 0 means no limit.  If there is a limit here, the spec may not have
 *                 one.  A limit in the spec covers only the pool.  With a backing, units are evicted when either is
 *                 reached.  An empty store takes 25 to 160 KiB with lz4 and units of at most 4 KiB, and up to 3 MiB
 *                 with zstd and larger ones; its first value takes up to 45 KiB more, and each call that runs at the
 *                 same time another context.  A limit below 1 MiB leaves little of it for values.
 * backing_path    names a regular file or a block device that holds the units for which there is no memory.  At most
 *                 one of backing_path, backing and backing_fd may be set.  The store copies the string, and locks the
 *                 file against other stores while it is open.
 * backing         is a backing through functions of the program; the store copies the structure.
 * backing_fd      is an open descriptor of the backing, which the store duplicates; -1 means none.
 * flags           are any of ZPOOL_STORE_CREATE, ZPOOL_STORE_EXCEED and ZPOOL_STORE_CHECKSUM.
 * accept_percent  is from 1 to 100; 0 means 90.  Once limit_bytes is reached, each put also evicts some units, until
 *                 at most this percentage of it is in use.  Space in the pool that evicted units have left counts as
 *                 free, also where the driver cannot give it back to the system.
 * reserved        is 0.
 * recompressor    is a second, stronger compressor for zpool_store_recompress(), named as compressor is; NULL means
 *                 none.
 * dictionary      is a zstd dictionary of dictionary_bytes bytes, which the store copies; NULL means none.  Bytes that
 *                 do not begin with the magic number of zstd's dictionaries are a raw dictionary: text that values may
 *                 repeat.  The compressor or the recompressor must be zstd.
 * dictionary_bytes  is the length of the dictionary, 8 to ZPOOL_STORE_DICTIONARY_BYTES_MAX.
 * train_units     is how many values that are not same-filled the store needs before it trains a dictionary; 0 means
 *                 that only zpool_store_train() trains one.  The thread that puts or loads about that value trains the
 *                 dictionary during its call.
 * train_bytes     is the largest dictionary that is trained, 256 to ZPOOL_STORE_DICTIONARY_BYTES_MAX; 0 means 65536 if
 *                 train_units is set, and otherwise that no dictionary is trained.
 *
 * A store with a backing is a write-back cache of an image.  Every key has a value of exactly unit_bytes bytes, which
 * is the one in memory, or else the one in the backing.  zpool_store_put() changes only the memory, and makes the unit
 * dirty.  At the limit, the store evicts units: it writes a dirty one to the backing first, and gives one that was read
 * since eviction last looked at it a second chance.  A value is certain to be in the backing only after
 * zpool_store_flush() or zpool_store_sync() has returned 0.  When a write to the backing fails, the unit stays in
 * memory, so nothing is lost, and the call reports the error.  The backing may then have a part of the new value; the
 * unit stays dirty, and the next flush writes it again.  A get returns whole values only, because a unit that was not
 * in memory before such a write is taken into it.  At most about 16 units can exceed the limit for this reason.
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
	uint32_t reserved;
	const char *recompressor;
	const void *dictionary;
	uint64_t dictionary_bytes;
	uint64_t train_units;
	uint64_t train_bytes;
};
/* clang-format off */
#define ZPOOL_STORE_ARGS_INIT { NULL, NULL, NULL, 0, 0, 0, NULL, NULL, -1, 0, 0, 0, NULL, NULL, 0, 0, 0 }
/* clang-format on */

/*
 * zpool_store_open - make a store
 *
 * args       is described at struct zpool_store_args; NULL means the defaults.
 * args_size  is sizeof(struct zpool_store_args) as the caller was compiled.
 *
 * Returns the store, which the caller ends with zpool_store_close(), or NULL with errno set:
 *
 * EINVAL      The compressor is unknown (the message lists the known ones), or its level is out of range; the unit size
 *             is out of range or not a power of two; the spec has a limit besides limit_bytes; two backings are set, or
 *             an unknown flag; the backing is neither a regular file nor a block device; its length is not a multiple
 *             of unit_bytes, and unit_count does not say how much of it to use; the dictionary is damaged, empty or of
 *             a length that is out of range, as train_bytes may be; or there is a dictionary, or one is to be trained,
 *             and no compressor is zstd.
 * ENOSPC      The backing is smaller than unit_count units.
 * EROFS       The backing is read-only.
 * EBUSY       Another store or a mounted file system uses the backing.
 * E2BIG       A newer caller sets a member that this library does not know.
 * ENOMEM      There is no memory, or limit_bytes is below what an empty store needs, which the message states.
 * EOPNOTSUPP  The library was built without checksums.
 *
 * It can also fail with the errors of zpool_open(), of open(2) and of the backing's size function.
 */
ZPOOL_PUBLIC struct zpool_store *zpool_store_open(const struct zpool_store_args *args, size_t args_size);

/*
 * zpool_store_close - end a store and all units in it
 *
 * With a backing, the dirty units are written and flushed first.  A failure cannot be reported here, so a program that
 * needs to know calls zpool_store_flush() first.  No other thread may be inside a call on the store.  NULL is ignored.
 */
ZPOOL_PUBLIC void zpool_store_close(struct zpool_store *store);

/*
 * zpool_store_put - keep a value under a key, in place of the one that was there
 *
 * data   is the value.
 * bytes  is its length, 1 to unit_bytes; with a backing, exactly unit_bytes.
 *
 * The value is compressed without a lock.  Returns 0; -EINVAL if an argument is NULL, the length is out of range or the
 * key is not below unit_count; -ENOMEM if the limit is reached or there is no memory; or -ENOSPC if the value does not
 * shrink to what the pool's driver accepts, or is longer than that with its checksum.  With a backing, values that the
 * memory cannot take are written to the backing at once, and the call fails with the error of the backing, such as -EIO
 * or -ENOSPC, only if that fails.  After a failure the key keeps its old value; but if the backing failed, it may also
 * have the new one, which then stays in memory, dirty.  It never has a mixture.
 */
ZPOOL_PUBLIC int zpool_store_put(struct zpool_store *store, uint64_t key, const void *data, size_t bytes);

/*
 * zpool_store_get - copy a value out
 *
 * buf   receives the value.
 * room  is the size of buf, at least the value's length.
 *
 * A unit that is not in memory is loaded from the backing, and kept in memory if the limit leaves room.
 *
 * Returns the length of the value; -ENOENT if the key has none; -EINVAL if an argument is NULL or the key is not below
 * unit_count; -ENOBUFS if the value is longer than room; -EIO if the object cannot be decompressed, because memory was
 * overwritten or the pool's driver is faulty; or the error of the backing.  After a failure the contents of buf are
 * undefined.
 */
ZPOOL_PUBLIC int64_t zpool_store_get(struct zpool_store *store, uint64_t key, void *buf, size_t room);

/*
 * zpool_store_read - copy a value out, as zpool_store_get() does, with flags
 *
 * flags   is 0 or ZPOOL_STORE_NOREUSE.
 *
 * ZPOOL_STORE_NOREUSE says that the program does not expect to read the value again soon, as during a backup.  A unit
 * that is loaded from the backing is then not kept in memory, so that other units need not leave it, and reading a unit
 * in memory neither gives it a second chance at eviction nor delays its recompression.
 *
 * Returns what zpool_store_get() returns, or -EINVAL if a flag is unknown.
 */
#define ZPOOL_STORE_NOREUSE 0x1u
ZPOOL_PUBLIC int64_t zpool_store_read(struct zpool_store *store, uint64_t key, void *buf, size_t room, uint32_t flags);

/*
 * zpool_store_drop - forget a value
 *
 * With a backing, the value becomes unit_bytes zero bytes, and its storage in the backing is given back (discarded)
 * by the next flush at the latest.
 *
 * Returns 0; -ENOENT if the key has no value; -EINVAL if store is NULL or the key is not below unit_count; or the error
 * of the backing.
 */
ZPOOL_PUBLIC int zpool_store_drop(struct zpool_store *store, uint64_t key);

/*
 * zpool_store_drop_range - forget the values of count keys from first on
 *
 * The time is in proportion to the keys in the range or, without a backing, to the values in the store if these are
 * fewer.  With a backing, units that are not in memory are discarded in the backing during the call.
 *
 * Returns 0; -EINVAL if store is NULL, count is 0, or the range does not end below unit_count (or exceeds the last
 * 64-bit key); or the error of the backing, after which only a part of the range may be dropped, but no part of a
 * value.
 */
ZPOOL_PUBLIC int zpool_store_drop_range(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_zero_range - set the values of count keys from first on to unit_bytes zero bytes, which take no object
 *
 * With a backing, units that are not in memory are written during the call.
 *
 * Returns 0; -EINVAL in the cases of zpool_store_drop_range(); -ENOMEM if the limit is reached or there is no memory;
 * or the error of the backing.  After the last two, only a part of the range may be zero, but no part of a value.
 */
ZPOOL_PUBLIC int zpool_store_zero_range(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_flush - write everything that is dirty to the backing, and flush the backing
 *
 * When it returns 0, every put, drop and zero_range that had returned before the call is on the backing's stable
 * storage.  Other threads may use the store meanwhile.  Without a backing it returns 0 at once.
 *
 * Returns 0; -EINVAL if store is NULL; or the error of the backing.  Then the units that could not be written stay
 * dirty, the others were written, and the next flush tries again.  If the backing fails to flush, all flushes and syncs
 * that run at that time fail, because the system reports lost writes only once.
 */
ZPOOL_PUBLIC int zpool_store_flush(struct zpool_store *store);

/*
 * zpool_store_sync - flush only count keys from first on, as zpool_store_flush() does for all
 *
 * Returns 0; -EINVAL in the cases of zpool_store_drop_range(); or the error of the backing.
 */
ZPOOL_PUBLIC int zpool_store_sync(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_prefetch - load count keys from first on from the backing
 *
 * The call evicts nothing: if the limit leaves no room, it ends early without an error.  It passes over units that the
 * driver cannot hold.  Without a backing it returns 0 at once.
 *
 * Returns 0; -EINVAL in the cases of zpool_store_drop_range(); or the error of the backing.
 */
ZPOOL_PUBLIC int zpool_store_prefetch(struct zpool_store *store, uint64_t first, uint64_t count);

/*
 * zpool_store_shrink - evict units until the store holds `bytes` bytes less
 *
 * released   receives by how many bytes zpool_store_get_total_size() became smaller, also on failure; it may be NULL.
 *
 * Free pages of the pool are released first.  Returns 0 if that many bytes were released; -EINVAL if store is NULL or
 * bytes is 0; -EOPNOTSUPP if the store has no backing; -EAGAIN if nothing more can be evicted at present; or the error
 * of the backing.
 */
ZPOOL_PUBLIC int zpool_store_shrink(struct zpool_store *store, uint64_t bytes, uint64_t *released);

/* These are the kinds of extents that zpool_store_next_extent() finds. */
enum zpool_store_extent {
	ZPOOL_STORE_HOLE, /* keys without a value; with a backing, units that were dropped or are a hole in it */
	ZPOOL_STORE_ZERO, /* values of unit_bytes zero bytes */
	ZPOOL_STORE_DATA  /* other values */
};

/*
 * zpool_store_next_extent - how many keys from first on are of one kind
 *
 * max_count   is how many keys to look at, at least 1; the call ends at unit_count in any case.
 * count       receives the length of the extent, 1 to max_count keys.
 *
 * The call may report only the first part of an extent, and the next call the rest.  If other threads change the range
 * meanwhile, each key is reported as it was at some time during the call, but a hole in a backing may then be reported
 * as data.  The time for a hole is in proportion to its length or, without a backing, to the number of values if that
 * is less; with a backing, a call reports at most 2^20 keys.
 *
 * Returns the kind (enum zpool_store_extent), or -EINVAL if an argument is NULL, max_count is 0, or first is not below
 * unit_count.
 */
ZPOOL_PUBLIC int zpool_store_next_extent(struct zpool_store *store, uint64_t first, uint64_t max_count,
					 uint64_t *count);

/*
 * zpool_store_recompress - compress values once more, with the second compressor
 *
 * flags      is 0 or ZPOOL_STORE_RECOMPRESS_ALL.
 * max_units  is about how many values to compress; the next call continues behind them.  0 means no limit: such a call
 *            always makes a whole pass.
 *
 * The call passes once over the values in memory.  A value that was put or read since the previous pass stays as it is,
 * and counts as idle from now on; so a program that calls this every ten minutes recompresses the values that were idle
 * for ten to twenty minutes.  With ZPOOL_STORE_RECOMPRESS_ALL, all values are recompressed.  A value that does not
 * become shorter stays as it is.  Other threads may use the store meanwhile; a put of the value that is being
 * compressed waits for it.
 *
 * Returns 0 when the pass is complete; 1 when max_units ended it; -EINVAL if store is NULL or a flag is unknown; or
 * -EOPNOTSUPP if the store was opened without a recompressor.
 */
#define ZPOOL_STORE_RECOMPRESS_ALL 0x1u
ZPOOL_PUBLIC int zpool_store_recompress(struct zpool_store *store, uint32_t flags, uint64_t max_units);

/*
 * zpool_store_train - train a zstd dictionary from the values in memory, and use it if it pays
 *
 * A part of the values, at most 1 MiB, is the sample.  A dictionary of train_bytes or a sixteenth of the sample,
 * whichever is less, is trained from three quarters of it, and tried on the others.  It is kept if these become at
 * least 3 % shorter with it than with what the store has used until now (no dictionary, or the present one), and if the
 * values in memory would save more bytes at this rate than the dictionary takes.  Values that are put, loaded or
 * recompressed later are compressed with it; the others stay as they are, and keep the dictionary that they were
 * compressed with in memory.  There can be 8 dictionaries at a time.
 *
 * The store trains one automatically if train_units was set.  If that dictionary does not pay, it tries again when it
 * has twice as many values.
 *
 * Training takes about a tenth of a second and 13 MiB for that time, which the limit covers, and a stack of 64 KiB.
 * Other threads may use the store meanwhile, and compress with what it has used until then.
 *
 * Returns 1 if the store uses a new dictionary; 0 if the trained one does not pay, which is the case with values that
 * do not shrink; -EINVAL if store is NULL; -EOPNOTSUPP if the store was opened without train_bytes and train_units;
 * -EBUSY if another thread is training; -ENODATA if there are fewer than 16 values, or they are too short to train
 * from; -ENOSPC if 8 dictionaries are in use; or -ENOMEM if the limit leaves no room or there is no memory.
 */
ZPOOL_PUBLIC int zpool_store_train(struct zpool_store *store);

/*
 * zpool_store_get_dictionary - copy the dictionary out that the store uses now
 *
 * buf   receives the dictionary; with NULL, nothing is copied.
 * room  is the size of buf; it is ignored if buf is NULL.
 *
 * A program can save a dictionary that was trained, and give it to the next store.
 *
 * Returns the length of the dictionary; -EINVAL if store is NULL; -ENOENT if the store uses none; or -ENOBUFS if it is
 * longer than room.
 */
ZPOOL_PUBLIC int64_t zpool_store_get_dictionary(struct zpool_store *store, void *buf, size_t room);

/*
 * These members say what zpool_store_watch_pressure() waits for and does.  The caller starts from
 * ZPOOL_STORE_PRESSURE_INIT.  Later versions may add members at the end of the structure.
 *
 * path             names a file of pressure stall information (PSI): /proc/pressure/memory, or memory.pressure of a
 *                  cgroup.  NULL means memory.pressure of the process's own cgroup, or else /proc/pressure/memory.
 * fd               is, instead of a path, a descriptor of the program for which poll(2) reports POLLPRI.  The store
 *                  duplicates it; -1 means none.
 * stall_ms         is the threshold: an event occurs when some threads have waited for memory for this long within a
 *                  window.  If both stall_ms and window_ms are 0, they are 150 and 2000.
 * window_ms        is the length of the window, 500 to 10000; Linux requires multiples of 2000 from unprivileged
 *                  processes.  The thread acts on at most one event per window.
 * release_percent  is how much of the store to evict at an event if it has a backing, 1 to 100; 0 means 10.
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
 * args       is described at struct zpool_store_pressure; NULL means the defaults.
 * args_size  is sizeof(struct zpool_store_pressure) as the caller was compiled.
 *
 * At each event the thread recompresses about a thousand idle values, if the store has a recompressor; then it compacts
 * and trims the pool, and with a backing it evicts release_percent of the store.  It blocks all signals.  This is the
 * only thread that the library ever starts.
 *
 * Returns 0; -EINVAL if store is NULL, an argument is out of range or the file at `path` has no pressure stall
 * information, in which case it is not changed; -EBUSY if the store has such a thread already;
 * -EOPNOTSUPP if the system has no PSI; -ENOMEM if there is no memory; -E2BIG if a newer caller sets a member that this
 * library does not know; or the error of open(2), of the write that sets the threshold, or of pthread_create(3).
 */
ZPOOL_PUBLIC int zpool_store_watch_pressure(struct zpool_store *store, const struct zpool_store_pressure *args,
					    size_t args_size);

/*
 * zpool_store_unwatch_pressure - end the thread of zpool_store_watch_pressure()
 *
 * The call waits until the thread has completed its current work.  zpool_store_close() ends the thread as well.
 *
 * Returns 0; -EINVAL if store is NULL; or -ENOENT if there is no such thread.
 */
ZPOOL_PUBLIC int zpool_store_unwatch_pressure(struct zpool_store *store);

/*
 * zpool_store_set_limit - change the limit, which is limit_bytes in struct zpool_store_args
 *
 * A limit below what the store holds now releases nothing, but stops growth.
 *
 * Returns 0, or -EINVAL if store is NULL, or if the spec of the pool has a limit and limit_bytes is not 0.
 */
ZPOOL_PUBLIC int zpool_store_set_limit(struct zpool_store *store, uint64_t limit_bytes);

/*
 * zpool_store_get_pool - the pool of a store, to read its statistics, such as with zpool_each_class()
 *
 * The pool belongs to the store and ends with it.  The program may call functions on it that change nothing; it must
 * neither store nor free objects in it, nor set its limit, nor destroy it.
 *
 * Returns the pool, or NULL with errno EINVAL if store is NULL.
 */
ZPOOL_PUBLIC struct zpool *zpool_store_get_pool(struct zpool_store *store);

/*
 * zpool_store_get_total_size - the bytes that the store holds: the pool, the index, the contexts and the dictionaries
 *
 * Returns 0 with errno EINVAL if store is NULL.
 */
ZPOOL_PUBLIC uint64_t zpool_store_get_total_size(struct zpool_store *store);

/*
 * zpool_store_compact - give memory back: zpool_compact() and zpool_trim() on the pool
 *
 * budget_bytes, budget_ns   are the budget of zpool_compact().
 *
 * A driver that cannot compact is no failure: the pool is then only trimmed.  Dictionaries that no value needs any more
 * are freed.  Returns 0 when nothing is left to gain, 1 when the budget ended the call, or -EINVAL if store is NULL.
 */
ZPOOL_PUBLIC int zpool_store_compact(struct zpool_store *store, uint64_t budget_bytes, uint64_t budget_ns);

/*
 * This is the result of zpool_store_get_stats().  The first eight members, `dirty`, `dictionaries`, `dictionary_bytes`
 * and `dictionary_units` describe the present, and the sample_ members the last dictionary that was trained.  The
 * others count since the store was opened.  pool_bytes, index_bytes, context_bytes and dictionary_bytes together are
 * zpool_store_get_total_size().  While other threads use the store, the members need not belong to one
 * moment.  Later versions may add members at the end of the structure.
 */
struct zpool_store_stats {
	uint64_t units;          /* values in memory */
	uint64_t same_filled;    /* of these, those without an object */
	uint64_t incompressible; /* of these, those that are stored as they are */
	uint64_t original_bytes; /* the sum of the values' lengths */
	uint64_t stored_bytes;   /* the sum of their objects' lengths, headers included */
	uint64_t pool_bytes;     /* zpool_get_total_size() of the pool */
	uint64_t index_bytes;    /* the index, and copies of values that the backing failed to write */
	uint64_t context_bytes;
	uint64_t puts;
	uint64_t hits;   /* gets that found a value in memory */
	uint64_t misses; /* gets that found none */
	uint64_t drops;
	uint64_t refused_limit;     /* puts that the limit refused, or for which there was no memory */
	uint64_t refused_too_large; /* puts whose object was too large for the driver */
	uint64_t refused_other;     /* puts that failed in another way */
	uint64_t damaged;           /* values that the pool returned damaged */
	uint64_t refused_backing;   /* puts that failed because the backing did */
	uint64_t dirty;             /* units that differ from the backing, or may do so */
	uint64_t loaded;            /* units that were read from the backing */
	uint64_t written_back;      /* dirty units that were written to the backing, discarded or zeroed */
	uint64_t written_through;   /* puts whose value was written to the backing at once */
	uint64_t evicted;           /* units that left the memory to make room */
	uint64_t second_chances;    /* units that stayed because they had been read since the last look */
	uint64_t load_errors;       /* reads that the backing failed */
	uint64_t write_errors;      /* writes, zeroes and discards that the backing failed */
	uint64_t flushes;           /* flushes of the backing that succeeded */
	uint64_t recompressed;      /* values that the second compressor made shorter */
	uint64_t recompress_saved;  /* by how many bytes in all */
	uint64_t pressure_events;   /* events after which the thread of zpool_store_watch_pressure() gave memory back */
	uint64_t dictionaries;      /* the dictionary in use, and older ones that values need */
	uint64_t dictionary_bytes;  /* the memory that these take */
	uint64_t dictionary_units;  /* of units, those that were compressed with a dictionary */
	uint64_t dictionaries_trained;  /* dictionaries that were trained and kept */
	uint64_t dictionaries_rejected; /* dictionaries that were trained and did not pay */
	uint64_t sample_bytes;          /* the length of the values on which the last trained dictionary was tried */
	uint64_t sample_before_bytes;   /* their length when compressed with what the store used until then */
	uint64_t sample_after_bytes;    /* their length when compressed with the trained dictionary */
	uint64_t evict_ns;              /* for how long calls evicted units, which includes the writes to the backing */
	uint64_t through_too_large;     /* of written_through, those whose object was too large for the driver */
};

/*
 * zpool_store_get_stats - a store's counters
 *
 * stats_size   is sizeof(struct zpool_store_stats) as the caller was compiled; members that this library does not know
 *              are set to 0.
 *
 * Returns 0, or -EINVAL if an argument is NULL or stats_size is 0.
 */
ZPOOL_PUBLIC int zpool_store_get_stats(struct zpool_store *store, struct zpool_store_stats *stats, size_t stats_size);

/*
 * This structure describes a compressor.  Its functions may be called from several threads at once, but never with the
 * same context.
 *
 * struct_size    is sizeof(struct zpool_store_compressor).
 * level_min, level_max, level_default   are the levels that NAME:LEVEL allows, and the one that NAME means; if all are
 *                0, the compressor takes no level.
 * name           has the form [a-z][a-z0-9_]* and at most 31 characters.
 * create         returns a context, which one thread at a time uses, or NULL if there is no memory.
 * destroy        frees a context.
 * context_bytes  returns how much memory a context holds.
 * compress       writes to to[0..room) and returns the length, or 0 if the result does not fit.
 * decompress     writes to to[0..room) and returns the length, or 0 if the input is damaged or the result does not fit.
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
 * zpool_store_add_compressor - add a compressor of the program, for stores that are opened later
 *
 * compressor   must stay valid and unchanged for as long as the process runs.
 *
 * Returns 0; -EINVAL if compressor is NULL, has another struct_size or an invalid name, lacks a function, or has levels
 * out of order; -EEXIST if there is a compressor of that name; or -ENOSPC if 32 were added already.
 */
ZPOOL_PUBLIC int zpool_store_add_compressor(const struct zpool_store_compressor *compressor);

/*
 * zpool_store_find_compressor - find a compressor by name
 *
 * text        is NAME or NAME:LEVEL, as in struct zpool_store_args.
 * compressor  receives the compressor, which is valid as long as the process runs, or NULL if the name is "none".
 * level       receives the level that the text means, for the compressor's create function.
 *
 * With this function, a program can check a name before it opens a store, use a compressor itself, or add one that
 * calls another one.
 *
 * Returns 0, or -EINVAL if an argument is NULL, the compressor is unknown (the message lists the known ones), or its
 * level is out of range.
 */
ZPOOL_PUBLIC int zpool_store_find_compressor(const char *text, const struct zpool_store_compressor **compressor,
					     int *level);

#ifdef __cplusplus
}
#endif

#endif /* ZPOOL_STORE_H */
