/* SPDX-License-Identifier: MIT
 *
 * Promises that only the system can confirm: NOWAIT makes no system call, and total_size is the memory that becomes
 * resident.
 */
#include <config.h>

#include "harness.h"

#include <errno.h>
#include <sys/wait.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "unit.h"

enum { MIB = 1 << 20 };

static const struct zpool_driver *const zbud = &zbud_LTX_zpool_driver;
static struct harness harness;
static void *pool;

static void setup(void)
{
	struct zpool_create_args args = harness_args(&harness, zbud);

	ck_assert_int_eq(harness_create(&harness, &args), 0);
	pool = harness.pool;
}

static void teardown(void)
{
	ck_assert_msg(zbud->verify(pool) == 0, "%s", harness.error);
	zbud->destroy(pool);
}

#ifdef __linux__

/* After this, any system call except exit ends the process. */
static bool forbid_system_calls(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* With a sanitizer, _exit(3) does more than the system call. */
static void leave(int status)
{
	syscall(SYS_exit_group, status);
}

enum { RESERVED = 40, CHILD_NO_SECCOMP = 77, CHILD_WRONG = 1 };

/* Stores objects until a malloc fails, and uses them. */
static int use_nowait(void)
{
	unsigned long handle[4 * RESERVED];
	int stored = 0, err = 0;

	while (stored < 4 * RESERVED && !err) {
		size_t size = stored % 2 ? 1000 : 2500;
		char *at;

		err = zbud->malloc(pool, size, ZPOOL_GFP_NOWAIT | (stored % 3 ? 0 : ZPOOL_GFP_ZERO), &handle[stored]);
		if (err)
			break;
		at = zbud->map(pool, handle[stored], ZPOOL_MM_WO);
		if (!at || (stored % 3 == 0 && at[size - 1]))
			return CHILD_WRONG;
		at[0] = at[size - 1] = 1;
		zbud->unmap(pool, handle[stored]);
		stored++;
	}
	if (err != -ENOMEM || stored < RESERVED)
		return CHILD_WRONG;
	/* A failed malloc leaves nothing half done, and a free into the reserve makes no system call either. */
	for (int i = 0; i < stored; i++)
		if (zbud->free(pool, handle[i]))
			return CHILD_WRONG;
	return zbud->malloc(pool, 3000, ZPOOL_GFP_NOWAIT, &handle[0]) ? CHILD_WRONG : 0;
}

static int run_without_system_calls(int (*use)(void))
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0)
		leave(forbid_system_calls() ? use() : CHILD_NO_SECCOMP);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "a system call was made, and the process ended by signal %d",
		      WTERMSIG(status));
	return WEXITSTATUS(status);
}

static int use_write(void)
{
	return write(2, "", 0) == 0 ? 0 : CHILD_WRONG;
}

START_TEST(nowait_makes_no_system_call)
{
	unsigned long handle[RESERVED];
	pid_t child;
	int status;

	if (!unit_may_fork() || unit_on_valgrind())
		return;
	for (int i = 0; i < RESERVED; i++)
		ck_assert_int_eq(zbud->malloc(pool, 3000, 0, &handle[i]), 0);
	for (int i = 0; i < RESERVED; i++)
		ck_assert_int_eq(zbud->free(pool, handle[i]), 0);
	status = run_without_system_calls(use_nowait);
	if (status == CHILD_NO_SECCOMP)
		return;
	ck_assert_int_eq(status, 0);
	/* The filter must work: a child that makes a system call is killed. */
	child = fork();
	if (child == 0)
		leave(forbid_system_calls() ? use_write() : CHILD_NO_SECCOMP);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
}
END_TEST

/* ---- resident memory ---- */

static uint64_t rss_bytes(void)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Rss: %lu kB", &kib) == 1)
			break;
	fclose(file);
	return (uint64_t)kib * 1024;
}

static void store_written(size_t size, unsigned long *handle)
{
	char *at;

	ck_assert_int_eq(zbud->malloc(pool, size, 0, handle), 0);
	at = zbud->map(pool, *handle, ZPOOL_MM_WO);
	memset(at, 1, size);
	zbud->unmap(pool, *handle);
}

/* The two may differ by 2 % and 256 KiB. */
static void check_rss(uint64_t before)
{
	uint64_t grown = rss_bytes() - before, held = zbud->total_size(pool);
	uint64_t allowed = held / 50 + 256 * 1024, apart = grown > held ? grown - held : held - grown;

	ck_assert_uint_ge(held, 16 * MIB);
	ck_assert_msg(apart <= allowed, "the pool holds %llu bytes, but resident memory grew by %llu",
		      (unsigned long long)held, (unsigned long long)grown);
}

START_TEST(held_bytes_are_the_resident_memory)
{
	enum { OBJECTS = 40000 };
	unsigned long *handle = calloc(OBJECTS, sizeof(*handle));
	struct unit_random random = unit_seed("held_bytes_are_the_resident_memory");
	uint64_t before, released;

	if (UNIT_SANITIZED || unit_on_valgrind() || rss_bytes() == 0) {
		free(handle);
		return;
	}
	memset(handle, 1, OBJECTS * sizeof(*handle));
	before = rss_bytes();
	for (int i = 0; i < OBJECTS; i++)
		store_written(1 + unit_below(&random, 3968), &handle[i]);
	check_rss(before);
	/* Checks after churn, after most objects were freed, and after trim. */
	for (int i = 0; i < OBJECTS; i++) {
		unsigned int victim = unit_below(&random, OBJECTS);

		ck_assert_int_eq(zbud->free(pool, handle[victim]), 0);
		store_written(1 + unit_below(&random, 3968), &handle[victim]);
	}
	check_rss(before);
	for (int i = 0; i < OBJECTS; i++)
		if (i % 4)
			ck_assert_int_eq(zbud->free(pool, handle[i]), 0);
	check_rss(before);
	ck_assert_int_eq(zbud->trim(pool, &released), 0);
	check_rss(before);
	free(handle);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("plugins, promises");
	TCase *promises = tcase_create("promises");

	tcase_add_checked_fixture(promises, setup, teardown);
	tcase_set_timeout(promises, 120);
#ifdef __linux__
	tcase_add_test(promises, nowait_makes_no_system_call);
	tcase_add_test(promises, held_bytes_are_the_resident_memory);
#endif
	suite_add_tcase(suite, promises);
	return suite_run(suite);
}
