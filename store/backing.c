/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backing.h"

static int check_call(const struct zpool_store_backing *call)
{
	if (call->struct_size != sizeof(*call))
		return zpool_set_error(EINVAL, "The struct_size of a store's backing is not that of this library.");
	if (call->flags)
		return zpool_set_error(EINVAL, "A store's backing has unknown flags.");
	if (!call->size || !call->pread || !call->flush)
		return zpool_set_error(EINVAL, "A store's backing needs the functions size, pread, pwrite and flush.");
	if (!call->pwrite)
		return zpool_set_error(EROFS, "%s is read-only: it has no function pwrite.",
				       call->name ? call->name : "The store's backing");
	return 0;
}

static int init_locks(struct zps_backing *backing)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
#ifdef __GLIBC__
	/* With glibc's default, a steady sequence of readers would keep a writer waiting forever. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	for (unsigned int i = 0; i < ZPS_STRIPES; i++)
		pthread_rwlock_init(&backing->stripe[i], &attr);
	pthread_mutex_init(&backing->flush_lock, NULL);
	pthread_rwlockattr_destroy(&attr);
	return 0;
}

static int get_size(struct zps_backing *backing, const struct zpool_store_args *args)
{
	int64_t bytes = backing->call.size(backing->call.user);

	if (bytes < 0)
		return zpool_set_error((int)-bytes, "The size of %s cannot be determined: %s.", backing->name,
				       strerror((int)-bytes));
	backing->bytes = (uint64_t)bytes;
	if (args->unit_count && backing->bytes / args->unit_bytes < args->unit_count)
		return zpool_set_error(
			ENOSPC,
			"%s has %" PRIu64 " bytes, and %" PRIu64 " units of %" PRIu64
			" bytes do not fit: use a larger one, or let a file be extended with the flag ZPOOL_STORE_CREATE.",
			backing->name, backing->bytes, args->unit_count, args->unit_bytes);
	if (!args->unit_count && (backing->bytes < args->unit_bytes || backing->bytes % args->unit_bytes))
		return zpool_set_error(EINVAL,
				       "The size of %s is %" PRIu64
				       " bytes, which is not a multiple of the unit's %" PRIu64
				       ": use a smaller unit, or set unit_count to leave the rest unused.",
				       backing->name, backing->bytes, args->unit_bytes);
	return 0;
}

int zps_backing_open(struct zps_backing *backing, const struct zpool_store_args *args)
{
	const char *name = "The store's backing";
	int err;

	if (!args->backing_path && !args->backing && args->backing_fd < 0) {
		if (args->flags & (ZPOOL_STORE_CREATE | ZPOOL_STORE_EXCEED))
			return zpool_set_error(
				EINVAL, "ZPOOL_STORE_CREATE and ZPOOL_STORE_EXCEED are for stores with a backing.");
		return 0;
	}
	if (!!args->backing_path + !!args->backing + (args->backing_fd >= 0) > 1)
		return zpool_set_error(
			EINVAL, "A store has one backing: set only one of backing_path, backing and backing_fd.");
	if ((args->flags & ZPOOL_STORE_CREATE) && (args->backing || !args->unit_count))
		return zpool_set_error(EINVAL,
				       "ZPOOL_STORE_CREATE is for a backing that is a file, and needs unit_count.");
	err = args->backing ? check_call(args->backing) : zps_file_open(&backing->call, args);
	if (err)
		return err;
	if (args->backing) {
		backing->call = *args->backing;
		if (args->backing->name)
			name = args->backing->name;
	} else if (args->backing_path) {
		name = args->backing_path;
	}
	backing->present = true;
	init_locks(backing);
	backing->name = strdup(name);
	err = backing->name ? get_size(backing, args) : zpool_set_error(ENOMEM, "There is no memory for a store.");
	return err;
}

void zps_backing_close(struct zps_backing *backing)
{
	if (!backing->present)
		return;
	if (backing->call.close)
		backing->call.close(backing->call.user);
	for (unsigned int i = 0; i < ZPS_STRIPES; i++)
		pthread_rwlock_destroy(&backing->stripe[i]);
	pthread_mutex_destroy(&backing->flush_lock);
	free(backing->name);
}

static int failed(const struct zps_backing *backing, const char *what, uint64_t bytes, uint64_t offset, int err)
{
	return zpool_set_error(-err, "%s failed to %s %" PRIu64 " bytes at offset %" PRIu64 ": %s.", backing->name,
			       what, bytes, offset, strerror(-err));
}

/* Turns 0, which says that the image ends early, and results that only a faulty function returns into -EIO. */
static int64_t checked(int64_t done, size_t bytes)
{
	if (done < -4095 || done > (int64_t)bytes || done == 0)
		return -EIO;
	return done;
}

