/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "filter.h"

#include <errno.h>
#include <string.h>

#include "secret.h"

/* These optional callbacks of a filter only work if the driver below has them. */
#define FORWARDED_CAPS                                                                                                 \
	(ZPOOL_CAP_EVICT | ZPOOL_CAP_MAP | ZPOOL_CAP_COMPACT | ZPOOL_CAP_STATS | ZPOOL_CAP_CLASSES |                   \
	 ZPOOL_CAP_OBJECTS | ZPOOL_CAP_OBJ_SIZE | ZPOOL_CAP_TRIM | ZPOOL_CAP_FORK | ZPOOL_CAP_MOVABLE |                \
	 ZPOOL_CAP_SLEEP_MAPPED | ZPOOL_CAP_NOWAIT)

int zp_filter_init(struct zp_filter *filter, const struct zpool_create_args *args, struct zpool_created *out,
		   int (*evict)(void *filter, unsigned long below))
{
	int err;

	filter->host = args->host;
	filter->core = args->core;
	filter->evict = args->evict;
	filter->evict_context = args->evict_context;
	filter->veil = (unsigned long)zp_secret() | 1;
	if (!args->lower_spec) {
		args->host->error(args->core, "A filter needs a driver below it, but the spec names none.");
		return -EINVAL;
	}
	err = args->host->lower_create(args->core, args->evict ? evict : NULL, filter, &filter->lower,
				       sizeof(filter->lower));
	if (err)
		return err;
	out->caps &= ~(uint32_t)FORWARDED_CAPS | filter->lower.caps;
	out->max_object_bytes = filter->lower.max_object_bytes;
	out->alignment_bytes = filter->lower.alignment_bytes;
	return 0;
}

void zp_filter_fini(struct zp_filter *filter)
{
	filter->host->lower_destroy(filter->core, &filter->lower);
}

int zp_filter_unsupported(struct zp_filter *filter, const char *call)
{
	filter->host->error(filter->core, "%s: driver \"%s\", below the filter, does not support this call.", call,
			    filter->lower.driver->type);
	return -EOPNOTSUPP;
}

