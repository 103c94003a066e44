/* SPDX-License-Identifier: MIT
 *
 * trace-records.c - check every record of a trace before any of them is used
 *
 * A file may be crafted to mislead the program, so every number is checked against its possible range before it is
 * used.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace-file.h"

/* ------------------------------------------------------------------------------------------------------------------
 * One record: these functions return NULL, or a description of the fault
 */

static const unsigned int operands_of[] = {
	[TRACE_MALLOC] = 2,  [TRACE_FREE] = 0,   [TRACE_MAP] = 1,       [TRACE_UNMAP] = 0, [TRACE_READ] = 2,
	[TRACE_WRITE] = 2,   [TRACE_SHRINK] = 1, [TRACE_SHRUNK] = 1,    [TRACE_EVICT] = 0, [TRACE_EVICTED] = 0,
	[TRACE_COMPACT] = 3, [TRACE_TRIM] = 1,   [TRACE_SET_LIMIT] = 1,
};

static bool has_object(enum trace_op op)
{
	return op == TRACE_FREE || op == TRACE_MAP || op == TRACE_UNMAP || op == TRACE_READ || op == TRACE_WRITE ||
	       op == TRACE_EVICT || op == TRACE_EVICTED;
}

static bool take_number(struct trace_cursor *cursor, uint64_t max, uint64_t *number)
{
	const uint8_t *next = trace_get_varint(cursor->at, cursor->end, number);

	if (!next || *number > max)
		return false;
	cursor->at = next;
	return true;
}

/* Time, thread and error, which every record has. */
static const char *take_common(struct trace_cursor *cursor, uint8_t flags, struct trace_record *record)
{
	uint64_t number;

	if (flags & TRACE_FLAGS_UNKNOWN)
		return "has unknown flags";
	if (!take_number(cursor, UINT64_MAX - cursor->ns, &number))
		return "has no valid time";
	record->ns = cursor->ns += number;
	if (flags & TRACE_THREAD) {
		if (!take_number(cursor, TRACE_THREADS_MAX, &number))
			return "has no valid thread";
		cursor->thread = (uint32_t)number;
	}
	record->thread = cursor->thread;
	if (!(flags & TRACE_FAILED))
		return NULL;
	if (!take_number(cursor, TRACE_EOTHER, &number) || !number)
		return "has no valid reason for its failure";
	record->error = (enum trace_error)number;
	return NULL;
}

