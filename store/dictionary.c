/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <zdict.h>
#include <zstd_errors.h>

#include "store.h"

#define DICTIONARY_BYTES_MIN 8 /* zstd ignores shorter ones. */
#define TRAIN_BYTES_DEFAULT 65536

/* The most that ZSTD_createCDict() allocates: the dictionary, and tables of up to eight entries per byte of it. */
#define PREPARED_BYTES(bytes) ((1 << 20) + 40 * (bytes))

/* ------------------------------------------------------------------------------------------------------------------
 * One dictionary
 */

bool zps_has_version(const struct zpool_store *store, const struct zps_choice *choice)
{
	return store->dictionaries && choice->compressor == zps_zstd();
}

/* zstd's functions that prepare a dictionary do not say why they fail, but compressing with one at once does. */
static bool is_damaged(const void *content, size_t bytes, int level)
{
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	char to[64];
	size_t result;

	if (!cctx)
		return false;
	result = ZSTD_compress_usingDict(cctx, to, sizeof(to), "", 0, content, bytes, level);
	ZSTD_freeCCtx(cctx);
	return ZSTD_getErrorCode(result) == ZSTD_error_dictionary_corrupted;
}

/* A block of malloc() that large would teach it to keep as much in the heap when it is freed. */
bool zps_zstd_has_memory(size_t bytes)
{
	void *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED)
		return false;
	(void)munmap(all, bytes);
	return true;
}

static int cannot_prepare(const void *content, size_t bytes, int level)
{
	if (is_damaged(content, bytes, level))
		return zpool_set_error(EINVAL,
				       "The dictionary of %zu bytes begins like a dictionary of zstd, but is damaged: "
				       "give a whole one, as \"zstd --train\" writes it.",
				       bytes);
	return zpool_set_error(ENOMEM, "There is no memory for a dictionary of %zu bytes.", bytes);
}

static ZSTD_CDict *prepare(const struct zpool_store *store, const struct zps_choice *choice, const void *content,
			   size_t bytes)
{
	if (!zps_has_version(store, choice) || !zps_zstd_has_memory(PREPARED_BYTES(bytes)))
		return NULL;
	return ZSTD_createCDict(content, bytes, choice->level);
}

int zps_dictionary_new(const struct zpool_store *store, const void *content, size_t bytes,
		       struct zps_dictionary **dictionary)
{
	const struct zps_contexts *contexts = &store->contexts;
	struct zps_dictionary *new = calloc(1, sizeof(*new) + bytes);

	if (!new)
		return zpool_set_error(ENOMEM, "There is no memory for a dictionary of %zu bytes.", bytes);
	new->bytes = bytes;
	memcpy(new->content, content, bytes);
	new->first = prepare(store, &contexts->choice, content, bytes);
	new->second = prepare(store, &contexts->second, content, bytes);
	new->back = ZSTD_createDDict(content, bytes);
	if ((!new->first &&zps_has_version(store, &contexts->choice)) ||
	    (!new->second &&zps_has_version(store, &contexts->second)) || !new->back) {
		zps_dictionary_free(new);
		return cannot_prepare(content, bytes, contexts->choice.level);
	}
	new->memory_bytes = sizeof(*new) + bytes + ZSTD_sizeof_CDict(new->first) + ZSTD_sizeof_CDict(new->second) +
			    ZSTD_sizeof_DDict(new->back);
	*dictionary = new;
	return 0;
}

void zps_dictionary_free(struct zps_dictionary *dictionary)
{
	if (!dictionary)
		return;
	ZSTD_freeCDict(dictionary->first);
	ZSTD_freeCDict(dictionary->second);
	ZSTD_freeDDict(dictionary->back);
	free(dictionary);
}

/* ------------------------------------------------------------------------------------------------------------------
 * All dictionaries
 */

