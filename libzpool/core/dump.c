/* SPDX-License-Identifier: MIT
 *
 * dump.c - the statistics of every pool of the process, as text or JSON
 *
 * The walk pins one pool at a time, formats its statistics into a buffer and unpins it. Only then is the buffer written
 * to the descriptor, because that write may block forever and a destroy must never wait for the reader of a pipe. The
 * output for one pool has a bounded size: a spec has at most 4096 bytes and 16 parts, and names and lists of size
 * classes are truncated.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "core/pool.h"
#include "core/pools.h"
#include "support/cancel.h"

enum {
	BUFFER_BYTES = 256 << 10,
	POOL_BYTES = 160 << 10, /* free space that is required before a pool is formatted */
	NAME_BYTES = 1024,      /* of a pool's name, escaped */
	SPEC_BYTES = 24 << 10,  /* more than the longest spec, escaped */
	CLASSES_MAX = 256
};

struct dump {
	int fd;
	bool json;
	bool first;
	struct zpool_class_stats classes[CLASSES_MAX];
	size_t class_count;
	bool classes_overflow;
	char text[SPEC_BYTES];
	size_t used;
	char buffer[BUFFER_BYTES];
};

__attribute__((format(printf, 2, 3))) static void put(struct dump *dump, const char *format, ...)
{
	size_t room = sizeof(dump->buffer) - dump->used;
	va_list args;

	va_start(args, format);
	int length = vsnprintf(dump->buffer + dump->used, room, format, args);
	va_end(args);
	if (length > 0)
		dump->used += (size_t)length < room ? (size_t)length : room - 1;
}

/* Writes the text escaped and in quotes, truncated to `most` bytes including its NUL. */
static void put_string(struct dump *dump, const char *text, size_t most)
{
	zpool_escape(dump->text, most, text);
	put(dump, "\"");
	for (const char *c = dump->text; *c; c++)
		put(dump, dump->json && (*c == '"' || *c == '\\') ? "\\%c" : "%c", *c);
	put(dump, "\"");
}

static int flush(struct dump *dump)
{
	const char *from = dump->buffer;

	while (dump->used) {
		ssize_t done = write(dump->fd, from, dump->used);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			int err = done < 0 ? errno : EIO;
			return zp_fail(err, "zpool_dump(): writing to file descriptor %d failed: %s.", dump->fd,
				       strerror(err));
		}
		from += done;
		dump->used -= (size_t)done;
	}
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * One pinned pool
 */

static int take_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	struct dump *dump = user;

	if (dump->class_count == CLASSES_MAX) {
		dump->classes_overflow = true;
		return 1;
	}
	struct zpool_class_stats *class = &dump->classes[dump->class_count++];
	*class = (struct zpool_class_stats){ 0 };
	memcpy(class, stats, stats_size < sizeof(*class) ? stats_size : sizeof(*class));
	return 0;
}

/* Returns false if the driver has no size classes, or more than are shown. */
static bool take_classes(struct dump *dump, struct zpool *pool)
{
	const struct zpool_driver *driver = zp_pool_top(pool)->driver;

	dump->class_count = 0;
	dump->classes_overflow = false;
	if (!driver->each_class || driver->each_class(pool->driver_pool, take_class, dump) < 0)
		return false;
	return !dump->classes_overflow;
}

static uint64_t value_of(const struct zpool_stats *stats, const struct zpool_stats_member *member)
{
	uint64_t value;
	memcpy(&value, (const char *)stats + member->offset, sizeof(value));
	return value;
}

static void put_layer_json(struct dump *dump, const struct zp_layer *layer)
{
	const struct zpool_stats_member *member;
	struct zpool_stats stats;

	put(dump, "%s{\"type\":\"%s\",\"statistics\":", layer->index ? "," : "", layer->driver->type);
	if (layer->pool->inherited || zp_layer_stats(layer, &stats) != 0) {
		put(dump, "null}");
		return;
	}
	for (unsigned int i = 0; (member = zpool_stats_member(i)) != NULL; i++)
		put(dump, "%s\"%s\":%" PRIu64, i ? "," : "{", member->name, value_of(&stats, member));
	put(dump, "}}");
}

static void put_classes_json(struct dump *dump)
{
	put(dump, "[");
	for (size_t i = 0; i < dump->class_count; i++) {
		const struct zpool_class_stats *class = &dump->classes[i];
		put(dump,
		    "%s{\"object_bytes\":%" PRIu64 ",\"objects\":%" PRIu64 ",\"slots\":%" PRIu64 ",\"zspages\":%" PRIu64
		    ",\"pages_per_zspage\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"freeable_pages\":%" PRIu64 "}",
		    i ? "," : "", class->object_bytes, class->objects, class->slots, class->zspages,
		    class->pages_per_zspage, class->pages, class->freeable_pages);
	}
	put(dump, "]");
}

