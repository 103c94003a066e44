/* SPDX-License-Identifier: MIT
 *
 * store.h - a store, for the files of this room
 */
#ifndef ZPS_STORE_H
#define ZPS_STORE_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backing.h"
#include "context.h"
#include "index.h"
#include "zpool-store.h"

#define ZPS_HANDLE_LOCKS 64

struct zpool_store {
	struct zpool *pool;
	size_t unit_bytes;
	size_t header_bytes; /* of each object */
	bool checks;         /* objects have checksums */
	uint32_t touch;      /* the flags that a get sets in a unit's meta */
	uint64_t unit_count; /* 0: any key */
	struct zps_contexts contexts;
	struct zps_index index;

	/* Guards the limit of the pool, which is what index and contexts leave of the store's. */
	pthread_mutex_t limit_lock;
	_Atomic uint64_t limit_bytes; /* 0: none */
	uint64_t reserved_bytes;      /* of what is growing at this moment */
	_Atomic bool limited;

	struct zps_backing backing;
	bool evicts;     /* zpool_shrink() calls zps_evict_callback() */
	bool may_exceed; /* ZPOOL_STORE_EXCEED */
	_Atomic bool
		exceeded; /* the pool has no limit at present, because the backing fails; changed with limit_lock */
	uint32_t accept_percent;
	_Atomic bool making_room; /* the limit was reached, and the store is not below the accepted percentage yet */
	_Atomic size_t hand;      /* the number of the leaf where the clock goes on */

	struct zps_recompression *recompression; /* NULL: there is no second compressor */

	pthread_mutex_t watch_lock; /* guards the next one; held while its thread starts and ends */
	struct zps_watch *watch;    /* NULL: nobody waits for memory pressure */

	/* Each guards the objects whose handles it is chosen by: they are not freed while eviction reads their keys. */
	pthread_mutex_t handle_lock[ZPS_HANDLE_LOCKS];
};

/* ---- limit.c ---- */
/* Before index or contexts grow, and after they did or failed to.  false: the limit leaves no room. */
bool zps_limit_reserve(struct zpool_store *store, uint64_t bytes);
void zps_limit_release(struct zpool_store *store, uint64_t bytes);

/* Let the pool exceed the limit, and end that. */
void zps_limit_exceed(struct zpool_store *store, bool exceed);

/* ---- object.c ---- */
/* Does a value repeat one word?  It does if it equals itself one word further on. */
bool zps_is_same_filled(const struct zpool_store *store, const void *data, size_t bytes);

/* Fills an image with an object, by way of a compressor (NULL: none) with its state.  Its length. */
size_t zps_pack_with(const struct zpool_store *store, const struct zpool_store_compressor *compressor, void *state,
		     unsigned char *image, uint64_t key, const void *data, size_t bytes);

/* Fills the context's image with an object.  Its length. */
static inline size_t zps_pack(const struct zpool_store *store, struct zps_context *context, uint64_t key,
			      const void *data, size_t bytes)
{
	return zps_pack_with(store, store->contexts.choice.compressor, context->state, context->image, key, data,
			     bytes);
}

/* Stores an image in the pool.  0 or -errno; the handle, and the meta of a clean unit that holds it. */
int zps_object_new(struct zpool_store *store, const unsigned char *image, size_t bytes, unsigned long *handle,
		   uint32_t *meta);

/* The length of the value of a pinned or locked unit. */
size_t zps_value_bytes(struct zpool_store *store, uint32_t meta, uint64_t word);

void zps_object_free(struct zpool_store *store, unsigned long handle);

/* The key in an object's header, which is anything if the object was freed or is not written yet. */
bool zps_object_key(struct zpool_store *store, unsigned long handle, uint64_t *key);

/* Copies the value of a pinned unit that is neither absent nor a hole.  Its length or -errno, with the error set. */
int64_t zps_value_read(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta,
		       uint64_t word, void *buf, size_t room);

/* ---- unit.c ---- */
/* 0, or -EINVAL with the error set. */
int zps_check_key(const struct zpool_store *store, uint64_t key);

/* A key's unit, pinned or locked, and its meta.  false: it has no leaf; of zps_lock(): and no memory for one. */
bool zps_pin(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t flag, struct zps_unit *unit,
	     uint32_t *meta);
bool zps_lock(struct zpool_store *store, struct zps_context *context, uint64_t key, bool add, struct zps_unit *unit,
	      uint32_t *meta);

/* The meta of a key's unit at this moment, 0 if it has no leaf. */
uint32_t zps_peek(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* Gives a locked unit another meta and word, unlocks it, and frees what it had. */
void zps_replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, uint32_t old_meta,
		 uint32_t meta, uint64_t word);

/* ---- recompress.c ---- */
/* With the second compressor chosen.  0 or -errno with the error set. */
int zps_recompression_init(struct zpool_store *store);
void zps_recompression_fini(struct zpool_store *store);

/* ---- pressure.c ---- */
/* Ends the thread that waits for memory pressure.  Was there one? */
bool zps_watch_end(struct zpool_store *store);

/* ---- load.c ---- */
/*
 * Reads a unit from the backing, and keeps it in memory if there is room.  The length of the value, -EAGAIN: the unit
 * is in memory by now; or -errno with the error set.
 */
int64_t zps_load(struct zpool_store *store, struct zps_context *context, uint64_t key, void *buf, size_t room);

/* ---- writeback.c ---- */
/* With the stripe of the keys locked for writing: writes what is dirty.  0, or the first -errno with the error set. */
int zps_write_units(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last);

/*
 * Marks a unit in memory dirty, because the backing may have lost it.  It stays dirty even if another thread is writing
 * it at this moment.
 */
void zps_spoil(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* ---- evict.c ---- */
#define ZPS_ROOM_PAGES 4 /* for one more unit */

/* For struct zpool_open_args. */
int zps_evict_callback(struct zpool *pool, unsigned long handle, void *user);

/*
 * Evicts units from some pages.  The caller holds no stripe, and its image is kept.  0, -EAGAIN: there is nothing that
 * can be evicted; or -errno of the backing, with the error set.
 */
int zps_make_room(struct zpool_store *store, struct zps_context *context, unsigned int pages);

/* Goes on with what reaching the limit began, or with the end of an exceeded limit, for a moment. */
void zps_keep_making_room(struct zpool_store *store, struct zps_context *context);

#endif
