/* SPDX-License-Identifier: MIT
 *
 * The handle table with several threads, across fork, and with a host's page source.  This program is built twice, as
 * handles.c is.
 */
#include <config.h>

#include "handles_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "strict_source.h"

/*
 * Called, if it is set, before the system releases the memory of idle groups.  If it returns false, the system refuses.
 */
static bool (*before_release)(void);

/* Replaces the C library's function in this program. */
int madvise(void *address, size_t bytes, int advice)
{
	if (before_release && !before_release()) {
		errno = ENOMEM;
		return -1;
	}
	return (int)syscall(SYS_madvise, address, bytes, advice);
}

START_TEST(host_page_source_supplies_the_handle_table)
{
	struct strict_source source;
	struct zp_pages own;
	struct zp_handles table;
	uint32_t slots[2000];
	uint64_t released, location;

	strict_source_init(&source);
	unit_require(zp_pages_init(&own, &source.table, -1, 0) == 0);
	unit_require(zp_handles_init(&table, &own, 0, 0) == 0);
	unit_require(zp_handles_bind(&table, 0, slots, 2000) == 2000);
	unit_require(zp_pages_held_bytes(&own) == atomic_load(&source.committed_bytes));
	zp_handles_unbind(&table, slots, 2000);
	/* The words of these invalid handles are read only if they are in committed memory; others would fault. */
	for (unsigned long number = 0; number < 20000; number++)
		unit_require(zp_handles_pin(&table, number, &location) == -EINVAL);
	zp_handles_trim(&table, &released);
	unit_require(released == 0);
	atomic_store(&source.commits_left, 0);
	for (int i = 0; i < 10; i++)
		if (zp_handles_bind(&table, 0, slots, 2000) == -ENOMEM)
			break;
	unit_require(zp_handles_bind(&table, 0, slots, 1) == -ENOMEM);
	ck_assert_ptr_null(zp_handles_verify(&table));
	zp_handles_fini(&table);
	zp_pages_fini(&own);
	unit_require(strict_source_fini(&source));
}
END_TEST

enum { THREADS = 4, SHARED = 64, STEPS = 60000 };

static _Atomic(unsigned long) shared[SHARED];
static _Atomic(int) mistakes;

/* The payload of each object repeats its location, so the two must agree while it is pinned. */
static void *use_shared(void *arg)
{
	struct unit_random random = { (uint64_t)(uintptr_t)arg * 7919 + 1 };

	for (int step = 0; step < STEPS; step++) {
		_Atomic(unsigned long) *entry = &shared[unit_below(&random, SHARED)];
		unsigned long handle = atomic_load(entry);
		uint64_t location;
		uint32_t slot;

		switch (unit_below(&random, 8)) {
		case 0:
			handle = atomic_exchange(entry, 0);
			if (handle && zp_handles_begin_free(&handles, handle, &slot, &location) == 0) {
				*(uint64_t *)zp_handles_payload(&handles, slot) = 0;
				zp_handles_release(&handles, slot);
			} else if (handle) {
				atomic_store(entry, handle); /* the object is pinned, so it stays */
			}
			break;
		case 1:
			if (handle == 0) {
				handle = store(unit_random(&random) & ZP_LOCATION_MASK);
				handle = atomic_exchange(entry, handle);
				if (handle && zp_handles_begin_free(&handles, handle, &slot, &location) == 0)
					zp_handles_release(&handles, slot);
			}
			break;
		case 2:
			if (handle && zp_handles_begin_move(&handles, zp_handle_slot(handle), &location) == 0) {
				location ^= 1;
				*(uint64_t *)zp_handles_payload(&handles, zp_handle_slot(handle)) = ~location;
				zp_handles_end_move(&handles, zp_handle_slot(handle), location);
			}
			break;
		default:
			if (handle == 0 || zp_handles_pin(&handles, handle, &location))
				break;
			if (*(uint64_t *)zp_handles_payload(&handles, zp_handle_slot(handle)) != ~location)
				atomic_fetch_add(&mistakes, 1);
			if (zp_handles_unpin(&handles, handle))
				atomic_fetch_add(&mistakes, 1);
		}
	}
	return NULL;
}

