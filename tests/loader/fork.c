/* SPDX-License-Identifier: MIT
 *
 * Drivers that support fork() and drivers that do not, in forked children and while other threads are inside the
 * library.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mocks/mock_driver.h"

enum { PATIENCE_S = 20, FORKS = 20 };

/* The child stores its result here, in memory that it shares with its parent. */
struct verdict {
	bool done;
	char fault[800];
};

/* Ends the child's function with a message if the condition is false. */
#define child_check(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			(void)snprintf(verdict->fault, sizeof(verdict->fault), "line %d: %s; errno %d, %s", __LINE__,  \
				       #condition, errno, zpool_last_error());                                         \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

/*
 * Runs fn in a forked child.  The child then executes another program, because a leak checker would report the memory
 * that the parent's other threads were using.
 */
static void in_child(void (*fn)(struct verdict *verdict, struct zpool *pool), struct zpool *pool)
{
	int status;
	struct verdict *verdict =
		mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(verdict, MAP_FAILED);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		/* Check has installed its own handler. */
		(void)signal(SIGALRM, SIG_DFL);
		(void)alarm(PATIENCE_S);
		fn(verdict, pool);
		verdict->done = true;
		(void)execlp("true", "true", (char *)NULL);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!verdict->fault[0], "in the child: %s", verdict->fault);
	ck_assert_msg(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), "the child hangs");
	ck_assert_msg(verdict->done, "the child ended with status 0x%x", (unsigned int)status);
	(void)munmap(verdict, sizeof(*verdict));
}

static struct zpool *open_pool(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, 0, NULL);
	ck_assert_msg(pool != NULL, "create(%s): %s", spec, zpool_last_error());
	return pool;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Pools of drivers that do not support fork()
 */

static int ignore_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)stats, (void)size, (void)user;
	return 0;
}

static int ignore_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool, (void)handle, (void)size, (void)user;
	return 0;
}

static bool told_of_fork(void)
{
	return strstr(zpool_last_error(), "belongs to the parent process") != NULL;
}

static void use_orphaned_objects(struct verdict *verdict, struct zpool *pool)
{
	unsigned long handle = 77;
	char byte = 0;
	child_check(zpool_malloc(pool, 10, 0, &handle) == -EOPNOTSUPP && told_of_fork() && handle == 77);
	child_check(!zpool_map_handle(pool, 1, ZPOOL_MM_RW) && errno == EOPNOTSUPP && told_of_fork());
	(void)zpool_rescan();
	zpool_free(pool, 1);
	child_check(told_of_fork());
	zpool_unmap_handle(pool, 1);
	child_check(told_of_fork());
	child_check(zpool_obj_size(pool, 1) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_obj_read(pool, 1, &byte, 1, 0) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_obj_write(pool, 1, &byte, 1, 0) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_each_object(pool, ignore_object, NULL) == -EOPNOTSUPP && told_of_fork());
}

static void use_orphaned_pool(struct verdict *verdict, struct zpool *pool)
{
	struct zpool_stats stats;
	errno = 0;
	child_check(zpool_get_total_size(pool) == 0 && errno == EOPNOTSUPP && told_of_fork());
	child_check(zpool_set_limit(pool, 1) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_set_param(pool, "limit", "1") == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_shrink(pool, 1, NULL) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_compact(pool, 0, 0, NULL) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_trim(pool, NULL) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_get_stats(pool, &stats, sizeof(stats)) == -EOPNOTSUPP && told_of_fork());
	child_check(zpool_each_class(pool, ignore_class, NULL) == -EOPNOTSUPP && told_of_fork());
	child_check(!zpool_evictable(pool) && !zpool_can_sleep_mapped(pool) && !zpool_malloc_support_movable(pool));
	child_check(strcmp(zpool_get_type(pool), "good") == 0);
}

static void use_orphaned(struct verdict *verdict, struct zpool *pool)
{
	use_orphaned_objects(verdict, pool);
	if (!verdict->fault[0])
		use_orphaned_pool(verdict, pool);
	if (verdict->fault[0])
		return;
	zpool_destroy_pool(pool);
	/* The child can create and use a new pool. */
	unsigned long handle;
	struct zpool *own = zpool_create_pool("good", 0, NULL);
	child_check(own && zpool_malloc(own, 10, 0, &handle) == 0);
	zpool_destroy_pool(own);
}

START_TEST(pool_of_a_driver_without_fork_support_allows_only_destroy)
{
	static const char *const specs[] = { "good", "filter+good" };
	unsigned long handle;
	if (!fixture_may_fork("pool_of_a_driver_without_fork_support_allows_only_destroy"))
		return;
	fixture_install("good");
	fixture_install("filter");
	for (size_t i = 0; i < 2; i++) {
		struct zpool *pool = open_pool(specs[i]);
		ck_assert_int_eq(zpool_malloc(pool, 10, 0, &handle), 0);
		in_child(use_orphaned, pool);
		/* The parent's pool did not change. */
		ck_assert_ptr_nonnull(zpool_map_handle(pool, handle, ZPOOL_MM_RW));
		zpool_unmap_handle(pool, handle);
		zpool_free(pool, handle);
		zpool_destroy_pool(pool);
	}
}
END_TEST

