/* SPDX-License-Identifier: MIT
 *
 * The fast path of every object: malloc, free, map, unmap, read and write.
 *
 * Each call costs its checks and one indirect call, without a lock, an atomic operation or a counter. Errors are
 * handled in separate functions outside the fast path.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "core/pool.h"
#include "core/too_large.h"
#include "core/verify.h"
#include "support/cancel.h"

#define COLD __attribute__((cold, noinline))

COLD static int malloc_refused(const struct zpool *pool, size_t size, zpool_gfp_t gfp, const unsigned long *handle)
{
	if (!pool)
		return zp_fail_static(EINVAL, "zpool_malloc() was given no pool.");
	if (!handle)
		return zp_fail_static(EINVAL, "zpool_malloc() was given no place to store the handle.");
	if (size == 0)
		return zp_fail_static(EINVAL, "zpool_malloc() was asked for 0 bytes.");
	if (gfp & ~ZPOOL_GFP_ALL)
		return zp_fail(EINVAL, "zpool_malloc() was given unknown flags 0x%x.", gfp & ~ZPOOL_GFP_ALL);
	/* Under NOWAIT this function must neither read a file nor allocate memory. */
	if (gfp & ZPOOL_GFP_NOWAIT)
		return zp_fail_static(ENOSPC, "zpool_malloc() was asked for more than zpool_max_object_size() bytes.");
	return zp_fail_too_large(pool, size);
}

COLD static int malloc_failed(int err)
{
	err = zp_driver_errno(err);
	if (zp_error_take_driver_text())
		return err;
	switch (-err) {
	case ENOMEM:
		return zp_fail_static(
			ENOMEM,
			"The pool has no memory for the object: its limit is reached, the system has no memory left, or a NOWAIT call found no free memory in the pool. Free or evict objects.");
	case EAGAIN:
		return zp_fail_static(EAGAIN,
				      "A lock is held by another thread, and a NOWAIT call does not wait for it.");
	case ENOSPC:
		return zp_fail_static(ENOSPC, "The object is too large for the pool's driver.");
	case EOPNOTSUPP:
		return zp_fail_static(EOPNOTSUPP,
				      "The pool belongs to the parent process; its driver does not support fork().");
	default:
		return zp_fail_static(-err, "The pool's driver could not store the object.");
	}
}

/*
 * A limit below the size of the pool only stops growth, so the pool may be filled up to the size that it had then, or
 * to the smallest one since.  Both can change while the driver's malloc runs, so they are read after it.
 */
static uint64_t allowed_size(struct zpool *pool)
{
	uint64_t limit = atomic_load(&pool->core_limit_bytes), kept = atomic_load(&pool->core_kept_bytes);
	if (!limit)
		return UINT64_MAX;
	return kept > limit ? kept : limit;
}

static void note_smaller_size(struct zpool *pool)
{
	uint64_t kept = atomic_load(&pool->core_kept_bytes);
	if (kept <= atomic_load(&pool->core_limit_bytes))
		return;
	uint64_t size = zp_pool_top(pool)->driver->total_size(pool->driver_pool);
	if (size < kept)
		(void)atomic_compare_exchange_strong(&pool->core_kept_bytes, &kept, size);
}

/* Frees the new object again if it exceeds the limit. The caller holds the lock of the limit. */
static int malloc_within(struct zpool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	const struct zpool_driver *driver = zp_pool_top(pool)->driver;
	unsigned long given = 0;

	note_smaller_size(pool);
	int err = driver->malloc(pool->driver_pool, size, gfp, &given);
	if (err)
		return err;
	if (driver->total_size(pool->driver_pool) > allowed_size(pool)) {
		(void)driver->free(pool->driver_pool, given);
		(void)zp_error_take_driver_text();
		return -EDQUOT;
	}
	*handle = given;
	return 0;
}

/* Returns true if the driver returned memory to the system. */
static bool trim_at_limit(struct zpool *pool, zpool_gfp_t gfp)
{
	const struct zp_layer *top = zp_pool_top(pool);
	uint64_t released = 0;

	/* A filter always has trim, but the driver below it may not. */
	if ((gfp & ZPOOL_GFP_NOWAIT) || !top->driver->trim || !(top->created.caps & ZPOOL_CAP_TRIM))
		return false;
	int err = top->driver->trim(pool->driver_pool, &released);
	/* The failure that is reported is that of malloc. */
	(void)zp_error_take_driver_text();
	return err == 0 && released;
}

/*
 * Like above, but before it fails, the memory that the driver has cached is returned, once. Memory that the driver
 * allocates during the second try is returned as well, because otherwise the pool would stay above its limit.
 */
