/* SPDX-License-Identifier: MIT
 *
 * Constructors and destructors wait for another thread, which itself needs the loader.  No thread may hang forever.
 */
#include "config.h"

#include "fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/patience.h"
#include "mocks/mock_driver.h"

/* The short time is the cost of each deadlock here.  A test waits for the long time only if it hangs. */
enum { SHORT_PATIENCE_MS = 200, LONG_PATIENCE_MS = 60000 };

static int ignore_driver(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	return 0;
}

static int ignore_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)param, (void)size, (void)user;
	return 0;
}

/* It has the signature of the other calls. */
static int create(const char *type)
{
	errno = 0;
	struct zpool *pool = zpool_create_pool(type, 0, NULL);
	int err = pool ? 0 : -errno;
	zpool_destroy_pool(pool);
	return err;
}

static int create_other(void)
{
	return create("other");
}

static int create_own(void)
{
	return create("good");
}

static int create_live(void)
{
	return create("my_drv");
}

static int create_absent(void)
{
	return create("nosuch");
}

static int has_other(void)
{
	return zpool_has_pool("other") ? 0 : -EDEADLK;
}

static int each_param_of_other(void)
{
	return zpool_each_param("other", ignore_param, NULL);
}

static int each_driver(void)
{
	return zpool_each_driver(ignore_driver, NULL);
}

static int unload_live(void)
{
	return zpool_unload_driver("forkable");
}

static int unload_own(void)
{
	return zpool_unload_driver("good");
}

static int disable(void)
{
	return zpool_loading_disable();
}

static int register_own(void)
{
	static const struct zpool_driver driver = { MOCK_HEAD("good"),       .create = mock_create,
						    .destroy = mock_destroy, .malloc = mock_malloc,
						    .free = mock_free,       .total_size = mock_total_size,
						    .map = mock_map,         .unmap = mock_unmap };
	return zpool_register_driver(&driver);
}

/* The child uses the loaded drivers, and then executes another program. */
static int fork_and_use_live(void)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		(void)signal(SIGALRM, SIG_DFL);
		(void)alarm(20);
		(void)execlp(create_live() == 0 ? "true" : "false", "true", (char *)NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return status == 0 ? 0 : -ECHILD;
}

/* Lists the calls of a thread while a constructor waits for it. */
static const struct step {
	const char *name;
	int (*fn)(void);
	int expected;
	bool forks;
} steps[] = {
	{ "create another driver", create_other, -EDEADLK, false },
	{ "create the same driver", create_own, -EDEADLK, false },
	{ "create a driver that is live", create_live, 0, false },
	{ "create a driver that does not exist", create_absent, -ENOENT, false },
	{ "zpool_has_pool", has_other, -EDEADLK, false },
	{ "zpool_each_param", each_param_of_other, -EDEADLK, false },
	{ "zpool_each_driver", each_driver, 0, false },
	{ "unload a driver that is live", unload_live, -EDEADLK, false },
	{ "unload the same driver", unload_own, -EBUSY, false },
	{ "zpool_loading_disable", disable, -EDEADLK, false },
	{ "zpool_rescan", zpool_rescan, 0, false },
	{ "register the same driver", register_own, -EDEADLK, false },
	{ "fork", fork_and_use_live, 0, true },
};

static const struct step *step;
static const char *when;
static int result;
static char message[512];

static void *run_step(void *arg)
{
	(void)arg;
	result = step->fn();
	message[0] = '\0';
	if (result)
		strncat(message, zpool_last_error(), sizeof(message) - 1);
	return NULL;
}

