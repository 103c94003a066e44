/* SPDX-License-Identifier: MIT
 *
 * zpool.h - pluggable memory pools: the caller's interface
 *
 * A pool stores objects of varying size and returns a handle for each.  Because callers hold handles and not pointers,
 * the allocator behind the pool (its driver) may pack objects densely, move them while they are not mapped, evict them,
 * and return memory to the system.  Drivers are plugins, which are loaded when a program first asks for their name.
 *
 * Conventions for every function, unless its comment says otherwise:
 *
 * - A function that returns int or int64_t returns 0 (or a count) on success and a negative errno on failure.  One that
 *   returns a pointer returns NULL on failure and sets errno.  In both cases zpool_last_error() then returns a message,
 *   for the calling thread, about what went wrong and what to do about it.  A failed call changes nothing.
 * - Every function may be called from any thread, on different objects and on different pools at the same time. The
 *   caller must order operations on the same object (free, map, write); even then, a handle that is no longer live or,
 *   when freed, still mapped is refused and never followed.  No function is async-signal-safe.
 * - Functions of the host that the library calls (evict, visitors, log handler, page source) must return, and not leave
 *   by longjmp(), a C++ exception or pthread_exit().  Otherwise the library's operation is never completed: objects can
 *   never be evicted or freed again, and locks are never released.
 * - A call that has begun is completed: pthread_cancel() takes effect only after it, and not inside a callback either.
 *   Threads of the type PTHREAD_CANCEL_ASYNCHRONOUS must not call the library.
 * - Destroying a pool while another thread is inside a call on that pool is undefined, as is using it afterwards.
 * - A function that needs the loader (to open a plugin, or to wait for one that is being opened) returns -EDEADLK when
 *   it is called inside a plugin's constructor, destructor or initialisation.  It also does so if another thread's load
 *   or unload has not ended after 60 seconds, because that load may be waiting for the calling thread.
 *
 * Everything exists since 0.1, unless marked otherwise.
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
 * NOWAIT   no system call, at most page faults: the call does not wait for locks (-EAGAIN if another thread holds one),
 *          and uses only memory that the pool already holds (-ENOMEM if there is none).  A driver that cannot guarantee
 *          this returns -ENOMEM.
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
 * The callback of a pool.  This structure never gets more members; new options are added to zpool_open().
 *
 * evict   called by zpool_shrink() to evict an object: it saves the contents elsewhere if they are needed, calls
 *         zpool_free(pool, handle) and returns 0.  Any other return value keeps the object and its page.  No lock of
 *         the pool is held, so every function may be called on the pool.  Another thread may free the handle meanwhile,
 *         so it may already be stale when the callback uses it.
 */
struct zpool_ops {
	int (*evict)(struct zpool *pool, unsigned long handle);
};

