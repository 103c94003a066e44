/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_lists.c - the rings of a class's zspages, by fullness and by age
 */
#include <config.h>

#include <pthread.h>

#include "zsmalloc.h"

static struct zsmalloc_link *link_of(const struct zsmalloc_pool *pool, uint32_t number, enum zsmalloc_ring ring)
{
	return &zsmalloc_zspage(pool, number)->links[ring];
}

/* Inserts a zspage into a ring in front of another one. */
static void ring_insert(struct zsmalloc_pool *pool, enum zsmalloc_ring ring, uint32_t number, uint32_t next)
{
	struct zsmalloc_link *link = link_of(pool, number, ring), *next_link = link_of(pool, next, ring);

	*link = (struct zsmalloc_link){ .next = next, .prev = next_link->prev };
	link_of(pool, next_link->prev, ring)->next = number;
	next_link->prev = number;
}

/* Makes a zspage the first of a ring. */
static void ring_add(struct zsmalloc_pool *pool, enum zsmalloc_ring ring, uint32_t *first, uint32_t number)
{
	if (*first == ZSMALLOC_NONE)
		*link_of(pool, number, ring) = (struct zsmalloc_link){ number, number };
	else
		ring_insert(pool, ring, number, *first);
	*first = number;
}

static void ring_remove(struct zsmalloc_pool *pool, enum zsmalloc_ring ring, uint32_t *first, uint32_t number)
{
	const struct zsmalloc_link *link = link_of(pool, number, ring);

	link_of(pool, link->prev, ring)->next = link->next;
	link_of(pool, link->next, ring)->prev = link->prev;
	if (*first == number)
		*first = link->next == number ? ZSMALLOC_NONE : link->next;
}

/* Puts zspage `to` in the place of `from`. */
static void ring_replace(struct zsmalloc_pool *pool, enum zsmalloc_ring ring, uint32_t *first, uint32_t from,
			 uint32_t to)
{
	ring_insert(pool, ring, to, from);
	if (*first == from)
		*first = to;
	ring_remove(pool, ring, first, from);
}

static void group_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	uint8_t group = zsmalloc_zspage(pool, number)->group;

	ring_add(pool, ZSMALLOC_BY_FULLNESS, &class->groups[group], number);
	class->group_mask |= 1u << group;
}

static void group_remove(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	uint8_t group = zsmalloc_zspage(pool, number)->group;

	ring_remove(pool, ZSMALLOC_BY_FULLNESS, &class->groups[group], number);
	if (class->groups[group] == ZSMALLOC_NONE)
		class->group_mask &= ~(1u << group);
}

static uint8_t group_of(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	return (uint8_t)(zspage->used_slots * (unsigned int)ZSMALLOC_FULL / class->slots);
}

/* Gives a zspage the newest stamp of the pool. */
static void set_newest_stamp(struct zsmalloc_pool *pool, uint32_t number)
{
	atomic_store_explicit(&pool->newest, number, memory_order_relaxed);
	zsmalloc_zspage(pool, number)->stamp = atomic_fetch_add_explicit(&pool->clock, 1, memory_order_relaxed) + 1;
}

static void set_listed(struct zsmalloc_header *header, bool listed)
{
	atomic_store_explicit(&header->listed, listed, memory_order_relaxed);
	zsmalloc_set_cacheable(header, listed);
}

void zsmalloc_class_set_source(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	if (class->source != ZSMALLOC_NONE)
		zsmalloc_set_cacheable(zsmalloc_header(pool, class->source), true);
	class->source = number;
	if (number != ZSMALLOC_NONE)
		zsmalloc_set_cacheable(zsmalloc_header(pool, number), false);
}

void zsmalloc_class_add_holes(struct zsmalloc_pool *pool, struct zsmalloc_class *class, int count)
{
	unsigned int index = (unsigned int)(class - pool->classes);
	_Atomic(uint64_t) *word = &pool->classes_with_holes[index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);
	uint32_t before = class->holes;

	class->holes = before + (uint32_t)count;
	if ((before == 0) == (class->holes == 0))
		return;
	if (before == 0)
		atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
	else
		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

void zsmalloc_zspage_list(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	zspage->group = group_of(class, zspage);
	set_listed(zspage->header, true);
	group_add(pool, class, number);
	zsmalloc_class_add_holes(pool, class, zspage->holes);
	if (!pool->evict)
		return;
	set_newest_stamp(pool, number);
	ring_add(pool, ZSMALLOC_BY_AGE, &class->newest, number);
}

void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	if (class->source == number)
		zsmalloc_class_set_source(pool, class, ZSMALLOC_NONE);
	set_listed(zsmalloc_header(pool, number), false);
	group_remove(pool, class, number);
	zsmalloc_class_add_holes(pool, class, -(int)zsmalloc_zspage(pool, number)->holes);
	if (pool->evict)
		ring_remove(pool, ZSMALLOC_BY_AGE, &class->newest, number);
}

