/* SPDX-License-Identifier: MIT
 *
 * pressure.c - tests of the thread that waits for memory pressure
 *
 * Urgent data on a TCP socket makes poll() report the same event as a pressure file does, and the test chooses when.
 * One test makes the kernel report real pressure, for which it must be allowed to make a memory cgroup.
 */
#include "config.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "image.h"
#include "tests/suite.h"

#define UNIT 1024
#define UNITS 4000

static struct image image;
static struct zpool_store *store;
static int ends[2] = { -1, -1 };

static void open_store(bool backed)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	unsigned char value[UNIT];
	uint32_t seed = 1;

	image_init(&image, (uint64_t)UNITS * UNIT, false);
	args.pool = "zsmalloc";
	args.unit_bytes = UNIT;
	args.recompressor = "zstd";
	if (backed)
		args.backing = &image.backing;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < UNITS; key++) {
		for (size_t i = 0; i < UNIT; i++) {
			seed = seed * 1664525 + 1013904223;
			value[i] = (unsigned char)('a' + (seed >> 29));
		}
		ck_assert_int_eq(zpool_store_put(store, key, value, UNIT), 0);
	}
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	return all;
}

/* Connects two sockets, and returns false if there is no loopback interface here. */
static bool connect_ends(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool connected;

	ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	connected = listener >= 0 && ends[0] >= 0 && !bind(listener, (struct sockaddr *)&address, length) &&
		    !listen(listener, 1) && !getsockname(listener, (struct sockaddr *)&address, &length) &&
		    !connect(ends[0], (struct sockaddr *)&address, length) &&
		    (ends[1] = accept(listener, NULL, NULL)) >= 0;
	if (listener >= 0)
		close(listener);
	return connected;
}

START_TEST(memory_pressure_event_releases_memory)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	uint64_t before, events = 0;

	if (!connect_ends())
		return;
	open_store(_i);
	args.fd = ends[1];
	args.stall_ms = 1;
	args.window_ms = 10;
	args.release_percent = 50;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), 0);
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EBUSY);
	before = zpool_store_get_total_size(store);
	ck_assert_uint_eq(stats().pressure_events, 0);
	ck_assert_int_eq(send(ends[0], "!", 1, MSG_OOB), 1);
	/* The urgent byte stays unread, so the event repeats; the values are idle from the second event on. */
	for (int i = 0; i < 3000 && events < 8; i++) {
		usleep(10000);
		events = stats().pressure_events;
	}
	ck_assert_int_eq(zpool_store_unwatch_pressure(store), 0);
	ck_assert_int_eq(zpool_store_unwatch_pressure(store), -ENOENT);
	ck_assert_uint_ge(events, 8);
	ck_assert_uint_lt(zpool_store_get_total_size(store), before);
	ck_assert_uint_gt(stats().recompressed, 0);
	if (_i)
		ck_assert_uint_gt(stats().evicted, UNITS / 4);
	else
		ck_assert_uint_eq(stats().units, UNITS);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

static unsigned int threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned int count = 0;

	while (tasks && readdir(tasks))
		count++;
	if (tasks)
		(void)closedir(tasks);
	return count;
}

/* Otherwise the thread would not sleep any more. */
START_TEST(thread_ends_when_the_other_end_of_its_descriptor_is_closed)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	unsigned int before;

	if (!connect_ends())
		return;
	open_store(false);
	args.fd = ends[1];
	before = threads();
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), 0);
	ck_assert_int_eq(shutdown(ends[1], SHUT_RDWR), 0);
	ck_assert_int_eq(close(ends[0]), 0);
	for (int i = 0; i < 3000 && threads() > before; i++)
		usleep(10000);
	ck_assert_uint_eq(threads(), before);
	ck_assert_int_eq(zpool_store_unwatch_pressure(store), 0);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(system_without_pressure_information_is_reported)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;

	open_store(false);
	args.path = "/proc/no-such-directory/memory.pressure";
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "PSI"));
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), args.path));
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(pressure_file_that_cannot_be_opened_is_reported)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	struct rlimit before, none;
	char path[] = "/tmp/zpool-pressure-XXXXXX";
	int fd = mkstemp(path), err;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	open_store(false);
	args.path = path;
	none = before;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = zpool_store_watch_pressure(store, &args, sizeof(args));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_msg(strstr(zpool_last_error(), "Too many open files"), "%s", zpool_last_error());
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), path));
	ck_assert_int_eq(zpool_store_unwatch_pressure(store), -ENOENT);
	ck_assert_int_eq(unlink(path), 0);
	close(fd);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* The threshold would be written into the file. */