/* ---- Pools ---- */
/*
 * The source of a pool's pages, for hosts that need huge pages, a NUMA policy, or their own accounting of memory. The
 * table must stay valid as long as a pool that was opened with it lives; the pool calls it from any thread.
 *
 * If the process forks while such a pool lives, the child must get a private copy of the source's memory, even if it
 * only calls _exit(): fork() itself writes there in the child. MAP_SHARED and MADV_DONTFORK are not possible then.
 * And if it has other threads that use the pool, the source may wait for no lock that one of them may hold at the fork;
 * handlers of pthread_atfork() do not solve this, see "Page sources and fork" in zpool_create_pool(3).
 *
 * struct_size  sizeof(struct zpool_page_source)
 * flags        0
 * context      passed to each function
 * reserve      reserve `bytes` of address space (a multiple of 4096), aligned to `align_bytes` (a power of two, at
 *              least 4096), preferably on `node` (-1: any).  NULL when there is none.
 * commit       make a range inside a reservation usable, reading as zero.  0 or -errno; whatever the errno is, the call
 *              on the pool fails with -ENOMEM if it cannot do without.
 * decommit     release the memory of a committed range; its contents are lost.  0 or -errno; on failure the range stays
 *              committed, and the pool tries again later.
 * release      release a whole reservation.
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
 * The options of zpool_open() beside the spec.  Start from ZPOOL_OPEN_ARGS_INIT.
 *
 * gfp          how the pool's own records are allocated: ZPOOL_GFP_KERNEL
 * node         NUMA node to prefer, 0 to 1023, or -1 for any.  This is only a preference: if the system has no such
 *              node or forbids the choice, pages come from any node.
 * name         the pool's name in messages and statistics; NULL: the type and a number.  The string is copied.
 * evict, user  as in struct zpool_ops, with a pointer that it gets as its last argument; NULL: no eviction
 * page_source  the source of pages; NULL: anonymous memory of the system.  The table is not copied.
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
 * zpool_create_pool - create a pool
 *
 * type   a driver's name, or a whole spec: part[+part...], each part name[:key=value[,key=value]...].  The last part is
 *        the driver, those before it are filters that run on top of it.  %XX is the byte with that number.  Every
 *        driver has the key `limit`: a size in bytes (suffixes K, M, G, T) that zpool_get_total_size() never exceeds, 0
 *        for none.
 * gfp    flags for the pool's own records
 * ops    the evict callback, or NULL; read during the call, not kept
 *
 * A driver that is not loaded yet is searched among those registered, those linked into the program, and then as
 * <type>.so in the plugin directories (see zpool_set_plugin_path()); it stays loaded until zpool_unload_driver().  The
 * library never uses another driver than the one named.
 *
 * Returns the pool, which the caller must destroy with zpool_destroy_pool(), or NULL and errno:
 *   EINVAL   a malformed spec or name, an unknown key, a value out of range, unknown flags
 *   ENOENT   no driver of that name; the message lists every path tried
 *   EPERM    another user can change the plugin or a directory above it, or loading is disabled
 *   ENOEXEC  the file is not a plugin, cannot be linked, is on a file system that is mounted with noexec, or has an
 *            unsupported ABI; the message gives the reason
 *   EDEADLK  called from inside a plugin's initialisation, or another thread's load has not ended for 60 seconds
 *   EAGAIN   the plugin's file was replaced while it was being loaded; try again
 *   EBUSY    the plugin's file was replaced, and another part of the program keeps the old file mapped
 *   ENOMEM   out of memory, or the limit is below what an empty pool needs
 *   EMFILE, ENFILE  no file descriptor is left to read a plugin with
 *   EACCES   a plugin directory may not be searched, and no other one has a driver of that name
 *   EIO      the driver's create returned an invalid result, which is a bug in the driver
 *   any errno that the driver's create returns
 */
ZPOOL_PUBLIC struct zpool *zpool_create_pool(const char *type, zpool_gfp_t gfp, const struct zpool_ops *ops);

/*
 * zpool_open - create a pool, with more options
 *
 * spec       as for zpool_create_pool()
 * args       see struct zpool_open_args; NULL for the defaults
 * args_size  sizeof(struct zpool_open_args) as the caller was compiled; members that an older caller's structure lacks
 *            get their defaults
 *
 * Returns and fails like zpool_create_pool(), and with E2BIG where a newer caller sets a member that this library does
 * not know.
 */
ZPOOL_PUBLIC struct zpool *zpool_open(const char *spec, const struct zpool_open_args *args, size_t args_size);

/*
 * zpool_destroy_pool - destroy a pool and every object in it
 *
 * Live objects are freed without a message, mapped or not; their handles and addresses are invalid afterwards.  The
 * driver's memory is released, its code stays loaded.  NULL is ignored.  The call cannot fail.
 */
ZPOOL_PUBLIC void zpool_destroy_pool(struct zpool *pool);

/* zpool_get_type - the driver's name, the last part of the spec.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_type(struct zpool *pool);
/* zpool_get_spec - the whole spec that the pool was created with.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_spec(struct zpool *pool);
/* zpool_get_name - the pool's name.  Owned by the pool.  NULL, EINVAL: pool is NULL. */
ZPOOL_PUBLIC const char *zpool_get_name(struct zpool *pool);

