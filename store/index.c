/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "context.h"
#include "index.h"

#define FIRST_TABLE_BITS 6
#define LOAD_MAX 2 /* The table grows when there are more leaves per bucket. */

static size_t table_bytes(unsigned int bits)
{
	return sizeof(struct zps_table) + (sizeof(struct zps_leaf *) << bits);
}

static unsigned int bits_of(const struct zps_table *table)
{
	return 64 - table->shift;
}

static struct zps_table *table_new(unsigned int bits, unsigned int link)
{
	struct zps_table *table = calloc(1, table_bytes(bits));

	if (table) {
		table->shift = 64 - bits;
		table->link = link;
	}
	return table;
}

static size_t bucket_of(const struct zps_table *table, uint64_t base)
{
	return (size_t)(((base / ZPS_LEAF_UNITS) * UINT64_C(0x9e3779b97f4a7c15)) >> table->shift);
}

int zps_index_init(struct zps_index *index, struct zps_contexts *contexts)
{
	struct zps_table *table = table_new(FIRST_TABLE_BITS, 0);

	if (!table)
		return -ENOMEM;
	pthread_mutex_init(&index->lock, NULL);
	index->contexts = contexts;
	atomic_store(&index->table, table);
	return 0;
}

/* Chunk n has twice as many leaves as chunk n - 1, and leaf numbers continue from one chunk to the next. */
static size_t chunk_leaves(unsigned int chunk)
{
	return (size_t)ZPS_FIRST_CHUNK_LEAVES << chunk;
}

static unsigned int chunk_of(size_t number, size_t *within)
{
	size_t scaled = number / ZPS_FIRST_CHUNK_LEAVES + 1;
	unsigned int chunk = 63 - (unsigned int)__builtin_clzll(scaled);

	*within = number - ZPS_FIRST_CHUNK_LEAVES * (((size_t)1 << chunk) - 1);
	return chunk;
}

void zps_index_fini(struct zps_index *index)
{
	if (!atomic_load(&index->table))
		return;
	for (unsigned int i = 0; i < ZPS_CHUNKS; i++)
		if (atomic_load(&index->chunk[i]))
			munmap(atomic_load(&index->chunk[i]), chunk_leaves(i) * sizeof(struct zps_leaf));
	free(atomic_load(&index->table));
	pthread_mutex_destroy(&index->lock);
}

/* Returns true if a leaf is linked in the table; a removed leaf has GONE in every unit.  The caller holds `lock`. */
static bool is_linked(const struct zps_leaf *leaf)
{
	return !(atomic_load_explicit(&leaf->meta[0], memory_order_relaxed) & ZPS_GONE);
}

static uint64_t touched_bytes(size_t leaves)
{
	return (leaves * sizeof(struct zps_leaf) + 4095) & ~UINT64_C(4095);
}

uint64_t zps_index_bytes(const struct zps_index *index)
{
	size_t leaves = atomic_load_explicit(&index->leaf_count, memory_order_relaxed);
	unsigned int bits = FIRST_TABLE_BITS;

	while (leaves > (size_t)LOAD_MAX << bits)
		bits++;
	return touched_bytes(leaves) + table_bytes(bits);
}

uint64_t zps_index_growth_bytes(const struct zps_index *index)
{
	size_t leaves = atomic_load_explicit(&index->leaf_count, memory_order_relaxed);
	unsigned int bits = FIRST_TABLE_BITS;
	uint64_t bytes = touched_bytes(leaves + 1) - touched_bytes(leaves);

	if (atomic_load_explicit(&index->free_count, memory_order_relaxed))
		return 0;
	while (leaves > (size_t)LOAD_MAX << bits)
		bits++;
	/* While the table grows, the old one and the new one exist together. */
	return leaves + 1 > (size_t)LOAD_MAX << bits ? bytes + table_bytes(bits + 1) : bytes;
}

struct zps_leaf *zps_index_leaf(const struct zps_index *index, size_t number)
{
	size_t within;
	unsigned int chunk = chunk_of(number, &within);

	return atomic_load_explicit(&index->chunk[chunk], memory_order_acquire) + within;
}

struct zps_leaf *zps_index_find(const struct zps_index *index, uint64_t key)
{
	const struct zps_table *table = atomic_load(&index->table);
	uint64_t base = key & ~(uint64_t)(ZPS_LEAF_UNITS - 1);
	/* These loads are sequentially consistent because of unlink_leaf(). */
	struct zps_leaf *leaf = atomic_load(&table->bucket[bucket_of(table, base)]);

	while (leaf && zps_leaf_base(leaf) != base)
		leaf = atomic_load(&leaf->next[table->link]);
	return leaf;
}

void zps_index_prefetch(const struct zps_index *index, uint64_t key)
{
	const struct zps_table *table = atomic_load(&index->table);
	size_t bucket = bucket_of(table, key & ~(uint64_t)(ZPS_LEAF_UNITS - 1));
	const struct zps_leaf *leaf = atomic_load_explicit(&table->bucket[bucket], memory_order_acquire);

	if (!leaf)
		return;
	__builtin_prefetch(&leaf->base);
	__builtin_prefetch(&leaf->word[key % ZPS_LEAF_UNITS], 1);
	__builtin_prefetch(&leaf->meta[key % ZPS_LEAF_UNITS], 1);
}

