/* SPDX-License-Identifier: MIT
 *
 * guard_evict.c - eviction, and callbacks that do not return from it
 *
 * An evict callback that leaves by longjmp(), a C++ exception or pthread_exit() skips the rest of the driver's work:
 * the object and its page can never be evicted again.  So guard records each running callback: its thread, and the
 * address of its caller's stack frame.  When that thread makes a call from a frame further up the stack, the callback's
 * caller is gone and the callback did not return.  When the pool is destroyed, no callback may be running at all.
 *
 * The stack grows downwards.  A program that switches stacks (coroutines) may leave a callback and return to it later.
 * So if one of the two addresses is not on the thread's own stack, guard decides only when the pool is destroyed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "guard.h"

#include <stdint.h>

#include "cancel.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Callbacks that run
 */

/* Returns NULL if too many callbacks run at once; such a callback is not watched. */
static struct guard_eviction *eviction_begin(struct guard_pool *pool, unsigned long handle)
{
	struct guard_eviction *eviction = NULL;

	zp_lock(&pool->evictions_lock);
	for (int i = 0; i < GUARD_EVICTIONS && !eviction; i++)
		if (!pool->evictions[i].handle)
			eviction = &pool->evictions[i];
	if (eviction) {
		*eviction = (struct guard_eviction){ .handle = handle,
						     .frame = (uintptr_t)__builtin_frame_address(0),
						     .thread = pthread_self() };
		atomic_fetch_add_explicit(&pool->evictions_open, 1, memory_order_relaxed);
	}
	zp_unlock(&pool->evictions_lock);
	return eviction;
}

/* evictions_lock is held. */
static void forget(struct guard_pool *pool, struct guard_eviction *eviction)
{
	*eviction = (struct guard_eviction){ 0 };
	atomic_fetch_sub_explicit(&pool->evictions_open, 1, memory_order_relaxed);
}

static void eviction_end(struct guard_pool *pool, struct guard_eviction *eviction)
{
	if (!eviction)
		return;
	zp_lock(&pool->evictions_lock);
	forget(pool, eviction);
	zp_unlock(&pool->evictions_lock);
}

/* Returns the calling thread's callback for a handle, or NULL.  evictions_lock is held. */
static struct guard_eviction *own_eviction(struct guard_pool *pool, unsigned long handle)
{
	for (int i = 0; i < GUARD_EVICTIONS; i++)
		if (pool->evictions[i].handle == handle && pthread_equal(pool->evictions[i].thread, pthread_self()))
			return &pool->evictions[i];
	return NULL;
}

void guard_note_free(struct guard_pool *pool, unsigned long handle)
{
	if (!atomic_load_explicit(&pool->evictions_open, memory_order_relaxed))
		return;
	zp_lock(&pool->evictions_lock);
	struct guard_eviction *eviction = own_eviction(pool, handle);
	if (eviction)
		eviction->freed = true;
	zp_unlock(&pool->evictions_lock);
}

bool guard_lost_race(struct guard_pool *pool, unsigned long handle)
{
	if (!handle || !atomic_load_explicit(&pool->evictions_open, memory_order_relaxed))
		return false;
	zp_lock(&pool->evictions_lock);
	const struct guard_eviction *eviction = own_eviction(pool, handle);
	bool lost = eviction && !eviction->freed;
	zp_unlock(&pool->evictions_lock);
	return lost;
}

/* Returns true if both addresses are on the calling thread's own stack. */
static bool on_own_stack(uintptr_t a, uintptr_t b)
{
	ZP_CANCEL_DISABLED_HERE;
	pthread_attr_t attributes;
	void *start = NULL;
	size_t bytes = 0;

	if (pthread_getattr_np(pthread_self(), &attributes) != 0)
		return false;
	(void)pthread_attr_getstack(&attributes, &start, &bytes);
	(void)pthread_attr_destroy(&attributes);
	return a - (uintptr_t)start < bytes && b - (uintptr_t)start < bytes;
}

static bool is_lost(const struct guard_eviction *eviction, uintptr_t here)
{
	return eviction->handle && pthread_equal(eviction->thread, pthread_self()) && here > eviction->frame &&
	       on_own_stack(here, eviction->frame);
}

