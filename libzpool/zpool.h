/* SPDX-License-Identifier: MIT
 *
 * zpool.h - pluggable memory pools: the caller's interface
 *
 * A pool stores objects of varying size and gives out a handle for each.  Because callers hold handles and not
 * pointers, the allocator behind the pool (its driver) may pack objects densely, move them while they are not mapped,
 * have them evicted, and give memory back to the system.  Drivers are plugins, loaded when first asked for by name.
 *
 * Conventions, true of every function unless it says otherwise:
 *
 * - A function that returns int or int64_t gives 0 (or a count) on success and a negative errno on failure.  One that
 *   returns a pointer gives NULL and sets errno.  Either way zpool_last_error() then says, in the calling thread,
 *   what went wrong and what to do about it.  A failed call changes nothing.
 * - Every function may be called from any thread, on different objects and on different pools at the same time.
 *   Operations on one object (free, map, write) must be ordered by the caller, save that a handle that is mapped or
 *   no longer live is refused, never followed.  None is async-signal-safe.
 * - Functions of the host's that the library calls (evict, visitors, log handler, page source) have to return: not by
 *   longjmp(), a C++ exception or pthread_exit().  Otherwise what the library was doing stays undone for good: objects
 *   that can never be evicted or freed, and locks that nobody releases.
 * - A call that was begun is finished: a thread that pthread_cancel() asks to end does so after it, and not inside a
 *   callback either.  Threads of the type PTHREAD_CANCEL_ASYNCHRONOUS may not call the library.
 * - Destroying a pool while another thread is inside a call on that pool is undefined, as is using it afterwards.
 * - A function that needs the loader (it may open a plugin, or must wait for one that is being opened) gives -EDEADLK
 *   when called from inside a plugin's constructor, destructor or initialisation.  So it does after 60 seconds in
 *   which another thread's load or unload has not ended, because that may be waiting for the calling thread.
 *
 * Since 0.1, save what is marked otherwise.
 */
#ifndef ZPOOL_H
#define ZPOOL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ZPOOL_PUBLIC __attribute__((visibility("default")))
#else
#define ZPOOL_PUBLIC
#endif

/* The version of this header.  ZPOOL_VERSION_NUMBER compares: major * 10000 + minor * 100 + patch. */
#define ZPOOL_VERSION_MAJOR 0
#define ZPOOL_VERSION_MINOR 1
#define ZPOOL_VERSION_PATCH 0
#define ZPOOL_VERSION "0.1.0"
#define ZPOOL_VERSION_NUMBER (ZPOOL_VERSION_MAJOR * 10000 + ZPOOL_VERSION_MINOR * 100 + ZPOOL_VERSION_PATCH)

struct zpool;
struct zpool_driver; /* defined in zpool-driver.h */

/*
 * Allocation flags.  Any other bit is refused with -EINVAL.
 *
 * KERNEL   the default: may wait and may ask the system for memory.
 * NOWAIT   no system call but page faults: locks are only tried (-EAGAIN when one is taken), and only memory that the
 *          pool already holds is given (-ENOMEM when there is none).  A driver that cannot promise that gives -ENOMEM.
 * ZERO     the object's bytes read as zero.
 * HIGHMEM, MOVABLE   hints from the kernel's interface; a driver may ignore them.
 */
typedef unsigned int zpool_gfp_t;
#define ZPOOL_GFP_KERNEL 0x0u
#define ZPOOL_GFP_NOWAIT 0x1u
#define ZPOOL_GFP_ZERO 0x2u
#define ZPOOL_GFP_HIGHMEM 0x4u
#define ZPOOL_GFP_MOVABLE 0x8u
#define ZPOOL_GFP_ALL (ZPOOL_GFP_NOWAIT | ZPOOL_GFP_ZERO | ZPOOL_GFP_HIGHMEM | ZPOOL_GFP_MOVABLE)

/* How a mapping is going to be used.  WO leaves the old contents undefined; every shipped driver maps read-write. */
enum zpool_mapmode { ZPOOL_MM_RW, ZPOOL_MM_RO, ZPOOL_MM_WO, ZPOOL_MM_DEFAULT = ZPOOL_MM_RW };

/*
 * What a pool calls back.  Frozen: this structure never grows; zpool_open() is the call that does.
 *
 * evict   asked by zpool_shrink() to make the object behind handle go away: save its contents elsewhere if they matter,
 *         zpool_free(pool, handle), return 0.  Any other return value keeps the object and its page.  No lock of the
 *         pool is held: every function may be called on the pool.  Another thread may free the handle meanwhile, so
 *         that it is stale by the time that the callback looks at it.
 */
