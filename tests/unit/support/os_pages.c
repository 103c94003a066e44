/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "os_pages.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "unit.h"

static const struct zpool_page_source *const os = &zp_os_pages;

START_TEST(reservation_is_aligned_and_zero)
{
	for (size_t align = 4096; align <= (size_t)8 << 20; align *= 2) {
		char *at = os->reserve(os->context, 3 * 4096, align, -1);

		ck_assert_ptr_nonnull(at);
		ck_assert_uint_eq((uintptr_t)at % align, 0);
		ck_assert_int_eq(os->commit(os->context, at, 3 * 4096), 0);
		for (size_t i = 0; i < 3 * 4096; i += 64)
			ck_assert_int_eq(at[i], 0);
		at[0] = at[3 * 4096 - 1] = 1;
		os->release(os->context, at, 3 * 4096);
	}
}
END_TEST

START_TEST(decommitted_pages_read_as_zero_and_adjacent_pages_keep_their_bytes)
{
	size_t bytes = 64 * 4096;
	char *at = os->reserve(os->context, bytes, 4096, -1);

	ck_assert_int_eq(os->commit(os->context, at, bytes), 0);
	memset(at, 0x55, bytes);
	ck_assert_int_eq(os->decommit(os->context, at + 5 * 4096, 7 * 4096), 0);
	for (size_t i = 0; i < bytes; i += 128)
		ck_assert_int_eq(at[i], i / 4096 >= 5 && i / 4096 < 12 ? 0 : 0x55);
	os->release(os->context, at, bytes);
}
END_TEST

START_TEST(nonexistent_node_is_accepted)
{
	static const int nodes[] = { 0, 1, 63, 1023, 5000 };

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		char *at = os->reserve(os->context, 4096, 4096, nodes[i]);

		ck_assert_ptr_nonnull(at);
		ck_assert_int_eq(os->commit(os->context, at, 4096), 0);
		*at = 1;
		os->release(os->context, at, 4096);
	}
}
END_TEST

START_TEST(impossible_reservation_returns_null)
{
	ck_assert_ptr_null(os->reserve(os->context, 0, 4096, -1));
	ck_assert_ptr_null(os->reserve(os->context, SIZE_MAX - 4095, 4096, -1));
	ck_assert_ptr_null(os->reserve(os->context, SIZE_MAX / 2 + 1, (size_t)1 << (8 * sizeof(size_t) - 2), -1));
}
END_TEST

START_TEST(memory_may_be_committed_again)
{
	size_t bytes = 1 << 20;
	char *at = os->reserve(os->context, bytes, 4096, -1);

	ck_assert_int_eq(os->commit(os->context, at + 4096, 3 * 4096), 0);
	at[2 * 4096] = 0x55;
	ck_assert_int_eq(os->commit(os->context, at, 4 * 4096), 0);
	ck_assert_int_eq(at[2 * 4096], 0x55);
	ck_assert_int_eq(os->decommit(os->context, at, 4 * 4096), 0);
	ck_assert_int_eq(at[2 * 4096], 0);
	ck_assert_int_eq(os->commit(os->context, at, 4 * 4096), 0);
	at[0] = 1;
	os->release(os->context, at, bytes);
}
END_TEST

#ifdef __linux__

static bool is_accessible(const char *at)
{
	int fd[2];
	ssize_t written;

	ck_assert_int_eq(pipe(fd), 0);
	written = write(fd[1], at, 1);
	close(fd[0]);
	close(fd[1]);
	return written == 1;
}

START_TEST(reserved_memory_is_accessible_from_commit_to_close)
{
	size_t bytes = 1 << 20;
	char *at;

	/* Memcheck would report the system calls by which is_accessible() probes memory. */
	if (unit_on_valgrind())
		return;
	at = os->reserve(os->context, bytes, 4096, -1);
	ck_assert(!is_accessible(at));
	ck_assert_int_eq(os->commit(os->context, at, 65536), 0);
	ck_assert(is_accessible(at + 65535));
	ck_assert(!is_accessible(at + 65536));
	ck_assert_int_eq(os->decommit(os->context, at, 65536), 0);
	ck_assert(is_accessible(at));
	zp_os_pages_close(at, 65536);
	ck_assert(!is_accessible(at));
	os->release(os->context, at, bytes);
}
END_TEST

