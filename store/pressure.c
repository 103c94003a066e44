/* SPDX-License-Identifier: MIT
 *
 * pressure.c - the thread that waits for memory pressure and then gives memory back
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store.h"
#include "support/cancel.h"

#define STALL_MS_DEFAULT 150
#define WINDOW_MS_DEFAULT 2000
#define WINDOW_MS_MAX 10000
#define RELEASE_PERCENT_DEFAULT 10
#define RECOMPRESS_UNITS 1024
#define COMPACT_BYTES ((uint64_t)4 << 20)
#define COMPACT_NS UINT64_C(20000000)

struct zps_watch {
	struct zpool_store *store;
	pthread_t thread;
	int fd;   /* reports POLLPRI at memory pressure */
	int stop; /* is an eventfd that ends the thread */
	uint32_t window_ms;
	uint32_t release_percent;
};

/* ------------------------------------------------------------------------------------------------------------------
 * The thread
 */

static void give_back(const struct zps_watch *watch)
{
	struct zpool_store *store = watch->store;
	struct zps_context *context = zps_context_get(&store->contexts);

	zps_count(context, ZPS_PRESSURE_EVENTS, 1);
	zps_context_put(context);
	if (store->recompression)
		zps_recompress_idle(store, RECOMPRESS_UNITS);
	(void)zpool_store_compact(store, COMPACT_BYTES, COMPACT_NS);
	(void)zpool_trim(store->pool, NULL);
	if (store->backing.present)
		(void)zpool_store_shrink(store, zpool_store_get_total_size(store) / 100 * watch->release_percent + 1,
					 NULL);
}

/*
 * After an event the thread waits for the window to pass, because a descriptor of the program may report events more
 * often.
 */
static void *run(void *context)
{
	const struct zps_watch *watch = context;
	struct pollfd fds[2] = { { .fd = watch->stop, .events = POLLIN }, { .fd = watch->fd, .events = POLLPRI } };
	struct pollfd stop = fds[0];

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return NULL;
		/* POLLERR says that the cgroup was removed, and POLLHUP that the other end of a socket was closed. */
		if (fds[0].revents || (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL)))
			return NULL;
		if (!(fds[1].revents & POLLPRI))
			continue;
		give_back(watch);
		if (poll(&stop, 1, (int)watch->window_ms) > 0)
			return NULL;
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Starting and ending it
 */

static int take_args(struct zpool_store_pressure *args, const struct zpool_store_pressure *given, size_t given_size)
{
	const unsigned char *bytes = (const unsigned char *)given;

	*args = (struct zpool_store_pressure)ZPOOL_STORE_PRESSURE_INIT;
	for (size_t i = sizeof(*args); given && i < given_size; i++)
		if (bytes[i])
			return zpool_set_error(
				E2BIG,
				"zpool_store_watch_pressure() was given an argument that only a newer libzpool-store knows.");
	if (given)
		memcpy(args, given, given_size < sizeof(*args) ? given_size : sizeof(*args));
	if (!args->stall_ms && !args->window_ms) {
		args->stall_ms = STALL_MS_DEFAULT;
		args->window_ms = WINDOW_MS_DEFAULT;
	}
	if (!args->release_percent)
		args->release_percent = RELEASE_PERCENT_DEFAULT;
	if (args->path && args->fd >= 0)
		return zpool_set_error(EINVAL, "Memory pressure has one source: set only one of path and fd.");
	if (!args->stall_ms || args->stall_ms > args->window_ms || args->window_ms > WINDOW_MS_MAX)
		return zpool_set_error(
			EINVAL,
			"A stall of %u ms in %u ms is not a valid threshold: the stall must be at least 1 ms and at most the window, and the window must be at most %d ms.",
			(unsigned int)args->stall_ms, (unsigned int)args->window_ms, WINDOW_MS_MAX);
	if (args->release_percent > 100)
		return zpool_set_error(EINVAL, "release_percent must be from 1 to 100, not %u.",
				       (unsigned int)args->release_percent);
	return 0;
}

/*
 * Returns the path of memory.pressure of the process's own cgroup, or NULL if cgroups of version 2 are not mounted at
 * their usual place.
 */
static const char *cgroup_path(char *buf, size_t room)
{
	static const char root[] = "/sys/fs/cgroup", name[] = "/memory.pressure";
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[1024];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3)) {
			int length = snprintf(buf, room, "%s%s%s", root, strcmp(line + 3, "/") ? line + 3 : "", name);

			found = length > 0 && (size_t)length < room && !access(buf, R_OK | W_OK);
		}
	}
	if (file)
		(void)fclose(file);
	return found ? buf : NULL;
}

static int cannot_watch(const char *path, int err)
{
	if (err == ENOENT || err == EOPNOTSUPP)
		return zpool_set_error(
			EOPNOTSUPP,
			"There is no pressure stall information (PSI) at \"%s\": the kernel was built or started without it, or there is no such cgroup.",
			path);
	return zpool_set_error(err, "Memory pressure cannot be watched with \"%s\": %s.", path, strerror(err));
}

