/* SPDX-License-Identifier: MIT
 *
 * cases_model.c - random operations, compared with a simple reference that stores every byte
 *
 * After each operation the object it used is compared, and everything after every thousandth.  The number of objects
 * rises and falls, because every few thousand operations a new target is chosen.  Now and then a forked child continues
 * on its own.
 */
#include "cases.h"
#include "objects.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_OBJECTS 2000u
#define MODEL_STALE 64u
#define MODEL_MAPS 60u

/* The reference of an object, found through the tag of its entry in the set. */
struct cell {
	unsigned char *bytes;
	char *address;
	unsigned int maps;
};

/*
 * number, doing   the operation's number and name, for messages
 * aim             the number of objects to approach
 * limit           the limit as last set; 0: none
 * total           the pool's size after the previous operation
 * idle            cells without an object
 */
struct model {
	struct zpool *pool;
	struct ct_set set;
	struct cell cells[MODEL_OBJECTS];
	uint64_t idle[MODEL_OBJECTS];
	size_t idle_count;
	unsigned long number;
	const char *doing;
	size_t aim;
	uint64_t limit;
	uint64_t total;
	unsigned long stale[MODEL_STALE];
	size_t stale_count;
	size_t visits;
};

#define MODEL_CHECK(model, condition, text, ...)                                                                       \
	CT_CHECK(condition, "operation %lu, %s: " text, (model)->number, (model)->doing, __VA_ARGS__)

static struct cell *cell_of(struct model *model, size_t position)
{
	return &model->cells[model->set.at[position].tag];
}

static size_t any_object(struct model *model)
{
	return model->set.count > 0 ? ct_rng_below(&ct.rng, model->set.count) : SIZE_MAX;
}

static void compare(struct model *model, size_t position, const void *bytes)
{
	const struct ct_object *object = &model->set.at[position];
	const unsigned char *got = bytes, *expected = cell_of(model, position)->bytes;

	if (memcmp(got, expected, object->size) == 0)
		return;
	for (size_t i = 0; i < object->size; i++)
		MODEL_CHECK(model, got[i] == expected[i], "byte %zu of the %zu of handle %#lx: got %#x, expected %#x",
			    i, object->size, object->handle, got[i], expected[i]);
}

static void compare_object(struct model *model, size_t position)
{
	const struct ct_object *object = &model->set.at[position];
	struct cell *cell = cell_of(model, position);

	if (ct_can(ZPOOL_CAP_MAP)) {
		char *address = zpool_map_handle(model->pool, object->handle, ZPOOL_MM_RO);

		if (!address && cell->maps == MODEL_MAPS) {
			compare(model, position, cell->address);
			return;
		}
		MODEL_CHECK(model, address != NULL, "mapping live handle %#lx returned NULL, %s: %s", object->handle,
			    ct_error_name(-errno), zpool_last_error());
		MODEL_CHECK(model, cell->maps == 0 || address == cell->address, "handle %#lx is mapped at %p and at %p",
			    object->handle, (void *)cell->address, (void *)address);
		compare(model, position, address);
		zpool_unmap_handle(model->pool, object->handle);
	} else {
		unsigned char *bytes = malloc(object->size);

		CT_CHECK(bytes != NULL, "the test suite is out of memory");
		ct_bytes_get(model->pool, object->handle, bytes, object->size, 0);
		compare(model, position, bytes);
		free(bytes);
	}
}

/* Removes an object from the reference; it has been freed, or is about to be. */
static void forget(struct model *model, size_t position)
{
	struct cell *cell = cell_of(model, position);

	model->stale[model->stale_count++ % MODEL_STALE] = model->set.at[position].handle;
	free(cell->bytes);
	memset(cell, 0, sizeof(*cell));
	model->idle[model->idle_count++] = model->set.at[position].tag;
	ct_set_remove(&model->set, position);
}