struct zpool_ops {
	int (*evict)(struct zpool *pool, unsigned long handle);
};

/* ---- Pools ---- */
/*
 * Where a pool's pages come from, for a host that wants huge pages, a NUMA policy, a memfd or an accountant in between.
 * The table must stay valid as long as a pool that was opened with it lives; the pool calls it from any thread.
 *
 * struct_size  sizeof(struct zpool_page_source)
 * flags        0
 * context      handed to each function
 * reserve      set aside `bytes` of address space (a multiple of 4096), aligned to `align_bytes` (a power of two, at
 *              least 4096), preferably on `node` (-1: any).  NULL when there is none.
 * commit       make a range inside a reservation usable, reading as zero.  0 or -errno.
 * decommit     take the memory behind a committed range back; its contents are lost.  0 or -errno; on failure
 *              the range stays committed and is asked for again later.
 * release      give a whole reservation back.
 */
struct zpool_page_source {
	uint32_t struct_size;
	uint32_t flags;
	void *context;
	void *(*reserve)(void *context, size_t bytes, size_t align_bytes, int node);
	int (*commit)(void *context, void *address, size_t bytes);
	int (*decommit)(void *context, void *address, size_t bytes);
	void (*release)(void *context, void *address, size_t bytes);
};

/*
 * What zpool_open() takes beside the spec.  Start from ZPOOL_OPEN_ARGS_INIT.
 *
 * gfp          how the pool's own records are allocated: ZPOOL_GFP_KERNEL
 * node         NUMA node to prefer, 0 to 1023, or -1 for any.  A preference: where the system has no such node or
 *              forbids the choice, pages come from any.
 * name         what messages and statistics call the pool; NULL: the type and a number.  Copied.
 * evict, user  as in struct zpool_ops, with a pointer of the caller's; NULL: no eviction
 * page_source  where pages come from; NULL: anonymous memory of the system.  Not copied.
 */
struct zpool_open_args {
	zpool_gfp_t gfp;
	int node;
	const char *name;
	int (*evict)(struct zpool *pool, unsigned long handle, void *user);
	void *user;
	const struct zpool_page_source *page_source;
};
/* clang-format off */
#define ZPOOL_OPEN_ARGS_INIT { ZPOOL_GFP_KERNEL, -1, NULL, NULL, NULL, NULL }
/* clang-format on */

/*
 * zpool_create_pool - make a pool
 *
 * type   a driver's name, or a whole spec: part[+part...], each part name[:key=value[,key=value]...].  The last part is
 *        the driver, those before it are filters that stand in front of it.  %XX is the byte of that number.  The key
 *        `limit` is known to every driver: a size in bytes (suffixes K, M, G, T) that zpool_get_total_size() never
 *        exceeds, 0 for none.
 * gfp    flags for the pool's own records
 * ops    the evict callback, or NULL; read during the call, not kept
 *
 * A driver that is not there yet is looked for among those registered, those linked into the program, and then as
 * <type>.so in the plugin directories (see zpool_set_plugin_path()); it stays loaded until zpool_unload_driver().
 * Never is another driver taken than the one named.
 *
 * Returns the pool, to be given to zpool_destroy_pool().  NULL and errno:
 *   EINVAL   a malformed spec or name, an unknown key, a value out of range, unknown flags
 *   ENOENT   no driver of that name; the message lists every path tried
 *   EPERM    the plugin, or a directory above it, may be changed by somebody else; or loading is disabled
 *   ENOEXEC  the file is no plugin, cannot be linked, or speaks another ABI; the message says which
 *   EDEADLK  called from inside a plugin's initialisation, or another thread's load has not ended for 60 seconds
 *   EAGAIN   the plugin's file was replaced while it was being loaded; try again
 *   EBUSY    the plugin's file was replaced, and another part of the program keeps the former one mapped
 *   ENOMEM   out of memory, or the limit is below what an empty pool needs
 *   EMFILE, ENFILE  no file descriptor is left to read a plugin with
 *   EACCES   a plugin directory may not be searched, and no other one has a driver of that name
 *   EIO      the driver's create succeeded with a result that cannot be: an error of the driver
 *   any errno that the driver's create gives
 */
