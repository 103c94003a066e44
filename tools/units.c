/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdlib.h>

#include <zpool-store.h>

#include "message.h"
#include "sink.h"
#include "timed.h"
#include "units.h"

int units_init(struct units *units, uint32_t unit_bytes)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	int error;

	*units = (struct units){ .unit_bytes = unit_bytes, .compress_ns = timed_totals()->compress_ns };
	error = spool_open(&units->originals);
	if (error)
		return error;
	args.pool = sink_spec();
	args.compressor = timed_in_store(unit_bytes);
	args.unit_bytes = unit_bytes;
	if (args.pool)
		units->measured = zpool_store_open(&args, sizeof(args));
	if (units->measured)
		return 0;
	error = errno ? -errno : -EINVAL;
	warn("cannot measure the input: %s", zpool_last_error());
	return error;
}

void units_fini(struct units *units)
{
	spool_close(&units->originals);
	zpool_store_close(units->measured);
	free(units->at);
}

static struct unit *new_unit(struct units *units)
{
	if (units->count == units->room) {
		units->room = units->room ? 2 * units->room : 4096;
		units->at = reallocarray(units->at, units->room, sizeof(*units->at));
		if (!units->at)
			out_of_memory();
	}
	return &units->at[units->count++];
}

static int add_one(struct units *units, const unsigned char *data, uint32_t bytes)
{
	int error = spool_append(&units->originals, data, bytes);

	if (error)
		return error;
	error = zpool_store_put(units->measured, units->count, data, bytes);
	if (error) {
		warn("cannot measure the input: %s", zpool_last_error());
		return error;
	}
	*new_unit(units) = (struct unit){ .bytes = bytes, .stored_bytes = (uint32_t)sink_take_size() };
	return 0;
}

int units_add(struct units *units, const void *data, size_t bytes)
{
	const unsigned char *from = data;
	int error = 0;

	while (bytes && !error) {
		uint32_t part = bytes < units->unit_bytes ? (uint32_t)bytes : units->unit_bytes;

		error = add_one(units, from, part);
		from += part;
		bytes -= part;
	}
	return error;
}

int units_finish(struct units *units)
{
	struct zpool_store_stats stats;

	(void)zpool_store_get_stats(units->measured, &stats, sizeof(stats));
	units->same_filled = stats.same_filled;
	units->raw = stats.incompressible;
	units->stored_bytes = stats.stored_bytes;
	units->compress_ns = timed_totals()->compress_ns - units->compress_ns;
	zpool_store_close(units->measured);
	units->measured = NULL;
	return spool_flush(&units->originals);
}

bool units_next_batch(const struct units *units, struct units_batch *batch)
{
	batch->first += batch->count;
	batch->offset += batch->bytes;
	batch->count = 0;
	batch->bytes = 0;
	while (batch->first + batch->count < units->count) {
		const struct unit *unit = &units->at[batch->first + batch->count];

		if (batch->bytes + unit->bytes > UNITS_BATCH_BYTES)
			break;
		batch->bytes += unit->bytes;
		batch->count++;
	}
	return batch->count;
}
