/* SPDX-License-Identifier: MIT
 *
 * dictionary.h - the zstd dictionaries of a store
 *
 * A store has up to ZPS_DICTIONARIES dictionaries, each with a number, its version.  One is the current one, with which
 * values are compressed from now on.  In a store with dictionaries, a payload that zstd made begins with one byte, the
 * version that it was compressed with, or 0 for none.
 *
 * A version that is not current is freed when no unit needs it and no thread is compressing with it.  So each context
 * counts the units of each version, as it counts all units, and has in `dictionary` the version that its thread may be
 * compressing with.
 */
#ifndef ZPS_DICTIONARY_H
#define ZPS_DICTIONARY_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zstd.h>

#include "compressor.h"

#define ZPS_DICTIONARIES 8
#define ZPS_TRAIN_BYTES_MIN 256 /* is the minimum of ZDICT_trainFromBuffer() */

struct zps_context;

struct zps_dictionary {
	ZSTD_CDict *first;     /* compresses at the level of the first compressor; NULL if that is not zstd */
	ZSTD_CDict *second;    /* the same for the second compressor */
	ZSTD_DDict *back;      /* decompresses */
	uint64_t memory_bytes; /* is the memory that all of this takes */
	size_t bytes;
	unsigned char content[];
};

/* This is what a value is compressed with. */
struct zps_packer {
	const struct zps_choice *choice; /* is the store's first or second compressor */
	void *state;
	unsigned int version; /* is that of the dictionary, or 0 */
};

struct zps_dictionaries {
	pthread_mutex_t lock; /* is held while a dictionary is trained, added or freed */
	size_t train_bytes;   /* is the length of the largest dictionary to train, or 0 if none is trained */
	/* Version v is at [v]; [0] is always NULL.  A version is freed only as described above. */
	_Atomic(struct zps_dictionary *) version[ZPS_DICTIONARIES + 1];
	_Atomic unsigned int current;
	_Atomic uint64_t bytes;     /* is the sum of the versions' memory_bytes */
	_Atomic uint64_t due_units; /* is with how many values the store trains next; UINT64_MAX: never */

	_Atomic uint64_t trained, rejected, sample_bytes, sample_before_bytes, sample_after_bytes;
};

/*
 * Sets up dictionaries if the arguments ask for some; the compressors are chosen, and there is no context yet.  Returns
 * 0, or -errno with the error set.
 */
int zps_dictionaries_init(struct zpool_store *store, const struct zpool_store_args *args);
void zps_dictionaries_fini(struct zpool_store *store);
uint64_t zps_dictionaries_bytes(const struct zpool_store *store);

/* Returns true if the payloads of a compressor, which is the store's first or second one, begin with a version. */
bool zps_has_version(const struct zpool_store *store, const struct zps_choice *choice);

/*
 * Returns true if zstd can allocate this much.  Versions before 1.5.6 crash when memory runs out while they train or
 * prepare a dictionary (zstd's pull request 3847), and its training does not always report a lack of memory as such, so
 * the store asks first.  Another thread may still take the memory in between.
 */
bool zps_zstd_has_memory(size_t bytes);

/* Makes a dictionary, which is not a version yet.  Returns 0, or -errno with the error set. */
int zps_dictionary_new(const struct zpool_store *store, const void *content, size_t bytes,
		       struct zps_dictionary **dictionary);
void zps_dictionary_free(struct zps_dictionary *dictionary);

/* These functions need `lock`.  zps_dictionary_slot() returns a free version, or 0 if there is none. */
unsigned int zps_dictionary_slot(struct zpool_store *store);
void zps_dictionary_add(struct zpool_store *store, unsigned int version, struct zps_dictionary *dictionary);

/* Fills in the members of the statistics that are about dictionaries. */
void zps_dictionaries_stats(const struct zpool_store *store, struct zpool_store_stats *stats);

/* Frees versions that are not needed, unless another thread holds `lock`. */
void zps_dictionaries_reclaim(struct zpool_store *store);

/*
 * Returns the current version, or 0.  It is not freed before the next call with this context, or before the context is
 * put back.
 */
unsigned int zps_dictionary_begin(const struct zpool_store *store, struct zps_context *context);

/*
 * These compress and decompress a payload.  They return the length, or 0 as the functions of a compressor do.  `choice`
 * is the store's first or second compressor.
 */
size_t zps_compress(const struct zpool_store *store, const struct zps_packer *packer, const void *from, size_t bytes,
		    void *to, size_t room);
size_t zps_decompress(const struct zpool_store *store, const struct zps_choice *choice, void *state, const void *from,
		      size_t bytes, void *to, size_t room);

/* These are in zstd.c; with NULL, they use no dictionary. */
size_t zps_zstd_compress(void *state, const ZSTD_CDict *dictionary, const void *from, size_t bytes, void *to,
			 size_t room);
size_t zps_zstd_decompress(void *state, const ZSTD_DDict *dictionary, const void *from, size_t bytes, void *to,
			   size_t room);

#endif