/*
 * zpool_get_total_size - bytes of memory that the pool holds
 *
 * This counts every page that the pool has obtained from the system and not returned, and all of its own records.  If
 * every object has been written and at least 16 MiB are held, it is within 2 % and 256 KiB of the growth of the
 * process's resident memory (except for drivers on top of malloc(3), which can only add up the sizes that it reports).
 * Returns 0 with errno EINVAL if pool is NULL.
 */
ZPOOL_PUBLIC uint64_t zpool_get_total_size(struct zpool *pool);

/* zpool_max_object_size - the largest size that zpool_malloc() accepts, in bytes.  0, errno EINVAL: pool is NULL. */
ZPOOL_PUBLIC size_t zpool_max_object_size(struct zpool *pool);
/* zpool_alignment - alignment of every mapped object, in bytes, at least 8.  0, errno EINVAL: pool is NULL. */
ZPOOL_PUBLIC size_t zpool_alignment(struct zpool *pool);

/*
 * zpool_set_limit - change the pool's limit
 *
 * limit_bytes   the upper limit of zpool_get_total_size(); 0: no limit.  A limit below the current size only stops
 *               growth: zpool_malloc() returns -ENOMEM if it would need more memory.
 *
 * 0, or -EINVAL: pool is NULL.
 */
ZPOOL_PUBLIC int zpool_set_limit(struct zpool *pool, uint64_t limit_bytes);

/*
 * zpool_set_param - change a driver's parameter while the pool is in use
 *
 * key, value   as in a spec; in a stack of filters the key may be written `part.key`, otherwise it refers to the first
 *              part that has the key
 *
 * 0, or -EINVAL: a NULL argument, no such key, a value out of range; -EOPNOTSUPP: the parameter cannot be changed after
 * the pool is created.
 */
ZPOOL_PUBLIC int zpool_set_param(struct zpool *pool, const char *key, const char *value);

/* ---- Objects ---- */
/*
 * zpool_malloc - allocate an object
 *
 * size     bytes, 1 to zpool_max_object_size()
 * gfp      see above
 * handle   receives the handle, which is never 0; not changed on failure
 *
 * 0, or -EINVAL: a NULL argument, size 0, unknown flags; -ENOSPC: too large for this pool, no matter how much is freed;
 * -ENOMEM: no memory, the limit is reached, or (NOWAIT) no memory is cached; -EAGAIN: (NOWAIT) another thread holds a
 * lock.  The message of -ENOSPC names the drivers that accept the object; the first such call, if not NOWAIT, reads the
 * plugin directories.
 */
ZPOOL_PUBLIC int zpool_malloc(struct zpool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);

/*
 * zpool_free - free an object, whose space later objects of about its size can use, also at the limit
 *
 * A handle that is 0, stale, foreign, invented or still mapped is refused: the object remains, an error is logged and
 * zpool_last_error() reports it.  On 64-bit machines a stale handle is always refused; an invented or foreign one is
 * accepted as live with a probability of at most 2^-32 (2^-12 on 32-bit machines).
 */
ZPOOL_PUBLIC void zpool_free(struct zpool *pool, unsigned long handle);

/*
 * zpool_map_handle - map an object and return its address
 *
 * The object is neither moved nor freed until each of its mappings has been undone with zpool_unmap_handle().  Any
 * number of handles may be mapped at the same time; one handle may be mapped at most 60 times at the same time, by any
 * threads.
 *
 * Returns the address, aligned to zpool_alignment(), or NULL and errno: EINVAL, a NULL pool, an unknown mode, or a
 * handle that is not live; EBUSY, already mapped the maximum number of times; EOPNOTSUPP, the driver supports only
 * zpool_obj_read() and zpool_obj_write().
 */
ZPOOL_PUBLIC void *zpool_map_handle(struct zpool *pool, unsigned long handle, enum zpool_mapmode mode);

