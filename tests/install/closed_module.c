/* SPDX-License-Identifier: MIT
 *
 * A module with the static library in it (compiled with MODULE defined), and the program that opens it, uses it, and
 * closes it, in threads that end afterwards: closed_module MODULE SPEC
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

/* The number of objects stored in this round, and an error message left behind for the thread's end; -1: failed. */
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
		/* The handlers of fork are code of the module's too. */
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}
#endif