/* Checks the arguments that concern dictionaries.  The compressors are chosen. */
static int check_args(const struct zpool_store *store, const struct zpool_store_args *args)
{
	uint64_t bytes = args->dictionary_bytes;
	const struct zpool_store_compressor *zstd = zps_zstd();

	if (store->contexts.choice.compressor != zstd && store->contexts.second.compressor != zstd)
		return zpool_set_error(
			EINVAL,
			"Only zstd uses dictionaries, and the store's compressor is \"%s\": name zstd as "
			"the compressor or the recompressor, or leave out the dictionary and the "
			"training.",
			args->compressor);
	if (!args->dictionary != !bytes)
		return zpool_set_error(EINVAL, bytes ? "A store was given dictionary_bytes without a dictionary."
						     : "A store was given an empty dictionary: leave it out.");
	if (bytes && (bytes < DICTIONARY_BYTES_MIN || bytes > ZPOOL_STORE_DICTIONARY_BYTES_MAX))
		return zpool_set_error(EINVAL, "A dictionary must have %d to %d bytes, not %" PRIu64 ".",
				       DICTIONARY_BYTES_MIN, ZPOOL_STORE_DICTIONARY_BYTES_MAX, bytes);
	bytes = args->train_bytes;
	if (bytes && (bytes < ZPS_TRAIN_BYTES_MIN || bytes > ZPOOL_STORE_DICTIONARY_BYTES_MAX))
		return zpool_set_error(EINVAL, "A store's train_bytes must be from %d to %d, not %" PRIu64 ".",
				       ZPS_TRAIN_BYTES_MIN, ZPOOL_STORE_DICTIONARY_BYTES_MAX, bytes);
	return 0;
}

int zps_dictionaries_init(struct zpool_store *store, const struct zpool_store_args *args)
{
	struct zps_dictionaries *dictionaries;
	struct zps_dictionary *given;
	int err;

	if (!args->dictionary && !args->dictionary_bytes && !args->train_units && !args->train_bytes)
		return 0;
	err = check_args(store, args);
	if (err)
		return err;
	dictionaries = calloc(1, sizeof(*dictionaries));
	if (!dictionaries)
		return zpool_set_error(ENOMEM, "There is no memory for a store.");
	pthread_mutex_init(&dictionaries->lock, NULL);
	store->dictionaries = dictionaries;
	dictionaries->due_units = args->train_units ? args->train_units : UINT64_MAX;
	dictionaries->train_bytes = (size_t)args->train_bytes;
	if (args->train_units && !args->train_bytes)
		dictionaries->train_bytes = TRAIN_BYTES_DEFAULT;
	if (!args->dictionary)
		return 0;
	err = zps_dictionary_new(store, args->dictionary, (size_t)args->dictionary_bytes, &given);
	if (!err)
		zps_dictionary_add(store, 1, given);
	return err;
}

void zps_dictionaries_fini(struct zpool_store *store)
{
	struct zps_dictionaries *dictionaries = store->dictionaries;

	if (!dictionaries)
		return;
	for (unsigned int version = 1; version <= ZPS_DICTIONARIES; version++)
		zps_dictionary_free(atomic_load(&dictionaries->version[version]));
	pthread_mutex_destroy(&dictionaries->lock);
	free(dictionaries);
}

uint64_t zps_dictionaries_bytes(const struct zpool_store *store)
{
	return store->dictionaries ? atomic_load_explicit(&store->dictionaries->bytes, memory_order_relaxed) : 0;
}

void zps_dictionary_add(struct zpool_store *store, unsigned int version, struct zps_dictionary *dictionary)
{
	struct zps_dictionaries *dictionaries = store->dictionaries;

	atomic_fetch_add(&dictionaries->bytes, dictionary->memory_bytes);
	atomic_store(&dictionaries->version[version], dictionary);
	atomic_store(&dictionaries->current, version);
}

/*
 * Returns true if a version that is not current may be freed.  No thread begins to compress with it any more, so if
 * none is doing that now, the number of its units only falls from here on, and a sum of 0 is final.
 */
static bool is_unneeded(const struct zpool_store *store, unsigned int version)
{
	const struct zps_contexts *contexts = &store->contexts;
	unsigned int used = atomic_load(&contexts->used);

	for (unsigned int i = 0; i < used; i++)
		if (atomic_load(&atomic_load(&contexts->at[i])->dictionary) == version)
			return false;
	return !zps_contexts_sum(contexts, zps_version_count(version));
}

static void reclaim(struct zpool_store *store)
{
	struct zps_dictionaries *dictionaries = store->dictionaries;

	for (unsigned int version = 1; version <= ZPS_DICTIONARIES; version++) {
		struct zps_dictionary *dictionary = atomic_load(&dictionaries->version[version]);

		if (!dictionary || version == atomic_load(&dictionaries->current) || !is_unneeded(store, version))
			continue;
		atomic_store(&dictionaries->version[version], NULL);
		atomic_fetch_sub(&dictionaries->bytes, dictionary->memory_bytes);
		zps_dictionary_free(dictionary);
	}
	zps_limit_release(store, 0);
}

void zps_dictionaries_reclaim(struct zpool_store *store)
{
	if (!store->dictionaries || pthread_mutex_trylock(&store->dictionaries->lock))
		return;
	reclaim(store);
	pthread_mutex_unlock(&store->dictionaries->lock);
}

