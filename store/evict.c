/* SPDX-License-Identifier: MIT
 *
 * evict.c - eviction of units from memory to the backing
 *
 * If the driver can evict, it chooses the units in its own order: zpool_shrink() calls back with the handles of a
 * page's objects.  For the other drivers, and for units without an object, a clock passes over the leaves of the
 * index.  In both cases, a unit that was read since eviction last looked at it gets a second chance.
 *
 * The index is authoritative: an object that the driver offers is evicted only if the unit of the key in the object's
 * header still has that handle.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "store.h"

#define PAGE_BYTES 4096
#define TURNS 4
#define SHRINK_PAGES 64           /* One step of zpool_store_shrink() evicts at most this many pages. */
#define COMPACT_BYTES (256 << 10) /* One call that makes room moves at most this many bytes. */
#define CLUSTER_UNITS 16          /* Dirty units among this many aligned neighbours are written together. */

/*
 * This is one thread's attempt to evict.  Attempts can nest, because the functions of a backing may use another store;
 * `outer` is then the attempt on the store in front of it.
 */
struct eviction {
	struct zpool_store *store;
	struct zps_context *context;
	struct eviction *outer;
	bool force; /* gives no second chances */
	uint64_t evicted;
	uint64_t bytes; /* counts the bytes of the evicted units' objects and index entries */
	int err;        /* is the backing's first error, and `text` is its message */
	char text[400];
};

static _Thread_local struct eviction *current __attribute__((tls_model("initial-exec")));

static bool is_unit(const struct zps_unit *unit, uint32_t meta, unsigned long handle)
{
	if (!handle)
		return meta & ZPS_STATE;
	return (meta & ZPS_STATE) == ZPS_OBJECT && unit->leaf->word[unit->slot] == handle;
}

/* Removes a clean, locked unit from memory, and unlocks it. */
static void leave(struct eviction *eviction, struct zps_unit unit, uint32_t meta)
{
	eviction->bytes += sizeof(uint64_t) + sizeof(uint32_t);
	if ((meta & ZPS_STATE) == ZPS_OBJECT)
		eviction->bytes += zps_object_bytes(eviction->store, meta);
	else if (zps_is_copied(meta))
		eviction->bytes += eviction->store->unit_bytes;
	eviction->evicted++;
	zps_count(eviction->context, ZPS_EVICTED, 1);
	zps_replace(eviction->store, eviction->context, unit, meta, ZPS_ABSENT, 0);
}

/*
 * Tries to evict a unit without writing it.  Returns 0 if the unit was evicted, -EBUSY if it gets a second chance,
 * -ENOENT if there is no such unit or it has another handle, and -EUCLEAN if it is dirty.
 */
static int try_unit(struct eviction *eviction, uint64_t key, unsigned long handle)
{
	struct zps_unit unit;
	uint32_t meta;

	if (!zps_lock(eviction->store, eviction->context, key, false, &unit, &meta))
		return -ENOENT;
	if (!is_unit(&unit, meta, handle)) {
		zps_unit_unlock(unit, meta);
		return -ENOENT;
	}
	if ((meta & ZPS_REFERENCED) && !eviction->force) {
		zps_count(eviction->context, ZPS_SECOND_CHANCES, 1);
		zps_unit_unlock(unit, meta & ~ZPS_REFERENCED);
		return -EBUSY;
	}
	if (meta & ZPS_DIRTY) {
		zps_unit_unlock(unit, meta);
		return -EUCLEAN;
	}
	leave(eviction, unit, meta);
	return 0;
}

static int write_cluster(const struct eviction *eviction, uint64_t key)
{
	uint64_t units = eviction->store->contexts.io_bytes / eviction->store->unit_bytes;

	if (units > CLUSTER_UNITS)
		units = CLUSTER_UNITS;
	zps_errors_begin(eviction->context);
	(void)zps_write_units(eviction->store, eviction->context, key & ~(units - 1), key | (units - 1));
	return zps_errors_end(eviction->context);
}

static void note_error(struct eviction *eviction, int err)
{
	if (eviction->err)
		return;
	eviction->err = err;
	snprintf(eviction->text, sizeof(eviction->text), "%s", zpool_last_error());
}

