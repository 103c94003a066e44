/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backing.h"
#include "nbdkit.h"
#include "remote.h"

#define CONNECTIONS_DEFAULT 4

void backing_init(struct backing *backing)
{
	*backing = (struct backing){ .fd = -1 };
}

/* The lock belongs to the open file, so it survives fork(2) and lasts until nbdkit ends.  Stores take the same lock. */
static int lock_file(const struct backing *backing, const struct settings *settings)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(backing->fd, F_OFD_SETLK, &whole))
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		nbdkit_error("the backing %s is locked: another server or program uses it", settings->backing);
		return -1;
	}
	nbdkit_debug("zpool: the file system does not lock the backing %s: %m", settings->backing);
	return 0;
}

static int open_file(struct backing *backing, const struct settings *settings)
{
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | (settings->create ? O_CREAT : 0);
	struct stat status;
	off_t end;

	backing->can_grow = true;
	/*
	 * Opening a FIFO would block, so other kinds of file are refused before.  O_EXCL refuses a block device that is
	 * mounted; together with O_CREAT it would refuse every file that exists.
	 */
	if (!stat(settings->backing, &status)) {
		if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
			nbdkit_error("the backing %s is neither a regular file nor a block device", settings->backing);
			return -1;
		}
		flags &= ~O_CREAT;
		flags |= S_ISBLK(status.st_mode) ? O_EXCL : 0;
		backing->can_grow = S_ISREG(status.st_mode);
	}
	backing->fd = open(settings->backing, flags, 0666);
	if (backing->fd < 0 && errno == ENOENT && !settings->create) {
		nbdkit_error("the backing %s does not exist; create=yes creates it", settings->backing);
		return -1;
	}
	if (backing->fd < 0) {
		nbdkit_error("the backing %s cannot be opened for reading and writing: %m", settings->backing);
		return -1;
	}
	if (lock_file(backing, settings))
		return -1;
	end = lseek(backing->fd, 0, SEEK_END);
	if (end < 0) {
		nbdkit_error("the size of the backing %s cannot be determined: %m", settings->backing);
		return -1;
	}
	backing->size_bytes = (uint64_t)end;
	return 0;
}

static int open_server(struct backing *backing, const struct settings *settings)
{
	unsigned int connections = settings->connections ? settings->connections : CONNECTIONS_DEFAULT;

	backing->remote = remote_open(settings->backing, connections, settings->unit_bytes);
	if (!backing->remote)
		return -1;
	backing->size_bytes = remote_size(backing->remote);
	backing->table = remote_backing(backing->remote);
	return 0;
}

static int compare_size(const struct backing *backing, const struct settings *settings)
{
	uint64_t disk_bytes = settings->size_bytes ? settings->size_bytes : backing->size_bytes;

	if (!disk_bytes) {
		nbdkit_error("the backing %s is empty: give the size of the disk and create=yes", settings->backing);
		return -1;
	}
	if (disk_bytes % settings->unit_bytes) {
		nbdkit_error("a disk with a backing must be a multiple of its unit in size, but %" PRIu64
			     " is not a multiple of %" PRIu64 ": give another size=, or a smaller unit=",
			     disk_bytes, settings->unit_bytes);
		return -1;
	}
	if (backing->size_bytes < disk_bytes && !(settings->create && backing->can_grow)) {
		nbdkit_error("the backing %s has %" PRIu64 " bytes, which is too small for a disk of %" PRIu64 "%s",
			     settings->backing, backing->size_bytes, disk_bytes,
			     backing->can_grow ? "; create=yes extends it" : "");
		return -1;
	}
	return 0;
}

int backing_open(struct backing *backing, const struct settings *settings)
{
	if (!settings->backing)
		return 0;
	if (remote_is_uri(settings->backing) ? open_server(backing, settings) : open_file(backing, settings))
		return -1;
	return compare_size(backing, settings);
}

int backing_check_user(struct backing *backing)
{
	return remote_check_user(backing->remote);
}

void backing_close(struct backing *backing)
{
	if (backing->fd >= 0)
		close(backing->fd);
	remote_close(backing->remote);
	backing_init(backing);
}

void backing_set(struct backing *backing, const struct settings *settings, struct zpool_store_args *args)
{
	if (backing->fd >= 0)
		args->backing_fd = backing->fd;
	if (backing->remote)
		args->backing = &backing->table;
	if (backing->fd >= 0 && settings->create)
		args->flags |= ZPOOL_STORE_CREATE;
}
