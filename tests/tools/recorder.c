/* SPDX-License-Identifier: MIT
 *
 * recorder.c - a program that uses a pool in every way, to record traces:  recorder SPEC CALLS SEED [THREADS]
 *
 * It prints what it did, with one name and one number per line, so that a test can compare. Every thread has its own
 * objects, with sizes of compressed pages, and makes CALLS / THREADS calls. Calls whose result depends on the order of
 * threads, such as ZPOOL_GFP_NOWAIT, are made by one thread only.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#define OBJECTS_MAX 6000
#define THREADS_MAX 16

struct object {
	unsigned long handle;
	size_t size;
};

struct worker {
	pthread_t thread;
	uint64_t random, calls;
	struct object objects[OBJECTS_MAX];
	size_t count;
	uint64_t done, made, made_bytes, live_bytes, no_memory, again, too_large, busy, invalid;
};

static struct zpool *pool;
static struct worker workers[THREADS_MAX];
static unsigned int worker_count = 1;

static uint64_t next_random(struct worker *worker)
{
	worker->random ^= worker->random >> 12;
	worker->random ^= worker->random << 25;
	worker->random ^= worker->random >> 27;
	return worker->random * UINT64_C(2685821657736338717);
}

static void forget(struct worker *worker, size_t at)
{
	worker->live_bytes -= worker->objects[at].size;
	worker->objects[at] = worker->objects[--worker->count];
}

/* Refuses every fifth object. Only programs with one thread shrink the pool. */
static int evict(struct zpool *evicting, unsigned long handle, void *user)
{
	struct worker *worker = &workers[0];
	char byte;

	(void)user;
	for (size_t i = 0; i < worker->count; i++) {
		if (worker->objects[i].handle != handle)
			continue;
		if (worker->objects[i].size % 5 == 0)
			return -1;
		zpool_obj_read(evicting, handle, &byte, 1, 0);
		zpool_free(evicting, handle);
		worker->done += 2;
		forget(worker, i);
		return 0;
	}
	return -1;
}

static void make(struct worker *worker)
{
	uint64_t random = next_random(worker);
	struct object *object = &worker->objects[worker->count];
	zpool_gfp_t gfp = worker_count == 1 && random % 32 == 0 ? ZPOOL_GFP_NOWAIT
			  : random % 32 == 1                    ? ZPOOL_GFP_ZERO
								: 0;
	void *at;
	int err;

	object->size = 1 + (random >> 8) % (random >> 40 & 7 ? 2000 : 3900);
	err = zpool_malloc(pool, object->size, gfp, &object->handle);
	worker->done++;
	worker->no_memory += err == -ENOMEM;
	worker->again += err == -EAGAIN;
	worker->too_large += err == -ENOSPC;
	if (err)
		return;
	worker->count++;
	worker->made++;
	worker->made_bytes += object->size;
	worker->live_bytes += object->size;
	at = zpool_map_handle(pool, object->handle, ZPOOL_MM_WO);
	if (at) {
		memset(at, (int)random, object->size);
		zpool_unmap_handle(pool, object->handle);
		worker->done += 2;
	}
}

static void use(struct worker *worker, size_t at)
{
	const struct object object = worker->objects[at];
	char bytes[16] = "";
	uint64_t random = next_random(worker);
	bool wrong = random >> 20 & 1;

	switch (random % 64) {
	case 0:
		zpool_obj_write(pool, object.handle, bytes, object.size < 16 ? object.size : 16, 0);
		worker->done++;
		return;
	case 1:
		zpool_obj_read(pool, object.handle, bytes, 1, object.size - 1);
		worker->done++;
		return;
	default:
		if (!zpool_map_handle(pool, object.handle, random % 2 ? ZPOOL_MM_RO : ZPOOL_MM_RW))
			return;
		/* Some programs free mapped objects. */
		if (random % 64 == 2 && wrong) {
			zpool_free(pool, object.handle);
			worker->busy++;
			worker->done++;
		}
		zpool_unmap_handle(pool, object.handle);
		worker->done += 2;
	}
}

static void end(struct worker *worker, size_t at)
{
	unsigned long handle = worker->objects[at].handle;

	zpool_free(pool, handle);
	worker->done++;
	forget(worker, at);
	/* Some programs free an object twice. */
	if (next_random(worker) % 256 == 0) {
		zpool_free(pool, handle);
		worker->invalid++;
		worker->done++;
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	unsigned int reclaimed;
	uint64_t released;
	int err;

	while (worker->done < worker->calls) {
		uint64_t random = next_random(worker);
		bool growing = worker->done % 60000 < 40000;

		if (worker_count == 1 && random % 4000 == 0 && zpool_evictable(pool)) {
			err = zpool_shrink(pool, 1 + random / 4000 % 3, &reclaimed);
			worker->again += err == -EAGAIN;
			worker->invalid += err == -EINVAL;
		} else if (worker_count == 1 && random % 4000 == 1)
			zpool_compact(pool, 0, 0, &released);
		else if (random % 4000 == 2)
			zpool_trim(pool, &released);
		else if (worker->count < OBJECTS_MAX && (!worker->count || random % 8 < (growing ? 3u : 1u)))
			make(worker);
		else if (worker->count && random % 8 < 4)
			end(worker, (random >> 8) % worker->count);
		else if (worker->count)
			use(worker, (random >> 8) % worker->count);
	}
	return NULL;
}

static void print_all(void)
{
	struct worker sum = { .done = 0 };

	for (unsigned int i = 0; i < worker_count; i++) {
		sum.made += workers[i].made;
		sum.made_bytes += workers[i].made_bytes;
		sum.count += workers[i].count;
		sum.live_bytes += workers[i].live_bytes;
		sum.no_memory += workers[i].no_memory;
		sum.again += workers[i].again;
		sum.too_large += workers[i].too_large;
		sum.busy += workers[i].busy;
		sum.invalid += workers[i].invalid;
	}
	printf("objects %" PRIu64 "\nbytes %" PRIu64 "\nobjects_live %zu\nbytes_live %" PRIu64 "\n", sum.made,
	       sum.made_bytes, sum.count, sum.live_bytes);
	printf("no_memory %" PRIu64 "\nagain %" PRIu64 "\ntoo_large %" PRIu64 "\nbusy %" PRIu64 "\ninvalid %" PRIu64
	       "\n",
	       sum.no_memory, sum.again, sum.too_large, sum.busy, sum.invalid);
	printf("pool_bytes %" PRIu64 "\n", zpool_get_total_size(pool));
}

int main(int argc, char **argv)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	if (argc < 4)
		return 2;
	if (argc > 4)
		worker_count = (unsigned int)strtoul(argv[4], NULL, 10);
	if (worker_count < 1 || worker_count > THREADS_MAX)
		return 2;
	args.evict = evict;
	pool = zpool_open(argv[1], &args, sizeof(args));
	if (!pool) {
		fprintf(stderr, "%s\n", zpool_last_error());
		return 1;
	}
	for (unsigned int i = 0; i < worker_count; i++) {
		workers[i].random = strtoull(argv[3], NULL, 10) * 1000 + i + 1;
		workers[i].calls = strtoull(argv[2], NULL, 10) / worker_count;
		if (worker_count == 1)
			work(&workers[i]);
		else if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 1;
	}
	for (unsigned int i = 0; worker_count > 1 && i < worker_count; i++)
		pthread_join(workers[i].thread, NULL);
	print_all();
	zpool_destroy_pool(pool);
	return 0;
}