/* Evicts a unit, and writes it first if it is dirty.  The caller holds the stripe for writing. */
static int evict_unit(struct eviction *eviction, uint64_t key, unsigned long handle)
{
	int err = try_unit(eviction, key, handle);

	if (err == -EUCLEAN) {
		int write_err = write_cluster(eviction, key);

		err = try_unit(eviction, key, handle);
		if (err == -EUCLEAN && write_err)
			note_error(eviction, write_err);
	}
	return err;
}

int zps_evict_callback(struct zpool *pool, unsigned long handle, void *user)
{
	struct eviction *eviction = current;
	struct zpool_store *store = user;
	pthread_rwlock_t *stripe;
	uint64_t key;
	int err;

	(void)pool;
	if (!eviction || eviction->store != store)
		return -EBUSY;
	if (!zps_object_key(store, handle, &key) || key >= store->unit_count)
		return -ENOENT;
	stripe = zps_stripe(&store->backing, key);
	pthread_rwlock_wrlock(stripe);
	err = evict_unit(eviction, key, handle);
	pthread_rwlock_unlock(stripe);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The clock
 */

static bool has_units(const struct zps_leaf *leaf)
{
	for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
		if (atomic_load_explicit(&leaf->meta[slot], memory_order_relaxed) & ZPS_STATE)
			return true;
	return false;
}

/* The clock passes twice over the leaves, because the first pass may only use up second chances. */
static void turn_clock(struct eviction *eviction, uint64_t bytes)
{
	struct zpool_store *store = eviction->store;
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);

	for (size_t i = 0; i < 2 * leaves && eviction->bytes < bytes && !eviction->err; i++) {
		size_t hand = atomic_fetch_add_explicit(&store->hand, 1, memory_order_relaxed) % leaves;
		const struct zps_leaf *leaf = zps_index_leaf(&store->index, hand);
		uint64_t base = zps_leaf_base(leaf);
		pthread_rwlock_t *stripe = zps_stripe(&store->backing, base);

		if (!has_units(leaf))
			continue;
		pthread_rwlock_wrlock(stripe);
		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			(void)evict_unit(eviction, base + slot, 0);
		pthread_rwlock_unlock(stripe);
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * Room
 */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

int zps_make_room(struct zpool_store *store, struct zps_context *context, unsigned int pages)
{
	struct eviction eviction = { .store = store, .context = context, .outer = current };
	uint64_t start = now_ns();

	current = &eviction;
	for (unsigned int turn = 0; turn < TURNS && !eviction.evicted; turn++) {
		eviction.force = turn == TURNS - 1;
		if (store->evicts)
			(void)zpool_shrink(store->pool, pages, NULL);
		if (!eviction.evicted && (!store->evicts || turn >= TURNS / 2))
			turn_clock(&eviction, (uint64_t)pages * PAGE_BYTES);
		if (eviction.err)
			break;
	}
	current = eviction.outer;
	zps_count(context, ZPS_EVICT_NS, now_ns() - start);
	if (eviction.evicted)
		return 0;
	return eviction.err ? zpool_set_error(-eviction.err, "%s", eviction.text) : -EAGAIN;
}

/* Applies the limit again as soon as the store is below it, after a failing backing had made the store exceed it. */
static void end_excess(struct zpool_store *store, struct zps_context *context, uint64_t limit)
{
	if (zpool_store_get_total_size(store) > limit) {
		if (zps_make_room(store, context, ZPS_ROOM_PAGES))
			return;
		(void)zpool_trim(store->pool, NULL);
	}
	if (zpool_store_get_total_size(store) <= limit)
		zps_limit_exceed(store, false);
}

void zps_begin_making_room(struct zpool_store *store)
{
	uint64_t stored = zps_contexts_sum(&store->contexts, ZPS_STORED_BYTES);
	uint64_t pool = zpool_get_total_size(store->pool);

	if (atomic_load_explicit(&store->making_room, memory_order_relaxed))
		return;
	atomic_store_explicit(&store->full_ratio, pool > stored && stored ? (double)pool / (double)stored : 1,
			      memory_order_relaxed);
	atomic_store_explicit(&store->making_room, true, memory_order_relaxed);
}

/*
 * Returns how many bytes the store would take if its pool were as dense as it was when the limit was reached.  The
 * difference to its total size is free space in the pool, which the next values use.
 */
static uint64_t dense_bytes(struct zpool_store *store)
{
	uint64_t pool = zpool_get_total_size(store->pool);
	double dense = (double)zps_contexts_sum(&store->contexts, ZPS_STORED_BYTES) *
		       atomic_load_explicit(&store->full_ratio, memory_order_relaxed);

	return zpool_store_get_total_size(store) - (dense < (double)pool ? pool - (uint64_t)dense : 0);
}

void zps_gather_room(struct zpool_store *store)
{
	(void)zpool_trim(store->pool, NULL);
	(void)zpool_compact(store->pool, COMPACT_BYTES, 0, NULL);
}

/*
 * Returns true if enough units were evicted.  Evicted objects lie scattered, so the pool can be much larger than what
 * is left in it: then free pages are released, and a driver that can compact releases more.  If the pool is still
 * larger than the target, the next values use its free space; but while it exceeds the limit, more must be evicted.
 */
static bool has_room(struct zpool_store *store, uint64_t limit)
{
	uint64_t target = limit / 100 * store->accept_percent;

	if (zpool_store_get_total_size(store) <= target)
		return true;
	if (dense_bytes(store) > target)
		return false;
	(void)zpool_trim(store->pool, NULL);
	if (zpool_store_get_total_size(store) > target)
		(void)zpool_compact(store->pool, COMPACT_BYTES, 0, NULL);
	return zpool_store_get_total_size(store) <= limit;
}

void zps_keep_making_room(struct zpool_store *store, struct zps_context *context)
{
	uint64_t limit = atomic_load_explicit(&store->limit_bytes, memory_order_relaxed);

	if (!limit && atomic_load_explicit(&store->governs, memory_order_relaxed)) /* The program has removed it. */
		limit = UINT64_MAX;
	if (atomic_load_explicit(&store->exceeded, memory_order_relaxed))
		end_excess(store, context, limit);
	if (!atomic_load_explicit(&store->making_room, memory_order_relaxed))
		return;
	if (has_room(store, limit) || zps_make_room(store, context, ZPS_ROOM_PAGES) || !limit)
		atomic_store_explicit(&store->making_room, false, memory_order_relaxed);
}

static uint64_t released_since(struct zpool_store *store, uint64_t before)
{
	uint64_t now = zpool_store_get_total_size(store);

	return now < before ? before - now : 0;
}

/* Free pages of the pool are released first, because units need not be evicted for them. */
static int shrink(struct zpool_store *store, struct zps_context *context, uint64_t bytes, uint64_t before)
{
	uint64_t done;
	int err = 0;

	(void)zpool_trim(store->pool, NULL);
	while (!err && (done = released_since(store, before)) < bytes) {
		uint64_t pages = (bytes - done - 1) / PAGE_BYTES + 1;

		err = zps_make_room(store, context, pages < SHRINK_PAGES ? (unsigned int)pages : SHRINK_PAGES);
		/* A driver that cannot compact sets an error, which is not the call's. */
		zps_errors_begin(context);
		zps_errors_note(context, err);
		(void)zpool_trim(store->pool, NULL);
		/* If units were evicted but no page became empty, compaction empties some. */
		if (released_since(store, before) <= done)
			(void)zpool_compact(store->pool, (uint64_t)SHRINK_PAGES * PAGE_BYTES, 0, NULL);
		err = zps_errors_end(context);
	}
	return released_since(store, before) >= bytes ? 0 : err;
}

int zpool_store_shrink(struct zpool_store *store, uint64_t bytes, uint64_t *released)
{
	struct zps_context *context;
	uint64_t before;
	int err;

	if (released)
		*released = 0;
	if (!store || !bytes)
		return zpool_set_error(EINVAL, "zpool_store_shrink() was given no store or no bytes.");
	if (!store->backing.present)
		return zpool_set_error(EOPNOTSUPP, "The store has no backing that units could be evicted to.");
	context = zps_context_get(&store->contexts);
	before = zpool_store_get_total_size(store);
	err = shrink(store, context, bytes, before);
	if (released)
		*released = released_since(store, before);
	zps_context_put(context);
	return err == -EAGAIN ? zpool_set_error(EAGAIN, "Nothing more can be evicted from the store at present.") : err;
}
