/* SPDX-License-Identifier: MIT
 *
 * run-evict.c - a cache: objects are read, stored after a miss, and evicted when there is no room
 *
 * The limit of the pool, or the limit of the live bytes with a malloc, is half of what all objects would fill. When a
 * store finds no room, the driver chooses the objects to evict; with a malloc, the oldest ones are evicted. Each object
 * is copied out before it is freed, as in a program that writes them to a disk.
 *
 * Some objects are requested more often than others. The hits are the accesses that find their object, and show the
 * value of the allocator's density: a denser allocator has room for more objects.
 *
 * Each worker has objects of its own, but an eviction may choose an object of another worker. A lock for each slot
 * keeps the two apart; evictions only try to take it. An object begins with its number and its size.
 */
#include <config.h>

#include <errno.h>
#include <stdatomic.h>

#include "../rss.h"
#include "../spec.h"
#include "run.h"

enum { ACCESSES_PER_OBJECT = 4, TRIES_MAX = 1000 };

struct head {
	uint32_t number, bytes;
};

static struct {
	_Atomic(uint8_t) *locked;       /* one for each object */
	_Atomic(unsigned long) *object; /* 0 if the object is not there */
	uint64_t limit_bytes;
	_Atomic(bool) lacks_room; /* for an object in the empty pool */

	/* With a malloc: a ring for each worker, with the numbers of its objects from the oldest on. */
	uint32_t *queue;
	uint64_t *queued, *taken; /* for each worker, since the beginning */
} cache;

/* Buffers of the current worker: for the contents that it evicts, and for those that it reads. */
static _Thread_local char *evicted, *seen;

static ALWAYS_INLINE bool try_lock(size_t at)
{
	return !atomic_exchange_explicit(&cache.locked[at], 1, memory_order_acquire);
}

static ALWAYS_INLINE void unlock(size_t at)
{
	atomic_store_explicit(&cache.locked[at], 0, memory_order_release);
}

static int copy_out(struct zpool *pool, unsigned long handle, struct head *head)
{
	int error = object_get(pool, handle, head, sizeof(*head));

	return error ? error : object_get(pool, handle, evicted, head->bytes);
}

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	const struct run *run = user;
	struct head head;
	int error = copy_out(pool, handle, &head);

	if (error)
		return error;
	if (head.number >= run->job->objects || !try_lock(head.number))
		return -EAGAIN;
	error = atomic_load_explicit(&cache.object[head.number], memory_order_relaxed) == handle ? 0 : -ENOENT;
	if (!error) {
		atomic_store_explicit(&cache.object[head.number], 0, memory_order_relaxed);
		zpool_free(pool, handle);
	}
	unlock(head.number);
	return error;
}

/* Evicts the oldest of the worker's own objects until there is room for `bytes` more. */
static void make_room_in_malloc(struct worker *worker, uint32_t bytes)
{
	struct run *run = worker->run;
	uint64_t part = worker->end - worker->first, limit = cache.limit_bytes / run->worker_count;

	while ((uint64_t)worker->live_bytes + bytes > limit &&
	       cache.taken[worker->index] < cache.queued[worker->index]) {
		size_t at = cache.queue[worker->first + cache.taken[worker->index]++ % part];
		unsigned long object = atomic_load_explicit(&cache.object[at], memory_order_relaxed);

		memcpy(evicted, (void *)object, run->bytes[at]);
		worker->live_bytes -= run->bytes[at];
		free((void *)object);
		atomic_store_explicit(&cache.object[at], 0, memory_order_relaxed);
	}
}

/*
 * Returns 0 if there is no room even when everything is evicted. Filter fault makes some calls fail, so that a single
 * failure in an empty pool proves nothing.
 */
static unsigned long take_evicting(struct worker *worker, uint32_t bytes)
{
	struct zpool *pool = worker->run->allocator.pool;
	unsigned long object;
	int error = zpool_malloc(pool, bytes, ZPOOL_GFP_KERNEL, &object), shrunk = 0;

	for (unsigned int tries = 0; error == -ENOMEM && tries < TRIES_MAX; tries++) {
		shrunk = zpool_shrink(pool, 1, NULL);
		error = zpool_malloc(pool, bytes, ZPOOL_GFP_KERNEL, &object);
	}
	if (error == -ENOMEM && shrunk == -EINVAL)
		return 0;
	if (error)
		allocator_fail(&worker->run->allocator, "malloc", bytes);
	return object;
}

