/* SPDX-License-Identifier: MIT
 *
 * pool.c - a pool whose objects are stored, checked, rewritten, evicted and freed
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "soak.h"

enum { OBJECT_BYTES_MEAN_LEAST = 128, PART_BYTES = 4096, VISITORS = 200, TRIES = 1000, COMPACT_BYTES = 1 << 20 };

struct object {
	unsigned long handle;
	size_t size;
	uint64_t key; /* which bytes the object has */
};

/* The objects are in parts, one for each worker, which changes from step to step. */
struct part {
	struct object *at;
	size_t count, room;
	uint64_t live_bytes;
	struct ct_rng rng;
	uint64_t next_key;
};

static struct {
	struct zpool *pool;
	const char *spec;
	size_t largest;
	bool may_refuse; /* a layer of the stack makes calls fail */
	struct part parts[WORKERS];
	/* From hashes of handles to objects, with open addressing; only filled while objects are evicted. */
	struct object **index;
	size_t index_size;
} room;

/* ---- objects ---- */

static bool object_store(struct zpool *pool, struct object *object, size_t size, uint64_t key)
{
	unsigned long handle = 0;
	int err = zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle);
	void *at;

	soak_check(err == 0 || (err == -ENOMEM && room.may_refuse), "malloc of %zu bytes returned %d: %s", size, err,
		   zpool_last_error());
	if (err)
		return false;
	*object = (struct object){ handle, size, key };
	at = zpool_map_handle(pool, handle, ZPOOL_MM_WO);
	soak_check(at, "handle %#lx of %zu bytes could not be mapped: %s", handle, size, zpool_last_error());
	ct_pattern_fill(at, size, key, 0);
	zpool_unmap_handle(pool, handle);
	return true;
}

static void check_bytes(const struct object *object, const void *at, size_t bytes, size_t from)
{
	size_t differs = ct_pattern_differs(at, bytes, object->key, from);

	soak_check(differs == bytes, "byte %zu of handle %#lx, %zu bytes, is %#x", from + differs, object->handle,
		   object->size, ((const unsigned char *)at)[differs]);
}

static void object_check(struct zpool *pool, const struct object *object)
{
	const void *at = zpool_map_handle(pool, object->handle, ZPOOL_MM_RO);

	soak_check(at, "handle %#lx of %zu bytes could not be mapped: %s", object->handle, object->size,
		   zpool_last_error());
	check_bytes(object, at, object->size, 0);
	zpool_unmap_handle(pool, object->handle);
}

static void object_check_by_reading(struct zpool *pool, const struct object *object)
{
	unsigned char bytes[PART_BYTES];

	for (size_t from = 0; from < object->size; from += PART_BYTES) {
		size_t length = object->size - from < PART_BYTES ? object->size - from : PART_BYTES;
		int64_t got = zpool_obj_read(pool, object->handle, bytes, length, from);

		soak_check(got == (int64_t)length, "reading %zu bytes of handle %#lx returned %lld: %s", length,
			   object->handle, (long long)got, zpool_last_error());
		check_bytes(object, bytes, length, from);
	}
}

static void object_rewrite(struct zpool *pool, struct object *object, uint64_t key)
{
	void *at = zpool_map_handle(pool, object->handle, ZPOOL_MM_RW);

	soak_check(at, "handle %#lx of %zu bytes could not be mapped: %s", object->handle, object->size,
		   zpool_last_error());
	object->key = key;
	ct_pattern_fill(at, object->size, key, 0);
	zpool_unmap_handle(pool, object->handle);
}

static void object_free(struct zpool *pool, const struct object *object)
{
	object_check(pool, object);
	zpool_free(pool, object->handle);
}

/* ---- parts ---- */

static void part_add(struct part *part, enum sizes sizes)
{
	size_t size = choose_size(sizes, &part->rng, room.largest);

	if (part->count == part->room || !object_store(room.pool, &part->at[part->count], size, part->next_key++))
		return;
	part->count++;
	part->live_bytes += size;
}

static void part_forget(struct part *part, size_t i)
{
	part->live_bytes -= part->at[i].size;
	part->at[i] = part->at[--part->count];
}

static void part_remove(struct part *part)
{
	size_t i = ct_rng_below(&part->rng, part->count);

	object_free(room.pool, &part->at[i]);
	part_forget(part, i);
}

/* Stores or frees objects until the part has so many bytes.  Sizes that shift also change the number of objects. */
static void part_level(struct part *part, enum sizes sizes, uint64_t live_bytes)
{
	unsigned int tries = 0;

	while (part->live_bytes < live_bytes && part->count < part->room && tries < TRIES) {
		size_t count = part->count;

		part_add(part, sizes);
		tries = part->count > count ? 0 : tries + 1;
	}
	while (part->live_bytes > live_bytes && part->count)
		part_remove(part);
}

static void part_operate(struct part *part, enum sizes sizes)
{
	struct object *object = &part->at[ct_rng_below(&part->rng, part->count)];
	uint64_t kind = ct_rng_below(&part->rng, 16);

	if (kind < 8) {
		part_remove(part);
		part_add(part, sizes);
	} else if (kind < 12) {
		object_check(room.pool, object);
	} else if (kind < 14) {
		object_check_by_reading(room.pool, object);
	} else {
		object_check(room.pool, object);
		object_rewrite(room.pool, object, part->next_key++);
	}
}

static void pool_work(const struct step *step, unsigned int worker)
{
	/* The objects that one thread stored are freed by another one. */
	struct part *part = &room.parts[(worker + step->number) % WORKERS];
	uint64_t live_bytes = (uint64_t)(step->share * (double)soak.live_bytes) / WORKERS;

	part_level(part, step->phase->sizes, live_bytes);
	for (uint64_t i = 0; i < step->operations && part->count; i++)
		part_operate(part, step->phase->sizes);
	part_level(part, step->phase->sizes, live_bytes);
}

