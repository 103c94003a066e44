/* SPDX-License-Identifier: MIT
 *
 * trace - a filter that records every call
 *
 * It is a layer above another driver, as in trace:file=/tmp/run+zsmalloc.  It forwards every call with the same
 * handles, and adds a record of the call to the block that its writer is filling; a full block is written to the file
 * (trace_format.h).  The pool's size, limit and results are those of the driver below.  `zpoolctl replay' makes the
 * same calls on other drivers.
 *
 * Handles mean nothing to a reader, and differ between drivers, so a record names an object by the number of the malloc
 * that stored it.  A hash table (trace_objects.c) has the number of each live handle.  The memory of the table and of
 * the block is not counted in total_size, so that the limit takes effect where it would without the filter.
 *
 * One lock guards the table and the writer.  It is held during free, map and unmap, so that their records are in the
 * order in which the driver saw the calls.  It is not held during malloc, which may call evict, when no lock may be
 * held; a malloc's record precedes that of any call with its handle.  With ZPOOL_GFP_NOWAIT the lock is only tried, and
 * held during the driver's malloc, which then evicts nothing; if the block or the table is full, or the lock is held by
 * another thread, -EAGAIN is returned.  A call that cannot be recorded, because memory is short or the file cannot be
 * written, is still forwarded.  When the pool is destroyed, the number of such calls is logged; those for lack of
 * memory are also counted in the file.
 *
 * A forked child's pool works without being recorded, because the file belongs to the parent.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "create.h"
#include "trace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The locking order. */
enum trace_rank { TRACE_RANK_POOL = ZP_RANK_DRIVER };

struct trace_pool {
	struct zpool_lower lower;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	char *path;
	_Atomic(uint64_t) limit_bytes;  /* limit of a driver below that does not enforce it itself; 0: none */
	_Atomic(uint64_t) failed_limit; /* mallocs that this limit refused */
	_Atomic(uint64_t) failed_again; /* mallocs that could not be recorded without waiting */

	struct zp_lock lock; /* guards the following members */
	struct trace_objects objects;
	uint64_t next_number;
	unsigned int storing; /* mallocs that may have made an object, and have not recorded it yet */
	bool reported;        /* the message that the file cannot be written was logged */
	struct trace_writer writer;
};

enum { TRACE_FILE, TRACE_OVERWRITE, TRACE_BUFFER };

static const struct zpool_param trace_params[] = {
	[TRACE_FILE] = { .key = "file",
			 .help = "the file to write the trace to (required)",
			 .min = 1,
			 .max = 4000,
			 .type = ZPOOL_PARAM_STRING },
	[TRACE_OVERWRITE] = { .key = "overwrite",
			      .help = "overwrite an existing file",
			      .default_value = "no",
			      .type = ZPOOL_PARAM_BOOL },
	[TRACE_BUFFER] = { .key = "buffer",
			   .help = "size of the buffer for records before they are written",
			   .default_value = "64K",
			   .min = 4096,
			   .max = TRACE_PAYLOAD_BYTES_MAX,
			   .type = ZPOOL_PARAM_SIZE },
};

/* ------------------------------------------------------------------------------------------------------------------
 * Records
 */

/* Adds the record of a call that may wait.  The lock is held. */
static void trace_add(struct trace_pool *trace, enum trace_op op, int err, const uint64_t *operands, unsigned int count)
{
	if (!trace_writer_has_room(&trace->writer))
		trace_writer_flush(&trace->writer);
	trace_writer_add(&trace->writer, op, err, operands, count);
	(void)trace_writer_flush(&trace->writer);
}

/* The log handler belongs to the program and may call into this pool, so it runs without the lock. */
static void trace_unlock(struct trace_pool *trace)
{
	int err = trace->reported ? 0 : trace->writer.error;

	trace->reported |= err != 0;
	zp_unlock(&trace->lock);
	if (err)
		trace->host->log(trace->core, ZPOOL_LOG_ERROR, "The trace ends here because %s cannot be written: %s.",
				 trace->path, trace_file_reason(err));
}

static void trace_record(struct trace_pool *trace, enum trace_op op, int err, const uint64_t *operands,
			 unsigned int count)
{
	zp_lock(&trace->lock);
	trace_add(trace, op, err, operands, count);
	trace_unlock(trace);
}

