/* SPDX-License-Identifier: MIT
 *
 * No thread is cancelled inside the library: a call always runs to its end, even if it passes cancellation points, for
 * example in the host's callbacks, and all locks are free afterwards.
 */
#include "config.h"

#include "plugins/shipped.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { HANDLES = 64, OBJECT_BYTES = 1000, PATIENCE_S = 10, ROUNDS = 6, THREADS = 3 };

static const char *const filters[] = { "", "guard+", "fault+", "trace:overwrite=yes,buffer=4096,file=" };
#define DRIVER(type) type,
static const char *const drivers[] = { SHIPPED_DRIVERS(DRIVER) };
enum { FILTERS = sizeof(filters) / sizeof(*filters), DRIVERS = sizeof(drivers) / sizeof(*drivers) };

static char trace_path[] = "/tmp/zpool-cancel-test.XXXXXX";
static struct zpool_driver registered;

/* ------------------------------------------------------------------------------------------------------------------
 * The host's callbacks: each is a cancellation point
 */

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	(void)user;
	pthread_testcancel();
	zpool_free(pool, handle);
	return 0;
}

static void hear(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
	pthread_testcancel();
}

static int see_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool, (void)handle, (void)size, (void)user;
	pthread_testcancel();
	return 0;
}

static int see_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)stats, (void)size, (void)user;
	pthread_testcancel();
	return 0;
}

static int see_driver(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	pthread_testcancel();
	return 0;
}

static int see_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)param, (void)size, (void)user;
	pthread_testcancel();
	return 0;
}

static void *source_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	(void)context, (void)node;
	pthread_testcancel();
	char *at = mmap(NULL, bytes + align_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);
	if (at == MAP_FAILED)
		return NULL;
	char *aligned = at + (align_bytes - (uintptr_t)at % align_bytes) % align_bytes;
	if (aligned > at)
		(void)munmap(at, (size_t)(aligned - at));
	(void)munmap(aligned + bytes, (size_t)(at + align_bytes - aligned));
	return aligned;
}

static int source_commit(void *context, void *address, size_t bytes)
{
	(void)context, (void)address, (void)bytes;
	pthread_testcancel();
	return 0;
}

static int source_decommit(void *context, void *address, size_t bytes)
{
	(void)context;
	pthread_testcancel();
	return madvise(address, bytes, MADV_DONTNEED) ? -ENOMEM : 0;
}

static void source_release(void *context, void *address, size_t bytes)
{
	(void)context;
	pthread_testcancel();
	(void)munmap(address, bytes);
}

static const struct zpool_page_source source = { .struct_size = sizeof(source),
						 .reserve = source_reserve,
						 .commit = source_commit,
						 .decommit = source_decommit,
						 .release = source_release };

/* ------------------------------------------------------------------------------------------------------------------
 * Every function of zpool.h, with a pool that holds objects
 */

struct trial {
	char spec[128];
	const char *driver;
	struct zpool *pool;
	/* zpool_dump() writes to this file, which is opened in advance because open() is a cancellation point */
	int null;
	unsigned long handles[HANDLES];
	_Atomic bool returned;
	int state_after;
};

static struct zpool *open_pool(const char *spec)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.evict = evict;
	args.page_source = &source;
	return zpool_open(spec, &args, sizeof(args));
}

static void call_malloc(struct trial *trial)
{
	for (int i = 0; i < HANDLES; i++)
		(void)zpool_malloc(trial->pool, OBJECT_BYTES, ZPOOL_GFP_KERNEL, &trial->handles[i]);
}

static void call_free(struct trial *trial)
{
	for (int i = 0; i < HANDLES; i++)
		zpool_free(trial->pool, trial->handles[i]);
	zpool_free(trial->pool, 12345); /* the call is refused, so the log handler runs */
	(void)zpool_trim(trial->pool, NULL);
	call_malloc(trial);
}

static void call_map_handle(struct trial *trial)
{
	for (int i = 0; i < HANDLES; i++)
		if (zpool_map_handle(trial->pool, trial->handles[i], ZPOOL_MM_RW))
			zpool_unmap_handle(trial->pool, trial->handles[i]);
	(void)zpool_map_handle(trial->pool, 12345, ZPOOL_MM_RW);
}

static void call_unmap_handle(struct trial *trial)
{
	zpool_unmap_handle(trial->pool, trial->handles[0]);
}

static void call_obj_size(struct trial *trial)
{
	(void)zpool_obj_size(trial->pool, trial->handles[0]);
	(void)zpool_obj_size(trial->pool, 12345);
}

static void call_obj_read(struct trial *trial)
{
	char byte;
	(void)zpool_obj_read(trial->pool, trial->handles[0], &byte, 1, 0);
}

static void call_obj_write(struct trial *trial)
{
	(void)zpool_obj_write(trial->pool, trial->handles[0], "x", 1, 0);
}

