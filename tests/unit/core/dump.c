/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "tests/unit/driver-for-tests.h"
#include "tests/unit/run.h"

static struct zpool_driver driver, filter;

static void start(void)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	filter = filter_for_tests("sieve");
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	ck_assert_int_eq(zpool_register_driver(&filter), 0);
}

static void finish(void)
{
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
	ck_assert_int_eq(zpool_unregister_driver(&filter), 0);
}

static struct zpool *open_named(const char *spec, const char *name)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	args.name = name;
	struct zpool *pool = zpool_open(spec, &args, sizeof(args));
	ck_assert_msg(pool != NULL, "%s", zpool_last_error());
	return pool;
}

/* Returns the text of a dump, which goes through a temporary file. The caller frees it. */
static char *dumped(unsigned int format)
{
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(zpool_dump(fileno(file), format), 0);
	ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
	long bytes = ftell(file);
	char *text = calloc(1, (size_t)bytes + 1);
	rewind(file);
	ck_assert_uint_eq(fread(text, 1, (size_t)bytes, file), (size_t)bytes);
	ck_assert_int_eq(fclose(file), 0);
	return text;
}

START_TEST(json_has_every_pool_layer_and_counter)
{
	start();
	struct zpool *first = open_named("sieve+mock", "first");
	struct zpool *second = open_named("mock:limit=64K", "second");
	unsigned long handle;
	ck_assert_int_eq(zpool_malloc(second, 100, 0, &handle), 0);
	char *text = dumped(ZPOOL_DUMP_JSON);
	assert_contains(text, "{\"version\":\"" ZPOOL_VERSION "\",\"pid\":");
	char *at = strstr(text, "{\"name\":\"first\",\"spec\":\"sieve+mock\",\"inherited\":false,\"pool_bytes\":4096,"
				"\"limit_bytes\":null,\"layers\":[{\"type\":\"sieve\",\"statistics\":");
	ck_assert_msg(at != NULL, "%s", text);
	const char *below = strstr(at, "{\"type\":\"mock\",\"statistics\":{");
	at = strstr(at, "{\"name\":\"second\",\"spec\":\"mock:limit=64K\",\"inherited\":false,\"pool_bytes\":4212,"
			"\"limit_bytes\":65536,");
	ck_assert_msg(at != NULL, "%s", text);
	ck_assert_msg(below && below < at, "the first pool lacks its lower layer: %s", text);
	const struct zpool_stats_member *member;
	for (unsigned int i = 0; (member = zpool_stats_member(i)) != NULL; i++) {
		char key[64];
		(void)snprintf(key, sizeof(key), "\"%s\":", member->name);
		assert_contains(at, key);
	}
	assert_contains(at, "{\"objects\":1,\"stored_bytes\":");
	ck_assert_str_eq(text + strlen(text) - 3, "]}\n");
	ck_assert_ptr_eq(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
	zpool_destroy_pool(first);
	zpool_destroy_pool(second);
	text = dumped(ZPOOL_DUMP_JSON);
	assert_contains(text, "\"pools\":[]}\n");
	free(text);
	finish();
}
END_TEST

START_TEST(text_has_every_pool_and_counter)
{
	start();
	struct zpool *pool = open_named("sieve+mock:limit=64K", "the pool");
	char *text = dumped(ZPOOL_DUMP_TEXT);
	const struct zpool_stats_member *member;
	assert_contains(text, "libzpool " ZPOOL_VERSION ", process ");
	assert_contains(text, "pool \"the pool\": \"sieve+mock:limit=64K\"\n");
	assert_contains(text, "  mock:\n");
	for (unsigned int i = 0; (member = zpool_stats_member(i)) != NULL; i++)
		assert_contains(text, member->label);
	free(text);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(limit_that_was_changed_is_shown)
{
	start();
	struct zpool *pool = open_named("mock:limit=64K", "the pool");
	ck_assert_int_eq(zpool_set_limit(pool, 40000), 0);
	char *text = dumped(ZPOOL_DUMP_JSON);
	assert_contains(text, "\"limit_bytes\":40000,");
	free(text);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

static unsigned int classes_shown;

/* Shows classes with members that all differ. */
static int some_classes(void *context, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			void *user)
{
	int err = 0;

	(void)context;
	for (unsigned int i = 1; !err && i <= classes_shown; i++) {
		const struct zpool_class_stats stats = {
			.object_bytes = 10 * i + 1,
			.objects = 10 * i + 2,
			.slots = 10 * i + 3,
			.zspages = 10 * i + 4,
			.pages_per_zspage = 10 * i + 5,
			.pages = 10 * i + 6,
			.freeable_pages = 10 * i + 7,
		};

		err = fn(&stats, sizeof(stats), user);
	}
	return err;
}

static void expect_dump(unsigned int format, const char *part, bool is_there)
{
	char *text = dumped(format);

	if (is_there)
		assert_contains(text, part);
	else
		assert_lacks(text, part);
	free(text);
}

/* A dump has room for 256 classes.  Of a driver with more, it shows none. */
START_TEST(dump_has_the_size_classes)
{
	driver_knobs_reset();
	driver = driver_for_tests("mock");
	driver.each_class = some_classes;
	ck_assert_int_eq(zpool_register_driver(&driver), 0);
	struct zpool *pool = open_named("mock", "pool");
	classes_shown = 2;
	expect_dump(ZPOOL_DUMP_JSON,
		    "\"classes\":[{\"object_bytes\":11,\"objects\":12,\"slots\":13,\"zspages\":14,"
		    "\"pages_per_zspage\":15,\"pages\":16,\"freeable_pages\":17},{\"object_bytes\":21,",
		    true);
	expect_dump(ZPOOL_DUMP_TEXT,
		    "  size classes:\n"
		    "            size      objects        slots        pages     freeable\n"
		    "              11           12           13           16           17\n"
		    "              21           22           23           26           27\n",
		    true);
	classes_shown = 0;
	expect_dump(ZPOOL_DUMP_JSON, "\"classes\":[]", true);
	expect_dump(ZPOOL_DUMP_TEXT, "size classes", false);
	classes_shown = 256;
	expect_dump(ZPOOL_DUMP_JSON, "{\"object_bytes\":2561,", true);
	expect_dump(ZPOOL_DUMP_TEXT, "size classes", true);
	classes_shown = 257;
	expect_dump(ZPOOL_DUMP_JSON, "\"classes\":null", true);
	expect_dump(ZPOOL_DUMP_TEXT, "size classes", false);
	zpool_destroy_pool(pool);
	ck_assert_int_eq(zpool_unregister_driver(&driver), 0);
}
END_TEST

START_TEST(names_are_escaped_and_truncated)
{
	char name[5000];
	start();
	memset(name, '"', sizeof(name));
	memcpy(name, "a\"b\\c\x1b[1m\n\xff\xe2\x80\xae", 14);
	name[sizeof(name) - 1] = '\0';
	struct zpool *pool = open_named("mock", name);
	char *text = dumped(ZPOOL_DUMP_JSON);
	assert_contains(text, "\"name\":\"a\\\"b\\\\c\\\\x1b[1m\\\\n\\\\xff\\\\u202e\\\"");
	ck_assert_uint_lt(strlen(text), 8000);
	free(text);
	text = dumped(ZPOOL_DUMP_TEXT);
	assert_lacks(text, "\x1b");
	free(text);
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(missing_statistics_of_a_driver_are_no_failure)
{
	start();
	struct zpool *pool = open_named("mock", "pool");
	knobs.overrule[CALL_STATS] = true;
	knobs.answer[CALL_STATS] = -EIO;
	knobs.message = "said by the driver";
	ck_assert_int_eq(zp_fail(EINVAL, "an earlier error"), -EINVAL);
	char *text = dumped(ZPOOL_DUMP_JSON);
	assert_contains(text, "{\"type\":\"mock\",\"statistics\":null}");
	free(text);
	ck_assert_str_eq(zpool_last_error(), "an earlier error");
	driver_knobs_reset();
	zpool_destroy_pool(pool);
	finish();
}
END_TEST

START_TEST(bad_arguments_and_write_errors_are_reported)
{
	int fds[2], full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_RDONLY);
	assert_fails(zpool_dump(-1, ZPOOL_DUMP_TEXT), EBADF, "file descriptor -1 is not open for writing");
	assert_fails(zpool_dump(null, ZPOOL_DUMP_TEXT), EBADF, "is not open for writing");
	assert_fails(zpool_dump(STDERR_FILENO, 2), EINVAL, "unknown format 2");
	if (full >= 0)
		assert_fails(zpool_dump(full, ZPOOL_DUMP_JSON), ENOSPC, "No space left");
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	assert_fails(zpool_dump(fds[1], ZPOOL_DUMP_JSON), EPIPE, "Broken pipe");
	ck_assert(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
	(void)close(fds[1]), (void)close(full), (void)close(null);
}
END_TEST

static atomic_bool stop;

static void *make_and_destroy(void *user)
{
	(void)user;
	while (!atomic_load(&stop)) {
		struct zpool *pools[4];
		unsigned long handle;
		for (int i = 0; i < 4; i++) {
			pools[i] = zpool_create_pool(i & 1 ? "mock" : "sieve+mock", 0, NULL);
			ck_assert_ptr_nonnull(pools[i]);
			ck_assert_int_eq(zpool_malloc(pools[i], 64, 0, &handle), 0);
		}
		for (int i = 0; i < 4; i++)
			zpool_destroy_pool(pools[i]);
	}
	return NULL;
}

START_TEST(pools_may_be_created_and_destroyed_during_the_walk)
{
	pthread_t threads[3];
	int null = open("/dev/null", O_WRONLY);
	start();
	atomic_store(&stop, false);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, make_and_destroy, NULL), 0);
	for (int i = 0; i < 2000; i++)
		ck_assert_int_eq(zpool_dump(null, (unsigned int)i % 2), 0);
	atomic_store(&stop, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	(void)close(null);
	finish();
}
END_TEST

static void *dump_to(void *user)
{
	return zpool_dump(*(const int *)user, ZPOOL_DUMP_TEXT) == 0 ? user : NULL;
}

/* A dump to a pipe that nobody reads waits, but destroying a pool does not. */
START_TEST(destroy_does_not_wait_for_the_reader)
{
	enum { POOLS = 600 };
	static struct zpool *pools[POOLS];
	static char buffer[65536];
	pthread_t thread;
	int fds[2];
	void *result;
	ssize_t got;

	start();
	ck_assert_int_eq(pipe(fds), 0);
	for (int i = 0; i < POOLS; i++)
		pools[i] = open_named("mock", "one of many");
	ck_assert_int_eq(pthread_create(&thread, NULL, dump_to, &fds[1]), 0);
	/* The first bytes arrive when the dump has filled its buffer for the first time. */
	got = read(fds[0], buffer, 1);
	ck_assert_int_eq(got, 1);
	for (int i = 0; i < POOLS; i++)
		zpool_destroy_pool(pools[i]);
	ck_assert_int_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	while (pthread_tryjoin_np(thread, &result) != 0)
		got = read(fds[0], buffer, sizeof(buffer));
	ck_assert_ptr_nonnull(result);
	(void)close(fds[0]), (void)close(fds[1]);
	finish();
}
END_TEST

/* If another thread dumps during a fork, the child can still dump and destroy its pools. */
static int in_child(void)
{
	int null = open("/dev/null", O_WRONLY);
	return zpool_dump(null, ZPOOL_DUMP_JSON) == 0 && zpool_dump(null, ZPOOL_DUMP_TEXT) == 0 ? 0 : 1;
}

static void *dump_for_long(void *user)
{
	while (!atomic_load(&stop))
		(void)zpool_dump(*(const int *)user, ZPOOL_DUMP_JSON);
	return NULL;
}

START_TEST(forked_children_can_dump)
{
	pthread_t thread;
	int null = open("/dev/null", O_WRONLY);
	if (!unit_may_fork() || !unit_child_can_allocate())
		return;
	start();
	struct zpool *pool = open_named("mock", "inherited");
	atomic_store(&stop, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, dump_for_long, &null), 0);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(unit_in_child(in_child), 0);
	atomic_store(&stop, true);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	zpool_destroy_pool(pool);
	(void)close(null);
	finish();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		json_has_every_pool_layer_and_counter,
		text_has_every_pool_and_counter,
		limit_that_was_changed_is_shown,
		dump_has_the_size_classes,
		names_are_escaped_and_truncated,
		missing_statistics_of_a_driver_are_no_failure,
		bad_arguments_and_write_errors_are_reported,
		pools_may_be_created_and_destroyed_during_the_walk,
		destroy_does_not_wait_for_the_reader,
		forked_children_can_dump,
	};
	return UNIT_RUN("core/dump", tests);
}