/* A thread is inside a driver and holds its lock while the program forks. */
static sem_t inside_malloc, may_return;

static void hold_malloc(const char *type, const char *what)
{
	(void)type;
	if (strcmp(what, "malloc") != 0)
		return;
	sem_post(&inside_malloc);
	while (sem_wait(&may_return) != 0)
		;
}

static void *malloc_and_wait(void *pool)
{
	unsigned long handle;
	(void)zpool_malloc(pool, MOCK_BLOCK_BYTES, 0, &handle);
	return NULL;
}

static void destroy_only(struct verdict *verdict, struct zpool *pool)
{
	(void)verdict;
	zpool_destroy_pool(pool);
}

START_TEST(destroy_of_an_inherited_pool_does_not_wait_for_lost_threads)
{
	pthread_t thread;
	if (!fixture_may_fork("destroy_of_an_inherited_pool_does_not_wait_for_lost_threads"))
		return;
	ck_assert_int_eq(sem_init(&inside_malloc, 0, 0), 0);
	ck_assert_int_eq(sem_init(&may_return, 0, 0), 0);
	fixture_install("good");
	struct zpool *pool = open_pool("good");
	fixture_on_event(hold_malloc);
	ck_assert_int_eq(pthread_create(&thread, NULL, malloc_and_wait, pool), 0);
	while (sem_wait(&inside_malloc) != 0)
		;
	in_child(destroy_only, pool);
	sem_post(&may_return);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Pools of drivers that support fork()
 */

static unsigned long shared_handle;

static void change_own_copy(struct verdict *verdict, struct zpool *pool)
{
	unsigned long handle;
	char *bytes = zpool_map_handle(pool, shared_handle, ZPOOL_MM_RW);
	child_check(bytes && strcmp(bytes, "parent") == 0);
	strcpy(bytes, "child!");
	zpool_unmap_handle(pool, shared_handle);
	child_check(zpool_malloc(pool, 10, 0, &handle) == 0);
	zpool_free(pool, handle);
	zpool_free(pool, shared_handle);
	child_check(zpool_get_total_size(pool) == 0);
	zpool_destroy_pool(pool);
	child_check(zpool_unload_driver("forkable") == 0);
	pool = zpool_create_pool("forkable", 0, NULL);
	child_check(pool);
	zpool_destroy_pool(pool);
}

START_TEST(pool_of_a_driver_with_fork_support_is_a_private_copy)
{
	if (!fixture_may_fork("pool_of_a_driver_with_fork_support_is_a_private_copy"))
		return;
	fixture_install("forkable");
	struct zpool *pool = open_pool("forkable");
	ck_assert_int_eq(zpool_malloc(pool, 10, 0, &shared_handle), 0);
	char *bytes = zpool_map_handle(pool, shared_handle, ZPOOL_MM_RW);
	ck_assert_ptr_nonnull(bytes);
	strcpy(bytes, "parent");
	zpool_unmap_handle(pool, shared_handle);
	in_child(change_own_copy, pool);
	bytes = zpool_map_handle(pool, shared_handle, ZPOOL_MM_RW);
	ck_assert_str_eq(bytes, "parent");
	zpool_unmap_handle(pool, shared_handle);
	zpool_destroy_pool(pool);
}
END_TEST

static _Atomic bool ended;

static void *store_and_free(void *pool)
{
	while (!ended) {
		unsigned long handle;
		if (zpool_malloc(pool, 10, 0, &handle) == 0)
			zpool_free(pool, handle);
	}
	return NULL;
}

static void store_something(struct verdict *verdict, struct zpool *pool)
{
	unsigned long handle;
	child_check(zpool_malloc(pool, 10, 0, &handle) == 0);
	zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}

START_TEST(a_pool_in_use_by_other_threads_works_in_the_child)
{
	pthread_t threads[3];
	if (!fixture_may_fork_beside_work("a_pool_in_use_by_other_threads_works_in_the_child"))
		return;
	fixture_install("forkable");
	struct zpool *pool = open_pool("forkable");
	ended = false;
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, store_and_free, pool), 0);
	for (int i = 0; i < FORKS; i++)
		in_child(store_something, pool);
	ended = true;
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Loads
 */

static void load_in_child(struct verdict *verdict, struct zpool *unused)
{
	(void)unused;
	static const char *const types[] = { "good", "other" };
	for (size_t i = 0; i < 2; i++) {
		struct zpool *pool = zpool_create_pool(types[i], 0, NULL);
		child_check(pool);
		zpool_destroy_pool(pool);
	}
	child_check(!zpool_create_pool("nosuch", 0, NULL) && errno == ENOENT);
	child_check(zpool_loading_disable() == 0);
}

