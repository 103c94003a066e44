/* SPDX-License-Identifier: MIT
 *
 * train.c - training of a zstd dictionary from the values in memory
 *
 * The sample is taken from all over the store: values of every n-th leaf.  One value in four is held out of training,
 * and the dictionary is tried on these, because it always does well on what it was trained from.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zdict.h>
#include <zstd_errors.h>

#include "store.h"

#define SAMPLE_BYTES (1 << 20)
#define SAMPLE_VALUES_MIN 16
#define SAMPLE_VALUES_MAX 8192
#define HELD_OUT 4  /* One value in so many is held out. */
#define PART_MAX 16 /* A dictionary is at most one byte for so many bytes that it is trained from. */
#define GAIN_PERCENT_MIN 3
#define LOOK_CALLS 32

/* This is what ZDICT_trainFromBuffer() allocates beside the sample and the dictionary, measured with zstd 1.5. */
#define TRAINING_BYTES (12 << 20)

struct sample {
	unsigned char *data;
	size_t bytes;
	size_t room;
	size_t *length;
	unsigned int count;
	unsigned int max;
};

struct training {
	struct zpool_store *store;
	struct zps_context *context;
	const struct zps_choice *choice; /* is the compressor with which the dictionary is tried */
	struct sample learn;
	struct sample trial;
	unsigned char *content; /* receives the dictionary */
	size_t content_bytes;
	void *state;
	uint64_t state_bytes;
};

/* ------------------------------------------------------------------------------------------------------------------
 * The sample
 */

uint64_t zps_object_count(const struct zpool_store *store)
{
	uint64_t units = zps_contexts_sum(&store->contexts, ZPS_UNITS);
	uint64_t same = zps_contexts_sum(&store->contexts, ZPS_SAME_FILLED);

	return units > same ? units - same : 0;
}

static int sample_init(struct sample *sample, size_t room, unsigned int max)
{
	sample->room = room;
	sample->max = max;
	sample->data = malloc(room);
	sample->length = malloc(max * sizeof(*sample->length));
	return sample->data && sample->length ? 0 : -ENOMEM;
}

static void sample_fini(struct sample *sample)
{
	free(sample->data);
	free(sample->length);
}

static bool is_full(const struct zpool_store *store, const struct sample *sample)
{
	return sample->count == sample->max || sample->room - sample->bytes < store->unit_bytes;
}

/* Adds the value of a key to the sample that it belongs to, if there is one and there is room. */
static void take_value(struct training *training, uint64_t key)
{
	bool held_out = (training->learn.count + training->trial.count) % HELD_OUT == HELD_OUT - 1;
	struct sample *sample = held_out ? &training->trial : &training->learn;
	struct zpool_store *store = training->store;
	struct zps_unit unit;
	int64_t length = 0;
	uint32_t meta;

	if (is_full(store, sample) || (zps_peek(store, training->context, key) & ZPS_STATE) != ZPS_OBJECT ||
	    !zps_pin(store, training->context, key, 0, &unit, &meta))
		return;
	if ((meta & ZPS_STATE) == ZPS_OBJECT)
		length = zps_value_read(store, training->context, key, meta, unit.leaf->word[unit.slot],
					sample->data + sample->bytes, store->unit_bytes);
	zps_unit_unpin(unit);
	if (length <= 0)
		return;
	sample->length[sample->count++] = (size_t)length;
	sample->bytes += (size_t)length;
}

/* Returns n if the values of every n-th leaf fill the sample. */
static size_t leaf_step(const struct zpool_store *store)
{
	uint64_t values = zps_object_count(store);
	uint64_t bytes = zps_contexts_sum(&store->contexts, ZPS_ORIGINAL_BYTES) -
			 zps_contexts_sum(&store->contexts, ZPS_SAME_FILLED) * store->unit_bytes;
	uint64_t by_bytes = bytes / SAMPLE_BYTES;
	uint64_t by_values = values / SAMPLE_VALUES_MAX;

	return 1 + (size_t)(by_bytes > by_values ? by_bytes : by_values);
}

