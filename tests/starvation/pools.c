/* SPDX-License-Identifier: MIT
 *
 * pools.c - the life of a pool while calls of the C library fail, for every driver and for stacks of filters
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zpool.h>

#include "plugins/shipped.h"
#include "tests/starvation/runner.h"

enum { OBJECTS = 360, FIRST = 200, SECOND = 260, THIRD = 320, SIZE_MAX_BYTES = 3900, CLASSES_MAX = 512 };

struct object {
	unsigned long handle; /* 0: not stored */
	uint32_t bytes;
	uint32_t seed;
};

static struct zpool *pool;
static struct object objects[OBJECTS];
static unsigned char buffer[SIZE_MAX_BYTES];
static int dump_fd;

/* ---- objects and their bytes ---- */

static void fill(unsigned char *bytes, const struct object *object)
{
	uint32_t state = object->seed;

	for (uint32_t i = 0; i < object->bytes; i++) {
		state = state * 1664525 + 1013904223;
		bytes[i] = (unsigned char)(state >> 24);
	}
}

static void check(const struct object *object, const char *when)
{
	static unsigned char expected[SIZE_MAX_BYTES];
	int64_t done;

	if (!object->handle)
		return;
	fill(expected, object);
	done = zpool_obj_read(pool, object->handle, buffer, object->bytes, 0);
	if (done != (int64_t)object->bytes)
		fault("%s, object %td cannot be read: %lld, %s", when, object - objects, (long long)done,
		      zpool_last_error());
	else if (memcmp(buffer, expected, object->bytes) != 0)
		fault("%s, object %td has other bytes", when, object - objects);
}

static void check_all(const char *when)
{
	for (unsigned int i = 0; i < OBJECTS; i++)
		check(&objects[i], when);
}

static uint32_t size_of(unsigned int number)
{
	uint32_t mixed = number * 2654435761U;

	return number % 5 == 0 ? 3000 + mixed % 900 : 16 + mixed % (number % 2 ? 200 : 2000);
}

/* Every second object is written through a mapping. */
static void write_object(const struct object *object)
{
	void *address;

	fill(buffer, object);
	if (object->seed % 2) {
		int64_t done = zpool_obj_write(pool, object->handle, buffer, object->bytes, 0);

		if (done != (int64_t)object->bytes)
			fault("zpool_obj_write returned %lld: %s", (long long)done, zpool_last_error());
		return;
	}
	address = zpool_map_handle(pool, object->handle, ZPOOL_MM_WO);
	if (!address) {
		fault("zpool_map_handle failed: %s", zpool_last_error());
		return;
	}
	memcpy(address, buffer, object->bytes);
	zpool_unmap_handle(pool, object->handle);
}

static bool store(unsigned int number, zpool_gfp_t gfp)
{
	struct object *object = &objects[number];
	unsigned long handle = 0;
	int err;

	*object = (struct object){ 0, size_of(number), number };
	expect_message();
	err = zpool_malloc(pool, object->bytes, gfp, &handle);
	if (gfp & ZPOOL_GFP_NOWAIT ? err == -ENOMEM || err == -EAGAIN : !succeeds("zpool_malloc", err, ENOMEM))
		return false;
	if (!handle)
		fault("zpool_malloc returned %d and no handle", err);
	object->handle = handle;
	write_object(object);
	return true;
}

/* Calls that free or unmap must succeed even without memory and system calls. */
static void discard(struct object *object)
{
	bool armed;

	if (!object->handle)
		return;
	zpool_free(pool, object->handle);
	armed = starve->disarm();
	if (zpool_obj_size(pool, object->handle) != -EINVAL)
		fault("zpool_free left the object: %s", zpool_last_error());
	starve->resume(armed);
	object->handle = 0;
}

static int evict(struct zpool *of, unsigned long handle, void *user)
{
	(void)of, (void)user;
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (objects[i].handle == handle) {
			if (i % 7 == 0)
				return -EBUSY;
			discard(&objects[i]);
			return 0;
		}
	fault("an object is evicted that is not stored");
	return -ENOENT;
}

/* ---- the calls on a pool ---- */

static int count_object(struct zpool *of, unsigned long handle, size_t size, void *user)
{
	unsigned int *count = user;

	(void)of, (void)handle, (void)size;
	++*count;
	return 0;
}

static int count_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	unsigned int *count = user;

	(void)stats, (void)size;
	++*count;
	return 0;
}

