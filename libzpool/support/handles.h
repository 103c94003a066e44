/* SPDX-License-Identifier: MIT
 *
 * handles.h - the handle table: from the number that a caller holds to the place where the object is
 *
 * A slot of the table is a 64-bit word, followed by a payload if the driver wants one (a multiple of 8 bytes):
 *
 *     63        42 41    36 35                 0
 *     generation   state    location               (the location is the driver's: a page and a place in it)
 *
 *     state 0       dead: free, or taken and not yet published; location: link of the group's free list
 *           1       live
 *           2..61   live and mapped 1 to 60 times
 *           62      being freed
 *           63      being moved
 *
 * A handle names a slot and the generation that it had when the object was stored:
 *
 *     64-bit:  tag 10 | generation 22 | slot 32       the tag is random, one a pool
 *     32-bit:           generation 12 | slot 20
 *
 * Slot 0 is never handed out, so no handle is 0.
 *
 * Stale handles.  The generation goes up with each free.  It starts at a keyed hash of the slot; when it would come
 * back to the start, after 2^22 lives, the slot is retired and never handed out again.  So no two objects of a pool
 * ever had the same handle, and a stale one is refused for certain.  The narrow layout has too few slots and
 * generations to give any up: there slots live on, and a stale handle passes again when 2^12 objects have come and
 * gone in its slot.
 *
 * Foreign and invented handles.  Tag and start are secrets of the pool, evenly spread, so a handle that was not taken
 * from the table meets a live slot's with probability 2^-32 at most (2^-12 on 32-bit machines).
 *
 * Groups.  512 slots are a group, the unit in which memory is committed (one page without payload).  Slots are given
 * from the lowest group with room, last freed first.  A group in which no slot is taken may give its memory back: it
 * is then dormant, its words read as zero (dead), and of its generations only the floor is kept, in the group's
 * record: how many lives the slot that had most of them has spent.  When it is woken, all its slots start at that
 * floor, so stale handles stay refused; a group with a retired slot never wakes.  Only with the system's
 * page source do groups fall dormant, for other sources may forbid reading what was taken back.
 *
 * Addresses.  Blocks of groups are reserved as the table grows, each as large as all before it; a slot's address never
 * changes and belongs to nothing else until zp_handles_fini(), and `slots` is the number of slots whose memory was
 * committed once.  So anybody may read the word of any slot below `slots` at any time, without a lock.
 *
 * Memory ordering.  Everything about an object that others must see is written before its word is: publish and
 * end_move store with release, and pin loads with acquire (its compare-and-swap), so whoever has pinned sees the
 * object's bytes, its payload and the location's page table.  unpin is a release and begin_free and begin_move
 * acquire: the state they take the slot from (1) was stored by the last unpin, and each unpin before it stands in the
 * same release sequence, so whatever readers did while they had the object mapped comes before it is freed or moved.
 * A reader of a stale handle compares generations in the word that it loaded, and its compare-and-swap succeeds only
 * on that very word.  `slots` is stored with release after the block's address and loaded with acquire.
 *
 * Who may do what: between begin_free and end_free, and between begin_move and end_move, the slot is the caller's
 * alone.  pin, lookup and begin_free that meet a slot being moved wait for the end, which must come soon and under no
 * lock that they hold; one being freed is dead to them.
 */
#ifndef ZP_SUPPORT_HANDLES_H
#define ZP_SUPPORT_HANDLES_H

#include <errno.h>
#include <limits.h>

#include "pages.h"
#include "secret.h"

/* Tests set it to 1 to have the layout of 32-bit machines. */
#ifndef ZP_HANDLE_NARROW
#define ZP_HANDLE_NARROW (ULONG_MAX <= 0xffffffffu)
#endif

#if ZP_HANDLE_NARROW
#define ZP_HANDLE_SLOT_BITS 20
#define ZP_HANDLE_GENERATION_BITS 12
#define ZP_HANDLE_TAG_BITS 0
#else
#define ZP_HANDLE_SLOT_BITS 32
#define ZP_HANDLE_GENERATION_BITS 22
#define ZP_HANDLE_TAG_BITS 10
#endif