ZPOOL_PUBLIC struct zpool *zpool_create_pool(const char *type, zpool_gfp_t gfp, const struct zpool_ops *ops);

/*
 * zpool_open - make a pool, with more to choose
 *
 * spec       as for zpool_create_pool()
 * args       see struct zpool_open_args; NULL for the defaults
 * args_size  sizeof(struct zpool_open_args) as the caller was compiled; members that a caller's older header lacks take
 *            their defaults
 *
 * Returns and fails like zpool_create_pool(), and with E2BIG where a newer caller sets a member that this library does
 * not know.
 */
ZPOOL_PUBLIC struct zpool *zpool_open(const char *spec, const struct zpool_open_args *args, size_t args_size);

/*
 * zpool_destroy_pool - end a pool and every object in it
 *
 * Live objects go silently, mapped or not; their handles and addresses are dead afterwards.  The driver's memory is
 * given back, its code stays loaded.  NULL is ignored.  Does not fail.
 */
ZPOOL_PUBLIC void zpool_destroy_pool(struct zpool *pool);

/* zpool_get_type - the driver's name, the last part of the spec.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_type(struct zpool *pool);
/* zpool_get_spec - the whole spec that the pool was made with.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_spec(struct zpool *pool);
/* zpool_get_name - the pool's name.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_name(struct zpool *pool);

/*
 * zpool_get_total_size - bytes of memory that the pool holds
 *
 * Every page handed out by the system since it was last given back, and all of the pool's own records.  Once every
 * object was written and 16 MiB are held it is within 2 % and 256 KiB of the growth of the process's resident memory
 * (libc excepted, which can only add up what malloc tells).  0 (errno EINVAL) where pool is NULL.
 */
ZPOOL_PUBLIC uint64_t zpool_get_total_size(struct zpool *pool);

/* zpool_max_object_size - the largest size that zpool_malloc() takes, in bytes.  0, errno EINVAL: pool is NULL. */
ZPOOL_PUBLIC size_t zpool_max_object_size(struct zpool *pool);
/* zpool_alignment - alignment of every mapped object, in bytes, at least 8.  0, errno EINVAL: pool is NULL. */
ZPOOL_PUBLIC size_t zpool_alignment(struct zpool *pool);

/*
 * zpool_set_limit - change the pool's limit
 *
 * limit_bytes   what zpool_get_total_size() may reach; 0: no limit.  Below what is held now it only stops growth:
 *               zpool_malloc() gives -ENOMEM where it would need more memory.
 *
 * 0, or -EINVAL: pool is NULL.
 */
ZPOOL_PUBLIC int zpool_set_limit(struct zpool *pool, uint64_t limit_bytes);

/*
 * zpool_set_param - change a driver's parameter while the pool lives
 *
 * key, value   as in a spec; in a stack of filters the key may be written `part.key`, else the first part that has it
 *              is meant
 *
 * 0, or -EINVAL: a NULL argument, no such key, a value out of range; -EOPNOTSUPP: the key is fixed once a pool is made.
 */
ZPOOL_PUBLIC int zpool_set_param(struct zpool *pool, const char *key, const char *value);

/* ---- Objects ---- */
/*
 * zpool_malloc - store room for an object
 *
 * size     bytes, 1 to zpool_max_object_size()
 * gfp      see above
 * handle   receives the handle, never 0; untouched on failure
 *
 * 0, or -EINVAL: a NULL argument, size 0, unknown flags; -ENOSPC: too large for this pool, whatever is freed; -ENOMEM:
 * no memory, the limit is reached, or (NOWAIT) no memory is cached; -EAGAIN: (NOWAIT) a lock is taken.  The message of
 * -ENOSPC names the drivers that take the object; the first such call, if not NOWAIT, reads the plugin directories.
 */
ZPOOL_PUBLIC int zpool_malloc(struct zpool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);

/*
 * zpool_free - end an object
 *
 * A handle that is 0, stale, foreign or invented, and one that is still mapped, is refused: the object stays, an error
 * is logged and zpool_last_error() tells it.  A stale handle is refused for certain on 64-bit machines; an invented or
 * foreign one passes for a live one with a probability of at most 2^-32 (2^-12 on 32-bit machines).
 */
ZPOOL_PUBLIC void zpool_free(struct zpool *pool, unsigned long handle);