static void pool_tend(const struct step *step)
{
	int err = 1;

	if (!step->phase->compacts)
		return;
	while (err == 1)
		err = zpool_compact(room.pool, COMPACT_BYTES, 0, NULL);
	soak_check(err == 0 || err == -EOPNOTSUPP, "compact returned %d: %s", err, zpool_last_error());
	err = zpool_trim(room.pool, NULL);
	soak_check(err == 0 || err == -EOPNOTSUPP, "trim returned %d: %s", err, zpool_last_error());
}

/* ---- eviction, while no worker runs ---- */

static struct object **index_slot(unsigned long handle)
{
	size_t i = (size_t)(handle * UINT64_C(0x9e3779b97f4a7c15) >> 20) % room.index_size;

	while (room.index[i] && room.index[i]->handle != handle)
		i = (i + 1) % room.index_size;
	return &room.index[i];
}

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct object *object = *index_slot(handle);

	(void)user;
	soak_check(object && object->size, "handle %#lx, which is not live, is to be evicted", handle);
	object_free(pool, object);
	object->size = 0;
	return 0;
}

static void evict_some(void)
{
	int err;

	memset(room.index, 0, room.index_size * sizeof(*room.index));
	for (unsigned int p = 0; p < WORKERS; p++)
		for (size_t i = 0; i < room.parts[p].count; i++)
			*index_slot(room.parts[p].at[i].handle) = &room.parts[p].at[i];
	for (unsigned int p = 0; p < WORKERS; p++)
		room.parts[p].live_bytes = 0;
	err = zpool_shrink(room.pool, 1 + (unsigned int)(soak.live_bytes / 4096 / 64), NULL);
	soak_check(err == 0 || err == -EAGAIN, "shrink returned %d: %s", err, zpool_last_error());
	for (unsigned int p = 0; p < WORKERS; p++) {
		struct part *part = &room.parts[p];

		for (size_t i = part->count; i-- > 0;)
			if (part->at[i].size)
				part->live_bytes += part->at[i].size;
			else
				part->at[i] = part->at[--part->count];
	}
}

/* ---- pools that come and go ---- */

/* Objects that are left are freed with their pool. */
static void visit(const char *spec)
{
	struct zpool *pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	struct part *part = &room.parts[0];
	struct object objects[VISITORS];

	soak_check(pool, "%s: %s", spec, zpool_last_error());
	for (unsigned int i = 0; i < VISITORS; i++)
		if (!object_store(pool, &objects[i], choose_size(SIZES_PAGES, &part->rng, room.largest), i))
			objects[i].size = 0;
	for (unsigned int i = 0; i < VISITORS; i++)
		if (objects[i].size && i % 2)
			object_free(pool, &objects[i]);
	zpool_destroy_pool(pool);
}

static void pool_rest(const struct step *step)
{
	const char *other = strstr(room.spec, "zblock") ? "zbud" : "zblock";

	if (step->phase->evicts && zpool_evictable(room.pool))
		evict_some();
	if (!step->phase->visits)
		return;
	visit(room.spec);
	if (step->number % 4 == 0) {
		zpool_destroy_pool(zpool_create_pool(other, ZPOOL_GFP_KERNEL, NULL));
		soak_check(zpool_unload_driver(other) == 0, "%s could not be unloaded: %s", other, zpool_last_error());
	}
}

/* ---- the room ---- */

static void *allocate(size_t bytes)
{
	void *at = malloc(bytes);

	soak_check(at, "there is no memory for %zu bytes", bytes);
	/* Pages of the test itself must not count as growth. */
	memset(at, 1, bytes);
	return at;
}

static void parts_init(void)
{
	size_t objects = (size_t)(soak.live_bytes / WORKERS / OBJECT_BYTES_MEAN_LEAST) + 16;

	room.index_size = 2 * WORKERS * objects;
	room.index = allocate(room.index_size * sizeof(*room.index));
	for (unsigned int i = 0; i < WORKERS; i++) {
		struct part *part = &room.parts[i];

		part->at = allocate(objects * sizeof(*part->at));
		part->room = objects;
		part->rng.state = ct_seed_for(soak.seed, room.spec) + i;
		part->next_key = (uint64_t)i << 56;
	}
}

static void pool_open(const char *spec)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	room.spec = spec;
	args.evict = evict;
	room.pool = zpool_open(spec, &args, sizeof(args));
	soak_check(room.pool, "%s", zpool_last_error());
	room.largest = zpool_max_object_size(room.pool);
	if (room.largest > OBJECT_BYTES_MAX)
		room.largest = OBJECT_BYTES_MAX;
	room.may_refuse = strstr(spec, "fault") != NULL;
	if (!room.index)
		parts_init();
}

static void pool_check(void)
{
	for (unsigned int p = 0; p < WORKERS; p++)
		for (size_t i = 0; i < room.parts[p].count; i++)
			object_check(room.pool, &room.parts[p].at[i]);
}

static void pool_close(void)
{
	for (unsigned int p = 0; p < WORKERS; p++)
		part_level(&room.parts[p], SIZES_PAGES, 0);
	zpool_destroy_pool(room.pool);
}

static void pool_count(uint64_t *objects, uint64_t *live_bytes)
{
	for (unsigned int p = 0; p < WORKERS; p++) {
		*objects += room.parts[p].count;
		*live_bytes += room.parts[p].live_bytes;
	}
}

const struct workload pool_workload = {
	.slowness = 1,
	.open = pool_open,
	.close = pool_close,
	.work = pool_work,
	.tend = pool_tend,
	.rest = pool_rest,
	.check = pool_check,
	.count = pool_count,
};