/* The functions that need no memory do the same as without failures. */
static void look_at_constants(void)
{
	static struct {
		bool is_set, evictable, sleeps, moves;
	} first;
	char text[8];

	if (!first.is_set) {
		first.is_set = true;
		first.evictable = zpool_evictable(pool);
		first.sleeps = zpool_can_sleep_mapped(pool);
		first.moves = zpool_malloc_support_movable(pool);
	}
	if (zpool_evictable(pool) != first.evictable || zpool_can_sleep_mapped(pool) != first.sleeps ||
	    zpool_malloc_support_movable(pool) != first.moves)
		fault("a property of the pool has changed");
	if (strcmp(zpool_version(), ZPOOL_VERSION) != 0 || !zpool_stats_member(0))
		fault("a constant of the library is not known");
	if (zpool_escape(text, sizeof(text), "a\n") != 3 || strcmp(text, "a\\n") != 0)
		fault("zpool_escape returned \"%s\"", text);
	expect_message();
	expect_refusal("zpool_set_error", zpool_set_error(ERANGE, "a message of %d %s", 4, "words"), ERANGE);
}

static void look(void)
{
	struct zpool_stats stats;
	unsigned int live = 0, seen = 0, classes = 0;
	int err;

	for (unsigned int i = 0; i < OBJECTS; i++)
		live += objects[i].handle != 0;
	expect_message();
	err = zpool_get_stats(pool, &stats, sizeof(stats));
	if (succeeds("zpool_get_stats", err, EOPNOTSUPP) && stats.objects != live)
		fault("zpool_get_stats counts %llu objects, and %u are live", (unsigned long long)stats.objects, live);
	err = zpool_each_object(pool, count_object, &seen);
	if (err != -EOPNOTSUPP && (err || seen != live))
		fault("zpool_each_object returned %d and visited %u of %u objects", err, seen, live);
	err = zpool_each_class(pool, count_class, &classes);
	if (err && err != -EOPNOTSUPP)
		fault("zpool_each_class returned %d: %s", err, zpool_last_error());
	for (unsigned int format = ZPOOL_DUMP_TEXT; format <= ZPOOL_DUMP_JSON; format++) {
		expect_message();
		(void)succeeds("zpool_dump", zpool_dump(dump_fd, format), ENOMEM, ENOSPC);
	}
	if (!zpool_get_type(pool) || !zpool_get_spec(pool) || !zpool_get_name(pool) || !zpool_get_total_size(pool) ||
	    zpool_max_object_size(pool) < SIZE_MAX_BYTES || zpool_alignment(pool) < 8)
		fault("a property of the pool is not known: %s", zpool_last_error());
	expect_message();
	expect_refusal("zpool_malloc of 2^62 bytes",
		       zpool_malloc(pool, (size_t)1 << 62, ZPOOL_GFP_KERNEL, &(unsigned long){ 0 }), ENOSPC, ENOMEM);
}

/* The pool may be larger after a compaction that could not release the emptied pages. */
static void check_released(const char *call, uint64_t before, uint64_t released)
{
	uint64_t now = zpool_get_total_size(pool);

	if (released != (now < before ? before - now : 0) || (now > before && !starve->failures()))
		fault("%s released %llu bytes, and the pool has %llu instead of %llu", call,
		      (unsigned long long)released, (unsigned long long)now, (unsigned long long)before);
}

static void give_back(void)
{
	unsigned int pages;
	uint64_t released, before = zpool_get_total_size(pool);
	int err;

	expect_message();
	err = zpool_shrink(pool, 3, &pages);
	if (err && err != -EINVAL && err != -EAGAIN)
		fault("zpool_shrink returned %d: %s", err, zpool_last_error());
	err = zpool_compact(pool, 8192, 0, &released);
	if (err != 0 && err != 1 && err != -EOPNOTSUPP)
		fault("zpool_compact returned %d: %s", err, zpool_last_error());
	check_all("after a compaction with a budget");
	before = zpool_get_total_size(pool);
	err = zpool_compact(pool, 0, 0, &released);
	if (err != 0 && err != -EOPNOTSUPP)
		fault("zpool_compact returned %d: %s", err, zpool_last_error());
	if (err == 0)
		check_released("zpool_compact", before, released);
	check_all("after a compaction");
	before = zpool_get_total_size(pool);
	err = zpool_trim(pool, &released);
	if (err != 0 && err != -EOPNOTSUPP)
		fault("zpool_trim returned %d: %s", err, zpool_last_error());
	if (err == 0)
		check_released("zpool_trim", before, released);
	check_all("after a trim");
}