static void do_store(struct model *model)
{
	static const zpool_gfp_t kinds[] = { ZPOOL_GFP_KERNEL,  ZPOOL_GFP_KERNEL, ZPOOL_GFP_ZERO,
					     ZPOOL_GFP_MOVABLE, ZPOOL_GFP_NOWAIT, ZPOOL_GFP_NOWAIT | ZPOOL_GFP_ZERO };
	struct ct_object object = { 0, ct_rng_size(&ct.rng, ct.max_bytes), 0 };
	zpool_gfp_t gfp = kinds[ct_rng_below(&ct.rng, 6)];
	struct cell *cell;
	int result;

	if (model->set.count == MODEL_OBJECTS)
		return;
	result = zpool_malloc(model->pool, object.size, gfp, &object.handle);
	if (result != 0) {
		MODEL_CHECK(model, object.handle == 0, "it returned %s, but wrote a handle", ct_error_name(result));
		MODEL_CHECK(model, result == -ENOMEM && (model->limit || (gfp & ZPOOL_GFP_NOWAIT)),
			    "malloc of %zu bytes with flags %#x returned %s: %s", object.size, gfp,
			    ct_error_name(result), zpool_last_error());
		MODEL_CHECK(model,
			    (gfp & ZPOOL_GFP_NOWAIT) || model->total + (1u << 20) + 2 * ct.step_bytes > model->limit,
			    "malloc returned -ENOMEM when the pool held %llu bytes with a limit of %llu",
			    (unsigned long long)model->total, (unsigned long long)model->limit);
		return;
	}
	MODEL_CHECK(model, object.handle != 0, "malloc of %zu bytes returned handle 0", object.size);
	object.tag = model->idle[--model->idle_count];
	ct_set_add(&model->set, &object);
	cell = &model->cells[object.tag];
	cell->bytes = calloc(1, object.size);
	CT_CHECK(cell->bytes != NULL, "the test suite is out of memory");
	if (gfp & ZPOOL_GFP_ZERO)
		compare_object(model, model->set.count - 1);
	ct_pattern_fill(cell->bytes, object.size, ct_rng_next(&ct.rng), 0);
	ct_bytes_put(model->pool, object.handle, cell->bytes, object.size, 0);
}

static void do_free(struct model *model)
{
	size_t position = any_object(model);
	unsigned long handle;

	if (position == SIZE_MAX)
		return;
	handle = model->set.at[position].handle;
	compare_object(model, position);
	zpool_free(model->pool, handle);
	if (cell_of(model, position)->maps > 0) {
		compare_object(model, position);
		return;
	}
	forget(model, position);
	MODEL_CHECK(model, ct_handle_is_dead(model->pool, handle), "handle %#lx is live after its free", handle);
}

static void do_map(struct model *model)
{
	size_t position = any_object(model);
	/* Most maps are of a few objects, so that some of these reach the maximum. */
	bool often = ct_rng_below(&ct.rng, 4) == 0;
	struct cell *cell;

	if (position == SIZE_MAX || !ct_can(ZPOOL_CAP_MAP))
		return;
	cell = cell_of(model, position);
	for (unsigned int times = often ? 50 : 1; times > 0; times--) {
		char *address = zpool_map_handle(model->pool, model->set.at[position].handle, ZPOOL_MM_RW);

		if (cell->maps == MODEL_MAPS) {
			MODEL_CHECK(model, !address && errno == EBUSY, "a map beyond the maximum returned %p, %s",
				    (void *)address, ct_error_name(-errno));
			return;
		}
		MODEL_CHECK(model, address != NULL, "map number %u returned NULL, %s", cell->maps + 1,
			    ct_error_name(-errno));
		MODEL_CHECK(model, cell->maps == 0 || address == cell->address, "mapped at %p and at %p",
			    (void *)cell->address, (void *)address);
		cell->maps++;
		cell->address = address;
	}
	compare(model, position, cell->address);
}

static void do_unmap(struct model *model)
{
	for (int tries = 0; tries < 20; tries++) {
		size_t position = any_object(model);
		unsigned int times;
		struct cell *cell;

		if (position == SIZE_MAX)
			return;
		cell = cell_of(model, position);
		if (cell->maps == 0)
			continue;
		times = ct_rng_below(&ct.rng, 3) ? cell->maps : 1;
		while (times-- > 0) {
			zpool_unmap_handle(model->pool, model->set.at[position].handle);
			cell->maps--;
		}
		compare_object(model, position);
		return;
	}
}