/* Returns how far back the object was stored.  The lock is held. */
static uint64_t trace_back(const struct trace_pool *trace, unsigned long handle)
{
	const struct trace_slot *object = trace_objects_find(&trace->objects, handle);

	return object ? trace->next_number - object->number : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The pool
 */

static int trace_evict(void *context, unsigned long handle)
{
	struct trace_pool *trace = context;
	uint64_t number, operand;
	int err;

	zp_lock(&trace->lock);
	operand = trace_back(trace, handle);
	/* The malloc's record would follow that of the eviction, and the object would stay in the table for ever. */
	if (!operand && trace->storing) {
		trace_unlock(trace);
		return -EBUSY;
	}
	number = trace->next_number - operand;
	trace_add(trace, TRACE_EVICT, 0, &operand, 1);
	trace_unlock(trace);
	err = trace->evict(trace->evict_context, handle);
	zp_lock(&trace->lock);
	if (operand)
		operand = trace->next_number - number;
	trace_add(trace, TRACE_EVICTED, err, &operand, 1);
	trace_unlock(trace);
	return err;
}

/* The file is opened last, so that it is not overwritten if the driver below cannot create its pool. */
static int trace_open(struct trace_pool *trace, const struct zpool_create_args *args)
{
	const struct zpool_value *file = zp_create_value(args, TRACE_FILE);
	bool overwrite = zp_create_value(args, TRACE_OVERWRITE)->number;
	int err;

	trace->path = strdup(file->text);
	err = trace->path ? trace_objects_init(&trace->objects) : -ENOMEM;
	if (err)
		return err;
	err = trace_writer_init(&trace->writer, trace->path, overwrite,
				(size_t)zp_create_value(args, TRACE_BUFFER)->number, args->lower_spec,
				args->limit_bytes);
	if (err == -EEXIST)
		args->host->error(args->core,
				  "The trace file %s already exists. Choose another name, or add overwrite=yes.",
				  trace->path);
	else if (err)
		args->host->error(args->core, "The trace file %s cannot be written: %s.", trace->path,
				  trace_file_reason(-err));
	return err;
}

static int trace_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct trace_pool *trace;
	int err;

	if (!zp_create_value(args, TRACE_FILE)->given) {
		args->host->error(args->core,
				  "The filter trace needs the name of a file to write to: trace:file=/path+%s.",
				  args->lower_spec);
		return -EINVAL;
	}
	trace = calloc(1, sizeof(*trace));
	if (!trace)
		return -ENOMEM;
	trace->host = args->host;
	trace->core = args->core;
	trace->evict = args->evict;
	trace->evict_context = args->evict_context;
	zp_lock_init(&trace->lock);
	zp_lock_rank(&trace->lock, TRACE_RANK_POOL, 0, trace);
	err = args->host->lower_create(args->core, args->evict ? trace_evict : NULL, trace, &trace->lower,
				       sizeof(trace->lower));
	if (!err) {
		err = trace_open(trace, args);
		if (err)
			args->host->lower_destroy(args->core, &trace->lower);
	}
	if (err) {
		trace_objects_fini(&trace->objects);
		free(trace->path);
		free(trace);
		return err;
	}
	trace->limit_bytes = trace->lower.driver->set_limit ? 0 : args->limit_bytes;
	out->pool = trace;
	out->caps = (out->caps & ZPOOL_CAP_FILTER) | (trace->lower.caps & ~ZPOOL_CAP_FILTER) | ZPOOL_CAP_OBJ_SIZE;
	if (trace->lower.max_object_bytes < out->max_object_bytes)
		out->max_object_bytes = trace->lower.max_object_bytes;
	out->alignment_bytes = trace->lower.alignment_bytes;
	return 0;
}

static uint64_t trace_total_size(void *pool)
{
	struct trace_pool *trace = pool;

	return trace->lower.driver->total_size(trace->lower.pool);
}

/* True if the pool's owner destroys a pool that was in use.  An older core does not report that. */
static bool trace_was_opened(const struct trace_pool *trace)
{
	const struct zpool_host *host = trace->host;

	return host->struct_size < offsetof(struct zpool_host, opened) + sizeof(host->opened) || !host->opened ||
	       host->opened(trace->core);
}

