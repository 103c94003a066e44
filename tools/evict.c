/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>

#include "evict.h"
#include "object.h"
#include "rss.h"

int evict_init(struct evict *evict, const struct units *units, struct spool *spool)
{
	size_t slots = 2;

	*evict = (struct evict){ .units = units, .spool = spool };
	evict->handles = rss_array(units->count, sizeof(*evict->handles));
	if (!evict->handles)
		return -ENOMEM;
	if (!spool)
		return 0;
	while (slots < 2 * units->count)
		slots *= 2;
	evict->slot_mask = slots - 1;
	evict->slots = rss_array(slots, sizeof(*evict->slots));
	evict->saved = rss_array(units->count, sizeof(*evict->saved));
	evict->buffer = rss_array(1, units->unit_bytes);
	return evict->slots && evict->saved && evict->buffer ? 0 : -ENOMEM;
}

/* Returns the handle's slot in the table, or the free slot where it belongs. */
static struct evict_slot *find_slot(const struct evict *evict, unsigned long handle)
{
	size_t at = (size_t)((uint64_t)handle * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	while (evict->slots[at & evict->slot_mask].handle && evict->slots[at & evict->slot_mask].handle != handle)
		at++;
	return &evict->slots[at & evict->slot_mask];
}

/*
 * A driver may reuse a handle after it was freed. The handle then reuses its old slot, so there is at most one slot for
 * each unit.
 */
void evict_placed(struct evict *evict, size_t unit, unsigned long handle)
{
	evict->handles[unit] = handle;
	if (evict->spool)
		*find_slot(evict, handle) = (struct evict_slot){ handle, unit };
}

int evict_callback(struct zpool *pool, unsigned long handle, void *user)
{
	struct evict *evict = user;
	const struct evict_slot *slot = find_slot(evict, handle);
	uint32_t bytes;
	uint64_t offset;
	int error;

	if (slot->handle != handle || evict->handles[slot->unit] != handle)
		return -ENOENT;
	bytes = evict->units->at[slot->unit].stored_bytes;
	offset = evict->spool->bytes;
	error = object_get(pool, handle, evict->buffer, bytes);
	if (error)
		return error;
	error = spool_append(evict->spool, evict->buffer, bytes);
	if (error) {
		evict->error = error;
		return error;
	}
	zpool_free(pool, handle);
	evict->handles[slot->unit] = 0;
	evict->saved[slot->unit] = offset + 1;
	evict->count++;
	evict->bytes += bytes;
	return 0;
}

int evict_load(const struct evict *evict, size_t unit, void *data)
{
	return spool_read(evict->spool, data, evict->units->at[unit].stored_bytes, evict->saved[unit] - 1);
}
