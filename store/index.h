/* SPDX-License-Identifier: MIT
 *
 * index.h - from a key to its unit, which readers walk without a lock
 *
 * Eight keys in a row share a leaf, found through a hash table of chains.  A unit is a word (the handle of its object,
 * or the word that it repeats) and its meta, 12 bytes; with its share of the leaf's head and of the table it costs 16
 * bytes where keys come in rows, and 128 where each is alone.
 *
 * Leaves lie in chunks that are never given back before the end, and each has two links: a table that grows is linked
 * through one while readers follow the other in the table before, so that a reader never misses a leaf.  What changes
 * the table holds `lock`; a walk over all leaves goes through the chunks and needs none.
 *
 * A leaf without values is removed by a sweep, which runs each time that a quarter as many leaves as there are were
 * added, and where the limit allows no growth.  The sweep sets GONE in all units of such a leaf, unlinks it, and waits
 * for readers; then the leaf may get other keys.  A pin or a lock prevents that, and is refused where it comes too
 * late.
 *
 * A table that was replaced must not be freed while somebody reads it, nor may links be used again: readers are inside
 * a section of their context (see context.h) from before they look for a leaf until they have pinned or locked a unit
 * in it, and the thread that grows the table or removes leaves waits for them.
 */
#ifndef ZPS_INDEX_H
#define ZPS_INDEX_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZPS_LEAF_UNITS 8
#define ZPS_CHUNKS 32
#define ZPS_FIRST_CHUNK_LEAVES 64

/*
 * Meta.  PINS counts readers, who may use what the word names; a writer sets LOCKED, which keeps new readers out, and
 * waits until they are gone before it changes the word.
 *
 * DIRTY, WRITING and REFERENCED are for stores with a backing.  DIRTY: the unit differs from the backing.  WRITING is
 * set while a dirty unit is written, by the holder of its stripe; a writer that replaces the word clears it, and so the
 * unit stays dirty.  REFERENCED: it was read since eviction last came by.
 *
 * FRESH and SECOND are for stores with a second compressor.  FRESH: the unit was put or read since recompression last
 * came by.  SECOND: the object is the second compressor's, or the value as it is if that could not shrink it either.
 */
#define ZPS_STATE 0x3u
#define ZPS_ABSENT 0x0u
#define ZPS_SAME 0x1u
#define ZPS_OBJECT 0x2u
#define ZPS_HOLE 0x3u /* dropped, and the backing has still to discard it */
#define ZPS_LOCKED 0x4u
#define ZPS_DIRTY 0x8u
#define ZPS_REFERENCED 0x10u
#define ZPS_WRITING 0x20u
#define ZPS_SHORT 0x40u /* the value is shorter than a unit, so the object's header has its length */
#define ZPS_GONE 0x80u
#define ZPS_PIN 0x100u
#define ZPS_PINS 0x3f00u
#define ZPS_FRESH 0x4000u
#define ZPS_SECOND 0x8000u
#define ZPS_PINS_MAX 0x2000u /* well below the 60 times that an object may be mapped */
#define ZPS_LENGTH_SHIFT 16  /* of an object's payload, less 1 */

struct zps_leaf {
	_Atomic(struct zps_leaf *) next[2];
	_Atomic uint64_t base; /* its first key */
	uint64_t word[ZPS_LEAF_UNITS];
	_Atomic uint32_t meta[ZPS_LEAF_UNITS];
};

struct zps_unit {
	struct zps_leaf *leaf;
	unsigned int slot;
};

struct zps_table {
	unsigned int shift; /* 64 - log2 of the number of buckets */
	unsigned int link;
	_Atomic(struct zps_leaf *) bucket[];
};

struct zps_contexts;

struct zps_index {
	_Atomic(struct zps_table *) table;
	_Atomic size_t leaf_count; /* that ever were; `free` ones included */
	size_t live_count;         /* linked ones */
	size_t added;              /* since the last sweep */
	struct zps_leaf *free;     /* chained through word[0] */
	_Atomic size_t free_count;
	_Atomic(struct zps_leaf *) chunk[ZPS_CHUNKS];
	pthread_mutex_t lock;
	struct zps_contexts *contexts;
};

int zps_index_init(struct zps_index *index, struct zps_contexts *contexts);
void zps_index_fini(struct zps_index *index);
uint64_t zps_index_bytes(const struct zps_index *index);

/* What adding a leaf may take at most beside what is there. */
uint64_t zps_index_growth_bytes(const struct zps_index *index);

/* Inside a section.  The leaf of a key, or NULL. */
struct zps_leaf *zps_index_find(const struct zps_index *index, uint64_t key);

/* Outside a section.  Adds the leaf of a key if there is none.  false: no memory. */
bool zps_index_add(struct zps_index *index, uint64_t key);

/* Outside a section.  Removes empty leaves.  How many there are to be used again. */
size_t zps_index_sweep(struct zps_index *index);

/* Every leaf has a number, from 0 up to leaf_count; it may be one that is free. */
struct zps_leaf *zps_index_leaf(const struct zps_index *index, size_t number);

/*
 * A reader's hold on a unit, which adds a flag to the meta of one that is not absent.  The meta as it was, without
 * pins; GONE: there is no hold.
 */
uint32_t zps_unit_pin(struct zps_unit unit, uint32_t flag);
void zps_unit_unpin(struct zps_unit unit);

/* Makes a lock of the only pin.  false: others use the unit, and the pin is still there. */
bool zps_unit_upgrade(struct zps_unit unit, uint32_t *meta);

/* A writer's.  The meta as it was, without LOCKED; GONE: there is no hold.  Unlocking sets the meta. */
uint32_t zps_unit_lock(struct zps_unit unit);
void zps_unit_unlock(struct zps_unit unit, uint32_t meta);

static inline uint32_t zps_unit_meta(struct zps_unit unit)
{
	return atomic_load_explicit(&unit.leaf->meta[unit.slot], memory_order_relaxed);
}

static inline uint64_t zps_leaf_base(const struct zps_leaf *leaf)
{
	return atomic_load_explicit(&leaf->base, memory_order_relaxed);
}

#endif
