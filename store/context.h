/* SPDX-License-Identifier: MIT
 *
 * context.h - a context has what one thread needs during a call: compressor states, buffers and counters
 *
 * A call takes a context that is not in use, preferably the one that its thread had last, and makes a new one if all
 * are taken.  So the store has as many contexts as calls ran at the same time, and at most ZPS_CONTEXTS_MAX.  If the
 * limit leaves no room for another context, the call waits until one is free.
 *
 * A thread reads the index only inside a section of its context; see index.h.  A section is short: the thread waits in
 * it at most for the lock of a unit.
 */
#ifndef ZPS_CONTEXT_H
#define ZPS_CONTEXT_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "compressor.h"
#include "dictionary.h"

#define ZPS_CONTEXTS_MAX 256

/*
 * Each context counts for its thread.  A count of what is in the store is the sum over all contexts, in which single
 * terms may be negative, because one thread may put a unit and another may drop it.
 */
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
	ZPS_EVICT_NS,
	ZPS_THROUGH_TOO_LARGE,
	ZPS_DICTIONARY_UNITS, /* is the first of ZPS_DICTIONARIES counts, one for each version */
	ZPS_COUNTS = ZPS_DICTIONARY_UNITS + ZPS_DICTIONARIES
};

static inline enum zps_count zps_version_count(unsigned int version)
{
	return (enum zps_count)(ZPS_DICTIONARY_UNITS + version - 1);
}

#define ZPS_ERROR_TEXT 400

struct zps_context {
	_Alignas(64) _Atomic uint32_t taken;
	_Atomic uint32_t section;        /* is odd while the thread is inside a section */
	_Atomic unsigned int dictionary; /* is the version that the thread may be compressing with; see dictionary.h */
	unsigned int calls_since_look;   /* counts the calls since the thread looked whether a training is due */
	int cancel_state;
	void *state;         /* is the first compressor's state */
	void *second;        /* decompresses the second compressor's objects; NULL if not needed */
	unsigned char *copy; /* receives an object if the driver cannot map it */
	unsigned char *io;   /* is the buffer for the backing; NULL without a backing */
	int first_err;       /* is the first error since zps_errors_begin() */
	char first_text[ZPS_ERROR_TEXT];
	_Atomic uint64_t count[ZPS_COUNTS];
	unsigned char image[]; /* has an object that is to be stored, and behind it the memory of `copy` */
};

struct zpool_store;

struct zps_contexts {
	struct zps_choice choice;
	struct zps_choice second;     /* is for recompression; it has no compressor without a recompressor */
	_Atomic uint64_t extra_bytes; /* counts the memory of recompression, which has its own state and buffers */
	size_t image_bytes;
	size_t io_bytes;              /* is 0 without a backing */
	uint64_t context_bytes;       /* is the memory that one context takes beside its first state */
	_Atomic uint64_t state_bytes; /* is the memory of the first state, the largest so far */
	struct zpool_store *store;    /* has the limit, which decides whether another context may be made */
	_Atomic unsigned int used;
	_Atomic(struct zps_context *) at[ZPS_CONTEXTS_MAX];
	pthread_mutex_t lock; /* is held while a context is added */
};

/* Makes the first context; io_bytes is 0 for a store without a backing.  Returns 0 or -errno. */
int zps_contexts_init(struct zps_contexts *contexts, size_t image_bytes, size_t io_bytes);
void zps_contexts_fini(struct zps_contexts *contexts);

/* Counts that the first state of each context may take this many bytes from now on. */
void zps_contexts_raise_state(struct zps_contexts *contexts, uint64_t state_bytes);
uint64_t zps_contexts_bytes(const struct zps_contexts *contexts);
uint64_t zps_contexts_sum(const struct zps_contexts *contexts, enum zps_count count);

/* A call takes a context with get and returns it with put; between the two, its thread cannot be cancelled. */
struct zps_context *zps_context_get(struct zps_contexts *contexts);
void zps_context_put(struct zps_context *context);

/*
 * A call that continues after an error returns the first one, with its text: between begin and end, it notes each
 * error while zpool_last_error() has its text.  The end returns the first error, with its text set again, or 0.
 */
void zps_errors_begin(struct zps_context *context);
void zps_errors_note(struct zps_context *context, int err);
int zps_errors_end(struct zps_context *context);

/* Waits until every section that is running now has ended.  The caller is outside a section. */
void zps_contexts_wait(struct zps_contexts *contexts);

/* Pauses in a loop that waits for another thread: the first pauses spin, later ones yield the processor, then sleep. */
void zps_pause(unsigned int *turn);

/*
 * The store is sequentially consistent, like the accesses to the index's table and to its chains: a thread that
 * replaces the table, or removes a leaf from a chain, and then reads `section` sees that this section has begun, or
 * else this section sees the change.
 */
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

/* Only the thread that has the context adds to its counts, while other threads may read them. */
static inline void zps_count(struct zps_context *context, enum zps_count count, uint64_t add)
{
	atomic_store_explicit(&context->count[count],
			      atomic_load_explicit(&context->count[count], memory_order_relaxed) + add,
			      memory_order_relaxed);
}

#endif
