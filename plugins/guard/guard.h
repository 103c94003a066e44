/* SPDX-License-Identifier: MIT
 *
 * guard.h - shared between the files of guard; guard.c describes the design
 */
#ifndef GUARD_H
#define GUARD_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "filter.h"
#include "handles.h"

enum {
	GUARD_FRONT_BYTE = 0xb1,
	GUARD_BACK_BYTE = 0xb2,
	GUARD_POISON_BYTE = 0x6b,
	GUARD_ALIGNMENT_BYTES = 16,
	GUARD_HANDLE_BYTES = 8,
	GUARD_ZONE_BYTES_MAX = 1024,
	GUARD_LOCKS = 64,
	GUARD_KEPT = 16,
	GUARD_EVICTIONS = 32
};

/* The record of an object, in its slot of the handle table; the slot's location is the requested size. */
struct guard_object {
	_Atomic(uint64_t) below;    /* handle of the lower driver, or 0; read without a lock by guard_evict() */
	_Atomic(uint64_t) checksum; /* checksum of the contents, while `sealed` */
	const void *caller;         /* return address of zpool_malloc() */
	char *base;                 /* address in the lower driver, while mapped; guarded like `maps` */
	uint16_t maps;              /* this and the next three are guarded by the lock of the slot */
	bool writing;               /* one of the maps, or of the maps that ended before the last one, may write */
	bool sealed;                /* the contents must not have changed since `checksum` was computed */
	bool never_mapped;          /* not mapped since it was stored */
	uint32_t next;              /* link of the list pool->dropped */
	uint32_t fill[3];           /* a slot of the table, including its word, fills a cache line */
};

_Static_assert(sizeof(struct guard_object) == 56 || sizeof(void *) < 8, "a slot of the table is a cache line");
_Static_assert(sizeof(struct guard_object) % 8 == 0, "a payload of the handle table is a multiple of 8 bytes");

/* A running evict callback; see guard_evict.c.  handle is 0 if the entry is unused. */
struct guard_eviction {
	unsigned long handle;
	uintptr_t frame; /* stack address of the callback's caller, in its thread */
	pthread_t thread;
	bool freed; /* the callback has freed the object */
};

/* The locking order. */
enum guard_rank { GUARD_RANK_LIMIT = ZP_RANK_DRIVER, GUARD_RANK_EVICTIONS, GUARD_RANK_OBJECTS };

struct guard_pool {
	struct zp_filter filter; /* first: callbacks of filter.h take the pool */
	struct zp_handles handles;
	struct zp_pages pages; /* the table's memory; no runs */
	size_t front_bytes;    /* bytes before each object: its handle, then GUARD_FRONT_BYTE */
	size_t back_bytes;     /* bytes after it: GUARD_BACK_BYTE */
	char front_zone[GUARD_ZONE_BYTES_MAX], back_zone[GUARD_ZONE_BYTES_MAX]; /* their intended contents */
	bool poison, checksum, leaks, abort;
	bool has_caller;
	bool nowait; /* ZPOOL_GFP_NOWAIT is possible, because the map below takes no lock */
	_Atomic(uint64_t) stored_bytes;
	_Atomic(uint64_t) peak_bytes;
	_Atomic(uint64_t) failed_limit, failed_memory, failed_again;
	_Atomic(uint64_t) retries;   /* mallocs that were tried a second time after the table had released memory */
	_Atomic(uint64_t) undecided; /* mallocs in the driver below that may still be tried a second time */
	_Atomic(uint64_t) shown_limit, shown_memory; /* failures of the driver below that the statistics have shown */
	_Atomic(uint64_t) seen_limit;                /* failures below at the limit that mallocs here have noticed */
	_Atomic(uint64_t) frees;
	_Atomic(uint64_t) errors;
	_Atomic(uint32_t) kept[GUARD_KEPT]; /* bound slots to use next, or ZP_SLOT_NONE */
	_Atomic(uint32_t) dropped;          /* head of the list of slots that failed NOWAIT calls could not return */
	_Atomic(uint32_t) dropped_count;
	struct zp_lock limit_lock;     /* serialises changes of the limit and of its division; guards the next three */
	_Atomic(uint64_t) limit_bytes; /* limit of the whole pool, 0: none; failures read it unlocked */
	uint64_t own_bytes;            /* the table's part of it; the driver below has the rest */
	uint64_t press_at_frees;       /* compact the driver below for the table only after this many frees */
	struct zp_lock evictions_lock; /* guards the next member */
	struct guard_eviction evictions[GUARD_EVICTIONS];
	_Atomic(uint32_t) evictions_open;  /* how many of them are in use; read without the lock */
	struct zp_lock locks[GUARD_LOCKS]; /* each lock guards the records of a fraction of the slots */
};

