/* SPDX-License-Identifier: MIT
 *
 * future.c - the driver under test, used by a simulated newer version of the library
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "future.h"
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <zpool-driver.h>

enum { MORE_BYTES = 136, JUNK = 0xa5, BLOCK_BYTES = 1 << 18 };

static const struct zpool_driver *real;
static struct zpool_driver future;

/* Structures as a newer version of the library may have them, with members that no driver knows yet. */
struct larger_host {
	struct zpool_host host;
	unsigned char more[MORE_BYTES];
};

struct larger_args {
	struct zpool_create_args args;
	unsigned char more[MORE_BYTES];
};

struct larger_created {
	struct zpool_created created;
	unsigned char more[MORE_BYTES];
};

struct larger_stats {
	struct zpool_stats stats;
	unsigned char more[MORE_BYTES];
};

struct larger_budget {
	struct zpool_budget budget;
	unsigned char more[MORE_BYTES];
};

static struct larger_host host;

/* ------------------------------------------------------------------------------------------------------------------
 * Memory that is taken away: a driver that uses a pointer into it later gets a fault
 */

struct block {
	char *bytes;
	size_t used;
};

static void block_open(struct block *block)
{
	void *bytes = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CT_CHECK(bytes != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(bytes, JUNK, BLOCK_BYTES);
	block->bytes = bytes;
	block->used = 0;
}

static void block_take_away(const struct block *block)
{
	CT_CHECK(mprotect(block->bytes, BLOCK_BYTES, PROT_NONE) == 0, "mprotect: %s", strerror(errno));
}

static void *block_add(struct block *block, const void *from, size_t bytes)
{
	void *at = block->bytes + block->used;

	block->used += (bytes + 15) & ~(size_t)15;
	CT_CHECK(block->used <= BLOCK_BYTES, "the test suite has only %d bytes for the arguments of create",
		 BLOCK_BYTES);
	if (from)
		memcpy(at, from, bytes);
	return at;
}

static const char *block_add_text(struct block *block, const char *text)
{
	return text ? block_add(block, text, strlen(text) + 1) : NULL;
}

static void block_add_value(struct block *block, struct zpool_value *at, const struct zpool_value *value)
{
	*at = *value;
	at->key = block_add_text(block, value->key);
	at->text = block_add_text(block, value->text);
}

static bool is_junk(const unsigned char *bytes, size_t count, unsigned char junk)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != junk)
			return false;
	return true;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The callbacks
 */

static void verify(void *pool, const char *call)
{
	int err = real->verify ? real->verify(pool) : 0;

	CT_CHECK(err == 0, "after %s, the driver's verify callback returned %s", call, ct_error_name(err));
}

static const struct zpool_value *larger_values(struct block *block, const struct zpool_create_args *args, size_t size)
{
	char *values = block_add(block, NULL, args->value_count * size + 1);

	for (uint32_t i = 0; i < args->value_count; i++)
		block_add_value(block, (void *)(values + i * size),
				(const void *)((const char *)args->values + (size_t)i * args->value_size));
	return (const void *)values;
}

static int future_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct larger_created created;
	struct larger_args *larger;
	struct block block;
	int err;

	block_open(&block);
	memset(&host, JUNK, sizeof(host));
	memset(&host.host, 0, sizeof(host.host));
	memcpy(&host.host, args->host,
	       args->host->struct_size < sizeof(host.host) ? args->host->struct_size : sizeof(host.host));
	host.host.struct_size = sizeof(host);
	host.host.abi_minor += 7;
	larger = block_add(&block, NULL, sizeof(*larger));
	larger->args = *args;
	larger->args.struct_size = sizeof(*larger);
	larger->args.value_size = args->value_size + MORE_BYTES;
	larger->args.host = &host.host;
	larger->args.name = block_add_text(&block, args->name);
	larger->args.lower_spec = block_add_text(&block, args->lower_spec);
	larger->args.values = args->values ? larger_values(&block, args, larger->args.value_size) : NULL;
	memset(&created, JUNK, sizeof(created));
	created.created = *out;
	created.created.struct_size = sizeof(created);
	err = real->create(&larger->args, &created.created);
	block_take_away(&block);
	CT_CHECK(is_junk(created.more, MORE_BYTES, JUNK),
		 "create wrote to members of struct zpool_created beyond the size that it was given");
	if (err)
		return err;
	*out = created.created;
	out->struct_size = sizeof(*out);
	verify(out->pool, "create");
	return 0;
}

static void future_destroy(void *pool)
{
	verify(pool, "the last call");
	real->destroy(pool);
}