int zps_backing_read(struct zps_backing *backing, void *buf, size_t bytes, uint64_t offset)
{
	for (size_t at = 0; at < bytes;) {
		int64_t done = checked(
			backing->call.pread(backing->call.user, (char *)buf + at, bytes - at, offset + at), bytes - at);

		if (done == -EINTR)
			continue;
		if (done < 0)
			return failed(backing, "read", bytes, offset, (int)done);
		at += (size_t)done;
	}
	return 0;
}

int zps_backing_write(struct zps_backing *backing, const void *buf, size_t bytes, uint64_t offset)
{
	for (size_t at = 0; at < bytes;) {
		int64_t done = checked(
			backing->call.pwrite(backing->call.user, (const char *)buf + at, bytes - at, offset + at),
			bytes - at);

		if (done == -EINTR)
			continue;
		if (done < 0)
			return failed(backing, "write", bytes, offset, (int)done);
		at += (size_t)done;
	}
	return 0;
}

int zps_backing_flush(struct zps_backing *backing)
{
	int err;

	do {
		err = backing->call.flush(backing->call.user);
	} while (err == -EINTR);
	if (err > 0 || err < -4095)
		err = -EIO;
	return err ? zpool_set_error(-err, "%s failed to flush what was written: %s.", backing->name, strerror(-err))
		   : 0;
}

static int write_zeroes(struct zps_backing *backing, uint64_t offset, uint64_t bytes, void *buf, size_t buf_bytes)
{
	int err = 0;

	memset(buf, 0, buf_bytes < bytes ? buf_bytes : (size_t)bytes);
	while (bytes && !err) {
		size_t part = bytes < buf_bytes ? (size_t)bytes : buf_bytes;

		err = zps_backing_write(backing, buf, part, offset);
		offset += part;
		bytes -= part;
	}
	return err;
}

/* Calls discard or zero, and sets *cannot if it returns -EOPNOTSUPP, so that it is not called again. */
static int call_range(struct zps_backing *backing, int (*function)(void *, uint64_t, uint64_t), _Atomic bool *cannot,
		      uint64_t offset, uint64_t bytes)
{
	int err;

	if (!function || atomic_load_explicit(cannot, memory_order_relaxed))
		return -EOPNOTSUPP;
	do {
		err = function(backing->call.user, offset, bytes);
	} while (err == -EINTR);
	if (err == -EOPNOTSUPP)
		atomic_store_explicit(cannot, true, memory_order_relaxed);
	return err > 0 || err < -4095 ? -EIO : err;
}

int zps_backing_fill(struct zps_backing *backing, bool discard, uint64_t offset, uint64_t bytes, void *buf,
		     size_t buf_bytes)
{
	int err = -EOPNOTSUPP;

	if (discard) {
		err = call_range(backing, backing->call.discard, &backing->cannot_discard, offset, bytes);
		if (err && err != -EOPNOTSUPP)
			return failed(backing, "discard", bytes, offset, err);
	}
	if (err == -EOPNOTSUPP) {
		err = call_range(backing, backing->call.zero, &backing->cannot_zero, offset, bytes);
		if (err && err != -EOPNOTSUPP)
			return failed(backing, "zero", bytes, offset, err);
	}
	return err ? write_zeroes(backing, offset, bytes, buf, buf_bytes) : 0;
}