static void meet_the_limit(unsigned int from, unsigned int to)
{
	require("zpool_set_limit", zpool_set_limit(pool, zpool_get_total_size(pool) + 40960));
	for (unsigned int i = from; i < to; i++) {
		unsigned long handle = 0;
		int err;

		objects[i] = (struct object){ 0, size_of(i), i };
		err = zpool_malloc(pool, objects[i].bytes, ZPOOL_GFP_ZERO, &handle);
		if (err && err != -ENOMEM)
			fault("zpool_malloc at the limit returned %d: %s", err, zpool_last_error());
		objects[i].handle = handle;
		if (!err)
			write_object(&objects[i]);
	}
	require("zpool_set_limit", zpool_set_limit(pool, 0));
	expect_message();
	(void)succeeds("zpool_set_param", zpool_set_param(pool, "limit", "1G"), ENOMEM);
	require("zpool_set_limit", zpool_set_limit(pool, 0));
}

/* ---- the scenario ---- */

static void *work_of_another_thread(void *unused)
{
	for (unsigned int i = FIRST; i < SECOND; i++)
		(void)store(i, ZPOOL_GFP_KERNEL);
	for (unsigned int i = 1; i < SECOND; i += 3)
		discard(&objects[i]);
	for (unsigned int i = 1; i < FIRST; i += 6)
		(void)store(i, ZPOOL_GFP_ZERO);
	return unused;
}

/* A second thread, which only waits, prevents the library from using its fast path for single-threaded processes. */
static void use_another_thread(void)
{
	bool armed = starve->disarm();
	pthread_t thread;
	int err = pthread_create(&thread, NULL, work_of_another_thread, NULL);
	starve->resume(armed);
	if (err || pthread_join(thread, NULL) != 0)
		fault("a thread cannot be started: %s", strerror(err));
}

static void open_pool(const struct scenario *scenario)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.evict = evict;
	pool = zpool_open(scenario->spec, &args, sizeof(args));
}

static void before(const struct scenario *scenario)
{
	static bool is_loaded;

	memset(objects, 0, sizeof(objects));
	pool = NULL;
	if (is_loaded)
		return;
	is_loaded = true;
	dump_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (!zpool_has_pool(scenario->spec))
		fault("zpool_has_pool: %s", zpool_last_error());
}

static void body(const struct scenario *scenario)
{
	expect_message();
	open_pool(scenario);
	if (!pool && strstr(zpool_last_error(), "a bug in the driver"))
		fault("zpool_open: %s", zpool_last_error());
	if (!succeeds("zpool_open", pool ? 0 : -errno, ENOMEM, EMFILE, ENOSPC, EIO))
		return;
	for (unsigned int i = 0; i < FIRST; i++)
		(void)store(i, ZPOOL_GFP_KERNEL);
	for (unsigned int i = 0; i < FIRST; i += 3)
		discard(&objects[i]);
	check_all("after frees");
	use_another_thread();
	look_at_constants();
	look();
	give_back();
	for (unsigned int i = SECOND; i < THIRD; i++)
		(void)store(i, i % 2 ? ZPOOL_GFP_NOWAIT : ZPOOL_GFP_KERNEL);
	meet_the_limit(THIRD, OBJECTS);
	for (unsigned int i = 2; i < OBJECTS; i += 3)
		discard(&objects[i]);
	give_back();
	look();
	check_all("at the end");
}

/* Checks that no object is lost, and that the calls that failed work now. */
static void after(const struct scenario *scenario)
{
	int err;

	if (!pool) {
		open_pool(scenario);
		if (!pool) {
			fault("zpool_open failed afterwards: %s", zpool_last_error());
			return;
		}
	}
	check_all("afterwards");
	for (unsigned int i = 0; i < OBJECTS; i++)
		if (!objects[i].handle && !store(i, ZPOOL_GFP_KERNEL))
			fault("zpool_malloc failed afterwards: %s", zpool_last_error());
	check_all("afterwards, with new objects");
	give_back();
	look();
	for (unsigned int i = 0; i < OBJECTS; i++)
		discard(&objects[i]);
	err = zpool_trim(pool, NULL);
	if (err && err != -EOPNOTSUPP)
		fault("zpool_trim failed afterwards: %s", zpool_last_error());
	zpool_destroy_pool(pool);
}

#define SCENARIO(text) { text, text, before, body, after, false },
#define ALONE(type) SCENARIO(type)
#define GUARDED(type) SCENARIO("guard+" type)

static const struct scenario scenarios[] = {
	/* clang-format off */
	SHIPPED_DRIVERS(ALONE)
	SHIPPED_DRIVERS(GUARDED)
	SCENARIO("fault+zsmalloc")
	SCENARIO("trace:file=/dev/null+zbud")
	SCENARIO("guard+fault+trace:file=/dev/null+z3fold")
	/* clang-format on */
};

int main(int argc, char **argv)
{
	return starvation_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
