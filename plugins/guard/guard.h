/* SPDX-License-Identifier: MIT
 *
 * guard.h - what the parts of guard share; the design is told at the head of guard.c
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

/* The record of an object, in its slot of the handle table; the slot's location is the size that was asked for. */
struct guard_object {
	_Atomic(uint64_t) below;    /* handle of the lower driver's, or 0; read without a lock by guard_evict() */
	_Atomic(uint64_t) checksum; /* of the contents, while `sealed` */
	const void *caller;         /* of zpool_malloc() */
	char *base;                 /* where the lower driver has it, while mapped; guarded as `maps` */
	uint16_t maps;              /* guarded, as the next three, by the lock of the slot */
	bool writing;               /* one of the maps, or of those that ended while others were left, may write */
	bool sealed;                /* nobody may have changed the contents since `checksum` was taken */
	bool never_mapped;          /* not mapped since it was stored */
	uint32_t next;              /* of the slots that were dropped; see guard_drop_slot() */
	uint32_t fill[3];           /* a slot of the table, with its word, is a cache line */
};

_Static_assert(sizeof(struct guard_object) == 56 || sizeof(void *) < 8, "a slot of the table is a cache line");
_Static_assert(sizeof(struct guard_object) % 8 == 0, "a payload of the handle table is a multiple of 8 bytes");

/* An evict callback that runs; see guard_evict.c.  handle is 0 where there is none. */
struct guard_eviction {
	unsigned long handle;
	uintptr_t frame; /* of the callback's caller, on the stack of its thread */
	pthread_t thread;
};

struct guard_pool {
	struct zp_filter filter; /* first: callbacks of filter.h take the pool */
	struct zp_handles handles;
	struct zp_pages pages; /* the table's memory; no runs */
	size_t front_bytes;    /* before each object: its handle, and the rest GUARD_FRONT_BYTE */
	size_t back_bytes;     /* behind it: GUARD_BACK_BYTE */
	char front_zone[GUARD_ZONE_BYTES_MAX], back_zone[GUARD_ZONE_BYTES_MAX]; /* what they should hold */
	bool poison, checksum, leaks, abort;
	bool has_caller;
	bool nowait; /* ZPOOL_GFP_NOWAIT can be kept: the map below takes no lock */
	_Atomic(uint64_t) stored_bytes;
	_Atomic(uint64_t) peak_bytes;
	_Atomic(uint64_t) failed_limit, failed_memory, failed_again;
	_Atomic(uint64_t) retries;   /* mallocs that were tried a second time, after the table had given memory back */
	_Atomic(uint64_t) undecided; /* mallocs in the driver below that may yet be tried a second time */
	_Atomic(uint64_t) shown_limit, shown_memory; /* failures below that the statistics have shown */
	_Atomic(uint64_t) frees;
	_Atomic(uint64_t) errors;
	_Atomic(uint32_t) kept[GUARD_KEPT]; /* slots of the table to use next, or ZP_SLOT_NONE */
	_Atomic(uint32_t) dropped;          /* the first of a list of such slots, of NOWAIT calls that failed */
	_Atomic(uint32_t) dropped_count;
	struct zp_lock limit_lock; /* serialises changes of the limit and of how it is shared; guards the next three */
	uint64_t limit_bytes;      /* of the whole, 0: none */
	uint64_t own_bytes;        /* of it, what the table may take; the driver below has the rest */
	uint64_t press_at_frees;   /* the driver below is not compacted again for the table before */
	struct zp_lock evictions_lock; /* guards the next one */
	struct guard_eviction evictions[GUARD_EVICTIONS];
	_Atomic(uint32_t) evictions_open;  /* how many of them are in use; read without the lock */
	struct zp_lock locks[GUARD_LOCKS]; /* each guards the records of every so manyth slot */
};

static inline struct guard_object *guard_object(struct guard_pool *pool, uint32_t slot)
{
	return zp_handles_payload(&pool->handles, slot);
}

static inline struct zp_lock *guard_lock(struct guard_pool *pool, uint32_t slot)
{
	return &pool->locks[slot % GUARD_LOCKS];
}

/* ---- guard_check.c ---- */

uint64_t guard_checksum(const void *data, size_t bytes);

/* Write the red zones of a new object; `base` is where the lower driver has it. */
void guard_draw_zones(const struct guard_pool *pool, char *base, unsigned long handle, size_t size);

/*
 * Look at the red zones, and at the contents of an object that is sealed, and report what is wrong; `when` names the
 * call.  What was found is put right (zones) or taken as it is (contents), so that it is reported once.  true: whole.
 */
bool guard_check(struct guard_pool *pool, char *base, unsigned long handle, size_t size, struct guard_object *object,
		 const char *when);

/* An error that the log shall tell; counts, and ends the program where abort=yes. */
void guard_report(struct guard_pool *pool, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a call that is refused: what zpool_last_error() says, and the core logs where the call has no result. */
void guard_refuse(struct guard_pool *pool, unsigned long handle, const char *call, int err);

/* Where an object was stored, for messages: "file(function+offset)", in `text`. */
const char *guard_where(const void *address, char *text, size_t bytes);

/* ---- guard_evict.c ---- */

int guard_evict(void *pool, unsigned long below);

/* Report callbacks of the calling thread that did not return; calls for others nothing but a look at a count. */
void guard_look_for_lost_evictions(struct guard_pool *pool);

/* At the end: callbacks of any thread that did not return. */
void guard_report_evictions(struct guard_pool *pool);

/* In a forked child, with evictions_lock: other threads' callbacks are not there. */
void guard_forget_evictions_of_others(struct guard_pool *pool);

/* ---- guard_slots.c ---- */

int guard_set_limit(void *pool, uint64_t limit_bytes);

/* Give the driver below what the table can spare of the limit.  false: nothing. */
bool guard_yield_share(struct guard_pool *pool);

uint64_t guard_total_size(void *pool);
int guard_trim(void *pool, uint64_t *released);
int guard_compact(void *pool, const struct zpool_budget *budget, uint64_t *released);

/* A slot of the table; 0 or -errno. */
int guard_get_slot(struct guard_pool *pool, zpool_gfp_t gfp, uint32_t *slot);

/* Give a slot back that is not live: to those kept, so that no lock is waited for, while there is room. */
void guard_put_slot(struct guard_pool *pool, uint32_t slot);
/* The same without ever waiting. */
void guard_drop_slot(struct guard_pool *pool, uint32_t slot);
void guard_put_kept_slots(struct guard_pool *pool);
uint64_t guard_kept_slots(struct guard_pool *pool);

/* ---- guard_leaks.c ---- */

/* Check every object that is not mapped. */
void guard_check_all(struct guard_pool *pool, const char *when);

/* At the end: what is still live, and mapped. */
void guard_report_leaks(struct guard_pool *pool);

#endif