/* Fills both samples, and returns 0, or -errno with the error set. */
static int take_sample(struct training *training)
{
	struct zpool_store *store = training->store;
	size_t leaves = atomic_load_explicit(&store->index.leaf_count, memory_order_acquire);
	size_t step = leaf_step(store);

	if (sample_init(&training->learn, SAMPLE_BYTES - SAMPLE_BYTES / HELD_OUT,
			SAMPLE_VALUES_MAX - SAMPLE_VALUES_MAX / HELD_OUT) ||
	    sample_init(&training->trial, SAMPLE_BYTES / HELD_OUT, SAMPLE_VALUES_MAX / HELD_OUT))
		return zpool_set_error(ENOMEM, "There is no memory for training a dictionary.");
	for (size_t i = 0; i < leaves; i += step) {
		uint64_t base = zps_leaf_base(zps_index_leaf(&store->index, i));

		for (unsigned int slot = 0; slot < ZPS_LEAF_UNITS; slot++)
			take_value(training, base + slot);
	}
	if (training->learn.count + training->trial.count < SAMPLE_VALUES_MIN)
		return zpool_set_error(ENODATA,
				       "A dictionary is trained from at least %d values that are not same-filled, and "
				       "the store has %u: put more values first.",
				       SAMPLE_VALUES_MIN, training->learn.count + training->trial.count);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Training
 */

/* Trains a dictionary.  Returns 1, 0 if these values cannot give one, or -errno with the error set. */
static int make_content(struct training *training)
{
	const struct sample *learn = &training->learn;
	size_t room = training->store->dictionaries->train_bytes;
	size_t bytes;

	if (room > learn->bytes / PART_MAX)
		room = learn->bytes / PART_MAX;
	if (room < ZPS_TRAIN_BYTES_MIN)
		room = ZPS_TRAIN_BYTES_MIN;
	training->content = malloc(room);
	if (!training->content || !zps_zstd_has_memory(TRAINING_BYTES))
		return zpool_set_error(ENOMEM, "There is no memory for training a dictionary.");
	bytes = ZDICT_trainFromBuffer(training->content, room, learn->data, learn->length, learn->count);
	if (!ZDICT_isError(bytes)) {
		training->content_bytes = bytes;
		return 1;
	}
	switch (ZSTD_getErrorCode(bytes)) {
	case ZSTD_error_memory_allocation:
		return zpool_set_error(ENOMEM, "There is no memory for training a dictionary.");
	case ZSTD_error_srcSize_wrong:
		return zpool_set_error(ENODATA,
				       "The %u values of the sample, of %zu bytes together, are too short to "
				       "train a dictionary from.",
				       learn->count, learn->bytes);
	default:
		return 0;
	}
}

/* Returns how long the values that were held out are when they are compressed with a dictionary, or without one. */
static uint64_t try_on_values(struct training *training, const ZSTD_CDict *dictionary)
{
	const struct sample *trial = &training->trial;
	const unsigned char *data = trial->data;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < trial->count; data += trial->length[i++]) {
		size_t length = zps_zstd_compress(training->state, dictionary, data, trial->length[i],
						  training->context->image, trial->length[i] - 1);

		sum += length ? length : trial->length[i];
	}
	return sum;
}

static const ZSTD_CDict *prepared(const struct training *training, const struct zps_dictionary *dictionary)
{
	if (!dictionary)
		return NULL;
	return training->choice == &training->store->contexts.second ? dictionary->second : dictionary->first;
}

/*
 * Returns true if the dictionary makes the held out values shorter by the margin, and if the values in memory would at
 * this rate save at least the memory of the dictionary.
 */
static bool pays(struct training *training, const struct zps_dictionary *dictionary)
{
	struct zps_dictionaries *dictionaries = training->store->dictionaries;
	const struct zps_dictionary *present = atomic_load(&dictionaries->version[atomic_load(&dictionaries->current)]);
	uint64_t before = try_on_values(training, prepared(training, present));
	uint64_t after = try_on_values(training, prepared(training, dictionary));
	double stored_bytes = (double)zps_contexts_sum(&training->store->contexts, ZPS_STORED_BYTES);

	training->state_bytes = training->choice->compressor->context_bytes(training->state);
	atomic_store(&dictionaries->sample_bytes, training->trial.bytes);
	atomic_store(&dictionaries->sample_before_bytes, before);
	atomic_store(&dictionaries->sample_after_bytes, after);
	return after <= before - before * GAIN_PERCENT_MIN / 100 &&
	       (double)(before - after) / (double)before * stored_bytes >= (double)dictionary->memory_bytes;
}