/*
 * zpool_map_handle - an object's address
 *
 * The object neither moves nor goes away until each of its mappings was undone with zpool_unmap_handle().  Any number
 * of handles may be mapped at once; one handle at most 60 times at once, by any threads.
 *
 * The address, aligned to zpool_alignment(), or NULL and errno: EINVAL, a NULL pool, an unknown mode, or a handle that
 * is not live; EBUSY, mapped the greatest number of times already; EOPNOTSUPP, the driver can only zpool_obj_read().
 */
ZPOOL_PUBLIC void *zpool_map_handle(struct zpool *pool, unsigned long handle, enum zpool_mapmode mode);

/* zpool_unmap_handle - undo one zpool_map_handle().  A handle that is not mapped is refused, logged and reported. */
ZPOOL_PUBLIC void zpool_unmap_handle(struct zpool *pool, unsigned long handle);

/*
 * zpool_obj_size - bytes that may be used behind a handle
 *
 * At least the size asked for; the driver's rounding may make it more.  -EINVAL: pool is NULL, the handle is not live.
 * -EOPNOTSUPP: the driver does not know.
 */
ZPOOL_PUBLIC int64_t zpool_obj_size(struct zpool *pool, unsigned long handle);

/*
 * zpool_obj_read, zpool_obj_write - copy out of or into an object, without mapping it
 *
 * buf      at least len bytes of the caller's
 * len      bytes to copy, at least 1
 * offset   where in the object to begin; offset + len is at most zpool_obj_size()
 *
 * len, or -EINVAL: a NULL argument, a handle that is not live, a range that is empty or not wholly inside the object
 * (nothing is copied); -EBUSY: mapped too often; -EOPNOTSUPP: the driver can do neither this nor tell an object's size.
 */
ZPOOL_PUBLIC int64_t zpool_obj_read(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset);
ZPOOL_PUBLIC int64_t zpool_obj_write(struct zpool *pool, unsigned long handle, const void *buf, size_t len,
				     size_t offset);

/*
 * zpool_each_object - visit every live object
 *
 * fn   gets each handle and its zpool_obj_size(); may call every function on the pool but zpool_destroy_pool(); a
 *      return value other than 0 ends the walk and is returned.  Objects that appear or go while the walk runs may be
 *      visited or not.
 *
 * 0, fn's value, or -EINVAL: a NULL argument; -EOPNOTSUPP: the driver cannot.
 */
ZPOOL_PUBLIC int zpool_each_object(struct zpool *pool,
				   int (*fn)(struct zpool *pool, unsigned long handle, size_t size, void *user),
				   void *user);

/* ---- Giving memory back ---- */
/*
 * zpool_shrink - have objects evicted
 *
 * pages       how many of the driver's backing pages to empty, at least 1
 * reclaimed   receives how many were; set on failure too; may be NULL
 *
 * Objects are given to the evict callback in the driver's order, oldest first.  0 when all `pages` were emptied.
 * -EINVAL: pool is NULL, pages is 0, the pool has no evict callback, the driver cannot evict, or nothing is left to
 * evict; -EAGAIN: callbacks refused too often, try again later.
 */
ZPOOL_PUBLIC int zpool_shrink(struct zpool *pool, unsigned int pages, unsigned int *reclaimed);

/*
 * zpool_compact - move objects together and give the memory between them back
 *
 * budget_bytes   how many bytes to move; the object that reaches it is the last; 0: no bound
 * budget_ns      how many nanoseconds to take, giving back included; 0: no bound
 * released       receives the bytes given back, which is how much less the pool holds; may be NULL
 *
 * A call does at least one step of the work, whatever its budget, and exceeds its time by at most one: some tens of
 * KiB moved, or a few calls of madvise(2).  The next call with a budget continues behind it.  A loop over calls that
 * give 1 ends, also around mapped objects and while other threads store and free.  A call that a budget ends may have
 * taken pages to move objects to, and have emptied none yet: *released is 0 then and the pool holds a little more.  So
 * what a loop gained is the difference of zpool_get_total_size(), and not the sum of what its calls released.
 *
 * 0 when nothing is left to gain, 1 when the budget ended it; -EINVAL: pool is NULL; -EOPNOTSUPP: it moves no objects.
 */
ZPOOL_PUBLIC int zpool_compact(struct zpool *pool, uint64_t budget_bytes, uint64_t budget_ns, uint64_t *released);

/*
 * zpool_trim - give the pool's free pages back now, instead of keeping some for the next zpool_malloc()
 *
 * released   receives the bytes given back, which is how much less the pool holds; may be NULL
 *
 * 0, or -EINVAL: pool is NULL; -EOPNOTSUPP: the driver keeps none.
 */
