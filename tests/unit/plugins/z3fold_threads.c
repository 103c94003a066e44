/* SPDX-License-Identifier: MIT
 *
 * z3fold_threads.c - storing, freeing and mapping while other threads compact, shrink, trim, walk and verify; and fork
 */
#include <config.h>

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "z3fold_fixture.h"

enum { WORKERS = 3, DISTURBERS = 2, OWNED = 300, ROUNDS = 40000, ROUNDS_SLOW = 4000 };

/*
 * An object of one worker. Evict callbacks run in other threads, so the thread that claims the handle frees the object.
 */
struct owned {
	_Atomic(unsigned long) handle;
	size_t size;
};

static struct owned owned[WORKERS][OWNED];
static _Atomic(unsigned int) working;
static uint64_t seed;

/* Another thread may have the object mapped for a short time. */
static void release_soon(unsigned long handle)
{
	int err;

	while ((err = z3fold->free(pool, handle)) == -EBUSY)
		sched_yield();
	unit_require(err == 0);
}

/* Refuses every third object, so that some pages are emptied only in part. */
static int evict_claims(void *context, unsigned long handle)
{
	(void)context;
	if (handle % 3 == 0)
		return -EBUSY;
	for (unsigned int i = 0; i < WORKERS * OWNED; i++) {
		unsigned long expected = handle;

		if (!atomic_compare_exchange_strong(&owned[i / OWNED][i % OWNED].handle, &expected, 0))
			continue;
		release_soon(handle);
		return 0;
	}
	return -EBUSY;
}

/* Claims the object, checks it and frees it. */
static void drop(struct owned *object)
{
	unsigned long handle = atomic_exchange(&object->handle, 0);

	if (!handle)
		return;
	unit_require(is_intact(handle, object->size));
	release_soon(handle);
}

/* Half of the mallocs use ZPOOL_GFP_NOWAIT and may fail. */
static void make(struct owned *object, struct unit_random *random)
{
	unsigned long handle;
	char *at;

	object->size = 1 + unit_below(random, unit_below(random, 4) ? 1400 : 4096);
	if (z3fold->malloc(pool, object->size, unit_below(random, 2) ? ZPOOL_GFP_NOWAIT : 0, &handle))
		return;
	at = z3fold->map(pool, handle, ZPOOL_MM_WO);
	unit_require(at != NULL);
	memset(at, (int)(handle % 255 + 1), object->size);
	unpin(handle);
	atomic_store(&object->handle, handle);
}

static void *work(void *mine_)
{
	struct owned *mine = mine_;
	struct unit_random random = { seed + (uint64_t)(mine - owned[0]) + 1 };
	bool slow = UNIT_SANITIZED || unit_on_valgrind();

	for (unsigned int round = 0; round < (slow ? ROUNDS_SLOW : ROUNDS); round++) {
		struct owned *object = &mine[unit_below(&random, OWNED)];

		drop(object);
		/* Phases of growth alternate with phases of decline, so that compaction has something to do. */
		if (unit_below(&random, 4) == 0 || (round / 500 % 2 && unit_below(&random, 4)))
			continue;
		make(object, &random);
	}
	atomic_fetch_sub(&working, 1);
	return NULL;
}

/* Maps objects of other threads for a short time: they must not be moved, and freeing them fails. */
static int visit(unsigned long handle, size_t size, void *seen)
{
	unit_require(size > 0 && size <= 4096);
	if (z3fold->map(pool, handle, ZPOOL_MM_RO)) {
		sched_yield();
		unpin(handle);
	}
	return ++*(uint64_t *)seen % 50 ? 0 : 1;
}

static void *disturb(void *unused)
{
	uint64_t released, seen = 0;
	unsigned int reclaimed;

	while (atomic_load(&working)) {
		struct zpool_budget budget = { .struct_size = sizeof(budget), .bytes = 30000 };

		unit_require(z3fold->compact(pool, &budget, &released) >= 0);
		(void)z3fold->shrink(pool, 2, &reclaimed);
		unit_require(z3fold->trim(pool, &released) == 0);
		if (z3fold->verify(pool))
			ck_abort_msg("%s", harness.error);
		unit_require(z3fold->each_object(pool, visit, &seen) >= 0);
		unit_require(stats().mapped_handles <= DISTURBERS + WORKERS);
		sched_yield();
	}
	return unused;
}

static void run_threads(void)
{
	pthread_t workers[WORKERS], disturbers[DISTURBERS];

	atomic_store(&working, WORKERS);
	for (int i = 0; i < WORKERS; i++)
		unit_require(pthread_create(&workers[i], NULL, work, owned[i]) == 0);
	for (int i = 0; i < DISTURBERS; i++)
		unit_require(pthread_create(&disturbers[i], NULL, disturb, NULL) == 0);
	for (int i = 0; i < WORKERS; i++)
		unit_require(pthread_join(workers[i], NULL) == 0);
	for (int i = 0; i < DISTURBERS; i++)
		unit_require(pthread_join(disturbers[i], NULL) == 0);
}

START_TEST(threads_keep_their_objects)
{
	struct unit_random random = unit_seed("threads_keep_their_objects");
	uint64_t released;

	seed = unit_random(&random);
	run_threads();
	check_sound();
	for (int i = 0; i < WORKERS * OWNED; i++)
		drop(&owned[i / OWNED][i % OWNED]);
	check_sound();
	ck_assert_uint_eq(stats().objects, 0);
	ck_assert_uint_eq(stats().pages, 0);
	ck_assert_uint_gt(stats().compact_moved_bytes, 0);
	/* Neither a page nor a slot of the handle table was lost. */
	ck_assert_int_eq(z3fold->trim(pool, &released), 0);
	ck_assert_uint_eq(zp_pages_handed_out(&pool->pages), 0);
	ck_assert_uint_eq(zp_handles_taken(&pool->handles), 0);
}
END_TEST

START_TEST(child_of_fork_has_a_copy)
{
	unsigned long handle = store(500), beside = store(600);
	pid_t child;
	int status;

	if (!unit_may_fork())
		return;
	z3fold->fork(pool, ZPOOL_FORK_PREPARE);
	child = fork();
	z3fold->fork(pool, child ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	if (child == 0) {
		unsigned long other;
		bool fine = is_intact(handle, 500) && z3fold->free(pool, handle) == 0 &&
			    z3fold->malloc(pool, 4096, 0, &other) == 0 && is_intact(beside, 600) &&
			    z3fold->verify(pool) == 0;

		z3fold->destroy(pool);
		_exit(fine ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(is_intact(handle, 500) && is_intact(beside, 600));
}
END_TEST

static void open_shared(void)
{
	open_pool(evict_claims);
}

void add_thread_tests(Suite *suite)
{
	TCase *tcase = tcase_create("threads");

	tcase_add_checked_fixture(tcase, open_shared, teardown);
	tcase_set_timeout(tcase, 300);
	suite_add_tcase(suite, tcase);
	tcase_add_test(tcase, threads_keep_their_objects);
	tcase_add_test(tcase, child_of_fork_has_a_copy);
}