static int malloc_or_trim(struct zpool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = malloc_within(pool, size, gfp, handle);
	if (err == -EDQUOT && trim_at_limit(pool, gfp)) {
		err = malloc_within(pool, size, gfp, handle);
		if (err == -EDQUOT)
			(void)trim_at_limit(pool, gfp);
	}
	if (err != -EDQUOT)
		return err;
	atomic_fetch_add_explicit(&pool->failed_limit, 1, memory_order_relaxed);
	return -ENOMEM;
}

/*
 * The lock of the limit has two parts: callers that may wait queue for core_limit_lock, and then the thread that sets
 * core_limit_taken has the lock. A NOWAIT call uses only the second part, whose release is a store: unlocking a mutex
 * may wake another thread, which is a system call.
 */
static bool try_limit_lock(struct zpool *pool)
{
	bool taken = false;
	return atomic_compare_exchange_strong(&pool->core_limit_taken, &taken, true);
}

static void lock_limit(struct zpool *pool, bool queues)
{
	static const struct timespec pause = { .tv_nsec = 20000 };

	if (queues)
		pthread_mutex_lock(&pool->core_limit_lock);
	/* Only the malloc of a NOWAIT call is waited for, which is short. */
	while (!try_limit_lock(pool))
		(void)nanosleep(&pause, NULL);
}

static void unlock_limit(struct zpool *pool, bool queued)
{
	atomic_store_explicit(&pool->core_limit_taken, false, memory_order_release);
	if (queued)
		pthread_mutex_unlock(&pool->core_limit_lock);
}

void zp_pool_lock_limit(struct zpool *pool)
{
	lock_limit(pool, true);
}

void zp_pool_unlock_limit(struct zpool *pool)
{
	unlock_limit(pool, true);
}

/* The thread holds the lock of a pool's limit. The outer turn belongs to a pool on which the driver is built. */
struct zp_turn {
	struct zpool *pool;
	bool queued;
	const struct zp_turn *outer;
};

/* The turns that this thread has, the last one first. */
static _Thread_local const struct zp_turn *turns __attribute__((tls_model("initial-exec")));

static bool has_turn(const struct zpool *pool)
{
	const struct zp_turn *turn = turns;
	while (turn && turn->pool != pool)
		turn = turn->outer;
	return turn != NULL;
}

bool zp_pool_may_evict(void)
{
	const struct zp_turn *turn = turns;
	while (turn && turn->queued)
		turn = turn->outer;
	return turn == NULL;
}

const struct zp_turn *zp_pool_give_up_turns(void)
{
	const struct zp_turn *given_up = turns;
	for (const struct zp_turn *turn = given_up; turn; turn = turn->outer)
		unlock_limit(turn->pool, turn->queued);
	turns = NULL;
	return given_up;
}

void zp_pool_take_back_turns(const struct zp_turn *given_up)
{
	/* The locks are taken in the same order as the first time. */
	if (given_up && given_up->outer)
		zp_pool_take_back_turns(given_up->outer);
	if (given_up)
		lock_limit(given_up->pool, given_up->queued);
	turns = given_up;
}

int zp_pool_limited_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zpool *pool = context;

	if (!atomic_load_explicit(&pool->core_limit_bytes, memory_order_relaxed))
		return zp_pool_top(pool)->driver->malloc(pool->driver_pool, size, gfp, handle);
	ZP_CANCEL_DISABLED_HERE;
	if (has_turn(pool))
		return malloc_or_trim(pool, size, gfp, handle);
	bool queues = !(gfp & ZPOOL_GFP_NOWAIT);
	if (queues) {
		lock_limit(pool, true);
	} else if (!try_limit_lock(pool)) {
		atomic_fetch_add_explicit(&pool->failed_again, 1, memory_order_relaxed);
		return -EAGAIN;
	}
	const struct zp_turn turn = { pool, queues, turns };
	turns = &turn;
	int err = malloc_or_trim(pool, size, gfp, handle);
	turns = turn.outer;
	unlock_limit(pool, queues);
	return err;
}

static _Thread_local const void *malloc_caller __attribute__((tls_model("initial-exec")));

const void *zp_pool_malloc_caller(void)
{
	return malloc_caller;
}