ZPOOL_PUBLIC int zpool_trim(struct zpool *pool, uint64_t *released);

/* ---- What a pool can do and how it does ---- */
/* zpool_evictable - does zpool_shrink() work: the driver can evict and the pool has a callback?  false too for NULL. */
ZPOOL_PUBLIC bool zpool_evictable(struct zpool *pool);
/* zpool_can_sleep_mapped - may a thread block while it has an object mapped?  false: pool is NULL. */
ZPOOL_PUBLIC bool zpool_can_sleep_mapped(struct zpool *pool);
/* zpool_malloc_support_movable - does the driver make use of ZPOOL_GFP_MOVABLE?  false: pool is NULL. */
ZPOOL_PUBLIC bool zpool_malloc_support_movable(struct zpool *pool);

/*
 * What zpool_get_stats() tells.  Grows at its end.  What a driver has not got (pages, compaction, eviction) is 0.
 *
 * *_peak are the highest values since the pool was made, counters run from then on.  free_slots are those that
 * compaction could give back.  Every malloc that fails with -ENOMEM or -EAGAIN is counted under one reason; one that is
 * refused for its arguments is not.
 */
struct zpool_stats {
	uint64_t objects;
	uint64_t stored_bytes; /* the sum of zpool_obj_size() */
	uint64_t pool_bytes;   /* zpool_get_total_size() */
	uint64_t pool_bytes_peak;
	uint64_t pages;
	uint64_t free_slots;
	uint64_t mapped_handles; /* handles, not mappings */
	uint64_t compactions;
	uint64_t compact_moved_bytes;
	uint64_t compact_released_bytes;
	uint64_t evictions;
	uint64_t evict_refused; /* the callback was asked, and the object stayed */
	uint64_t malloc_failed_limit;
	uint64_t malloc_failed_memory; /* NOWAIT that found nothing at hand included */
	uint64_t malloc_failed_again;
	uint64_t refused_handles; /* in any call: not live, mapped when freed or too often, unmapped when not */
	uint64_t errors;          /* misuse and damage that a checking filter (guard) found; 0 without one */
};

/*
 * zpool_get_stats - a driver's counters
 *
 * stats        receives them
 * stats_size   sizeof(struct zpool_stats) as the caller was compiled; what this library does not know reads as 0
 *
 * 0, or -EINVAL: a NULL argument, stats_size 0; -EOPNOTSUPP: the driver does not count.
 */
ZPOOL_PUBLIC int zpool_get_stats(struct zpool *pool, struct zpool_stats *stats, size_t stats_size);

/* What a member of struct zpool_stats counts. */
enum zpool_unit { ZPOOL_UNIT_COUNT, ZPOOL_UNIT_BYTES };

/*
 * One member of struct zpool_stats, for programs that show them all.  Grows at its end.
 *
 * name     as in the structure
 * label    what it counts, in a few words, for people
 * offset   where it is in the structure: a uint64_t
 * unit     enum zpool_unit
 */
struct zpool_stats_member {
	const char *name;
	const char *label;
	size_t offset;
	uint32_t unit;
};

/*
 * zpool_stats_member - describe a member of struct zpool_stats
 *
 * index   0 for the first member, and so on
 *
 * The member, valid for good; NULL: this library's structure has no more.  A program that was compiled with an older
 * header meets members whose offset is not inside its own structure, and skips them.  Sets no error.  Since 0.2.
 */
ZPOOL_PUBLIC const struct zpool_stats_member *zpool_stats_member(unsigned int index);

/* One size class of a driver that has them.  fullness[i] counts zspages that are i/10 to (i+1)/10 full; [10]: full. */
struct zpool_class_stats {
	uint64_t object_bytes;
	uint64_t objects;
	uint64_t slots;
	uint64_t pages;
	uint64_t zspages;
	uint64_t pages_per_zspage;
	uint64_t freeable_pages;
	uint64_t fullness[11];
};

/*
 * zpool_each_class - visit every size class that has been used
 *
 * fn   gets a class, and the size of the structure; another return value than 0 ends the walk and is returned
 *
 * 0, fn's value, or -EINVAL: a NULL argument; -EOPNOTSUPP: the driver has no size classes.
 */
ZPOOL_PUBLIC int zpool_each_class(struct zpool *pool,
				  int (*fn)(const struct zpool_class_stats *stats, size_t stats_size, void *user),
				  void *user);