/* zpool_unmap_handle - undo one zpool_map_handle().  A handle that is not mapped is refused, logged and reported. */
ZPOOL_PUBLIC void zpool_unmap_handle(struct zpool *pool, unsigned long handle);

/*
 * zpool_obj_size - the number of usable bytes of an object
 *
 * This is at least the requested size; the driver may round it up.  -EINVAL: pool is NULL, the handle is not live.
 * -EOPNOTSUPP: the driver cannot report sizes.
 */
ZPOOL_PUBLIC int64_t zpool_obj_size(struct zpool *pool, unsigned long handle);

/*
 * zpool_obj_read, zpool_obj_write - copy from or to an object, without mapping it
 *
 * buf      at least len bytes of the caller's
 * len      bytes to copy, at least 1
 * offset   where in the object to begin; offset + len is at most zpool_obj_size()
 *
 * len, or -EINVAL: a NULL argument, a handle that is not live, a range that is empty or not entirely inside the object
 * (nothing is copied); -EBUSY: mapped too many times; -EOPNOTSUPP: the driver can neither do this nor report an
 * object's size.
 */
ZPOOL_PUBLIC int64_t zpool_obj_read(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset);
ZPOOL_PUBLIC int64_t zpool_obj_write(struct zpool *pool, unsigned long handle, const void *buf, size_t len,
				     size_t offset);

/*
 * zpool_each_object - visit every live object
 *
 * fn   gets each handle and its zpool_obj_size(); may call every function on the pool except zpool_destroy_pool(); a
 *      return value other than 0 ends the walk and is returned.  Objects that are created or freed during the walk may
 *      be visited or not.
 *
 * 0, fn's value, or -EINVAL: a NULL argument; -EOPNOTSUPP: the driver cannot.
 */
ZPOOL_PUBLIC int zpool_each_object(struct zpool *pool,
				   int (*fn)(struct zpool *pool, unsigned long handle, size_t size, void *user),
				   void *user);

/* ---- Returning memory ---- */
/*
 * zpool_shrink - evict objects
 *
 * pages       the number of the driver's backing pages to empty, at least 1
 * reclaimed   receives the number of emptied pages, also on failure; may be NULL
 *
 * Objects are passed to the evict callback in the driver's order, oldest first.  Returns 0 if all `pages` were emptied.
 * -EINVAL: pool is NULL, pages is 0, the pool has no evict callback, the driver cannot evict, or nothing is left to
 * evict; -EAGAIN: the callback refused too many times, or is just being called for the last objects; try again
 * later.
 */
ZPOOL_PUBLIC int zpool_shrink(struct zpool *pool, unsigned int pages, unsigned int *reclaimed);

/*
 * zpool_compact - move objects together and return the memory that becomes free
 *
 * budget_bytes   the number of bytes to move; the object that reaches it is the last; 0: no limit
 * budget_ns      the duration in nanoseconds, including the time to return memory; 0: no limit
 * released       receives the bytes given back, which is how much less the pool holds; may be NULL
 *
 * A call does at least one step of the work, whatever its budget, and exceeds its time by at most one: some tens of KiB
 * moved, or a few calls of madvise(2).  The next call with a budget continues behind it.  A loop that repeats the call
 * while it returns 1 always ends, even if objects are mapped and other threads store and free objects.  A call that is
 * ended by its budget may have allocated pages to move objects to without having emptied any page yet: *released is
 * then 0, and the pool is slightly larger.  The gain of a loop is therefore the difference of zpool_get_total_size(),
 * and not the sum of the released bytes of its calls.
 *
 * Returns 0 if nothing is left to gain, 1 if the budget ended the work; -EINVAL: pool is NULL; -EOPNOTSUPP: the driver
 * does not move objects.
 */
ZPOOL_PUBLIC int zpool_compact(struct zpool *pool, uint64_t budget_bytes, uint64_t budget_ns, uint64_t *released);

