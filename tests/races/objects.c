/* SPDX-License-Identifier: MIT
 *
 * objects.c - objects whose bytes are known, and the claims by which actors share them
 */
#include <config.h>

#include <errno.h>
#include <sched.h>
#include <string.h>

#include "races.h"

enum { TRIES = 6, MAP_TRIES = 200, HOLD_MAX = 8, PART_MAX = 512 };

/* ---- claims ---- */

static bool try_alone(struct object *object)
{
	int none = CLAIM_NONE;

	return atomic_compare_exchange_strong_explicit(&object->claim, &none, CLAIM_ALONE, memory_order_acquire,
						       memory_order_relaxed);
}

void object_release_alone(struct object *object)
{
	atomic_store_explicit(&object->claim, CLAIM_NONE, memory_order_release);
}

bool object_try_read(struct object *object)
{
	int readers = atomic_load_explicit(&object->claim, memory_order_relaxed);

	while (readers >= 0 && readers < READERS_MAX)
		if (atomic_compare_exchange_weak_explicit(&object->claim, &readers, readers + 1, memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

void object_end_read(struct object *object)
{
	atomic_fetch_sub_explicit(&object->claim, 1, memory_order_release);
}

static unsigned long handle_of(struct object *object)
{
	return atomic_load_explicit(&object->handle, memory_order_relaxed);
}

static struct object *some_object(struct place *place)
{
	return &place->objects[ct_rng_below(&self->rng, races.object_count)];
}

/* Returns an object that the caller alone may use, or NULL. */
static struct object *claim_some(struct place *place, bool live)
{
	for (int i = 0; i < TRIES; i++) {
		struct object *object = some_object(place);

		if ((handle_of(object) != 0) != live || !try_alone(object))
			continue;
		if ((handle_of(object) != 0) == live)
			return object;
		object_release_alone(object);
	}
	return NULL;
}

static struct object *claim_some_to_read(struct place *place)
{
	for (int i = 0; i < TRIES; i++) {
		struct object *object = some_object(place);

		if (!handle_of(object) || !object_try_read(object))
			continue;
		if (handle_of(object))
			return object;
		object_end_read(object);
	}
	return NULL;
}

/* Finds and claims the object with this handle.  Returns NULL if there is none or another actor has claimed it. */
struct object *object_claim_alone(struct place *place, unsigned long handle)
{
	for (unsigned int i = 0; i < races.object_count; i++) {
		struct object *object = &place->objects[i];

		if (handle_of(object) != handle || !try_alone(object))
			continue;
		if (handle_of(object) == handle)
			return object;
		object_release_alone(object);
	}
	return NULL;
}

/* ---- bytes ---- */

void *object_map(struct place *place, struct object *object, enum zpool_mapmode mode)
{
	unsigned long handle = handle_of(object);

	for (int i = 0; i < MAP_TRIES; i++) {
		void *at = CALL(zpool_map_handle(place->pool, handle, mode));

		if (at) {
			races_check((uintptr_t)at % 8 == 0, "%s: address %p is not aligned", place->spec, at);
			return at;
		}
		races_check(place->maps_may_fail && errno == ENOMEM, "%s: map of live handle %#lx, %zu bytes: %s (%s)",
			    place->spec, handle, object->size, strerror(errno), zpool_last_error());
	}
	return NULL;
}

static void unmap(struct place *place, struct object *object)
{
	CALL_VOID(zpool_unmap_handle(place->pool, handle_of(object)));
}

static void check_bytes(struct place *place, struct object *object, const void *at, size_t bytes, size_t from)
{
	size_t differs = ct_pattern_differs(at, bytes, object->key, from);

	races_check(differs == bytes, "%s: byte %zu of handle %#lx, %zu bytes, key %#llx, is %#x", place->spec,
		    from + differs, handle_of(object), object->size, (unsigned long long)object->key,
		    ((const unsigned char *)at)[differs]);
	tally(TALLY_VERIFIED);
}

/* Reads a part of the object without mapping it. */
static void check_part(struct place *place, struct object *object)
{
	unsigned char part[PART_MAX];
	size_t from = ct_rng_below(&self->rng, object->size), bytes = object->size - from;

	if (bytes > PART_MAX)
		bytes = PART_MAX;
	for (int i = 0; i < MAP_TRIES; i++) {
		int64_t got = CALL(zpool_obj_read(place->pool, handle_of(object), part, bytes, from));

		if (got == (int64_t)bytes) {
			check_bytes(place, object, part, bytes, from);
			return;
		}
		races_check(place->maps_may_fail && got == -ENOMEM,
			    "%s: obj_read of %zu bytes at %zu of %zu: %lld (%s)", place->spec, bytes, from,
			    object->size, (long long)got, zpool_last_error());
	}
}

void object_check(struct place *place, struct object *object)
{
	void *at;

	if (ct_rng_below(&self->rng, 4) == 0) {
		check_part(place, object);
		return;
	}
	at = object_map(place, object, ct_rng_below(&self->rng, 2) ? ZPOOL_MM_RO : ZPOOL_MM_RW);
	if (!at)
		return;
	check_bytes(place, object, at, object->size, 0);
	unmap(place, object);
}

/* Gives the object other bytes.  Returns false if a layer above the driver refused all attempts. */
static bool fill(struct place *place, struct object *object, enum zpool_mapmode mode)
{
	uint64_t key = ct_seed_for(races.seed, place->spec) + (uint64_t)place->number * 0x100000001b3u +
		       atomic_fetch_add_explicit(&place->next_key, 1, memory_order_relaxed);
	void *at = object_map(place, object, mode);

	if (!at)
		return false;
	object->key = key;
	ct_pattern_fill(at, object->size, key, 0);
	unmap(place, object);
	return true;
}

/* ---- the life of an object ---- */

static zpool_gfp_t some_flags(void)
{
	static const zpool_gfp_t flags[] = { ZPOOL_GFP_KERNEL, ZPOOL_GFP_KERNEL,
					     ZPOOL_GFP_KERNEL, ZPOOL_GFP_MOVABLE | ZPOOL_GFP_HIGHMEM,
					     ZPOOL_GFP_NOWAIT, ZPOOL_GFP_ZERO,
					     ZPOOL_GFP_KERNEL, ZPOOL_GFP_NOWAIT | ZPOOL_GFP_ZERO };

	return flags[ct_rng_below(&self->rng, sizeof(flags) / sizeof(flags[0]))];
}

static void check_zero(struct place *place, struct object *object)
{
	const unsigned char *at = object_map(place, object, ZPOOL_MM_RO);

	if (!at)
		return;
	for (size_t i = 0; i < object->size; i++)
		races_check(at[i] == 0, "%s: byte %zu of a new object of %zu bytes is %#x instead of 0", place->spec, i,
			    object->size, at[i]);
	unmap(place, object);
}

static bool malloc_for(struct place *place, struct object *object, zpool_gfp_t gfp)
{
	unsigned long handle = 0;
	int err = CALL(zpool_malloc(place->pool, object->size, gfp, &handle));

	races_check(err == 0 || err == -ENOMEM || (err == -EAGAIN && gfp & ZPOOL_GFP_NOWAIT),
		    "%s: malloc of %zu bytes, flags %#x: %d (%s)", place->spec, object->size, gfp, err,
		    zpool_last_error());
	races_check(!err == !!handle, "%s: malloc returned %d and handle %#lx", place->spec, err, handle);
	races_check(err != -ENOMEM || gfp & ZPOOL_GFP_NOWAIT || place->limited || place->maps_may_fail ||
			    place->source.fail_in,
		    "%s: malloc of %zu bytes: %s", place->spec, object->size, zpool_last_error());
	if (err)
		return false;
	atomic_store_explicit(&object->handle, handle, memory_order_relaxed);
	return true;
}

void object_free_claimed(struct place *place, struct object *object)
{
	object->stale = handle_of(object);
	CALL_VOID(zpool_free(place->pool, object->stale));
	atomic_store_explicit(&object->handle, 0, memory_order_relaxed);
}

bool object_store(struct place *place)
{
	struct object *object = claim_some(place, false);
	zpool_gfp_t gfp = some_flags();

	if (!object)
		return false;
	object->size = place->only_bytes ? place->only_bytes : ct_rng_size(&self->rng, place->max_bytes);
	if (malloc_for(place, object, gfp)) {
		tally(TALLY_STORED);
		if (gfp & ZPOOL_GFP_ZERO)
			check_zero(place, object);
		if (!fill(place, object, ct_rng_below(&self->rng, 4) ? ZPOOL_MM_WO : ZPOOL_MM_RW))
			object_free_claimed(place, object);
	}
	object_release_alone(object);
	return true;
}

bool object_free(struct place *place)
{
	struct object *object = claim_some(place, true);

	if (!object)
		return false;
	if (ct_rng_below(&self->rng, 4) == 0)
		object_check(place, object);
	object_free_claimed(place, object);
	object_release_alone(object);
	return true;
}

bool object_verify(struct place *place)
{
	struct object *object = claim_some_to_read(place);
	int64_t size;

	if (!object)
		return false;
	object_check(place, object);
	size = CALL(zpool_obj_size(place->pool, handle_of(object)));
	races_check(size >= (int64_t)object->size, "%s: obj_size is %lld for an object of %zu bytes", place->spec,
		    (long long)size, object->size);
	object_end_read(object);
	return true;
}

bool object_rewrite(struct place *place)
{
	struct object *object = claim_some(place, true);

	if (!object)
		return false;
	object_check(place, object);
	(void)fill(place, object, ct_rng_below(&self->rng, 2) ? ZPOOL_MM_WO : ZPOOL_MM_RW);
	object_check(place, object);
	object_release_alone(object);
	return true;
}

/* Maps several objects at once, some of them twice, while others work on the pool. */
void objects_hold(struct place *place)
{
	struct object *held[HOLD_MAX];
	void *at[HOLD_MAX];
	unsigned int count = 0;

	for (unsigned int i = 0; i < HOLD_MAX; i++) {
		/*
		 * All drivers map read-write, so an object keeps its bytes if a write-only mapping is not written to.
		 */
		enum zpool_mapmode mode = ct_rng_below(&self->rng, 2) ? ZPOOL_MM_WO : ZPOOL_MM_RO;
		struct object *object = claim_some_to_read(place);

		if (!object)
			continue;
		held[count] = object;
		at[count] = object_map(place, object, mode);
		if (at[count])
			count++;
		else
			object_end_read(object);
	}
	for (unsigned int pass = 0; pass < 3; pass++) {
		for (unsigned int i = 0; i < count; i++)
			check_bytes(place, held[i], at[i], held[i]->size, 0);
		nap(&self->rng, 200);
	}
	for (unsigned int i = 0; i < count; i++) {
		unmap(place, held[i]);
		object_end_read(held[i]);
	}
}

/* Makes calls that the library has to refuse without changing any object. */
bool object_misuse(struct place *place)
{
	struct object *object = claim_some(place, true);
	void *at;

	if (!object)
		return false;
	at = object_map(place, object, ZPOOL_MM_RW);
	if (at) {
		CALL_VOID(zpool_free(place->pool, handle_of(object)));
		check_bytes(place, object, at, object->size, 0);
		unmap(place, object);
	}
	if (at)
		unmap(place, object);
	if (object->stale) {
		CALL_VOID(zpool_free(place->pool, object->stale));
		CALL_VOID(zpool_unmap_handle(place->pool, object->stale));
		races_check(!CALL(zpool_map_handle(place->pool, object->stale, ZPOOL_MM_RW)),
			    "%s: stale handle %#lx was mapped", place->spec, object->stale);
	}
	object_check(place, object);
	object_release_alone(object);
	return true;
}