static void trace_finish_file(struct trace_pool *trace)
{
	bool recording = trace->writer.fd >= 0;

	trace_writer_fini(&trace->writer, trace_total_size(trace));
	if (trace->writer.error && recording)
		trace->host->log(trace->core, ZPOOL_LOG_ERROR, "The end of the trace %s cannot be written: %s.",
				 trace->path, trace_file_reason(trace->writer.error));
	if (trace->writer.lost && !trace->writer.abandoned)
		trace->host->log(trace->core, ZPOOL_LOG_ERROR, "%llu call%s missing from the trace %s.",
				 (unsigned long long)trace->writer.lost, trace->writer.lost == 1 ? " is" : "s are",
				 trace->path);
}

static void trace_destroy(void *pool)
{
	struct trace_pool *trace = pool;

	if (trace_was_opened(trace))
		trace_finish_file(trace);
	else
		trace_writer_discard(&trace->writer);
	trace->host->lower_destroy(trace->core, &trace->lower);
	trace_objects_fini(&trace->objects);
	free(trace->path);
	free(trace);
}

static int trace_set_limit(void *pool, uint64_t limit_bytes)
{
	struct trace_pool *trace = pool;

	int err = 0;

	/* If the driver below has no set_limit, this filter enforces the limit. */
	if (trace->lower.driver->set_limit)
		err = trace->lower.driver->set_limit(trace->lower.pool, limit_bytes);
	else
		trace->limit_bytes = limit_bytes;
	trace_record(trace, TRACE_SET_LIMIT, err, &limit_bytes, 1);
	return err;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Objects
 */

static int trace_lower_malloc(struct trace_pool *trace, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	const struct zpool_driver *driver = trace->lower.driver;
	bool trimmed = (gfp & ZPOOL_GFP_NOWAIT) || !(trace->lower.caps & ZPOOL_CAP_TRIM);

	for (;;) {
		uint64_t limit = trace->limit_bytes, released = 0;
		uint64_t before = limit ? driver->total_size(trace->lower.pool) : 0;
		int err = driver->malloc(trace->lower.pool, size, gfp, handle);

		/* A limit that was set below the size only stops growth. */
		if (err || !limit || driver->total_size(trace->lower.pool) <= (before > limit ? before : limit))
			return err;
		(void)driver->free(trace->lower.pool, *handle);
		/* The driver below is trimmed once before the limit refuses the malloc. */
		if (trimmed || driver->trim(trace->lower.pool, &released) || !released) {
			trace->failed_limit++;
			return -ENOMEM;
		}
		trimmed = true;
	}
}

/* Records a malloc, unless the table is full.  The lock is held, and the block has space for the record. */
static void trace_add_malloc(struct trace_pool *trace, const struct trace_slot *object, int err, zpool_gfp_t gfp,
			     uint64_t held_bytes)
{
	const uint64_t operands[] = { object->size, gfp };
	bool wait = !(gfp & ZPOOL_GFP_NOWAIT);
	struct trace_slot added = *object;

	added.number = trace->next_number;
	if (!err && !trace_objects_add(&trace->objects, &added, wait)) {
		trace->writer.lost += wait;
		return;
	}
	if (wait)
		trace_add(trace, TRACE_MALLOC, err, operands, 2);
	else
		trace_writer_add(&trace->writer, TRACE_MALLOC, err, operands, 2);
	trace->next_number += !err;
	if (!err && held_bytes > trace->writer.held_peak)
		trace->writer.held_peak = held_bytes;
}

/*
 * A malloc that may not wait.  Undoing it might have to wait, so lock, table and block are checked first.  The lock is
 * held during such a malloc, which is allowed because it does not evict.
 */
static int trace_malloc_nowait(struct trace_pool *trace, struct trace_slot *object, zpool_gfp_t gfp)
{
	int err = -EAGAIN;

	if (!zp_trylock(&trace->lock)) {
		trace->failed_again++;
		return -EAGAIN;
	}
	if (trace_writer_has_room(&trace->writer) && trace_objects_has_room(&trace->objects)) {
		err = trace_lower_malloc(trace, object->size, gfp, &object->handle);
		trace_add_malloc(trace, object, err, gfp, err ? 0 : trace_total_size(trace));
	} else {
		trace->failed_again++;
	}
	trace_unlock(trace);
	return err;
}

static int trace_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct trace_pool *trace = pool;
	struct trace_slot object = { .size = (uint32_t)size };
	uint64_t held_bytes;
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT) {
		err = trace_malloc_nowait(trace, &object, gfp);
	} else {
		zp_lock(&trace->lock);
		trace->storing++;
		trace_unlock(trace);
		err = trace_lower_malloc(trace, size, gfp, &object.handle);
		held_bytes = err ? 0 : trace_total_size(trace);
		zp_lock(&trace->lock);
		trace->storing -= trace->storing > 0;
		trace_add_malloc(trace, &object, err, gfp, held_bytes);
		trace_unlock(trace);
	}
	if (!err)
		*handle = object.handle;
	return err;
}

