/* SPDX-License-Identifier: MIT
 *
 * ops-model.h - a pool, and beside it what every object must contain
 *
 * Objects are in sets, one for each thread.  While several threads run, each of them uses its own set and holds that
 * set's lock; only the evict callback looks into other sets, and it takes their locks by trylock.
 */
#ifndef TESTS_FUZZ_OPS_MODEL_H
#define TESTS_FUZZ_OPS_MODEL_H 1

#include <pthread.h>
#include <stdatomic.h>

#include "fuzz.h"
#include "source.h"
#include "stack.h"

enum { OPS_SETS = 4, OPS_OBJECTS = 160, OPS_STALE = 16, OPS_MAPS_MAX = 60, OPS_BYTES_MAX = 2 << 20 };

/* There is a limit, but the model does not know which. */
#define OPS_LIMIT_UNKNOWN UINT64_MAX

/*
 * bytes     what the object must contain
 * address   where it is mapped, if maps is not 0
 * writable  one of its maps is not ZPOOL_MM_RO
 */
struct ops_object {
	unsigned long handle;
	size_t size;
	unsigned char *bytes;
	char *address;
	unsigned int maps;
	bool writable;
};

struct ops_set {
	pthread_mutex_t lock;
	unsigned int count;
	struct ops_object at[OPS_OBJECTS];
	unsigned int stale_count;
	unsigned long stale[OPS_STALE];
};

/*
 * threads   several threads run, so nothing is known about the pool as a whole
 * is_child  this is a child of fork()
 * forks     how many children there have been
 * limit     as last set, 0: none, or OPS_LIMIT_UNKNOWN
 * total     the pool's size after the previous operation
 * bytes     in all objects
 */
struct ops_world {
	struct zpool *pool, *other_pool;
	struct fuzz_stack stack;
	struct fuzz_source source;
	bool has_source;
	bool threads;
	bool is_child;
	unsigned int forks;
	_Atomic uint64_t limit;
	uint64_t total;
	_Atomic size_t bytes;
	size_t largest;
	struct ops_set sets[OPS_SETS];
};

/* The position of a thread in its input.  depth is the number of evict callbacks that are running. */
struct ops_run {
	struct ops_world *world;
	struct ops_set *set;
	struct fuzz_input *input;
	unsigned int depth;
};

/* Returns OPS_OBJECTS if the set does not have the handle. */
unsigned int ops_find(const struct ops_set *set, unsigned long handle);
bool ops_is_live(const struct ops_world *world, unsigned long handle);

/* Chooses an object of the run's set; false if there is none. */
bool ops_choose(struct ops_run *run, unsigned int *at);

/* Compares an object with the model, through a map or, on request, through zpool_obj_read(). */
void ops_compare(struct ops_world *world, struct ops_set *set, unsigned int at, bool by_reading);
void ops_compare_all(struct ops_world *world);

/* Each makes one call and updates the model. */
void ops_malloc(struct ops_run *run, size_t size, zpool_gfp_t gfp, uint32_t seed);
void ops_free(struct ops_world *world, struct ops_set *set, unsigned int at);
void ops_map(struct ops_world *world, struct ops_set *set, unsigned int at, enum zpool_mapmode mode, uint32_t seed);
void ops_unmap(struct ops_world *world, struct ops_set *set, unsigned int at);
void ops_write(struct ops_world *world, struct ops_set *set, unsigned int at, size_t offset, size_t length,
	       uint32_t seed);
void ops_read(struct ops_world *world, struct ops_set *set, unsigned int at, size_t offset, size_t length);

/* Every call with a handle that is not live must be refused. */
void ops_try_dead(struct ops_world *world, unsigned long handle);

/* Compares the pool's walk and statistics with the model. */
void ops_compare_pool(struct ops_world *world);

#endif
