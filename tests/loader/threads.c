/* SPDX-License-Identifier: MIT
 *
 * Many threads load plugins, and plugins call the library while they are being loaded.
 */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "zpool-driver.h"

/* ------------------------------------------------------------------------------------------------------------------
 * A gate: threads wait until it opens
 */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int waiting;
	bool open;
};
#define GATE_INIT                                                                                                      \
	{                                                                                                              \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false                                          \
	}

static void gate_wait(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->waiting++;
	pthread_cond_broadcast(&gate->changed);
	while (!gate->open)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

/* Returns when this many threads wait. */
static void gate_await(struct gate *gate, unsigned int waiting)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->waiting < waiting)
		pthread_cond_wait(&gate->changed, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->changed);
	pthread_mutex_unlock(&gate->lock);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Many threads, one type
 */

enum { THREADS = 200 };

struct attempt {
	pthread_t thread;
	struct gate *start;
	const char *type;
	struct zpool *pool;
	int err;
	char message[512];
};

static void *attempt(void *arg)
{
	struct attempt *attempt = arg;
	gate_wait(attempt->start);
	errno = 0;
	attempt->pool = zpool_create_pool(attempt->type, 0, NULL);
	attempt->err = attempt->pool ? 0 : errno;
	if (!attempt->pool)
		strncat(attempt->message, zpool_last_error(), sizeof(attempt->message) - 1);
	return NULL;
}

/* Starts all threads at once.  The array is valid until the test ends. */
static struct attempt *attempt_in_threads(const char *type)
{
	static struct attempt attempts[THREADS];
	struct gate start = GATE_INIT;
	memset(attempts, 0, sizeof(attempts));
	for (size_t i = 0; i < THREADS; i++) {
		attempts[i].start = &start;
		attempts[i].type = type;
		ck_assert_int_eq(pthread_create(&attempts[i].thread, NULL, attempt, &attempts[i]), 0);
	}
	gate_await(&start, THREADS);
	gate_open(&start);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(attempts[i].thread, NULL), 0);
	return attempts;
}

START_TEST(two_hundred_threads_get_a_pool_each_from_one_load)
{
	fixture_install("good");
	const struct attempt *attempts = attempt_in_threads("good");
	for (size_t i = 0; i < THREADS; i++) {
		ck_assert_msg(attempts[i].pool != NULL, "thread %zu: %s", i, attempts[i].message);
		unsigned long handle;
		ck_assert_int_eq(zpool_malloc(attempts[i].pool, 100, 0, &handle), 0);
	}
	ck_assert_uint_eq(fixture_events("good", "load"), 1);
	expect_error(zpool_unload_driver("good"), EBUSY, "200 pools");
	for (size_t i = 0; i < THREADS; i++)
		zpool_destroy_pool(attempts[i].pool);
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
}
END_TEST

static void expect_same_failure(const struct attempt *attempts, int err, const char *text)
{
	for (size_t i = 0; i < THREADS; i++) {
		ck_assert_ptr_null(attempts[i].pool);
		ck_assert_int_eq(attempts[i].err, err);
		ck_assert_msg(strstr(attempts[i].message, text) != NULL, "%s", attempts[i].message);
		ck_assert_str_eq(attempts[i].message, attempts[0].message);
	}
}

START_TEST(two_hundred_threads_get_the_same_error_from_one_load)
{
	fixture_install("bad_magic");
	expect_same_failure(attempt_in_threads("bad_magic"), ENOEXEC, "magic is 0x");
	ck_assert_uint_eq(fixture_events("bad_magic", "load"), 1);
}
END_TEST

START_TEST(two_hundred_threads_get_the_same_error_of_the_linker)
{
	fixture_install("undefined");
	expect_same_failure(attempt_in_threads("undefined"), ENOEXEC, "undefined symbol: mock_missing_function");
}
END_TEST

