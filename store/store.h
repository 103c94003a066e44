/* SPDX-License-Identifier: MIT
 *
 * store.h - the store's structure, and the functions that the files of this directory share
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

/*
 * These are the ranges of keys of which the backing may hold torn units, because a direct write of them has failed; see
 * through.c.  Each call has at most one range that is not recorded yet, or not any more.
 */
#define ZPS_TORN_MAX 16

struct zps_torn_range {
	uint64_t first, last; /* are in one stripe */
};

struct zps_torn {
	pthread_mutex_t lock;
	_Atomic unsigned int count;
	_Atomic uint64_t copied_bytes; /* counts the memory of the copied values */
	struct zps_torn_range range[ZPS_TORN_MAX + ZPS_CONTEXTS_MAX];
};

struct zpool_store {
	struct zpool *pool;
	size_t unit_bytes;
	size_t header_bytes;     /* is the length of the header of an object */
	size_t raw_header_bytes; /* is the same for an object with a value as it is: header_bytes, or 0 */
	bool checks;             /* is true if objects have checksums */
	uint32_t touch;          /* has the flags that a get sets in a unit's meta */
	uint64_t unit_count;     /* is above every key; with 0, any key may be used */
	struct zps_contexts contexts;
	struct zps_index index;

	/* This lock guards the pool's limit, which is the store's limit less what all but the pool uses. */
	pthread_mutex_t limit_lock;
	_Atomic uint64_t limit_bytes; /* is 0 if there is no limit */
	uint64_t reserved_bytes;      /* are set aside for what is about to grow, and for training */
	_Atomic bool limited;
	/* This is true if the store sets the pool's limit; otherwise the pool keeps that of its spec. */
	_Atomic bool governs;
	bool spec_has_limit;

	struct zps_backing backing;
	struct zps_torn torn;
	bool evicts;     /* is true if zpool_shrink() calls zps_evict_callback() */
	bool may_exceed; /* is true if the store was opened with ZPOOL_STORE_EXCEED */
	/* This is true while the pool has no limit because the backing fails; limit_lock guards changes. */
	_Atomic bool exceeded;
	uint32_t accept_percent;
	/* This is true from when the limit is reached until the store is below its accept_percent. */
	_Atomic bool making_room;
	_Atomic double full_ratio; /* is the ratio of the pool's size to its objects' when making_room was set */
	_Atomic size_t hand;       /* is the number of the leaf at which the clock continues */

	struct zps_recompression *recompression; /* is NULL if there is no second compressor */
	struct zps_dictionaries *dictionaries;   /* is NULL if none is given and none is trained */

	pthread_mutex_t watch_lock; /* guards `watch`, and is held while its thread starts and ends */
	struct zps_watch *watch;    /* is NULL if no thread waits for memory pressure */

	/*
	 * An object's handle selects one of these locks, which keeps the object from being freed while eviction reads
	 * its key.
	 */
	pthread_mutex_t handle_lock[ZPS_HANDLE_LOCKS];
};

/* ---- limit.c ---- */
/*
 * zps_limit_reserve() is called before the index, a context or a dictionary grows, and takes the bytes from the pool's
 * limit; it returns false if the limit leaves no room.  What a put needs may exceed the limit while puts may.
 * zps_limit_release() ends the reservation after the growth or its failure, and makes the pool's limit fit what is
 * there then.
 */
bool zps_limit_reserve(struct zpool_store *store, uint64_t bytes, bool may_exceed);
void zps_limit_release(struct zpool_store *store, uint64_t bytes);

/* Allows the pool to exceed the limit, or, with `exceed` false, applies the limit again. */
void zps_limit_exceed(struct zpool_store *store, bool exceed);

/* ---- object.c ---- */
/*
 * Returns true if the value fills a unit and repeats one word, which is the case if it equals itself shifted by a word.
 */
bool zps_is_same_filled(const struct zpool_store *store, const void *data, size_t bytes);

/* An object that is to be stored; `from` is the image or, if the object has no header, the value itself. */
struct zps_packed {
	const void *from;
	size_t bytes; /* 0: there is none, because the value is same-filled */
	uint32_t meta;
};

