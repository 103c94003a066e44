/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/driver.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/name.h"
#include "core/param.h"

#define KNOWN_FLAGS (ZPOOL_DRIVER_FILTER | ZPOOL_DRIVER_RESIDENT)

/* The sizes of ABI 1.0, which are the minimum for every driver. */
#define HEAD_BYTES offsetof(struct zpool_driver, type)
#define MIN_DRIVER_BYTES (offsetof(struct zpool_driver, write) + sizeof(((struct zpool_driver *)0)->write))
#define MIN_PARAM_BYTES (offsetof(struct zpool_param, flags) + sizeof(uint32_t))
enum { MAX_PARAMS = 256, MAX_PARAM_BYTES = 4096 };

/* receives the reason for a refusal */
struct refusal {
	char *why;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct refusal *to, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(to->why, to->bytes, format, args);
	va_end(args);
	return -ENOEXEC;
}

/* Checks the part whose layout never changes, before reading anything behind it. */
static int check_head(const struct zpool_driver *given, size_t symbol_bytes, struct refusal *to)
{
	if ((uintptr_t)given % _Alignof(struct zpool_driver))
		return refuse(to, "its driver structure is misaligned");
	if (symbol_bytes && symbol_bytes < HEAD_BYTES)
		return refuse(to,
			      "the size of its symbol zpool_driver is %zu, less than the head of a driver structure",
			      symbol_bytes);
	if (given->magic != ZPOOL_DRIVER_MAGIC)
		return refuse(to, "magic is 0x%016" PRIx64 " instead of 0x%016" PRIx64, given->magic,
			      (uint64_t)ZPOOL_DRIVER_MAGIC);
	if (given->abi_major != ZPOOL_ABI_MAJOR)
		return refuse(to, "abi_major is %" PRIu32 ", but this library supports ABI %d; rebuild the driver",
			      given->abi_major, ZPOOL_ABI_MAJOR);
	if (given->struct_size < MIN_DRIVER_BYTES)
		return refuse(to, "struct_size is %" PRIu32 ", but ABI %d requires at least %zu", given->struct_size,
			      ZPOOL_ABI_MAJOR, MIN_DRIVER_BYTES);
	if (given->struct_size % _Alignof(struct zpool_driver))
		return refuse(to, "struct_size is %" PRIu32 ", which is not a multiple of the alignment %zu",
			      given->struct_size, _Alignof(struct zpool_driver));
	if (symbol_bytes && given->struct_size > symbol_bytes)
		return refuse(to, "struct_size is %" PRIu32 ", but the size of its symbol zpool_driver is only %zu",
			      given->struct_size, symbol_bytes);
	if (given->flags_required & ~KNOWN_FLAGS)
		return refuse(
			to, "flags_required has bits 0x%" PRIx32 ", which this library does not know; use a newer one",
			given->flags_required & ~KNOWN_FLAGS);
	return 0;
}

static int check_type(const struct zpool_driver *own, const char *expected, struct refusal *to)
{
	char type[ZP_TYPE_BYTES];
	if (!own->type || !zp_type_parse(own->type, strnlen(own->type, ZP_TYPE_BYTES), type) || strcmp(type, own->type))
		return refuse(to, "type is not a driver's name: [a-z][a-z0-9_]{0,31}");
	if (expected && strcmp(own->type, expected) != 0)
		return refuse(to, "type is \"%s\", but the driver was looked up as \"%s\"", own->type, expected);
	return 0;
}

static int check_callbacks(const struct zpool_driver *own, struct refusal *to)
{
	const char *missing = !own->create       ? "create"
			      : !own->destroy    ? "destroy"
			      : !own->malloc     ? "malloc"
			      : !own->free       ? "free"
			      : !own->total_size ? "total_size"
						 : NULL;
	if (missing)
		return refuse(to, "the mandatory callback %s is NULL", missing);
	if (!(own->map && own->unmap) && !(own->read && own->write))
		return refuse(to, "it has neither both of map and unmap nor both of read and write");
	if (!own->map != !own->unmap)
		return refuse(to, "it has only one of map and unmap");
	return 0;
}

static int check_sizes(const struct zpool_driver *own, struct refusal *to)
{
	if (own->max_object_bytes == 0)
		return refuse(to, "max_object_bytes is 0");
	if (own->alignment_bytes < 8 || (own->alignment_bytes & (own->alignment_bytes - 1)))
		return refuse(to, "alignment_bytes is %zu, not a power of two of at least 8", own->alignment_bytes);
	return 0;
}

