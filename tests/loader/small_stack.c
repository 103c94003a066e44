/* SPDX-License-Identifier: MIT
 *
 * small_stack.c - every public function works on a stack of 16 KiB, or the smallest one that the C library accepts
 *
 * It runs on this build's plugins, with and without messages on standard error, and prints how much of its stack each
 * group of functions used.  zpool(3) promises this.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zpool-driver.h>
#include <zpool.h>

#include "plugins/shipped.h"
#include "tests/unit/small_stack.h"

enum { SKIPPED = 77 };

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "small_stack.c:%d: %s: %s\n", __LINE__, #condition, zpool_last_error());       \
			failed = 1;                                                                                    \
		}                                                                                                      \
	} while (0)

static int failed;
static unsigned int visited;

static int visit_driver(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	visited += info->type != NULL;
	return 0;
}

static int visit_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)size, (void)user;
	visited += param->key != NULL;
	return 0;
}

static int visit_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool, (void)size, (void)user;
	visited += handle != 0;
	return 0;
}

static int visit_class(const struct zpool_class_stats *stats, size_t size, void *user)
{
	(void)size, (void)user;
	visited += stats->slots != 0;
	return 0;
}

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	(void)user;
	zpool_free(pool, handle);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The calls that run on the small stack
 */

static void list_drivers(const char *unused)
{
	(void)unused;
	visited = 0;
	CHECK(zpool_each_driver(visit_driver, NULL) == 0);
	CHECK(visited > 0);
}

static void search(const char *spec)
{
	char path[64];
	CHECK(zpool_has_pool(spec));
	CHECK(!zpool_has_pool("nosuch"));
	CHECK(zpool_create_pool("zbud:limt=1M", ZPOOL_GFP_KERNEL, NULL) == NULL);
	CHECK(zpool_get_plugin_path(path, sizeof(path)) > 0);
	CHECK(zpool_rescan() == 0);
	CHECK(zpool_each_param("zsmalloc", visit_param, NULL) == 0);
}

static void ask(struct zpool *pool)
{
	struct zpool_stats stats;
	(void)zpool_get_type(pool), (void)zpool_get_spec(pool), (void)zpool_get_name(pool);
	(void)zpool_get_total_size(pool), (void)zpool_max_object_size(pool), (void)zpool_alignment(pool);
	(void)zpool_evictable(pool), (void)zpool_can_sleep_mapped(pool), (void)zpool_malloc_support_movable(pool);
	CHECK(zpool_get_stats(pool, &stats, sizeof(stats)) == 0);
	(void)zpool_each_class(pool, visit_class, NULL);
	(void)zpool_each_object(pool, visit_object, NULL);
	(void)zpool_set_limit(pool, UINT64_C(64) << 20);
	(void)zpool_set_param(pool, "nosuch", "1");
}

static void store(struct zpool *pool, unsigned long *handles, size_t count)
{
	char byte = 'x';
	for (size_t i = 0; i < count; i++) {
		CHECK(zpool_malloc(pool, 1 + i * 37 % 3900, ZPOOL_GFP_KERNEL, &handles[i]) == 0);
		CHECK(zpool_obj_write(pool, handles[i], &byte, 1, 0) == 1);
		CHECK(zpool_obj_read(pool, handles[i], &byte, 1, 0) == 1);
		void *object = zpool_map_handle(pool, handles[i], ZPOOL_MM_RW);
		if (object)
			zpool_unmap_handle(pool, handles[i]);
		(void)zpool_obj_size(pool, handles[i]);
	}
	for (size_t i = 0; i < count; i += 3)
		zpool_free(pool, handles[i]);
}

static void use_pool(const char *spec)
{
	static unsigned long handles[1500];
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	uint64_t released;
	unsigned int reclaimed;

	args.evict = evict;
	struct zpool *pool = zpool_open(spec, &args, sizeof(args));
	CHECK(pool != NULL);
	if (!pool)
		return;
	store(pool, handles, sizeof(handles) / sizeof(*handles));
	ask(pool);
	zpool_free(pool, handles[0]); /* This handle was freed before, so the call fails with a message. */
	(void)zpool_map_handle(pool, handles[0], ZPOOL_MM_RO);
	(void)zpool_shrink(pool, 3, &reclaimed);
	(void)zpool_compact(pool, 0, 0, &released);
	(void)zpool_trim(pool, &released);
	(void)zpool_evict(pool, handles[0]);
	zpool_destroy_pool(pool);
}

