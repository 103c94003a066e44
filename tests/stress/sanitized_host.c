/* SPDX-License-Identifier: MIT
 *
 * sanitized_host SPEC [race]: a host that is compiled with the thread sanitizer and uses a library that is not
 *
 * Threads store, write, read, move, evict and free objects of one pool, each thread its own, while another thread
 * walks, compacts and trims the pool. The sanitizer must report no race. With `race`, threads only evict, and increment
 * a variable without a lock in their evict callbacks, which the sanitizer must report.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

enum { THREADS = 3, SLOTS = 48, STEPS = 1500, SWEEPS = 20 };

static struct zpool *pool;
static bool racing;
static unsigned long raced;

/* An object is taken either by the evict callback or by its own thread, whichever comes first. */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long slots[THREADS][SLOTS];

static bool take(unsigned long *slot, unsigned long handle)
{
	pthread_mutex_lock(&slots_lock);
	bool ours = handle && *slot == handle;
	if (ours)
		*slot = 0;
	pthread_mutex_unlock(&slots_lock);
	return ours;
}

static int evict(struct zpool *of, unsigned long handle, void *user)
{
	(void)user;
	if (racing)
		raced++;
	for (int i = 0; i < THREADS; i++) {
		for (int k = 0; k < SLOTS; k++) {
			if (!take(&slots[i][k], handle))
				continue;
			zpool_free(of, handle);
			return 0;
		}
	}
	return -1;
}

static void put(unsigned long *slot, unsigned long handle)
{
	pthread_mutex_lock(&slots_lock);
	*slot = handle;
	pthread_mutex_unlock(&slots_lock);
}

static void store(unsigned long *slot, uint32_t random)
{
	size_t bytes = 32 + random % 2000;
	unsigned long handle = 0;
	char byte = (char)random;

	if (zpool_malloc(pool, bytes, ZPOOL_GFP_KERNEL, &handle))
		return;
	char *at = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	if (at) {
		memset(at, byte, bytes);
		at[0]++;
		zpool_unmap_handle(pool, handle);
	}
	(void)zpool_obj_write(pool, handle, &byte, 1, bytes - 1);
	put(slot, handle);
}

static void drop(unsigned long *slot, unsigned long handle)
{
	char byte;

	if (!take(slot, handle))
		return;
	volatile char *at = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	if (at) {
		at[1]++;
		zpool_unmap_handle(pool, handle);
	}
	(void)zpool_obj_read(pool, handle, &byte, 1, 0);
	zpool_free(pool, handle);
}

static void *use(void *number)
{
	unsigned long *own = slots[(intptr_t)number];
	uint64_t seed = (uint64_t)(intptr_t)number + 1;

	for (int i = 0; i < STEPS; i++) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		uint32_t random = (uint32_t)(seed >> 33);
		pthread_mutex_lock(&slots_lock);
		unsigned long handle = own[random % SLOTS];
		pthread_mutex_unlock(&slots_lock);
		if (handle)
			drop(&own[random % SLOTS], handle);
		else
			store(&own[random % SLOTS], random);
		if (random % 64 == 0)
			(void)zpool_shrink(pool, 1, NULL);
	}
	return NULL;
}

static int see(struct zpool *of, unsigned long handle, size_t size, void *user)
{
	(void)of, (void)handle;
	*(size_t *)user += size;
	return 0;
}

static void *sweep(void *unused)
{
	size_t bytes = 0;
	struct zpool_stats stats;

	for (int i = 0; i < SWEEPS; i++) {
		(void)zpool_each_object(pool, see, &bytes);
		(void)zpool_compact(pool, 0, 0, NULL);
		(void)zpool_trim(pool, NULL);
		(void)zpool_get_stats(pool, &stats, sizeof(stats));
		zpool_destroy_pool(zpool_create_pool("zbud", ZPOOL_GFP_KERNEL, NULL));
	}
	return unused;
}

static void *shrink(void *unused)
{
	(void)zpool_shrink(pool, 1, NULL);
	return unused;
}

int main(int argc, char **argv)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	pthread_t threads[THREADS + 1];

	racing = argc > 2 && strcmp(argv[2], "race") == 0;
	args.evict = evict;
	pool = zpool_open(argc > 1 ? argv[1] : "zbud", &args, sizeof(args));
	if (!pool) {
		fprintf(stderr, "%s\n", zpool_last_error());
		return 1;
	}
	for (int k = 0; racing && k < SLOTS; k++)
		store(&slots[0][k], 1000);
	for (intptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, racing ? shrink : use, (void *)i);
	pthread_create(&threads[THREADS], NULL, racing ? shrink : sweep, NULL);
	for (int i = 0; i <= THREADS; i++)
		pthread_join(threads[i], NULL);
	zpool_destroy_pool(pool);
	puts("done");
	return 0;
}