static void run_step_in_thread(const char *type, const char *what)
{
	pthread_t thread;
	if (strcmp(type, "good") != 0 || strcmp(what, when) != 0)
		return;
	ck_assert_int_eq(pthread_create(&thread, NULL, run_step, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void expect_step(void)
{
	ck_assert_msg(result == step->expected, "%s, in a thread for which a %s waits: %d, not %d; %s", step->name,
		      when, result, step->expected, message);
	if (result == -EDEADLK)
		ck_assert_msg(strstr(message, "1 seconds; its initialisation may be waiting for this thread") != NULL ||
				      step->fn == has_other,
			      "%s", message);
}

static bool prepare(struct zpool **live, bool forks, const char *test)
{
	if (forks && !fixture_may_fork(test))
		return false;
	fixture_install("good");
	fixture_install("other");
	fixture_install("my_drv");
	fixture_install("forkable");
	*live = zpool_create_pool("my_drv", 0, NULL);
	ck_assert_msg(*live != NULL, "%s", zpool_last_error());
	expect_works("forkable");
	zp_set_patience(SHORT_PATIENCE_MS);
	return true;
}

static void finish(struct zpool *live)
{
	fixture_on_event(NULL);
	zp_set_patience(LONG_PATIENCE_MS);
	zpool_destroy_pool(live);
	/* The state is the same as before. */
	expect_works("other");
	expect_works("good");
}

START_TEST(a_constructor_that_waits_for_a_thread_does_not_hang)
{
	struct zpool *live;
	step = &steps[_i];
	when = "load";
	if (!prepare(&live, step->forks, "a_constructor_that_waits_for_a_thread_does_not_hang"))
		return;
	fixture_on_event(run_step_in_thread);
	expect_works("good");
	expect_step();
	finish(live);
}
END_TEST

START_TEST(a_destructor_that_waits_for_a_thread_does_not_hang)
{
	struct zpool *live;
	step = &steps[_i];
	when = "unload";
	if (!prepare(&live, step->forks, "a_destructor_that_waits_for_a_thread_does_not_hang"))
		return;
	fixture_on_event(run_step_in_thread);
	expect_works("good");
	ck_assert_int_eq(zpool_unload_driver("good"), 0);
	expect_step();
	finish(live);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Threads that must wait, but without a deadlock
 */

static pthread_t left_behind;

static void start_step_in_thread(const char *type, const char *what)
{
	if (strcmp(type, "good") == 0 && strcmp(what, "load") == 0)
		ck_assert_int_eq(pthread_create(&left_behind, NULL, run_step, NULL), 0);
}

START_TEST(thread_started_by_a_constructor_gets_a_pool_after_the_load)
{
	fixture_install("good");
	fixture_install("other");
	step = &steps[0];
	fixture_on_event(start_step_in_thread);
	expect_works("good");
	ck_assert_int_eq(pthread_join(left_behind, NULL), 0);
	ck_assert_msg(result == 0, "%s", message);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A library that the host opens holds the C library's lock, which the loader cannot see
 */

static int created_in_host_constructor;

static void *create_good(void *arg)
{
	(void)arg;
	return zpool_create_pool("good", 0, NULL);
}

static void create_beside_another_thread(const char *type, const char *what)
{
	if (strcmp(type, "other") != 0 || strcmp(what, "load") != 0)
		return;
	/* The thread waits for the lock that this thread holds, unless it has not got that far yet. */
	ck_assert_int_eq(pthread_create(&left_behind, NULL, create_good, NULL), 0);
	(void)usleep(50000);
	created_in_host_constructor = create("my_drv");
}

START_TEST(constructor_of_a_host_library_can_load_while_a_thread_waits)
{
	void *pool;
	fixture_install("good");
	fixture_install("my_drv");
	fixture_on_event(create_beside_another_thread);
	void *library = dlopen(fixture_mock("other"), RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(library != NULL, "%s", dlerror());
	ck_assert_int_eq(created_in_host_constructor, 0);
	ck_assert_int_eq(pthread_join(left_behind, &pool), 0);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
	dlclose(library);
}
END_TEST

int main(void)
{
	enum { STEPS = sizeof(steps) / sizeof(*steps) };
	TCase *tests = tcase_create("deadlock");
	tcase_add_loop_test(tests, a_constructor_that_waits_for_a_thread_does_not_hang, 0, STEPS);
	tcase_add_loop_test(tests, a_destructor_that_waits_for_a_thread_does_not_hang, 0, STEPS);
	tcase_add_test(tests, thread_started_by_a_constructor_gets_a_pool_after_the_load);
	tcase_add_test(tests, constructor_of_a_host_library_can_load_while_a_thread_waits);
	return fixture_run("deadlock", tests);
}