/*
 * zpool_trim - return the pool's free pages to the system at once, instead of caching some for the next zpool_malloc()
 *
 * released   receives the bytes given back, which is how much less the pool holds; may be NULL
 *
 * 0, or -EINVAL: pool is NULL; -EOPNOTSUPP: the driver caches no free pages.
 */
ZPOOL_PUBLIC int zpool_trim(struct zpool *pool, uint64_t *released);

/* ---- Capabilities and statistics ---- */
/*
 * zpool_evictable - true if zpool_shrink() works: the driver supports eviction, and the pool has a callback.
 * false: also if pool is NULL.
 */
ZPOOL_PUBLIC bool zpool_evictable(struct zpool *pool);
/* zpool_can_sleep_mapped - true if a thread may block while it has an object mapped.  false: pool is NULL. */
ZPOOL_PUBLIC bool zpool_can_sleep_mapped(struct zpool *pool);
/* zpool_malloc_support_movable - true if the driver makes use of ZPOOL_GFP_MOVABLE.  false: pool is NULL. */
ZPOOL_PUBLIC bool zpool_malloc_support_movable(struct zpool *pool);

/*
 * The result of zpool_get_stats().  New members are added at its end.  Members about features that a driver lacks
 * (pages, compaction, eviction) are 0.
 *
 * *_peak are the highest values since the pool was created, and counters start at that moment.  free_slots are those
 * that compaction could free.  Every malloc that fails with -ENOMEM or -EAGAIN is counted under one reason; one that is
 * refused because of its arguments is not counted.  compact_released_bytes counts a page that moves inside a malloc or
 * free have emptied, and once more when zpool_compact() returns it to the system.
 *
 * The figures are exact if no other thread calls a function of the pool meanwhile.  Otherwise, a driver may read them
 * one after another: an object that is freed and stored again in another size class may be counted twice, or not at
 * all.
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
	uint64_t malloc_failed_memory; /* including NOWAIT calls that found no free memory */
	uint64_t malloc_failed_again;
	uint64_t refused_handles; /* in any call: not live, mapped when freed or too often, unmapped when not */
	uint64_t errors;          /* misuse and damage that a checking filter (guard) found; 0 without one */
};

/*
 * zpool_get_stats - get a driver's counters
 *
 * stats        receives them
 * stats_size   sizeof(struct zpool_stats) as the caller was compiled; what this library does not know reads as 0
 *
 * 0, or -EINVAL: a NULL argument, stats_size 0; -EOPNOTSUPP: the driver has no statistics.
 */
ZPOOL_PUBLIC int zpool_get_stats(struct zpool *pool, struct zpool_stats *stats, size_t stats_size);

/* What a member of struct zpool_stats counts. */
enum zpool_unit { ZPOOL_UNIT_COUNT, ZPOOL_UNIT_BYTES };

/*
 * One member of struct zpool_stats, for programs that show all of them.  New members are added at its end.
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
 * Returns a constant member, or NULL after the last one.  A program that was compiled with an older header must skip
 * members whose offset is not inside its own structure.  Sets no error.  Since 0.2.
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
#define ZPOOL_DUMP_TEXT 0u /* text for people; its format may change */
#define ZPOOL_DUMP_JSON 1u /* one JSON object, in one line; members may be added */

/*
 * zpool_dump - write the statistics of every pool of the process
 *
 * fd       an open file descriptor, to which write(2) is called; it is not closed
 * format   ZPOOL_DUMP_TEXT or ZPOOL_DUMP_JSON
 *
 * For each pool, starting with the oldest, it writes name, spec, total size, limit, the statistics of each layer
 * (filters and driver), and the size classes if there are at most 256.  Pools that are created during the call are left
 * out.  Other threads may create, use and destroy pools meanwhile; a destroy waits at most until its pool's statistics
 * have been read, and never until they are written.  It must not be called from a log handler or a page source, which
 * run while locks of a pool are held, nor from a signal handler.
 *
 * 0, or -EBADF: fd is not open for writing; -EINVAL: an unknown format; -ENOMEM; or the error of write(2), such as
 * -EPIPE, -ENOSPC, or -EAGAIN if the descriptor is non-blocking; a part may have been written then.  Since 0.2.
 */