/*
 * The threshold is written into the file, so it must be one of the kernel's: writing would damage any other file, and
 * opening a device may have effects.
 */
static int open_pressure(const char *path)
{
	static const char start[] = "some avg10=";
	char found[sizeof(start)] = "";
	int fd = -1, err = 0;
	struct stat st;

	if (stat(path, &st))
		return cannot_watch(path, errno);
	if (S_ISREG(st.st_mode)) {
		fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		/* Reading fails as well if the kernel was started without this information. */
		if (fd < 0 || pread(fd, found, sizeof(found) - 1, 0) < 0)
			err = cannot_watch(path, errno);
	}
	if (!err && strcmp(found, start) != 0)
		err = zpool_set_error(
			EINVAL,
			"Memory pressure cannot be watched with \"%s\", which has no pressure stall information (PSI): name /proc/pressure/memory, or memory.pressure of a cgroup.",
			path);
	if (err && fd >= 0)
		(void)close(fd);
	return err ? err : fd;
}

/* Returns a descriptor that reports POLLPRI at memory pressure, or -errno with the error set. */
static int open_events(const struct zpool_store_pressure *args)
{
	char buf[1200], threshold[64];
	const char *path = args->path;
	int fd, length;

	if (args->fd >= 0) {
		fd = fcntl(args->fd, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? zpool_set_error(errno, "The descriptor %d cannot be duplicated: %s.", (int)args->fd,
						strerror(errno))
			      : fd;
	}
	if (!path)
		path = cgroup_path(buf, sizeof(buf));
	if (!path)
		path = "/proc/pressure/memory";
	fd = open_pressure(path);
	if (fd < 0)
		return fd;
	length = snprintf(threshold, sizeof(threshold), "some %u %u", (unsigned int)args->stall_ms * 1000,
			  (unsigned int)args->window_ms * 1000);
	if (write(fd, threshold, (size_t)length + 1) < 0) {
		int err = cannot_watch(path, errno);

		(void)close(fd);
		return err;
	}
	return fd;
}

static void watch_free(struct zps_watch *watch)
{
	if (watch->fd >= 0)
		(void)close(watch->fd);
	if (watch->stop >= 0)
		(void)close(watch->stop);
	free(watch);
}

/* The thread blocks all signals, because signals are for the program's threads. */
static int start(struct zps_watch *watch)
{
	sigset_t all, before;
	int err;

	watch->stop = eventfd(0, EFD_CLOEXEC);
	if (watch->stop < 0)
		return zpool_set_error(errno, "The thread that watches memory pressure cannot get a descriptor: %s.",
				       strerror(errno));
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&watch->thread, NULL, run, watch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? zpool_set_error(err, "The thread that watches memory pressure cannot be started: %s.",
				     strerror(err))
		   : 0;
}

/* The caller holds watch_lock. */
static int watch(struct zpool_store *store, const struct zpool_store_pressure *args)
{
	struct zps_watch *watch;
	int err;

	if (store->watch)
		return zpool_set_error(EBUSY, "The store's memory pressure is watched already.");
	watch = malloc(sizeof(*watch));
	if (!watch)
		return zpool_set_error(ENOMEM, "There is no memory to watch memory pressure.");
	*watch = (struct zps_watch){ .store = store,
				     .fd = open_events(args),
				     .stop = -1,
				     .window_ms = args->window_ms,
				     .release_percent = args->release_percent };
	err = watch->fd < 0 ? watch->fd : start(watch);
	if (err)
		watch_free(watch);
	else
		store->watch = watch;
	return err;
}

int zpool_store_watch_pressure(struct zpool_store *store, const struct zpool_store_pressure *args, size_t args_size)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zpool_store_pressure own;
	int err;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_watch_pressure() was given no store.");
	err = take_args(&own, args, args_size);
	if (err)
		return err;
	pthread_mutex_lock(&store->watch_lock);
	err = watch(store, &own);
	pthread_mutex_unlock(&store->watch_lock);
	return err;
}

bool zps_watch_end(struct zpool_store *store)
{
	ZP_CANCEL_DISABLED_HERE;
	static const uint64_t one = 1;
	struct zps_watch *ended;

	pthread_mutex_lock(&store->watch_lock);
	ended = store->watch;
	store->watch = NULL;
	if (ended) {
		while (write(ended->stop, &one, sizeof(one)) < 0 && errno == EINTR)
			continue;
		pthread_join(ended->thread, NULL);
		watch_free(ended);
	}
	pthread_mutex_unlock(&store->watch_lock);
	return ended;
}

int zpool_store_unwatch_pressure(struct zpool_store *store)
{
	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_unwatch_pressure() was given no store.");
	return zps_watch_end(store) ? 0 : zpool_set_error(ENOENT, "The store's memory pressure is not watched.");
}