static void call_each_object(struct trial *trial)
{
	(void)zpool_each_object(trial->pool, see_object, NULL);
}

static void call_each_class(struct trial *trial)
{
	(void)zpool_each_class(trial->pool, see_class, NULL);
}

static void call_shrink(struct trial *trial)
{
	(void)zpool_shrink(trial->pool, 2, NULL);
}

static void call_compact(struct trial *trial)
{
	for (int i = 0; i < HANDLES; i += 2)
		zpool_free(trial->pool, trial->handles[i]);
	(void)zpool_compact(trial->pool, 0, 0, NULL);
}

static void call_trim(struct trial *trial)
{
	for (int i = 0; i < HANDLES; i++)
		zpool_free(trial->pool, trial->handles[i]);
	(void)zpool_trim(trial->pool, NULL);
}

static void call_get_stats(struct trial *trial)
{
	struct zpool_stats stats;
	(void)zpool_get_stats(trial->pool, &stats, sizeof(stats));
}

static void call_set_limit(struct trial *trial)
{
	(void)zpool_set_limit(trial->pool, 1 << 20);
	call_malloc(trial);
	(void)zpool_set_limit(trial->pool, 0);
}

static void call_set_param(struct trial *trial)
{
	(void)zpool_set_param(trial->pool, "limit", "64M");
	(void)zpool_set_param(trial->pool, "nonsense", "64M");
	(void)zpool_set_param(trial->pool, "limit", "0");
}

static void call_getters(struct trial *trial)
{
	(void)zpool_get_type(trial->pool);
	(void)zpool_get_spec(trial->pool);
	(void)zpool_get_name(trial->pool);
	(void)zpool_get_total_size(trial->pool);
	(void)zpool_max_object_size(trial->pool);
	(void)zpool_alignment(trial->pool);
	(void)zpool_evictable(trial->pool);
	(void)zpool_can_sleep_mapped(trial->pool);
	(void)zpool_malloc_support_movable(trial->pool);
	(void)zpool_set_error(EINVAL, "the test sets this error for pool \"%s\"", trial->spec);
	(void)zpool_escape(NULL, 0, zpool_last_error());
	(void)zpool_version();
	(void)zpool_stats_member(0);
}

static void call_dump(struct trial *trial)
{
	(void)zpool_dump(trial->null, ZPOOL_DUMP_TEXT);
	(void)zpool_dump(trial->null, ZPOOL_DUMP_JSON);
	(void)zpool_dump(-1, ZPOOL_DUMP_TEXT);
}

static void call_create_pool(struct trial *trial)
{
	zpool_destroy_pool(zpool_create_pool(trial->driver, ZPOOL_GFP_KERNEL, NULL));
	(void)zpool_create_pool("no_such_driver", ZPOOL_GFP_KERNEL, NULL);
}

static void call_open(struct trial *trial)
{
	zpool_destroy_pool(open_pool(trial->driver));
}

static void call_destroy_pool(struct trial *trial)
{
	zpool_destroy_pool(trial->pool);
	trial->pool = NULL;
	trial->pool = open_pool(trial->spec);
	call_malloc(trial);
}

static void call_has_pool(struct trial *trial)
{
	(void)zpool_has_pool(trial->spec);
	(void)zpool_has_pool("no_such_driver");
}

static void call_each_driver(struct trial *trial)
{
	(void)trial;
	(void)zpool_each_driver(see_driver, NULL);
}

static void call_each_param(struct trial *trial)
{
	(void)zpool_each_param(trial->driver, see_param, NULL);
}

static void call_register_driver(struct trial *trial)
{
	(void)trial;
	(void)zpool_register_driver(&registered);
	zpool_destroy_pool(zpool_create_pool("for_tests", ZPOOL_GFP_KERNEL, NULL));
	(void)zpool_unregister_driver(&registered);
}

static void call_evict(struct trial *trial)
{
	unsigned long handle = 0;
	(void)trial;
	(void)zpool_register_driver(&registered);
	struct zpool *pool = open_pool("for_tests");
	(void)zpool_malloc(pool, 10, ZPOOL_GFP_KERNEL, &handle);
	(void)zpool_evict(knobs.last_pool, handle);
	zpool_destroy_pool(pool);
	(void)zpool_unregister_driver(&registered);
}

static void call_unload_driver(struct trial *trial)
{
	(void)zpool_unload_driver(trial->driver); /* the driver is in use */
	(void)zpool_unload_driver(strcmp(trial->driver, "zblock") ? "zblock" : "zbud");
	zpool_destroy_pool(zpool_create_pool("zblock", ZPOOL_GFP_KERNEL, NULL));
}

