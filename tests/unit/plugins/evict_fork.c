/* SPDX-License-Identifier: MIT
 *
 * evict_fork.c - a fork while evict callbacks run, of each driver that evicts
 *
 * The child has only the thread that forked.  The pages that other threads were emptying are ordinary pages there, and
 * the page that the forking thread is emptying stays under reclaim until its callback returns.
 */
#include <config.h>

#include "harness.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>

#include "unit.h"

enum { OBJECTS = 4, OBJECT_BYTES = 1900 };

static const struct zpool_driver *const drivers[] = { &zbud_LTX_zpool_driver, &z3fold_LTX_zpool_driver,
						      &zsmalloc_LTX_zpool_driver };
enum { DRIVERS = sizeof(drivers) / sizeof(drivers[0]) };

static const struct zpool_driver *driver;
static struct harness harness;
static void *pool;
static unsigned long handles[OBJECTS];
static bool frees_first; /* the callback frees all objects before it waits, not one afterwards */
static bool forks;       /* the callback forks, instead of waiting */
static sem_t inside, leave;
static pid_t child;

static pid_t fork_pool(void)
{
	driver->fork(pool, ZPOOL_FORK_PREPARE);
	pid_t pid = fork();
	driver->fork(pool, pid ? ZPOOL_FORK_PARENT : ZPOOL_FORK_CHILD);
	return pid;
}

static int evict_and_wait(void *context, unsigned long handle)
{
	(void)context;
	for (int i = 0; i < OBJECTS && frees_first; i++)
		unit_require(driver->free(pool, handles[i]) == 0);
	if (forks && child < 0)
		child = fork_pool();
	if (!forks) {
		(void)sem_post(&inside);
		while (sem_wait(&leave) != 0)
			continue;
	}
	return frees_first ? 0 : driver->free(pool, handle);
}

static void setup(int index)
{
	driver = drivers[index / 2];
	frees_first = index % 2;
	forks = false;
	child = -1;
	struct zpool_create_args args = harness_args(&harness, driver);
	/* zsmalloc has no defaults of its own: chain, step, max and compact. */
	const struct zpool_value values[] = {
		{ .number = 8 }, { .number = 16 }, { .number = 4096 }, { .number = 1 }, { .number = 0 }
	};
	if (driver == &zsmalloc_LTX_zpool_driver)
		args.values = values;
	args.evict = evict_and_wait;
	args.evict_context = &handles;
	unit_require(harness_create(&harness, &args) == 0);
	pool = harness.pool;
	unit_require(sem_init(&inside, 0, 0) == 0 && sem_init(&leave, 0, 0) == 0);
	for (int i = 0; i < OBJECTS; i++)
		unit_require(driver->malloc(pool, OBJECT_BYTES, ZPOOL_GFP_KERNEL, &handles[i]) == 0);
}

static uint64_t pages(void)
{
	struct zpool_stats now = { 0 };
	uint64_t released;

	unit_require(driver->trim(pool, &released) == 0);
	unit_require(driver->stats(pool, &now, sizeof(now)) == 0);
	return now.pages;
}

static void *shrink_in_thread(void *unused)
{
	unsigned int reclaimed;

	(void)unused;
	(void)driver->shrink(pool, 1, &reclaimed);
	return NULL;
}

/* Evicts everything.  Returns 0, or the number of the first step that is wrong. */
static int shrink_in_child(void)
{
	unsigned int reclaimed = 0, all = (unsigned int)pages();

	/* No callback has to wait here. */
	for (int i = 0; i < OBJECTS; i++)
		(void)sem_post(&leave);
	if (driver->verify(pool))
		return 1;
	if (all && driver->shrink(pool, all, &reclaimed))
		return 2;
	if (pages() || driver->verify(pool))
		return 3;
	unsigned long handle;
	if (driver->malloc(pool, OBJECT_BYTES, ZPOOL_GFP_KERNEL, &handle) || driver->free(pool, handle))
		return 4;
	driver->destroy(pool);
	return 0;
}

START_TEST(page_that_another_thread_was_emptying_can_be_evicted_in_the_child)
{
	pthread_t thread;
	int status;

	if (!unit_may_fork())
		return;
	setup(_i);
	ck_assert_int_eq(pthread_create(&thread, NULL, shrink_in_thread, NULL), 0);
	while (sem_wait(&inside) != 0)
		continue;
	child = fork_pool();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(shrink_in_child());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	for (int i = 0; i < OBJECTS; i++)
		(void)sem_post(&leave);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_msg(status == 0, "%s: step %d failed in the child", driver->type, WEXITSTATUS(status));
	ck_assert_msg(driver->verify(pool) == 0, "%s", harness.error);
	driver->destroy(pool);
}
END_TEST

/* The callback returns in the parent and in the child, and each of them releases its page. */
START_TEST(page_that_the_forking_thread_empties_stays_its_own)
{
	unsigned int reclaimed = 0;
	int status;

	if (!unit_may_fork())
		return;
	setup(_i);
	forks = true;
	int err = driver->shrink(pool, 1, &reclaimed);
	unsigned int left = (unsigned int)pages();
	bool fine = err == 0 && reclaimed >= 1 && driver->verify(pool) == 0;
	fine = fine && (left == 0 || driver->shrink(pool, left, &reclaimed) == 0);
	fine = fine && pages() == 0 && driver->verify(pool) == 0;
	driver->destroy(pool);
	if (child == 0)
		_exit(fine ? 0 : 1);
	ck_assert(fine);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "%s: the child's shrink went wrong", driver->type);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plugins, fork during eviction");
	TCase *tcase = tcase_create("fork");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, page_that_another_thread_was_emptying_can_be_evicted_in_the_child, 0, 2 * DRIVERS);
	tcase_add_loop_test(tcase, page_that_the_forking_thread_empties_stays_its_own, 0, 2 * DRIVERS);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