/*
 * Builds an object in `image`, with the compressed value, or with the value as it is if there is no compressor or the
 * object would not become shorter.
 */
struct zps_packed zps_pack_with(const struct zpool_store *store, const struct zps_packer *packer, unsigned char *image,
				uint64_t key, const void *data, size_t bytes);

/* Builds an object in the context's image with the first compressor. */
static inline struct zps_packed zps_pack(const struct zpool_store *store, struct zps_context *context, uint64_t key,
					 const void *data, size_t bytes)
{
	struct zps_packer packer = { &store->contexts.choice, context->state, zps_dictionary_begin(store, context) };

	return zps_pack_with(store, &packer, context->image, key, data, bytes);
}

/* Stores a packed object in the pool, and stores its handle.  Returns 0 or -errno. */
int zps_object_new(struct zpool_store *store, const struct zps_packed *packed, unsigned long *handle);

/* Returns the length of a unit's object, which is computed from the unit's meta. */
static inline size_t zps_object_bytes(const struct zpool_store *store, uint32_t meta)
{
	return (meta >> ZPS_LENGTH_SHIFT) + (size_t)1 +
	       (meta & ZPS_RAW ? store->raw_header_bytes : store->header_bytes);
}

/*
 * Returns the version of the dictionary that a unit's object was compressed with, or 0.  The unit has an object, and
 * the caller has pinned or locked it.
 */
unsigned int zps_object_version(struct zpool_store *store, uint32_t meta, uint64_t word);

/* Returns the length of a unit's value.  The caller has pinned or locked the unit, so that its object is not freed. */
size_t zps_value_bytes(struct zpool_store *store, uint32_t meta, uint64_t word);

void zps_object_free(struct zpool_store *store, unsigned long handle);

/*
 * Reads the key from an object's header, and returns false if it cannot be read.  The key may be wrong, because the
 * object may have been freed or not been written yet; so the caller compares the handle with that of the key's unit.
 */
bool zps_object_key(struct zpool_store *store, unsigned long handle, uint64_t *key);

/*
 * Copies the value of a unit to `buf`.  The caller has pinned the unit, which is neither absent nor a hole.  Returns
 * the length of the value, or -errno with the error set.
 */
int64_t zps_value_read(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t meta,
		       uint64_t word, void *buf, size_t room);

/* ---- unit.c ---- */
/* Returns 0 if the store can have this key, and otherwise -EINVAL with the error set. */
int zps_check_key(const struct zpool_store *store, uint64_t key);

/*
 * These find the unit of a key, pin or lock it, and store its meta.  They return false if the key has no leaf; with
 * `add`, zps_lock() first adds a leaf, and returns false only if there is no memory for it.
 */
bool zps_pin(struct zpool_store *store, struct zps_context *context, uint64_t key, uint32_t flag, struct zps_unit *unit,
	     uint32_t *meta);
bool zps_lock(struct zpool_store *store, struct zps_context *context, uint64_t key, bool add, struct zps_unit *unit,
	      uint32_t *meta);

