/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>

#include <zpool-store.h>

#include "clock.h"
#include "timed.h"

static const struct zpool_store_compressor *chosen; /* NULL: units are stored as they are */
static int chosen_level;
static uint32_t unit_bytes;
static char name[48];
static struct timed_totals totals;

/*
 * Compresses and decompresses a unit, so that all memory that the compressor needs is resident and does not look like
 * that of a pool.
 */
static void warm_up(void *context)
{
	static unsigned char unit[ZPOOL_STORE_UNIT_BYTES_MAX], packed[ZPOOL_STORE_UNIT_BYTES_MAX];
	uint32_t random = 1;
	size_t length;

	for (uint32_t i = 0; i < unit_bytes; i++) {
		random = random * 1664525 + 1013904223;
		unit[i] = (unsigned char)('a' + (random >> 29));
	}
	length = chosen->compress(context, unit, unit_bytes, packed, sizeof(packed));
	if (length)
		(void)chosen->decompress(context, packed, length, unit, unit_bytes);
}

static void *timed_create(int level)
{
	void *context = chosen->create(chosen_level);

	(void)level;
	if (context)
		warm_up(context);
	return context;
}

static void timed_destroy(void *context)
{
	chosen->destroy(context);
}

static size_t timed_context_bytes(const void *context)
{
	return chosen->context_bytes(context);
}

static size_t timed_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	uint64_t start = clock_ns();
	size_t length = chosen->compress(context, from, bytes, to, room);

	totals.compress_ns += clock_ns() - start;
	return length;
}

static size_t timed_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	uint64_t start = clock_ns();
	size_t length = chosen->decompress(context, from, bytes, to, room);

	totals.decompress_ns += clock_ns() - start;
	totals.decompressed++;
	return length;
}

bool timed_choose(const char *text)
{
	if (zpool_store_find_compressor(text, &chosen, &chosen_level))
		return false;
	if (!chosen)
		snprintf(name, sizeof(name), "none");
	else if (!chosen->level_min && !chosen->level_max)
		snprintf(name, sizeof(name), "%s", chosen->name);
	else
		snprintf(name, sizeof(name), "%s:%d", chosen->name, chosen_level);
	return true;
}

const char *timed_name(void)
{
	return name;
}

/* It is added only here, so that the user cannot choose it, and a second time fails without any harm. */
const char *timed_in_store(uint32_t bytes)
{
	static const struct zpool_store_compressor timed = {
		.struct_size = sizeof(timed),
		.name = "timed",
		.create = timed_create,
		.destroy = timed_destroy,
		.context_bytes = timed_context_bytes,
		.compress = timed_compress,
		.decompress = timed_decompress,
	};

	unit_bytes = bytes;
	if (!chosen)
		return "none";
	(void)zpool_store_add_compressor(&timed);
	return timed.name;
}

const struct timed_totals *timed_totals(void)
{
	return &totals;
}