/* Is a slot given up when its generations are used up? */
#define ZP_HANDLE_RETIRE (!ZP_HANDLE_NARROW)

#define ZP_LOCATION_BITS 36
#define ZP_LOCATION_MASK ((UINT64_C(1) << ZP_LOCATION_BITS) - 1)
#define ZP_STATE_SHIFT 36
#define ZP_GENERATION_SHIFT 42
#define ZP_STATE_UNIT (UINT64_C(1) << ZP_STATE_SHIFT)

enum { ZP_STATE_DEAD = 0, ZP_STATE_LIVE = 1, ZP_STATE_FREEING = 62, ZP_STATE_MOVING = 63 };
enum { ZP_PINS_MAX = 60 };

enum { ZP_GROUP_SHIFT = 9, ZP_GROUP_SLOTS = 1 << ZP_GROUP_SHIFT };

/* Block 0 has 2^16 slots, block k the 2^(15+k) that follow. */
enum { ZP_TABLE_FIRST_SHIFT = 16, ZP_TABLE_BLOCKS = ZP_HANDLE_SLOT_BITS - ZP_TABLE_FIRST_SHIFT + 1 };

#define ZP_SLOT_NONE UINT32_C(0)

/* A group's record; guarded by the table's lock, save that `taken` may be read without. */
struct zp_group {
	uint32_t floor;          /* lives that every slot has spent; 2^generation_bits: the group is spent for good */
	uint32_t next;           /* of the dormant list */
	_Atomic(uint16_t) taken; /* slots that are neither free nor retired */
	uint16_t fresh;          /* slots handed out since the group woke; the words behind are dead and tell nothing */
	uint16_t head;           /* of the free list, ZP_GROUP_SLOTS: empty */
	uint16_t retired;
};

/* Where a block keeps its groups' records, and which groups (and which words of that map) have room. */
struct zp_table_block {
	struct zp_group *groups;
	uint64_t *room;
	uint64_t *room_words;
	void *base;
	size_t bytes;
	size_t head_bytes; /* records and maps, all committed */
};

struct zp_handles {
	/* Read by everybody without a lock; written when the table grows. */
	_Atomic(uint32_t) slots; /* those below may be read */
	uint32_t tag;            /* in place, above the generation */
	uint32_t stride_bytes;   /* word and payload */
	uint32_t generation_mask;
	uint64_t secret;
	uintptr_t slot_base[ZP_TABLE_BLOCKS]; /* address that slot 0 would have if the block began with it */
	char separate[64];

	struct zp_pages *pages;
	struct zp_lock lock;
	struct zp_table_block blocks[ZP_TABLE_BLOCKS];
	uint32_t blocks_with_room; /* a bit each */
	uint32_t groups;           /* woken at least once */
	uint32_t groups_awake;     /* committed */
	uint32_t groups_idle;      /* of these without a slot taken */
	uint32_t groups_leaving;   /* on their way to be dormant */
	uint32_t top;              /* no group at or above it is awake */
	uint32_t dormant;          /* head of the list, ZP_GROUP_NONE */
	_Atomic(uint64_t) taken;
};

/*
 * payload_bytes: a multiple of 8.  generation_bits: 0 for all there are; tests take few, to see slots retire.  The
 * pages are the driver's, and stay until after fini.  0 or -ENOMEM.
 */
int zp_handles_init(struct zp_handles *handles, struct zp_pages *pages, size_t payload_bytes,
		    unsigned int generation_bits);
void zp_handles_fini(struct zp_handles *handles);

/*
 * The life of a slot: bind, then any number of times publish, begin_free and end_free, then unbind.  A bound slot that
 * is not published is dead, belongs to the caller and remembers the last location that it was given.
 *
 * bind: takes up to `count` slots.  Returns how many (at least 1), -ENOMEM: table, limit or source are at their end, or
 * (NOWAIT) no committed group has room; -EAGAIN: (NOWAIT) the lock is taken; or what the source gave.
 */