/* Writes or reads a range in a random one of the possible ways. */
static void do_copy(struct model *model)
{
	size_t position = any_object(model), len, offset;
	unsigned char buf[512];
	struct cell *cell;
	int64_t done;

	if (position == SIZE_MAX)
		return;
	cell = cell_of(model, position);
	offset = ct_rng_below(&ct.rng, model->set.at[position].size);
	len = 1 + ct_rng_below(&ct.rng, model->set.at[position].size - offset);
	len = len < sizeof(buf) ? len : sizeof(buf);
	ct_pattern_fill(buf, len, ct_rng_next(&ct.rng), 0);
	if (cell->maps > 0) {
		memcpy(cell->address + offset, buf, len);
		memcpy(cell->bytes + offset, buf, len);
	} else if (ct_rng_below(&ct.rng, 2)) {
		done = zpool_obj_write(model->pool, model->set.at[position].handle, buf, len, offset);
		if (done != -EOPNOTSUPP) {
			MODEL_CHECK(model, done == (int64_t)len, "writing %zu bytes at %zu returned %s", len, offset,
				    ct_error_name(done));
			memcpy(cell->bytes + offset, buf, len);
		}
	} else {
		done = zpool_obj_read(model->pool, model->set.at[position].handle, buf, len, offset);
		if (done != -EOPNOTSUPP) {
			MODEL_CHECK(model, done == (int64_t)len, "reading %zu bytes at %zu returned %s", len, offset,
				    ct_error_name(done));
			MODEL_CHECK(model, memcmp(buf, cell->bytes + offset, len) == 0,
				    "reading %zu bytes at offset %zu returned other bytes", len, offset);
		}
	}
	compare_object(model, position);
}

static void do_stale(struct model *model)
{
	unsigned long handle;

	if (model->stale_count == 0)
		return;
	handle = model->stale[ct_rng_below(&ct.rng,
					   model->stale_count < MODEL_STALE ? model->stale_count : MODEL_STALE)];
	zpool_free(model->pool, handle);
	zpool_unmap_handle(model->pool, handle);
	MODEL_CHECK(model, ct_handle_is_dead(model->pool, handle), "stale handle %#lx is live", handle);
	MODEL_CHECK(model, zpool_obj_size(model->pool, handle) < 0, "stale handle %#lx has a size", handle);
}

static void do_nonsense(struct model *model)
{
	unsigned long handle = 0;
	size_t position = any_object(model);

	MODEL_CHECK(model, zpool_malloc(model->pool, 0, 0, &handle) == -EINVAL, "malloc of %d bytes was accepted", 0);
	MODEL_CHECK(model, zpool_malloc(model->pool, ct.largest_bytes + 1, 0, &handle) == -ENOSPC,
		    "malloc of %zu bytes was accepted", ct.largest_bytes + 1);
	MODEL_CHECK(model, zpool_malloc(model->pool, 1, 0x40, &handle) == -EINVAL, "unknown flags %#x were accepted",
		    0x40u);
	MODEL_CHECK(model, handle == 0, "malloc calls that were refused wrote handle %#lx", handle);
	if (position == SIZE_MAX)
		return;
	/* Unmapping a mapped object would be a valid call. */
	if (cell_of(model, position)->maps == 0)
		zpool_unmap_handle(model->pool, model->set.at[position].handle);
	compare_object(model, position);
}

/* The evict callback keeps the object or frees it, and may make any other call. */
static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct model *model = user;
	size_t position = ct_set_find(&model->set, handle);
	uint64_t kind = ct_rng_below(&ct.rng, 24);

	MODEL_CHECK(model, position != SIZE_MAX, "the callback is asked to evict handle %#lx, which is not live",
		    handle);
	compare_object(model, position);
	if (kind < 3)
		return kind ? -EBUSY : 0;
	if (kind == 3)
		do_store(model);
	if (kind == 4)
		do_map(model);
	if (kind == 5)
		do_free(model);
	/* The object may just have been mapped or freed, and others may be at its position in the set. */
	position = ct_set_find(&model->set, handle);
	if (position != SIZE_MAX) {
		zpool_free(pool, handle);
		if (cell_of(model, position)->maps == 0)
			forget(model, position);
	}
	return kind == 9 ? -EIO : 0;
}