ZPOOL_PUBLIC int zpool_dump(int fd, unsigned int format);

/* ---- Drivers ---- */
/*
 * zpool_has_pool - true if a pool of this type could be created.  type is a driver's name or a whole spec; the drivers
 * of all parts are loaded if necessary.  A filter needs a driver below it.  Keys and values are not checked.  If it
 * returns false, zpool_last_error() returns the reason.
 */
ZPOOL_PUBLIC bool zpool_has_pool(const char *type);

/*
 * zpool_register_driver - register a driver that is part of the program
 *
 * driver   see zpool-driver.h; read during the call; everything that it points to must remain valid until the driver is
 *          unregistered
 *
 * While another thread looks for a driver of that type, or unloads it, the call waits.
 *
 * 0, or -EINVAL: NULL, or a structure that the core refuses, the message says which field; -EEXIST: a driver of that
 * type is already registered or loaded; -ENOMEM: no memory for the record; -EDEADLK: called inside the initialisation
 * of a plugin of that type, or another thread has been loading it for 60 seconds.
 */
ZPOOL_PUBLIC int zpool_register_driver(const struct zpool_driver *driver);

/*
 * zpool_unregister_driver - undo the registration.  0, or -EBUSY: it still has a live pool; -ENOENT: not registered;
 * -EINVAL: NULL.
 */
ZPOOL_PUBLIC int zpool_unregister_driver(const struct zpool_driver *driver);

/*
 * zpool_evict - for registered drivers: call the evict callback of the pool's owner, as in the kernel
 *
 * driver_pool   the pool that the driver's create returned
 *
 * Returns the callback's return value, or -EINVAL: the pool has no callback; -ENOENT: no such pool; -EAGAIN: the thread
 * is in a NOWAIT malloc of a pool whose limit the core enforces.  No lock may be held during the call.
 */
ZPOOL_PUBLIC int zpool_evict(void *driver_pool, unsigned long handle);

/*
 * zpool_unload_driver - unload a plugin, so that the next use of its name opens the file again
 *
 * 0, or -EINVAL: no valid name; -ENOENT: not loaded; -EBUSY: it still has a live pool, or it is being loaded; -EPERM:
 * registered by the program or linked into it; -EOPNOTSUPP: the driver stays in memory until the process ends (because
 * it requires this, or the system does not unmap it), and a changed file is not loaded; -EDEADLK: called from inside a
 * load, or another thread's load has not ended for 60 seconds.
 */
ZPOOL_PUBLIC int zpool_unload_driver(const char *type);

/*
 * zpool_set_plugin_path - set the directories in which plugins are searched
 *
 * path   a list of absolute directories, separated by colons, which are searched in this order; NULL: restore the
 *        default, which is the environment variable ZPOOL_PLUGIN_PATH (except in set-user-ID programs), or else the
 *        directory chosen when the library was built
 *
 * Only the first directory that has a file of the driver's name counts.  Loaded drivers stay loaded.  0, or -EINVAL:
 * empty, or a directory that is not absolute; -ENOMEM.
 */
ZPOOL_PUBLIC int zpool_set_plugin_path(const char *path);

/*
 * zpool_get_plugin_path - write the current path to buf, as snprintf(3) does.  Returns its length without NUL, or
 * -errno.
 */
ZPOOL_PUBLIC int zpool_get_plugin_path(char *buf, size_t size);

/*
 * zpool_rescan - examine plugins again whose load failed, even if their files seem unchanged
 *
 * A new file needs no rescan, because a missing plugin is searched every time.  0, or -EDEADLK: called from inside a
 * load.
 */
ZPOOL_PUBLIC int zpool_rescan(void);

