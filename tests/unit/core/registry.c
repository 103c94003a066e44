/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "core/registry.h"

#include <dlfcn.h>
#include <ltdl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/driver-for-tests.h"
#include "tests/unit/failing-memory.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

/* libtool writes this into a program that is linked with -dlpreopen. */
static struct zpool_driver linked_driver, mislabelled_driver;
ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", &linked_driver },
	{ "mislabelled.a", NULL },
	{ "mislabelled_LTX_zpool_driver", &mislabelled_driver },
	{ NULL, NULL },
};

static struct zpool_driver driver;

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	scratch_make();
	ck_assert_int_eq(zpool_set_plugin_path(scratch_path("")), 0);
}

static void finish(void)
{
	ck_assert_int_eq(zpool_set_plugin_path(NULL), 0);
	scratch_remove();
}

START_TEST(register_needs_a_driver)
{
	assert_fails(zpool_register_driver(NULL), EINVAL, "no driver");
	assert_fails(zpool_unregister_driver(NULL), EINVAL, "no driver");
}
END_TEST

START_TEST(register_refuses_a_faulty_driver_and_names_the_field)
{
	start();
	driver.destroy = NULL;
	assert_fails(zpool_register_driver(&driver), EINVAL,
		     "cannot be registered: the mandatory callback destroy is NULL");
	assert_fails(zpool_unregister_driver(&driver), ENOENT, "is not registered");
	finish();
}
END_TEST

START_TEST(second_driver_of_a_type_is_refused)
{
	start();
	struct zpool_driver another = driver_for_tests("mock");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	assert_fails(zpool_register_driver(&another), EEXIST, "A driver \"mock\" is already registered");
	assert_fails(zpool_register_driver(&driver), EEXIST, "is already registered");
	assert_fails(zpool_unregister_driver(&another), ENOENT, "is not registered");
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&another), 0);
	ck_assert_int_eq(zpool_unregister_driver(&another), 0);
	finish();
}
END_TEST

static sem_t loading, registered;

/* The load is logged, and then fails because the file is gone. */
static void hold_up_the_load(enum zpool_log_level level, const char *text, void *user)
{
	struct timespec until;
	(void)level, (void)user;
	if (!strstr(text, "Loading driver \"planted\""))
		return;
	ck_assert_int_eq(unlink(scratch_path("planted.so")), 0);
	ck_assert_int_eq(sem_post(&loading), 0);
	/* A call that does not wait for the load returns in this time. The result of one that waits needs no time. */
	ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_nsec += 100000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	(void)sem_timedwait(&registered, &until);
}

static void *look_for_planted(void *unused)
{
	ck_assert(!zpool_has_pool("planted"));
	return unused;
}

START_TEST(register_waits_for_a_thread_that_looks_for_the_type)
{
	pthread_t looking;
	start();
	driver = driver_for_tests("planted");
	if (scratch_plugin("planted.so", "planted")) {
		ck_assert_int_eq(sem_init(&loading, 0, 0), 0);
		ck_assert_int_eq(sem_init(&registered, 0, 0), 0);
		ck_assert_int_eq(zpool_set_log_handler(hold_up_the_load, ZPOOL_LOG_DEBUG, NULL), 0);
		ck_assert_int_eq(pthread_create(&looking, NULL, look_for_planted, NULL), 0);
		ck_assert_int_eq(sem_wait(&loading), 0);
		int err = zpool_register_driver(&driver);
		ck_assert_msg(err == 0, "%s", zpool_last_error());
		ck_assert_int_eq(sem_post(&registered), 0);
		ck_assert_int_eq(pthread_join(looking, NULL), 0);
		ck_assert_int_eq(zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL), 0);
		ck_assert(zpool_has_pool("planted"));
		ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
		ck_assert_int_eq(sem_destroy(&loading), 0);
		ck_assert_int_eq(sem_destroy(&registered), 0);
	}
	finish();
}
END_TEST