static void call_plugin_path(struct trial *trial)
{
	char path[4096];
	(void)trial;
	(void)zpool_get_plugin_path(path, sizeof(path));
	(void)zpool_set_plugin_path(path);
	(void)zpool_set_plugin_path(NULL);
}

static void call_rescan(struct trial *trial)
{
	(void)trial;
	(void)zpool_rescan();
}

static void call_set_log_handler(struct trial *trial)
{
	(void)trial;
	(void)zpool_set_log_handler(hear, ZPOOL_LOG_DEBUG, NULL);
}

static const struct {
	const char *names; /* the functions that it calls, each followed by a space */
	void (*fn)(struct trial *trial);
} calls[] = {
	{ "zpool_malloc ", call_malloc },
	{ "zpool_free ", call_free },
	{ "zpool_map_handle ", call_map_handle },
	{ "zpool_unmap_handle ", call_unmap_handle },
	{ "zpool_obj_size ", call_obj_size },
	{ "zpool_obj_read ", call_obj_read },
	{ "zpool_obj_write ", call_obj_write },
	{ "zpool_each_object ", call_each_object },
	{ "zpool_each_class ", call_each_class },
	{ "zpool_shrink ", call_shrink },
	{ "zpool_compact ", call_compact },
	{ "zpool_trim ", call_trim },
	{ "zpool_get_stats ", call_get_stats },
	{ "zpool_set_limit ", call_set_limit },
	{ "zpool_set_param ", call_set_param },
	{ "zpool_get_type zpool_get_spec zpool_get_name zpool_get_total_size zpool_max_object_size zpool_alignment "
	  "zpool_evictable zpool_can_sleep_mapped zpool_malloc_support_movable zpool_last_error zpool_escape "
	  "zpool_set_error zpool_version zpool_stats_member ",
	  call_getters },
	{ "zpool_dump ", call_dump },
	{ "zpool_create_pool ", call_create_pool },
	{ "zpool_open ", call_open },
	{ "zpool_destroy_pool ", call_destroy_pool },
	{ "zpool_has_pool ", call_has_pool },
	{ "zpool_each_driver ", call_each_driver },
	{ "zpool_each_param ", call_each_param },
	{ "zpool_register_driver zpool_unregister_driver ", call_register_driver },
	{ "zpool_evict ", call_evict },
	{ "zpool_unload_driver ", call_unload_driver },
	{ "zpool_set_plugin_path zpool_get_plugin_path ", call_plugin_path },
	{ "zpool_rescan ", call_rescan },
	{ "zpool_set_log_handler ", call_set_log_handler },
};
enum { CALLS_MADE = sizeof(calls) / sizeof(*calls) };

/* ------------------------------------------------------------------------------------------------------------------
 * Trials
 */

static struct trial *trial_begin(int number)
{
	static struct trial trial;
	static int null = -1;
	const char *filter = filters[number / DRIVERS];
	bool traces = strncmp(filter, "trace", 5) == 0;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	trial = (struct trial){ .driver = drivers[number % DRIVERS], .null = null };
	(void)snprintf(trial.spec, sizeof(trial.spec), "%s%s%s%s", filter, traces ? trace_path : "", traces ? "+" : "",
		       trial.driver);
	trial.pool = open_pool(trial.spec);
	ck_assert_msg(trial.pool != NULL, "%s: %s", trial.spec, zpool_last_error());
	call_malloc(&trial);
	return &trial;
}

/* Runs a function in a separate thread, fails if it does not end in time, and returns what pthread_join() returns. */
static void *run_bounded(void *(*fn)(void *), void *arg, const char *what, const char *spec)
{
	struct timespec until;
	pthread_t thread;
	void *result = NULL;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, arg), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	ck_assert_msg(pthread_timedjoin_np(thread, &result, &until) == 0, "%s on %s does not end", what, spec);
	return result;
}

static void *make_every_call(void *trial)
{
	for (int i = 0; i < CALLS_MADE; i++)
		calls[i].fn(trial);
	return NULL;
}

static int call_number;

/* A cancellation request that is pending before the call takes effect at the first cancellation point. */
static void *make_call_cancelled(void *arg)
{
	struct trial *trial = arg;
	int state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)pthread_cancel(pthread_self());
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	calls[call_number].fn(trial);
	atomic_store(&trial->returned, true);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &trial->state_after);
	pthread_testcancel();
	return NULL;
}

START_TEST(a_call_is_finished_before_its_thread_is_cancelled)
{
	struct trial *trial = trial_begin(_i);

	for (call_number = 0; call_number < CALLS_MADE; call_number++) {
		const char *names = calls[call_number].names;
		atomic_store(&trial->returned, false);
		void *result = run_bounded(make_call_cancelled, trial, names, trial->spec);
		ck_assert_msg(atomic_load(&trial->returned), "%s: the thread was cancelled inside %s", trial->spec,
			      names);
		ck_assert_msg(result == PTHREAD_CANCELED, "%s: the cancellation request was lost in %s", trial->spec,
			      names);
		ck_assert_int_eq(trial->state_after, PTHREAD_CANCEL_ENABLE);
	}
	(void)run_bounded(make_every_call, trial, "a call", trial->spec);
	zpool_destroy_pool(trial->pool);
}
END_TEST

