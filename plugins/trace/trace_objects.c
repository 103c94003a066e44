/* SPDX-License-Identifier: MIT
 *
 * trace_objects.c - maps handles to the numbers of their objects
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "trace.h"

#include <errno.h>
#include <stdlib.h>

#include "secret.h"

enum { TRACE_SLOTS_BEGIN = 1024 };

static size_t trace_home(const struct trace_objects *objects, unsigned long handle)
{
	return (size_t)zp_mix(handle) & objects->mask;
}

static struct trace_slot *trace_slot_of(const struct trace_objects *objects, unsigned long handle)
{
	size_t at = trace_home(objects, handle);

	while (objects->slots[at].handle && objects->slots[at].handle != handle)
		at = (at + 1) & objects->mask;
	return &objects->slots[at];
}

int trace_objects_init(struct trace_objects *objects)
{
	objects->slots = calloc(TRACE_SLOTS_BEGIN, sizeof(*objects->slots));
	objects->mask = TRACE_SLOTS_BEGIN - 1;
	objects->used = 0;
	return objects->slots ? 0 : -ENOMEM;
}

void trace_objects_fini(struct trace_objects *objects)
{
	free(objects->slots);
}

static void trace_objects_grow(struct trace_objects *objects)
{
	struct trace_objects larger = { .mask = objects->mask * 2 + 1, .used = objects->used };

	larger.slots = calloc(larger.mask + 1, sizeof(*larger.slots));
	if (!larger.slots)
		return;
	for (size_t i = 0; i <= objects->mask; i++)
		if (objects->slots[i].handle)
			*trace_slot_of(&larger, objects->slots[i].handle) = objects->slots[i];
	free(objects->slots);
	*objects = larger;
}

bool trace_objects_has_room(const struct trace_objects *objects)
{
	return objects->used < objects->mask / 8 * 7;
}

/*
 * The table grows when it is half full, so that calls that may not wait can use the other half; it never fills beyond
 * seven eighths.
 */
bool trace_objects_add(struct trace_objects *objects, const struct trace_slot *object, bool wait)
{
	struct trace_slot *slot;

	if (wait && objects->used > objects->mask / 2)
		trace_objects_grow(objects);
	slot = trace_slot_of(objects, object->handle);
	if (!slot->handle) {
		if (!trace_objects_has_room(objects))
			return false;
		objects->used++;
	}
	*slot = *object;
	return true;
}

const struct trace_slot *trace_objects_find(const struct trace_objects *objects, unsigned long handle)
{
	const struct trace_slot *slot = trace_slot_of(objects, handle);

	return slot->handle ? slot : NULL;
}

/* Entries after the gap move up if the gap lies between the slot of their hash and their current slot. */
void trace_objects_remove(struct trace_objects *objects, unsigned long handle)
{
	struct trace_slot *slot = trace_slot_of(objects, handle);
	size_t gap = (size_t)(slot - objects->slots);

	if (!slot->handle)
		return;
	for (size_t at = (gap + 1) & objects->mask; objects->slots[at].handle; at = (at + 1) & objects->mask) {
		size_t home = trace_home(objects, objects->slots[at].handle);

		if (((at - home) & objects->mask) < ((at - gap) & objects->mask))
			continue;
		objects->slots[gap] = objects->slots[at];
		gap = at;
	}
	objects->slots[gap] = (struct trace_slot){ .handle = 0 };
	objects->used--;
}
