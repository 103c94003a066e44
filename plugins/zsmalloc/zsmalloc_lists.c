/* SPDX-License-Identifier: MIT
 *
 * zsmalloc_lists.c - the lists that a class's zspages stand on: rings of numbers, by fullness and by age
 */
#include <config.h>

#include "zsmalloc.h"

static void group_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t *head = &class->groups[zspage->group];

	if (*head == ZSMALLOC_NONE) {
		zspage->next = zspage->prev = number;
		class->group_mask |= 1u << zspage->group;
	} else {
		struct zsmalloc_zspage *first = zsmalloc_zspage(pool, *head);
		zspage->next = *head;
		zspage->prev = first->prev;
		zsmalloc_zspage(pool, first->prev)->next = number;
		first->prev = number;
	}
	*head = number;
}

static void group_remove(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);
	uint32_t *head = &class->groups[zspage->group];

	if (zspage->next == number) {
		*head = ZSMALLOC_NONE;
		class->group_mask &= ~(1u << zspage->group);
		return;
	}
	zsmalloc_zspage(pool, zspage->prev)->next = zspage->next;
	zsmalloc_zspage(pool, zspage->next)->prev = zspage->prev;
	if (*head == number)
		*head = zspage->next;
}

static uint8_t group_of(const struct zsmalloc_class *class, const struct zsmalloc_zspage *zspage)
{
	return (uint8_t)(zspage->used_slots * (unsigned int)ZSMALLOC_FULL / class->slots);
}

static void age_add(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	if (class->newest == ZSMALLOC_NONE) {
		zspage->newer = zspage->older = number;
	} else {
		struct zsmalloc_zspage *newest = zsmalloc_zspage(pool, class->newest);
		uint32_t oldest = newest->newer;
		zspage->older = class->newest;
		zspage->newer = oldest;
		newest->newer = number;
		zsmalloc_zspage(pool, oldest)->older = number;
	}
	class->newest = number;
}

static void age_remove(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	if (zspage->newer == number) {
		class->newest = ZSMALLOC_NONE;
		return;
	}
	zsmalloc_zspage(pool, zspage->older)->newer = zspage->newer;
	zsmalloc_zspage(pool, zspage->newer)->older = zspage->older;
	if (class->newest == number)
		class->newest = zspage->older;
}

static void stamp(struct zsmalloc_pool *pool, uint32_t number)
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
	stamp(pool, number);
	age_add(pool, class, number);
}

void zsmalloc_zspage_unlist(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	if (class->source == number)
		zsmalloc_class_set_source(pool, class, ZSMALLOC_NONE);
	set_listed(zsmalloc_header(pool, number), false);
	group_remove(pool, class, number);
	zsmalloc_class_add_holes(pool, class, -(int)zsmalloc_zspage(pool, number)->holes);
	if (pool->evict)
		age_remove(pool, class, number);
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

void zsmalloc_zspage_touch(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t number)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, number);

	/* As long as one zspage takes every object, the clock need not tick. */
	if (class->newest == number && atomic_load_explicit(&pool->newest, memory_order_relaxed) == number)
		return;
	stamp(pool, number);
	if (class->newest != number && zsmalloc_is_listed(zspage->header)) {
		age_remove(pool, class, number);
		age_add(pool, class, number);
	}
}

void zsmalloc_zspage_inherit(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t heir, uint32_t from)
{
	struct zsmalloc_zspage *zspage = zsmalloc_zspage(pool, heir), *sister = zsmalloc_zspage(pool, from);

	zspage->stamp = sister->stamp;
	age_remove(pool, class, heir);
	zspage->older = from;
	zspage->newer = sister->newer;
	zsmalloc_zspage(pool, sister->newer)->older = heir;
	sister->newer = heir;
	if (class->newest == from)
		class->newest = heir;
}

/* The zspage in a ring that points to another number from now on: its neighbours, or itself where it is alone. */
static void ring_renumber(uint32_t *next_of_prev, uint32_t *prev_of_next, uint32_t *head, uint32_t from, uint32_t to)
{
	*next_of_prev = to;
	*prev_of_next = to;
	if (*head == from)
		*head = to;
}

int zsmalloc_zspage_renumber(struct zsmalloc_pool *pool, struct zsmalloc_class *class, uint32_t from, uint32_t *to)
{
	int err = zsmalloc_record_get(pool, ZPOOL_GFP_KERNEL, to);
	if (class->source == from)
		zsmalloc_class_set_source(pool, class, ZSMALLOC_NONE);
	if (!err && *to > from) {
		zsmalloc_record_put(pool, *to);
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
	if (new->next == from)
		new->next = new->prev = *to;
	ring_renumber(&zsmalloc_zspage(pool, new->prev)->next, &zsmalloc_zspage(pool, new->next)->prev,
		      &class->groups[new->group], from, *to);
	if (pool->evict) {
		if (new->newer == from)
			new->newer = new->older = *to;
		ring_renumber(&zsmalloc_zspage(pool, new->older)->newer, &zsmalloc_zspage(pool, new->newer)->older,
			      &class->newest, from, *to);
		uint32_t newest = from;
		(void)atomic_compare_exchange_strong(&pool->newest, &newest, *to);
	}
	set_listed(old->header, false);
	zsmalloc_record_abandon(pool, from);
	return 0;
}

uint32_t zsmalloc_fullest(const struct zsmalloc_class *class)
{
	uint32_t with_room = class->group_mask & ((1u << ZSMALLOC_FULL) - 1);

	return with_room ? class->groups[31 - __builtin_clz(with_room)] : ZSMALLOC_NONE;
}
