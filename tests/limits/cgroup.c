/* SPDX-License-Identifier: MIT
 *
 * A memory cgroup, of version 1 or 2: a process that exceeds its limit is killed, and everything that its store had
 * flushed is in the backing; one that stays below it works, although the system must take its page cache away.
 *
 * The tests need the right to make a cgroup, which root has unless it is in a container.
 */
#include "config.h"

#include "tests/limits/limits.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#ifdef HAVE_STORE
#include "zpool-store.h"
#endif

enum { MIB = 1 << 20, LIMIT_BYTES = 16 * MIB, UNIT = 4096, KEYS = 3000, SIZE = 1000 };

static char group[512];

/* ------------------------------------------------------------------------------------------------------------------
 * The cgroup
 */

static bool put(const char *file, const char *text)
{
	char path[640];
	int fd;
	bool done;

	(void)snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		(void)close(fd);
	return done;
}

/*
 * Makes a cgroup below `parent`, and sets its limit and `high`, unless that is 0. Returns false if that is impossible.
 */
static bool make_at(const char *parent, bool is_version_2, uint64_t high)
{
	char text[32];

	(void)snprintf(group, sizeof(group), "%s/zpool-test-%ld", parent, (long)getpid());
	if (mkdir(group, 0755))
		return false;
	(void)snprintf(text, sizeof(text), "%llu",
		       (unsigned long long)(high ? 4 * (uint64_t)LIMIT_BYTES : LIMIT_BYTES));
	if (put(is_version_2 ? "memory.max" : "memory.limit_in_bytes", text)) {
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)high);
		if (!high || put("memory.high", text)) {
			/* Without this, memory would be swapped out instead. */
			(void)put(is_version_2 ? "memory.swap.max" : "memory.swappiness", "0");
			return true;
		}
	}
	(void)rmdir(group);
	return false;
}

/* Finds the process's own cgroup, and makes one below it or beside it. */
static bool make_group(uint64_t high)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[300], parent[400], *own;
	bool made = false;

	while (file && !made && fgets(line, sizeof(line), file)) {
		bool is_version_2 = strncmp(line, "0::", 3) == 0;

		line[strcspn(line, "\n")] = '\0';
		own = is_version_2 ? line + 3 : strstr(line, ":memory:");
		if (!own || (!is_version_2 && high))
			continue;
		own += is_version_2 ? 0 : strlen(":memory:");
		for (int level = 0; level < 2 && !made; level++) {
			(void)snprintf(parent, sizeof(parent), "/sys/fs/cgroup%s%s", is_version_2 ? "" : "/memory",
				       own);
			made = make_at(parent, is_version_2, high);
			if (!strrchr(own, '/'))
				break;
			*strrchr(own, '/') = '\0';
		}
	}
	if (file)
		(void)fclose(file);
	return made;
}

/* A cgroup whose last process has just ended may be busy for a moment. */
static void remove_group(void)
{
	for (int i = 0; i < 100 && rmdir(group) && errno == EBUSY; i++)
		usleep(10000);
}

/* Runs the work in a child inside the cgroup, and returns the child's status. */
static int run_in_group(void (*work)(void))
{
	pid_t child;
	int status = -1;

	(void)fflush(stdout);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)signal(SIGALRM, SIG_DFL);
		(void)alarm(60);
		if (!put("cgroup.procs", "0"))
			LIMITS_SKIP_CHILD("the process cannot enter its cgroup: %s", strerror(errno));
		work();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	remove_group();
	return status;
}

static bool can_run(uint64_t high)
{
	if (LIMITS_SANITIZED || !unit_may_fork()) {
		printf("# skipped: a sanitizer adds its own memory to the figures\n");
		return false;
	}
	limits_driver = "zsmalloc";
	if (make_group(high))
		return true;
	printf("# skipped: no memory cgroup can be made%s here\n", high ? " that throttles" : "");
	return false;
}

static void expect_success(int status)
{
	ck_assert_msg(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CHILD_SKIPPED),
		      "the child ended with status 0x%x", (unsigned int)status);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Pools
 */

/* The library gets no error: the system grants memory, and kills the process when it is used. */
static void fill_until_killed(void)
{
	struct zpool *pool = limits_pool();
	unsigned long handle;

	for (unsigned int i = 0; i < 4 * LIMIT_BYTES / SIZE; i++)
		if (limits_store(pool, SIZE, i, &handle))
			_exit(1);
	_exit(2);
}

START_TEST(process_that_exceeds_its_cgroup_is_killed_and_nobody_else)
{
	int status;

	if (!can_run(0))
		return;
	status = run_in_group(fill_until_killed);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended with status 0x%x",
		      (unsigned int)status);
}
END_TEST

static void fill_half_of_the_limit(void)
{
	static unsigned long handles[LIMIT_BYTES / 2 / SIZE];
	struct zpool *pool = limits_pool();
	const unsigned int count = sizeof(handles) / sizeof(handles[0]);

	for (int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < count; i++)
			LIMITS_CHECK(limits_store(pool, SIZE, i, &handles[i]) == 0, "%s", zpool_last_error());
		for (unsigned int i = 0; i < count; i++) {
			limits_compare(pool, SIZE, i, handles[i]);
			zpool_free(pool, handles[i]);
		}
	}
	zpool_destroy_pool(pool);
}