/* These threads wait for each other's locks while they are cancelled. */
static void *make_calls_for_ever(void *arg)
{
	struct zpool *pool = arg;
	unsigned long handles[HANDLES] = { 0 };

	for (unsigned int round = 0;; round++) {
		for (int i = 0; i < HANDLES; i++)
			if (zpool_malloc(pool, OBJECT_BYTES, ZPOOL_GFP_KERNEL, &handles[i]))
				handles[i] = 0;
		for (int i = 0; i < HANDLES; i++)
			if (handles[i] && zpool_map_handle(pool, handles[i], ZPOOL_MM_RW))
				zpool_unmap_handle(pool, handles[i]);
		for (int i = 0; i < HANDLES; i++)
			if (handles[i])
				zpool_free(pool, handles[i]);
		if (round % 4 == 0)
			(void)zpool_compact(pool, 0, 0, NULL);
		(void)zpool_trim(pool, NULL);
		zpool_destroy_pool(zpool_create_pool("zblock", ZPOOL_GFP_KERNEL, NULL));
		(void)zpool_unload_driver("zblock");
		pthread_testcancel();
	}
	return NULL;
}

START_TEST(threads_that_are_cancelled_leave_no_lock_taken)
{
	struct trial *trial = trial_begin(_i);

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec pause = { 0, 500000 * (round + 1) };
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_create(&threads[i], NULL, make_calls_for_ever, trial->pool), 0);
		nanosleep(&pause, NULL);
		for (int i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_cancel(threads[i]), 0);
		for (int i = 0; i < THREADS; i++)
			ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		(void)run_bounded(make_every_call, trial, "a call", trial->spec);
	}
	zpool_destroy_pool(trial->pool);
}
END_TEST

/*
 * zpool_loading_disable() cannot be undone, so this test is the last one; if Check forks, each test has a process of
 * its own.
 */
static void *disable_loading_cancelled(void *arg)
{
	struct trial *trial = arg;

	(void)pthread_cancel(pthread_self());
	(void)zpool_loading_disable();
	atomic_store(&trial->returned, true);
	pthread_testcancel();
	return NULL;
}

START_TEST(loading_is_disabled_before_the_thread_is_cancelled)
{
	struct trial *trial = trial_begin(0);

	(void)run_bounded(disable_loading_cancelled, trial, "zpool_loading_disable()", trial->spec);
	ck_assert(atomic_load(&trial->returned));
	(void)run_bounded(make_every_call, trial, "a call", trial->spec);
	zpool_destroy_pool(trial->pool);
}
END_TEST

/* The export map has one name per line, followed by a semicolon. */
START_TEST(every_public_function_is_called)
{
	char line[128], name[64], word[80];
	FILE *map = fopen(TEST_EXPORT_MAP, "re");

	ck_assert_ptr_nonnull(map);
	while (fgets(line, sizeof(line), map)) {
		if (sscanf(line, " zpool_%63[a-z_];", name) != 1)
			continue;
		(void)snprintf(word, sizeof(word), "zpool_%s ", name);
		bool tried = strcmp(word, "zpool_loading_disable ") == 0;
		for (int i = 0; i < CALLS_MADE; i++)
			tried = tried || strstr(calls[i].names, word);
		ck_assert_msg(tried, "%sis a public function that this test does not call: add a case to `calls'",
			      word);
	}
	(void)fclose(map);
}
END_TEST

static void setup(void)
{
	memcpy(trace_path + sizeof(trace_path) - 7, "XXXXXX", 6);
	int fd = mkstemp(trace_path);
	ck_assert_int_ge(fd, 0);
	close(fd);
	driver_knobs_reset();
	registered = driver_for_tests("for_tests");
	ck_assert_int_eq(zpool_set_log_handler(hear, ZPOOL_LOG_DEBUG, NULL), 0);
}

static void teardown(void)
{
	unlink(trace_path);
}

int main(void)
{
	Suite *suite = suite_create("cancel");
	TCase *tcase = tcase_create("cancel");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_public_function_is_called);
	tcase_add_loop_test(tcase, a_call_is_finished_before_its_thread_is_cancelled, 0, FILTERS * DRIVERS);
	tcase_add_loop_test(tcase, threads_that_are_cancelled_leave_no_lock_taken, 0, FILTERS * DRIVERS);
	tcase_add_test(tcase, loading_is_disabled_before_the_thread_is_cancelled);
	tcase_set_timeout(tcase, 3 * PATIENCE_S);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
