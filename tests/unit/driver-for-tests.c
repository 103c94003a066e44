/* SPDX-License-Identifier: MIT
 *
 * Objects are in a table of slots under one lock. A handle has the number of a slot and a generation that increases
 * when the slot is freed, so that stale handles are recognized.
 */
#include "config.h"

#include "tests/unit/driver-for-tests.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1024, GENERATION_SHIFT = 12 };

struct slot {
	char *bytes;
	size_t size;
	unsigned int generation, maps;
	uint64_t age;
};

struct memory_pool {
	pthread_mutex_t lock;
	struct slot slots[SLOTS];
	uint64_t total, limit, next_age;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

struct driver_knobs knobs;

void driver_knobs_reset(void)
{
	memset(&knobs, 0, sizeof(knobs));
	knobs.filter_lower_size = sizeof(knobs.filter_lower);
}

static void count_call(enum driver_call call)
{
	__atomic_fetch_add(&knobs.calls[call], 1, __ATOMIC_RELAXED);
}

/* Counts the call. Returns true if the driver must return *answer at once. */
static bool overruled(enum driver_call call, int64_t *answer)
{
	count_call(call);
	if (!knobs.overrule[call])
		return false;
	knobs.overrule[call] = false;
	*answer = knobs.answer[call];
	if (knobs.message)
		knobs.host->error(knobs.core, "%s", knobs.message);
	return true;
}

static unsigned long handle_of(const struct memory_pool *pool, const struct slot *slot)
{
	return ((unsigned long)slot->generation << GENERATION_SHIFT) | (unsigned long)(slot - pool->slots + 1);
}

/* The caller holds the lock. Returns NULL if the handle is not live. */
static struct slot *find(struct memory_pool *pool, unsigned long handle)
{
	size_t number = handle & ((1ul << GENERATION_SHIFT) - 1);
	if (number == 0 || number > SLOTS)
		return NULL;
	struct slot *slot = &pool->slots[number - 1];
	return slot->bytes && handle_of(pool, slot) == handle ? slot : NULL;
}

/* Nobody waits for this lock: in a forked child it stays locked if another thread of the parent held it. */
static pthread_mutex_t remembered_lock = PTHREAD_MUTEX_INITIALIZER;

static void remember_args(const struct zpool_create_args *args)
{
	if (pthread_mutex_trylock(&remembered_lock) != 0)
		return;
	knobs.args = *args;
	knobs.host = args->host;
	knobs.core = args->core;
	(void)snprintf(knobs.name, sizeof(knobs.name), "%s", args->name);
	(void)snprintf(knobs.lower_spec, sizeof(knobs.lower_spec), "%s", args->lower_spec ? args->lower_spec : "");
	for (uint32_t i = 0; i < args->value_count && i < 8; i++) {
		memcpy(&knobs.values[i], (const char *)args->values + (size_t)i * args->value_size,
		       sizeof(knobs.values[i]));
		(void)snprintf(knobs.value_texts[i], sizeof(knobs.value_texts[i]), "%s",
			       knobs.values[i].text ? knobs.values[i].text : "(null)");
	}
	(void)pthread_mutex_unlock(&remembered_lock);
}

static void remember_pool(struct memory_pool *pool)
{
	if (pthread_mutex_trylock(&remembered_lock) != 0)
		return;
	knobs.last_pool = pool;
	(void)pthread_mutex_unlock(&remembered_lock);
}

static int mock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	int64_t answer;
	remember_args(args);
	if (overruled(CALL_CREATE, &answer))
		return (int)answer;
	struct memory_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	(void)pthread_mutex_init(&pool->lock, NULL);
	pool->total = DRIVER_EMPTY_BYTES;
	pool->limit = args->limit_bytes;
	pool->evict = args->evict;
	pool->evict_context = args->evict_context;
	out->pool = pool;
	remember_pool(pool);
	out->caps &= ~knobs.created_without_caps;
	if (knobs.change_created) {
		out->max_object_bytes = knobs.created_max;
		out->alignment_bytes = knobs.created_alignment;
	}
	if (knobs.without_pool) {
		free(pool);
		out->pool = NULL;
	}
	return 0;
}