static void put_pool_json(struct dump *dump, struct zpool *pool)
{
	uint64_t limit = atomic_load(&pool->core_limit_bytes);

	put(dump, "%s{\"name\":", dump->first ? "" : ",");
	put_string(dump, pool->name, NAME_BYTES);
	put(dump, ",\"spec\":");
	put_string(dump, pool->spec.text, sizeof(dump->text));
	put(dump, ",\"inherited\":%s,\"pool_bytes\":", pool->inherited ? "true" : "false");
	if (pool->inherited)
		put(dump, "null");
	else
		put(dump, "%" PRIu64, zp_pool_top(pool)->driver->total_size(pool->driver_pool));
	put(dump, ",\"limit_bytes\":");
	put(dump, limit ? "%" PRIu64 : "null", limit);
	put(dump, ",\"layers\":[");
	for (unsigned int i = 0; i < pool->layer_count; i++)
		put_layer_json(dump, &pool->layers[i]);
	put(dump, "],\"classes\":");
	if (!pool->inherited && take_classes(dump, pool))
		put_classes_json(dump);
	else
		put(dump, "null");
	put(dump, "}");
}

static void put_layer_text(struct dump *dump, const struct zp_layer *layer)
{
	const struct zpool_stats_member *member;
	struct zpool_stats stats;

	if (zp_layer_stats(layer, &stats) != 0) {
		put(dump, "  %s: no statistics\n", layer->driver->type);
		return;
	}
	put(dump, "  %s:\n", layer->driver->type);
	for (unsigned int i = 0; (member = zpool_stats_member(i)) != NULL; i++)
		put(dump, "    %-28s %20" PRIu64 "%s\n", member->label, value_of(&stats, member),
		    member->unit == ZPOOL_UNIT_BYTES ? " B" : "");
}

static void put_pool_text(struct dump *dump, struct zpool *pool)
{
	uint64_t limit = atomic_load(&pool->core_limit_bytes);

	put(dump, "\npool ");
	put_string(dump, pool->name, NAME_BYTES);
	put(dump, ": ");
	put_string(dump, pool->spec.text, sizeof(dump->text));
	if (pool->inherited) {
		put(dump, "\n  belongs to the parent process; its driver does not support fork()\n");
		return;
	}
	put(dump, "\n  %-30s %20" PRIu64 " B\n", "held", zp_pool_top(pool)->driver->total_size(pool->driver_pool));
	if (limit)
		put(dump, "  %-30s %20" PRIu64 " B\n", "limit", limit);
	else
		put(dump, "  %-30s %20s\n", "limit", "none");
	for (unsigned int i = 0; i < pool->layer_count; i++)
		put_layer_text(dump, &pool->layers[i]);
	if (!take_classes(dump, pool) || !dump->class_count)
		return;
	put(dump, "  size classes:\n    %12s %12s %12s %12s %12s\n", "size", "objects", "slots", "pages", "freeable");
	for (size_t i = 0; i < dump->class_count; i++)
		put(dump, "    %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n",
		    dump->classes[i].object_bytes, dump->classes[i].objects, dump->classes[i].slots,
		    dump->classes[i].pages, dump->classes[i].freeable_pages);
}

/* ------------------------------------------------------------------------------------------------------------------
 * All pools
 */

static int dump_all(struct dump *dump)
{
	const uint64_t last = zp_pools_last();
	struct zpool *pool;
	int err = 0;

	if (dump->json)
		put(dump, "{\"version\":\"%s\",\"pid\":%ld,\"pools\":[", ZPOOL_VERSION, (long)getpid());
	else
		put(dump, "libzpool %s, process %ld\n", ZPOOL_VERSION, (long)getpid());
	for (uint64_t number = 0; !err && (pool = zp_pools_get_after(number, last)) != NULL;) {
		number = pool->number;
		if (dump->json)
			put_pool_json(dump, pool);
		else
			put_pool_text(dump, pool);
		zp_pools_put(pool);
		dump->first = false;
		if (sizeof(dump->buffer) - dump->used < POOL_BYTES)
			err = flush(dump);
	}
	if (dump->json)
		put(dump, "]}\n");
	return err ? err : flush(dump);
}

int zpool_dump(int fd, unsigned int format)
{
	ZP_CANCEL_DISABLED_HERE;
	struct zp_error error;

	if (format != ZPOOL_DUMP_TEXT && format != ZPOOL_DUMP_JSON)
		return zp_fail(EINVAL, "zpool_dump() was given the unknown format %u.", format);
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY)
		return zp_fail(EBADF, "zpool_dump(): file descriptor %d is not open for writing.", fd);
	struct dump *dump = malloc(sizeof(*dump));
	if (!dump)
		return zp_fail(ENOMEM, "Out of memory for a dump of all pools.");
	dump->fd = fd;
	dump->json = format == ZPOOL_DUMP_JSON;
	dump->first = true;
	dump->used = 0;
	/* A driver without statistics may have set a message, but this call has not failed. */
	zp_error_set_aside(&error);
	int err = dump_all(dump);
	if (err)
		zp_error_discard(&error);
	else
		zp_error_put_back(&error);
	free(dump);
	return err;
}
