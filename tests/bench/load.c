/* SPDX-License-Identifier: MIT
 *
 * What a cold zpool_create_pool() costs: a plugin's first load, against a bare dlopen and dlsym of the same file plus
 * the driver's own create.  Each time in a process of its own, the two in turn, so that nothing is warm but the file.
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

static const struct zpool_host bare_host = { .struct_size = sizeof bare_host,
					     .log = bare_log,
					     .error = bare_error,
					     .thread_exit_add = bare_exit_add,
					     .thread_exit_cancel = bare_exit_cancel };

/* The defaults, as the core would hand them over. */
static struct zpool_value *default_values(const struct zpool_driver *driver)
{
	struct zpool_value *values = calloc(driver->param_count + 1, sizeof *values);
	for (uint32_t i = 0; values && i < driver->param_count; i++) {
		const char *text = driver->params[i].default_value;
		values[i].key = driver->params[i].key;
		values[i].text = text;
		values[i].number = text ? strtoull(text, NULL, 10) : 0;
	}
	return values;
}

static double time_bare(const char *path)
{
	double start = bench_now_ns();
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct zpool_driver *driver = module ? dlsym(module, "zpool_driver") : NULL;
	if (!driver)
		return -1;
	double opened = bench_now_ns();

	struct zpool_value *values = default_values(driver);
	const struct zpool_create_args args = { .struct_size = sizeof args,
						.value_size = sizeof *values,
						.host = &bare_host,
						.name = "bare",
						.node = -1,
						.values = values,
						.value_count = driver->param_count };
	struct zpool_created created = { .struct_size = sizeof created,
					 .max_object_bytes = driver->max_object_bytes,
					 .alignment_bytes = driver->alignment_bytes };
	double before = bench_now_ns();
	int err = driver->create(&args, &created);
	return err ? -1 : opened - start + bench_now_ns() - before;
}

static double time_library(const char *type)
{
	double start = bench_now_ns();
	struct zpool *pool = zpool_create_pool(type, ZPOOL_GFP_KERNEL, NULL);
	double end = bench_now_ns();
	if (!pool)
		fprintf(stderr, "%s\n", zpool_last_error());
	return pool ? end - start : -1;
}

/* Runs one of the two in a child; its time comes back through a pipe. */
static double in_child(double (*run)(const char *what), const char *what)
{
	int ends[2];
	double ns = -1;
	if (pipe(ends) != 0)
		return -1;
	pid_t child = fork();
	if (child == 0) {
		ns = run(what);
		_exit(write(ends[1], &ns, sizeof ns) == sizeof ns ? 0 : 1);
	}
	close(ends[1]);
	if (child < 0 || read(ends[0], &ns, sizeof ns) != sizeof ns)
		ns = -1;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
	return ns;
}

static int bench_type(const char *type)
{
	static double library[ROUNDS], bare[ROUNDS];
	char directory[PATH_MAX - 64], path[PATH_MAX];

	if (zpool_get_plugin_path(directory, sizeof directory) >= (int)sizeof directory)
		return 1;
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof path, "%s/%s.so", directory, type);
	for (int i = 0; i < ROUNDS; i++) {
		bare[i] = in_child(time_bare, path);
		library[i] = in_child(time_library, type);
		if (bare[i] < 0 || library[i] < 0) {
			fprintf(stderr, "load: %s cannot be loaded from %s\n", type, path);
			return 1;
		}
	}
	double l = bench_median(library, ROUNDS), b = bench_median(bare, ROUNDS);
	printf("%-6s zpool_create_pool %7.1f us, dlopen+dlsym+create %7.1f us: ratio %.2f\n", type, l / 1e3, b / 1e3,
	       l / b);
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;
	printf("load: medians of %d cold loads each, in turn, every one in a process of its own\n", ROUNDS);
	if (argc == 1)
		return bench_type("zbud") | bench_type("libc");
	for (int i = 1; i < argc; i++)
		status |= bench_type(argv[i]);
	return status;
}
