/* SPDX-License-Identifier: MIT
 *
 * loader.c - drivers are looked for, loaded, described and unloaded while calls of the C library fail
 *
 * Every run ends with all plugins unloaded, so that the next one loads them again.
 */
#include "config.h"

#include <errno.h>
#include <ltdl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zpool-driver.h>
#include <zpool.h>

#include "plugins/shipped.h"
#include "tests/starvation/runner.h"

#define TYPE(type) type,
static const char *const types[] = { SHIPPED_DRIVERS(TYPE) SHIPPED_FILTERS(TYPE) };
enum { TYPES = sizeof(types) / sizeof(types[0]) };

/* What a load may fail with: what a failed call reports, as it is. The filter trace also writes to its file. */
#define LOAD_ERRORS ENOMEM, EMFILE, EIO, EAGAIN, ENOSPC
static const int load_errors[] = { LOAD_ERRORS, 0 };

static char own_path[4096];

/* A directory with a file that is no plugin; files of drivers in directories before it come first. */
static char junk_directory[64];

/* ---- the calls ---- */

static int count_driver(const struct zpool_driver_info *info, void *user)
{
	unsigned int *count = user;

	++*count;
	if (!info->file_read && !info->loaded && !info->fault)
		fault("zpool_each_driver did not read %s, and does not say why", info->type);
	return 0;
}

static void list_drivers(void)
{
	unsigned int count = 0;
	int err;

	expect_message();
	err = zpool_each_driver(count_driver, &count);
	if (succeeds("zpool_each_driver", err, LOAD_ERRORS) && count != TYPES + 1)
		fault("zpool_each_driver visited %u drivers of %d", count, TYPES + 1);
}

static int count_param(const struct zpool_param *param, size_t size, void *user)
{
	unsigned int *count = user;

	(void)param, (void)size;
	++*count;
	return 0;
}

static void open_and_close(const char *spec)
{
	struct zpool *pool;
	unsigned long handle;

	expect_message();
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	if (!judge_call(spec, pool ? 0 : -errno, load_errors))
		return;
	expect_message();
	if (succeeds("zpool_malloc", zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle), ENOMEM))
		zpool_free(pool, handle);
	zpool_destroy_pool(pool);
}

static void search_in_vain(void)
{
	expect_message();
	if (zpool_has_pool("nowhere"))
		fault("there is a driver \"nowhere\"");
	expect_message();
	expect_refusal("zpool_create_pool of no driver",
		       zpool_create_pool("nowhere", ZPOOL_GFP_KERNEL, NULL) ? 0 : -errno, ENOENT, LOAD_ERRORS);
	expect_message();
	expect_refusal("zpool_create_pool of a bad spec",
		       zpool_create_pool("zbud:nothing=1", ZPOOL_GFP_KERNEL, NULL) ? 0 : -errno, EINVAL, LOAD_ERRORS);
}

/* A driver that is not loaded, because its load failed, is no fault here. */
static void unload_all(bool all_loaded)
{
	for (unsigned int i = 0; i < TYPES; i++) {
		int err;

		expect_message();
		err = zpool_unload_driver(types[i]);
		if (err == -ENOENT && !all_loaded)
			continue;
		if (err)
			fault("zpool_unload_driver of %s returned %d: %s", types[i], err, zpool_last_error());
	}
}

/* ---- a driver of the program ---- */

static int no_pool(const struct zpool_create_args *args, struct zpool_created *created)
{
	(void)args, (void)created;
	return -EPERM;
}

static void no_destroy(void *pool)
{
	(void)pool;
}

static int no_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	(void)pool, (void)size, (void)gfp, (void)handle;
	return -ENOMEM;
}

static int no_free(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return -EINVAL;
}

static uint64_t no_size(void *pool)
{
	(void)pool;
	return 0;
}

static void *no_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)pool, (void)handle, (void)mode;
	return NULL;
}

#define PROGRAM_DRIVER(type_, create_)                                                                                 \
	{                                                                                                              \
		.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .struct_size = sizeof(struct zpool_driver), \
		.param_size = sizeof(struct zpool_param), .type = (type_), .max_object_bytes = 100,                    \
		.alignment_bytes = 8, .create = (create_), .destroy = no_destroy, .malloc = no_malloc,                 \
		.free = no_free, .total_size = no_size, .map = no_map, .unmap = no_free,                               \
	}

static const struct zpool_driver own_driver = PROGRAM_DRIVER("own", no_pool);

/* Another driver is linked into the program. This is the table that libtool makes of it. */
static int linked_create(const struct zpool_create_args *args, struct zpool_created *created)
{
	static char no_state;

	(void)args;
	created->pool = &no_state;
	return 0;
}

static const struct zpool_driver linked_driver = PROGRAM_DRIVER("linked", linked_create);

ZPOOL_PUBLIC const lt_dlsymlist lt__PROGRAM__LTX_preloaded_symbols[] = {
	{ "@PROGRAM@", NULL },
	{ "linked.a", NULL },
	{ "linked_LTX_zpool_driver", (void *)(uintptr_t)&linked_driver },
	{ NULL, NULL },
};