static void report_lost(struct guard_pool *pool, unsigned long handle, const char *when)
{
	guard_report(
		pool,
		"lost eviction: the evict callback for handle 0x%lx did not return; detected in %s. It left by longjmp(), a C++ exception or pthread_exit(), so that the object and its page can no longer be evicted. Return a value other than 0 to keep an object.",
		handle, when);
}

void guard_look_for_lost_evictions(struct guard_pool *pool)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (!atomic_load_explicit(&pool->evictions_open, memory_order_relaxed))
		return;
	for (int i = 0; i < GUARD_EVICTIONS; i++) {
		struct guard_eviction *eviction = &pool->evictions[i];
		unsigned long handle = 0;

		zp_lock(&pool->evictions_lock);
		if (is_lost(eviction, here)) {
			handle = eviction->handle;
			forget(pool, eviction);
		}
		zp_unlock(&pool->evictions_lock);
		if (handle)
			report_lost(pool, handle, "a later call of the same thread");
	}
}

void guard_report_evictions(struct guard_pool *pool)
{
	for (int i = 0; i < GUARD_EVICTIONS; i++)
		if (pool->evictions[i].handle)
			report_lost(pool, pool->evictions[i].handle, "zpool_destroy_pool()");
}

void guard_forget_evictions_of_others(struct guard_pool *pool)
{
	for (int i = 0; i < GUARD_EVICTIONS; i++)
		if (pool->evictions[i].handle && !pthread_equal(pool->evictions[i].thread, pthread_self()))
			forget(pool, &pool->evictions[i]);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Eviction
 */

static bool is_handle_of(struct guard_pool *pool, unsigned long handle, unsigned long below)
{
	uint64_t size;

	return handle && zp_handles_lookup(&pool->handles, handle, &size) == 0 &&
	       atomic_load_explicit(&guard_object(pool, zp_handle_slot(handle))->below, memory_order_relaxed) == below;
}

struct find_visit {
	struct guard_pool *pool;
	unsigned long below;
	unsigned long handle;
};

static int find_below(unsigned long handle, uint64_t size, void *user)
{
	struct find_visit *visit = user;

	(void)size;
	if (!is_handle_of(visit->pool, handle, visit->below))
		return 0;
	visit->handle = handle;
	return 1;
}

int guard_free_below(struct guard_pool *pool, unsigned long below)
{
	const struct zpool_lower *lower = &pool->filter.lower;
	struct zp_lock *lock = guard_lock(pool, (uint32_t)below);
	int err;

	if (!pool->filter.evict)
		return lower->driver->free(lower->pool, below);
	zp_lock(lock);
	err = lower->driver->free(lower->pool, below);
	zp_unlock(lock);
	return err;
}

int guard_evict(void *pool_, unsigned long below)
{
	struct guard_pool *pool = pool_;
	const struct zpool_lower *lower = &pool->filter.lower;
	/*
	 * The lock keeps guard_free_below() out, and fork(), which takes all of them: an object mapped at that moment
	 * would stay mapped in the child forever.
	 */
	struct zp_lock *lock = guard_lock(pool, (uint32_t)below);
	struct find_visit visit = { pool, below, 0 };
	struct guard_eviction *eviction;
	const char *base;
	int result;

	zp_lock(lock);
	base = lower->driver->map(lower->pool, below, ZPOOL_MM_RO);
	if (base) {
		visit.handle = (unsigned long)__atomic_load_n((const uint64_t *)(const void *)base, __ATOMIC_RELAXED);
		(void)lower->driver->unmap(lower->pool, below);
	}
	zp_unlock(lock);
	if (!base)
		return -EBUSY;
	/* The object was not found, because it is just being stored or freed. */
	if (!is_handle_of(pool, visit.handle, below) && !zp_handles_each(&pool->handles, find_below, &visit))
		return -EBUSY;
	eviction = eviction_begin(pool, visit.handle);
	result = pool->filter.evict(pool->filter.evict_context, visit.handle);
	eviction_end(pool, eviction);
	return result;
}