static void link_leaf(struct zps_table *table, struct zps_leaf *leaf)
{
	_Atomic(struct zps_leaf *) *bucket = &table->bucket[bucket_of(table, zps_leaf_base(leaf))];

	atomic_store_explicit(&leaf->next[table->link], atomic_load_explicit(bucket, memory_order_relaxed),
			      memory_order_relaxed);
	atomic_store_explicit(bucket, leaf, memory_order_release);
}

/*
 * Grows the table if it is too full; if there is no memory, the old one still works, with longer chains.  The caller
 * holds `lock`.
 */
static void grow(struct zps_index *index, size_t leaves)
{
	struct zps_table *old = atomic_load(&index->table);
	struct zps_table *table;

	if (leaves <= (size_t)LOAD_MAX << bits_of(old))
		return;
	table = table_new(bits_of(old) + 1, !old->link);
	if (!table)
		return;
	for (size_t i = 0; i < leaves; i++)
		if (is_linked(zps_index_leaf(index, i)))
			link_leaf(table, zps_index_leaf(index, i));
	atomic_store(&index->table, table);
	zps_contexts_wait(index->contexts);
	free(old);
}

/* Returns the memory for the next leaf, filled with zeroes, or NULL.  The caller holds `lock`. */
static struct zps_leaf *new_leaf(struct zps_index *index, size_t number)
{
	size_t within;
	unsigned int chunk = chunk_of(number, &within);
	struct zps_leaf *leaves;