static int trace_free(void *pool, unsigned long handle)
{
	struct trace_pool *trace = pool;
	uint64_t operand;
	int err;

	zp_lock(&trace->lock);
	operand = trace_back(trace, handle);
	err = trace->lower.driver->free(trace->lower.pool, handle);
	if (!err)
		trace_objects_remove(&trace->objects, handle);
	trace_add(trace, TRACE_FREE, err, &operand, 1);
	trace_unlock(trace);
	return err;
}

static void *trace_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	struct trace_pool *trace = pool;
	uint64_t operands[2] = { 0, mode };
	void *address;
	int err;

	if (!trace->lower.driver->map) {
		errno = EOPNOTSUPP;
		return NULL;
	}
	zp_lock(&trace->lock);
	address = trace->lower.driver->map(trace->lower.pool, handle, mode);
	err = address ? 0 : -errno;
	operands[0] = trace_back(trace, handle);
	trace_add(trace, TRACE_MAP, err, operands, 2);
	trace_unlock(trace);
	errno = -err;
	return address;
}

static int trace_unmap(void *pool, unsigned long handle)
{
	struct trace_pool *trace = pool;
	uint64_t operand;
	int err;

	if (!trace->lower.driver->unmap)
		return -EOPNOTSUPP;
	zp_lock(&trace->lock);
	operand = trace_back(trace, handle);
	err = trace->lower.driver->unmap(trace->lower.pool, handle);
	trace_add(trace, TRACE_UNMAP, err, &operand, 1);
	trace_unlock(trace);
	return err;
}

static int64_t trace_obj_size(void *pool, unsigned long handle)
{
	struct trace_pool *trace = pool;
	const struct trace_slot *object;
	int64_t size;

	if (trace->lower.driver->obj_size)
		return trace->lower.driver->obj_size(trace->lower.pool, handle);
	zp_lock(&trace->lock);
	object = trace_objects_find(&trace->objects, handle);
	size = object ? (int64_t)object->size : -EINVAL;
	trace_unlock(trace);
	return size;
}

static void trace_record_copy(struct trace_pool *trace, enum trace_op op, unsigned long handle, size_t len,
			      size_t offset, int64_t done)
{
	uint64_t operands[] = { 0, len, offset };

	zp_lock(&trace->lock);
	operands[0] = trace_back(trace, handle);
	trace_add(trace, op, done < 0 ? (int)done : 0, operands, 3);
	trace_unlock(trace);
}

/* If the driver below cannot copy, the core has checked the range, because trace_obj_size() returns the size. */
static int64_t trace_copy(struct trace_pool *trace, unsigned long handle, void *to, const void *from, size_t len,
			  size_t offset)
{
	const struct zpool_driver *driver = trace->lower.driver;
	char *object = driver->map(trace->lower.pool, handle, to ? ZPOOL_MM_RO : ZPOOL_MM_RW);

	if (!object)
		return -errno;
	if (to)
		memcpy(to, object + offset, len);
	else
		memcpy(object + offset, from, len);
	(void)driver->unmap(trace->lower.pool, handle);
	return (int64_t)len;
}

static int64_t trace_read(void *pool, unsigned long handle, void *buf, size_t len, size_t offset)
{
	struct trace_pool *trace = pool;
	const struct zpool_driver *driver = trace->lower.driver;
	int64_t done = driver->read ? driver->read(trace->lower.pool, handle, buf, len, offset)
				    : trace_copy(trace, handle, buf, NULL, len, offset);

	trace_record_copy(trace, TRACE_READ, handle, len, offset, done);
	return done;
}

