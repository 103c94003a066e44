/* SPDX-License-Identifier: MIT
 *
 * backing-file.c - a regular file or a block device as a store's backing
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/falloc.h>
#include <linux/fs.h>
#endif

#include "backing.h"
#include "support/signals.h"

/* The user pointer of this backing points to this structure. */
struct file {
	int fd;
	pid_t locked_by; /* is the process whose close unlocks the file, or 0 if the store has not locked it */
};

static int fd_of(void *user)
{
	return ((const struct file *)user)->fd;
}

static int64_t file_size(void *user)
{
	off_t end = lseek(fd_of(user), 0, SEEK_END);

	return end < 0 ? -errno : end;
}

static int64_t file_pread(void *user, void *buf, size_t bytes, uint64_t offset)
{
	ssize_t done = pread(fd_of(user), buf, bytes, (off_t)offset);

	return done < 0 ? -errno : done;
}

/*
 * Beyond the file size limit, the system sends SIGXFSZ, which ends a program that does not expect it.  A call that may
 * meet the limit stands between these two functions, and fails with EFBIG.
 */
static bool limit_begin(struct zp_write_signals *signals)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return false;
	zp_write_signals_block(signals);
	return true;
}

static void limit_end(const struct zp_write_signals *signals, bool begun)
{
	if (begun)
		zp_write_signals_restore(signals);
}

static int64_t file_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	struct zp_write_signals signals;
	bool limited = limit_begin(&signals);
	ssize_t done = pwrite(fd_of(user), buf, bytes, (off_t)offset);

	limit_end(&signals, limited);
	return done < 0 ? -errno : done;
}

static int file_flush(void *user)
{
	return fdatasync(fd_of(user)) ? -errno : 0;
}

#ifdef FALLOC_FL_PUNCH_HOLE
/*
 * File systems and devices that do not support fallocate(2) report different errors.  All of these become -EOPNOTSUPP,
 * after which the store writes zero bytes instead.
 */
static int file_allocate(void *user, int mode, uint64_t offset, uint64_t bytes)
{
	struct zp_write_signals signals;
	bool limited = limit_begin(&signals);
	int failed = fallocate(fd_of(user), mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes);

	limit_end(&signals, limited);
	if (!failed)
		return 0;
	return errno == ENOSYS || errno == EINVAL || errno == ENODEV || errno == EPERM ? -EOPNOTSUPP : -errno;
}

static int file_discard(void *user, uint64_t offset, uint64_t bytes)
{
	return file_allocate(user, FALLOC_FL_PUNCH_HOLE, offset, bytes);
}

static int file_zero(void *user, uint64_t offset, uint64_t bytes)
{
	return file_allocate(user, FALLOC_FL_ZERO_RANGE, offset, bytes);
}
#else
#define file_discard NULL
#define file_zero NULL
#endif

#ifdef SEEK_HOLE
static int64_t file_next_extent(void *user, uint64_t offset, uint64_t bytes, int *is_hole)
{
	off_t data = lseek(fd_of(user), (off_t)offset, SEEK_DATA);
	off_t end = (off_t)(offset + bytes);

	if (data < 0 && errno != ENXIO)
		return -errno;
	*is_hole = data < 0 || data > (off_t)offset;
	if (data >= 0)
		end = *is_hole ? data : lseek(fd_of(user), (off_t)offset, SEEK_HOLE);
	if (end <= (off_t)offset)
		return -EIO;
	return (uint64_t)end - offset < bytes ? end - (off_t)offset : (int64_t)bytes;
}
#else
#define file_next_extent NULL
#endif

