/* SPDX-License-Identifier: MIT
 *
 * places.c - replaces pools by pools of all specs, one after the other
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "races.h"
#include "plugins/shipped.h"

enum { TRIM_CALLS = 8 };

/* The layers above the driver.  In a stack with trace, the file name is inserted between `above` and `below_file`. */
static const struct stack {
	const char *above;
	const char *below_file; /* NULL without trace */
} stacks[] = {
	{ "", NULL },
	{ "guard+", NULL },
	{ "fault:malloc_share=20,map_share=20,evict_share=100+", NULL },
	{ "trace:overwrite=yes,buffer=4096,file=", "+" },
	{ "guard:checksum=no,poison=no+fault:malloc_share=10,evict_share=50+", NULL },
	{ "trace:overwrite=yes,buffer=64K,file=", "+guard+" },
};
enum { STACKS = sizeof(stacks) / sizeof(stacks[0]) };

#define DRIVER(type) type,
static const char *const drivers[] = { SHIPPED_DRIVERS(DRIVER) "zsmalloc:chain=8,step=64",
				       "zsmalloc:compact=no,limit=2M", "zbud:limit=4M", "z3fold:reserve=1M",
				       "zblock:limit=3M" };
enum { DRIVERS = sizeof(drivers) / sizeof(drivers[0]) };

static _Atomic(unsigned int) turn;

unsigned int specs_count(void)
{
	return STACKS * DRIVERS;
}

/* ---- a page source that a host supplies ---- */

/* Returns true if this call has to fail.  Only calls that may fail ask. */
static bool source_refuses(struct source *source)
{
	uint64_t calls = atomic_fetch_add_explicit(&source->calls, 1, memory_order_relaxed);

	return source->fail_in && calls % source->fail_in == source->fail_in - 1;
}

static void *source_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	struct source *source = context;
	char *at, *aligned;

	(void)node;
	at = mmap(NULL, bytes + align_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		  0);
	if (at == MAP_FAILED)
		return NULL;
	aligned = at + (align_bytes - (uintptr_t)at % align_bytes) % align_bytes;
	if (aligned > at)
		(void)munmap(at, (size_t)(aligned - at));
	(void)munmap(aligned + bytes, (size_t)(at + align_bytes - aligned));
	atomic_fetch_add_explicit(&source->reserved_bytes, bytes, memory_order_relaxed);
	return aligned;
}

static int source_commit(void *context, void *address, size_t bytes)
{
	(void)address, (void)bytes;
	return source_refuses(context) ? -ENOMEM : 0;
}

static int source_decommit(void *context, void *address, size_t bytes)
{
	if (source_refuses(context))
		return -EAGAIN;
	return madvise(address, bytes, MADV_DONTNEED) ? -ENOMEM : 0;
}

static void source_release(void *context, void *address, size_t bytes)
{
	struct source *source = context;

	(void)munmap(address, bytes);
	atomic_fetch_sub_explicit(&source->reserved_bytes, bytes, memory_order_relaxed);
}

static const struct zpool_page_source *source_init(struct source *source, uint64_t fail_in)
{
	source->table = (struct zpool_page_source){
		.struct_size = sizeof(source->table),
		.context = source,
		.reserve = source_reserve,
		.commit = source_commit,
		.decommit = source_decommit,
		.release = source_release,
	};
	source->fail_in = fail_in;
	return &source->table;
}

/* ---- the pool of a place ---- */

static void write_spec(struct place *place)
{
	/* Visits all specs before it repeats one, and changes stack and driver each time. */
	unsigned int number = atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed);
	const struct stack *stack = &stacks[number % STACKS];
	const char *driver = drivers[(number / STACKS + number % STACKS) % DRIVERS];

	(void)snprintf(place->file, sizeof(place->file), "%s/%u", races.directory, place->number);
	if (races.only_spec)
		(void)snprintf(place->spec, sizeof(place->spec), "%s", races.only_spec);
	else
		(void)snprintf(place->spec, sizeof(place->spec), "%s%s%s%s", stack->above,
			       stack->below_file ? place->file : "", stack->below_file ? stack->below_file : "",
			       driver);
}

