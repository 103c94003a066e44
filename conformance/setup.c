/* SPDX-License-Identifier: MIT
 *
 * setup.c - the driver under test: its capabilities, and opening pools of it
 */
#include "case.h"
#include "objects.h"
#include "outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPS_DECLARED_ONLY (ZPOOL_CAP_FORK | ZPOOL_CAP_NOWAIT)

/* The objects that show in which steps a driver allocates memory, and the largest limit that a case fills. */
enum { STEP_OBJECTS = 256, STEP_OBJECT_BYTES = 4096 };

/* See max_bytes in case.h. */
enum { CT_LARGE_BYTES = 256 << 10, CT_MAX_BYTES = 64 << 10 };
#define STEP_LIMIT_BYTES (UINT64_C(96) << 20)

/* How many of the largest objects a limit of some steps may need. */
enum { LIMIT_OBJECTS = 100000 };

struct caps_query {
	const char *type;
	bool found;
	uint32_t caps;
};

static int caps_visit(const struct zpool_driver_info *info, void *user)
{
	struct caps_query *query = user;

	if (strcmp(info->type, query->type) != 0)
		return 0;
	query->found = info->loaded;
	query->caps = info->caps;
	return 1;
}

bool ct_caps_of(const char *type, uint32_t *caps)
{
	struct caps_query query = { type, false, 0 };

	zpool_each_driver(caps_visit, &query);
	*caps = query.caps;
	return query.found;
}

/* Copies the name of the spec's part that begins at `part`.  Returns where the next part begins, or NULL. */
static const char *part_name(const char *part, char *name, size_t size)
{
	size_t length = strcspn(part, ":+");
	const char *plus = strchr(part, '+');

	snprintf(name, size, "%.*s", (int)length, part);
	return plus ? plus + 1 : NULL;
}

static int class_seen(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats;
	(void)stats_size;
	(void)user;
	return 0;
}

static int object_seen(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	(void)pool;
	(void)handle;
	(void)size;
	(void)user;
	return 0;
}

