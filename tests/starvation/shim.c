/* SPDX-License-Identifier: MIT
 *
 * shim.c - the state of starve.so: which call fails, how many calls were made, and which memory was not released
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/starvation/starve.h"

#define KIND_NAME(id, name, error) name,
#define KIND_ERROR(id, name, error) error,
static const char *const names[] = { STARVE_KINDS(KIND_NAME) };
static const int errors[] = { STARVE_KINDS(KIND_ERROR) };

static _Atomic bool armed;
static _Atomic uint64_t calls[STARVE_KIND_COUNT], failures;
static enum starve_kind target;
static uint64_t target_nth;
static bool target_on;

static void arm(enum starve_kind kind, uint64_t nth, bool on)
{
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
		calls[i] = 0;
	failures = 0;
	target = kind;
	target_nth = nth;
	target_on = on;
	armed = true;
}

static bool disarm(void)
{
	return atomic_exchange(&armed, false);
}

static void resume(bool was_armed)
{
	armed = was_armed;
}

static uint64_t failure_count(void)
{
	return failures;
}

static uint64_t call_count(enum starve_kind kind)
{
	return calls[kind];
}

static int error_of(enum starve_kind kind)
{
	return errors[kind];
}

static const char *name_of(enum starve_kind kind)
{
	return names[kind];
}

bool starve_fails(enum starve_kind kind)
{
	uint64_t n;

	if (!armed)
		return false;
	n = atomic_fetch_add(&calls[kind], 1) + 1;
	if (kind != target || !target_nth || n < target_nth || (n > target_nth && !target_on))
		return false;
	failures++;
	errno = errors[kind];
	return true;
}

/* ---- memory that was not released ---- */

enum { TABLE_SIZE = 1 << 16 };

struct block {
	const void *address;
	size_t bytes;
	const void *caller;
};

/*
 * Guards the table: it uses open addressing, so an entry is at the index of its hash or in the run of entries after it.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block table[TABLE_SIZE];
static bool tracking;
static struct starve_held held;

static size_t place_of(const void *address)
{
	return (size_t)((uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 48) % TABLE_SIZE;
}

void starve_note_block(const void *block, size_t bytes, const void *caller)
{
	size_t at = place_of(block);

	pthread_mutex_lock(&lock);
	if (tracking && held.blocks < TABLE_SIZE / 2) {
		while (table[at].address)
			at = (at + 1) % TABLE_SIZE;
		table[at] = (struct block){ block, bytes, caller };
		held.blocks++;
		held.block_bytes += bytes;
	}
	pthread_mutex_unlock(&lock);
}

/* Removes an entry, and moves later ones so that they are still found from the index of their hash. */
static void table_remove(size_t gap)
{
	for (size_t at = (gap + 1) % TABLE_SIZE; table[at].address; at = (at + 1) % TABLE_SIZE) {
		size_t place = place_of(table[at].address);

		if ((at - place) % TABLE_SIZE >= (at - gap) % TABLE_SIZE) {
			table[gap] = table[at];
			gap = at;
		}
	}
	table[gap].address = NULL;
}

void starve_forget_block(const void *block)
{
	size_t at = place_of(block);

	pthread_mutex_lock(&lock);
	while (table[at].address && table[at].address != block)
		at = (at + 1) % TABLE_SIZE;
	if (table[at].address) {
		held.blocks--;
		held.block_bytes -= table[at].bytes;
		table_remove(at);
	}
	pthread_mutex_unlock(&lock);
}

void starve_note_mapping(int64_t bytes)
{
	pthread_mutex_lock(&lock);
	if (tracking)
		held.mapped_bytes += bytes;
	pthread_mutex_unlock(&lock);
}

static void track(void)
{
	pthread_mutex_lock(&lock);
	tracking = true;
	if (held.blocks)
		memset(table, 0, sizeof(table));
	held = (struct starve_held){ 0 };
	pthread_mutex_unlock(&lock);
}

static struct starve_held held_now(void)
{
	struct starve_held copy;

	pthread_mutex_lock(&lock);
	copy = held;
	pthread_mutex_unlock(&lock);
	return copy;
}

static void each(void (*fn)(const void *block, size_t bytes, const void *caller))
{
	for (size_t i = 0; i < TABLE_SIZE; i++)
		if (table[i].address)
			fn(table[i].address, table[i].bytes, table[i].caller);
}

extern const struct starve_control starve_control;
__attribute__((visibility("default"))) const struct starve_control starve_control = {
	.arm = arm,
	.disarm = disarm,
	.resume = resume,
	.failures = failure_count,
	.calls = call_count,
	.error = error_of,
	.name = name_of,
	.track = track,
	.held = held_now,
	.each = each,
};

/* ---- control by the environment ---- */

static bool is_controlled;

bool starve_is_controlled(void)
{
	return is_controlled;
}

void starve_end(void)
{
	if (is_controlled)
		armed = false;
}

__attribute__((constructor)) static void begin(void)
{
	const char *kind = getenv("STARVE_KIND"), *nth = getenv("STARVE_NTH");

	if (!kind && !getenv("STARVE_COUNTS"))
		return;
	is_controlled = true;
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
		if (kind && strcmp(kind, names[i]) == 0) {
			arm((enum starve_kind)i, nth ? strtoull(nth, NULL, 10) : 0, getenv("STARVE_ON") != NULL);
			return;
		}
	arm(STARVE_MALLOC, 0, false);
}

__attribute__((destructor)) static void end(void)
{
	const char *path = getenv("STARVE_COUNTS");
	FILE *file;

	armed = false;
	file = path ? fopen(path, "ae") : NULL;
	if (!file)
		return;
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
		(void)fprintf(file, "%s %llu\n", names[i], (unsigned long long)calls[i]);
	(void)fclose(file);
}
