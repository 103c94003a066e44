/* SPDX-License-Identifier: MIT
 *
 * magazine_fixture.h - thread caches of a driver without slots
 *
 * The caches are compiled into the program, with counted_barrier() in place of zp_biased_barrier().
 */
#ifndef MAGAZINE_FIXTURE_H
#define MAGAZINE_FIXTURE_H

#include "magazine.h"

#include <pthread.h>

#include "strict_source.h"
#include "unit.h"

enum { CLASSES = 4, THREADS = 4, ITEMS = 12 };

static struct strict_source source;
static struct zp_pages pages;
static struct zp_caches caches;
static struct zpool_host host;
static uint64_t held_at_start;

/* ---- barriers ---- */

static unsigned int barriers;

#undef zp_biased_barrier
void zp_biased_barrier(void);

void counted_barrier(void)
{
	barriers++; /* caches.lock guards the counter */
	zp_biased_barrier();
}

static inline unsigned int barriers_of_a_stop(void)
{
	unsigned int before = barriers;

	zp_caches_stop(&caches);
	unsigned int after = barriers;
	zp_caches_resume(&caches);
	return after - before;
}

/* ---- the host, and the driver's callback ---- */

static _Thread_local void (*exit_fn)(void *arg);
static _Thread_local void *exit_arg;
static void (*added_fn)(void *arg); /* the last hook of any thread */
static void *added_arg;
static bool refuse_hooks;
static unsigned int cancelled, added_cancelled; /* how many hooks, and how often the last one that was added */
static _Atomic(unsigned int) emptied;           /* how many items were in the caches of threads that ended */

static inline int add_hook(void *core, void (*fn)(void *arg), void *arg)
{
	(void)core;
	if (refuse_hooks)
		return -ENOMEM;
	unit_require(!exit_fn);
	exit_fn = added_fn = fn;
	exit_arg = added_arg = arg;
	return 0;
}

static inline void cancel_hook(void *core, void (*fn)(void *arg), void *arg)
{
	(void)core;
	if (exit_fn == fn && exit_arg == arg)
		exit_fn = NULL;
	cancelled++;
	added_cancelled += added_fn == fn && added_arg == arg;
}

static inline void end_thread(void)
{
	if (exit_fn)
		exit_fn(exit_arg);
	exit_fn = NULL;
}

static inline unsigned int drain(struct zp_cache *cache)
{
	uint32_t items[ZP_MAGAZINE_ITEMS];
	unsigned int count = zp_cache_pending(cache) != ZP_ITEM_NONE;

	zp_cache_set_pending(cache, ZP_ITEM_NONE);
	for (unsigned int i = 0; i < CLASSES; i++)
		count += zp_magazine_take(&cache->magazines[i], items, ZP_MAGAZINE_ITEMS);
	return count;
}

static inline void empty(void *driver, struct zp_cache *cache)
{
	unit_require(driver == &source);
	zp_lock(&caches.lock);
	atomic_fetch_add(&emptied, drain(cache));
	zp_unlock(&caches.lock);
}

static inline void setup(void)
{
	barriers = cancelled = added_cancelled = 0;
	atomic_store(&emptied, 0);
	strict_source_init(&source);
	ck_assert_int_eq(zp_pages_init(&pages, &source.table, -1, 0), 0);
	held_at_start = zp_pages_held_bytes(&pages);
	host.struct_size = sizeof(host);
	host.thread_exit_add = add_hook;
	host.thread_exit_cancel = cancel_hook;
	caches = (struct zp_caches){ .pages = &pages, .host = &host, .driver = &source, .empty = empty };
	zp_caches_init(&caches, CLASSES);
}

static inline void teardown(void)
{
	ck_assert_uint_eq(caches.keepers, 0);
	zp_caches_fini(&caches);
	ck_assert_uint_eq(zp_pages_held_bytes(&pages), held_at_start);
	zp_pages_fini(&pages);
	ck_assert(strict_source_fini(&source));
}

/* ---- what the tests examine ---- */

static inline unsigned int cache_count(void)
{
	unsigned int count = 0;

	zp_lock(&caches.lock);
	for (struct zp_cache *cache = caches.first; cache; cache = cache->next)
		count++;
	zp_unlock(&caches.lock);
	return count;
}

static inline struct zp_cache *adopt(void)
{
	zp_caches_adopt(&caches, ZP_ADOPT_AFTER_MALLOC);
	return zp_caches_own(&caches);
}

static inline struct zp_cache *adopt_after_free(void)
{
	zp_caches_adopt(&caches, ZP_ADOPT_AFTER_FREE);
	return zp_caches_own(&caches);
}

static inline bool may_enter(void)
{
	struct zp_cache *cache = zp_caches_enter(&caches);

	if (cache)
		zp_cache_leave(cache);
	return cache != NULL;
}

static inline void push(struct zp_cache *cache, unsigned int class, uint32_t item)
{
	cache->magazines[class].max = ZP_MAGAZINE_ITEMS;
	unit_require(zp_magazine_push(&cache->magazines[class], item));
}

/* ---- other threads ---- */

/* This thread performs one action, and then waits until the test lets it end. */
struct other {
	pthread_t thread;
	pthread_barrier_t barrier;
	void (*act)(struct other *other);
	struct zp_cache *cache;
	bool could_enter;
};

static inline void *run_other(void *other_)
{
	struct other *other = other_;

	other->act(other);
	(void)pthread_barrier_wait(&other->barrier);
	(void)pthread_barrier_wait(&other->barrier);
	end_thread();
	return NULL;
}

static inline void begin(struct other *other, void (*act)(struct other *other))
{
	other->act = act;
	unit_require(pthread_barrier_init(&other->barrier, NULL, 2) == 0);
	unit_require(pthread_create(&other->thread, NULL, run_other, other) == 0);
	(void)pthread_barrier_wait(&other->barrier);
}

static inline void end(struct other *other)
{
	(void)pthread_barrier_wait(&other->barrier);
	unit_require(pthread_join(other->thread, NULL) == 0);
	unit_require(pthread_barrier_destroy(&other->barrier) == 0);
}

static inline void adopt_in(struct other *other)
{
	other->cache = adopt();
	other->could_enter = may_enter();
}

static inline void adopt_and_push(struct other *other)
{
	adopt_in(other);
	unit_require(other->cache != NULL);
	push(other->cache, 1, 11);
	push(other->cache, 1, 12);
	push(other->cache, 3, 31);
	zp_cache_set_pending(other->cache, 99);
}

static inline void stop_and_resume(struct other *other)
{
	(void)other;
	zp_caches_stop(&caches);
	zp_caches_resume(&caches);
}

static inline void hold_for_ever(struct other *other)
{
	(void)other;
	zp_caches_hold(&caches);
}

static inline void run_alone(void (*act)(struct other *other), struct other *other)
{
	begin(other, act);
	end(other);
}

#endif