int zp_filter_evict(void *filter_, unsigned long below)
{
	struct zp_filter *filter = filter_;

	return filter->evict(filter->evict_context, zp_filter_veil(filter, below));
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

int zp_filter_malloc(void *filter_, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct zp_filter *filter = filter_;
	unsigned long below = 0;
	int err = filter->lower.driver->malloc(filter->lower.pool, size, gfp, &below);

	if (!err)
		*handle = zp_filter_veil(filter, below);
	return err;
}

int zp_filter_free(void *filter_, unsigned long handle)
{
	struct zp_filter *filter = filter_;

	return filter->lower.driver->free(filter->lower.pool, zp_filter_veil(filter, handle));
}

void *zp_filter_map(void *filter_, unsigned long handle, enum zpool_mapmode mode)
{
	struct zp_filter *filter = filter_;

	if (filter->lower.driver->map)
		return filter->lower.driver->map(filter->lower.pool, zp_filter_veil(filter, handle), mode);
	errno = -zp_filter_unsupported(filter, "zpool_map_handle()");
	return NULL;
}

int zp_filter_unmap(void *filter_, unsigned long handle)
{
	struct zp_filter *filter = filter_;

	if (!filter->lower.driver->unmap)
		return zp_filter_unsupported(filter, "zpool_unmap_handle()");
	return filter->lower.driver->unmap(filter->lower.pool, zp_filter_veil(filter, handle));
}

int64_t zp_filter_obj_size(void *filter_, unsigned long handle)
{
	struct zp_filter *filter = filter_;

	if (!filter->lower.driver->obj_size)
		return zp_filter_unsupported(filter, "zpool_obj_size()");
	return filter->lower.driver->obj_size(filter->lower.pool, zp_filter_veil(filter, handle));
}

int64_t zp_filter_read(void *filter_, unsigned long handle, void *buf, size_t len, size_t offset)
{
	struct zp_filter *filter = filter_;
	const char *from;

	if (filter->lower.driver->read)
		return filter->lower.driver->read(filter->lower.pool, zp_filter_veil(filter, handle), buf, len, offset);
	/* If the driver below has obj_size, the core has checked the range; otherwise nobody can. */
	if (!filter->lower.driver->obj_size)
		return zp_filter_unsupported(filter, "zpool_obj_read()");
	from = zp_filter_map(filter, handle, ZPOOL_MM_RO);
	if (!from)
		return -errno;
	memcpy(buf, from + offset, len);
	(void)zp_filter_unmap(filter, handle);
	return (int64_t)len;
}

int64_t zp_filter_write(void *filter_, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct zp_filter *filter = filter_;
	char *to;

	if (filter->lower.driver->write)
		return filter->lower.driver->write(filter->lower.pool, zp_filter_veil(filter, handle), buf, len,
						   offset);
	if (!filter->lower.driver->obj_size)
		return zp_filter_unsupported(filter, "zpool_obj_write()");
	to = zp_filter_map(filter, handle, ZPOOL_MM_RW);
	if (!to)
		return -errno;
	memcpy(to + offset, buf, len);
	(void)zp_filter_unmap(filter, handle);
	return (int64_t)len;
}

struct visit {
	const struct zp_filter *filter;
	int (*fn)(unsigned long handle, size_t size, void *user);
	void *user;
};

static int visit_object(unsigned long below, size_t size, void *user)
{
	const struct visit *visit = user;

	return visit->fn(zp_filter_veil(visit->filter, below), size, visit->user);
}

int zp_filter_each_object(void *filter_, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct zp_filter *filter = filter_;
	struct visit visit = { filter, fn, user };

	if (!filter->lower.driver->each_object)
		return zp_filter_unsupported(filter, "zpool_each_object()");
	return filter->lower.driver->each_object(filter->lower.pool, visit_object, &visit);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool
 */

uint64_t zp_filter_total_size(void *filter_)
{
	struct zp_filter *filter = filter_;

	return filter->lower.driver->total_size(filter->lower.pool);
}

int zp_filter_shrink(void *filter_, unsigned int pages, unsigned int *reclaimed)
{
	struct zp_filter *filter = filter_;

	*reclaimed = 0;
	if (!filter->lower.driver->shrink)
		return zp_filter_unsupported(filter, "zpool_shrink()");
	return filter->lower.driver->shrink(filter->lower.pool, pages, reclaimed);
}

int zp_filter_compact(void *filter_, const struct zpool_budget *budget, uint64_t *released)
{
	struct zp_filter *filter = filter_;

	*released = 0;
	if (!filter->lower.driver->compact)
		return zp_filter_unsupported(filter, "zpool_compact()");
	return filter->lower.driver->compact(filter->lower.pool, budget, released);
}

int zp_filter_stats(void *filter_, struct zpool_stats *stats, size_t stats_size)
{
	struct zp_filter *filter = filter_;

	if (!filter->lower.driver->stats)
		return zp_filter_unsupported(filter, "zpool_get_stats()");
	return filter->lower.driver->stats(filter->lower.pool, stats, stats_size);
}

int zp_filter_each_class(void *filter_, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			 void *user)
{
	struct zp_filter *filter = filter_;

	if (!filter->lower.driver->each_class)
		return zp_filter_unsupported(filter, "zpool_each_class()");
	return filter->lower.driver->each_class(filter->lower.pool, fn, user);
}

int zp_filter_trim(void *filter_, uint64_t *released)
{
	struct zp_filter *filter = filter_;

	*released = 0;
	if (!filter->lower.driver->trim)
		return zp_filter_unsupported(filter, "zpool_trim()");
	return filter->lower.driver->trim(filter->lower.pool, released);
}

int zp_filter_limit(struct zp_filter *filter, uint64_t limit_bytes, uint64_t own_bytes)
{
	uint64_t left = limit_bytes > own_bytes ? limit_bytes - own_bytes : 1;

	if (!filter->lower.driver->set_limit)
		return 0;
	return filter->lower.driver->set_limit(filter->lower.pool, limit_bytes ? left : 0);
}

int zp_filter_set_limit(void *filter, uint64_t limit_bytes)
{
	return zp_filter_limit(filter, limit_bytes, 0);
}

void zp_filter_fork(void *filter, enum zpool_fork_phase phase)
{
	(void)filter;
	(void)phase;
}
