/* SPDX-License-Identifier: MIT
 *
 * races.h - many threads do everything to many pools at the same time
 *
 * A run has several places.  Each place has a pool, which is replaced again and again by a pool of another spec, and a
 * table of objects.  Threads (actors) start and end all the time; each has one role, such as storing, shrinking or
 * forking. Every byte of an object is known from its key, so each actor that reads an object checks all of it.
 *
 * The library requires some order of its callers, which the following provides:
 *
 * - place->use is a read-write lock: an actor that uses the pool holds it for reading, and one that destroys or creates
 *   the pool holds it for writing.
 * - object->claim is held by one actor that stores, changes or frees the object, or by several that read it.  Actors
 *   never wait for a claim; the evict callback refuses to evict an object that is claimed.
 */
#ifndef RACES_H
#define RACES_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zpool.h>

#include "conformance/pattern.h"

enum { PLACES_MAX = 16, OBJECTS_MAX = 1024, ACTORS_MAX = 512, SPEC_BYTES = 256, FILE_BYTES = 96, READERS_MAX = 24 };

enum { CLAIM_NONE = 0, CLAIM_ALONE = -1 };

struct object {
	_Atomic(int) claim;            /* the number of readers, or CLAIM_ALONE for a writer */
	_Atomic(unsigned long) handle; /* 0 if there is no object */
	/* Only an actor that has claimed the object uses the following members. */
	unsigned long stale; /* the handle of an object that was freed, or 0 */
	uint64_t key;        /* determines the bytes of the object */
	size_t size;
};

struct source {
	struct zpool_page_source table;
	_Atomic(uint64_t) reserved_bytes;
	_Atomic(uint64_t) calls;
	uint64_t fail_in; /* one call in this many fails, or none if it is 0 */
};

struct place {
	unsigned int number;
	pthread_rwlock_t use;
	struct zpool *pool; /* NULL if it could not be created */
	char spec[SPEC_BYTES];
	char file[FILE_BYTES]; /* where a trace is written; it is removed with the pool */
	size_t max_bytes;
	size_t only_bytes;  /* the size of all objects of this pool, or 0 if they differ */
	bool maps_may_fail; /* a layer of the stack makes calls fail */
	bool callback_evicts;
	bool limited;
	struct source source;
	_Atomic(uint64_t) next_key;
	struct object objects[OBJECTS_MAX];
};

struct actor {
	pthread_t thread;
	unsigned int serial;
	const char *role;
	struct ct_rng rng;
	unsigned int evict_depth;
	/* For the watchdog and for reports: the innermost call that the actor is in, and the number of nested calls. */
	_Atomic(const char *) call;
	_Atomic(unsigned int) calls_deep;
	_Atomic(uint64_t) steps;
	_Atomic(struct place *) place;
	_Atomic(bool) may_be_cancelled; /* it is at the only point where it tests for cancellation */
	_Atomic(bool) ended;
};

/* The events that the last line of a run counts. */
enum tally {
	TALLY_POOLS,
	TALLY_THREADS,
	TALLY_STORED,
	TALLY_VERIFIED,
	TALLY_EVICTED,
	TALLY_REFUSED,
	TALLY_CANCELLED,
	TALLY_SIGNALS,
	TALLY_FORKS,
	TALLY_UNLOADS,
	TALLIES
};

struct races {
	uint64_t seed;
	unsigned int place_count;
	unsigned int object_count; /* of each place */
	unsigned int actor_count;
	const char *only_spec; /* NULL if the run uses all specs */
	const char *only_role; /* NULL if the run uses all roles */
	bool may_fork, may_cancel;
	char directory[64]; /* for trace files */
	_Atomic(bool) stopping;
	_Atomic(uint64_t) tallies[TALLIES];
	struct place places[PLACES_MAX];
	struct actor *actors[ACTORS_MAX];
};

extern struct races races;

/* The actor of the calling thread; the main thread has one too. */
extern _Thread_local struct actor *self;

static inline void tally(enum tally what)
{
	atomic_fetch_add_explicit(&races.tallies[what], 1, memory_order_relaxed);
}