static void register_own(void)
{
	expect_message();
	if (!succeeds("zpool_register_driver", zpool_register_driver(&own_driver), ENOMEM))
		return;
	expect_message();
	expect_refusal("zpool_register_driver of a type that is there", zpool_register_driver(&own_driver), EEXIST,
		       ENOMEM);
	expect_message();
	expect_refusal("a pool of a driver that refuses", zpool_create_pool("own", ZPOOL_GFP_KERNEL, NULL) ? 0 : -errno,
		       EPERM, ENOMEM);
	expect_message();
	expect_refusal("zpool_evict", zpool_evict(&own_path, 1), ENOENT, ENOMEM);
	expect_message();
	(void)succeeds("zpool_unregister_driver", zpool_unregister_driver(&own_driver), 0);
}

/* ---- the scenarios ---- */

static void log_nothing(enum zpool_log_level level, const char *message, void *user)
{
	(void)level, (void)user;
	if (!*message)
		fault("an empty message was logged");
}

static void remove_junk(void)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/zbud.so", junk_directory);
	(void)unlink(path);
	(void)rmdir(junk_directory);
}

static void make_junk(void)
{
	char path[128];
	FILE *file;

	(void)umask(022);
	(void)snprintf(junk_directory, sizeof(junk_directory), "/tmp/zpool-starvation-XXXXXX");
	if (!mkdtemp(junk_directory)) {
		fault("a directory cannot be created: %s", strerror(errno));
		return;
	}
	(void)atexit(remove_junk);
	(void)snprintf(path, sizeof(path), "%s/zbud.so", junk_directory);
	file = fopen(path, "we");
	if (file) {
		(void)fputs("junk", file);
		(void)fclose(file);
	}
}

static void before(const struct scenario *scenario)
{
	const char *path = getenv("ZPOOL_PLUGIN_PATH");

	if (!junk_directory[0])
		make_junk();
	(void)scenario;
	(void)snprintf(own_path, sizeof(own_path), "%s", path ? path : "");
	require("zpool_set_log_handler", zpool_set_log_handler(log_nothing, ZPOOL_LOG_DEBUG, NULL));
	require("zpool_set_plugin_path", zpool_set_plugin_path(NULL));
}

static void load_one(const struct scenario *scenario)
{
	const char *filter_end = strrchr(scenario->spec, '+');
	unsigned int count = 0;
	int result;

	open_and_close(scenario->spec);
	expect_message();
	result = zpool_each_param(filter_end ? filter_end + 1 : scenario->spec, count_param, &count);
	if (succeeds("zpool_each_param", result, LOAD_ERRORS) && count == 0)
		fault("zpool_each_param visited nothing");
	unload_all(false);
	open_and_close(scenario->spec);
}

static void load_from_the_first(const struct scenario *scenario)
{
	char path[4200];

	expect_message();
	(void)snprintf(path, sizeof(path), "%s:%s", own_path, junk_directory);
	if (succeeds("zpool_set_plugin_path", zpool_set_plugin_path(path), ENOMEM))
		open_and_close(scenario->spec);
	unload_all(false);
}

static void use_linked(const struct scenario *scenario)
{
	struct zpool *pool;

	expect_message();
	pool = zpool_create_pool(scenario->spec, ZPOOL_GFP_KERNEL, NULL);
	if (succeeds("zpool_create_pool", pool ? 0 : -errno, ENOMEM))
		zpool_destroy_pool(pool);
	list_drivers();
}

static void search(const struct scenario *scenario)
{
	char path[4096];
	int length;

	(void)scenario;
	list_drivers();
	search_in_vain();
	expect_message();
	(void)succeeds("zpool_set_plugin_path", zpool_set_plugin_path(own_path), ENOMEM);
	expect_message();
	length = zpool_get_plugin_path(path, sizeof(path));
	if (succeeds("zpool_get_plugin_path", length, ENOMEM) && strcmp(path, own_path) != 0)
		fault("zpool_get_plugin_path wrote \"%s\"", path);
	expect_message();
	(void)succeeds("zpool_rescan", zpool_rescan(), 0);
	register_own();
	open_and_close("zbud");
	list_drivers();
	unload_all(false);
}

/* Nothing that failed may be remembered. */
static void after(const struct scenario *scenario)
{
	unsigned int count = 0;

	(void)scenario;
	list_drivers();
	for (unsigned int i = 0; i < TYPES; i++)
		if (zpool_each_param(types[i], count_param, &count) != 0)
			fault("%s cannot be loaded afterwards: %s", types[i], zpool_last_error());
	list_drivers();
	open_and_close("guard+zsmalloc");
	unload_all(true);
	require("zpool_set_plugin_path", zpool_set_plugin_path(NULL));
}

static void after_one(const struct scenario *scenario)
{
	if (!zpool_has_pool(scenario->spec))
		fault("%s cannot be loaded afterwards: %s", scenario->spec, zpool_last_error());
	if (scenario->body != use_linked)
		open_and_close(scenario->spec);
	unload_all(false);
	require("zpool_set_plugin_path", zpool_set_plugin_path(NULL));
}

#define LOAD(spec) { "load " spec, spec, before, load_one, after_one, true },

static const struct scenario scenarios[] = {
	/* clang-format off */
	{ "search", NULL, before, search, after, true },
	{ "two directories", "zbud", before, load_from_the_first, after_one, true },
	{ "linked", "linked", before, use_linked, after_one, true },
	LOAD("zbud")
	LOAD("guard+libc")
	LOAD("trace:file=/dev/null+zsmalloc")
	/* clang-format on */
};

int main(int argc, char **argv)
{
	return starvation_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