static void *load_and_unload(void *arg)
{
	(void)arg;
	while (!ended) {
		zpool_destroy_pool(zpool_create_pool("good", 0, NULL));
		(void)zpool_unload_driver("good");
	}
	return NULL;
}

START_TEST(child_can_load_what_another_thread_was_loading)
{
	pthread_t threads[2];
	if (!fixture_may_fork_beside_work("child_can_load_what_another_thread_was_loading"))
		return;
	fixture_install("good");
	fixture_install("other");
	ended = false;
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, load_and_unload, NULL), 0);
	for (int i = 0; i < FORKS; i++)
		in_child(load_in_child, NULL);
	ended = true;
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static sem_t constructing;

static void take_time_in_constructor(const char *type, const char *what)
{
	if (strcmp(type, "good") == 0 && strcmp(what, "load") == 0) {
		sem_post(&constructing);
		/* This is usually long enough for the fork to happen; the test also passes if it does not. */
		usleep(50000);
	}
}

static void *load_once(void *arg)
{
	(void)arg;
	return zpool_create_pool("good", 0, NULL);
}

START_TEST(fork_waits_for_a_load_under_way)
{
	pthread_t thread;
	void *pool;
	if (!fixture_may_fork_beside_work("fork_waits_for_a_load_under_way"))
		return;
	fixture_install("good");
	fixture_install("other");
	ck_assert_int_eq(sem_init(&constructing, 0, 0), 0);
	fixture_on_event(take_time_in_constructor);
	ck_assert_int_eq(pthread_create(&thread, NULL, load_once, NULL), 0);
	while (sem_wait(&constructing) != 0)
		;
	in_child(load_in_child, NULL);
	ck_assert_int_eq(pthread_join(thread, &pool), 0);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Log and thread exit
 */

static _Atomic unsigned int messages;

static void count_message(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	messages++;
}

static void *log_without_end(void *arg)
{
	(void)arg;
	while (!ended)
		zpool_free(NULL, 1);
	return NULL;
}

static void log_in_child(struct verdict *verdict, struct zpool *unused)
{
	(void)unused;
	unsigned int before = messages;
	zpool_free(NULL, 1);
	child_check(messages == before + 1);
	child_check(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL) == 0);
	zpool_free(NULL, 1);
	child_check(messages == before + 1);
	child_check(zpool_set_log_handler(count_message, ZPOOL_LOG_ERROR, NULL) == 0);
	zpool_free(NULL, 1);
	child_check(messages == before + 2);
}

START_TEST(child_can_log_while_another_thread_was_logging)
{
	pthread_t threads[2];
	if (!fixture_may_fork_beside_work("child_can_log_while_another_thread_was_logging"))
		return;
	ck_assert_int_eq(zpool_set_log_handler(count_message, ZPOOL_LOG_ERROR, NULL), 0);
	ended = false;
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_without_end, NULL), 0);
	for (int i = 0; i < FORKS; i++)
		in_child(log_in_child, NULL);
	ended = true;
	for (size_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

static sem_t hook_entered, hook_may_end;

static void hold_hook(const char *type, const char *what)
{
	(void)type;
	if (strcmp(what, "thread exit") != 0)
		return;
	sem_post(&hook_entered);
	while (sem_wait(&hook_may_end) != 0)
		;
}

static void *store_once(void *pool)
{
	unsigned long handle;
	(void)zpool_malloc(pool, 10, 0, &handle);
	return NULL;
}

START_TEST(destroy_in_a_child_does_not_wait_for_hooks_of_lost_threads)
{
	pthread_t thread;
	if (!fixture_may_fork("destroy_in_a_child_does_not_wait_for_hooks_of_lost_threads"))
		return;
	fixture_install("exit_hook");
	struct zpool *pool = open_pool("exit_hook");
	ck_assert_int_eq(sem_init(&hook_entered, 0, 0), 0);
	ck_assert_int_eq(sem_init(&hook_may_end, 0, 0), 0);
	fixture_on_event(hold_hook);
	ck_assert_int_eq(pthread_create(&thread, NULL, store_once, pool), 0);
	while (sem_wait(&hook_entered) != 0)
		;
	in_child(destroy_only, pool);
	sem_post(&hook_may_end);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	zpool_destroy_pool(pool);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("fork");
	tcase_add_test(tests, pool_of_a_driver_without_fork_support_allows_only_destroy);
	tcase_add_test(tests, destroy_of_an_inherited_pool_does_not_wait_for_lost_threads);
	tcase_add_test(tests, pool_of_a_driver_with_fork_support_is_a_private_copy);
	tcase_add_test(tests, a_pool_in_use_by_other_threads_works_in_the_child);
	tcase_add_test(tests, child_can_load_what_another_thread_was_loading);
	tcase_add_test(tests, fork_waits_for_a_load_under_way);
	tcase_add_test(tests, child_can_log_while_another_thread_was_logging);
	tcase_add_test(tests, destroy_in_a_child_does_not_wait_for_hooks_of_lost_threads);
	return fixture_run("fork", tests);
}
