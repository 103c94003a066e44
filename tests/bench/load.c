/* SPDX-License-Identifier: MIT
 *
 * Measures the cost of a cold zpool_create_pool(): the first load of a plugin, compared with dlopen() and dlsym() of
 * the same file plus the driver's own create. The two alternate. The first series makes each load in a new process,
 * where only the file is cached; the second makes all of them in one running host, where only the plugin is cold.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "zpool-driver.h"

enum { ROUNDS = 301 };

static void bare_log(void *core, enum zpool_log_level level, const char *format, ...)
{
	(void)core, (void)level, (void)format;
}

static void bare_error(void *core, const char *format, ...)
{
	(void)core, (void)format;
}

static int bare_exit_add(void *core, void (*fn)(void *arg), void *arg)
{
	(void)core, (void)fn, (void)arg;
	return 0;
}

static void bare_exit_cancel(void *core, void (*fn)(void *arg), void *arg)
{
	(void)core, (void)fn, (void)arg;
}

static const struct zpool_host bare_host = { .struct_size = sizeof(bare_host),
					     .log = bare_log,
					     .error = bare_error,
					     .thread_exit_add = bare_exit_add,
					     .thread_exit_cancel = bare_exit_cancel };

/* Makes the default values as the core would pass them. */
static struct zpool_value *default_values(const struct zpool_driver *driver)
{
	struct zpool_value *values = calloc(driver->param_count + 1, sizeof(*values));
	for (uint32_t i = 0; values && i < driver->param_count; i++) {
		const char *text = driver->params[i].default_value;
		values[i].key = driver->params[i].key;
		values[i].text = text;
		values[i].number = text ? strtoull(text, NULL, 10) : 0;
	}
	return values;
}

/* A driver and a pool that were opened without the library, by dlopen() and the driver's own callbacks. */
struct direct_load {
	void *module;
	const struct zpool_driver *driver;
	struct zpool_created created;
};

static double load_directly(const char *path, struct direct_load *direct)
{
	double start = bench_now_ns();
	direct->module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	direct->driver = direct->module ? dlsym(direct->module, "zpool_driver") : NULL;
	if (!direct->driver)
		return -1;
	double opened = bench_now_ns();

	struct zpool_value *values = default_values(direct->driver);
	const struct zpool_create_args args = { .struct_size = sizeof(args),
						.value_size = sizeof(*values),
						.host = &bare_host,
						.name = "direct",
						.node = -1,
						.values = values,
						.value_count = direct->driver->param_count };
	direct->created = (struct zpool_created){ .struct_size = sizeof(direct->created),
						  .max_object_bytes = direct->driver->max_object_bytes,
						  .alignment_bytes = direct->driver->alignment_bytes };
	double before = bench_now_ns();
	int err = direct->driver->create(&args, &direct->created);
	double after = bench_now_ns();
	free(values);
	return err ? -1 : opened - start + after - before;
}

static double time_direct(const char *path)
{
	struct direct_load direct;
	return load_directly(path, &direct);
}

static double time_direct_and_undo(const char *path)
{
	struct direct_load direct;
	double ns = load_directly(path, &direct);
	if (ns >= 0) {
		direct.driver->destroy(direct.created.pool);
		dlclose(direct.module);
	}
	return ns;
}

static double load_library(const char *type, struct zpool **pool)
{
	double start = bench_now_ns();
	*pool = zpool_create_pool(type, ZPOOL_GFP_KERNEL, NULL);
	double end = bench_now_ns();
	if (!*pool)
		fprintf(stderr, "%s\n", zpool_last_error());
	return *pool ? end - start : -1;
}

static double time_library(const char *type)
{
	struct zpool *pool;
	return load_library(type, &pool);
}

static double time_library_and_undo(const char *type)
{
	struct zpool *pool;
	double ns = load_library(type, &pool);
	zpool_destroy_pool(pool);
	return ns >= 0 && zpool_unload_driver(type) == 0 ? ns : -1;
}

/* Runs one of the two loads in a child, which sends its time through a pipe. */
static double in_child(double (*run)(const char *what), const char *what)
{
	int ends[2];
	double ns = -1;
	if (pipe(ends) != 0)
		return -1;
	pid_t child = fork();
	if (child == 0) {
		ns = run(what);
		_exit(write(ends[1], &ns, sizeof(ns)) == sizeof(ns) ? 0 : 1);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], &ns, sizeof(ns)) != sizeof(ns))
		ns = -1;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return ns;
}

static int report(const char *type, const char *where, double *library, double *direct)
{
	for (int i = 0; i < ROUNDS; i++)
		if (direct[i] < 0 || library[i] < 0)
			return 1;
	double l = bench_median(library, ROUNDS), b = bench_median(direct, ROUNDS);
	printf("%-8s %-18s zpool_create_pool %7.1f us, dlopen+dlsym+create %7.1f us: ratio %.2f\n", type, where,
	       l / 1e3, b / 1e3, l / b);
	return 0;
}

static int bench_type(const char *type)
{
	static double library[ROUNDS], direct[ROUNDS];
	char directory[PATH_MAX - 64], path[PATH_MAX];

	if (zpool_get_plugin_path(directory, sizeof(directory)) >= (int)sizeof(directory))
		return 1;
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof(path), "%s/%s.so", directory, type);
	for (int i = 0; i < ROUNDS; i++) {
		direct[i] = in_child(time_direct, path);
		library[i] = in_child(time_library, type);
	}
	int status = report(type, "in a new process", library, direct);
	for (int i = 0; i < ROUNDS; i++) {
		direct[i] = time_direct_and_undo(path);
		library[i] = time_library_and_undo(type);
	}
	status |= report(type, "in a running host", library, direct);
	if (status)
		fprintf(stderr, "load: %s cannot be loaded from %s\n", type, path);
	return status;
}

int main(int argc, char **argv)
{
	int status = 0;
	printf("load: medians of %d cold loads each, alternating\n", ROUNDS);
	if (argc == 1)
		return bench_type("zbud") | bench_type("libc");
	for (int i = 1; i < argc; i++)
		status |= bench_type(argv[i]);
	return status;
}