static void mock_destroy(void *context)
{
	struct memory_pool *pool = context;
	count_call(CALL_DESTROY);
	for (size_t i = 0; i < SLOTS; i++)
		free(pool->slots[i].bytes);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* The caller holds the lock. */
static int take_slot(struct memory_pool *pool, size_t size, unsigned long *handle)
{
	if (pool->limit && !knobs.leaves_limit_to_core && pool->total + size + DRIVER_OBJECT_BYTES > pool->limit)
		return -ENOMEM;
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &pool->slots[i];
		if (slot->bytes)
			continue;
		slot->bytes = calloc(1, size);
		if (!slot->bytes)
			return -ENOMEM;
		slot->size = size;
		slot->age = pool->next_age++;
		pool->total += size + DRIVER_OBJECT_BYTES;
		*handle = handle_of(pool, slot);
		return 0;
	}
	return -ENOMEM;
}

static int mock_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct memory_pool *pool = context;
	int64_t answer;
	(void)gfp;
	if (overruled(CALL_MALLOC, &answer))
		return (int)answer;
	pthread_mutex_lock(&pool->lock);
	int err = take_slot(pool, size, handle);
	pthread_mutex_unlock(&pool->lock);
	return err;
}

static int mock_free(void *context, unsigned long handle)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_FREE, &answer))
		return (int)answer;
	pthread_mutex_lock(&pool->lock);
	struct slot *slot = find(pool, handle);
	int err = !slot ? -EINVAL : slot->maps ? -EBUSY : 0;
	if (!err) {
		free(slot->bytes);
		slot->bytes = NULL;
		slot->generation++;
		pool->total -= slot->size + DRIVER_OBJECT_BYTES;
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

static uint64_t mock_total_size(void *context)
{
	struct memory_pool *pool = context;
	count_call(CALL_TOTAL_SIZE);
	pthread_mutex_lock(&pool->lock);
	uint64_t total = pool->total;
	pthread_mutex_unlock(&pool->lock);
	return total;
}

static void *mock_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct memory_pool *pool = context;
	void *address = NULL;
	int64_t answer;
	(void)mode;
	if (overruled(CALL_MAP, &answer)) {
		errno = (int)answer;
		return NULL;
	}
	pthread_mutex_lock(&pool->lock);
	struct slot *slot = find(pool, handle);
	int err = !slot ? EINVAL : slot->maps == DRIVER_MAX_MAPS ? EBUSY : 0;
	if (!err) {
		slot->maps++;
		address = slot->bytes;
	}
	pthread_mutex_unlock(&pool->lock);
	if (err)
		errno = err;
	return address;
}

static int mock_unmap(void *context, unsigned long handle)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_UNMAP, &answer))
		return (int)answer;
	pthread_mutex_lock(&pool->lock);
	struct slot *slot = find(pool, handle);
	int err = slot && slot->maps ? 0 : -EINVAL;
	if (!err)
		slot->maps--;
	pthread_mutex_unlock(&pool->lock);
	return err;
}

/*
 * Copies bytes into or out of an object. The driver checks the range itself, because the core cannot if obj_size is
 * NULL.
 */
static int64_t copy(struct memory_pool *pool, unsigned long handle, void *out, const void *in, size_t len,
		    size_t offset)
{
	pthread_mutex_lock(&pool->lock);
	struct slot *slot = find(pool, handle);
	int64_t done = -EINVAL;
	if (slot && offset <= slot->size && len <= slot->size - offset) {
		if (out)
			memcpy(out, slot->bytes + offset, len);
		else if (in)
			memcpy(slot->bytes + offset, in, len);
		done = (int64_t)len;
	}
	pthread_mutex_unlock(&pool->lock);
	return done;
}

static int64_t mock_read(void *context, unsigned long handle, void *buf, size_t len, size_t offset)
{
	int64_t answer;
	if (overruled(CALL_READ, &answer))
		return answer;
	return copy(context, handle, buf, NULL, len, offset);
}

static int64_t mock_write(void *context, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	int64_t answer;
	if (overruled(CALL_WRITE, &answer))
		return answer;
	return copy(context, handle, NULL, buf, len, offset);
}

/* The caller holds the lock. Returns the handle of the oldest object, or 0 if there is none. */
static unsigned long find_oldest(const struct memory_pool *pool)
{
	const struct slot *oldest = NULL;
	for (size_t i = 0; i < SLOTS; i++)
		if (pool->slots[i].bytes && (!oldest || pool->slots[i].age < oldest->age))
			oldest = &pool->slots[i];
	return oldest ? handle_of(pool, oldest) : 0;
}