uint32_t ct_caps_by_behaviour(struct zpool *pool)
{
	uint32_t caps = 0;
	unsigned long handle = 0;
	struct zpool_stats stats;
	void *address;

	CT_MUST(zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, &handle));
	errno = 0;
	address = zpool_map_handle(pool, handle, ZPOOL_MM_RW);
	if (address || errno != EOPNOTSUPP)
		caps |= ZPOOL_CAP_MAP;
	if (address)
		zpool_unmap_handle(pool, handle);
	if (zpool_obj_size(pool, handle) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_OBJ_SIZE;
	if (zpool_each_object(pool, object_seen, NULL) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_OBJECTS;
	if (zpool_each_class(pool, class_seen, NULL) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_CLASSES;
	if (zpool_get_stats(pool, &stats, sizeof(stats)) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_STATS;
	if (zpool_compact(pool, 0, 0, NULL) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_COMPACT;
	if (zpool_trim(pool, NULL) != -EOPNOTSUPP)
		caps |= ZPOOL_CAP_TRIM;
	if (zpool_evictable(pool))
		caps |= ZPOOL_CAP_EVICT;
	if (zpool_malloc_support_movable(pool))
		caps |= ZPOOL_CAP_MOVABLE;
	if (zpool_can_sleep_mapped(pool))
		caps |= ZPOOL_CAP_SLEEP_MAPPED;
	zpool_free(pool, handle);
	return caps;
}

/* Several filters may wait for each other, and then return -ENOMEM where each alone would not. */
static bool succeeds_without_waiting(struct zpool *pool)
{
	unsigned long handles[64], handle;

	for (size_t i = 0; i < 64; i++)
		CT_MUST(zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, &handles[i]));
	for (size_t i = 0; i < 64; i++)
		zpool_free(pool, handles[i]);
	for (size_t i = 0; i < 64; i++) {
		if (zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, &handle) == 0) {
			zpool_free(pool, handle);
			return true;
		}
	}
	return false;
}

/* A stack has the capabilities that its pools show.  Those that cannot be observed need every part to have them. */
static void learn_caps(struct zpool *pool)
{
	char name[64];
	uint32_t declared = CAPS_DECLARED_ONLY;

	for (const char *part = ct.spec; part;) {
		uint32_t caps = 0;

		part = part_name(part, name, sizeof(name));
		CT_CHECK(ct_caps_of(name, &caps),
			 "a pool was created, but zpool_each_driver() does not show %s as loaded", name);
		declared &= caps;
		ct.caps = caps;
	}
	if (strchr(ct.spec, '+'))
		ct.caps = declared | ct_caps_by_behaviour(pool);
	if (strchr(ct.spec, '+') != strrchr(ct.spec, '+') && !succeeds_without_waiting(pool))
		ct.caps &= ~ZPOOL_CAP_NOWAIT;
}

/*
 * A driver may allocate memory by the page, by runs of pages, or by chunks of megabytes.  Storing some objects shows
 * which.  Nothing is written to them, so that this costs no memory.
 */
static void learn_steps(void)
{
	size_t size = ct.max_bytes < STEP_OBJECT_BYTES ? ct.max_bytes : STEP_OBJECT_BYTES;
	struct zpool *pool = ct_pool();
	uint64_t held = zpool_get_total_size(pool);

	ct.empty_bytes = held;
	for (int i = 0; i < STEP_OBJECTS; i++) {
		unsigned long handle;
		uint64_t now;

		if (zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handle) != 0)
			break;
		now = zpool_get_total_size(pool);
		if (now > held && now - held > ct.step_bytes)
			ct.step_bytes = now - held;
		held = now;
	}
	zpool_destroy_pool(pool);
}

/* What ct_limit() needs at least. */
static uint64_t limit_of_some_steps(void)
{
	return ct.empty_bytes + 6 * ct.step_bytes;
}

size_t ct_set_to_limit(void)
{
	/* Cases use at most two and a half times the limit, and the limit is 4 MiB or a few steps. */
	enum { LEAST = (4 << 20) / CT_TAKEN_BYTES_MIN, MOST = 1200000 };
	uint64_t objects = limit_of_some_steps() / 4;

	return objects < LEAST ? LEAST : objects > MOST ? MOST : (size_t)objects;
}

uint64_t ct_limit(uint64_t bytes)
{
	uint64_t needed = limit_of_some_steps();

	if (needed > bytes && needed / ct.max_bytes > LIMIT_OBJECTS)
		ct_skip("%s allocates memory in steps of %llu bytes for objects of at most %zu bytes: a limit of a few steps would need too many of them",
			ct.spec, (unsigned long long)ct.step_bytes, ct.max_bytes);
	if (needed > STEP_LIMIT_BYTES)
		ct_skip("%s allocates memory in steps of %llu bytes, and an empty pool holds %llu: a limit of a few steps would take too long to fill",
			ct.spec, (unsigned long long)ct.step_bytes, (unsigned long long)ct.empty_bytes);
	return needed > bytes ? needed : bytes;
}

void ct_setup_context(const char *spec, const struct ct_options *options)
{
	static char type[64];

	memset(&ct, 0, sizeof(ct));
	ct.spec = spec;
	ct.seed = options->seed;
	ct.operations = options->operations;
	ct.timeout_s = options->timeout_s;
	ct.isolate = options->isolate;
	ct.rss = options->rss;
	for (const char *part = spec; part;)
		part = part_name(part, type, sizeof(type));
	ct.type = type;
	ct.file = options->file;
}

void ct_setup(const char *spec, const struct ct_options *options, struct ct_result *result)
{
	struct zpool *pool;

	ct_setup_context(spec, options);
	pool = ct_pool_evicting(ct_evict_nothing, NULL);
	result->ready = true;
	ct.largest_bytes = zpool_max_object_size(pool);
	ct.max_bytes = ct.largest_bytes > CT_LARGE_BYTES ? CT_MAX_BYTES : ct.largest_bytes;
	ct.alignment_bytes = zpool_alignment(pool);
	CT_CHECK(ct.max_bytes >= 1, "zpool_max_object_size() is 0");
	CT_CHECK(ct.alignment_bytes >= 1, "zpool_alignment() is 0");
	learn_caps(pool);
	zpool_destroy_pool(pool);
	learn_steps();
}

bool ct_can(uint32_t cap)
{
	return (ct.caps & cap) == cap;
}

static int ignore_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)param;
	(void)size;
	(void)user;
	return 0;
}

bool ct_loads(const char *type)
{
	return zpool_each_param(type, ignore_param, NULL) == 0;
}

