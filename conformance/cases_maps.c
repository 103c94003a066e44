/* SPDX-License-Identifier: MIT
 *
 * cases_maps.c - zpool_map_handle() and zpool_unmap_handle()
 */
#include "cases.h"
#include "objects.h"

#include <string.h>

#define MAPS_MAX 60u /* the maximum that zpool.h documents for one handle */

static void *map(struct zpool *pool, unsigned long handle, enum zpool_mapmode mode)
{
	void *address = zpool_map_handle(pool, handle, mode);

	CT_CHECK(address != NULL, "mapping live handle %#lx returned NULL, %s: %s", handle, ct_error_name(-errno),
		 zpool_last_error());
	return address;
}

static void every_address_is_aligned(void)
{
	struct zpool *pool = ct_pool();

	ct_need(ZPOOL_CAP_MAP);
	for (size_t size = 1; size <= ct.max_bytes; size += size < 600 ? 1 : 97) {
		unsigned long handle;
		void *address;

		CT_MUST(zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle));
		address = map(pool, handle, ZPOOL_MM_RW);
		CT_CHECK((uintptr_t)address % ct.alignment_bytes == 0,
			 "an object of %zu bytes is mapped at %p, not aligned to %zu", size, address,
			 ct.alignment_bytes);
		zpool_unmap_handle(pool, handle);
		if (size % 3 == 0)
			zpool_free(pool, handle);
	}
	zpool_destroy_pool(pool);
}

