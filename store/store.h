/* SPDX-License-Identifier: MIT
 *
 * store.h - a store, for the files of this room
 */
#ifndef ZPS_STORE_H
#define ZPS_STORE_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "context.h"
#include "index.h"
#include "zpool-store.h"

/*
 * An object is four bytes and the payload.  The four are the length of the value less 1, and in the upper half the
 * length of the payload less 1; where both are the same, the value is stored as it is.
 */
#define ZPS_HEADER_BYTES sizeof(uint32_t)

struct zpool_store {
	struct zpool *pool;
	size_t unit_bytes;
	uint64_t unit_count; /* 0: any key */
	struct zps_contexts contexts;
	struct zps_index index;

	/* Guards the limit of the pool, which is what index and contexts leave of the store's. */
	pthread_mutex_t limit_lock;
	uint64_t limit_bytes;    /* 0: none */
	uint64_t reserved_bytes; /* of what is growing at this moment */
	_Atomic bool limited;
};

/* limit.c */
/* Before index or contexts grow, and after they did or failed to.  false: the limit leaves no room. */
bool zps_limit_reserve(struct zpool_store *store, uint64_t bytes);
void zps_limit_release(struct zpool_store *store, uint64_t bytes);

/* unit.c */
/* 0, or -EINVAL with the error told. */
int zps_check_key(const struct zpool_store *store, uint64_t key);

/* The unit of a key; leaf NULL: there is none. */
struct zps_unit zps_find(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* The same, which is made if need be.  leaf NULL: the limit or the memory does not allow it. */
struct zps_unit zps_find_or_add(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* Let a unit be same-filled, hold an object, or be absent, and end what it was.  Was there a value? */
bool zps_replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, uint32_t state,
		 uint64_t word);

#endif
