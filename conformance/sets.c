/* SPDX-License-Identifier: MIT
 *
 * sets.c - sets of live objects
 */
#include "objects.h"

#include <stdlib.h>

static size_t slot_of(const struct ct_set *set, unsigned long handle)
{
	uint64_t hash = (uint64_t)handle * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash >> 20) & (set->index_size - 1);
}

void ct_set_init(struct ct_set *set, size_t capacity)
{
	size_t index_size = 16;

	while (index_size < 2 * capacity)
		index_size *= 2;
	set->at = calloc(capacity, sizeof(*set->at));
	set->index = calloc(index_size, sizeof(*set->index));
	CT_CHECK(set->at && set->index, "the test suite is out of memory");
	set->count = 0;
	set->capacity = capacity;
	set->index_size = index_size;
	set->next_tag = ct_rng_next(&ct.rng);
}

void ct_set_fini(struct ct_set *set)
{
	free(set->at);
	free(set->index);
	set->at = NULL;
	set->index = NULL;
}

size_t ct_set_find(const struct ct_set *set, unsigned long handle)
{
	for (size_t i = slot_of(set, handle);; i = (i + 1) & (set->index_size - 1)) {
		if (set->index[i] == 0)
			return SIZE_MAX;
		if (set->at[set->index[i] - 1].handle == handle)
			return set->index[i] - 1;
	}
}

static size_t index_find(const struct ct_set *set, size_t position)
{
	size_t i = slot_of(set, set->at[position].handle);

	while (set->index[i] != position + 1)
		i = (i + 1) & (set->index_size - 1);
	return i;
}

/* Open addressing without tombstones: entries after the hole that could no longer be found move into it. */
static void index_remove(struct ct_set *set, size_t hole)
{
	size_t mask = set->index_size - 1;

	set->index[hole] = 0;
	for (size_t i = (hole + 1) & mask; set->index[i] != 0; i = (i + 1) & mask) {
		size_t home = slot_of(set, set->at[set->index[i] - 1].handle);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			set->index[hole] = set->index[i];
			set->index[i] = 0;
			hole = i;
		}
	}
}

void ct_set_add(struct ct_set *set, const struct ct_object *object)
{
	size_t i = slot_of(set, object->handle);

	CT_CHECK(set->count < set->capacity, "the test suite's table of %zu objects is full", set->capacity);
	CT_CHECK(ct_set_find(set, object->handle) == SIZE_MAX, "malloc returned handle %#lx, which is already live",
		 object->handle);
	while (set->index[i] != 0)
		i = (i + 1) & (set->index_size - 1);
	set->at[set->count++] = *object;
	set->index[i] = (uint32_t)set->count;
}

void ct_set_remove(struct ct_set *set, size_t position)
{
	size_t last = set->count - 1;

	index_remove(set, index_find(set, position));
	if (position != last) {
		set->index[index_find(set, last)] = (uint32_t)position + 1;
		set->at[position] = set->at[last];
	}
	set->count--;
}

int ct_set_try(struct zpool *pool, struct ct_set *set, size_t size, zpool_gfp_t gfp)
{
	struct ct_object object;
	int result = ct_object_try(pool, &object, size, gfp, set->next_tag);

	if (result == 0) {
		set->next_tag++;
		ct_set_add(set, &object);
	}
	return result;
}

void ct_set_make(struct zpool *pool, struct ct_set *set, size_t size)
{
	int result = ct_set_try(pool, set, size, ZPOOL_GFP_KERNEL);

	CT_CHECK(result == 0, "malloc of %zu bytes returned %s with %zu objects live: %s", size, ct_error_name(result),
		 set->count, zpool_last_error());
}

void ct_set_fill(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng)
{
	while (set->count < count)
		ct_set_make(pool, set, ct_rng_size(rng, ct.max_bytes));
}

void ct_set_fill_pages(struct zpool *pool, struct ct_set *set, size_t count, unsigned int pages, struct ct_rng *rng)
{
	ct_set_fill(pool, set, count, rng);
	while (set->count < set->capacity && zpool_get_total_size(pool) < ct.empty_bytes + 4096ull * pages)
		ct_set_fill(pool, set, set->count + 1, rng);
}

void ct_set_free(struct zpool *pool, struct ct_set *set, size_t position)
{
	zpool_free(pool, set->at[position].handle);
	ct_set_remove(set, position);
}

void ct_set_free_all(struct zpool *pool, struct ct_set *set)
{
	while (set->count > 0)
		ct_set_free(pool, set, set->count - 1);
}

void ct_set_thin(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng)
{
	while (set->count > count)
		ct_set_free(pool, set, ct_rng_below(rng, set->count));
}

void ct_set_thin_mapped(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng)
{
	size_t all = set->count;
	unsigned long *handles = calloc(all, sizeof(*handles));

	CT_CHECK(handles != NULL, "the test suite has no memory for %zu handles", all);
	for (size_t i = 0; i < all; i++) {
		size_t other = ct_rng_below(rng, i + 1);

		handles[i] = handles[other];
		handles[other] = set->at[i].handle;
	}
	for (size_t i = 0; i < count && ct_can(ZPOOL_CAP_MAP); i++)
		CT_CHECK(zpool_map_handle(pool, handles[i], ZPOOL_MM_RO) != NULL, "zpool_map_handle() failed");
	for (size_t i = count; i < all; i++)
		ct_set_free(pool, set, ct_set_find(set, handles[i]));
	for (size_t i = 0; i < count && ct_can(ZPOOL_CAP_MAP); i++)
		zpool_unmap_handle(pool, handles[i]);
	free(handles);
}

void ct_set_check(struct zpool *pool, const struct ct_set *set, const char *when)
{
	for (size_t i = 0; i < set->count; i++)
		ct_object_check(pool, &set->at[i], when);
}
