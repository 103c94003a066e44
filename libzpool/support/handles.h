/* SPDX-License-Identifier: MIT
 *
 * handles.h - the handle table, which translates a caller's handle into the location of an object
 *
 * A slot of the table is a 64-bit word, followed by a payload if the driver wants one (a multiple of 8 bytes):
 *
 *     63        42 41    36 35                 0
 *     generation   state    location               (the driver chooses the locations, such as a page and a slot in it)
 *
 *     state 0       dead: free (location: link of the group's free list), or bound and not published
 *           1       live
 *           2..61   live and mapped 1 to 60 times
 *           62      live and mapped once, exclusively
 *           63      being moved
 *
 * A handle names a slot and the generation that it had when the object was stored:
 *
 *     64-bit:  tag 10 | generation 22 | slot 32       the tag is random, one a pool
 *     32-bit:           generation 12 | slot 20
 *
 * Slot 0 is never handed out, so no handle is 0.
 *
 * Stale handles.  begin_free increments the slot's generation.  It starts at a keyed hash of the slot; when it would
 * return to that start, after 2^22 lives, the slot is retired and never handed out again.  So no two objects of a pool
 * ever have the same handle, and every stale handle is refused.  The narrow layout has too few slots and generations
 * to retire any: there, slots are reused, and a stale handle is accepted again after 2^12 objects have used its slot.
 *
 * Foreign and invented handles.  Tag and start are secrets of the pool and evenly distributed, so a handle that does
 * not come from the table matches a live slot's with a probability of at most 2^-32 (2^-12 on 32-bit machines).
 *
 * Groups.  A group has 512 slots and is the unit in which memory is committed (one page without payload).  Slots are
 * taken from the lowest group with a free slot, the most recently freed first.  A group without used slots may release
 * its memory: it is then dormant, and its words read as zero (dead).  Of its generations only the floor is kept, in
 * the group's record: the number of lives of the slot that had the most.  When the group wakes, all its slots start at
 * that floor, so that stale handles stay refused; a group with a retired slot never wakes.  Groups become dormant only
 * with the system's page source, because other sources may forbid reading memory that they took back.
 *
 * Addresses.  Blocks of groups are reserved as the table grows, each as large as all before it.  A slot's address never
 * changes and is used for nothing else until zp_handles_fini(), and `slots` is the number of slots whose memory was
 * committed at least once.  So any thread may read the word of any slot below `slots` at any time, without a lock.
 *
 * Memory ordering.  Everything about an object that others must see is written before its word: publish and end_move
 * store with release, and pin loads with acquire (its compare-and-swap), so a thread that has pinned an object sees its
 * bytes, its payload and the location's page table.  unpin is a release, and begin_free and begin_move are acquires:
 * the state from which they take the slot (1) was stored by the last unpin, and each earlier unpin is in the same
 * release sequence, so all that readers did while they had the object mapped happens before it is freed or moved.
 * end_exclusive continues no release sequence, because it is a plain store; but the pin before it was an acquire of
 * state 1.  A reader of a stale handle compares generations in the word that it loaded, and its compare-and-swap
 * succeeds only on that very word.  `slots` is stored with release after the block's address, and loaded with acquire.
 *
 * Ownership.  Between begin_free and end_free, and between begin_move and end_move, only the caller may use the slot.
 * pin, lookup and begin_free that meet a slot being moved wait for the end of the move, which must come soon and must
 * not need a lock that they hold.
 *
 * Exclusive pins.  A locked instruction in unmap waits until the bytes that the caller has just written have left the
 * processor's store buffer.  A driver with thread caches (magazine.h) avoids this wait for objects that are mapped for
 * writing only: begin_exclusive pins an object that is live and not mapped, and end_exclusive unpins it with a plain
 * store, which the thread does inside its own biased lock.  For other threads the object is mapped, so they cannot free
 * or move it.  A thread that maps it, too, stops the caches, so that no thread is between the load and the store of
 * end_exclusive, and turns the pin into an ordinary one with zp_handles_share().
 */
#ifndef ZP_SUPPORT_HANDLES_H
#define ZP_SUPPORT_HANDLES_H

#include <errno.h>
#include <limits.h>