void place_open(struct place *place, struct ct_rng *rng)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	write_spec(place);
	place->maps_may_fail = strstr(place->spec, "fault") != NULL;
	place->limited = strstr(place->spec, "limit=") != NULL;
	place->callback_evicts = ct_rng_below(rng, 4) != 0;
	if (place->callback_evicts) {
		args.evict = evict_callback;
		args.user = place;
	}
	place->source.fail_in = 0;
	if (ct_rng_below(rng, 3) == 0)
		args.page_source = source_init(&place->source, ct_rng_below(rng, 2) ? 0 : 20 + ct_rng_below(rng, 200));
	place->pool = CALL(zpool_open(place->spec, &args, sizeof(args)));
	races_check(place->pool || (errno == ENOMEM && (place->source.fail_in || place->limited)), "%s: %s",
		    place->spec, zpool_last_error());
	if (!place->pool)
		return;
	tally(TALLY_POOLS);
	place->max_bytes = CALL(zpool_max_object_size(place->pool));
	if (place->max_bytes > 65536)
		place->max_bytes = 65536;
	place->only_bytes =
		ct_rng_below(rng, 3) ? 0 : ct_rng_size(rng, place->max_bytes < 4096 ? place->max_bytes : 4096);
}

/* The library frees the objects. */
void place_close(struct place *place)
{
	CALL_VOID(zpool_destroy_pool(place->pool));
	place->pool = NULL;
	(void)unlink(place->file);
	for (unsigned int i = 0; i < races.object_count; i++) {
		struct object *object = &place->objects[i];

		races_check(atomic_load(&object->claim) == CLAIM_NONE, "%s: an actor left object %u claimed",
			    place->spec, i);
		atomic_store(&object->handle, 0);
		object->stale = 0;
	}
	races_check(atomic_load(&place->source.reserved_bytes) == 0,
		    "%s: %llu bytes of the page source were not released", place->spec,
		    (unsigned long long)atomic_load(&place->source.reserved_bytes));
}

void step_replace(struct place *place, struct ct_rng *rng)
{
	int state;

	place = &races.places[ct_rng_below(rng, races.place_count)];
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)pthread_rwlock_wrlock(&place->use);
	atomic_store_explicit(&self->place, place, memory_order_relaxed);
	(void)pthread_setcancelstate(state, &state);
	place_close(place);
	place_open(place, rng);
	atomic_store_explicit(&self->place, NULL, memory_order_relaxed);
	(void)pthread_rwlock_unlock(&place->use);
	nap(rng, 20000);
}

void places_init(void)
{
	pthread_rwlockattr_t attributes;

	(void)pthread_rwlockattr_init(&attributes);
#ifdef __GLIBC__
	/* By default, a writer would starve, because some reader always holds the lock. */
	(void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
#endif
	for (unsigned int i = 0; i < races.place_count; i++) {
		races.places[i].number = i;
		(void)pthread_rwlock_init(&races.places[i].use, &attributes);
		place_open(&races.places[i], &self->rng);
	}
	(void)pthread_rwlockattr_destroy(&attributes);
}

/* ---- at the end ---- */

static void free_all(struct place *place)
{
	for (unsigned int i = 0; i < races.object_count; i++) {
		struct object *object = &place->objects[i];

		if (!atomic_load(&object->handle))
			continue;
		object_check(place, object);
		object_free_claimed(place, object);
	}
}

static void check_empty(struct place *place)
{
	struct zpool_stats stats;

	(void)CALL(zpool_compact(place->pool, 0, 0, NULL));
	for (int i = 0; i < TRIM_CALLS; i++)
		(void)CALL(zpool_trim(place->pool, NULL));
	if (CALL(zpool_get_stats(place->pool, &stats, sizeof(stats))))
		return;
	races_check(stats.objects == 0 && stats.stored_bytes == 0, "%s: %llu objects with %llu bytes are left",
		    place->spec, (unsigned long long)stats.objects, (unsigned long long)stats.stored_bytes);
	races_check(stats.mapped_handles == 0, "%s: %llu handles are still mapped", place->spec,
		    (unsigned long long)stats.mapped_handles);
}

void places_fini(void)
{
	for (unsigned int i = 0; i < races.place_count; i++) {
		struct place *place = &races.places[i];

		if (place->pool) {
			free_all(place);
			check_empty(place);
		}
		place_close(place);
		(void)pthread_rwlock_destroy(&place->use);
	}
}