/*
 * Runs `work` in a child process, so that its limits and locks end with it.  work() returns 0, 77 if the system forbids
 * what it needs, or the number of the line that failed.
 */
static void in_child(int (*work)(void))
{
	int status = -1;
	pid_t child;

	if (UNIT_SANITIZED || unit_on_valgrind() || !unit_may_fork())
		return;
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(work());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) == 77)
		printf("# skipped: this system forbids locked memory or seccomp\n");
	else
		ck_assert_msg(WEXITSTATUS(status) == 0, "failed in line %d", WEXITSTATUS(status));
}

#define CHILD_REQUIRE(condition)                                                                                       \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__;                                                                               \
	} while (0)

/* Reserves more address space than the process may lock. */
static int reserve_beyond_the_lock_limit(void)
{
	struct rlimit limit = { 256 << 10, 256 << 10 };
	size_t bytes = 64 << 20;
	char *at;

	if ((geteuid() == 0 && seteuid(65534)) || setrlimit(RLIMIT_MEMLOCK, &limit) || mlockall(MCL_FUTURE))
		return 77;
	at = os->reserve(os->context, bytes, 4 << 20, -1);
	CHILD_REQUIRE(at && (uintptr_t)at % (4 << 20) == 0);
	CHILD_REQUIRE(os->commit(os->context, at, 65536) == 0);
	at[0] = at[65535] = 1;
	CHILD_REQUIRE(os->commit(os->context, at + (1 << 20), 1 << 20) == -ENOMEM);
	CHILD_REQUIRE(at[0] == 1 && at[65535] == 1);
	os->release(os->context, at, bytes);
	return 0;
}

START_TEST(reservation_may_exceed_the_limit_of_locked_memory)
{
	in_child(reserve_beyond_the_lock_limit);
}
END_TEST

/* Makes the kernel refuse MADV_DONTNEED_LOCKED, like Linux before 5.18.  Returns false if that is not possible. */
static bool forget_dontneed_locked(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 24, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

static int decommit_locked_memory(void)
{
	size_t bytes = 1 << 20;
	unsigned char resident[4] = { 1, 1, 1, 1 };
	char *at;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return 77;
	at = os->reserve(os->context, bytes, 65536, -1);
	CHILD_REQUIRE(at && os->commit(os->context, at, 8 * 4096) == 0);
	memset(at, 0x55, 8 * 4096);
	CHILD_REQUIRE(msync(at, 4096, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY); /* EBUSY: it is locked */
	CHILD_REQUIRE(os->decommit(os->context, at + 2 * 4096, 4 * 4096) == 0);
	if (sysconf(_SC_PAGESIZE) == 4096) {
		CHILD_REQUIRE(mincore(at + 2 * 4096, 4 * 4096, resident) == 0);
		for (int i = 0; i < 4; i++)
			CHILD_REQUIRE((resident[i] & 1) == 0);
	}
	for (int i = 0; i < 8 * 4096; i++)
		CHILD_REQUIRE(at[i] == (i / 4096 >= 2 && i / 4096 < 6 ? 0 : 0x55));
	CHILD_REQUIRE(msync(at, 8 * 4096, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY);
	os->release(os->context, at, bytes);
	return 0;
}

static int decommit_locked_memory_before_linux_5_18(void)
{
	return forget_dontneed_locked() ? decommit_locked_memory() : 77;
}

START_TEST(locked_memory_can_be_decommitted)
{
	in_child(decommit_locked_memory);
	in_child(decommit_locked_memory_before_linux_5_18);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("support/os_pages");
	TCase *pages = tcase_create("os_pages");

	tcase_add_test(pages, reservation_is_aligned_and_zero);
	tcase_add_test(pages, decommitted_pages_read_as_zero_and_adjacent_pages_keep_their_bytes);
	tcase_add_test(pages, nonexistent_node_is_accepted);
	tcase_add_test(pages, impossible_reservation_returns_null);
	tcase_add_test(pages, memory_may_be_committed_again);
#ifdef __linux__
	tcase_add_test(pages, reserved_memory_is_accessible_from_commit_to_close);
	tcase_add_test(pages, reservation_may_exceed_the_limit_of_locked_memory);
	tcase_add_test(pages, locked_memory_can_be_decommitted);
#endif
	suite_add_tcase(suite, pages);
	return suite_run(suite);
}
