/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault.  It is compiled against a future interface with more members, larger parameters, and flags
 * that this core does not know but may ignore.
 */
#include "mock_driver.h"

struct newer_driver {
	struct zpool_driver known;
	int (*teleport)(void *pool, unsigned long handle);
	uint64_t colour;
};

struct newer_param {
	struct zpool_param known;
	const char *unit;
	uint64_t step;
};

/* This is the host table of the future version. */
struct newer_host {
	struct zpool_host known;
	int (*telegraph)(void *core);
};

static const struct newer_param params[] = {
	{ { .key = "first", .help = "one thing", .default_value = "1", .max = 9, .type = ZPOOL_PARAM_UINT },
	  "apples",
	  1 },
	{ { .key = "second", .help = "another", .default_value = "2", .max = 9, .type = ZPOOL_PARAM_UINT },
	  "pears",
	  2 },
};

static int newer_teleport(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	abort();
}

/* Uses no member that an older core may lack before it has checked struct_size. */
static int newer_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	const struct newer_host *host = (const struct newer_host *)(const void *)args->host;
	if (args->host->struct_size >= sizeof(*host))
		return host->telegraph(args->core);
	mock_tell("newer", "old host");
	if (args->value_count != 2 || args->value_size < sizeof(struct zpool_value))
		return -EPROTO;
	const struct zpool_value *second =
		(const struct zpool_value *)(const void *)((const char *)args->values + args->value_size);
	if (strcmp(second->key, "second") != 0 || second->number != (second->given ? 7 : 2))
		return -EPROTO;
	return mock_create(args, out);
}

ZPOOL_DRIVER_NOTE(newer, "9.0", "a mock from the future")

MOCK_TELL_LIFE("newer")

extern ZPOOL_PUBLIC const struct newer_driver zpool_driver;
const struct newer_driver zpool_driver = {
	.known = {
		.magic = ZPOOL_DRIVER_MAGIC,
		.abi_major = ZPOOL_ABI_MAJOR,
		.abi_minor = ZPOOL_ABI_MINOR + 7,
		.struct_size = sizeof(struct newer_driver),
		.flags_ignorable = 0x80000000 | ZPOOL_DRIVER_SLEEP_MAPPED,
		.param_size = sizeof(struct newer_param),
		.type = "newer",
		.version = "9.0",
		.description = "a mock from the future",
		.params = &params[0].known,
		.param_count = 2,
		.max_object_bytes = MOCK_MAX_BYTES,
		.alignment_bytes = 16,
		.create = newer_create,
		.destroy = mock_destroy,
		.malloc = mock_malloc,
		.free = mock_free,
		.total_size = mock_total_size,
		.map = mock_map,
		.unmap = mock_unmap,
		.obj_size = mock_obj_size,
	},
	.teleport = newer_teleport,
	.colour = UINT64_MAX,
};