static void unload(const char *type)
{
	(void)zpool_unload_driver(type);
	CHECK(zpool_unregister_driver(NULL) == -EINVAL);
	CHECK(zpool_register_driver(NULL) == -EINVAL);
}

static void quiet(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)message, (void)user;
}

static void set_up(const char *unused)
{
	(void)unused;
	CHECK(zpool_set_log_handler(quiet, ZPOOL_LOG_DEBUG, NULL) == 0);
	CHECK(zpool_set_log_handler(NULL, ZPOOL_LOG_DEBUG, NULL) == 0);
	CHECK(zpool_set_plugin_path("/nonexistent") == 0);
	CHECK(zpool_set_plugin_path(NULL) == 0);
	CHECK(zpool_version() != NULL);
	CHECK(zpool_stats_member(0) != NULL);
	CHECK(zpool_escape(NULL, 0, "a text: with signs") > 0);
	CHECK(zpool_set_error(EINVAL, "%s of %d characters", "a message", 500) == -EINVAL);
	(void)zpool_last_error();
}

static void dump(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK(pool != NULL && fd >= 0);
	CHECK(zpool_dump(fd, ZPOOL_DUMP_TEXT) == 0);
	CHECK(zpool_dump(fd, ZPOOL_DUMP_JSON) == 0);
	CHECK(zpool_dump(-1, ZPOOL_DUMP_TEXT) == -EBADF);
	zpool_destroy_pool(pool);
	(void)close(fd);
}

/* Runs last, because it cannot be undone. */
static void disable_loading(const char *type)
{
	(void)zpool_unload_driver(type);
	CHECK(zpool_loading_disable() == 0);
	CHECK(!zpool_has_pool(type));
}

/* A path through a symbolic link takes the search more stack than a plain one. */
static bool make_link(const char *path, char *link, size_t link_bytes)
{
	if (snprintf(link, link_bytes, "%s/link", path) >= (int)link_bytes)
		return false;
	return symlink(path, link) == 0 || errno == EEXIST;
}

static void run_all(const char *path)
{
#define SPEC(type) type,
	static const char *const specs[] = { SHIPPED_DRIVERS(SPEC) "guard+zsmalloc", "fault+guard+zbud" };
	char text[PATH_MAX + 64];

	CHECK(make_link(path, text, sizeof(text)));
	CHECK(zpool_set_plugin_path(text) == 0);
	on_small_stack("list", list_drivers, NULL);
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		on_small_stack("search", search, specs[i]);
		on_small_stack("use", use_pool, specs[i]);
		on_small_stack("dump", dump, specs[i]);
		on_small_stack("unload", unload, specs[i]);
	}
	(void)snprintf(text, sizeof(text), "trace:file=%s/calls,overwrite=yes+zbud", path);
	on_small_stack("use", use_pool, text);
	on_small_stack("list", list_drivers, NULL);
	on_small_stack("set up", set_up, NULL);
	on_small_stack("disable", disable_loading, "zbud");
}

/*
 * Runs everything in a child with messages, because the library reads the variable only once, and then without
 * messages.
 */
int main(void)
{
	const char *path = getenv("ZPOOL_PLUGIN_PATH");
	char file[PATH_MAX];
	int status;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	puts("skipped: sanitizers need more stack");
	return SKIPPED;
#endif
	if (!path || snprintf(file, sizeof(file), "%s/zbud.so", path) >= (int)sizeof(file) || access(file, R_OK) != 0) {
		puts("skipped: built without plugins");
		return SKIPPED;
	}
	pid_t loud = fork();
	if (loud == 0) {
		(void)setenv("ZPOOL_DEBUG", "debug", 1);
		run_all(path);
		return failed;
	}
	if (loud < 0 || waitpid(loud, &status, 0) != loud || status != 0) {
		fprintf(stderr, "the run with messages failed\n");
		return EXIT_FAILURE;
	}
	run_all(path);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
