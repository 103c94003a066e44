/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_class.c - the table of size classes, and how many slots their zspages have
 */
#include <config.h>

#include "zsmalloc.h"

/* Above a page, classes are this share of their size apart, because a fixed step would make thousands of them. */
enum { STEP_SHARE = 64 };

static size_t round_up(size_t bytes, size_t to)
{
	return (bytes + to - 1) / to * to;
}

static size_t head_bytes_of(unsigned int slots)
{
	return slots <= ZSMALLOC_INLINE_SLOTS ? 0 : round_up(slots * sizeof(uint32_t), ZSMALLOC_ALIGN_BYTES);
}

static unsigned int slots_in(size_t bytes, size_t slot_bytes)
{
	size_t slots = bytes / slot_bytes;

	if (slots > ZSMALLOC_SLOTS_MAX)
		slots = ZSMALLOC_SLOTS_MAX;
	while (slots > 1 && head_bytes_of((unsigned int)slots) + slots * slot_bytes > bytes)
		slots--;
	return (unsigned int)slots;
}

/*
 * Returns the geometry with the least waste, up to `chain` pages.  Among chains with equal waste it chooses the
 * longest, which needs the fewest records.  A long chain costs no memory, because pages without objects have none.
 */
static struct zsmalloc_geometry choose_chain(size_t slot_bytes, unsigned int chain)
{
	unsigned int fewest = (unsigned int)((slot_bytes + ZP_PAGE_BYTES - 1) / ZP_PAGE_BYTES);
	struct zsmalloc_geometry best = { .pages = (uint16_t)fewest, .slots = 1 };

	for (unsigned int pages = fewest; pages <= chain; pages++) {
		unsigned int slots = slots_in(pages * ZP_PAGE_BYTES, slot_bytes);

		/* This compares slots / pages with the best. */
		if (slots * best.pages >= best.slots * pages)
			best = (struct zsmalloc_geometry){ .pages = (uint16_t)pages, .slots = (uint16_t)slots };
	}
	best.slot_bytes = (uint32_t)((best.pages * ZP_PAGE_BYTES - head_bytes_of(best.slots)) / best.slots &
				     ~(size_t)(ZSMALLOC_ALIGN_BYTES - 1));
	return best;
}

static size_t next_size(size_t size, size_t step)
{
	size_t wanted = size > ZP_PAGE_BYTES ? round_up(size / STEP_SHARE, ZSMALLOC_ALIGN_BYTES) : 0;

	return size + (wanted > step ? wanted : step);
}

/*
 * Fills in the tables, unless they are NULL, and returns the number of classes.  Sizes whose zspages have the same
 * number of pages and slots make one class, with the largest slots that fit.
 */
static unsigned int build_classes(struct zsmalloc_geometry *geometries, uint16_t *class_of, size_t size_max,
				  unsigned int chain, size_t step)
{
	unsigned int count = 0;
	struct zsmalloc_geometry previous = { 0 };
	size_t covered = 0;

	for (size_t size = step; covered < size_max; size = next_size(size, step)) {
		if (size > size_max)
			size = round_up(size_max, ZSMALLOC_ALIGN_BYTES);
		struct zsmalloc_geometry now = choose_chain(size, chain);
		if (count == 0 || now.pages != previous.pages || now.slots != previous.slots)
			count++;
		if (geometries) {
			geometries[count - 1] = now;
			for (size_t unit = covered / ZSMALLOC_ALIGN_BYTES + 1; unit <= size / ZSMALLOC_ALIGN_BYTES;
			     unit++)
				class_of[unit] = (uint16_t)(count - 1);
		}
		previous = now;
		covered = size;
	}
	return count;
}

/* Computes for each class which larger classes its mallocs may borrow holes from. */
static void set_borrow_ends(struct zsmalloc_geometry *geometries, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		size_t bytes_max = geometries[i].slot_bytes + geometries[i].slot_bytes / ZSMALLOC_BORROW_SHARE;
		unsigned int end = i + 1;

		while (end < count && end <= i + ZSMALLOC_BORROW_CLASSES && geometries[end].slot_bytes <= bytes_max)
			end++;
		geometries[i].borrow_end = (uint16_t)end;
	}
}

int zsmalloc_classes_init(struct zsmalloc_pool *pool, unsigned int chain, unsigned int step)
{
	size_t units = round_up(pool->object_bytes_max, ZSMALLOC_ALIGN_BYTES) / ZSMALLOC_ALIGN_BYTES;
	size_t step_bytes = round_up(step, ZSMALLOC_ALIGN_BYTES);

	pool->class_count = build_classes(NULL, NULL, pool->object_bytes_max, chain, step_bytes);
	size_t id_bytes = pool->class_count * sizeof(*pool->run_ids);
	size_t geometry_bytes = pool->class_count * sizeof(*pool->geometries);
	size_t head_bytes = round_up(id_bytes + geometry_bytes + (units + 1) * sizeof(*pool->class_of), 64);
	pool->table_bytes = round_up(head_bytes + pool->class_count * sizeof(*pool->classes), ZP_PAGE_BYTES);
	pool->tables = zp_pages_meta_reserve(&pool->pages, pool->table_bytes);
	if (!pool->tables)
		return -ENOMEM;
	int err = zp_pages_meta_commit(&pool->pages, pool->tables, pool->table_bytes, ZPOOL_GFP_KERNEL);
	if (err) {
		zp_pages_meta_release(&pool->pages, pool->tables, pool->table_bytes, 0);
		pool->tables = NULL;
		return err;
	}
	pool->run_ids = pool->tables;
	pool->geometries = (struct zsmalloc_geometry *)(void *)((char *)pool->tables + id_bytes);
	pool->class_of = (uint16_t *)(void *)((char *)pool->geometries + geometry_bytes);
	pool->classes = (struct zsmalloc_class *)(void *)((char *)pool->tables + head_bytes);
	(void)build_classes(pool->geometries, pool->class_of, pool->object_bytes_max, chain, step_bytes);
	set_borrow_ends(pool->geometries, pool->class_count);
	return 0;
}

void zsmalloc_classes_fini(struct zsmalloc_pool *pool)
{
	if (pool->tables)
		zp_pages_meta_release(&pool->pages, pool->tables, pool->table_bytes, pool->table_bytes);
	pool->tables = NULL;
}

void zsmalloc_class_prepare(const struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	const struct zsmalloc_geometry *geometry = &pool->geometries[class - pool->classes];

	if (zsmalloc_class_is_used(class))
		return;
	zp_lock_rank(&class->lock, ZSMALLOC_RANK_CLASS, (unsigned int)(class - pool->classes), &pool->pages);
	class->slot_bytes = geometry->slot_bytes;
	class->slots = geometry->slots;
	class->pages = geometry->pages;
	class->head_bytes = (uint16_t)head_bytes_of(geometry->slots);
	atomic_store_explicit(&class->is_used, true, memory_order_release);
}