#include "pages.h"
#include "secret.h"

/* Tests set it to 1 to get the layout of 32-bit machines. */
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

/* True if a slot is retired when its generations are used up. */
#define ZP_HANDLE_RETIRE (!ZP_HANDLE_NARROW)

#define ZP_LOCATION_BITS 36
#define ZP_LOCATION_MASK ((UINT64_C(1) << ZP_LOCATION_BITS) - 1)
#define ZP_STATE_SHIFT 36
#define ZP_GENERATION_SHIFT 42
#define ZP_STATE_UNIT (UINT64_C(1) << ZP_STATE_SHIFT)

enum { ZP_STATE_DEAD = 0, ZP_STATE_LIVE = 1, ZP_STATE_EXCLUSIVE = 62, ZP_STATE_MOVING = 63 };
enum { ZP_PINS_MAX = 60 };

enum { ZP_GROUP_SHIFT = 9, ZP_GROUP_SLOTS = 1 << ZP_GROUP_SHIFT };

/* Block 0 has 2^16 slots, and block k has the following 2^(15+k). */
enum { ZP_TABLE_FIRST_SHIFT = 16, ZP_TABLE_BLOCKS = ZP_HANDLE_SLOT_BITS - ZP_TABLE_FIRST_SHIFT + 1 };

#define ZP_SLOT_NONE UINT32_C(0)

/* A group's record.  The table's lock guards it, but `taken` may be read without the lock. */
struct zp_group {
	/* Lives that every slot counts as used up; 2^generation_bits: the group can never be used again. */
	uint32_t floor;
	uint32_t next;           /* link of the list of dormant groups */
	_Atomic(uint16_t) taken; /* slots that are neither free nor retired */
	/* Slots handed out since the group woke; the words of higher slots are dead and have no meaning. */
	uint16_t high_water;
	uint16_t head; /* head of the free list; ZP_GROUP_SLOTS: empty */
	uint16_t retired;
};

/*
 * Where a block has the records of its groups, and the map of the groups (and of the words of that map) that have free
 * slots.
 */
struct zp_table_block {
	struct zp_group *groups;
	uint64_t *room;
	uint64_t *room_words;
	void *base;
	size_t bytes;
	size_t head_bytes; /* records and maps, all committed */
};

struct zp_handles {
	/* Any thread reads these without a lock; they are written when the table grows. */
	_Atomic(uint32_t) slots; /* slots below this number may be read */
	uint32_t tag;            /* shifted to its position, above the generation */
	uint32_t stride_bytes;   /* bytes of word and payload */
	uint32_t generation_mask;
	uint64_t word_mask; /* the bits of a word that the table uses; tests leave out bits of the generation */
	uint64_t secret;
	uintptr_t slot_base[ZP_TABLE_BLOCKS]; /* the address that slot 0 would have if the block began with it */
	char separate[64];

	struct zp_pages *pages;
	struct zp_lock lock;
	struct zp_table_block blocks[ZP_TABLE_BLOCKS];
	uint32_t blocks_with_room; /* one bit for each block */
	uint32_t groups;           /* groups woken at least once */
	uint32_t groups_awake;     /* committed */
	uint32_t groups_idle;      /* awake groups without a used slot */
	uint32_t groups_leaving;   /* groups that are about to become dormant */
	uint32_t top;              /* no group with this number or above is awake */
	uint32_t dormant;          /* head of the list of dormant groups; ZP_GROUP_NONE: empty */
	_Atomic(uint64_t) taken;
};

/*
 * payload_bytes is a multiple of 8.  generation_bits is 0 for all bits there are; tests use few, to make slots retire.
 * The pages are the driver's, and must exist until after fini.  Returns 0 or -ENOMEM.
 */
int zp_handles_init(struct zp_handles *handles, struct zp_pages *pages, size_t payload_bytes,
		    unsigned int generation_bits);
void zp_handles_fini(struct zp_handles *handles);

/*
 * The life of a slot: bind, then any number of times publish, begin_free and end_free, then unbind.  A bound slot that
 * is not published is dead, belongs to the caller, and remembers the last location that it was given.
 *
 * bind takes up to `count` slots.  It returns how many it took (at least 1), -ENOMEM if table, limit or source are
 * exhausted or (NOWAIT) no committed group has a free slot, -EAGAIN if (NOWAIT) the lock is held, or the error of the
 * source.
 */