int zpool_malloc(struct zpool *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	malloc_caller = __builtin_return_address(0);
	if (ZP_UNLIKELY(!pool || !handle || size - 1 >= pool->max_object_bytes || (gfp & ~ZPOOL_GFP_ALL)))
		return malloc_refused(pool, size, gfp, handle);
	int err = pool->malloc(pool->malloc_context, size, gfp, handle);
	if (!(gfp & ZPOOL_GFP_NOWAIT))
		zp_pool_verify(pool, "zpool_malloc()");
	return ZP_UNLIKELY(err) ? malloc_failed(err) : 0;
}

/* A public function that takes a handle, and what the same errno means in it. */
struct object_call {
	const char *name;
	const char *if_busy; /* completes "handle is mapped" */
	const char *if_dead; /* completes "handle is not live" */
};

static const char maps_exhausted[] = " as many times as a handle can be";
static const struct object_call call_free = { "zpool_free()", "; unmap it first", "" };
static const struct object_call call_map = { "zpool_map_handle()", maps_exhausted, "" };
static const struct object_call call_unmap = { "zpool_unmap_handle()", maps_exhausted, ", or is not mapped" };
static const struct object_call call_size = { "zpool_obj_size()", maps_exhausted, "" };
static const struct object_call call_read = { "zpool_obj_read()", maps_exhausted, "" };
static const struct object_call call_write = { "zpool_obj_write()", maps_exhausted, "" };

/* Describes a driver's error for a handle. */
COLD static int handle_failed(struct zpool *pool, unsigned long handle, const struct object_call *call, int64_t result)
{
	const char *what = call->name;
	int err = zp_driver_errno(result);
	if (!pool)
		return zp_fail(EINVAL, "%s was given no pool.", what);
	if (!handle || err == -EINVAL || err == -EBUSY)
		atomic_fetch_add_explicit(&pool->refused_handles, 1, memory_order_relaxed);
	if (!handle)
		return zp_fail(EINVAL, "%s was given handle 0 for pool \"%s\"; 0 is never a valid handle.", what,
			       pool->name);
	if (zp_error_take_driver_text())
		return err;
	switch (-err) {
	case EBUSY:
		return zp_fail(EBUSY, "%s: handle 0x%lx of pool \"%s\" is mapped%s.", what, handle, pool->name,
			       call->if_busy);
	case EOPNOTSUPP:
		return zp_fail(EOPNOTSUPP, "%s: %s.", what,
			       pool->inherited
				       ? "the pool belongs to the parent process; its driver does not support fork()"
				       : "the pool's driver does not support this call");
	case EINVAL:
		return zp_fail(
			EINVAL,
			"%s: handle 0x%lx is not live in pool \"%s\"%s: it was already freed, belongs to another pool, or was never allocated.",
			what, handle, pool->name, call->if_dead);
	default:
		return zp_fail(-err, "%s: the driver of pool \"%s\" failed with %s.", what, pool->name, strerror(-err));
	}
}

/* Functions without a result report a caller's mistake through the log. */
COLD static void handle_refused(struct zpool *pool, unsigned long handle, const struct object_call *call, int err)
{
	(void)handle_failed(pool, handle, call, err);
	zp_log(ZPOOL_LOG_ERROR, "%s", zpool_last_error());
}

void zpool_free(struct zpool *pool, unsigned long handle)
{
	int err = -EINVAL;
	if (ZP_UNLIKELY(!pool || !handle || (err = pool->free(pool->driver_pool, handle)) != 0))
		handle_refused(pool, handle, &call_free, err);
	if (pool)
		zp_pool_verify(pool, "zpool_free()");
}

/*
 * Interprets the errno that a driver's map callback left. A value that map cannot have set is treated as a handle that
 * is not live.
 */
COLD static int map_errno(void)
{
	return errno == EBUSY || errno == EOPNOTSUPP || errno == ENOMEM || errno == EIO ? errno : EINVAL;
}

COLD static void *map_failed(struct zpool *pool, unsigned long handle, enum zpool_mapmode mode, int err)
{
	if (pool && handle && (unsigned int)mode > ZPOOL_MM_WO)
		return zp_fail_null(EINVAL, "zpool_map_handle(): %d is not a valid enum zpool_mapmode.", (int)mode);
	errno = -handle_failed(pool, handle, &call_map, -err);
	return NULL;
}

void *zpool_map_handle(struct zpool *pool, unsigned long handle, enum zpool_mapmode mode)
{
	if (ZP_UNLIKELY(!pool || !handle || (unsigned int)mode > ZPOOL_MM_WO))
		return map_failed(pool, handle, mode, EINVAL);
	void *address = pool->map(pool->driver_pool, handle, mode);
	zp_pool_verify(pool, "zpool_map_handle()");
	if (ZP_UNLIKELY(!address))
		return map_failed(pool, handle, mode, map_errno());
	return address;
}