/*
 * zpool_loading_disable - forbid opening plugins from now on
 *
 * The call waits for running loads to end.  Drivers that are loaded, registered or linked into the program still work,
 * and zpool_each_driver() shows only these; others fail with EPERM.  It is meant for programs that are about to enter a
 * sandbox, and cannot be undone.  0, or -EDEADLK: called from inside a load, or loads have not ended for 60 seconds,
 * and then loading is not disabled.
 */
ZPOOL_PUBLIC int zpool_loading_disable(void);

/* The capabilities of a driver or of its pools. */
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
#define ZPOOL_CAP_FILTER 0x1000u      /* runs on top of another driver */

enum zpool_driver_origin {
	ZPOOL_ORIGIN_REGISTERED, /* by zpool_register_driver() */
	ZPOOL_ORIGIN_PRELOADED,  /* linked into the program */
	ZPOOL_ORIGIN_FILE        /* a plugin */
};

enum zpool_driver_kind {
	ZPOOL_KIND_UNKNOWN, /* the file does not show it */
	ZPOOL_KIND_DRIVER,  /* stores objects, and is the last part of a spec */
	ZPOOL_KIND_FILTER   /* runs on top of a driver */
};

/*
 * The description of a driver by zpool_each_driver().  New members are added at its end; struct_size is the number of
 * bytes that this library fills.  Strings are valid during the callback, and can be displayed unchanged (see
 * zpool_escape()), except for path.
 *
 * path          the exact path of the plugin's file; NULL if there is none
 * loaded        its code is in memory and was accepted
 * has_note      the file has a note, from which version, description and ABI are read
 * file_read     the file was read; if it was not, because it is not trusted or cannot be opened, has_note has no
 *               meaning, and fault gives the reason unless the driver is loaded.  Since 0.2
 * version, description   NULL if unknown without running the plugin
 * abi_major, abi_minor   0.0 if unknown
 * fault         why creating a pool would fail, as far as the file shows it; NULL: no fault found
 * pools         the number of pools that use it, including those that are being created or destroyed; a call that
 *               looks at the driver, such as zpool_has_pool(), counts as a pool until it returns
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
 * zpool_each_driver - visit every available driver, without running code of plugins
 *
 * fn   gets each; a return value other than 0 ends the walk and is returned.  No lock is held.  If several files have
 *      the same name, only the first one in the path is shown, because that is the one that would be loaded.
 *
 * 0, fn's value, or -EINVAL: fn is NULL; -EDEADLK: called from inside a load; and without a call of fn -ENOMEM, -EMFILE
 * or -ENFILE: no memory or no file descriptor is left; -E2BIG: the plugin directories hold more than 65536 files.  If a
 * plugin directory exists but cannot be read, the drivers in the other directories are visited, and then the error is
 * returned, such as -EACCES.  In the same way, -EINVAL is returned if ZPOOL_PLUGIN_PATH names a directory that is not
 * absolute.
 */
ZPOOL_PUBLIC int zpool_each_driver(int (*fn)(const struct zpool_driver_info *info, void *user), void *user);

/* The types of a parameter, with the values that a spec may contain.  The name of a file is always a STRING. */
enum zpool_param_type {
	ZPOOL_PARAM_BOOL = 1, /* yes, no, on, off, true, false, 1, 0 */
	ZPOOL_PARAM_UINT,     /* a decimal number, min to max */
	ZPOOL_PARAM_SIZE,     /* bytes, min to max; suffixes K, M, G, T for powers of 1024 */
	ZPOOL_PARAM_ENUM,     /* one of choices */
	ZPOOL_PARAM_STRING    /* min to max bytes long; a max of 0 means no maximum */
};
#define ZPOOL_PARAM_RUNTIME 0x1u /* zpool_set_param() may change it */

/*
 * One parameter of a driver.  New members are added at its end; the driver and zpool_each_param() give the size of
 * an entry.
 */