void zsmalloc_reclaim_begin(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	zsmalloc_zspage(pool, number)->stamp = (uintptr_t)pthread_self();
	ring_add(pool, ZSMALLOC_BY_AGE, &class->reclaiming, number);
}

void zsmalloc_reclaim_end(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	ring_remove(pool, ZSMALLOC_BY_AGE, &class->reclaiming, number);
}

void zsmalloc_reclaims_of_others_end(struct zsmalloc_pool *pool, struct zsmalloc_class *class)
{
	uint32_t number = class->reclaiming, next, own = ZSMALLOC_NONE;

	class->reclaiming = ZSMALLOC_NONE;
	for (uint32_t last = number; number != ZSMALLOC_NONE; number = next == last ? ZSMALLOC_NONE : next) {
		const struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

		next = zspage->links[ZSMALLOC_BY_AGE].next;
		if (zspage->stamp == (uintptr_t)pthread_self())
			ring_add(pool, ZSMALLOC_BY_AGE, &own, number);
		else if (zspage->used_slots)
			zsmalloc_zspage_list(pool, class, number);
		else
			zsmalloc_zspage_retire(pool, class, number, false);
	}
	class->reclaiming = own;
}

void zsmalloc_zspage_refile(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint8_t group = group_of(class, zspage);

	if (!zsmalloc_is_listed(zspage->header) || group == zspage->group)
		return;
	group_remove(pool, class, number);
	zspage->group = group;
	group_add(pool, class, number);
}

void zsmalloc_zspage_defer(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	uint32_t *first = &class->groups[zsmalloc_zspage(pool, number)->group];

	ring_remove(pool, ZSMALLOC_BY_FULLNESS, first, number);
	if (*first == ZSMALLOC_NONE)
		ring_add(pool, ZSMALLOC_BY_FULLNESS, first, number);
	else
		ring_insert(pool, ZSMALLOC_BY_FULLNESS, number, *first);
}

void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	/* While all objects go to the same zspage, its stamp stays the newest without a change. */
	if (class->newest == number && atomic_load_explicit(&pool->newest, memory_order_relaxed) == number)
		return;
	set_newest_stamp(pool, number);
	if (class->newest != number && zsmalloc_is_listed(zspage->header)) {
		ring_remove(pool, ZSMALLOC_BY_AGE, &class->newest, number);
		ring_add(pool, ZSMALLOC_BY_AGE, &class->newest, number);
	}
}

void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from)
{
	zsmalloc_zspage(pool, heir)->stamp = zsmalloc_zspage(pool, from)->stamp;
	ring_remove(pool, ZSMALLOC_BY_AGE, &class->newest, heir);
	ring_insert(pool, ZSMALLOC_BY_AGE, heir, from);
	if (class->newest == from)
		class->newest = heir;
}

int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to)
{
	int err = zsmalloc_record_get(pool, ZPOOL_GFP_KERNEL, to);
	if (class->source == from)
		zsmalloc_class_set_source(pool, class, ZSMALLOC_NONE);
	if (!err && *to > from) {
		zsmalloc_record_put(pool, *to, true);
		err = -ENOENT;
	}
	if (err)
		return err;
	struct zsmalloc_zspage *old = zsmalloc_zspage(pool, from), *new = zsmalloc_zspage(pool, *to);
	struct zsmalloc_header *header = new->header;
	*new = *old;
	new->header = header;
	header->base = old->header->base;
	header->slot_bytes = class->slot_bytes;
	set_listed(header, true);
	atomic_store_explicit(&header->class_index, (uint16_t)(class - pool->classes), memory_order_relaxed);
	ring_replace(pool, ZSMALLOC_BY_FULLNESS, &class->groups[new->group], from, *to);
	if (pool->evict) {
		ring_replace(pool, ZSMALLOC_BY_AGE, &class->newest, from, *to);
		/* An earlier zspage with the new number may have been the newest one. */
		uint32_t newest = *to;
		(void)atomic_compare_exchange_strong(&pool->newest, &newest, ZSMALLOC_NONE);
		newest = from;
		(void)atomic_compare_exchange_strong(&pool->newest, &newest, *to);
	}
	set_listed(old->header, false);
	zsmalloc_record_put(pool, from, false);
	return 0;
}

uint32_t zsmalloc_fullest(const struct zsmalloc_class *class)
{
	uint32_t with_room = zsmalloc_groups_with_room(class);

	return with_room ? class->groups[31 - __builtin_clz(with_room)] : ZSMALLOC_NONE;
}