int zp_handles_bind(struct zp_handles *handles, zpool_gfp_t gfp, uint32_t *slots, unsigned int count);

/* Returns bound slots to the table. */
void zp_handles_unbind(struct zp_handles *handles, const uint32_t *slots, unsigned int count);

/* The slow path of zp_handles_end_free(): the slot's generations are used up. */
void zp_handles_retire(struct zp_handles *handles, uint32_t slot);

/* Does end_free and unbind, for drivers that bind a slot for each object. */
void zp_handles_release(struct zp_handles *handles, uint32_t slot);

/*
 * Does the same as begin_free, but for moving the object, whose slot the caller knows.  Returns 0 with *location,
 * -EINVAL if the object is not live, or -EBUSY if it is mapped or another thread is moving it.
 */
int zp_handles_begin_move(struct zp_handles *handles, uint32_t slot, uint64_t *location);
void zp_handles_end_move(struct zp_handles *handles, uint32_t slot, uint64_t location);

/*
 * Returns the current location of a live object.  Without a pin, the driver must ensure with its own lock that the
 * object stays there.
 */
int zp_handles_lookup(struct zp_handles *handles, unsigned long handle, uint64_t *location);

/* Returns true if the object is live, not mapped, and no other thread is freeing or moving it. */
bool zp_handles_is_idle(struct zp_handles *handles, unsigned long handle);

/* Returns how many live slots are mapped.  Reads every used slot, without a lock. */
uint64_t zp_handles_mapped(struct zp_handles *handles);

/*
 * Visits every live slot in order, without a lock; fn may call everything except fini.  Slots that become live or are
 * freed meanwhile may or may not be visited.  Returns 0, or the first result of fn that is not 0.
 */
int zp_handles_each(struct zp_handles *handles, int (*fn)(unsigned long handle, uint64_t location, void *user),
		    void *user);

/* Returns the number of slots whose words may be read. */
static inline uint32_t zp_handles_slots(struct zp_handles *handles)
{
	return atomic_load_explicit(&handles->slots, memory_order_acquire);
}

/* Returns the number of used slots, published or not. */
static inline uint64_t zp_handles_taken(struct zp_handles *handles)
{
	return atomic_load_explicit(&handles->taken, memory_order_relaxed);
}

/*
 * Limits the table's pages to what they hold now, and returns it.  The table cannot grow between the reading and the
 * new limit.  No other user may take from these pages.
 */
uint64_t zp_handles_close_limit(struct zp_handles *handles);

/* Makes every idle group dormant.  *released is in bytes. */
void zp_handles_trim(struct zp_handles *handles, uint64_t *released);

/*
 * Makes a few idle groups dormant, those with the highest numbers.  Returns how many; 0: there is none, or the source
 * refused.
 */
uint32_t zp_handles_trim_some(struct zp_handles *handles);

/* Returns the number of groups that could become dormant. */
uint32_t zp_handles_idle_groups(struct zp_handles *handles);

/*
 * Like zp_pages_fork(), and called before it.  A slot that another thread was freeing at that moment stays so in the
 * child.
 */
void zp_handles_fork(struct zp_handles *handles, enum zpool_fork_phase phase);

/* Checks counts, free lists and maps against each other.  Returns NULL, or a sentence that names the error. */
const char *zp_handles_verify(struct zp_handles *handles);

/* ---- the hot paths ---- */

typedef _Atomic(uint64_t) zp_word;