struct zpool_param {
	const char *key;            /* [a-z][a-z0-9_]* */
	const char *help;           /* description with units, a sentence without a full stop */
	const char *default_value;  /* as in a spec; NULL: none, and the driver sees that no value was given */
	const char *const *choices; /* ENUM: the valid words, terminated by NULL */
	uint64_t min;
	uint64_t max;
	uint32_t type;  /* enum zpool_param_type */
	uint32_t flags; /* ZPOOL_PARAM_* */
};

/*
 * zpool_each_param - visit a driver's parameters, `limit` included; loads the driver if necessary
 *
 * fn   gets each, and the size of the structure; a return value other than 0 ends the walk and is returned
 *
 * Returns 0, fn's value, or a negative errno of the same kinds as zpool_create_pool().
 */
ZPOOL_PUBLIC int zpool_each_param(const char *type, int (*fn)(const struct zpool_param *param, size_t size, void *user),
				  void *user);

/* ---- Messages ---- */
/*
 * zpool_last_error - the calling thread's last error, in whole sentences
 *
 * The message is "" if no call has failed yet, and never NULL.  A successful call does not clear it.  It is valid until
 * the thread's next libzpool call that fails.  Text from files, drivers and callers is escaped as by zpool_escape().
 */
ZPOOL_PUBLIC const char *zpool_last_error(void);

/*
 * zpool_set_error - set what zpool_last_error() returns, for libraries that are built on this one
 *
 * err          a positive errno
 * format, ...  a sentence, as for printf(3); what it quotes is escaped as zpool_escape() does it
 *
 * Returns -err, so that a function can end with it.  Since 0.2.
 */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
ZPOOL_PUBLIC int
zpool_set_error(int err, const char *format, ...);

enum zpool_log_level { ZPOOL_LOG_ERROR, ZPOOL_LOG_WARNING, ZPOOL_LOG_INFO, ZPOOL_LOG_DEBUG };

/*
 * zpool_set_log_handler - set the function that receives the library's log messages
 *
 * fn      receives each message, without a newline and with quoted text escaped (see zpool_escape()); it may use
 *         libzpool, except for a pool that is being destroyed, but log messages of these calls are dropped.  NULL
 *         restores the default, which logs nothing unless the environment variable ZPOOL_DEBUG is set to error,
 *         warning, info or debug (or 1, which is debug): then messages up to that level are written to standard error.
 * level   the least severe level that fn receives
 *
 * When the call returns 0, the old handler is no longer running and is never called again.  A handler must therefore
 * not wait for a thread that is in this call.  Otherwise -EINVAL: an unknown level; -EDEADLK: called from
 * inside a handler, or the handler has been running in another thread for 60 seconds; it is not replaced.
 */
ZPOOL_PUBLIC int zpool_set_log_handler(void (*fn)(enum zpool_log_level level, const char *message, void *user),
				       enum zpool_log_level level, void *user);

/*
 * zpool_escape - escape text from an untrusted source so that it can be shown on a terminal or in a log
 *
 * buf, size   receive the text and a NUL, truncated before the first piece that does not fit; size 0: nothing is
 *             written
 * text        a string; NULL is read as ""
 *
 * Letters, digits and other visible characters in UTF-8 are not changed.  Written as \n, \t, \r, \xHH, \uHHHH and
 * \UHHHHHHHH are: control characters, bytes that are not valid UTF-8, line and paragraph separators, characters that
 * change the direction of the text, and invisible characters.  The result is one line of valid UTF-8, and escaping it
 * again does not change it.  A backslash is not escaped, so the result is meant for reading and cannot be decoded.
 *
 * Returns the length of the whole result without its NUL, like snprintf(3).  Since 0.2.
 */
ZPOOL_PUBLIC size_t zpool_escape(char *buf, size_t size, const char *text);

/* zpool_version - the version of the running library, "major.minor.patch"; compare with ZPOOL_VERSION. */
ZPOOL_PUBLIC const char *zpool_version(void);

#ifdef __cplusplus
}
#endif

#ifdef ZPOOL_KERNEL_NAMES
#include <zpool-kernel.h> /* for callers written against the kernel's interface */
#endif

#endif /* ZPOOL_H */