START_TEST(driver_in_use_cannot_be_unregistered)
{
	start();
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	struct zpool *pools[2] = { zpool_create_pool("mock", 0, NULL), zpool_create_pool("mock", 0, NULL) };
	assert_fails(zpool_unregister_driver(&driver), EBUSY, "in use by 2 pools");
	zpool_destroy_pool(pools[0]);
	assert_fails(zpool_unregister_driver(&driver), EBUSY, "in use by 1 pool; destroy it");
	zpool_destroy_pool(pools[1]);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	assert_fails(zpool_unregister_driver(&driver), ENOENT, "is not registered");
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOENT, "No driver \"mock\"");
	finish();
}
END_TEST

START_TEST(structure_is_read_during_the_call_only)
{
	start();
	struct zpool_driver given = driver;
	ck_assert_int_eq(zpool_register_driver(&given), 0);
	memset(&given, 0, sizeof(given));
	struct zpool *pool = zpool_create_pool("mock", 0, NULL);
	ck_assert_ptr_nonnull(pool);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&given), 0);
	finish();
}
END_TEST

START_TEST(get_counts_users_until_put)
{
	struct zp_record *record = NULL;
	start();
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zp_registry_get("mock", &record), 0);
	ck_assert_str_eq(record->type, "mock");
	ck_assert_int_eq(record->origin, ZPOOL_ORIGIN_REGISTERED);
	ck_assert(record->driver.malloc == driver.malloc);
	ck_assert_int_eq(zpool_unregister_driver(&driver), -EBUSY);
	zp_registry_put(record);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	finish();
}
END_TEST

START_TEST(absent_driver_is_reported_with_the_paths_tried)
{
	struct zp_record *record = NULL;
	char expected[PATH_MAX];
	start();
	assert_fails(zp_registry_get("mock", &record), ENOENT, "No driver \"mock\"");
	(void)snprintf(expected, sizeof(expected), "%s (No such file or directory)", scratch_path("mock.so"));
	assert_contains(zpool_last_error(), expected);
	ck_assert_ptr_null(record);
	finish();
}
END_TEST

/* The registry does not remember that a driver is missing, so a new driver is found at once. */
START_TEST(driver_that_is_installed_later_is_found)
{
	start();
	ck_assert(!zpool_has_pool("mock"));
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert(zpool_has_pool("mock"));
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert(!zpool_has_pool("mock"));
	finish();
}
END_TEST

START_TEST(registered_driver_replaces_a_remembered_failure)
{
	start();
	scratch_file("mock.so", 0644, "no plugin", 9);
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOEXEC, "it is not an ELF file");
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOEXEC, "it is not an ELF file");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert(zpool_has_pool("mock"));
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOEXEC, "it is not an ELF file");
	ck_assert_int_eq(zpool_rescan(), 0);
	ck_assert_int_eq(unlink(scratch_path("mock.so")), 0);
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOENT, "No driver \"mock\"");
	finish();
}
END_TEST

START_TEST(remembered_failure_is_forgotten_when_the_file_is_removed_or_changed)
{
	start();
	scratch_file("mock.so", 0644, "no plugin", 9);
	ck_assert(!zpool_has_pool("mock"));
	scratch_file("mock.so", 0644, "\177ELF still no plugin", 20);
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOEXEC, "cannot be loaded");
	ck_assert_int_eq(unlink(scratch_path("mock.so")), 0);
	assert_fails_null(zpool_create_pool("mock", 0, NULL), ENOENT, "No driver \"mock\"");
	ck_assert_int_eq(zpool_rescan(), 0);
	finish();
}
END_TEST

START_TEST(unload_of_an_unloaded_plugin_is_refused)
{
	static const char *const names[] = { NULL, "", "Mock", "../mock", "a23456789012345678901234567890123" };
	start();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_fails(zpool_unload_driver(names[i]), EINVAL, "was not given a driver's name");
	assert_fails(zpool_unload_driver("mock"), ENOENT, "Driver \"mock\" is not loaded");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	assert_fails(zpool_unload_driver("mock"), EPERM, "is linked into the program");
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	scratch_file("mock.so", 0644, "no plugin", 9);
	ck_assert(!zpool_has_pool("mock"));
	assert_fails(zpool_unload_driver("mock"), ENOENT, "Driver \"mock\" is not loaded");
	ck_assert_int_eq(zpool_rescan(), 0);
	finish();
}
END_TEST

