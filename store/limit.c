/* SPDX-License-Identifier: MIT
 *
 * limit.c - one limit for the pool, the index, the contexts and the dictionaries together
 *
 * The pool's own limit is the store's limit less what the others use.  It is lowered before one of
 * these grows, so the sum stays below the store's limit even if other threads put values at the same time.
 */
#include "config.h"

#include <errno.h>

#include "store.h"

static uint64_t others_bytes(const struct zpool_store *store)
{
	return zps_index_bytes(&store->index) + zps_contexts_bytes(&store->contexts) + zps_dictionaries_bytes(store) +
	       atomic_load_explicit(&store->torn.copied_bytes, memory_order_relaxed);
}

/*
 * Sets the pool's limit, which is at least 1, because 0 means no limit.  A store that never had a limit leaves the pool
 * the one of its spec.  The caller holds limit_lock.
 */
static void apply(struct zpool_store *store)
{
	uint64_t others = others_bytes(store) + store->reserved_bytes;
	uint64_t left = store->limit_bytes > others ? store->limit_bytes - others : 1;

	if (store->limit_bytes)
		store->governs = true;
	if (!store->governs)
		return;
	(void)zpool_set_limit(store->pool, store->limit_bytes && !atomic_load(&store->exceeded) ? left : 0);
}

bool zps_limit_reserve(struct zpool_store *store, uint64_t bytes, bool may_exceed)
{
	bool fits;

	pthread_mutex_lock(&store->limit_lock);
	store->reserved_bytes += bytes;
	apply(store);
	fits = !store->limit_bytes || (may_exceed && atomic_load(&store->exceeded)) ||
	       zpool_get_total_size(store->pool) + others_bytes(store) + store->reserved_bytes <= store->limit_bytes;
	if (!fits) {
		store->reserved_bytes -= bytes;
		apply(store);
	}
	pthread_mutex_unlock(&store->limit_lock);
	return fits;
}

void zps_limit_release(struct zpool_store *store, uint64_t bytes)
{
	pthread_mutex_lock(&store->limit_lock);
	store->reserved_bytes -= bytes;
	apply(store);
	pthread_mutex_unlock(&store->limit_lock);
}

void zps_limit_exceed(struct zpool_store *store, bool exceed)
{
	pthread_mutex_lock(&store->limit_lock);
	atomic_store(&store->exceeded, exceed);
	apply(store);
	pthread_mutex_unlock(&store->limit_lock);
}

int zpool_store_set_limit(struct zpool_store *store, uint64_t limit_bytes)
{
	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_set_limit() was given no store.");
	if (limit_bytes && store->spec_has_limit)
		return zpool_set_error(
			EINVAL,
			"The pool of the store has a limit in its spec, which a limit of the store would replace: open the store without it.");
	pthread_mutex_lock(&store->limit_lock);
	store->limit_bytes = limit_bytes;
	atomic_store(&store->limited, limit_bytes != 0);
	apply(store);
	pthread_mutex_unlock(&store->limit_lock);
	return 0;
}

uint64_t zpool_store_get_total_size(struct zpool_store *store)
{
	if (!store) {
		errno = -zpool_set_error(EINVAL, "zpool_store_get_total_size() was given no store.");
		return 0;
	}
	return zpool_get_total_size(store->pool) + others_bytes(store);
}