/* Returns false if there is no room. */
static ALWAYS_INLINE bool store_missed(struct worker *worker, size_t at, uint64_t operation, const bool pooled)
{
	struct run *run = worker->run;
	const struct head head = { (uint32_t)at, run->bytes[at] };
	unsigned long object;

	if (!pooled)
		make_room_in_malloc(worker, head.bytes);
	object = pooled ? take_evicting(worker, head.bytes) : allocator_take(&run->allocator, false, head.bytes);
	if (!object)
		return false;
	memcpy(seen, &head, sizeof(head));
	memcpy(seen + sizeof(head), run_source(run, operation), head.bytes - sizeof(head));
	allocator_write(&run->allocator, pooled, object, seen, head.bytes);
	if (!pooled) {
		uint64_t place = cache.queued[worker->index]++ % (worker->end - worker->first);

		cache.queue[worker->first + place] = (uint32_t)at;
		worker->live_bytes += head.bytes;
	}
	atomic_store_explicit(&cache.object[at], object, memory_order_relaxed);
	return true;
}

static ALWAYS_INLINE void access_any(struct worker *worker, const bool pooled, const bool watched)
{
	struct run *run = worker->run;
	size_t part = worker->end - worker->first;
	bool has_room = true;

	evicted = malloc(run->job->size_max + sizeof(struct head) + 1);
	seen = malloc(run->job->size_max + sizeof(struct head) + 1);
	if (!evicted || !seen)
		job_fail("there is no memory for a buffer");
	for (uint64_t k = 0; k < worker->todo && has_room; k++) {
		size_t one = worker_below(worker, part), other = worker_below(worker, part);
		size_t at = worker->first + (one < other ? one : other);
		uint64_t start = watched ? clock_ns() : 0;
		unsigned long object;

		while (!try_lock(at))
			;
		object = atomic_load_explicit(&cache.object[at], memory_order_relaxed);
		if (object)
			allocator_read(&run->allocator, pooled, object, seen, run->bytes[at]);
		else
			has_room = store_missed(worker, at, k, pooled);
		unlock(at);
		worker->hits += object != 0;
		if (watched)
			histogram_record(worker->calls[object ? CALL_READ : CALL_STORE], clock_ns() - start);
	}
	worker->operations = worker->todo;
	if (!has_room)
		atomic_store(&cache.lacks_room, true);
	free(evicted);
	free(seen);
}
RUN_LOOP(access_loop, access_any)

static void prepare(struct run *run)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < run->job->objects; i++) {
		run->bytes[i] = run->sizes[i] < sizeof(struct head) + 1 ? sizeof(struct head) + 1 : run->sizes[i];
		sum += run->bytes[i];
	}
	cache.limit_bytes = sum / 2;
	cache.locked = rss_array(run->job->objects, sizeof(*cache.locked));
	cache.object = rss_array(run->job->objects, sizeof(*cache.object));
	cache.queue = rss_array(run->job->objects, sizeof(*cache.queue));
	cache.queued = rss_array(BENCH_THREADS_MAX, sizeof(*cache.queued));
	cache.taken = rss_array(BENCH_THREADS_MAX, sizeof(*cache.taken));
	if (!cache.locked || !cache.object || !cache.queue || !cache.queued || !cache.taken)
		job_fail("there is no memory for the cache's tables");
}

/* The limit may leave no room for the pool itself, or for a single object, if there are few objects. */
static void skip_for_want_of_room(void)
{
	job_skip(MEASURE_EVICT, "half of the objects' bytes, %llu, are too small a limit for it",
		 (unsigned long long)cache.limit_bytes);
}

/* Returns false if the measure is skipped. */
static bool open_pool(struct run *run)
{
	int error;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	char *spec;

	if (spec_is_limited(run->job->spec)) {
		job_skip(MEASURE_EVICT, "its spec has a limit");
		return false;
	}
	args.evict = evict;
	args.user = run;
	spec = spec_add_limit(run->job->spec, cache.limit_bytes);
	errno = 0;
	run->allocator.pool = zpool_open(spec, &args, sizeof(args));
	error = errno;
	free(spec);
	if (!run->allocator.pool && error == ENOMEM) {
		skip_for_want_of_room();
		return false;
	}
	if (!run->allocator.pool)
		job_fail("%s", zpool_last_error());
	if (!zpool_evictable(run->allocator.pool)) {
		job_skip(MEASURE_EVICT, "it cannot evict");
		return false;
	}
	return true;
}

/* Evictions change what is alive in no particular worker, so it is counted at the end. */
static void count_live(struct run *run)
{
	for (uint64_t i = 0; i < run->job->objects; i++)
		if (atomic_load_explicit(&cache.object[i], memory_order_relaxed))
			run->workers[0].live_bytes += run->bytes[i];
}

void run_evict(struct run *run)
{
	struct measurement measurement;

	prepare(run);
	if (*run->job->spec && !open_pool(run))
		return;
	run_open(run, run->job->threads);
	if (run_is_too_large(run))
		return;
	run_share(run, ACCESSES_PER_OBJECT * run->job->objects);
	run_begin(run, MEASURE_EVICT, &measurement);
	measurement.wall_ns = run_work(run, access_loop);
	if (atomic_load(&cache.lacks_room)) {
		skip_for_want_of_room();
		return;
	}
	if (*run->job->spec)
		count_live(run);
	run_end(run, &measurement);
}