int zp_handles_bind(struct zp_handles *handles, zpool_gfp_t gfp, uint32_t *slots, unsigned int count);

/* Gives bound slots back to the table. */
void zp_handles_unbind(struct zp_handles *handles, const uint32_t *slots, unsigned int count);

/* The slow path of zp_handles_end_free(): the slot's generations are used up. */
void zp_handles_retire(struct zp_handles *handles, uint32_t slot);

/* end_free and unbind in one, for drivers that bind a slot for each object. */
void zp_handles_release(struct zp_handles *handles, uint32_t slot);

/*
 * The same to move the object, for those who know its slot: 0 and *location; -EINVAL: not live; -EBUSY: mapped, or
 * somebody else is moving it.
 */
int zp_handles_begin_move(struct zp_handles *handles, uint32_t slot, uint64_t *location);
void zp_handles_end_move(struct zp_handles *handles, uint32_t slot, uint64_t location);

/* Where a live object is, now.  Without a pin the driver must know by a lock of its own that it stays. */
int zp_handles_lookup(struct zp_handles *handles, unsigned long handle, uint64_t *location);

/* Is the object mapped, or in the hands of somebody who frees or moves it?  false too where it is not live. */
bool zp_handles_is_pinned(struct zp_handles *handles, unsigned long handle);

/* How many live slots are mapped.  Looks at every slot that is taken; without a lock. */
uint64_t zp_handles_mapped(struct zp_handles *handles);

/*
 * Visit every live slot, in order, without a lock; fn may call everything but fini.  Slots that come or go meanwhile
 * may be seen or not.  0, or what fn returned if that was not 0.
 */
int zp_handles_each(struct zp_handles *handles, int (*fn)(unsigned long handle, uint64_t location, void *user),
		    void *user);

/* Slots below this have words that may be read. */
static inline uint32_t zp_handles_slots(struct zp_handles *handles)
{
	return atomic_load_explicit(&handles->slots, memory_order_acquire);
}

/* Slots taken, published or not. */
static inline uint64_t zp_handles_taken(struct zp_handles *handles)
{
	return atomic_load_explicit(&handles->taken, memory_order_relaxed);
}

/* Let every idle group fall dormant.  *released in bytes. */
void zp_handles_trim(struct zp_handles *handles, uint64_t *released);

/* A few of them, those with the highest numbers.  Returns how many; 0: there is none, or the source refused. */
uint32_t zp_handles_trim_some(struct zp_handles *handles);

/* Groups that could fall dormant. */
uint32_t zp_handles_idle_groups(struct zp_handles *handles);

/* As zp_pages_fork(), and before it.  A slot that another thread was freeing at that moment stays so in the child. */
void zp_handles_fork(struct zp_handles *handles, enum zpool_fork_phase phase);

/* Check counts, free lists and maps against each other: NULL, or a sentence that names what is wrong. */
const char *zp_handles_verify(struct zp_handles *handles);

/* ---- the hot paths ---- */

typedef _Atomic(uint64_t) zp_word;

/* Compare and swap, of a word that was just loaded. */
static inline bool zp_word_change(zp_word *at, uint64_t *word, uint64_t to, memory_order order)
{
	if (zp_is_single_threaded()) {
		atomic_store_explicit(at, to, memory_order_relaxed);
		return true;
	}
	return atomic_compare_exchange_strong_explicit(at, word, to, order, memory_order_relaxed);
}

static inline unsigned int zp_table_block_of(uint32_t slot)
{
	return ZP_TABLE_FIRST_SHIFT - (unsigned int)__builtin_clz(slot | ((1u << ZP_TABLE_FIRST_SHIFT) - 1));
}

static inline zp_word *zp_handles_word(struct zp_handles *handles, uint32_t slot)
{
	return (zp_word *)(handles->slot_base[zp_table_block_of(slot)] + (uintptr_t)slot * handles->stride_bytes);
}

