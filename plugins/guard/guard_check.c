/* SPDX-License-Identifier: MIT
 *
 * guard_check.c - red zones, checksums, and reporting errors
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "guard.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined(__has_include)
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define GUARD_HAS_SYMBOLS 1
#endif
#endif

#include "secret.h"

/* ------------------------------------------------------------------------------------------------------------------
 * Reports
 */

static void count_error(struct guard_pool *pool)
{
	atomic_fetch_add_explicit(&pool->errors, 1, memory_order_relaxed);
}

void guard_report(struct guard_pool *pool, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	count_error(pool);
	pool->filter.host->log(pool->filter.core, ZPOOL_LOG_ERROR, "%s", text);
	if (pool->abort)
		abort();
}

const char *guard_where(const void *address, char *text, size_t bytes)
{
#ifdef GUARD_HAS_SYMBOLS
	void *addresses[1] = { (void *)address };
	char **symbols = address ? backtrace_symbols(addresses, 1) : NULL;

	if (symbols) {
		(void)snprintf(text, bytes, "%s", symbols[0]);
		free(symbols);
		return text;
	}
#endif
	if (address)
		(void)snprintf(text, bytes, "[%p]", address);
	else
		(void)snprintf(text, bytes, "an unknown place");
	return text;
}

/*
 * Classifies a handle that is not live: returns true if it belongs to this pool, judging by the current state of its
 * slot.
 */
static bool was_live_once(struct guard_pool *pool, unsigned long handle)
{
	uint32_t slot = zp_handle_slot(handle), generation = zp_handle_generation(&pool->handles, handle);

	return slot != ZP_SLOT_NONE && slot < zp_handles_slots(&pool->handles) &&
	       !(generation & ~pool->handles.generation_mask);
}

void guard_refuse(struct guard_pool *pool, unsigned long handle, enum guard_call in, int err)
{
	static const char *const names[] = {
		[GUARD_FREE] = "free", [GUARD_MAP] = "map", [GUARD_UNMAP] = "unmap", [GUARD_OBJ_SIZE] = "obj_size"
	};
	const struct zp_filter *filter = &pool->filter;
	const char *call = names[in];
	char text[256];
	uint64_t size;

	if (err == -EINVAL && in != GUARD_UNMAP && guard_lost_race(pool, handle)) {
		filter->host->error(
			filter->core,
			"guard: %s of handle 0x%lx, which another thread freed during the evict callback for it.", call,
			handle);
		return;
	}
	if (err == -EBUSY)
		(void)snprintf(text, sizeof(text), "%s of handle 0x%lx, which is mapped%s.", call, handle,
			       in == GUARD_FREE ? "; unmap it first" : " as often as it can be");
	else if (zp_handles_lookup(&pool->handles, handle, &size) == 0)
		(void)snprintf(text, sizeof(text), "map balance: %s of handle 0x%lx, which is not mapped.", call,
			       handle);
	else if (!was_live_once(pool, handle))
		(void)snprintf(
			text, sizeof(text),
			"foreign handle: %s of handle 0x%lx, which belongs to another pool or was never given out.",
			call, handle);
	else if (in == GUARD_FREE)
		(void)snprintf(text, sizeof(text), "double free of handle 0x%lx.", handle);
	else
		(void)snprintf(text, sizeof(text), "stale handle: %s of handle 0x%lx, whose object was freed before.",
			       call, handle);
	count_error(pool);
	filter->host->error(filter->core, "guard: %s", text);
	if (!pool->abort)
		return;
	/* The core would log the message of some calls only after they have returned. */
	filter->host->log(filter->core, ZPOOL_LOG_ERROR, "%s", text);
	abort();
}

/* ------------------------------------------------------------------------------------------------------------------
 * Checksum
 */

typedef uint64_t guard_lanes __attribute__((vector_size(16)));

/* Computes sums, and sums of the sums, of four pairs of lanes in parallel. */
struct guard_sums {
	guard_lanes plain[4];
	guard_lanes weighted[4];
};

enum { STEP_BYTES = 4 * sizeof(guard_lanes) };

static inline void add_lanes(struct guard_sums *sums, guard_lanes words, int i)
{
	sums->plain[i] += words;
	sums->weighted[i] += sums->plain[i];
}

static inline guard_lanes load_lanes(const void *at, int i)
{
	guard_lanes words;

	memcpy(&words, (const char *)at + (size_t)i * sizeof(words), sizeof(words));
	return words;
}

/* The loop is unrolled by hand, so that the sums stay in registers. */
static inline void add_step(struct guard_sums *sums, const char *at)
{
	add_lanes(sums, load_lanes(at, 0), 0);
	add_lanes(sums, load_lanes(at, 1), 1);
	add_lanes(sums, load_lanes(at, 2), 2);
	add_lanes(sums, load_lanes(at, 3), 3);
}

/*
 * Adds the `rest` bytes after the last whole step.  If there was a whole step, this reads its end again and masks it
 * out, because copying so few bytes would take longer than everything else.
 */
static inline void add_rest(struct guard_sums *sums, const char *data, size_t bytes, size_t rest)
{
	static const uint64_t zeroes_and_ones[2 * STEP_BYTES / 8] = {
		[8] = UINT64_MAX,  [9] = UINT64_MAX,  [10] = UINT64_MAX, [11] = UINT64_MAX,
		[12] = UINT64_MAX, [13] = UINT64_MAX, [14] = UINT64_MAX, [15] = UINT64_MAX,
	};
	const char *mask = (const char *)zeroes_and_ones + rest;
	char step[STEP_BYTES] = { 0 };

	if (bytes < STEP_BYTES) {
		memcpy(step, data, rest);
		add_step(sums, step);
		return;
	}
	const char *last = data + bytes - STEP_BYTES;
	add_lanes(sums, load_lanes(last, 0) & load_lanes(mask, 0), 0);
	add_lanes(sums, load_lanes(last, 1) & load_lanes(mask, 1), 1);
	add_lanes(sums, load_lanes(last, 2) & load_lanes(mask, 2), 2);
	add_lanes(sums, load_lanes(last, 3) & load_lanes(mask, 3), 3);
}