static int mock_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_SHRINK, &answer))
		return (int)answer;
	for (*reclaimed = 0; *reclaimed < pages; ++*reclaimed) {
		pthread_mutex_lock(&pool->lock);
		unsigned long handle = find_oldest(pool);
		pthread_mutex_unlock(&pool->lock);
		if (!handle)
			return -EINVAL;
		if (pool->evict(pool->evict_context, handle) != 0)
			return -EAGAIN;
	}
	return 0;
}

static int mock_compact(void *context, const struct zpool_budget *budget, uint64_t *released)
{
	int64_t answer;
	(void)context;
	knobs.budget = *budget;
	*released = 4096;
	return overruled(CALL_COMPACT, &answer) ? (int)answer : 0;
}

static int64_t mock_obj_size(void *context, unsigned long handle)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_OBJ_SIZE, &answer))
		return answer;
	pthread_mutex_lock(&pool->lock);
	const struct slot *slot = find(pool, handle);
	int64_t size = slot ? (int64_t)slot->size : -EINVAL;
	pthread_mutex_unlock(&pool->lock);
	return size;
}

static int mock_stats(void *context, struct zpool_stats *stats, size_t stats_size)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_STATS, &answer))
		return (int)answer;
	if (stats_size < sizeof(*stats))
		return -EINVAL;
	pthread_mutex_lock(&pool->lock);
	for (size_t i = 0; i < SLOTS; i++)
		stats->objects += pool->slots[i].bytes != NULL;
	stats->pool_bytes = pool->total;
	stats->refused_handles = 77;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

static int mock_each_class(void *context, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			   void *user)
{
	const struct zpool_class_stats stats = { .object_bytes = 32, .objects = 3 };
	(void)context;
	count_call(CALL_EACH_CLASS);
	return fn(&stats, sizeof(stats), user);
}

static int mock_each_object(void *context, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct memory_pool *pool = context;
	int result = 0;
	count_call(CALL_EACH_OBJECT);
	for (size_t i = 0; !result && i < SLOTS; i++) {
		pthread_mutex_lock(&pool->lock);
		bool live = pool->slots[i].bytes != NULL;
		unsigned long handle = handle_of(pool, &pool->slots[i]);
		size_t size = pool->slots[i].size;
		pthread_mutex_unlock(&pool->lock);
		if (live)
			result = fn(handle, size, user);
	}
	return result;
}

static int mock_set(void *context, uint32_t index, const struct zpool_value *value)
{
	int64_t answer;
	(void)context;
	knobs.set_index = index;
	knobs.set_value = *value;
	(void)snprintf(knobs.set_text, sizeof(knobs.set_text), "%s", value->text);
	return overruled(CALL_SET, &answer) ? (int)answer : 0;
}

static int mock_set_limit(void *context, uint64_t limit_bytes)
{
	struct memory_pool *pool = context;
	int64_t answer;
	if (overruled(CALL_SET_LIMIT, &answer))
		return (int)answer;
	pthread_mutex_lock(&pool->lock);
	pool->limit = limit_bytes;
	pthread_mutex_unlock(&pool->lock);
	return 0;
}

static int mock_trim(void *context, uint64_t *released)
{
	int64_t answer;
	(void)context;
	*released = 8192;
	return overruled(CALL_TRIM, &answer) ? (int)answer : 0;
}

static void note_phase(enum zpool_fork_phase phase, const char *letters)
{
	size_t length = strlen(knobs.phases);
	count_call(CALL_FORK);
	if (length + 1 < sizeof(knobs.phases))
		knobs.phases[length] = letters[phase];
}

static void mock_fork(void *context, enum zpool_fork_phase phase)
{
	struct memory_pool *pool = context;
	if (phase == ZPOOL_FORK_PREPARE)
		pthread_mutex_lock(&pool->lock);
	else
		pthread_mutex_unlock(&pool->lock);
	note_phase(phase, "apc");
}

/* What the driver and the filter have in common. */
#define HEAD                                                                                                           \
	.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .abi_minor = ZPOOL_ABI_MINOR,                       \
	.struct_size = sizeof(struct zpool_driver), .param_size = sizeof(struct zpool_param),                          \
	.max_object_bytes = DRIVER_MAX_OBJECT, .alignment_bytes = 8
#define CALLBACKS(part)                                                                                                \
	.create = part##_create, .destroy = part##_destroy, .malloc = part##_malloc, .free = part##_free,              \
	.total_size = part##_total_size, .map = part##_map, .unmap = part##_unmap, .shrink = part##_shrink,            \
	.obj_size = part##_obj_size, .fork = part##_fork