START_TEST(file_that_has_no_pressure_information_is_not_changed)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	static const char content[] = "the file of a program";
	char path[] = "/tmp/zpool-pressure-XXXXXX", found[64] = "";
	int fd = mkstemp(path);

	ck_assert_int_eq(write(fd, content, sizeof(content)), sizeof(content));
	open_store(false);
	args.path = path;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "has no pressure stall information"));
	ck_assert_int_eq(pread(fd, found, sizeof(found), 0), sizeof(content));
	ck_assert_str_eq(found, content);
	args.path = "/dev/null";
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	args.path = "/tmp";
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	args.path = path;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	ck_assert_int_eq(unlink(path), 0);
	close(fd);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* This test uses the system's own pressure file if there is one; closing the store must end the thread. */
START_TEST(close_ends_the_thread)
{
	int err;

	open_store(true);
	err = zpool_store_watch_pressure(store, NULL, 0);
	printf("watching this system's memory pressure: %s\n", err ? zpool_last_error() : "possible");
	ck_assert_int_le(err, 0);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

static void put_noise(uint64_t key)
{
	uint32_t seed = (uint32_t)key * 2654435761U + 1;
	unsigned char value[UNIT];

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
	ck_assert_int_eq(zpool_store_put(store, key, value, UNIT), 0);
}

START_TEST(removed_limit_ends_eviction)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	uint64_t evicted, key = 0;

	image_init(&image, (uint64_t)UNITS * UNIT, false);
	args.unit_bytes = UNIT;
	args.backing = &image.backing;
	args.limit_bytes = (uint64_t)UNITS * UNIT / 2;
	args.accept_percent = 50;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	while (!stats().evicted)
		put_noise(key++);
	ck_assert_int_eq(zpool_store_set_limit(store, 0), 0);
	evicted = stats().evicted;
	for (unsigned int i = 0; i < 20; i++)
		put_noise(key++);
	ck_assert_uint_eq(stats().evicted, evicted);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;

	open_store(false);
	ck_assert_int_eq(zpool_store_watch_pressure(NULL, NULL, 0), -EINVAL);
	ck_assert_int_eq(zpool_store_unwatch_pressure(NULL), -EINVAL);
	ck_assert_int_eq(zpool_store_unwatch_pressure(store), -ENOENT);
	args.stall_ms = 200;
	args.window_ms = 100;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	args.window_ms = 20000;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	args.window_ms = 2000;
	args.release_percent = 101;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	args.release_percent = 1;
	args.path = "/proc/pressure/memory";
	args.fd = 0;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EINVAL);
	args.path = NULL;
	args.fd = 1000000;
	ck_assert_int_eq(zpool_store_watch_pressure(store, &args, sizeof(args)), -EBADF);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Real pressure: a child reads a file that is larger than its cgroup may be, so it waits for its page cache to shrink
 */

#define CGROUP_BYTES "4194304"
#define FILE_BYTES ((off_t)32 << 20) /* The file has no blocks, so reading it takes no input. */

static bool write_text(const char *directory, const char *name, const char *text)
{
	char path[600];
	bool done;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		(void)close(fd);
	return done;
}

/* Makes a cgroup with a memory limit below a mount of cgroups, of version 1 or 2, and returns false if that fails. */
static bool make_cgroup(char *cgroup, size_t room)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char directory[256], type[32], options[256];
	bool made = false;

	while (mounts && !made && fscanf(mounts, "%*s %255s %31s %255s %*d %*d", directory, type, options) == 3) {
		if (strncmp(type, "cgroup", 6) != 0)
			continue;
		(void)snprintf(cgroup, room, "%s/zpool-pressure-%ld", directory, (long)getpid());
		if (mkdir(cgroup, 0700))
			continue;
		made = write_text(cgroup, "memory.max", CGROUP_BYTES) ||
		       write_text(cgroup, "memory.limit_in_bytes", CGROUP_BYTES);
		if (!made)
			(void)rmdir(cgroup);
	}
	if (mounts)
		(void)fclose(mounts);
	return made;
}