START_TEST(plugin_is_loaded_once_for_several_users_and_unloaded)
{
	struct zpool_driver planted = driver_for_tests("planted");
	start();
	if (!scratch_plugin("planted.so", "planted")) {
		finish();
		return;
	}
	struct zpool *pool = zpool_create_pool("planted", 0, NULL);
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	assert_fails(zpool_register_driver(&planted), EEXIST, "A driver \"planted\" is already loaded");
	assert_fails(zpool_unload_driver("planted"), EBUSY, "in use by 1 pool; destroy it");
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unload_driver("planted"), 0);
	assert_fails(zpool_unload_driver("planted"), ENOENT, "not loaded");
	ck_assert(zpool_has_pool("planted"));
	ck_assert_int_eq(zpool_unload_driver("planted"), 0);
	finish();
}
END_TEST

START_TEST(plugin_that_the_program_opened_stays_usable)
{
	start();
	if (scratch_plugin("planted.so", "planted")) {
		ck_assert(zpool_has_pool("planted"));
		void *other = dlopen(scratch_path("planted.so"), RTLD_NOW | RTLD_LOCAL);
		assert_fails(zpool_unload_driver("planted"), EOPNOTSUPP, "the system keeps its code mapped");
		struct zpool *pool = zpool_create_pool("planted", 0, NULL);
		ck_assert_ptr_nonnull(pool);
		zpool_destroy_pool(pool);
		dlclose(other);
		ck_assert_int_eq(zpool_unload_driver("planted"), 0);
	}
	finish();
}
END_TEST

START_TEST(linked_driver_is_checked_and_never_unloaded)
{
	struct zp_record *record;
	start();
	linked_driver = driver_for_tests("linked");
	linked_driver.flags_required = ZPOOL_DRIVER_RESIDENT;
	mislabelled_driver = driver_for_tests("something_else");
	ck_assert_int_eq(zp_registry_get("linked", &record), 0);
	ck_assert_int_eq(record->origin, ZPOOL_ORIGIN_PRELOADED);
	zp_registry_put(record);
	assert_fails(zpool_unload_driver("linked"), EPERM, "is linked into the program");
	assert_fails(zpool_register_driver(&linked_driver), EEXIST, "A driver \"linked\" is already loaded");
	assert_fails(zp_registry_get("mislabelled", &record), ENOEXEC,
		     "Driver \"mislabelled\" from the program cannot be used: type is \"something_else\"");
	finish();
}
END_TEST

START_TEST(begin_load_pairs_with_end_load)
{
	ck_assert_int_eq(zp_registry_begin_load(), 0);
	ck_assert_int_eq(zp_registry_begin_load(), -EDEADLK);
	zp_registry_end_load();
	zp_registry_fork_prepare();
	zp_registry_fork_release(false);
}
END_TEST

static void count_live(const struct zp_record *record, void *user)
{
	if (strncmp(record->type, "mock", 4) == 0)
		++*(unsigned int *)user;
}

START_TEST(each_live_visits_only_live_records)
{
	struct zpool_driver another = driver_for_tests("mock2");
	unsigned int live = 0;
	start();
	zp_registry_each_live(count_live, &live);
	ck_assert_uint_eq(live, 0);
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&another), 0);
	scratch_file("mock3.so", 0644, "no plugin", 9);
	ck_assert(!zpool_has_pool("mock3"));
	zp_registry_each_live(count_live, &live);
	ck_assert_uint_eq(live, 2);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&another), 0);
	ck_assert_int_eq(zpool_rescan(), 0);
	finish();
}
END_TEST

