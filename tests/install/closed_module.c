/* SPDX-License-Identifier: MIT
 *
 * closed_module MODULE SPEC: opens a module that contains the static library, uses it in threads, and closes it before
 * these threads end. If MODULE is defined, this file is compiled as the module.
 */
#include <stdint.h>

#ifdef MODULE
#include <zpool.h>

__attribute__((visibility("default"))) int use(const char *spec);

static int quiet(struct zpool *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return -1;
}

/*
 * Returns the number of objects stored in this round, or -1 after a failure. It leaves an error message in the thread,
 * so that something must be freed when the thread ends.
 */
int use(const char *spec)
{
	const struct zpool_ops ops = { quiet };
	struct zpool *pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, &ops);
	unsigned long handle = 0;
	int stored = 0;

	for (int i = 0; pool && i < 1000; i++)
		stored += zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle) == 0;
	zpool_free(pool, 12345);
	zpool_destroy_pool(pool);
	return pool ? stored : -1;
}

#else
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 10 };

static const char *module, *spec;

static void *round_of_use(void *unused)
{
	int (*use)(const char *) = NULL;
	void *dl = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	void *symbol = dl ? dlsym(dl, "use") : NULL;

	(void)unused;
	if (!symbol) {
		fprintf(stderr, "%s\n", dlerror());
		return NULL;
	}
	*(void **)&use = symbol;
	int stored = use(spec);
	dlclose(dl);
	if (stored != 1000) {
		fprintf(stderr, "%s: %d objects of 1000 were stored\n", spec, stored);
		return NULL;
	}
	return &module;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	module = argv[1];
	spec = argv[2];
	for (int i = 0; i < ROUNDS; i++) {
		pthread_t thread;
		void *result = NULL;
		int status = 1;

		if (pthread_create(&thread, NULL, round_of_use, NULL) || pthread_join(thread, &result) || !result)
			return 1;
		/* The fork handlers are code of the module, too. */
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}
#endif