/* Compares and swaps a word that was just loaded.  A process without a second thread needs no locked instruction. */
static inline bool zp_word_change(zp_word *at, uint64_t *word, uint64_t to, memory_order order)
{
	if (zp_is_single_threaded()) {
		atomic_store_explicit(at, to, memory_order_relaxed);
		return true;
	}
	zp_yield_point();
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

/*
 * Returns the generation in a handle after removing the tag of the pool.  A foreign tag leaves bits that no generation
 * has.
 */
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

/* Returns the generation of a slot's first life. */
static inline uint32_t zp_slot_start(const struct zp_handles *handles, uint32_t slot)
{
	const uint32_t common = (1u << ZP_START_COMMON_BITS) - 1;
	uint32_t spread = (uint32_t)(zp_mix(handles->secret ^ slot) >> 40);

	return ((spread & ~common) | ((uint32_t)handles->secret & common)) & handles->generation_mask;
}

/*
 * is_spent returns true if the slot has no generation left, because `next` is its first one again.  may_be_spent is a
 * quick check before it that needs no slot: it compares only the bits that the first generations of all slots share, so
 * it returns false for all generations but one in 2^ZP_START_COMMON_BITS.
 */
static inline bool zp_slot_may_be_spent(const struct zp_handles *handles, uint32_t next)
{
	uint32_t common = ((1u << ZP_START_COMMON_BITS) - 1) & handles->generation_mask;

	return ZP_HANDLE_RETIRE && ((next ^ (uint32_t)handles->secret) & common) == 0;
}

static inline bool zp_slot_is_spent(const struct zp_handles *handles, uint32_t slot, uint32_t next)
{
	return zp_slot_may_be_spent(handles, next) && next == zp_slot_start(handles, slot);
}

/* For a bound slot of the caller: returns the location that it was last given. */
static inline uint64_t zp_handles_location(struct zp_handles *handles, uint32_t slot)
{
	return atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed) & ZP_LOCATION_MASK;
}

/* Returns generation and state as they are in a word, to compare both at once.  A foreign tag cannot match either. */
static inline uint64_t zp_word_life(uint64_t word)
{
	return word >> ZP_STATE_SHIFT;
}

static inline uint64_t zp_handle_life(const struct zp_handles *handles, unsigned long handle)
{
	return (uint64_t)zp_handle_generation(handles, handle) << (ZP_GENERATION_SHIFT - ZP_STATE_SHIFT) |
	       ZP_STATE_LIVE;
}

/* Returns the word of an object that was just freed: its slot is dead and has its next generation. */
static inline uint64_t zp_word_freed(const struct zp_handles *handles, uint64_t live)
{
	return (live + (UINT64_C(1) << ZP_GENERATION_SHIFT) - ZP_STATE_UNIT) & handles->word_mask;
}

/* The slow paths, for an object that is not simply live. */
int zp_handles_pin_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location);
int zp_handles_unpin_slow(struct zp_handles *handles, unsigned long handle);
int zp_handles_begin_free_slow(struct zp_handles *handles, unsigned long handle, uint64_t *location);

/*
 * Pins the object, so that it is neither moved nor freed until unpin.  Returns 0, -EINVAL if it is not live, -EBUSY if
 * it is pinned ZP_PINS_MAX times, or -EAGAIN if it is pinned exclusively.  try_pin only pins an object that is live and
 * not pinned too often; if it returns false, the slow path may still succeed.
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

/*
 * Returns 0, or -EINVAL if the object is not live or not pinned.  try_unpin only takes one of several pins or the only
 * one, if it is not exclusive; if it returns false, the slow path may still succeed.
 */
static inline bool zp_handles_try_unpin(struct zp_handles *handles, unsigned long handle)
{
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	return zp_word_life(word) - zp_handle_life(handles, handle) - 1 < (uint64_t)ZP_PINS_MAX &&
	       zp_word_change(at, &word, word - ZP_STATE_UNIT, memory_order_release);
}

static inline int zp_handles_unpin(struct zp_handles *handles, unsigned long handle)
{
	return zp_handles_try_unpin(handles, handle) ? 0 : zp_handles_unpin_slow(handles, handle);
}

/* Pins an object that is live and not mapped exclusively.  If it returns false, an ordinary pin may still succeed. */
static inline bool zp_handles_begin_exclusive(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	const uint64_t exclusive = (ZP_STATE_EXCLUSIVE - ZP_STATE_LIVE) * ZP_STATE_UNIT;
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	*location = word & ZP_LOCATION_MASK;
	return zp_word_life(word) == zp_handle_life(handles, handle) &&
	       zp_word_change(at, &word, word + exclusive, memory_order_acquire);
}