START_TEST(thread_that_pins_sees_a_whole_object)
{
	pthread_t thread[THREADS];

	atomic_store(&mistakes, 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, use_shared, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(atomic_load(&mistakes), 0);
}
END_TEST

static void *use_own(void *arg)
{
	static const int rounds = 30, objects = 1500;
	unsigned long handle[1500];

	(void)arg;
	for (int round = 0; round < rounds; round++) {
		uint64_t location;

		for (int i = 0; i < objects; i++)
			handle[i] = store((uint64_t)i);
		for (int i = 0; i < objects; i++)
			if (zp_handles_lookup(&handles, handle[i], &location) || location != (uint64_t)i)
				atomic_fetch_add(&mistakes, 1);
		for (int i = 0; i < objects; i++)
			drop(handle[i]);
		if (round % 4 == 0)
			zp_handles_trim(&handles, &location);
	}
	return NULL;
}

START_TEST(groups_become_dormant_and_wake_while_threads_work)
{
	pthread_t thread[THREADS];

	atomic_store(&mistakes, 0);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, use_own, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_int_eq(atomic_load(&mistakes), 0);
	ck_assert_uint_eq(zp_handles_taken(&handles), 0);
}
END_TEST

START_TEST(child_of_fork_has_its_own_table)
{
	unsigned long handle = store(5);
	uint64_t location;
	pid_t child;
	int status;

	if (!unit_may_fork())
		return;
	zp_handles_fork(&handles, ZPOOL_FORK_PREPARE);
	zp_pages_fork(&pages, ZPOOL_FORK_PREPARE);
	child = fork();
	zp_pages_fork(&pages, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	zp_handles_fork(&handles, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	if (child == 0) {
		uint32_t slot;
		bool fine = zp_handles_begin_free(&handles, handle, &slot, &location) == 0;

		zp_handles_release(&handles, slot);
		fine = fine && zp_handles_bind(&handles, 0, &slot, 1) == 1 && !zp_handles_verify(&handles);
		_exit(fine ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(zp_handles_lookup(&handles, handle, &location), 0);
}
END_TEST

static pthread_t forker;
static _Atomic(bool) is_released;

static void *prepare_fork(void *arg)
{
	(void)arg;
	zp_handles_fork(&handles, ZPOOL_FORK_PREPARE);
	if (!atomic_load(&is_released))
		atomic_fetch_add(&mistakes, 1);
	zp_handles_fork(&handles, ZPOOL_FORK_PARENT);
	return NULL;
}

static bool release_after_a_while(void)
{
	ck_assert_int_eq(pthread_create(&forker, NULL, prepare_fork, NULL), 0);
	usleep(20000); /* A thread that does not wait for the release ends before it. */
	atomic_store(&is_released, true);
	return true;
}

/* A group that is about to become dormant at a fork would never have free slots again in the child. */
START_TEST(fork_waits_for_groups_that_become_dormant)
{
	static uint32_t slots[ZP_GROUP_SLOTS];
	uint64_t bytes;
	int got = zp_handles_bind(&handles, 0, slots, ZP_GROUP_SLOTS);

	atomic_store(&mistakes, 0);
	unit_require(got > 0);
	zp_handles_unbind(&handles, slots, (unsigned int)got);
	before_release = release_after_a_while;
	zp_handles_trim(&handles, &bytes);
	before_release = NULL;
	pthread_join(forker, NULL);
	ck_assert_uint_gt(bytes, 0);
	ck_assert_int_eq(atomic_load(&mistakes), 0);
}
END_TEST

#if ZP_HANDLE_RETIRE

static bool refuse(void)
{
	return false;
}

static void exhaust_a_slot_and_trim(bool releases)
{
	enum { OTHERS = 2 * ZP_GROUP_SLOTS };
	static uint32_t others[OTHERS];
	unsigned long handle[8];
	uint64_t location, bytes;
	uint32_t slot;

	/* Group 0 is in use, so that the slot is in another one: slot 0 counts as exhausted from the start. */
	ck_assert_int_eq(zp_handles_bind(&handles, 0, others, ZP_GROUP_SLOTS - 1), ZP_GROUP_SLOTS - 1);
	ck_assert_int_eq(zp_handles_bind(&handles, 0, &slot, 1), 1);
	ck_assert_uint_ge(slot, ZP_GROUP_SLOTS);
	for (int i = 0; i < 8; i++) {
		handle[i] = zp_handles_publish(&handles, slot, 1);
		ck_assert_int_eq(zp_handles_begin_free(&handles, handle[i], &slot, &location), 0);
		(void)zp_handles_end_free(&handles, slot);
	}
	zp_handles_unbind(&handles, others, ZP_GROUP_SLOTS - 1);
	before_release = releases ? NULL : refuse;
	zp_handles_trim(&handles, &bytes);
	before_release = NULL;
	ck_assert_int_eq(bytes > 0, releases);
	check_sound();
	ck_assert_uint_lt(zp_handle_slot(store(1)), ZP_GROUP_SLOTS);
	for (int i = 1; i < OTHERS; i++)
		ck_assert_uint_ne(zp_handle_slot(store(1)), slot);
	for (int i = 0; i < 8; i++)
		check_refused(handle[i]);
}

/* A dormant group knows only the lives of its most used slot, so an exhausted slot must make all others exhausted. */
START_TEST(exhausted_slot_is_not_reused_after_its_group_was_dormant)
{
	exhaust_a_slot_and_trim(true);
}
END_TEST

START_TEST(exhausted_slot_is_not_reused_after_its_group_kept_its_memory)
{
	exhaust_a_slot_and_trim(false);
}
END_TEST

#endif

int main(void)
{
	Suite *suite = suite_create("support/handles, shared" ZP_LAYOUT);
	TCase *shared_ = tcase_with(suite, "shared", setup);
#if ZP_HANDLE_RETIRE
	TCase *lives = tcase_with(suite, "lives", setup_few_generations);
#endif

	tcase_add_test(shared_, thread_that_pins_sees_a_whole_object);
	tcase_add_test(shared_, groups_become_dormant_and_wake_while_threads_work);
	tcase_add_test(shared_, child_of_fork_has_its_own_table);
	tcase_add_test(shared_, fork_waits_for_groups_that_become_dormant);
	tcase_add_test(shared_, host_page_source_supplies_the_handle_table);
#if ZP_HANDLE_RETIRE
	tcase_add_test(lives, exhausted_slot_is_not_reused_after_its_group_was_dormant);
	tcase_add_test(lives, exhausted_slot_is_not_reused_after_its_group_kept_its_memory);
#endif
	return suite_run(suite);
}