/* Usually few pages, so that the pool is not emptied all the time. */
static void do_shrink(struct model *model)
{
	unsigned int most = ct_rng_below(&ct.rng, 20) ? 12 : 300;
	unsigned int pages = 1 + (unsigned int)ct_rng_below(&ct.rng, most), reclaimed = 4711;
	int result;

	if (!ct_can(ZPOOL_CAP_EVICT))
		return;
	result = zpool_shrink(model->pool, pages, &reclaimed);
	MODEL_CHECK(model, result == 0 || result == -EAGAIN || result == -EINVAL,
		    "zpool_shrink() of %u pages returned %s", pages, ct_error_name(result));
	MODEL_CHECK(model, result == 0 ? reclaimed >= pages : reclaimed < pages,
		    "pages reclaimed by a zpool_shrink() of %u pages that returned %s: got %u", pages,
		    ct_error_name(result), reclaimed);
}

static void do_compact(struct model *model)
{
	/* Compacts without a budget, or with a budget of bytes, of time, or of both. */
	uint64_t kind = ct_rng_below(&ct.rng, 4);
	uint64_t bytes = kind & 1 ? 1 + ct_rng_below(&ct.rng, 200000) : 0;
	uint64_t ns = kind & 2 ? 1 + ct_rng_below(&ct.rng, 100000) : 0;
	uint64_t before = zpool_get_total_size(model->pool), released = 4711;
	int result;

	if (!ct_can(ZPOOL_CAP_COMPACT))
		return;
	result = zpool_compact(model->pool, bytes, ns, &released);
	MODEL_CHECK(model, result == 0 || (result == 1 && kind != 0),
		    "zpool_compact() with a budget of %llu bytes and %llu ns returned %s", (unsigned long long)bytes,
		    (unsigned long long)ns, ct_error_name(result));
	MODEL_CHECK(model, released <= before, "bytes released by compaction: got %llu, and the pool held %llu",
		    (unsigned long long)released, (unsigned long long)before);
}

static void do_tend(struct model *model)
{
	switch (ct_rng_below(&ct.rng, 6)) {
	case 0:
		ct_trim(model->pool);
		break;
	case 1:
	case 2:
		model->limit = 0;
		CT_MUST(zpool_set_limit(model->pool, 0));
		break;
	case 3:
		model->limit = 1 + model->total / 2 + ct_rng_below(&ct.rng, 2 * model->total + 1);
		CT_MUST(zpool_set_limit(model->pool, model->limit));
		break;
	default:
		do_compact(model);
		break;
	}
}

static int visit(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct model *model = user;
	size_t position = ct_set_find(&model->set, handle);

	(void)pool;
	MODEL_CHECK(model, position != SIZE_MAX, "the walk visited handle %#lx, which is not live", handle);
	MODEL_CHECK(model, size >= model->set.at[position].size,
		    "size of an object in a walk: got %zu, expected at least %zu", size, model->set.at[position].size);
	model->visits++;
	return 0;
}

static void compare_stats(struct model *model, uint64_t stored, uint64_t mapped)
{
	struct zpool_stats stats;

	if (!ct_can(ZPOOL_CAP_STATS))
		return;
	CT_MUST(zpool_get_stats(model->pool, &stats, sizeof(stats)));
	MODEL_CHECK(model, stats.objects == model->set.count, "objects: got %llu, expected %zu",
		    (unsigned long long)stats.objects, model->set.count);
	MODEL_CHECK(model, stats.mapped_handles == mapped, "mapped_handles: got %llu, expected %llu",
		    (unsigned long long)stats.mapped_handles, (unsigned long long)mapped);
	MODEL_CHECK(model, stats.stored_bytes == stored, "stored_bytes: got %llu, expected %llu",
		    (unsigned long long)stats.stored_bytes, (unsigned long long)stored);
	MODEL_CHECK(model, stats.pool_bytes == zpool_get_total_size(model->pool), "pool_bytes: got %llu, expected %llu",
		    (unsigned long long)stats.pool_bytes, (unsigned long long)zpool_get_total_size(model->pool));
}