/* Returns the meta that a key's unit has at this moment, or 0 if the key has no leaf. */
uint32_t zps_peek(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* Sets the meta and the word of a locked unit, unlocks it, and frees the object that it had before. */
void zps_replace(struct zpool_store *store, struct zps_context *context, struct zps_unit unit, uint32_t old_meta,
		 uint32_t meta, uint64_t word);

/* ---- train.c ---- */
/*
 * Trains a dictionary if the store has as many values as that needs.  Each put and load calls this, with no lock held
 * and when it does not need its context's buffers any more.
 */
void zps_train_when_due(struct zpool_store *store, struct zps_context *context);

/* Returns the number of values in memory that have an object. */
uint64_t zps_object_count(const struct zpool_store *store);

/* ---- recompress.c ---- */
/* Prepares recompression; the caller has chosen the second compressor.  Returns 0, or -errno with the error set. */
int zps_recompression_init(struct zpool_store *store);
void zps_recompression_fini(struct zpool_store *store);

/*
 * Recompresses about so many idle values, for the thread that waits for memory pressure.  It continues where that
 * thread has stopped, and not where the program's own passes have.
 */
void zps_recompress_idle(struct zpool_store *store, uint64_t max_units);

/* ---- pressure.c ---- */
/* Ends the thread that waits for memory pressure, and returns false if there was none. */
bool zps_watch_end(struct zpool_store *store);

/* ---- load.c ---- */
/*
 * Reads a unit from the backing, and keeps it in memory if `is_kept` and there is room.  Returns the length of the
 * value, -EAGAIN if another thread has put the unit into memory meanwhile, or another -errno with the error set.
 */
int64_t zps_load(struct zpool_store *store, struct zps_context *context, uint64_t key, void *buf, size_t room,
		 bool is_kept);

/* ---- through.c ---- */
/*
 * Writes a value to the backing, and removes the unit from memory.  The caller holds no stripe.  Returns 0, or -errno
 * with the error set; the key then has a whole value, which is the old one if the unit was in memory or nothing was
 * written, and otherwise the new one.
 */
int zps_write_through(struct zpool_store *store, struct zps_context *context, uint64_t key, const void *data);

/*
 * Drops or zeroes units in the backing that are not in memory.  The caller holds the stripe for writing, and has called
 * zps_torn_check() before it took it.  Returns 0, or -errno with the error set; the units are then dropped or zeroed in
 * memory.
 */
int zps_fill_absent(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t count, bool drop);

/*
 * Returns 0 if another direct write may fail without exceeding ZPS_TORN_MAX.  Otherwise it first repeats direct writes
 * that have failed, and if these fail again, it returns -errno with the error set.  The caller holds no stripe.
 */
int zps_torn_check(struct zpool_store *store, struct zps_context *context);

/* Repeats all direct writes that have failed, unless their units were written meanwhile. */
void zps_torn_mend(struct zpool_store *store, struct zps_context *context);

/* Frees the copied values when the store ends. */
void zps_torn_fini(struct zpool_store *store);

/* Frees the value of a unit that was COPIED. */
void zps_copied_free(struct zpool_store *store, uint64_t word);

/* ---- writeback.c ---- */
/*
 * Writes the dirty units among the keys to the backing.  The caller holds the stripe of the keys for writing, and has
 * called zps_errors_begin(): each error is noted.  Returns 0, or the first -errno.
 */
int zps_write_units(struct zpool_store *store, struct zps_context *context, uint64_t first, uint64_t last);

/*
 * Marks a unit in memory dirty, because the backing may have lost it.  It stays dirty even if another thread is writing
 * it at this moment.
 */
void zps_spoil(struct zpool_store *store, struct zps_context *context, uint64_t key);

/* ---- evict.c ---- */
#define ZPS_ROOM_PAGES 4 /* This many pages are freed to make room for one more unit. */

/* The pool calls this function for each object that its driver offers for eviction; see struct zpool_open_args. */
int zps_evict_callback(struct zpool *pool, unsigned long handle, void *user);

/* Sets making_room, because a unit did not fit. */
void zps_begin_making_room(struct zpool_store *store);

/*
 * Evicts units from some pages.  The caller holds no stripe; the image in its context does not change.  Returns 0,
 * -EAGAIN if nothing can be evicted, or -errno of the backing with the error set.
 */
int zps_make_room(struct zpool_store *store, struct zps_context *context, unsigned int pages);

/*
 * Releases the pool's free pages, and compacts a part of the pool if its driver can.  This makes room where evicted
 * objects have left only holes.  The caller holds no stripe.
 */
void zps_gather_room(struct zpool_store *store);

/*
 * Evicts a few pages' worth of units, if the limit was reached and the store is still above its accept_percent, or if
 * the limit is exceeded.  Each put and load calls this, so that no single call pays for all of the eviction.  If only
 * the pool has a limit, which the store does not know, one call evicts once.
 */
void zps_keep_making_room(struct zpool_store *store, struct zps_context *context);

#endif