/*
 * Unpins an object that is pinned exclusively.  Returns false, and has done nothing, if it is not.  The caller is
 * inside the biased lock of its thread's cache.
 */
static inline bool zp_handles_end_exclusive(struct zp_handles *handles, unsigned long handle)
{
	const uint64_t exclusive = ZP_STATE_EXCLUSIVE - ZP_STATE_LIVE;
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	if (zp_word_life(word) != zp_handle_life(handles, handle) + exclusive)
		return false;
	zp_yield_point();
	atomic_store_explicit(at, word - exclusive * ZP_STATE_UNIT, memory_order_release);
	return true;
}

/* Turns an exclusive pin into an ordinary one, if there is one.  The caller has stopped the thread caches. */
void zp_handles_share(struct zp_handles *handles, unsigned long handle);

/*
 * Frees a live object that is not mapped: its handle is stale from now on, and its slot, dead and with its location,
 * belongs to the caller.  Returns 0, -EINVAL if it is not live, or -EBUSY if it is mapped.  zp_handles_end_free() or
 * zp_handles_release() must follow.  try_begin_free only takes a slot that is simply live; if it returns false, the
 * slow path may still succeed.
 */
static inline bool zp_handles_try_begin_free(struct zp_handles *handles, unsigned long handle, uint64_t *location)
{
	uint32_t slot = zp_handle_slot(handle);

	if (slot >= atomic_load_explicit(&handles->slots, memory_order_acquire))
		return false;
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);
	*location = word & ZP_LOCATION_MASK;
	return zp_word_life(word) == zp_handle_life(handles, handle) &&
	       zp_word_change(at, &word, zp_word_freed(handles, word), memory_order_acquire);
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
 * After zp_handles_begin_free(): the slot stays bound and keeps its location.  Takes no lock.  If end_free returns
 * false, its generations are used up, and it is retired.  If try_end_free returns false, they are used up, and nothing
 * was done.
 */
static inline bool zp_handles_try_end_free(struct zp_handles *handles, uint32_t slot)
{
	uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);

	return !zp_slot_is_spent(handles, slot, zp_word_generation(word));
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
 * Returns true if the slot is bound to a location and dead.  `slot` may be any number, even one read from damaged
 * memory.
 */
static inline bool zp_handles_is_bound_to(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	if (slot == ZP_SLOT_NONE || slot >= zp_handles_slots(handles))
		return false;
	uint64_t word = atomic_load_explicit(zp_handles_word(handles, slot), memory_order_relaxed);

	return (word & (ZP_STATE_UNIT * 64 - 1)) == location;
}

/* Makes a bound slot live, and returns its handle.  The payload and the object must be written before. */
static inline unsigned long zp_handles_publish(struct zp_handles *handles, uint32_t slot, uint64_t location)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint32_t generation = zp_word_generation(atomic_load_explicit(at, memory_order_relaxed));

	zp_yield_point();
	atomic_store_explicit(at, (uint64_t)generation << ZP_GENERATION_SHIFT | ZP_STATE_UNIT | location,
			      memory_order_release);
	return zp_handle_make(handles, slot, generation);
}

/* Does the same with the location that the slot has. */
static inline unsigned long zp_handles_publish_bound(struct zp_handles *handles, uint32_t slot)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	zp_yield_point();
	atomic_store_explicit(at, word + ZP_STATE_UNIT, memory_order_release);
	return zp_handle_make(handles, slot, zp_word_generation(word));
}

/*
 * Does try_end_free and publish_bound with one store, for a malloc that takes the slot of the object freed last.
 * Returns false, and has done nothing, if the slot's generations may be used up; try_end_free then decides.
 */
static inline bool zp_handles_try_renew(struct zp_handles *handles, uint32_t slot, unsigned long *handle)
{
	zp_word *at = zp_handles_word(handles, slot);
	uint64_t word = atomic_load_explicit(at, memory_order_relaxed);

	if (zp_slot_may_be_spent(handles, zp_word_generation(word)))
		return false;
	zp_yield_point();
	atomic_store_explicit(at, word + ZP_STATE_UNIT, memory_order_release);
	*handle = zp_handle_make(handles, slot, zp_word_generation(word));
	return true;
}

#endif