/* Makes a dictionary current if the limit has room for it.  Returns 1, or -ENOMEM with the error set. */
static int add(struct training *training, unsigned int version, struct zps_dictionary *dictionary)
{
	struct zpool_store *store = training->store;
	struct zps_contexts *contexts = &store->contexts;
	uint64_t growth = dictionary->memory_bytes;

	if (training->choice == &contexts->choice && training->state_bytes > contexts->state_bytes)
		growth += (training->state_bytes - contexts->state_bytes) * atomic_load(&contexts->used);
	if (!zps_limit_reserve(store, growth, false)) {
		zps_dictionary_free(dictionary);
		return zpool_set_error(ENOMEM,
				       "The store's limit leaves no room for a dictionary that takes %llu bytes.",
				       (unsigned long long)growth);
	}
	if (training->choice == &contexts->choice)
		zps_contexts_raise_state(contexts, training->state_bytes);
	zps_dictionary_add(store, version, dictionary);
	atomic_fetch_add(&store->dictionaries->trained, 1);
	atomic_store(&store->dictionaries->due_units, UINT64_MAX);
	zps_limit_release(store, growth);
	return 1;
}

/* Makes and tries a dictionary.  Returns 1 if it is to be used, 0 if it does not pay, or -errno with the error set. */
static int make(struct training *training, struct zps_dictionary **dictionary)
{
	int result = take_sample(training);

	if (!result)
		result = make_content(training);
	if (result < 1)
		return result;
	result = zps_dictionary_new(training->store, training->content, training->content_bytes, dictionary);
	if (result)
		return result;
	training->state = training->choice->compressor->create(training->choice->level);
	if (!training->state)
		result = zpool_set_error(ENOMEM, "There is no memory for training a dictionary.");
	else if (pays(training, *dictionary))
		return 1;
	zps_dictionary_free(*dictionary);
	return result;
}

static void training_fini(struct training *training)
{
	sample_fini(&training->learn);
	sample_fini(&training->trial);
	free(training->content);
	if (training->state)
		training->choice->compressor->destroy(training->state);
}

/* The caller holds the lock of the dictionaries. */
static int train(struct zpool_store *store, struct zps_context *context)
{
	struct zps_contexts *contexts = &store->contexts;
	struct training training = { .store = store, .context = context, .choice = &contexts->choice };
	uint64_t needed = TRAINING_BYTES + SAMPLE_BYTES + SAMPLE_VALUES_MAX * sizeof(size_t);
	struct zps_dictionary *dictionary = NULL;
	unsigned int version;
	int result;

	atomic_store(&context->dictionary, 0);
	version = zps_dictionary_slot(store);
	if (!version)
		return zpool_set_error(ENOSPC,
				       "The store has %d dictionaries, and values were compressed with each: put these "
				       "values again, or recompress them with ZPOOL_STORE_RECOMPRESS_ALL.",
				       ZPS_DICTIONARIES);
	if (!zps_limit_reserve(store, needed, false))
		return zpool_set_error(
			ENOMEM,
			"Training a dictionary takes %llu bytes for a moment, for which the store's limit "
			"leaves no room: raise it with zpool_store_set_limit() meanwhile.",
			(unsigned long long)needed);
	if (!zps_has_version(store, training.choice))
		training.choice = &contexts->second;
	result = make(&training, &dictionary);
	if (!result)
		atomic_fetch_add(&store->dictionaries->rejected, 1);
	zps_limit_release(store, needed);
	if (result == 1)
		result = add(&training, version, dictionary);
	training_fini(&training);
	return result;
}

void zps_train_when_due(struct zpool_store *store, struct zps_context *context)
{
	struct zps_dictionaries *dictionaries = store->dictionaries;
	uint64_t units;

	if (!dictionaries || atomic_load_explicit(&dictionaries->due_units, memory_order_relaxed) == UINT64_MAX ||
	    ++context->calls_since_look < LOOK_CALLS)
		return;
	context->calls_since_look = 0;
	units = zps_object_count(store);
	if (units < atomic_load(&dictionaries->due_units) || pthread_mutex_trylock(&dictionaries->lock))
		return;
	if (units >= atomic_load(&dictionaries->due_units) && train(store, context) != 1)
		atomic_store(&dictionaries->due_units, 2 * units);
	pthread_mutex_unlock(&dictionaries->lock);
}

int zpool_store_train(struct zpool_store *store)
{
	struct zps_context *context;
	int result;

	if (!store)
		return zpool_set_error(EINVAL, "zpool_store_train() was given no store.");
	if (!store->dictionaries || !store->dictionaries->train_bytes)
		return zpool_set_error(EOPNOTSUPP, "The store was opened without train_bytes or train_units, so it "
						   "trains no dictionary.");
	context = zps_context_get(&store->contexts);
	if (pthread_mutex_trylock(&store->dictionaries->lock)) {
		result = zpool_set_error(EBUSY, "Another thread is training a dictionary of the store.");
	} else {
		result = train(store, context);
		pthread_mutex_unlock(&store->dictionaries->lock);
	}
	zps_context_put(context);
	return result;
}