static int make_file(const char *path)
{
	enum { TMPFS = 0x01021994, RAMFS = (int)0x858458f6 }; /* Their pages cannot leave the memory. */
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct statfs fs;

	(void)unlink(path);
	if (fd >= 0 && !fstatfs(fd, &fs) && (int)fs.f_type != TMPFS && (int)fs.f_type != RAMFS &&
	    !ftruncate(fd, FILE_BYTES))
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* Reads the file again and again, until it is killed or half a minute has passed. */
static pid_t start_reader(const char *cgroup, int fd)
{
	pid_t child = fork();

	if (child)
		return child;
	(void)alarm(30);
	if (!write_text(cgroup, "cgroup.procs", "0"))
		_exit(1);
	for (off_t at = 0;; at = (at + UNIT * UNIT) % FILE_BYTES) {
		static char buf[UNIT * UNIT];

		if (pread(fd, buf, sizeof(buf), at) <= 0)
			_exit(1);
		usleep(2000);
	}
}

/* Ends the reader and removes its cgroup. */
static void end_reader(pid_t child, const char *cgroup)
{
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	for (int i = 0; rmdir(cgroup) && i < 1000; i++)
		usleep(10000);
}

START_TEST(pressure_of_the_kernel_gives_memory_back)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	char cgroup[400], path[64];
	bool has_ended;
	pid_t child;
	int fd;

	(void)snprintf(path, sizeof(path), "store-pressure-%ld.tmp", (long)getpid());
	args.path = "/proc/pressure/memory";
	args.stall_ms = 1;
	args.window_ms = 500;
	args.release_percent = 50;
	if (access(args.path, W_OK) || (fd = make_file(path)) < 0) {
		printf("# skipped: there is no pressure stall information, or no file system on a disk\n");
		return;
	}
	if (!make_cgroup(cgroup, sizeof(cgroup))) {
		printf("# skipped: no cgroup with a memory limit can be made here\n");
		return;
	}
	child = start_reader(cgroup, fd);
	ck_assert_int_gt(child, 0);
	open_store(true);
	/* The kernel allows a shorter window only with the capability CAP_SYS_RESOURCE. */
	if (zpool_store_watch_pressure(store, &args, sizeof(args)) == -EINVAL) {
		args.window_ms = 2000;
		(void)zpool_store_watch_pressure(store, &args, sizeof(args));
	}
	for (int i = 0; i < 2500 && !stats().evicted && !waitpid(child, NULL, WNOHANG); i++)
		usleep(10000);
	has_ended = kill(child, 0) != 0;
	end_reader(has_ended ? 0 : child, cgroup);
	if (has_ended)
		printf("# skipped: a process cannot read in the cgroup\n");
	ck_assert(has_ended || stats().pressure_events > 0);
	ck_assert(has_ended || stats().evicted > 0);
	zpool_store_close(store);
	image_fini(&image);
	(void)close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pressure");
	TCase *tcase = tcase_create("pressure");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, memory_pressure_event_releases_memory, 0, 2);
	tcase_add_test(tcase, thread_ends_when_the_other_end_of_its_descriptor_is_closed);
	tcase_add_test(tcase, system_without_pressure_information_is_reported);
	tcase_add_test(tcase, pressure_file_that_cannot_be_opened_is_reported);
	tcase_add_test(tcase, file_that_has_no_pressure_information_is_not_changed);
	tcase_add_test(tcase, close_ends_the_thread);
	tcase_add_test(tcase, removed_limit_ends_eviction);
	tcase_add_test(tcase, pressure_of_the_kernel_gives_memory_back);
	tcase_add_test(tcase, bad_arguments_are_refused);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