static const char *take_record(struct trace_cursor *cursor, struct trace_record *record)
{
	const char *fault;
	uint64_t back;
	uint8_t flags;

	*record = (struct trace_record){ .error = 0 };
	if (cursor->at == cursor->end)
		return "extends past the end of its block";
	flags = *cursor->at++;
	record->op = (enum trace_op)(flags & TRACE_OP_MASK);
	if (record->op < TRACE_MALLOC || record->op > TRACE_SET_LIMIT)
		return "is of an unknown kind";
	fault = take_common(cursor, flags, record);
	if (fault)
		return fault;
	if (has_object(record->op)) {
		if (!take_number(cursor, cursor->objects, &back))
			return "names an object that was never allocated";
		record->known = back != 0;
		record->object = cursor->objects - back;
	}
	for (unsigned int i = 0; i < operands_of[record->op]; i++)
		if (!take_number(cursor, UINT64_MAX, &record->operands[i]))
			return "ends inside a number";
	if (record->op == TRACE_MALLOC && !record->error)
		record->object = cursor->objects++;
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The walk
 */

static void enter_block(struct trace_cursor *cursor)
{
	const uint8_t *head = cursor->next_block;

	cursor->at = head + TRACE_BLOCK_BYTES;
	cursor->end = cursor->next_block = cursor->at + trace_get(head + 4, 4);
	cursor->records = (uint32_t)trace_get(head + 8, 4);
}

void trace_begin(const struct trace_file *file, struct trace_cursor *cursor)
{
	*cursor = (struct trace_cursor){ .next_block = file->bytes + TRACE_HEADER_BYTES + strlen(file->spec),
					 .blocks_end = file->bytes + file->blocks_end,
					 .thread = 1 };
}

bool trace_next(struct trace_cursor *cursor, struct trace_record *record)
{
	while (!cursor->records) {
		if (cursor->next_block == cursor->blocks_end)
			return false;
		enter_block(cursor);
	}
	cursor->records--;
	return !take_record(cursor, record);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What the records add up to
 */

struct scan {
	struct trace_totals totals;
	uint32_t *sizes; /* of each object; 0: freed */
	size_t room;
};

static const char *note_object(struct scan *scan, uint64_t size, uint64_t call)
{
	struct trace_totals *totals = &scan->totals;

	if (totals->objects == scan->room) {
		size_t room = scan->room ? 2 * scan->room : 1024;
		uint32_t *sizes = reallocarray(scan->sizes, room, sizeof(*sizes));

		if (!sizes)
			return "allocates an object for which there is no memory";
		scan->sizes = sizes;
		scan->room = room;
	}
	scan->sizes[totals->objects++] = (uint32_t)size;
	totals->bytes += size;
	totals->bytes_live += size;
	if (++totals->objects_live > totals->objects_peak)
		totals->objects_peak = totals->objects_live;
	if (totals->bytes_live > totals->bytes_peak) {
		totals->bytes_peak = totals->bytes_live;
		totals->peak_call = call;
	}
	return NULL;
}

static const char *note_free(struct scan *scan, const struct trace_record *record)
{
	struct trace_totals *totals = &scan->totals;

	if (record->error || !record->known)
		return NULL;
	if (!scan->sizes[record->object])
		return "frees an object that is already free";
	totals->bytes_live -= scan->sizes[record->object];
	totals->objects_live--;
	scan->sizes[record->object] = 0;
	return NULL;
}

static const char *note_copy(struct scan *scan, const struct trace_record *record)
{
	uint64_t length = record->operands[0], offset = record->operands[1];

	if (length > TRACE_OBJECT_BYTES_MAX || offset > TRACE_OBJECT_BYTES_MAX)
		return "copies more than an object can hold";
	scan->totals.partial_writes +=
		record->op == TRACE_WRITE && record->known && (offset || length < scan->sizes[record->object]);
	return NULL;
}

static const char *note_malloc(struct scan *scan, const struct trace_record *record, uint64_t call)
{
	uint64_t size = record->operands[0];

	if (!size || size > TRACE_OBJECT_BYTES_MAX)
		return "allocates an object of an impossible size";
	if (record->operands[1] > UINT32_MAX)
		return "has impossible flags";
	if (size > scan->totals.largest)
		scan->totals.largest = size;
	return record->error ? NULL : note_object(scan, size, call);
}

/* Returns NULL, or a description of the fault. */
static const char *note_operation(struct scan *scan, const struct trace_record *record, uint64_t call)
{
	switch (record->op) {
	case TRACE_MALLOC:
		return note_malloc(scan, record, call);
	case TRACE_FREE:
		return note_free(scan, record);
	case TRACE_READ:
	case TRACE_WRITE:
		return note_copy(scan, record);
	case TRACE_MAP:
		return record->operands[0] <= 2 ? NULL : "maps in an unknown mode";
	case TRACE_SHRINK:
	case TRACE_SHRUNK:
		return record->operands[0] <= UINT32_MAX ? NULL : "has an impossible number of pages";
	default:
		return NULL;
	}
}

static const char *note_record(struct scan *scan, const struct trace_record *record)
{
	struct trace_totals *totals = &scan->totals;
	const char *fault = note_operation(scan, record, totals->calls);

	if (fault)
		return fault;
	totals->calls++;
	totals->ns = record->ns;
	if (record->thread > totals->threads)
		totals->threads = record->thread;
	/* The evict callback's refusal comes from the pool's owner, so it is not a failure of the pool. */
	if (record->error && record->op != TRACE_EVICTED)
		totals->failed[record->error]++;
	totals->shrinks += record->op == TRACE_SHRINK;
	return NULL;
}

static int check_block(struct trace_file *file, struct scan *scan, struct trace_cursor *cursor, char text[TRACE_TEXT])
{
	struct trace_record record;
	const char *fault = NULL;
	const uint8_t *at;

	for (enter_block(cursor); cursor->records; cursor->records--) {
		at = cursor->at;
		fault = take_record(cursor, &record);
		if (!fault)
			fault = note_record(scan, &record);
		if (fault)
			return TRACE_REFUSE(text, "damaged: at byte %zu, call %" PRIu64 " %s",
					    (size_t)(at - file->bytes), scan->totals.calls, fault);
	}
	if (cursor->at != cursor->end)
		return TRACE_REFUSE(text, "damaged: at byte %zu, a block has data after its last call",
				    (size_t)(cursor->at - file->bytes));
	return 0;
}

/*
 * No checksum covers the records of this block, so the first invalid record marks the place where the file was cut off.
 */
static void cut_block(struct trace_file *file, struct scan *scan, struct trace_cursor *cursor, size_t partial)
{
	uint8_t *head = file->bytes + partial;
	uint64_t records = trace_get(head + 8, 4), taken = 0;
	struct trace_record record;
	const uint8_t *end = head + TRACE_BLOCK_BYTES;

	cursor->at = end;
	cursor->end = file->bytes + file->size;
	while (taken < records && !take_record(cursor, &record) && !note_record(scan, &record)) {
		end = cursor->at;
		taken++;
	}
	trace_put(head + 4, (uint64_t)(end - head) - TRACE_BLOCK_BYTES, 4);
	trace_put(head + 8, taken, 4);
	file->blocks_end = (size_t)(end - file->bytes);
}

int trace_records_check(struct trace_file *file, size_t partial, char text[TRACE_TEXT])
{
	struct scan scan = { .room = 0 };
	struct trace_cursor cursor;
	int error = 0;

	trace_begin(file, &cursor);
	while (!error && cursor.next_block != cursor.blocks_end)
		error = check_block(file, &scan, &cursor, text);
	if (!error && partial)
		cut_block(file, &scan, &cursor, partial);
	free(scan.sizes);
	if (error)
		return error;
	if (!file->cut_off && scan.totals.calls != file->totals.calls)
		return TRACE_REFUSE(text, "damaged: at byte %zu, its end says %" PRIu64 " calls, and it has %" PRIu64,
				    file->blocks_end, file->totals.calls, scan.totals.calls);
	scan.totals.lost = file->totals.lost;
	scan.totals.held_peak = file->totals.held_peak;
	scan.totals.held_live = file->totals.held_live;
	file->totals = scan.totals;
	return 0;
}