/* This is fast because it does not multiply in the loop; a change of a single word always changes `plain`. */
uint64_t guard_checksum(const void *data, size_t bytes)
{
	struct guard_sums sums = { 0 };
	uint64_t plain = bytes, weighted = 0, factor = UINT64_C(0x9e3779b97f4a7c15);
	const char *at = data;

	for (size_t left = bytes; left >= STEP_BYTES; left -= STEP_BYTES, at += STEP_BYTES)
		add_step(&sums, at);
	if (bytes % STEP_BYTES)
		add_rest(&sums, data, bytes, bytes % STEP_BYTES);
	for (int i = 0; i < 8; i++, factor += UINT64_C(0xd6e8feb86659fd92)) {
		plain += sums.plain[i / 2][i % 2] * factor;
		weighted += sums.weighted[i / 2][i % 2] * factor;
	}
	return zp_mix(plain) + weighted;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Red zones
 */

void guard_draw_zones(const struct guard_pool *pool, char *base, unsigned long handle, size_t size)
{
	/* guard_evict() may read the handle at any time. */
	__atomic_store_n((uint64_t *)(void *)base, (uint64_t)handle, __ATOMIC_RELAXED);
	memset(base + GUARD_HANDLE_BYTES, GUARD_FRONT_BYTE, pool->front_bytes - GUARD_HANDLE_BYTES);
	memset(base + pool->front_bytes + size, GUARD_BACK_BYTE, pool->back_bytes);
}

/* Returns how many bytes of a zone have changed, and the first and the last of them. */
static size_t differing(const char *at, size_t bytes, unsigned char expected, size_t *first, size_t *last)
{
	size_t count = 0;

	for (size_t i = 0; i < bytes; i++) {
		if ((unsigned char)at[i] == expected)
			continue;
		if (count++ == 0)
			*first = i;
		*last = i;
	}
	return count;
}

/* Like memcmp() == 0, but without the call, because most zones are two words long. */
static inline bool zone_is_whole(const char *at, const char *expected, size_t bytes)
{
	uint64_t is, should_be, differs = 0;
	size_t i = 0;

	for (; i + sizeof(is) <= bytes; i += sizeof(is)) {
		memcpy(&is, at + i, sizeof(is));
		memcpy(&should_be, expected + i, sizeof(should_be));
		differs |= is ^ should_be;
	}
	return !differs && (i == bytes || memcmp(at + i, expected + i, bytes - i) == 0);
}

static bool front_is_whole(const struct guard_pool *pool, const char *base, unsigned long handle)
{
	return __atomic_load_n((const uint64_t *)(const void *)base, __ATOMIC_RELAXED) == handle &&
	       zone_is_whole(base + GUARD_HANDLE_BYTES, pool->front_zone, pool->front_bytes - GUARD_HANDLE_BYTES);
}

/* Returns how far before the object the zone was written, in bytes counted backwards from the object. */
static size_t underrun_bytes(const struct guard_pool *pool, const char *base, unsigned long handle)
{
	size_t first = 0, last = 0;
	const uint64_t word = handle;

	if (memcmp(base, &word, sizeof(word)) != 0)
		return pool->front_bytes;
	(void)differing(base + GUARD_HANDLE_BYTES, pool->front_bytes - GUARD_HANDLE_BYTES, GUARD_FRONT_BYTE, &first,
			&last);
	return pool->front_bytes - GUARD_HANDLE_BYTES - first;
}

bool guard_check(struct guard_pool *pool, char *base, unsigned long handle, size_t size, struct guard_object *object,
		 const char *when)
{
	char *back = base + pool->front_bytes + size;
	size_t first = 0, last = 0;
	char where[256];
	bool whole = true;

	if (!front_is_whole(pool, base, handle)) {
		size_t before = underrun_bytes(pool, base, handle);

		guard_report(
			pool,
			"underrun: handle 0x%lx, of %zu byte%s, was written up to %zu byte%s before its start; detected in %s; stored by %s.",
			handle, size, ZPOOL_PLURAL(size), before, ZPOOL_PLURAL(before), when,
			guard_where(object->caller, where, sizeof(where)));
		whole = false;
	}
	if (!zone_is_whole(back, pool->back_zone, pool->back_bytes) &&
	    differing(back, pool->back_bytes, GUARD_BACK_BYTE, &first, &last)) {
		guard_report(
			pool,
			"overrun: handle 0x%lx, of %zu byte%s, was written %zu to %zu byte%s past its end; detected in %s; stored by %s.",
			handle, size, ZPOOL_PLURAL(size), first + 1, last + 1, ZPOOL_PLURAL(last + 1), when,
			guard_where(object->caller, where, sizeof(where)));
		whole = false;
	}
	if (!whole)
		guard_draw_zones(pool, base, handle, size);
	if (object->sealed) {
		uint64_t now = guard_checksum(base + pool->front_bytes, size);

		if (now != atomic_load_explicit(&object->checksum, memory_order_relaxed)) {
			guard_report(
				pool,
				"use after unmap: handle 0x%lx, of %zu byte%s, was written while it was not mapped for writing; detected in %s; stored by %s.",
				handle, size, ZPOOL_PLURAL(size), when,
				guard_where(object->caller, where, sizeof(where)));
			atomic_store_explicit(&object->checksum, now, memory_order_relaxed);
			whole = false;
		}
	}
	return whole;
}