void zpool_unmap_handle(struct zpool *pool, unsigned long handle)
{
	int err = -EINVAL;
	if (ZP_UNLIKELY(!pool || !handle || (err = pool->unmap(pool->driver_pool, handle)) != 0))
		handle_refused(pool, handle, &call_unmap, err);
	if (pool)
		zp_pool_verify(pool, "zpool_unmap_handle()");
}

static int64_t object_size(struct zpool *pool, unsigned long handle, const struct object_call *call)
{
	if (!pool || !handle)
		return handle_failed(pool, handle, call, -EINVAL);
	const struct zpool_driver *driver = zp_pool_top(pool)->driver;
	if (pool->inherited || !driver->obj_size)
		return handle_failed(pool, handle, call, -EOPNOTSUPP);
	int64_t size = driver->obj_size(pool->driver_pool, handle);
	return size < 0 ? handle_failed(pool, handle, call, size) : size;
}

int64_t zpool_obj_size(struct zpool *pool, unsigned long handle)
{
	return object_size(pool, handle, &call_size);
}

/* A filter always has obj_size, but the driver below it may not. The pool's capabilities cover both. */
static bool measures(struct zpool *pool)
{
	const struct zp_layer *top = zp_pool_top(pool);
	return top->driver->obj_size && (top->created.caps & ZPOOL_CAP_OBJ_SIZE);
}

/*
 * Checks that offset + len lies inside the object, if the driver can report the object's size. A driver that cannot
 * report sizes, and copies data itself, checks the range itself.
 */
static int64_t check_range(struct zpool *pool, unsigned long handle, const void *buf, size_t len, size_t offset,
			   bool driver_copies, const struct object_call *call)
{
	if (!pool || !handle)
		return handle_failed(pool, handle, call, -EINVAL);
	if (!buf)
		return zp_fail(EINVAL, "%s was given no buffer.", call->name);
	if (len == 0 || len > SIZE_MAX / 2)
		return zp_fail(EINVAL, "%s was asked for %zu bytes.", call->name, len);
	if (!measures(pool) && driver_copies)
		return 0;
	int64_t size = object_size(pool, handle, call);
	if (size < 0)
		return size;
	if (offset > (uint64_t)size || len > (uint64_t)size - offset)
		return zp_fail(EINVAL, "%s: offset %zu and length %zu exceed the object, whose size is %" PRId64 ".",
			       call->name, offset, len, size);
	return 0;
}

/* Maps the result of a driver's read or write callback to a valid one. */
static int64_t copied(struct zpool *pool, unsigned long handle, int64_t done, size_t len,
		      const struct object_call *call)
{
	if (done >= 0 && (uint64_t)done <= len)
		return done;
	return handle_failed(pool, handle, call, done < 0 ? done : -EIO);
}

int64_t zpool_obj_read(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	const struct object_call *call = &call_read;
	bool driver_copies = pool && !pool->inherited && zp_pool_top(pool)->driver->read;
	int64_t err = check_range(pool, handle, buf, len, offset, driver_copies, call);
	if (err)
		return err;
	if (driver_copies) {
		err = zp_pool_top(pool)->driver->read(pool->driver_pool, handle, buf, len, offset);
		zp_pool_verify(pool, call->name);
		return copied(pool, handle, err, len, call);
	}
	const char *from = pool->map(pool->driver_pool, handle, ZPOOL_MM_RO);
	if (!from)
		return handle_failed(pool, handle, call, -map_errno());
	memcpy(buf, from + offset, len);
	(void)pool->unmap(pool->driver_pool, handle);
	zp_pool_verify(pool, call->name);
	return (int64_t)len;
}

int64_t zpool_obj_write(struct zpool *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	const struct object_call *call = &call_write;
	bool driver_copies = pool && !pool->inherited && zp_pool_top(pool)->driver->write;
	int64_t err = check_range(pool, handle, buf, len, offset, driver_copies, call);
	if (err)
		return err;
	if (driver_copies) {
		err = zp_pool_top(pool)->driver->write(pool->driver_pool, handle, buf, len, offset);
		zp_pool_verify(pool, call->name);
		return copied(pool, handle, err, len, call);
	}
	char *to = pool->map(pool->driver_pool, handle, ZPOOL_MM_RW);
	if (!to)
		return handle_failed(pool, handle, call, -map_errno());
	memcpy(to + offset, buf, len);
	(void)pool->unmap(pool->driver_pool, handle);
	zp_pool_verify(pool, call->name);
	return (int64_t)len;
}