/* What zpool_dump() writes. */
#define ZPOOL_DUMP_TEXT 0u /* lines for people; their form may change */
#define ZPOOL_DUMP_JSON 1u /* one JSON object, in one line; members may be added */

/*
 * zpool_dump - write what every pool of the process holds and counts
 *
 * fd       an open file descriptor, to which write(2) is called; it is not closed
 * format   ZPOOL_DUMP_TEXT or ZPOOL_DUMP_JSON
 *
 * Of each pool, the oldest first: name, spec, total size, limit, the statistics of each layer (filters and driver), and
 * the size classes if there are at most 256.  Pools that are made during the call are left out.  Other threads may
 * make, use and destroy pools meanwhile; a destroy waits at most until its pool's statistics are taken, and never until
 * they are written.  Not to be called from a log handler or a page source, which run while locks of a pool are held,
 * nor from a signal handler.
 *
 * 0, or -EBADF: fd is not open for writing; -EINVAL: an unknown format; -ENOMEM; or the reason for which write(2)
 * failed, such as -EPIPE, -ENOSPC, or -EAGAIN of a descriptor that does not block: then a part may be written.  Since
 * 0.2.
 */
ZPOOL_PUBLIC int zpool_dump(int fd, unsigned int format);

/* ---- Drivers ---- */
/*
 * zpool_has_pool - could a pool of this type be made?  Loads the driver if need be.  type is a name or a spec, of which
 * every part is looked at.  false, and zpool_last_error() says why not.
 */
ZPOOL_PUBLIC bool zpool_has_pool(const char *type);

/*
 * zpool_register_driver - make a driver that is part of the program known
 *
 * driver   see zpool-driver.h; read during the call, and what it points to must stay until it is unregistered
 *
 * 0, or -EINVAL: NULL, or a structure that the core refuses, the message says which field; -EEXIST: a driver of that
 * type is registered or loaded.
 */
ZPOOL_PUBLIC int zpool_register_driver(const struct zpool_driver *driver);

/* zpool_unregister_driver - undo it.  0, or -EBUSY: a pool of it lives; -ENOENT: not registered; -EINVAL: NULL. */
ZPOOL_PUBLIC int zpool_unregister_driver(const struct zpool_driver *driver);

/*
 * zpool_evict - for a registered driver, the kernel's way to reach the evict callback of the pool's owner
 *
 * driver_pool   the pool as the driver's create returned it
 *
 * What the callback returned, or -EINVAL: the pool has none; -ENOENT: no such pool.  Call it with no lock held.
 */
ZPOOL_PUBLIC int zpool_evict(void *driver_pool, unsigned long handle);

/*
 * zpool_unload_driver - let a loaded plugin go, so that the next use of its name opens the file anew
 *
 * 0, or -EINVAL: no valid name; -ENOENT: not loaded; -EBUSY: a pool of it lives, or it is being loaded; -EPERM:
 * registered by the program or linked into it; -EOPNOTSUPP: the driver stays in memory for good (it says so itself, or
 * the system does not unmap it), and a changed file is not loaded; -EDEADLK: called from inside a load, or another
 * thread's load has not ended for 60 seconds.
 */
ZPOOL_PUBLIC int zpool_unload_driver(const char *type);

/*
 * zpool_set_plugin_path - where plugins are looked for
 *
 * path   absolute directories with colons between, tried in order; NULL: back to the default, which is the environment
 *        variable ZPOOL_PLUGIN_PATH (not in set-user-ID programs), else the directory chosen when the library was built
 *
 * The first directory that has a file of the driver's name decides.  What is loaded stays.  0, or -EINVAL: empty, or a
 * directory that is not absolute; -ENOMEM.
 */
ZPOOL_PUBLIC int zpool_set_plugin_path(const char *path);

/* zpool_get_plugin_path - write the path in force to buf, as snprintf(3) does: the length without NUL, or -errno. */
ZPOOL_PUBLIC int zpool_get_plugin_path(char *buf, size_t size);

/*
 * zpool_rescan - look again at plugins whose load failed, even if their files seem unchanged
 *
 * A new file needs no rescan: what was absent is looked for every time.  0, or -EDEADLK: called from inside a load.
 */
ZPOOL_PUBLIC int zpool_rescan(void);