static void many_handles_are_mapped_at_once(void)
{
	enum { OBJECTS = 3000 };
	struct zpool *pool = ct_pool();
	void *addresses[OBJECTS];
	struct ct_set set;

	ct_need(ZPOOL_CAP_MAP);
	ct_set_init(&set, OBJECTS);
	ct_set_fill(pool, &set, OBJECTS, &ct.rng);
	for (size_t i = 0; i < OBJECTS; i++)
		addresses[i] = map(pool, set.at[i].handle, ZPOOL_MM_RW);
	for (size_t i = 0; i < OBJECTS; i++) {
		struct ct_object *object = &set.at[i];

		CT_CHECK(ct_pattern_differs(addresses[i], object->size, object->tag, 0) == object->size,
			 "with %d objects mapped, handle %#lx has wrong contents", OBJECTS, object->handle);
		/* If two of them had the same address, both would show the later pattern. */
		object->tag = ~object->tag;
		ct_pattern_fill(addresses[i], object->size, object->tag, 0);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		zpool_unmap_handle(pool, set.at[i].handle);
	ct_set_check(pool, &set, "written through 3000 mappings at once");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void one_handle_can_be_mapped_sixty_times(void)
{
	static const enum zpool_mapmode modes[] = { ZPOOL_MM_RW, ZPOOL_MM_RO, ZPOOL_MM_WO };
	struct zpool *pool = ct_pool();
	struct ct_object object;
	void *address = NULL;

	ct_need(ZPOOL_CAP_MAP);
	ct_object_make(pool, &object, ct_size(500), 1);
	for (unsigned int i = 0; i < MAPS_MAX; i++) {
		void *again = zpool_map_handle(pool, object.handle, modes[i % 3]);

		CT_CHECK(again != NULL, "mapping number %u returned NULL, %s: %s", i + 1, ct_error_name(-errno),
			 zpool_last_error());
		CT_CHECK(i == 0 || again == address, "one handle is mapped at %p and at %p at the same time", address,
			 again);
		address = again;
	}
	for (int round = 0; round < 3; round++) {
		CT_REFUSED_NULL(zpool_map_handle(pool, object.handle, ZPOOL_MM_RW), EBUSY);
		zpool_unmap_handle(pool, object.handle);
		map(pool, object.handle, ZPOOL_MM_RO);
	}
	for (unsigned int i = 0; i < MAPS_MAX; i++) {
		zpool_free(pool, object.handle);
		zpool_unmap_handle(pool, object.handle);
	}
	ct_object_check(pool, &object, "after 60 frees while it was mapped");
	zpool_free(pool, object.handle);
	CT_CHECK(ct_handle_is_dead(pool, object.handle),
		 "an object that was mapped 60 times and unmapped cannot be freed");
	zpool_destroy_pool(pool);
}

static void mapped_objects_are_not_freed(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object, other;
	void *address;

	ct_need(ZPOOL_CAP_MAP);
	ct_object_make(pool, &object, ct_size(300), 1);
	address = map(pool, object.handle, ZPOOL_MM_RW);
	ct_log_open();
	CT_REFUSED_VOID(zpool_free(pool, object.handle));
	CT_CHECK(
		strstr(zpool_last_error(), "is mapped") != NULL,
		"freeing a mapped object was refused for another reason than that it is mapped (the driver's free must return -EBUSY): %s",
		zpool_last_error());
	CT_CHECK(ct_log_errors() == 1, "errors logged by freeing a mapped object: got %u, expected 1", ct_log_errors());
	ct_log_close();
	/* If the object had been freed after all, the next one of its size would use its slot. */
	ct_object_make(pool, &other, object.size, 2);
	CT_CHECK(ct_pattern_differs(address, object.size, object.tag, 0) == object.size,
		 "an object whose free was refused lost its contents");
	zpool_unmap_handle(pool, object.handle);
	ct_object_check(pool, &object, "after a refused free");
	zpool_free(pool, object.handle);
	CT_CHECK(ct_handle_is_dead(pool, object.handle), "an object that is no longer mapped was not freed");
	ct_object_check(pool, &other, "after its neighbour was freed");
	zpool_destroy_pool(pool);
}

static void unmap_of_an_unmapped_handle_is_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object;

	ct_need(ZPOOL_CAP_MAP);
	ct_object_make(pool, &object, ct_size(64), 1);
	ct_log_open();
	CT_REFUSED_VOID(zpool_unmap_handle(pool, object.handle));
	CT_CHECK(ct_log_errors() == 1, "errors logged by unmapping an object that is not mapped: got %u, expected 1",
		 ct_log_errors());
	map(pool, object.handle, ZPOOL_MM_RW);
	zpool_unmap_handle(pool, object.handle);
	CT_REFUSED_VOID(zpool_unmap_handle(pool, object.handle));
	CT_CHECK(ct_log_errors() == 2, "errors logged by unmapping an object once too often: got %u, expected 1",
		 ct_log_errors() - 1);
	ct_log_close();
	/* If the count had dropped below zero, the first of these two unmaps would make the object free. */
	map(pool, object.handle, ZPOOL_MM_RW);
	zpool_free(pool, object.handle);
	zpool_unmap_handle(pool, object.handle);
	ct_object_check(pool, &object, "after refused unmaps");
	zpool_free(pool, object.handle);
	CT_CHECK(ct_handle_is_dead(pool, object.handle), "an object cannot be freed after unmaps that were refused");
	zpool_destroy_pool(pool);
}

static void unknown_map_modes_are_refused(void)
{
	static const int unknown[] = { 3, 4, 255, -1, INT32_MAX, INT32_MIN };
	struct zpool *pool = ct_pool();
	struct ct_object object;
	void *address;

	ct_need(ZPOOL_CAP_MAP);
	ct_object_make(pool, &object, ct_size(128), 1);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		CT_REFUSED_NULL(zpool_map_handle(pool, object.handle, (enum zpool_mapmode)unknown[i]), EINVAL);
	ct_object_check(pool, &object, "after mapping with unknown modes");
	address = map(pool, object.handle, ZPOOL_MM_WO);
	object.tag = 99;
	ct_pattern_fill(address, object.size, object.tag, 0);
	zpool_unmap_handle(pool, object.handle);
	ct_object_check(pool, &object, "written through a write-only mapping");
	zpool_free(pool, object.handle);
	CT_CHECK(ct_handle_is_dead(pool, object.handle), "a map with an unknown mode left the object mapped");
	zpool_destroy_pool(pool);
}

/* Makes every call that could move or free objects while some are mapped. */
static void mapped_objects_do_not_move(void)
{
	enum { OBJECTS = 1200 };
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);
	void *addresses[OBJECTS];
	struct ct_set mapped, others;

	ct_need(ZPOOL_CAP_MAP);
	ct_set_init(&mapped, OBJECTS);
	ct_set_init(&others, OBJECTS);
	for (size_t n = 1; n <= OBJECTS; n++) {
		ct_set_fill(pool, &mapped, n, &ct.rng);
		ct_set_fill(pool, &others, n, &ct.rng);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		addresses[i] = map(pool, mapped.at[i].handle, ZPOOL_MM_RW);
	for (int round = 0; round < 4; round++) {
		ct_set_thin(pool, &others, OBJECTS / 8, &ct.rng);
		ct_trim(pool);
		if (ct_can(ZPOOL_CAP_COMPACT))
			zpool_compact(pool, 0, 0, NULL);
		if (ct_can(ZPOOL_CAP_EVICT))
			zpool_shrink(pool, 20, NULL);
		for (size_t i = 0; i < OBJECTS; i++) {
			const struct ct_object *object = &mapped.at[i];

			CT_CHECK(ct_pattern_differs(addresses[i], object->size, object->tag, 0) == object->size,
				 "a mapped object of %zu bytes lost its contents", object->size);
			CT_CHECK(zpool_map_handle(pool, object->handle, ZPOOL_MM_RO) == addresses[i],
				 "a mapped object moved");
			zpool_unmap_handle(pool, object->handle);
		}
		ct_set_fill(pool, &others, OBJECTS, &ct.rng);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		zpool_unmap_handle(pool, mapped.at[i].handle);
	ct_set_check(pool, &mapped, "after it was mapped while others were moved");
	ct_set_check(pool, &others, "after others were mapped");
	zpool_destroy_pool(pool);
	ct_set_fini(&mapped);
	ct_set_fini(&others);
}

const struct ct_case ct_cases_maps[] = {
	{ "every_address_is_aligned", "A mapped object's address is aligned to zpool_alignment().",
	  every_address_is_aligned, 0 },
	{ "many_handles_are_mapped_at_once", "Any number of handles may be mapped at once, each at its own address.",
	  many_handles_are_mapped_at_once, 0 },
	{ "one_handle_can_be_mapped_sixty_times",
	  "A mapped handle may be mapped again at the same address, up to 60 times; further maps give EBUSY until one is unmapped.",
	  one_handle_can_be_mapped_sixty_times, 0 },
	{ "mapped_objects_are_not_freed",
	  "Freeing a mapped object is refused with a message, which is also logged, and the object stays.",
	  mapped_objects_are_not_freed, 0 },
	{ "unmap_of_an_unmapped_handle_is_refused",
	  "Unmapping a handle that is not mapped is refused with a message, which is also logged.",
	  unmap_of_an_unmapped_handle_is_refused, 0 },
	{ "unknown_map_modes_are_refused", "An unknown map mode returns NULL and EINVAL, and maps nothing.",
	  unknown_map_modes_are_refused, 0 },
	{ "mapped_objects_do_not_move", "A mapped object never moves or disappears, whatever happens to other objects.",
	  mapped_objects_do_not_move, 0 },
	{ NULL, NULL, NULL, 0 },
};