static inline void *zp_handles_payload(struct zp_handles *handles, uint32_t slot)
{
	return zp_handles_word(handles, slot) + 1;
}

static inline uint32_t zp_handle_slot(unsigned long handle)
{
	return (uint32_t)((uint64_t)handle & ((UINT64_C(1) << ZP_HANDLE_SLOT_BITS) - 1));
}

/* The word's generation and the handle's, with the tag taken out: a foreign tag leaves bits that no generation has. */
static inline uint32_t zp_handle_generation(const struct zp_handles *handles, unsigned long handle)
{
	return (uint32_t)((uint64_t)handle >> ZP_HANDLE_SLOT_BITS) ^ handles->tag;
}

static inline uint32_t zp_word_generation(uint64_t word)
{
	return (uint32_t)(word >> ZP_GENERATION_SHIFT);
}

static inline unsigned int zp_word_state(uint64_t word)
{
	return (unsigned int)(word >> ZP_STATE_SHIFT) & 63;
}

static inline unsigned long zp_handle_make(const struct zp_handles *handles, uint32_t slot, uint32_t generation)
{
	return (unsigned long)((uint64_t)(handles->tag ^ generation) << ZP_HANDLE_SLOT_BITS | slot);
}

static inline uint64_t zp_dead_word(uint32_t generation, uint64_t link)
{
	return (uint64_t)generation << ZP_GENERATION_SHIFT | link;
}

/* The low bits of the first generation are the same for all slots of a table, and as secret as the tag. */
enum { ZP_START_COMMON_BITS = 10 };

/* The generation of a slot's first life. */
static inline uint32_t zp_slot_start(const struct zp_handles *handles, uint32_t slot)
{
	const uint32_t common = (1u << ZP_START_COMMON_BITS) - 1;
	uint32_t spread = (uint32_t)(zp_mix(handles->secret ^ slot) >> 40);

	return ((spread & ~common) | ((uint32_t)handles->secret & common)) & handles->generation_mask;
}

/* Is a generation the one that follows a slot's last?  Nearly always the common bits suffice to say no. */
static inline bool zp_slot_is_spent(const struct zp_handles *handles, uint32_t slot, uint32_t next)
{
	uint32_t common = ((1u << ZP_START_COMMON_BITS) - 1) & handles->generation_mask;

	return ZP_HANDLE_RETIRE && ((next ^ (uint32_t)handles->secret) & common) == 0 &&
	       next == zp_slot_start(handles, slot);
}

/* Of a bound slot that is the caller's: the location that it was given last. */
static inline uint64_t zp_handles_location(struct zp_handles *handles, uint32_t slot)
{
	return atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed) & ZP_LOCATION_MASK;
}

/* Generation and state as a word has them, for one comparison of both; a foreign tag is in neither's reach. */
static inline uint64_t zp_word_life(uint64_t word)
{
	return word >> ZP_STATE_SHIFT;
}

static inline uint64_t zp_handle_life(const struct zp_handles *handles, unsigned long handle)
{
	return (uint64_t)zp_handle_generation(handles, handle) << (ZP_GENERATION_SHIFT - ZP_STATE_SHIFT) |
	       ZP_STATE_LIVE;
}

/* The slow ways: an object that is not simply live.  */
int zp_handles_pin_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location);
int zp_handles_begin_free_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location);

/*
 * The object neither moves nor goes away until unpin.  0; -EINVAL: not live; -EBUSY: pinned ZP_PINS_MAX times.
 * try_pin: only what is live, and not pinned too often already; false: it may yet be done the slow way.
 */
static inline bool zp_handles_try_pin(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	*location = word & ZP_LOCATION_MASK;
	return zp_word_life(word) - zp_handle_life(handles, handle) < (uint64_t)ZP_PINS_MAX &&
	       zp_word_change(at, &word, word + ZP_STATE_UNIT, memory_order_acquire);
}

static inline int zp_handles_pin(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	return zp_handles_try_pin(handles, handle, location) ? 0 : zp_handles_pin_slow(handles, handle, location);
}

