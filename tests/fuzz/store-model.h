/* SPDX-License-Identifier: MIT
 *
 * store-model.h - a store, and beside it the value of every key
 *
 * The keys are numbered.  With a backing, a key is its number; without one, the last of the keys are far away from the
 * others and from each other, so that the index has many leaves.
 */
#ifndef TESTS_FUZZ_STORE_MODEL_H
#define TESTS_FUZZ_STORE_MODEL_H 1

#include "fuzz.h"
#include "stack.h"

#include <zpool-store.h>

#include "../store/image.h"

enum { STORE_KEYS = 64, STORE_NEAR_KEYS = 40, STORE_UNIT_BYTES_MAX = 4096, STORE_DICTIONARY_BYTES_MAX = 1024 };

enum store_backing { STORE_NONE, STORE_IMAGE, STORE_PLAIN, STORE_CLUMSY, STORE_FILE, STORE_BACKINGS };

/* There is a limit, but the model does not know which. */
#define STORE_LIMIT_UNKNOWN UINT64_MAX

/* A value; length 0: there is none. known is false after failures that leave open what the value is. */
struct store_value {
	bool known;
	size_t length;
	unsigned char bytes[STORE_UNIT_BYTES_MAX];
};

/*
 * failing    calls of the backing may fail, or have failed
 * torn       they have since the last flush, so some units may exceed the limit
 * threads    several threads run
 * limit      as last set, 0: none, or STORE_LIMIT_UNKNOWN
 * total      zpool_store_get_total_size() after the previous operation
 * fd         the file of STORE_FILE
 * trainings  how many dictionaries may still be trained on request, because that takes long
 */
struct store_world {
	struct zpool_store *store;
	struct zpool_store_args args;
	struct fuzz_stack stack;
	enum store_backing backing;
	struct image image;
	int fd;
	bool failing;
	bool torn;
	bool threads;
	size_t unit_bytes;
	_Atomic uint64_t limit;
	uint64_t total;
	struct store_value values[STORE_KEYS];
	unsigned int trainings;
	unsigned char dictionary[STORE_DICTIONARY_BYTES_MAX];
};

uint64_t store_key(const struct store_world *world, unsigned int number);

/* Returns true if calls may fail at present. */
bool store_may_fail(const struct store_world *world);

/* Ends the failures of the backing. */
void store_heal(struct store_world *world);

/* Makes a value of at most a unit, of a length and a kind that the input chooses. */
void store_make_value(struct store_world *world, struct fuzz_input *input, struct store_value *value);

/* Each makes one call and updates the model. */
void store_put(struct store_world *world, unsigned int number, const struct store_value *value);
void store_get(struct store_world *world, unsigned int number, size_t room);
void store_drop(struct store_world *world, unsigned int number);
void store_clear(struct store_world *world, unsigned int first, unsigned int count, bool is_hole);

void store_compare_all(struct store_world *world);

/* Compares the backing with the model, after a flush that succeeded. */
void store_compare_backing(const struct store_world *world, unsigned int first, unsigned int count);

/* What zpool_store_next_extent() reports must agree with the values. */
void store_compare_extents(struct store_world *world);

#endif