/*
 * zpool_loading_disable - from here on open no plugin
 *
 * Waits for loads under way.  Drivers that are loaded, registered or linked in go on, and are all that
 * zpool_each_driver() then shows; others give EPERM.  For a program about to enter a sandbox.  Cannot be undone.  0, or
 * -EDEADLK: called from inside a load, or loads have not ended for 60 seconds, and then loading is not disabled.
 */
ZPOOL_PUBLIC int zpool_loading_disable(void);

/* What a driver or a pool of it can do. */
#define ZPOOL_CAP_EVICT 0x1u          /* zpool_shrink() */
#define ZPOOL_CAP_MAP 0x2u            /* zpool_map_handle() */
#define ZPOOL_CAP_COMPACT 0x4u        /* zpool_compact() */
#define ZPOOL_CAP_STATS 0x8u          /* zpool_get_stats() */
#define ZPOOL_CAP_CLASSES 0x10u       /* zpool_each_class() */
#define ZPOOL_CAP_OBJECTS 0x20u       /* zpool_each_object() */
#define ZPOOL_CAP_OBJ_SIZE 0x40u      /* zpool_obj_size() */
#define ZPOOL_CAP_TRIM 0x80u          /* zpool_trim() */
#define ZPOOL_CAP_FORK 0x100u         /* inherited pools work in a forked child */
#define ZPOOL_CAP_MOVABLE 0x200u      /* zpool_malloc_support_movable() */
#define ZPOOL_CAP_SLEEP_MAPPED 0x400u /* zpool_can_sleep_mapped() */
#define ZPOOL_CAP_NOWAIT 0x800u       /* ZPOOL_GFP_NOWAIT can succeed */
#define ZPOOL_CAP_FILTER 0x1000u      /* stands in front of another driver */

enum zpool_driver_origin {
	ZPOOL_ORIGIN_REGISTERED, /* by zpool_register_driver() */
	ZPOOL_ORIGIN_PRELOADED,  /* linked into the program */
	ZPOOL_ORIGIN_FILE        /* a plugin */
};

enum zpool_driver_kind {
	ZPOOL_KIND_UNKNOWN, /* the file does not show it */
	ZPOOL_KIND_DRIVER,  /* keeps objects, and stands last in a spec */
	ZPOOL_KIND_FILTER   /* stands in front of a driver */
};

/*
 * What zpool_each_driver() tells.  Grows at its end; struct_size says how far this library fills it.  Strings are valid
 * during the callback, and can be shown as they are (see zpool_escape()), except for path.
 *
 * path          the plugin's file, byte for byte; NULL if there is none
 * loaded        its code is in memory and it was accepted
 * has_note      the file carries a note, which version, description and ABI are read from
 * file_read     the file was read; if it was not, because it may not be trusted or cannot be opened, has_note says
 *               nothing, and fault says why.  Since 0.2
 * version, description   NULL when not known without running the plugin
 * abi_major, abi_minor   0.0 when not known
 * fault         why a create would fail, as far as the file shows it; NULL: nothing seen
 * pools         pools that live
 * caps, max_object_bytes, alignment_bytes   0 unless loaded
 * kind          driver or filter, also of a file that is not loaded; since 0.2
 */
struct zpool_driver_info {
	uint32_t struct_size;
	enum zpool_driver_origin origin;
	const char *type;
	const char *path;
	const char *version;
	const char *description;
	const char *fault;
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t caps;
	uint32_t pools;
	bool loaded;
	bool has_note;
	size_t max_object_bytes;
	size_t alignment_bytes;
	bool file_read;
	enum zpool_driver_kind kind;
};

/*
 * zpool_each_driver - visit every driver that can be had, without running any plugin's code
 *
 * fn   gets each; a return value other than 0 ends the walk and is returned.  No lock is held.  Of several files of
 *      one name only the first in the path is shown, being the one that decides.
 *
 * 0, fn's value, or -EINVAL: fn is NULL; -EDEADLK: called from inside a load; and without a call of fn -ENOMEM,
 * -EMFILE or -ENFILE: no memory or no file descriptor is left; -E2BIG: the plugin directories hold more than 65536
 * files.  If a plugin directory exists and cannot be read, the drivers elsewhere are visited, and then the reason is
 * returned, such as -EACCES.  So is -EINVAL if ZPOOL_PLUGIN_PATH names a directory that is not absolute.
 */
ZPOOL_PUBLIC int zpool_each_driver(int (*fn)(const struct zpool_driver_info *info, void *user), void *user);