static int64_t trace_write(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	struct trace_pool *trace = pool;
	const struct zpool_driver *driver = trace->lower.driver;
	int64_t done = driver->write ? driver->write(trace->lower.pool, handle, buf, len, offset)
				     : trace_copy(trace, handle, NULL, buf, len, offset);

	trace_record_copy(trace, TRACE_WRITE, handle, len, offset, done);
	return done;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The rest goes through
 */

static int trace_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	struct trace_pool *trace = pool;
	uint64_t operand = pages;
	int err;

	*reclaimed = 0;
	if (!trace->lower.driver->shrink)
		return -EOPNOTSUPP;
	trace_record(trace, TRACE_SHRINK, 0, &operand, 1);
	err = trace->lower.driver->shrink(trace->lower.pool, pages, reclaimed);
	operand = *reclaimed;
	trace_record(trace, TRACE_SHRUNK, err, &operand, 1);
	return err;
}

static int trace_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	struct trace_pool *trace = pool;
	int err;

	if (!trace->lower.driver->compact)
		return -EOPNOTSUPP;
	err = trace->lower.driver->compact(trace->lower.pool, budget, released);
	trace_record(trace, TRACE_COMPACT, err < 0 ? err : 0, (uint64_t[]){ budget->bytes, budget->ns, *released }, 3);
	return err;
}

static int trace_trim(void *pool, uint64_t *released)
{
	struct trace_pool *trace = pool;
	int err;

	if (!trace->lower.driver->trim)
		return -EOPNOTSUPP;
	err = trace->lower.driver->trim(trace->lower.pool, released);
	trace_record(trace, TRACE_TRIM, err, released, 1);
	return err;
}

static int trace_stats(void *pool, struct zpool_stats *stats, size_t stats_size)
{
	struct trace_pool *trace = pool;
	int err;

	if (!trace->lower.driver->stats)
		return -EOPNOTSUPP;
	err = trace->lower.driver->stats(trace->lower.pool, stats, stats_size);
	if (!err && stats_size >= offsetof(struct zpool_stats, malloc_failed_limit) + sizeof(uint64_t))
		stats->malloc_failed_limit += trace->failed_limit;
	if (!err && stats_size >= offsetof(struct zpool_stats, malloc_failed_again) + sizeof(uint64_t))
		stats->malloc_failed_again += trace->failed_again;
	return err;
}

/* Used by walks, for which the core sets no message if they fail. */
static int trace_unsupported(struct trace_pool *trace)
{
	trace->host->error(trace->core, "Driver \"%s\" does not support this call.", trace->lower.driver->type);
	return -EOPNOTSUPP;
}

static int trace_each_class(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			    void *user)
{
	struct trace_pool *trace = pool;

	return trace->lower.driver->each_class ? trace->lower.driver->each_class(trace->lower.pool, fn, user)
					       : trace_unsupported(trace);
}

static int trace_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	struct trace_pool *trace = pool;

	return trace->lower.driver->each_object ? trace->lower.driver->each_object(trace->lower.pool, fn, user)
						: trace_unsupported(trace);
}

/* The core calls the driver below directly, as it does for verify. */
static void trace_fork(void *pool, enum zpool_fork_phase phase)
{
	struct trace_pool *trace = pool;

	if (phase == ZPOOL_FORK_PREPARE) {
		zp_lock(&trace->lock);
		return;
	}
	if (phase == ZPOOL_FORK_CHILD) {
		trace_writer_abandon(&trace->writer);
		trace->storing = 0;
	}
	zp_unlock(&trace->lock);
}

ZPOOL_DRIVER_DEFINE(trace, ZPOOL_VERSION, "filter: records every call in a file, for zpoolctl replay",
		    .flags_required = ZPOOL_DRIVER_FILTER,
		    .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_MOVABLE | ZPOOL_DRIVER_NOWAIT,
		    .max_object_bytes = TRACE_OBJECT_BYTES_MAX, .alignment_bytes = 8, .params = trace_params,
		    .param_count = sizeof(trace_params) / sizeof(trace_params[0]), .create = trace_create,
		    .destroy = trace_destroy, .malloc = trace_malloc, .free = trace_free,
		    .total_size = trace_total_size, .map = trace_map, .unmap = trace_unmap, .read = trace_read,
		    .write = trace_write, .shrink = trace_shrink, .compact = trace_compact, .obj_size = trace_obj_size,
		    .stats = trace_stats, .each_class = trace_each_class, .each_object = trace_each_object,
		    .set_limit = trace_set_limit, .trim = trace_trim, .fork = trace_fork)
