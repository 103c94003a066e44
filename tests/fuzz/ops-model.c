/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "ops-model.h"

#include <errno.h>

static void check_error_text(void)
{
	const char *text = zpool_last_error();
	size_t length = strlen(text);

	fuzz_check(length > 0 && text[length - 1] == '.', "\"%s\" is not a sentence", text);
}

unsigned int ops_find(const struct ops_set *set, unsigned long handle)
{
	for (unsigned int i = 0; i < set->count; i++)
		if (set->at[i].handle == handle)
			return i;
	return OPS_OBJECTS;
}

bool ops_is_live(const struct ops_world *world, unsigned long handle)
{
	for (unsigned int s = 0; s < OPS_SETS; s++)
		if (ops_find(&world->sets[s], handle) != OPS_OBJECTS)
			return true;
	return false;
}

bool ops_choose(struct ops_run *run, unsigned int *at)
{
	uint8_t choice = fuzz_byte(run->input);

	if (!run->set->count)
		return false;
	*at = choice % run->set->count;
	return true;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Contents
 */

static void compare_bytes(const struct ops_object *object, const void *found, size_t offset, size_t length)
{
	const unsigned char *got = found, *expected = object->bytes + offset;

	if (!memcmp(got, expected, length))
		return;
	for (size_t i = 0; i < length; i++)
		fuzz_check(got[i] == expected[i], "byte %zu of the %zu of handle %#lx is %#x instead of %#x",
			   offset + i, object->size, object->handle, got[i], expected[i]);
}

void ops_read(struct ops_world *world, struct ops_set *set, unsigned int at, size_t offset, size_t length)
{
	struct ops_object *object = &set->at[at];
	unsigned char *buf = malloc(length);
	int64_t done;

	fuzz_assert(buf);
	done = zpool_obj_read(world->pool, object->handle, buf, length, offset);
	if (done == (int64_t)length)
		compare_bytes(object, buf, offset, length);
	else
		fuzz_check((done == -ENOMEM && world->stack.fails) || (done == -EBUSY && object->maps == OPS_MAPS_MAX),
			   "%zu bytes at %zu: %lld: %s", length, offset, (long long)done, zpool_last_error());
	free(buf);
}

void ops_write(struct ops_world *world, struct ops_set *set, unsigned int at, size_t offset, size_t length,
	       uint32_t seed)
{
	struct ops_object *object = &set->at[at];
	unsigned char *buf = malloc(length);
	int64_t done;

	fuzz_assert(buf);
	fuzz_fill(buf, length, seed);
	done = zpool_obj_write(world->pool, object->handle, buf, length, offset);
	if (done == (int64_t)length)
		memcpy(object->bytes + offset, buf, length);
	else
		fuzz_check((done == -ENOMEM && world->stack.fails) || (done == -EBUSY && object->maps == OPS_MAPS_MAX),
			   "%zu bytes at %zu: %lld: %s", length, offset, (long long)done, zpool_last_error());
	free(buf);
}

void ops_compare(struct ops_world *world, struct ops_set *set, unsigned int at, bool by_reading)
{
	struct ops_object *object = &set->at[at];
	char *address;

	if (by_reading) {
		ops_read(world, set, at, 0, object->size);
		return;
	}
	if (object->maps)
		compare_bytes(object, object->address, 0, object->size);
	address = zpool_map_handle(world->pool, object->handle, ZPOOL_MM_RO);
	if (!address) {
		fuzz_check((errno == ENOMEM && world->stack.fails) || (errno == EBUSY && object->maps == OPS_MAPS_MAX),
			   "handle %#lx with %u maps: %s", object->handle, object->maps, zpool_last_error());
		return;
	}
	fuzz_assert((uintptr_t)address % zpool_alignment(world->pool) == 0);
	fuzz_assert(!object->maps || address == object->address);
	compare_bytes(object, address, 0, object->size);
	zpool_unmap_handle(world->pool, object->handle);
}

void ops_compare_all(struct ops_world *world)
{
	for (unsigned int s = 0; s < OPS_SETS; s++)
		for (unsigned int i = 0; i < world->sets[s].count; i++)
			ops_compare(world, &world->sets[s], i, i & 1);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Malloc and free
 */

static void check_refusal(struct ops_run *run, size_t size, zpool_gfp_t gfp, int err)
{
	struct ops_world *world = run->world;

	check_error_text();
	if (!size || (gfp & ~ZPOOL_GFP_ALL)) {
		fuzz_assert(err == -EINVAL);
	} else if (size > world->largest) {
		fuzz_assert(err == -ENOSPC);
	} else if (err == -EAGAIN) {
		/* The trace filter returns this error if it would have to write its buffer. */
		fuzz_assert(gfp & ZPOOL_GFP_NOWAIT);
	} else {
		fuzz_check(err == -ENOMEM, "%d: %s", err, zpool_last_error());
		fuzz_check(world->stack.fails || world->source.failed || world->limit || (gfp & ZPOOL_GFP_NOWAIT),
			   "malloc of %zu bytes failed without a reason: %s", size, zpool_last_error());
	}
}

static void check_zero(struct ops_world *world, struct ops_set *set, unsigned int at)
{
	memset(set->at[at].bytes, 0, set->at[at].size);
	ops_compare(world, set, at, false);
}

void ops_malloc(struct ops_run *run, size_t size, zpool_gfp_t gfp, uint32_t seed)
{
	struct ops_world *world = run->world;
	struct ops_set *set = run->set;
	struct ops_object object = { .handle = 0, .size = size };
	char *address;
	int err;

	if (set->count == OPS_OBJECTS || (size <= world->largest && world->bytes + size > OPS_BYTES_MAX))
		return;
	err = zpool_malloc(world->pool, size, gfp, &object.handle);
	fuzz_say("malloc of %zu bytes, flags %#x: %#lx, %d", size, gfp, object.handle, err);
	if (err) {
		fuzz_assert(object.handle == 0);
		check_refusal(run, size, gfp, err);
		return;
	}
	fuzz_assert(object.handle && size && size <= world->largest && !(gfp & ~ZPOOL_GFP_ALL));
	fuzz_check(world->threads || !ops_is_live(world, object.handle), "handle %#lx is in use twice", object.handle);
	object.bytes = malloc(size);
	fuzz_assert(object.bytes);
	set->at[set->count] = object;
	if (gfp & ZPOOL_GFP_ZERO)
		check_zero(world, set, set->count);
	address = zpool_map_handle(world->pool, object.handle, ZPOOL_MM_WO);
	fuzz_assert(address || (errno == ENOMEM && world->stack.fails));
	if (!address) {
		/* The object's contents are undefined, so it is of no use. */
		free(object.bytes);
		zpool_free(world->pool, object.handle);
		return;
	}
	set->count++;
	world->bytes += size;
	fuzz_fill(object.bytes, size, seed);
	memcpy(address, object.bytes, size);
	zpool_unmap_handle(world->pool, object.handle);
}

static void forget(struct ops_world *world, struct ops_set *set, unsigned int at)
{
	world->bytes -= set->at[at].size;
	set->stale[set->stale_count++ % OPS_STALE] = set->at[at].handle;
	free(set->at[at].bytes);
	set->at[at] = set->at[--set->count];
}

void ops_free(struct ops_world *world, struct ops_set *set, unsigned int at)
{
	unsigned long handle = set->at[at].handle;
	bool is_mapped = set->at[at].maps > 0;

	zpool_free(world->pool, handle);
	if (is_mapped)
		fuzz_check(zpool_obj_size(world->pool, handle) > 0, "handle %#lx was freed while mapped", handle);
	else
		fuzz_check(zpool_obj_size(world->pool, handle) < 0, "handle %#lx is live after its free: %s", handle,
			   zpool_last_error());
	if (!is_mapped)
		forget(world, set, at);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Maps
 */

void ops_map(struct ops_world *world, struct ops_set *set, unsigned int at, enum zpool_mapmode mode, uint32_t seed)
{
	struct ops_object *object = &set->at[at];
	char *address = zpool_map_handle(world->pool, object->handle, mode);

	if (!address) {
		fuzz_check((errno == ENOMEM && world->stack.fails) || (errno == EBUSY && object->maps == OPS_MAPS_MAX),
			   "handle %#lx with %u maps: %s", object->handle, object->maps, zpool_last_error());
		return;
	}
	fuzz_assert(object->maps < OPS_MAPS_MAX && (!object->maps || address == object->address));
	object->maps++;
	object->address = address;
	object->writable = object->writable || mode != ZPOOL_MM_RO;
	if (mode != ZPOOL_MM_WO)
		compare_bytes(object, address, 0, object->size);
	if (mode != ZPOOL_MM_RO) {
		fuzz_fill(object->bytes, object->size, seed);
		memcpy(address, object->bytes, object->size);
	}
}

void ops_unmap(struct ops_world *world, struct ops_set *set, unsigned int at)
{
	struct ops_object *object = &set->at[at];

	if (object->maps)
		compare_bytes(object, object->address, 0, object->size);
	zpool_unmap_handle(world->pool, object->handle);
	if (object->maps && --object->maps == 0)
		object->writable = false;
}

void ops_try_dead(struct ops_world *world, unsigned long handle)
{
	char byte = 0;

	zpool_free(world->pool, handle);
	zpool_unmap_handle(world->pool, handle);
	errno = 0;
	fuzz_check(!zpool_map_handle(world->pool, handle, ZPOOL_MM_RW), "dead handle %#lx was mapped", handle);
	fuzz_assert(errno == EINVAL || (errno == ENOMEM && world->stack.fails));
	check_error_text();
	fuzz_check(zpool_obj_size(world->pool, handle) == -EINVAL, "dead handle %#lx has a size", handle);
	fuzz_check(zpool_obj_read(world->pool, handle, &byte, 1, 0) < 0, "dead handle %#lx was read", handle);
	fuzz_check(zpool_obj_write(world->pool, handle, &byte, 1, 0) < 0, "dead handle %#lx was written", handle);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool as a whole
 */

struct walk {
	struct ops_world *world;
	uint64_t objects, bytes;
};

static int visit(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct walk *walk = user;

	fuzz_check(ops_is_live(walk->world, handle), "the walk visits handle %#lx, which is not live", handle);
	fuzz_assert(zpool_obj_size(pool, handle) == (int64_t)size);
	walk->objects++;
	walk->bytes += size;
	return 0;
}

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct walk *walk = user;

	fuzz_assert(stats_size >= sizeof(*stats));
	fuzz_assert(stats->objects <= stats->slots);
	walk->objects += stats->objects;
	return 0;
}

static uint64_t mapped_handles(const struct ops_world *world)
{
	uint64_t mapped = 0;

	for (unsigned int s = 0; s < OPS_SETS; s++)
		for (unsigned int i = 0; i < world->sets[s].count; i++)
			mapped += world->sets[s].at[i].maps > 0;
	return mapped;
}

void ops_compare_pool(struct ops_world *world)
{
	struct walk walk = { world, 0, 0 };
	uint64_t objects = 0;
	struct zpool_stats stats;
	int err;

	for (unsigned int s = 0; s < OPS_SETS; s++)
		objects += world->sets[s].count;
	fuzz_assert(zpool_each_object(world->pool, visit, &walk) == 0);
	fuzz_check(walk.objects == objects, "the walk visited %llu of %llu objects", (unsigned long long)walk.objects,
		   (unsigned long long)objects);
	fuzz_assert(zpool_get_stats(world->pool, &stats, sizeof(stats)) == 0);
	fuzz_check(stats.objects == objects, "%llu instead of %llu", (unsigned long long)stats.objects,
		   (unsigned long long)objects);
	fuzz_check(stats.stored_bytes == walk.bytes, "%llu instead of %llu", (unsigned long long)stats.stored_bytes,
		   (unsigned long long)walk.bytes);
	fuzz_check(stats.mapped_handles == mapped_handles(world), "%llu instead of %llu",
		   (unsigned long long)stats.mapped_handles, (unsigned long long)mapped_handles(world));
	fuzz_assert(stats.pool_bytes == zpool_get_total_size(world->pool));
	fuzz_assert(stats.pool_bytes_peak >= stats.pool_bytes);
	walk.objects = 0;
	err = zpool_each_class(world->pool, visit_class, &walk);
	fuzz_assert(err == -EOPNOTSUPP || (!err && walk.objects <= objects));
}