	if (chunk >= ZPS_CHUNKS)
		return NULL;
	leaves = atomic_load(&index->chunk[chunk]);
	if (!leaves) {
		leaves = mmap(NULL, chunk_leaves(chunk) * sizeof(*leaves), PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (leaves == MAP_FAILED)
			return NULL;
#ifdef MADV_NOHUGEPAGE
		(void)madvise(leaves, chunk_leaves(chunk) * sizeof(*leaves), MADV_NOHUGEPAGE);
#endif
		atomic_store_explicit(&index->chunk[chunk], leaves, memory_order_release);
	}
	return leaves + within;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Removing leaves
 */

/* Sets GONE in all units of a leaf; returns false if one has a value or is in use.  The caller holds `lock`. */
static bool retire(struct zps_leaf *leaf)
{
	unsigned int slot;

	for (slot = 0; slot < ZPS_LEAF_UNITS; slot++)
		if (atomic_load_explicit(&leaf->meta[slot], memory_order_relaxed))
			return false;
	for (slot = 0; slot < ZPS_LEAF_UNITS; slot++) {
		uint32_t empty = 0;

		if (!atomic_compare_exchange_strong_explicit(&leaf->meta[slot], &empty, ZPS_GONE, memory_order_acquire,
							     memory_order_relaxed))
			break;
	}
	if (slot == ZPS_LEAF_UNITS)
		return true;
	while (slot--)
		atomic_store_explicit(&leaf->meta[slot], 0, memory_order_release);
	return false;
}

/*
 * The store is sequentially consistent, as zps_section_begin() requires: a section that zps_contexts_wait() does not
 * see finds the leaf no more.  The caller holds `lock`.
 */
static void unlink_leaf(struct zps_table *table, struct zps_leaf *leaf)
{
	_Atomic(struct zps_leaf *) *at = &table->bucket[bucket_of(table, zps_leaf_base(leaf))];

	while (atomic_load_explicit(at, memory_order_relaxed) != leaf)
		at = &atomic_load_explicit(at, memory_order_relaxed)->next[table->link];
	atomic_store(at, atomic_load_explicit(&leaf->next[table->link], memory_order_relaxed));
}

/* Moves the leaves without values to the list of removed leaves.  The caller holds `lock`. */
static void sweep(struct zps_index *index)
{
	size_t leaves = atomic_load(&index->leaf_count);
	struct zps_leaf *retired = NULL;
	size_t count = 0;

	index->added = 0;
	for (size_t i = 0; i < leaves; i++) {
		struct zps_leaf *leaf = zps_index_leaf(index, i);

		if (!is_linked(leaf) || !retire(leaf))
			continue;
		unlink_leaf(atomic_load(&index->table), leaf);
		leaf->word[0] = (uint64_t)(uintptr_t)retired;
		retired = leaf;
		count++;
	}
	if (!count)
		return;
	zps_contexts_wait(index->contexts);
	while (retired) {
		struct zps_leaf *next = (struct zps_leaf *)(uintptr_t)retired->word[0];

		retired->word[0] = (uint64_t)(uintptr_t)index->free;
		index->free = retired;
		retired = next;
	}
	index->live_count -= count;
	atomic_fetch_add_explicit(&index->free_count, count, memory_order_relaxed);
}

size_t zps_index_sweep(struct zps_index *index)
{
	size_t count;

	pthread_mutex_lock(&index->lock);
	if (!index->free)
		sweep(index);
	count = atomic_load_explicit(&index->free_count, memory_order_relaxed);
	pthread_mutex_unlock(&index->lock);
	return count;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Adding leaves
 */

/* Takes a removed leaf for the keys from `base` on, and does not link it yet.  The caller holds `lock`. */
static struct zps_leaf *reuse_leaf(struct zps_index *index, uint64_t base)
{
	struct zps_leaf *leaf = index->free;

	index->free = (struct zps_leaf *)(uintptr_t)leaf->word[0];
	atomic_fetch_sub_explicit(&index->free_count, 1, memory_order_relaxed);
	leaf->word[0] = 0;
	atomic_store_explicit(&leaf->base, base, memory_order_relaxed);
	for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
		atomic_store_explicit(&leaf->meta[slot], 0, memory_order_release);
	return leaf;
}

/* Returns false if there is no memory.  The caller holds `lock`. */
static bool add_leaf(struct zps_index *index, uint64_t base)
{
	size_t leaves = atomic_load(&index->leaf_count);
	struct zps_leaf *leaf;

	if (!index->free && index->added > leaves / 4 + ZPS_FIRST_CHUNK_LEAVES)
		sweep(index);
	if (index->free) {
		leaf = reuse_leaf(index, base);
		link_leaf(atomic_load(&index->table), leaf);
	} else {
		leaf = new_leaf(index, leaves);
		if (!leaf)
			return false;
		atomic_store_explicit(&leaf->base, base, memory_order_relaxed);
		/*
		 * The leaf is counted first.  Otherwise another thread could put a value in it that its own flush,
		 * which walks over the leaves that are counted, would not find.
		 */
		atomic_store_explicit(&index->leaf_count, leaves + 1, memory_order_release);
		link_leaf(atomic_load(&index->table), leaf);
		grow(index, leaves + 1);
	}
	index->added++;
	index->live_count++;
	return true;
}

bool zps_index_add(struct zps_index *index, uint64_t key)
{
	bool added = true;

	pthread_mutex_lock(&index->lock);
	if (!zps_index_find(index, key))
		added = add_leaf(index, key & ~(uint64_t)(ZPS_LEAF_UNITS - 1));
	pthread_mutex_unlock(&index->lock);
	return added;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Units
 */

uint32_t zps_unit_pin(struct zps_unit unit, uint32_t flag)
{
	_Atomic uint32_t *meta = &unit.leaf->meta[unit.slot];
	uint32_t old = atomic_load_explicit(meta, memory_order_relaxed);
	unsigned int turn = 0;

	for (;;) {
		if (old & ZPS_GONE)
			return old;
		if ((old & ZPS_LOCKED) || (old & ZPS_PINS) >= ZPS_PINS_MAX) {
			zps_pause(&turn);
			old = atomic_load_explicit(meta, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(meta, &old,
								 (old + ZPS_PIN) | (old & ZPS_STATE ? flag : 0),
								 memory_order_acquire, memory_order_relaxed)) {
			return old & ~ZPS_PINS;
		}
	}
}

void zps_unit_unpin(struct zps_unit unit)
{
	atomic_fetch_sub_explicit(&unit.leaf->meta[unit.slot], ZPS_PIN, memory_order_release);
}

uint32_t zps_unit_lock(struct zps_unit unit)
{
	_Atomic uint32_t *meta = &unit.leaf->meta[unit.slot];
	uint32_t old = atomic_load_explicit(meta, memory_order_relaxed);
	unsigned int turn = 0;

	for (;;) {
		if (old & ZPS_GONE)
			return old;
		if (old & ZPS_LOCKED) {
			zps_pause(&turn);
			old = atomic_load_explicit(meta, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(meta, &old, old | ZPS_LOCKED, memory_order_acquire,
								 memory_order_relaxed)) {
			break;
		}
	}
	turn = 0;
	while ((old = atomic_load_explicit(meta, memory_order_acquire)) & ZPS_PINS)
		zps_pause(&turn);
	return old & ~ZPS_LOCKED;
}

void zps_unit_unlock(struct zps_unit unit, uint32_t meta)
{
	atomic_store_explicit(&unit.leaf->meta[unit.slot], meta, memory_order_release);
}

/*
 * The number of attempts is bounded, and a lock ends them: a writer that has set LOCKED waits until the caller's pin is
 * gone.
 */
bool zps_unit_upgrade(struct zps_unit unit, uint32_t *meta)
{
	_Atomic uint32_t *at = &unit.leaf->meta[unit.slot];
	uint32_t old = atomic_load_explicit(at, memory_order_relaxed);

	for (unsigned int turn = 0; turn < 32;) {
		if (old & ZPS_LOCKED)
			return false;
		*meta = old & ~ZPS_PINS;
		if ((old & ZPS_PINS) == ZPS_PIN &&
		    atomic_compare_exchange_weak_explicit(at, &old, *meta | ZPS_LOCKED, memory_order_acquire,
							  memory_order_relaxed))
			return true;
		zps_pause(&turn);
		old = atomic_load_explicit(at, memory_order_relaxed);
	}
	return false;
}