static inline struct guard_object *guard_object(struct guard_pool *pool, uint32_t slot)
{
	return zp_handles_payload(&pool->handles, slot);
}

static inline struct zp_lock *guard_lock(struct guard_pool *pool, uint32_t slot)
{
	return &pool->locks[slot % GUARD_LOCKS];
}

/* Raises a counter to a larger value.  Returns false if it is as large already. */
static inline bool guard_raise(_Atomic(uint64_t) *counter, uint64_t value)
{
	uint64_t before = atomic_load(counter);

	while (before < value && !atomic_compare_exchange_weak(counter, &before, value))
		continue;
	return before < value;
}

/* ---- guard_check.c ---- */

uint64_t guard_checksum(const void *data, size_t bytes);

/* Writes the red zones of a new object; `base` is its address in the lower driver. */
void guard_draw_zones(const struct guard_pool *pool, char *base, unsigned long handle, size_t size);

/*
 * Checks the red zones, and the contents of an object that is sealed, and reports damage; `when` names the call.
 * Damaged zones are restored and changed contents accepted, so that each damage is reported once.  Returns true if
 * nothing was wrong.
 */
bool guard_check(struct guard_pool *pool, char *base, unsigned long handle, size_t size, struct guard_object *object,
		 const char *when);

/* Logs and counts an error, and ends the program with abort=yes. */
void guard_report(struct guard_pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum guard_call { GUARD_FREE, GUARD_MAP, GUARD_UNMAP, GUARD_OBJ_SIZE };

/*
 * The same for a call that is refused: sets the message of zpool_last_error(), which the core logs if the call returns
 * nothing.  Logs it itself only before it ends the program.
 */
void guard_refuse(struct guard_pool *pool, unsigned long handle, enum guard_call in, int err);

/* Writes where an object was stored, as "file(function+offset)", into `text`. */
const char *guard_where(const void *address, char *text, size_t bytes);

/* ---- guard_evict.c ---- */

int guard_evict(void *pool, unsigned long below);

/* Frees an object in the driver below, and waits while guard_evict() has it mapped. */
int guard_free_below(struct guard_pool *pool, unsigned long below);

/* The calling thread has freed the object. */
void guard_note_free(struct guard_pool *pool, unsigned long handle);

/*
 * Returns true if the calling thread is in the evict callback for this handle and has not freed it.  So if the handle
 * is dead, another thread has freed it since the callback was called, which is no mistake.
 */
bool guard_lost_race(struct guard_pool *pool, unsigned long handle);

/* Reports callbacks of the calling thread that did not return.  Other threads only pay for reading a counter. */
void guard_look_for_lost_evictions(struct guard_pool *pool);

/* When the pool is destroyed: reports callbacks of any thread that did not return. */
void guard_report_evictions(struct guard_pool *pool);

/* In a forked child, with evictions_lock held: forgets the callbacks of other threads, which do not exist here. */
void guard_forget_evictions_of_others(struct guard_pool *pool);

/* ---- guard_store.c ---- */

/*
 * Stores an object in the driver below and writes its zones.  A call that may wait tries a second time if the table can
 * release memory.  Returns 0 with *below, or -errno; a failure for want of memory or a lock is counted, by the driver
 * below or here.
 */
int guard_store_below(struct guard_pool *pool, unsigned long handle, size_t size, zpool_gfp_t gfp,
		      unsigned long *below);

/* ---- guard_slots.c ---- */

int guard_set_limit(void *pool, uint64_t limit_bytes);

/* Moves the part of the limit that the table can spare to the driver below.  Returns false if there is none. */
bool guard_yield_share(struct guard_pool *pool);

uint64_t guard_total_size(void *pool);
int guard_trim(void *pool, uint64_t *released);
int guard_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);

/* Takes a slot of the table.  Returns 0 or -errno. */
int guard_get_slot(struct guard_pool *pool, zpool_gfp_t gfp, uint32_t *slot);

/* Counts a malloc that failed in a driver below that has no statistics, and so does not count it itself. */
void guard_count_failure_below(struct guard_pool *pool, int err, zpool_gfp_t gfp);

/* Releases a slot that is not live.  It is kept for the next malloc if there is space, so that no lock is needed. */
void guard_put_slot(struct guard_pool *pool, uint32_t slot);
/* The same, but never waits. */
void guard_drop_slot(struct guard_pool *pool, uint32_t slot);
void guard_put_kept_slots(struct guard_pool *pool);
uint64_t guard_kept_slots(struct guard_pool *pool);

/* ---- guard_leaks.c ---- */

/* Checks every object that is not mapped. */
void guard_check_all(struct guard_pool *pool, const char *when);

/* When the pool is destroyed: reports objects that are still live or mapped. */
void guard_report_leaks(struct guard_pool *pool);

#endif