START_TEST(two_hundred_threads_get_the_same_error_where_there_is_no_file)
{
	expect_same_failure(attempt_in_threads("nosuch"), ENOENT, "nosuch.so");
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A load that takes its time
 */

static struct gate slow_gate;

static void wait_in_constructor(const char *type, const char *what)
{
	if (strcmp(type, "good") == 0 && strcmp(what, "load") == 0)
		gate_wait(&slow_gate);
}

static void start_attempt(struct attempt *each, struct gate *start, const char *type)
{
	*each = (struct attempt){ .start = start, .type = type };
	ck_assert_int_eq(pthread_create(&each->thread, NULL, attempt, each), 0);
}

START_TEST(slow_constructor_delays_only_loads_of_its_type)
{
	struct gate start = GATE_INIT;
	struct attempt loading, waiting;
	unsigned long handle;

	slow_gate = (struct gate)GATE_INIT;
	fixture_install("good");
	fixture_install("my_drv");
	struct zpool *live = zpool_create_pool("my_drv", 0, NULL);
	ck_assert_ptr_nonnull(live);

	fixture_on_event(wait_in_constructor);
	start_attempt(&loading, &start, "good");
	gate_open(&start);
	gate_await(&slow_gate, 1);
	start_attempt(&waiting, &start, "good");

	/* The constructor does not return before the test opens the gate, so the calls below did not wait for it. */
	expect_works("my_drv");
	ck_assert_int_eq(zpool_malloc(live, 10, 0, &handle), 0);
	zpool_destroy_pool(live);
	expect_refused("nosuch", ENOENT, "nosuch.so");
	ck_assert(zpool_has_pool("my_drv"));
	expect_error(zpool_unload_driver("good"), EBUSY, "being loaded");
	ck_assert_int_eq(zpool_rescan(), 0);
	ck_assert_int_eq(zpool_set_plugin_path(fixture_dir()), 0);

	gate_open(&slow_gate);
	ck_assert_int_eq(pthread_join(loading.thread, NULL), 0);
	ck_assert_int_eq(pthread_join(waiting.thread, NULL), 0);
	ck_assert_msg(loading.pool && waiting.pool, "%s%s", loading.message, waiting.message);
	ck_assert_uint_eq(fixture_events("good", "load"), 1);
	zpool_destroy_pool(loading.pool);
	zpool_destroy_pool(waiting.pool);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * From inside a load
 */

static struct {
	int create_absent, create_own, create_live, unload, rescan, disable, each;
	bool has;
	char message[512];
} inside;

static int ignore_driver(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	return 0;
}

static int create_errno(const char *type)
{
	errno = 0;
	struct zpool *pool = zpool_create_pool(type, 0, NULL);
	int err = pool ? 0 : errno;
	zpool_destroy_pool(pool);
	return err;
}

static void call_back(const char *type, const char *what)
{
	if (strcmp(type, "good") != 0 || (strcmp(what, "load") != 0 && strcmp(what, "unload") != 0))
		return;
	inside.create_absent = create_errno("other");
	strncat(inside.message, zpool_last_error(), sizeof(inside.message) - 1);
	inside.create_own = create_errno("good");
	inside.create_live = create_errno("my_drv");
	inside.unload = zpool_unload_driver("my_drv");
	inside.rescan = zpool_rescan();
	inside.disable = zpool_loading_disable();
	inside.each = zpool_each_driver(ignore_driver, NULL);
	inside.has = zpool_has_pool("other");
}

static void expect_called_back(void)
{
	ck_assert_int_eq(inside.create_absent, EDEADLK);
	ck_assert_ptr_nonnull(strstr(inside.message, "\"other\""));
	ck_assert_ptr_nonnull(strstr(inside.message, "inside the initialisation of a plugin"));
	ck_assert_int_eq(inside.create_own, EDEADLK);
	ck_assert_int_eq(inside.create_live, 0);
	ck_assert_int_eq(inside.unload, -EDEADLK);
	ck_assert_int_eq(inside.rescan, -EDEADLK);
	ck_assert_int_eq(inside.disable, -EDEADLK);
	ck_assert_int_eq(inside.each, -EDEADLK);
	ck_assert(!inside.has);
}

START_TEST(a_constructor_may_use_live_drivers_and_gets_edeadlk_for_others)
{
	memset(&inside, 0, sizeof(inside));
	fixture_install("good");
	fixture_install("other");
	fixture_install("my_drv");
	struct zpool *live = zpool_create_pool("my_drv", 0, NULL);
	ck_assert_ptr_nonnull(live);
	fixture_on_event(call_back);
	expect_works("good");
	expect_called_back();

	/* A destructor is subject to the same rules. */
	memset(&inside, 0, sizeof(inside));
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	expect_called_back();
	fixture_on_event(NULL);
	zpool_destroy_pool(live);
	expect_works("other");
	expect_works("good");
}
END_TEST

static struct gate crossing;
static int crossed[2];

/*
 * Each constructor requests the other type once both loads have begun; the linker runs the constructors one after the
 * other.
 */
static void load_the_other(const char *type, const char *what)
{
	if (strcmp(what, "load") != 0)
		return;
	if (strcmp(type, "good") == 0)
		crossed[0] = create_errno("other");
	if (strcmp(type, "other") == 0)
		crossed[1] = create_errno("good");
}

START_TEST(two_threads_with_crossed_loads_do_not_hang)
{
	struct attempt first, second;
	crossing = (struct gate)GATE_INIT;
	fixture_install("good");
	fixture_install("other");
	for (int i = 0; i < 20; i++) {
		crossed[0] = crossed[1] = -1;
		fixture_on_event(load_the_other);
		crossing = (struct gate)GATE_INIT;
		start_attempt(&first, &crossing, "good");
		start_attempt(&second, &crossing, "other");
		gate_await(&crossing, 2);
		gate_open(&crossing);
		ck_assert_int_eq(pthread_join(first.thread, NULL), 0);
		ck_assert_int_eq(pthread_join(second.thread, NULL), 0);
		ck_assert_msg(first.pool && second.pool, "%s%s", first.message, second.message);
		/* The later constructor may find the first driver already loaded. */
		ck_assert(crossed[0] == EDEADLK || crossed[0] == 0);
		ck_assert(crossed[1] == EDEADLK || crossed[1] == 0);
		ck_assert(crossed[0] == EDEADLK || crossed[1] == EDEADLK);
		zpool_destroy_pool(first.pool);
		zpool_destroy_pool(second.pool);
		fixture_on_event(NULL);
		ck_assert_int_eq(zpool_unload_driver("good"), 0);
		ck_assert_int_eq(zpool_unload_driver("other"), 0);
	}
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Limits of the thread that loads
 */

static void *load_on_a_small_stack(void *type)
{
	return zpool_create_pool(type, 0, NULL);
}

START_TEST(a_load_fits_on_a_small_stack)
{
	enum { STACK_BYTES = 64 << 10 };
	pthread_attr_t attributes;
	pthread_t thread;
	void *pool = NULL;

	if (FIXTURE_SANITIZED) {
		fixture_skip("a_load_fits_on_a_small_stack", "sanitizers make stack frames large");
		return;
	}
	fixture_install("good");
	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, STACK_BYTES), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, load_on_a_small_stack, (void *)(uintptr_t) "good"), 0);
	ck_assert_int_eq(pthread_join(thread, &pool), 0);
	(void)pthread_attr_destroy(&attributes);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
}
END_TEST

