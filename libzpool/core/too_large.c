/* SPDX-License-Identifier: MIT
 *
 * The message for an object that is too large names the drivers that accept it, which requires a search of the plugin
 * directories. A program may meet this error again and again, so the result of the first search is kept for as long as
 * the plugin path stays the same. A driver that is installed later is missing from the message, which is acceptable
 * because the list is only advice.
 */
#include <config.h>

#include "core/too_large.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/name.h"
#include "core/inventory.h"
#include "loader/search.h"
#include "support/cancel.h"

enum { KNOWN_MAX = 32 };

struct known {
	char type[ZP_TYPE_BYTES];
	size_t largest_bytes;
};

enum { EMPTY, FILLING, READY };

/*
 * Written by the one thread that moves the state from EMPTY to FILLING; constant once the state is READY. A listing
 * that fails makes it EMPTY again.
 */
static struct known known[KNOWN_MAX];
static size_t known_count;
static uint64_t known_path; /* a hash of the plugin path */
static _Atomic int known_state;

/* FNV-1a. Returns 0 if there is no memory for the path. */
static uint64_t hash_path(void)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	char *path = zp_search_get_path();

	for (const char *at = path; at && *at; at++)
		hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
	free(path);
	return path ? hash : 0;
}

static void keep(const char *type, size_t largest_bytes, void *user)
{
	(void)user;
	if (known_count == KNOWN_MAX)
		return;
	(void)snprintf(known[known_count].type, sizeof(known->type), "%s", type);
	known[known_count++].largest_bytes = largest_bytes;
}

/* Lists the names of the drivers that accept an object of this size, separated by commas. */
struct takers {
	size_t size;
	size_t count;
	size_t length;
	char names[200];
};

static void add_taker(const char *type, size_t largest_bytes, void *user)
{
	struct takers *takers = user;
	size_t room = sizeof(takers->names) - takers->length;

	if (largest_bytes < takers->size || strlen(type) + 3 > room)
		return;
	takers->length +=
		(size_t)snprintf(takers->names + takers->length, room, "%s%s", takers->count ? ", " : "", type);
	takers->count++;
}

/* Returns -errno if the drivers cannot be listed. */
static int find_takers(struct takers *takers)
{
	int state = EMPTY;
	uint64_t path = hash_path();

	if (atomic_compare_exchange_strong(&known_state, &state, FILLING)) {
		known_count = 0;
		int err = zp_inventory_each_size(keep, NULL);
		known_path = path;
		state = err || !path ? EMPTY : READY;
		atomic_store(&known_state, state);
		if (err)
			return err;
	}
	if (state != READY || known_path != path)
		return zp_inventory_each_size(add_taker, takers);
	for (size_t i = 0; i < known_count; i++)
		add_taker(known[i].type, known[i].largest_bytes, takers);
	return 0;
}

int zp_fail_too_large(const struct zpool *pool, size_t size)
{
	ZP_CANCEL_DISABLED_HERE;
	const char *type = pool->spec.parts[pool->layer_count - 1].type;
	const char *filters = pool->layer_count > 1 ? ", with the filters above it," : "";
	struct takers takers = { .size = size };

	int err = find_takers(&takers);
	if (err)
		return zp_fail(
			ENOSPC,
			"An object of %zu bytes is too large for pool \"%s\": driver \"%s\"%s accepts at most %zu bytes. Split it into several objects. Drivers that accept it cannot be listed now: %s.",
			size, pool->name, type, filters, pool->max_object_bytes, strerror(-err));
	if (takers.count)
		return zp_fail(
			ENOSPC,
			"An object of %zu bytes is too large for pool \"%s\": driver \"%s\"%s accepts at most %zu bytes. These drivers accept it: %s.",
			size, pool->name, type, filters, pool->max_object_bytes, takers.names);
	return zp_fail(
		ENOSPC,
		"An object of %zu bytes is too large for pool \"%s\": driver \"%s\"%s accepts at most %zu bytes, and no available driver accepts it. Split it into several objects.",
		size, pool->name, type, filters, pool->max_object_bytes);
}