static int check_param(const struct zpool_driver *own, const struct zpool_param *param, struct refusal *to)
{
	char key[ZP_TYPE_BYTES];
	struct zpool_value value;
	if (!param->key || !zp_type_parse(param->key, strnlen(param->key, ZP_TYPE_BYTES), key) ||
	    strcmp(key, param->key))
		return refuse(to, "a parameter's key is not [a-z][a-z0-9_]{0,31}");
	if (strcmp(param->key, ZP_LIMIT_KEY) == 0)
		return refuse(to, "it has a parameter \"limit\", a name that is reserved for the core's own parameter");
	if (!param->help)
		return refuse(to, "parameter \"%s\" has no help text", param->key);
	if (param->type < ZPOOL_PARAM_BOOL || param->type > ZPOOL_PARAM_STRING)
		return refuse(to, "parameter \"%s\" is of type %" PRIu32 ", which this library does not know",
			      param->key, param->type);
	if (param->type == ZPOOL_PARAM_ENUM && (!param->choices || !param->choices[0]))
		return refuse(to, "parameter \"%s\" has an empty list of choices", param->key);
	if (param->default_value && zp_param_parse(own->type, param, param->default_value, &value) != 0)
		return refuse(to, "the default of parameter \"%s\" is not a valid value", param->key);
	return 0;
}

/* Replaces the table in *own by a copy whose entries have the size that this core uses. */
static int adopt_params(struct zpool_driver *own, struct refusal *to)
{
	const char *from = (const char *)own->params;
	size_t entry_bytes = own->param_size;
	uint32_t count = own->param_count;

	own->params = NULL;
	own->param_count = 0;
	own->param_size = sizeof(struct zpool_param);
	if (count == 0)
		return 0;
	if (!from || count > MAX_PARAMS)
		return refuse(to, "its table of %" PRIu32 " parameters is %s", count, from ? "too long" : "NULL");
	if (entry_bytes < MIN_PARAM_BYTES || entry_bytes > MAX_PARAM_BYTES ||
	    entry_bytes % _Alignof(struct zpool_param))
		return refuse(to, "param_size is %zu, but ABI %d requires at least %zu", entry_bytes, ZPOOL_ABI_MAJOR,
			      MIN_PARAM_BYTES);
	struct zpool_param *table = calloc(count, sizeof(*table));
	if (!table)
		return -ENOMEM;
	own->params = table;
	size_t copied = entry_bytes < sizeof(*table) ? entry_bytes : sizeof(*table);
	int err = 0;
	for (uint32_t i = 0; !err && i < count; i++) {
		memcpy(&table[i], from + i * entry_bytes, copied);
		err = check_param(own, &table[i], to);
		if (!err && zp_param_find(own, table[i].key) >= 0)
			err = refuse(to, "it has two parameters named \"%s\"", table[i].key);
		own->param_count = i + 1;
	}
	return err;
}

int zp_driver_adopt(const struct zpool_driver *given, size_t symbol_bytes, const char *expected_type,
		    struct zpool_driver *own, char *why, size_t why_bytes)
{
	struct refusal to = { why, why_bytes };

	*own = (struct zpool_driver){ 0 };
	int err = check_head(given, symbol_bytes, &to);
	if (err)
		return err;
	memcpy(own, given, given->struct_size < sizeof(*own) ? given->struct_size : sizeof(*own));
	own->struct_size = sizeof(*own);
	if (!own->version)
		own->version = "";
	if (!own->description)
		own->description = "";
	err = check_type(own, expected_type, &to);
	if (!err)
		err = check_callbacks(own, &to);
	if (!err)
		err = check_sizes(own, &to);
	if (err)
		own->params = NULL;
	else
		err = adopt_params(own, &to);
	if (err)
		zp_driver_clear(own);
	return err;
}

void zp_driver_clear(struct zpool_driver *own)
{
	/* The table is const for all other code, but adopt_params() allocated it. */
	free((void *)(uintptr_t)own->params);
	*own = (struct zpool_driver){ 0 };
}

uint32_t zp_driver_caps(const struct zpool_driver *own)
{
	uint32_t caps = 0;
	caps |= own->shrink ? ZPOOL_CAP_EVICT : 0;
	caps |= own->map ? ZPOOL_CAP_MAP : 0;
	caps |= own->compact ? ZPOOL_CAP_COMPACT : 0;
	caps |= own->stats ? ZPOOL_CAP_STATS : 0;
	caps |= own->each_class ? ZPOOL_CAP_CLASSES : 0;
	caps |= own->each_object ? ZPOOL_CAP_OBJECTS : 0;
	caps |= own->obj_size ? ZPOOL_CAP_OBJ_SIZE : 0;
	caps |= own->trim ? ZPOOL_CAP_TRIM : 0;
	caps |= own->fork ? ZPOOL_CAP_FORK : 0;
	caps |= own->flags_ignorable & ZPOOL_DRIVER_MOVABLE ? ZPOOL_CAP_MOVABLE : 0;
	caps |= own->flags_ignorable & ZPOOL_DRIVER_SLEEP_MAPPED ? ZPOOL_CAP_SLEEP_MAPPED : 0;
	caps |= own->flags_ignorable & ZPOOL_DRIVER_NOWAIT ? ZPOOL_CAP_NOWAIT : 0;
	caps |= own->flags_required & ZPOOL_DRIVER_FILTER ? ZPOOL_CAP_FILTER : 0;
	return caps;
}