START_TEST(each_thread_has_its_own_last_error)
{
	struct gate start = GATE_INIT;
	struct attempt each;
	expect_refused("first", ENOENT, "\"first\"");
	start_attempt(&each, &start, "second");
	gate_open(&start);
	ck_assert_int_eq(pthread_join(each.thread, NULL), 0);
	ck_assert_ptr_nonnull(strstr(each.message, "\"second\""));
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "\"first\""));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("threads");
	tcase_add_test(tests, two_hundred_threads_get_a_pool_each_from_one_load);
	tcase_add_test(tests, two_hundred_threads_get_the_same_error_from_one_load);
	tcase_add_test(tests, two_hundred_threads_get_the_same_error_of_the_linker);
	tcase_add_test(tests, two_hundred_threads_get_the_same_error_where_there_is_no_file);
	tcase_add_test(tests, slow_constructor_delays_only_loads_of_its_type);
	tcase_add_test(tests, a_constructor_may_use_live_drivers_and_gets_edeadlk_for_others);
	tcase_add_test(tests, two_threads_with_crossed_loads_do_not_hang);
	tcase_add_test(tests, a_load_fits_on_a_small_stack);
	tcase_add_test(tests, each_thread_has_its_own_last_error);
	return fixture_run("threads", tests);
}