static int disable_loading(void)
{
	driver = driver_for_tests("mock");
	if (zpool_loading_disable() != 0 || zpool_loading_disable() != 0)
		return 1;
	if (zpool_create_pool("planted", 0, NULL) || errno != EPERM)
		return 2;
	if (!strstr(zpool_last_error(), "zpool_loading_disable() forbids loading"))
		return 3;
	if (zpool_register_driver(&driver) != 0 || !zpool_has_pool("mock"))
		return 4;
	return zpool_rescan();
}

START_TEST(no_file_is_opened_once_loading_is_disabled)
{
	if (!unit_may_fork())
		return;
	start();
	(void)scratch_plugin("planted.so", "planted");
	ck_assert_int_eq(unit_in_child(disable_loading), 0);
	finish();
}
END_TEST

START_TEST(every_failing_allocation_of_a_search_is_reported)
{
	struct zp_record *record;
	unsigned int lacks = 0;
	start();
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		int err = zp_registry_get("mock", &record);
		if (!memory_stop()) {
			ck_assert_int_eq(err, -ENOENT);
			break;
		}
		/* Without memory for the list of searched paths, the result is still that the driver does not exist. */
		ck_assert(err == -ENOMEM || err == -ENOENT);
		lacks += err == -ENOMEM;
		ck_assert_str_ne(zpool_last_error(), "");
	}
	ck_assert_uint_ge(lacks, 3);
	finish();
}
END_TEST

START_TEST(every_failing_allocation_of_a_registration_is_reported)
{
	start();
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		int err = zpool_register_driver(&driver);
		if (!memory_stop()) {
			ck_assert_int_eq(err, 0);
			ck_assert_uint_gt(nth, 2);
			break;
		}
		ck_assert_int_eq(err, -ENOMEM);
		assert_contains(zpool_last_error(), "memory");
	}
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	finish();
}
END_TEST

START_TEST(every_failing_allocation_of_a_load_is_reported)
{
	start();
	if (!scratch_plugin("planted.so", "planted")) {
		finish();
		return;
	}
	unsigned int lacks = 0;
	for (unsigned int nth = 1;; nth++) {
		memory_fail_at(nth);
		errno = 0;
		struct zpool *pool = zpool_create_pool("planted", 0, NULL);
		int err = errno;
		bool failed = memory_stop();
		zpool_destroy_pool(pool);
		if (pool) {
			ck_assert_int_eq(zpool_unload_driver("planted"), 0);
			if (!failed)
				break;
			continue;
		}
		lacks++;
		ck_assert_int_ne(err, 0);
		ck_assert_str_ne(zpool_last_error(), "");
		/* The file was not the cause, so the failure must not be remembered. */
		ck_assert_msg(zpool_has_pool("planted"), "after allocation %u: %s", nth, zpool_last_error());
		ck_assert_int_eq(zpool_unload_driver("planted"), 0);
	}
	ck_assert_uint_ge(lacks, 8);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		register_needs_a_driver,
		register_refuses_a_faulty_driver_and_names_the_field,
		second_driver_of_a_type_is_refused,
		register_waits_for_a_thread_that_looks_for_the_type,
		driver_in_use_cannot_be_unregistered,
		structure_is_read_during_the_call_only,
		get_counts_users_until_put,
		absent_driver_is_reported_with_the_paths_tried,
		driver_that_is_installed_later_is_found,
		registered_driver_replaces_a_remembered_failure,
		remembered_failure_is_forgotten_when_the_file_is_removed_or_changed,
		unload_of_an_unloaded_plugin_is_refused,
		plugin_is_loaded_once_for_several_users_and_unloaded,
		plugin_that_the_program_opened_stays_usable,
		linked_driver_is_checked_and_never_unloaded,
		begin_load_pairs_with_end_load,
		each_live_visits_only_live_records,
		no_file_is_opened_once_loading_is_disabled,
		every_failing_allocation_of_a_search_is_reported,
		every_failing_allocation_of_a_registration_is_reported,
		every_failing_allocation_of_a_load_is_reported,
	};
	return UNIT_RUN("core/registry", tests);
}