/* The kinds of value that a driver's parameter takes, as written in a spec.  A file's name is always a STRING. */
enum zpool_param_type {
	ZPOOL_PARAM_BOOL = 1, /* yes, no, on, off, true, false, 1, 0 */
	ZPOOL_PARAM_UINT,     /* a decimal number, min to max */
	ZPOOL_PARAM_SIZE,     /* bytes, min to max; suffixes K, M, G, T for powers of 1024 */
	ZPOOL_PARAM_ENUM,     /* one of choices */
	ZPOOL_PARAM_STRING    /* min to max bytes long; no max where that is 0 */
};
#define ZPOOL_PARAM_RUNTIME 0x1u /* zpool_set_param() may change it */

/* One parameter of a driver.  Grows at its end; the driver and zpool_each_param() tell the size of an entry. */
struct zpool_param {
	const char *key;            /* [a-z][a-z0-9_]* */
	const char *help;           /* meaning and units, a sentence without a full stop */
	const char *default_value;  /* as in a spec; NULL: none, the driver is told that nothing was given */
	const char *const *choices; /* ENUM: the words, NULL at the end */
	uint64_t min;
	uint64_t max;
	uint32_t type;  /* enum zpool_param_type */
	uint32_t flags; /* ZPOOL_PARAM_* */
};

/*
 * zpool_each_param - visit a driver's parameters, `limit` included; loads the driver if need be
 *
 * fn   gets each, and the size of the structure; a return value other than 0 ends the walk and is returned
 *
 * 0, fn's value, or a failure as zpool_create_pool() gives it, negative.
 */
ZPOOL_PUBLIC int zpool_each_param(const char *type, int (*fn)(const struct zpool_param *param, size_t size, void *user),
				  void *user);

/* ---- Messages ---- */
/*
 * zpool_last_error - the calling thread's last error, in whole sentences
 *
 * "" if none yet.  A success does not clear it.  Valid until the thread's next libzpool call that fails.  Never NULL.
 * Whatever it quotes from files, drivers and callers is written as zpool_escape() writes it.
 */
ZPOOL_PUBLIC const char *zpool_last_error(void);

enum zpool_log_level { ZPOOL_LOG_ERROR, ZPOOL_LOG_WARNING, ZPOOL_LOG_INFO, ZPOOL_LOG_DEBUG };

/*
 * zpool_set_log_handler - who gets the library's log
 *
 * fn      gets each message, without a newline and with what it quotes escaped (see zpool_escape()); it may use
 *         libzpool, but what that logs in turn is dropped.  NULL:
 *         back to the default, which is silence unless the environment variable ZPOOL_DEBUG is set to error, warning,
 *         info or debug (or 1, which is debug): then messages up to that level go to standard error.
 * level   the least grave messages wanted
 *
 * When the call returns 0, the old handler is no longer running and is never called again.  So a handler must not wait
 * for a thread that is in this call or in fork(2).  Otherwise -EINVAL: an unknown level; -EDEADLK: called from inside a
 * handler, or the handler has been running in another thread for 60 seconds; it is not replaced.
 */
ZPOOL_PUBLIC int zpool_set_log_handler(void (*fn)(enum zpool_log_level level, const char *message, void *user),
				       enum zpool_log_level level, void *user);

/*
 * zpool_escape - write a text from a foreign source so that it can be shown on a terminal or in a log
 *
 * buf, size   receive the text and a NUL, cut off before the first piece that does not fit; size 0: nothing is written
 * text        a string; NULL is read as ""
 *
 * Letters, digits and other visible characters in UTF-8 stay as they are.  Written as \n, \t, \r, \xHH, \uHHHH and
 * \UHHHHHHHH are: control characters, bytes that are not valid UTF-8, line and paragraph separators, characters that
 * change the direction of the text, and those that cannot be seen.  The result is one line of valid UTF-8, and escaping
 * it again changes nothing.  A backslash stays a single one, so the result is made to be read and not to be undone.
 *
 * The length of the whole result without its NUL, as snprintf(3) gives it.  Since 0.2.
 */
ZPOOL_PUBLIC size_t zpool_escape(char *buf, size_t size, const char *text);

/* zpool_version - the version of the library that is running, "major.minor.patch"; compare with ZPOOL_VERSION. */
ZPOOL_PUBLIC const char *zpool_version(void);

#ifdef __cplusplus
}
#endif

#ifdef ZPOOL_KERNEL_NAMES
#include <zpool-kernel.h> /* for callers written against the kernel's interface */
#endif

#endif /* ZPOOL_H */