static int future_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = real->malloc(pool, size, gfp, handle);

	verify(pool, "malloc");
	return err;
}

static int future_free(void *pool, unsigned long handle)
{
	int err = real->free(pool, handle);

	verify(pool, "free");
	return err;
}

static int future_unmap(void *pool, unsigned long handle)
{
	int err = real->unmap(pool, handle);

	verify(pool, "unmap");
	return err;
}

static int future_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	int err = real->shrink(pool, pages, reclaimed);

	verify(pool, "shrink");
	return err;
}

static int future_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	struct larger_budget larger;
	int err;

	memset(&larger, JUNK, sizeof(larger));
	larger.budget = *budget;
	larger.budget.struct_size = sizeof(larger);
	err = real->compact(pool, &larger.budget, released);
	verify(pool, "compact");
	return err;
}

static int future_trim(void *pool, uint64_t *released)
{
	int err = real->trim(pool, released);

	verify(pool, "trim");
	return err;
}

static int future_set(void *pool, uint32_t index, const struct zpool_value *value)
{
	struct zpool_value *larger;
	struct block block;
	int err;

	block_open(&block);
	larger = block_add(&block, NULL, sizeof(*larger) + MORE_BYTES);
	block_add_value(&block, larger, value);
	err = real->set(pool, index, larger);
	block_take_away(&block);
	verify(pool, "set");
	return err;
}

/* Ask like a library that knows more members, and like one that knows only two. */
static int future_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	const size_t fewer = 2 * sizeof(uint64_t);
	struct larger_stats larger;
	unsigned char smaller[sizeof(struct zpool_stats)];
	int err;

	/* A filter has the callback, but offers statistics only above a driver that has them. */
	if (!ct_can(ZPOOL_CAP_STATS))
		return real->stats(pool, stats, stats_size);
	memset(&larger, 0, sizeof(larger));
	err = real->stats(pool, &larger.stats, sizeof(larger));
	CT_CHECK(
		err == 0,
		"the stats callback returned %s for a structure of %zu bytes, as a newer version of the library passes it",
		ct_error_name(err), sizeof(larger));
	CT_CHECK(real->abi_minor > ZPOOL_ABI_MINOR || is_junk(larger.more, MORE_BYTES, 0),
		 "the stats callback wrote to members beyond the %zu bytes that it knows", sizeof(larger.stats));
	memset(smaller, 0, fewer);
	memset(smaller + fewer, JUNK, sizeof(smaller) - fewer);
	err = real->stats(pool, (void *)smaller, fewer);
	CT_CHECK(err == 0, "the stats callback returned %s for a structure of %zu bytes", ct_error_name(err), fewer);
	CT_CHECK(is_junk(smaller + fewer, sizeof(smaller) - fewer, JUNK),
		 "the stats callback wrote beyond the end of a structure of %zu bytes", fewer);
	CT_CHECK(memcmp(smaller, &larger, fewer) == 0,
		 "the stats callback filled the first two members differently for another structure size");
	verify(pool, "stats");
	return real->stats(pool, stats, stats_size);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Registering
 */

const char *ct_future_spec(void)
{
	static char spec[1024];
	size_t length = strcspn(ct.spec, ":+");
	const struct zpool_driver *record;
	char type[64];

	snprintf(type, sizeof(type), "%.*s", (int)length, ct.spec);
	snprintf(spec, sizeof(spec), "ct_future%s", ct.spec + length);
	record = ct_record_of(type);
	if (record && record == real)
		return spec;
	/* Without fork, the cases of all drivers run in one process. */
	if (real)
		CT_MUST(zpool_unregister_driver(&future));
	real = record;
	if (!real)
		ct_skip("%s is part of the program, so that it has no file", type);
	memcpy(&future, real, real->struct_size < sizeof(future) ? real->struct_size : sizeof(future));
	future.struct_size = sizeof(future);
	future.type = "ct_future";
	future.create = future_create;
	future.destroy = future_destroy;
	future.malloc = future_malloc;
	future.free = future_free;
	future.unmap = real->unmap ? future_unmap : NULL;
	future.shrink = real->shrink ? future_shrink : NULL;
	future.compact = real->compact ? future_compact : NULL;
	future.trim = real->trim ? future_trim : NULL;
	future.set = real->set ? future_set : NULL;
	future.stats = real->stats ? future_stats : NULL;
	CT_MUST(zpool_register_driver(&future));
	return spec;
}

bool ct_future_has_verify(void)
{
	return real->verify != NULL;
}
