/* SPDX-License-Identifier: MIT
 *
 * index.h - the index, in which readers find the unit of a key without a lock
 *
 * Eight keys in a row share a leaf, found through a hash table of chains.  A unit is a word (the handle of its object,
 * or the word that it repeats) and its meta, which take 12 bytes.  With its share of the leaf's header and of the
 * table, a unit costs 16 bytes where keys are consecutive, and 128 where each is far from the others.
 *
 * Leaves lie in chunks, which are released only when the store is closed.  Each leaf has two links: when the table
 * grows, the new table uses one of them while readers still follow the other one in the old table, so that a reader
 * never misses a leaf.  A thread that changes the table holds `lock`; a walk over all leaves uses the chunks and needs
 * no lock.
 *
 * A sweep removes leaves without values.  It runs each time that as many leaves were added as a quarter of those that
 * there are, and when the limit allows no growth.  The sweep sets GONE in all units of such a leaf, unlinks it, and
 * waits for readers; then the leaf may get other keys.  A unit that is pinned or locked keeps its leaf; once GONE is
 * set, a pin or a lock is refused.
 *
 * A replaced table must not be freed, and the links of a removed leaf must not be used again, while a thread may still
 * read them.  Therefore a reader stays inside a section of its context (see context.h) from before it looks for a leaf
 * until it has pinned or locked a unit in it, and the thread that grows the table or removes leaves waits for these
 * sections.
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
 * These are the bits of a unit's meta.  PINS counts the readers, which may use the object that the word names.  A
 * writer sets LOCKED, which keeps new readers out, and waits until no reader is left before it changes the word.
 *
 * DIRTY, WRITING and REFERENCED are for stores with a backing.  DIRTY says that the unit differs from the backing.  The
 * thread that writes a dirty unit holds its stripe, and sets WRITING for that time; a put that replaces the word clears
 * WRITING, and so the unit stays dirty.  REFERENCED says that the unit was read since eviction last looked at it.
 *
 * RAW says that the object has the value as it is.  Without a backing from which the driver evicts and without
 * checksums, such an object has no header, so that it is exactly as long as the value.
 *
 * COPIED is SAME with RAW: the value is neither in the pool nor in the backing, and the word is the address of a copy;
 * see through.c.
 *
 * FRESH and SECOND are for stores with a second compressor.  FRESH says that the unit was put or read since
 * recompression last looked at it.  SECOND says that the second compressor made the object, or could not shrink a value
 * that is stored as it is.
 */
#define ZPS_STATE 0x3u
#define ZPS_ABSENT 0x0u
#define ZPS_SAME 0x1u
#define ZPS_OBJECT 0x2u
#define ZPS_HOLE 0x3u /* The unit was dropped, and the backing has not discarded it yet. */
#define ZPS_LOCKED 0x4u
#define ZPS_DIRTY 0x8u
#define ZPS_REFERENCED 0x10u
#define ZPS_WRITING 0x20u
#define ZPS_SHORT 0x40u /* The value is shorter than a unit; if it is compressed, its length is in the header. */
#define ZPS_GONE 0x80u
#define ZPS_PIN 0x100u
#define ZPS_PINS 0x1f00u
#define ZPS_RAW 0x2000u
#define ZPS_COPIED (ZPS_SAME | ZPS_RAW)
#define ZPS_FRESH 0x4000u
#define ZPS_SECOND 0x8000u
#define ZPS_PINS_MAX 0x1f00u /* This is 31 pins, while an object may be mapped 60 times. */
#define ZPS_LENGTH_SHIFT 16  /* The bits from here up are the length of the object's payload, less 1. */

struct zps_leaf {
	_Atomic(struct zps_leaf *) next[2];
	_Atomic uint64_t base; /* is the leaf's first key */
	uint64_t word[ZPS_LEAF_UNITS];
	_Atomic uint32_t meta[ZPS_LEAF_UNITS];
};

struct zps_unit {
	struct zps_leaf *leaf;
	unsigned int slot;
};

struct zps_table {
	unsigned int shift; /* is 64 - log2 of the number of buckets */
	unsigned int link;  /* says which of a leaf's two links this table uses */
	_Atomic(struct zps_leaf *) bucket[];
};

struct zps_contexts;

struct zps_index {
	_Atomic(struct zps_table *) table;
	_Atomic size_t leaf_count; /* counts all leaves that were ever made, removed ones included */
	size_t live_count;         /* counts the linked leaves */
	size_t added;              /* counts the leaves that were added since the last sweep */
	struct zps_leaf *free;     /* is the list of removed leaves, chained through word[0] */
	_Atomic size_t free_count;
	_Atomic(struct zps_leaf *) chunk[ZPS_CHUNKS];
	pthread_mutex_t lock;
	struct zps_contexts *contexts;
};

int zps_index_init(struct zps_index *index, struct zps_contexts *contexts);
void zps_index_fini(struct zps_index *index);
uint64_t zps_index_bytes(const struct zps_index *index);

/* Returns by how many bytes the index may grow at most when one leaf is added. */
uint64_t zps_index_growth_bytes(const struct zps_index *index);

/* Returns the leaf of a key, or NULL.  The caller is inside a section, or holds `lock`. */
struct zps_leaf *zps_index_find(const struct zps_index *index, uint64_t key);

/*
 * Starts to load the leaf that a key probably has: the first one of the chain, because only that one is known without
 * waiting.  The caller is inside a section, or holds `lock`.
 */
void zps_index_prefetch(const struct zps_index *index, uint64_t key);

/*
 * Adds the leaf of a key if there is none, and returns false if there is no memory.  The caller is outside a section.
 */
bool zps_index_add(struct zps_index *index, uint64_t key);

/* Removes empty leaves, and returns how many leaves can be used again.  The caller is outside a section. */
size_t zps_index_sweep(struct zps_index *index);

/* Returns the leaf with a number, which is below leaf_count.  The leaf may be a removed one. */
struct zps_leaf *zps_index_leaf(const struct zps_index *index, size_t number);

/*
 * Pins a unit for a reader, and sets `flag` in its meta unless the unit is absent.  Returns the meta from before,
 * without the pins; if it has GONE, the unit is not pinned.
 */
uint32_t zps_unit_pin(struct zps_unit unit, uint32_t flag);
void zps_unit_unpin(struct zps_unit unit);

/* Turns the caller's pin into a lock.  Returns false if other threads use the unit; then the pin is still held. */
bool zps_unit_upgrade(struct zps_unit unit, uint32_t *meta);

/*
 * Locks a unit for a writer.  Returns the meta from before, without LOCKED; if it has GONE, the unit is not locked.
 * zps_unit_unlock() sets the meta.
 */
uint32_t zps_unit_lock(struct zps_unit unit);
void zps_unit_unlock(struct zps_unit unit, uint32_t meta);

static inline uint32_t zps_unit_meta(struct zps_unit unit)
{
	return atomic_load_explicit(&unit.leaf->meta[unit.slot], memory_order_relaxed);
}

static inline bool zps_is_copied(uint32_t meta)
{
	return (meta & (ZPS_STATE | ZPS_RAW)) == ZPS_COPIED;
}

static inline uint64_t zps_leaf_base(const struct zps_leaf *leaf)
{
	return atomic_load_explicit(&leaf->base, memory_order_relaxed);
}

#endif