START_TEST(pool_in_a_throttled_cgroup_works)
{
	if (can_run(8 * MIB))
		expect_success(run_in_group(fill_half_of_the_limit));
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Stores
 */

#ifdef HAVE_STORE
static char image[64];
static _Atomic uint64_t *flushed; /* in memory that parent and child share: how many keys were flushed */

static void fill_value(unsigned char *value, uint64_t key)
{
	uint32_t seed = (uint32_t)key * 2654435761U + 1;

	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (unsigned char)(seed >> 24);
	}
}

static struct zpool_store *open_store(uint64_t limit_bytes, uint64_t keys)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store *store;

	args.backing_path = image;
	args.unit_count = keys;
	args.limit_bytes = limit_bytes;
	args.flags = ZPOOL_STORE_CREATE;
	store = zpool_store_open(&args, sizeof(args));
	LIMITS_CHECK(store != NULL, "%s", zpool_last_error());
	return store;
}

/* The store has no limit, flushes now and then, and takes more memory than the process may have. */
static void store_until_killed(void)
{
	unsigned char value[UNIT];
	struct zpool_store *store = open_store(0, 4 * KEYS);

	for (uint64_t key = 0; key < 4 * KEYS; key++) {
		fill_value(value, key);
		if (zpool_store_put(store, key, value, UNIT))
			_exit(1);
		if (key % 500 != 499)
			continue;
		if (zpool_store_flush(store))
			_exit(2);
		atomic_store(flushed, key + 1);
	}
	_exit(3);
}

static void check_image(void)
{
	unsigned char value[UNIT], expected[UNIT];
	int fd = open(image, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (uint64_t key = 0; key < atomic_load(flushed); key++) {
		fill_value(expected, key);
		ck_assert_int_eq(pread(fd, value, UNIT, (off_t)(key * UNIT)), UNIT);
		ck_assert_msg(memcmp(value, expected, UNIT) == 0, "key %u was flushed and differs", (unsigned int)key);
	}
	(void)close(fd);
}

START_TEST(flushed_values_of_a_killed_process_are_in_the_backing)
{
	int status;

	if (!can_run(0))
		return;
	flushed = mmap(NULL, sizeof(*flushed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert(flushed != MAP_FAILED);
	(void)snprintf(image, sizeof(image), "limits-cgroup-%ld.img", (long)getpid());
	status = run_in_group(store_until_killed);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended with status 0x%x",
		      (unsigned int)status);
	printf("# the process was killed after %u values had been flushed\n", (unsigned int)atomic_load(flushed));
	ck_assert_uint_ge(atomic_load(flushed), 500);
	check_image();
	ck_assert_int_eq(unlink(image), 0);
}
END_TEST

/* The image is larger than the cgroup's limit, so the system writes pages of the file back while the store writes. */
static void store_more_than_the_limit(void)
{
	enum { COUNT = (LIMIT_BYTES + LIMIT_BYTES / 4) / UNIT };
	unsigned char value[UNIT], expected[UNIT];
	struct zpool_store *store = open_store(4 * MIB, COUNT);

	for (uint64_t key = 0; key < COUNT; key++) {
		fill_value(value, key);
		LIMITS_CHECK(zpool_store_put(store, key, value, UNIT) == 0, "%s", zpool_last_error());
	}
	LIMITS_CHECK(zpool_store_flush(store) == 0, "%s", zpool_last_error());
	for (uint64_t key = 0; key < COUNT; key += 7) {
		fill_value(expected, key);
		LIMITS_CHECK(zpool_store_get(store, key, value, UNIT) == UNIT, "%s", zpool_last_error());
		LIMITS_CHECK(memcmp(value, expected, UNIT) == 0, "key %u differs", (unsigned int)key);
	}
	zpool_store_close(store);
}

/* The system cannot take pages of such a file system away, so they count against the limit like the process's own. */
static bool is_in_memory(const char *directory)
{
	enum { TMPFS = 0x01021994, RAMFS = (int)0x858458f6 };
	struct statfs fs;

	return statfs(directory, &fs) == 0 && ((int)fs.f_type == TMPFS || (int)fs.f_type == RAMFS);
}

START_TEST(store_with_a_limit_keeps_within_its_cgroup)
{
	int status;

	if (is_in_memory(".")) {
		printf("# skipped: the image would be in memory\n");
		return;
	}
	if (!can_run(0))
		return;
	(void)snprintf(image, sizeof(image), "limits-cgroup-%ld.img", (long)getpid());
	status = run_in_group(store_more_than_the_limit);
	(void)unlink(image);
	expect_success(status);
}
END_TEST
#endif

int main(void)
{
	const TTest *const tests[] = {
		process_that_exceeds_its_cgroup_is_killed_and_nobody_else,
		pool_in_a_throttled_cgroup_works,
#ifdef HAVE_STORE
		flushed_values_of_a_killed_process_are_in_the_backing,
		store_with_a_limit_keeps_within_its_cgroup,
#endif
	};

	return UNIT_RUN("limits: memory cgroup", tests);
}
