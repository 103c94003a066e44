/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "message.h"
#include "units.h"

int units_init(struct units *units, uint32_t unit_bytes, struct compressor *compressor)
{
	int error;

	*units = (struct units){ .unit_bytes = unit_bytes, .compressor = compressor };
	error = spool_open(&units->originals);
	if (!error)
		error = spool_open(&units->packed);
	units->scratch = malloc(unit_bytes);
	if (!units->scratch)
		out_of_memory();
	return error;
}

void units_fini(struct units *units)
{
	spool_close(&units->originals);
	spool_close(&units->packed);
	free(units->at);
	free(units->scratch);
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

/* A unit is same-filled if it equals itself shifted by one word. */
static bool is_same_filled(const unsigned char *data, size_t bytes)
{
	return bytes > sizeof(uint64_t) && !memcmp(data, data + sizeof(uint64_t), bytes - sizeof(uint64_t));
}

static int add_one(struct units *units, const unsigned char *data, uint32_t bytes)
{
	struct unit *unit = new_unit(units);
	int error = spool_append(&units->originals, data, bytes);
	uint64_t start;
	size_t size;

	if (error)
		return error;
	*unit = (struct unit){ .bytes = bytes };
	if (is_same_filled(data, bytes)) {
		memcpy(&unit->stored, data, sizeof(unit->stored));
		units->same_filled++;
		return 0;
	}
	unit->stored = units->packed.bytes;
	start = clock_ns();
	size = bytes > 1 ? compressor_pack(units->compressor, data, bytes, units->scratch, bytes - 1) : 0;
	units->compress_ns += clock_ns() - start;
	unit->stored_bytes = size ? (uint32_t)size : bytes;
	if (!size)
		units->raw++;
	return spool_append(&units->packed, size ? units->scratch : data, unit->stored_bytes);
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
	int error = spool_flush(&units->originals);

	return error ? error : spool_flush(&units->packed);
}

void unit_fill(const struct unit *unit, void *data)
{
	unsigned char *to = data;
	uint32_t at;

	for (at = 0; at + sizeof(unit->stored) <= unit->bytes; at += (uint32_t)sizeof(unit->stored))
		memcpy(to + at, &unit->stored, sizeof(unit->stored));
	memcpy(to + at, &unit->stored, unit->bytes - at);
}

bool units_next_batch(const struct units *units, struct units_batch *batch)
{
	const struct unit *unit;

	batch->first += batch->count;
	batch->originals += batch->original_bytes;
	batch->packed += batch->packed_bytes;
	batch->count = 0;
	batch->original_bytes = 0;
	batch->packed_bytes = 0;
	while (batch->first + batch->count < units->count) {
		unit = &units->at[batch->first + batch->count];
		if (batch->original_bytes + unit->bytes > UNITS_BATCH_BYTES)
			break;
		batch->original_bytes += unit->bytes;
		batch->packed_bytes += unit->stored_bytes;
		batch->count++;
	}
	return batch->count;
}