/* ---- reports ---- */

/* Prints the message, what each actor is doing, and how to repeat the run, and aborts. */
__attribute__((format(printf, 1, 2))) _Noreturn void races_fail(const char *format, ...);
#define races_check(condition, ...)                                                                                    \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			races_fail(__VA_ARGS__);                                                                       \
	} while (0)

static inline void call_begin(const char *call)
{
	atomic_fetch_add_explicit(&self->calls_deep, 1, memory_order_relaxed);
	atomic_store_explicit(&self->call, call, memory_order_relaxed);
}

static inline void call_end(void)
{
	if (atomic_fetch_sub_explicit(&self->calls_deep, 1, memory_order_relaxed) == 1)
		atomic_store_explicit(&self->call, NULL, memory_order_relaxed);
}

/* Calls the library, and records the name of the call for reports and the watchdog. */
#define CALL(call_)                                                                                                    \
	__extension__({                                                                                                \
		call_begin(#call_);                                                                                    \
		__auto_type result_ = (call_);                                                                         \
		call_end();                                                                                            \
		result_;                                                                                               \
	})
#define CALL_VOID(call_)                                                                                               \
	do {                                                                                                           \
		call_begin(#call_);                                                                                    \
		(call_);                                                                                               \
		call_end();                                                                                            \
	} while (0)

/* ---- actors.c ---- */

void actors_start(void);
/* Joins actors that ended, starts others in their place, cancels some and sends signals to some. */
void actors_update(struct ct_rng *rng);
/* Returns true when all actors have ended.  The caller sets races.stopping, and then calls this until it is true. */
bool actors_are_gone(void);

/* ---- watchdog.c ---- */

void watchdog_start(void);
/*
 * Fails if an actor does not finish its step, or if no thread runs.  The main thread calls it every second or more
 * often.
 */
void watchdog_look(void);
double process_cpu_seconds(void);
void print_actors(void);

/* ---- places.c ---- */

void places_init(void);
/* Replaces the place's pool.  The caller holds place->use for writing. */
void place_open(struct place *place, struct ct_rng *rng);
void place_close(struct place *place);
/* Checks and frees every object, destroys the pools, and fails if anything is left. */
void places_fini(void);
unsigned int specs_count(void);

/* ---- objects.c ---- */

/* Each of these claims an object of the place.  It returns false if it does not find one quickly. */
bool object_store(struct place *place);
bool object_free(struct place *place);
bool object_verify(struct place *place);
bool object_rewrite(struct place *place);
bool object_misuse(struct place *place);
void objects_hold(struct place *place);

struct object *object_claim_alone(struct place *place, unsigned long handle);
void object_release_alone(struct object *object);
bool object_try_read(struct object *object);
void object_end_read(struct object *object);
/* The caller of these has claimed the object. */
void object_check(struct place *place, struct object *object);
void object_free_claimed(struct place *place, struct object *object);
void *object_map(struct place *place, struct object *object, enum zpool_mapmode mode);

/* ---- evict.c ---- */

int evict_callback(struct zpool *pool, unsigned long handle, void *user);

/* ---- roles.c and process.c ---- */

struct role {
	const char *name;
	unsigned int share; /* how many of a thousand actors have this role */
	bool uses_pool;     /* step() gets a place that has a pool, and holds place->use for reading */
	void (*step)(struct place *place, struct ct_rng *rng);
};

extern const struct role roles[];
extern const unsigned int role_count;

void step_replace(struct place *place, struct ct_rng *rng);
void step_private(struct place *place, struct ct_rng *rng);
void step_load(struct place *place, struct ct_rng *rng);
void step_log(struct place *place, struct ct_rng *rng);
void step_dump(struct place *place, struct ct_rng *rng);
void step_register(struct place *place, struct ct_rng *rng);
void step_fork(struct place *place, struct ct_rng *rng);
void process_init(void);
void process_fini(void);

/* Sleeps for at most this time.  This is not a cancellation point. */
void nap(struct ct_rng *rng, unsigned int microseconds);

#endif