/* A child of fork(2) may have the descriptor as well, and closing it would then leave the file locked. */
static void file_close(void *user)
{
	struct file *file = user;
#ifdef F_OFD_SETLK
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (file->locked_by == getpid())
		(void)fcntl(file->fd, F_OFD_SETLK, &whole);
#endif
	(void)close(file->fd);
	free(file);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Opening
 */

static int cannot_open(const char *path, int err)
{
	if (err == EBUSY)
		return zpool_set_error(
			EBUSY, "The backing \"%s\" is a device that is in use, such as by a mounted file system.",
			path);
	if (err == EISDIR)
		return zpool_set_error(
			EINVAL, "The backing \"%s\" is a directory: name a regular file or a block device.", path);
	if (err == ENOENT)
		return zpool_set_error(
			ENOENT,
			"There is no backing \"%s\": create the file first, or set the flag ZPOOL_STORE_CREATE.", path);
	if (err == EROFS || err == EACCES)
		return zpool_set_error(err, "The backing \"%s\" cannot be opened for reading and writing: %s.", path,
				       strerror(err));
	return zpool_set_error(err, "The backing \"%s\" cannot be opened: %s.", path, strerror(err));
}

/*
 * O_EXCL makes open(2) refuse a block device that is mounted.  stat(2) is called before open(2), because opening a FIFO
 * would block.
 */
static int open_path(const struct zpool_store_args *args)
{
	int flags = O_RDWR | O_CLOEXEC | (args->flags & ZPOOL_STORE_CREATE ? O_CREAT : 0);
	struct stat st;
	int fd;

	if (!stat(args->backing_path, &st)) {
		if (S_ISBLK(st.st_mode))
			flags |= O_EXCL;
		else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
			return zpool_set_error(EINVAL,
					       "The backing \"%s\" is neither a regular file nor a block device.",
					       args->backing_path);
		flags &= ~O_CREAT;
	}
	fd = open(args->backing_path, flags, 0600);
	return fd < 0 ? cannot_open(args->backing_path, errno) : fd;
}

static int duplicate(int given)
{
	int flags = fcntl(given, F_GETFL);
	int fd;

	if (flags < 0)
		return zpool_set_error(EBADF, "The descriptor %d of the backing is not open.", given);
	if ((flags & O_ACCMODE) != O_RDWR)
		return zpool_set_error(EROFS, "The descriptor %d of the backing is not open for reading and writing.",
				       given);
	if (flags & O_APPEND)
		return zpool_set_error(EINVAL, "The descriptor %d of the backing appends: open it without O_APPEND.",
				       given);
	fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return zpool_set_error(errno, "The descriptor %d of the backing cannot be duplicated: %s.", given,
				       strerror(errno));
	return fd;
}

/* The file is locked, because two stores on one image would overwrite each other's units. */
static int lock(int fd, const char *name)
{
#ifdef F_OFD_SETLK
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &whole) && (errno == EAGAIN || errno == EACCES))
		return zpool_set_error(EBUSY, "The backing \"%s\" is locked: another store or program uses it.", name);
#else
	(void)fd;
	(void)name;
#endif
	return 0;
}

static int extend(int fd, const struct zpool_store_args *args, const char *name)
{
	uint64_t bytes = args->unit_count * args->unit_bytes;
	struct zp_write_signals signals;
	struct stat st;
	bool limited;
	int failed;

	if (args->unit_count > INT64_MAX / args->unit_bytes)
		return zpool_set_error(EFBIG, "%" PRIu64 " units of %" PRIu64 " bytes are too many for a file.",
				       args->unit_count, args->unit_bytes);
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size >= bytes)
		return 0;
	limited = limit_begin(&signals);
	failed = ftruncate(fd, (off_t)bytes);
	limit_end(&signals, limited);
	return failed ? zpool_set_error(errno, "The backing \"%s\" cannot be extended to %" PRIu64 " bytes: %s.", name,
					bytes, strerror(errno))
		      : 0;
}

static int check(int fd, const struct zpool_store_args *args)
{
	const char *name = args->backing_path ? args->backing_path : "descriptor";
	struct stat st;
	int read_only = 0;
	int err;

	if (fstat(fd, &st))
		return zpool_set_error(errno, "The backing \"%s\" cannot be examined: %s.", name, strerror(errno));
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return zpool_set_error(EINVAL, "The backing \"%s\" is neither a regular file nor a block device.",
				       name);
#ifdef BLKROGET
	if (S_ISBLK(st.st_mode) && !ioctl(fd, BLKROGET, &read_only) && read_only)
		return zpool_set_error(EROFS, "The backing \"%s\" is a read-only device.", name);
#endif
	(void)read_only;
	err = args->backing_path ? lock(fd, name) : 0;
	if (!err && (args->flags & ZPOOL_STORE_CREATE))
		err = extend(fd, args, name);
	return err;
}

int zps_file_open(struct zpool_store_backing *call, const struct zpool_store_args *args)
{
	struct file *file = malloc(sizeof(*file));
	int err;

	if (!file)
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	file->fd = args->backing_path ? open_path(args) : duplicate(args->backing_fd);
	file->locked_by = args->backing_path ? getpid() : 0;
	err = file->fd < 0 ? file->fd : check(file->fd, args);
	if (err) {
		if (file->fd >= 0)
			(void)close(file->fd);
		free(file);
		return err;
	}
	*call = (struct zpool_store_backing){
		.struct_size = sizeof(*call),
		.user = file,
		.size = file_size,
		.pread = file_pread,
		.pwrite = file_pwrite,
		.flush = file_flush,
		.discard = file_discard,
		.zero = file_zero,
		.next_extent = file_next_extent,
		.close = file_close,
	};
	return 0;
}
