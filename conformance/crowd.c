/* SPDX-License-Identifier: MIT
 *
 * crowd.c - a pool and its objects, shared by threads
 */
#include "crowd.h"

#include <string.h>
#include <time.h>

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct ct_crowd *crowd = user;
	struct ct_object object;

	CT_CHECK(pool == crowd->pool, "the callback was called with another pool than the one being shrunk");
	atomic_fetch_add(&crowd->asked, 1);
	if (crowd->before_evict) {
		int result = crowd->before_evict(crowd);

		if (result != 0)
			return result;
	}
	/* Another thread may have taken the object out of the set, or have freed it by now. */
	if (!ct_crowd_take_handle(crowd, handle, &object))
		return -EBUSY;
	ct_object_check(pool, &object, "inside the evict callback, while other threads work");
	zpool_free(pool, handle);
	atomic_fetch_add(&crowd->evicted, 1);
	return 0;
}

void ct_crowd_open(struct ct_crowd *crowd, size_t capacity)
{
	memset(crowd, 0, sizeof(*crowd));
	pthread_mutex_init(&crowd->lock, NULL);
	ct_set_init(&crowd->set, capacity);
	crowd->pool = ct_pool_evicting(evict, crowd);
}

void ct_crowd_close(struct ct_crowd *crowd)
{
	ct_set_check(crowd->pool, &crowd->set, "after all threads ended");
	ct_set_free_all(crowd->pool, &crowd->set);
	zpool_destroy_pool(crowd->pool);
	ct_set_fini(&crowd->set);
	pthread_mutex_destroy(&crowd->lock);
}

static bool take_at(struct ct_crowd *crowd, size_t position, struct ct_object *object)
{
	if (position == SIZE_MAX)
		return false;
	*object = crowd->set.at[position];
	ct_set_remove(&crowd->set, position);
	return true;
}

bool ct_crowd_take(struct ct_crowd *crowd, struct ct_rng *rng, struct ct_object *object)
{
	bool taken;

	pthread_mutex_lock(&crowd->lock);
	taken = take_at(crowd, crowd->set.count > 0 ? ct_rng_below(rng, crowd->set.count) : SIZE_MAX, object);
	pthread_mutex_unlock(&crowd->lock);
	return taken;
}

bool ct_crowd_take_handle(struct ct_crowd *crowd, unsigned long handle, struct ct_object *object)
{
	bool taken;

	pthread_mutex_lock(&crowd->lock);
	taken = take_at(crowd, ct_set_find(&crowd->set, handle), object);
	pthread_mutex_unlock(&crowd->lock);
	return taken;
}

void ct_crowd_put(struct ct_crowd *crowd, const struct ct_object *object)
{
	bool full;

	pthread_mutex_lock(&crowd->lock);
	full = crowd->set.count == crowd->set.capacity;
	if (!full)
		ct_set_add(&crowd->set, object);
	pthread_mutex_unlock(&crowd->lock);
	if (full)
		zpool_free(crowd->pool, object->handle);
}

size_t ct_crowd_count(struct ct_crowd *crowd)
{
	size_t count;

	pthread_mutex_lock(&crowd->lock);
	count = crowd->set.count;
	pthread_mutex_unlock(&crowd->lock);
	return count;
}

static void store(struct ct_crowd *crowd, struct ct_rng *rng)
{
	size_t size = ct_rng_size(rng, ct.max_bytes);
	struct ct_object object;
	int result = ct_object_try(crowd->pool, &object, size, ZPOOL_GFP_KERNEL, ct_rng_next(rng));

	/* Malloc may fail because ct_crowd_tend() sets limits. */
	CT_CHECK(result == 0 || result == -ENOMEM, "malloc of %zu bytes returned %s", size, ct_error_name(result));
	if (result == 0)
		ct_crowd_put(crowd, &object);
}

static void rewrite(struct ct_crowd *crowd, struct ct_object *object, uint64_t tag)
{
	char bytes[256];
	size_t offset = 0;

	object->tag = tag;
	while (offset < object->size) {
		size_t len = object->size - offset < sizeof(bytes) ? object->size - offset : sizeof(bytes);

		ct_pattern_fill(bytes, len, tag, offset);
		ct_bytes_put(crowd->pool, object->handle, bytes, len, offset);
		offset += len;
	}
}

void ct_crowd_step(struct ct_crowd *crowd, struct ct_rng *rng)
{
	uint64_t kind = ct_rng_below(rng, 100);
	struct ct_object object;

	if (kind < 40 || !ct_crowd_take(crowd, rng, &object)) {
		store(crowd, rng);
	} else {
		ct_object_check(crowd->pool, &object, "while other threads work");
		if (kind < 70) {
			zpool_free(crowd->pool, object.handle);
		} else {
			if (kind < 80)
				rewrite(crowd, &object, ct_rng_next(rng));
			ct_crowd_put(crowd, &object);
		}
	}
	atomic_fetch_add(&crowd->done, 1);
}

static int visit(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	struct ct_crowd *crowd = user;
	struct ct_object object;

	CT_CHECK(pool == crowd->pool && handle != 0 && size > 0, "a walk visited handle %#lx of %zu bytes", handle,
		 size);
	if (!ct_crowd_take_handle(crowd, handle, &object))
		return 0;
	CT_CHECK(size >= object.size, "size of an object in a walk: got %zu, expected at least %zu", size, object.size);
	ct_object_check(pool, &object, "during a walk, while other threads work");
	ct_crowd_put(crowd, &object);
	return ct_stopping();
}

void ct_crowd_walk(struct ct_crowd *crowd)
{
	int result;

	if (!ct_can(ZPOOL_CAP_OBJECTS))
		return;
	result = zpool_each_object(crowd->pool, visit, crowd);
	CT_CHECK(result == 0 || ct_stopping(), "a walk returned %s", ct_error_name(result));
}

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)user;
	CT_CHECK(stats_size > 0 && stats->objects <= stats->slots,
		 "while threads work, a class of %llu bytes has %llu objects in %llu slots",
		 (unsigned long long)stats->object_bytes, (unsigned long long)stats->objects,
		 (unsigned long long)stats->slots);
	return 0;
}

void ct_crowd_tend(struct ct_crowd *crowd, struct ct_rng *rng)
{
	struct zpool_stats stats;
	int result;

	switch (ct_rng_below(rng, 5)) {
	case 0:
		ct_trim(crowd->pool);
		break;
	case 1:
		CT_MUST(zpool_set_limit(crowd->pool, zpool_get_total_size(crowd->pool) + 65536));
		break;
	case 2:
		CT_MUST(zpool_set_limit(crowd->pool, 0));
		break;
	case 3:
		if (ct_can(ZPOOL_CAP_STATS))
			CT_MUST(zpool_get_stats(crowd->pool, &stats, sizeof(stats)));
		if (ct_can(ZPOOL_CAP_CLASSES))
			CT_MUST(zpool_each_class(crowd->pool, visit_class, NULL));
		break;
	default:
		result = zpool_compact(crowd->pool, 64 * 1024, 0, NULL);
		CT_CHECK(result == 0 || result == 1 || result == -EOPNOTSUPP, "compact returned %s",
			 ct_error_name(result));
		break;
	}
}

void ct_nap(void)
{
	struct timespec moment = { 0, 1000000 };

	nanosleep(&moment, NULL);
}