void ct_need(uint32_t caps)
{
	static const struct {
		uint32_t cap;
		const char *what;
	} names[] = {
		{ ZPOOL_CAP_EVICT, "evict objects" },
		{ ZPOOL_CAP_MAP, "map objects" },
		{ ZPOOL_CAP_COMPACT, "compact" },
		{ ZPOOL_CAP_STATS, "report statistics" },
		{ ZPOOL_CAP_CLASSES, "report size classes" },
		{ ZPOOL_CAP_OBJECTS, "walk its objects" },
		{ ZPOOL_CAP_OBJ_SIZE, "report the size of an object" },
		{ ZPOOL_CAP_TRIM, "trim" },
		{ ZPOOL_CAP_FORK, "be used in a forked child" },
		{ ZPOOL_CAP_SLEEP_MAPPED, "be used while another thread sleeps with an object mapped" },
		{ ZPOOL_CAP_NOWAIT, "allocate without waiting" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((caps & names[i].cap) && !ct_can(names[i].cap))
			ct_skip("%s cannot %s", ct.spec, names[i].what);
}

void ct_need_steps(uint64_t bytes)
{
	if (bytes < 8 * ct.step_bytes)
		ct_skip("%s allocates memory in steps of %llu bytes for objects of at most %zu bytes: a few steps would need too many of them",
			ct.spec, (unsigned long long)ct.step_bytes, ct.max_bytes);
}

uint64_t ct_page_bytes(struct zpool *pool)
{
	struct zpool_stats stats = { 0 };
	uint64_t bytes = ct.step_bytes;

	if (ct_can(ZPOOL_CAP_STATS))
		CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	if (stats.pages > 0)
		bytes = stats.pool_bytes / stats.pages;
	return bytes > CT_PAGE_BYTES_MIN ? bytes : CT_PAGE_BYTES_MIN;
}

int ct_evict_nothing(struct zpool *pool, unsigned long handle, void *user)
{
	(void)pool;
	(void)handle;
	(void)user;
	return -EBUSY;
}

/* The new value replaces the one that the last part of the spec already has for the key. */
const char *ct_spec_with(const char *extra)
{
	static _Thread_local char spec[1024];
	const char *last = strrchr(ct.spec, '+');
	const char *keys = strchr(last ? last : ct.spec, ':');
	size_t used = keys ? (size_t)(keys - ct.spec) : strlen(ct.spec), key_bytes = strcspn(extra, "=") + 1;
	char separator = ':';

	CT_CHECK(strlen(ct.spec) + strlen(extra) + 2 <= sizeof(spec), "the spec is too long with %s", extra);
	memcpy(spec, ct.spec, used);
	while (keys && *keys) {
		const char *key = keys + 1;
		size_t length = strcspn(key, ",");

		keys = key + length;
		if (strncmp(key, extra, key_bytes) == 0)
			continue;
		used += (size_t)snprintf(spec + used, sizeof(spec) - used, "%c%.*s", separator, (int)length, key);
		separator = ',';
	}
	snprintf(spec + used, sizeof(spec) - used, "%c%s", separator, extra);
	return spec;
}

struct zpool *ct_pool_open(const char *extra, const struct zpool_open_args *args)
{
	const char *spec = extra ? ct_spec_with(extra) : ct.spec;
	struct zpool *pool = zpool_open(spec, args, sizeof(*args));

	CT_CHECK(pool != NULL, "zpool_open(\"%s\") returned NULL, %s: %s", spec, ct_error_name(-errno),
		 zpool_last_error());
	return pool;
}

struct zpool *ct_pool(void)
{
	return ct_pool_open(NULL, NULL);
}

struct zpool *ct_pool_limited(uint64_t limit_bytes)
{
	char extra[64];

	snprintf(extra, sizeof(extra), "limit=%llu", (unsigned long long)limit_bytes);
	return ct_pool_open(extra, NULL);
}

struct zpool *ct_pool_evicting(ct_evict_fn evict, void *user)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.evict = evict;
	args.user = user;
	return ct_pool_open(NULL, &args);
}

struct zpool *ct_pool_from(const struct zpool_page_source *source)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.page_source = source;
	return ct_pool_open(NULL, &args);
}

void ct_trim(struct zpool *pool)
{
	int result = zpool_trim(pool, NULL);

	CT_CHECK(result == 0 || result == -EOPNOTSUPP, "zpool_trim() returned %s", ct_error_name(result));
}
