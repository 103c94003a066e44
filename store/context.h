/* SPDX-License-Identifier: MIT
 *
 * context.h - what one thread needs during a call: a compressor's state, buffers, counters
 *
 * A call takes a context that nobody uses, preferably the one that its thread had last, and makes one if all are taken;
 * so there are as many as there were calls at the same time, and at most ZPS_CONTEXTS_MAX.  Where the limit leaves no
 * room for one more, a call waits for one.
 *
 * Inside a section a thread may follow the index; see index.h.  A section is short; it waits at most for the lock of a
 * unit.
 */
#ifndef ZPS_CONTEXT_H
#define ZPS_CONTEXT_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "compressor.h"

#define ZPS_CONTEXTS_MAX 256

/* Live values are sums of differences: a unit may be put by one thread and dropped by another. */
enum zps_count {
	ZPS_UNITS,
	ZPS_SAME_FILLED,
	ZPS_INCOMPRESSIBLE,
	ZPS_ORIGINAL_BYTES,
	ZPS_STORED_BYTES,
	ZPS_PUTS,
	ZPS_HITS,
	ZPS_MISSES,
	ZPS_DROPS,
	ZPS_REFUSED_LIMIT,
	ZPS_REFUSED_TOO_LARGE,
	ZPS_REFUSED_OTHER,
	ZPS_DAMAGED,
	ZPS_REFUSED_BACKING,
	ZPS_DIRTY_UNITS,
	ZPS_LOADED,
	ZPS_WRITTEN_BACK,
	ZPS_WRITTEN_THROUGH,
	ZPS_EVICTED,
	ZPS_SECOND_CHANCES,
	ZPS_LOAD_ERRORS,
	ZPS_WRITE_ERRORS,
	ZPS_FLUSHES,
	ZPS_RECOMPRESSED,
	ZPS_RECOMPRESS_SAVED,
	ZPS_PRESSURE_EVENTS,
	ZPS_COUNTS
};

struct zps_context {
	_Alignas(64) _Atomic uint32_t taken;
	_Atomic uint32_t section; /* odd: inside one */
	int cancel_state;
	void *state;         /* the compressor's */
	void *second;        /* the second compressor's, to decompress; NULL: none, or the first one's state does it */
	unsigned char *copy; /* an object as it is stored, where the driver maps none */
	unsigned char *io;   /* what is read from or written to the backing; NULL without one */
	_Atomic uint64_t count[ZPS_COUNTS];
	unsigned char image[]; /* an object that is to be stored, and behind it the copy */
};

struct zpool_store;

struct zps_contexts {
	struct zps_choice choice;
	struct zps_choice second; /* for recompression, if any */
	uint64_t extra_bytes;     /* of recompression, which has a state of its own */
	size_t image_bytes;
	size_t io_bytes;           /* 0: no backing */
	uint64_t context_bytes;    /* of one */
	struct zpool_store *store; /* whose limit allows more, or not */
	_Atomic unsigned int used;
	_Atomic(struct zps_context *) at[ZPS_CONTEXTS_MAX];
	pthread_mutex_t lock; /* guards adding */
};

/* Makes the first context.  io_bytes 0: without a backing.  0 or -errno. */
int zps_contexts_init(struct zps_contexts *contexts, size_t image_bytes, size_t io_bytes);
void zps_contexts_fini(struct zps_contexts *contexts);
uint64_t zps_contexts_bytes(const struct zps_contexts *contexts);
uint64_t zps_contexts_sum(const struct zps_contexts *contexts, enum zps_count count);

/* The thread cannot be cancelled between the two. */
struct zps_context *zps_context_get(struct zps_contexts *contexts);
void zps_context_put(struct zps_context *context);

/* Wait until every section that runs now has ended.  Outside a section. */
void zps_contexts_wait(struct zps_contexts *contexts);

/* A pause of a loop that waits for another thread: a short one first, then the processor is given away. */
void zps_pause(unsigned int *turn);

/* In the order of all such accesses: the table is read after this store, and replaced before sections are looked at. */
static inline void zps_section_begin(struct zps_context *context)
{
	atomic_store_explicit(&context->section, atomic_load_explicit(&context->section, memory_order_relaxed) + 1,
			      memory_order_seq_cst);
}

static inline void zps_section_end(struct zps_context *context)
{
	atomic_store_explicit(&context->section, atomic_load_explicit(&context->section, memory_order_relaxed) + 1,
			      memory_order_release);
}

/* Only the thread that has the context adds; others may read. */
static inline void zps_count(struct zps_context *context, enum zps_count count, uint64_t add)
{
	atomic_store_explicit(&context->count[count],
			      atomic_load_explicit(&context->count[count], memory_order_relaxed) + add,
			      memory_order_relaxed);
}

#endif