static void compare_everything(struct model *model)
{
	uint64_t stored = 0, mapped = 0;

	model->doing = "comparing all objects";
	for (size_t i = 0; i < model->set.count; i++) {
		int64_t usable = zpool_obj_size(model->pool, model->set.at[i].handle);

		compare_object(model, i);
		MODEL_CHECK(model, usable >= (int64_t)model->set.at[i].size || usable == -EOPNOTSUPP,
			    "handle %#lx of %zu bytes has size %s", model->set.at[i].handle, model->set.at[i].size,
			    ct_error_name(usable));
		stored += usable > 0 ? (uint64_t)usable : model->set.at[i].size;
		mapped += cell_of(model, i)->maps > 0;
	}
	if (ct_can(ZPOOL_CAP_OBJECTS)) {
		model->visits = 0;
		CT_MUST(zpool_each_object(model->pool, visit, model));
		MODEL_CHECK(model, model->visits == model->set.count, "the walk visited %zu of %zu objects",
			    model->visits, model->set.count);
	}
	compare_stats(model, stored, mapped);
}

static void step(struct model *model)
{
	static const struct {
		unsigned int below;
		const char *doing;
		void (*fn)(struct model *model);
	} kinds[] = { { 160, "map", do_map },     { 360, "unmap", do_unmap },       { 880, "copy", do_copy },
		      { 940, "stale", do_stale }, { 970, "nonsense", do_nonsense }, { 980, "shrink", do_shrink },
		      { 1000, "tend", do_tend } };
	unsigned int kind = (unsigned int)ct_rng_below(&ct.rng, 1000);
	uint64_t total;
	size_t i = 0;

	if (ct_rng_below(&ct.rng, 2)) {
		bool more = ct_rng_below(&ct.rng, 100) < (model->set.count < model->aim ? 65 : 35);

		model->doing = more ? "store" : "free";
		(more ? do_store : do_free)(model);
	} else {
		while (kind >= kinds[i].below)
			i++;
		model->doing = kinds[i].doing;
		kinds[i].fn(model);
	}
	total = zpool_get_total_size(model->pool);
	MODEL_CHECK(model, !model->limit || total <= model->limit || total <= model->total,
		    "the limit is %llu, but the pool grew from %llu to %llu", (unsigned long long)model->limit,
		    (unsigned long long)model->total, (unsigned long long)total);
	model->total = total;
}

#define MODEL_CHILD_STEPS 300

/* A forked child continues with its copy of the pool, which must not affect the parent. */
static void go_on_in_child(void *arg)
{
	struct model *model = arg;

	compare_everything(model);
	for (int i = 0; i < MODEL_CHILD_STEPS; i++)
		step(model);
	compare_everything(model);
}

static void random_operations_match_a_reference(void)
{
	static struct model model;

	memset(&model, 0, sizeof(model));
	ct_set_init(&model.set, MODEL_OBJECTS);
	for (uint64_t i = 0; i < MODEL_OBJECTS; i++)
		model.idle[model.idle_count++] = i;
	model.pool = ct_pool_evicting(evict, &model);
	model.total = zpool_get_total_size(model.pool);
	for (model.number = 1; model.number <= ct.operations; model.number++) {
		if (model.number % 4000 == 1)
			model.aim = 20 + ct_rng_below(&ct.rng, MODEL_OBJECTS - 20);
		step(&model);
		if (model.number % 1000 == 0)
			compare_everything(&model);
		if (model.number % 50000 == 500 && ct_can(ZPOOL_CAP_FORK) && !ct_thread_sanitized())
			ct_in_child(go_on_in_child, &model);
	}
	compare_everything(&model);
	zpool_destroy_pool(model.pool);
	while (model.set.count > 0)
		forget(&model, model.set.count - 1);
	ct_set_fini(&model.set);
}

const struct ct_case ct_cases_model[] = {
	{ "random_operations_match_a_reference",
	  "In any sequence of operations, live objects keep every byte and stale handles are refused.",
	  random_operations_match_a_reference, CT_EVERY_CALL | CT_LONG },
	{ NULL, NULL, NULL, 0 },
};