unsigned int zps_dictionary_slot(struct zpool_store *store)
{
	unsigned int version = 1;

	reclaim(store);
	while (version <= ZPS_DICTIONARIES && atomic_load(&store->dictionaries->version[version]))
		version++;
	return version <= ZPS_DICTIONARIES ? version : 0;
}

void zps_dictionaries_stats(const struct zpool_store *store, struct zpool_store_stats *stats)
{
	const struct zps_dictionaries *dictionaries = store->dictionaries;

	if (!dictionaries)
		return;
	for (unsigned int version = 1; version <= ZPS_DICTIONARIES; version++) {
		stats->dictionaries += !!atomic_load(&dictionaries->version[version]);
		stats->dictionary_units += zps_contexts_sum(&store->contexts, zps_version_count(version));
	}
	stats->dictionary_bytes = zps_dictionaries_bytes(store);
	stats->dictionaries_trained = atomic_load(&dictionaries->trained);
	stats->dictionaries_rejected = atomic_load(&dictionaries->rejected);
	stats->sample_bytes = atomic_load(&dictionaries->sample_bytes);
	stats->sample_before_bytes = atomic_load(&dictionaries->sample_before_bytes);
	stats->sample_after_bytes = atomic_load(&dictionaries->sample_after_bytes);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Use
 */

/*
 * All accesses are sequentially consistent: a thread that makes another version current and then reads `dictionary`
 * sees that this thread uses the old version, or else this thread sees that the version is no longer current.
 */
unsigned int zps_dictionary_begin(const struct zpool_store *store, struct zps_context *context)
{
	unsigned int version;

	if (!store->dictionaries)
		return 0;
	do {
		version = atomic_load(&store->dictionaries->current);
		atomic_store(&context->dictionary, version);
	} while (atomic_load(&store->dictionaries->current) != version);
	return version;
}

size_t zps_compress(const struct zpool_store *store, const struct zps_packer *packer, const void *from, size_t bytes,
		    void *to, size_t room)
{
	const struct zps_dictionary *dictionary;
	const ZSTD_CDict *prepared = NULL;
	unsigned char *payload = to;
	size_t length;

	if (!zps_has_version(store, packer->choice))
		return packer->choice->compressor->compress(packer->state, from, bytes, to, room);
	if (room < 2)
		return 0;
	dictionary = atomic_load_explicit(&store->dictionaries->version[packer->version], memory_order_acquire);
	if (dictionary)
		prepared = packer->choice == &store->contexts.second ? dictionary->second : dictionary->first;
	payload[0] = (unsigned char)packer->version;
	length = zps_zstd_compress(packer->state, prepared, from, bytes, payload + 1, room - 1);
	return length ? length + 1 : 0;
}

size_t zps_decompress(const struct zpool_store *store, const struct zps_choice *choice, void *state, const void *from,
		      size_t bytes, void *to, size_t room)
{
	const unsigned char *payload = from;
	const struct zps_dictionary *dictionary;

	if (!zps_has_version(store, choice))
		return choice->compressor->decompress(state, from, bytes, to, room);
	if (bytes < 2 || payload[0] > ZPS_DICTIONARIES)
		return 0;
	dictionary = atomic_load_explicit(&store->dictionaries->version[payload[0]], memory_order_acquire);
	if (payload[0] && !dictionary)
		return 0;
	return zps_zstd_decompress(state, dictionary ? dictionary->back : NULL, payload + 1, bytes - 1, to, room);
}

int64_t zpool_store_get_dictionary(struct zpool_store *store, void *buf, size_t room)
{
	const struct zps_dictionary *dictionary = NULL;
	struct zps_context *context;
	unsigned int version;
	int64_t result;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_get_dictionary() was given no store.");
	context = zps_context_get(&store->contexts);
	version = zps_dictionary_begin(store, context);
	if (version)
		dictionary = atomic_load(&store->dictionaries->version[version]);
	if (!dictionary) {
		result = zpool_set_error(ENOENT, "The store uses no dictionary.");
	} else if (buf && room < dictionary->bytes) {
		result = zpool_set_error(ENOBUFS, "The dictionary has %zu bytes, and there is room for %zu.",
					 dictionary->bytes, room);
	} else {
		if (buf)
			memcpy(buf, dictionary->content, dictionary->bytes);
		result = (int64_t)dictionary->bytes;
	}
	zps_context_put(context);
	return result;
}