struct zpool_driver driver_for_tests(const char *type)
{
	static const char *const colours[] = { "red", "green", NULL };
	static const struct zpool_param params[] = {
		{ .key = "level",
		  .help = "how high, in steps",
		  .default_value = "3",
		  .min = 1,
		  .max = 9,
		  .type = ZPOOL_PARAM_UINT,
		  .flags = ZPOOL_PARAM_RUNTIME },
		{ .key = "colour",
		  .help = "what it looks like",
		  .default_value = "red",
		  .choices = colours,
		  .type = ZPOOL_PARAM_ENUM },
		{ .key = "note", .help = "a remark", .type = ZPOOL_PARAM_STRING },
	};
	return (struct zpool_driver){
		HEAD,
		.type = type,
		.version = "1.2",
		.description = "keeps objects in a table",
		.params = params,
		.param_count = 3,
		CALLBACKS(mock),
		.read = mock_read,
		.write = mock_write,
		.compact = mock_compact,
		.stats = mock_stats,
		.each_class = mock_each_class,
		.each_object = mock_each_object,
		.set = mock_set,
		.set_limit = mock_set_limit,
		.trim = mock_trim,
	};
}

/* ------------------------------------------------------------------------------------------------------------------
 * The filter
 */

struct filter_pool {
	const struct zpool_host *host;
	void *core;
	struct zpool_lower lower;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

static int filter_evict(void *context, unsigned long handle)
{
	const struct filter_pool *pool = context;
	return pool->evict(pool->evict_context, ~handle);
}

static int filter_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	int64_t answer;
	remember_args(args);
	if (overruled(CALL_FILTER_CREATE, &answer))
		return (int)answer;
	struct filter_pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	*pool = (struct filter_pool){
		.host = args->host, .core = args->core, .evict = args->evict, .evict_context = args->evict_context
	};
	out->pool = pool;
	if (knobs.filter_makes_no_lower)
		return 0;
	int err = pool->host->lower_create(pool->core, args->evict ? filter_evict : NULL, pool, &pool->lower,
					   knobs.filter_lower_size);
	if (!err && knobs.filter_asks_twice) {
		struct zpool_lower second;
		knobs.filter_second_answer = pool->host->lower_create(pool->core, NULL, NULL, &second, sizeof(second));
	}
	if (!err && knobs.filter_fails_after_lower)
		err = -ENODEV;
	if (err) {
		free(pool);
		return err;
	}
	if (pthread_mutex_trylock(&remembered_lock) == 0) {
		knobs.filter_lower = pool->lower;
		(void)pthread_mutex_unlock(&remembered_lock);
	}
	out->max_object_bytes = pool->lower.max_object_bytes;
	out->alignment_bytes = pool->lower.alignment_bytes;
	return 0;
}

static void filter_destroy(void *context)
{
	struct filter_pool *pool = context;
	count_call(CALL_FILTER_DESTROY);
	if (!knobs.filter_keeps_lower)
		pool->host->lower_destroy(pool->core, &pool->lower);
	free(pool);
}

static int filter_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	const struct filter_pool *pool = context;
	unsigned long below;
	int err = pool->lower.driver->malloc(pool->lower.pool, size, gfp, &below);
	if (!err)
		*handle = ~below;
	return err;
}

static int filter_free(void *context, unsigned long handle)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver->free(pool->lower.pool, ~handle);
}

static uint64_t filter_total_size(void *context)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver ? pool->lower.driver->total_size(pool->lower.pool) : 0;
}

static void *filter_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver->map(pool->lower.pool, ~handle, mode);
}

static int filter_unmap(void *context, unsigned long handle)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver->unmap(pool->lower.pool, ~handle);
}

static int filter_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver->shrink(pool->lower.pool, pages, reclaimed);
}

static int64_t filter_obj_size(void *context, unsigned long handle)
{
	const struct filter_pool *pool = context;
	return pool->lower.driver->obj_size(pool->lower.pool, ~handle);
}

static void filter_fork(void *context, enum zpool_fork_phase phase)
{
	(void)context;
	note_phase(phase, "APC");
}

struct zpool_driver filter_for_tests(const char *type)
{
	static const struct zpool_param params[] = {
		{ .key = "depth", .help = "how deep", .default_value = "1", .max = 99, .type = ZPOOL_PARAM_UINT },
	};
	return (struct zpool_driver){
		HEAD,
		.flags_required = ZPOOL_DRIVER_FILTER,
		.type = type,
		.version = "1.0",
		.description = "passes all calls on",
		.params = params,
		.param_count = 1,
		CALLBACKS(filter),
	};
}