/* 0; -EINVAL: not live, or not pinned. */
static inline int zp_handles_unpin(struct zp_handles *handles, unsigned long handle)
{
	uint32_t slot = zp_handle_slot(handle);
	uint64_t life = zp_handle_life(handles, handle), word;
	zp_word *at;

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return -EINVAL;
	at = zp_handles_word(handles, slot);
	word = atomic_load_explicit(at, memory_order_relaxed);
	do {
		if (zp_word_life(word) - life - 1 >= (uint64_t)ZP_PINS_MAX)
			return -EINVAL;
	} while (!zp_word_change(at, &word, word - ZP_STATE_UNIT, memory_order_release));
	return 0;
}

/*
 * A live slot that nobody has mapped becomes the caller's.  0; -EINVAL: not live; -EBUSY: mapped.
 * zp_handles_end_free() or zp_handles_release() follows.  try_begin_free: only what is simply live; false: it may yet
 * be done the slow way.
 */
static inline bool zp_handles_try_begin_free(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	const uint64_t freeing = (ZP_STATE_FREEING - ZP_STATE_LIVE) * ZP_STATE_UNIT;
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	*location = word & ZP_LOCATION_MASK;
	return zp_word_life(word) == zp_handle_life(handles, handle) &&
	       zp_word_change(at, &word, word + freeing, memory_order_acquire);
}

static inline int zp_handles_begin_free(struct zp_handles *handles, unsigned long handle, uint32_t *slot,
					uint64_t *location)
{
	*slot = zp_handle_slot(handle);
	return zp_handles_try_begin_free(handles, handle, location)
		       ? 0
		       : zp_handles_begin_free_slow(handles, handle, location);
}

/*
 * After zp_handles_begin_free(): the slot's generation goes up, so the handle is stale for good.  The slot stays bound
 * and keeps its location.  Takes no lock.  false: its generations were used up, and the slot belongs to nobody any
 * more; of try_end_free: they are, and nothing was done.
 */
static inline bool zp_handles_try_end_free(struct zp_handles *handles, uint32_t slot)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	uint32_t next = (zp_word_generation(word) + 1) & handles->generation_mask;

	if (zp_slot_is_spent(handles, slot, next))
		return false;
	atomic_store_explicit(at, zp_dead_word(next, word & ZP_LOCATION_MASK), memory_order_relaxed);
	return true;
}

static inline bool zp_handles_end_free(struct zp_handles *handles, uint32_t slot)
{
	if (zp_handles_try_end_free(handles, slot))
		return true;
	zp_handles_retire(handles, slot);
	return false;
}

/* Gives a bound slot that is not published a location, for a later zp_handles_publish_bound(). */
static inline void zp_handles_set_location(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	atomic_store_explicit(at, zp_dead_word(zp_word_generation(word), location), memory_order_relaxed);
}

/*
 * Is the slot bound to a location, and dead?  True or false of any number, which may come from memory that was damaged.
 */
static inline bool zp_handles_is_bound_to(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	if (slot == ZP_SLOT_NONE || slot >= zp_handles_slots(handles))
		return false;
	uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);

	return (word & (ZP_STATE_UNIT * 64 - 1)) == location;
}

/* Makes a bound slot live, and gives it its handle.  Payload and object are written before. */
static inline unsigned long zp_handles_publish(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint32_t generation = zp_word_generation(atomic_load_explicit(at, memory_order_relaxed));

	atomic_store_explicit(at, (uint64_t)generation << ZP_GENERATION_SHIFT | ZP_STATE_UNIT | location,
			      memory_order_release);
	return zp_handle_make(handles, slot, generation);
}

/* The same at the location that the slot has. */
static inline unsigned long zp_handles_publish_bound(struct zp_handles *handles, uint32_t slot)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	atomic_store_explicit(at, word + ZP_STATE_UNIT, memory_order_release);
	return zp_handle_make(handles, slot, zp_word_generation(word));
}

#endif
