/* SPDX-License-Identifier: MIT
 *
 * trace-file.c - a trace file is read whole and checked whole before anything is done with it
 *
 * First the header and the blocks with their checks, which finds what was cut off, damaged or is something else; then
 * every record.  A file may be made to deceive: no number in it is believed before it was looked at.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace-file.h"

#define REFUSE(text, ...) (snprintf((text), TRACE_TEXT, __VA_ARGS__), -EBADMSG)

/* ------------------------------------------------------------------------------------------------------------------
 * Records
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

static bool take(struct trace_cursor *cursor, uint64_t max, uint64_t *number)
{
	const uint8_t *next = trace_get_varint(cursor->at, cursor->end, number);

	if (!next || *number > max)
		return false;
	cursor->at = next;
	return true;
}

/* Time, thread and error, which every record has. */
static bool take_common(struct trace_cursor *cursor, uint8_t flags, struct trace_record *record)
{
	uint64_t number;

	if (flags & TRACE_FLAGS_UNKNOWN || !take(cursor, UINT64_MAX - cursor->ns, &number))
		return false;
	record->ns = cursor->ns += number;
	if (flags & TRACE_THREAD) {
		if (!take(cursor, TRACE_THREADS_MAX, &number))
			return false;
		cursor->thread = (uint32_t)number;
	}
	record->thread = cursor->thread;
	if (!(flags & TRACE_FAILED))
		return true;
	if (!take(cursor, TRACE_EOTHER, &number) || !number)
		return false;
	record->error = (enum trace_error)number;
	return true;
}

/* false: the bytes are no record. */
static bool take_record(struct trace_cursor *cursor, struct trace_record *record)
{
	uint8_t flags;
	uint64_t back;

	*record = (struct trace_record){ .error = 0 };
	if (cursor->at == cursor->end)
		return false;
	flags = *cursor->at++;
	record->op = (enum trace_op)(flags & TRACE_OP_MASK);
	if (record->op < TRACE_MALLOC || record->op > TRACE_SET_LIMIT || !take_common(cursor, flags, record))
		return false;
	if (has_object(record->op)) {
		if (!take(cursor, cursor->objects, &back))
			return false;
		record->known = back != 0;
		record->object = cursor->objects - back;
	}
	for (unsigned int i = 0; i < operands_of[record->op]; i++)
		if (!take(cursor, UINT64_MAX, &record->operands[i]))
			return false;
	if (record->op == TRACE_MALLOC && !record->error)
		record->object = cursor->objects++;
	return true;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Blocks
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
					 .file_end = file->bytes + file->size,
					 .thread = 1 };
}

bool trace_next(struct trace_cursor *cursor, struct trace_record *record)
{
	while (!cursor->records) {
		if (!memcmp(cursor->next_block, TRACE_BLOCK_END, 4))
			return false;
		enter_block(cursor);
	}
	cursor->records--;
	return take_record(cursor, record);
}

static int check_header(struct trace_file *file, char text[TRACE_TEXT])
{
	const uint8_t *bytes = file->bytes;
	uint64_t version, spec_bytes;
	uint32_t check;

	if (file->size < 8 || memcmp(bytes, TRACE_MAGIC, 8) != 0)
		return REFUSE(text, "not a trace file: it does not begin as one");
	if (file->size < TRACE_HEADER_BYTES)
		return REFUSE(text, "cut off inside its header");
	version = trace_get(bytes + 8, 4);
	if (version > TRACE_VERSION)
		return REFUSE(text, "written in version %" PRIu64 " of the format, and this program knows up to %d",
			      version, TRACE_VERSION);
	spec_bytes = trace_get(bytes + 12, 4);
	if (!version || spec_bytes > TRACE_SPEC_BYTES_MAX)
		return REFUSE(text, "damaged: its header makes no sense");
	if (spec_bytes > file->size - TRACE_HEADER_BYTES)
		return REFUSE(text, "cut off inside its header");
	check = trace_check(trace_check(TRACE_CHECK_BEGIN, bytes, 32), bytes + TRACE_HEADER_BYTES, spec_bytes);
	if (check != trace_get(bytes + 32, 4) || memchr(bytes + TRACE_HEADER_BYTES, 0, spec_bytes))
		return REFUSE(text, "damaged: its header has changed");
	file->spec = strndup((const char *)bytes + TRACE_HEADER_BYTES, spec_bytes);
	if (!file->spec)
		return REFUSE(text, "out of memory");
	file->began_ns = trace_get(bytes + 16, 8);
	file->limit_bytes = trace_get(bytes + 24, 8);
	return 0;
}

static int check_end(struct trace_file *file, size_t at, size_t payload_bytes, char text[TRACE_TEXT])
{
	const uint8_t *payload = file->bytes + at + TRACE_BLOCK_BYTES;

	if (payload_bytes != TRACE_END_BYTES || trace_get(file->bytes + at + 8, 4) ||
	    at + TRACE_BLOCK_BYTES + payload_bytes != file->size)
		return REFUSE(text, "damaged: something follows its end");
	file->totals.calls = trace_get(payload, 8);
	file->totals.lost = trace_get(payload + 8, 8);
	file->totals.held_peak = trace_get(payload + 16, 8);
	file->totals.held_live = trace_get(payload + 24, 8);
	return 0;
}

static int check_blocks(struct trace_file *file, char text[TRACE_TEXT])
{
	static const char cut_off[] = "cut off after %zu bytes: the pool was not destroyed, or the file could not be "
				      "written";
	size_t at = TRACE_HEADER_BYTES + strlen(file->spec);

	for (;;) {
		const uint8_t *head = file->bytes + at;
		uint64_t bytes;
		bool end;

		if (file->size - at < TRACE_BLOCK_BYTES)
			return REFUSE(text, cut_off, file->size);
		bytes = trace_get(head + 4, 4);
		end = !memcmp(head, TRACE_BLOCK_END, 4);
		if ((!end && memcmp(head, TRACE_BLOCK_DATA, 4) != 0) || bytes > TRACE_PAYLOAD_BYTES_MAX)
			return REFUSE(text, "damaged: no block begins at byte %zu", at);
		if (bytes > file->size - at - TRACE_BLOCK_BYTES)
			return REFUSE(text, cut_off, file->size);
		if (trace_check(trace_check(TRACE_CHECK_BEGIN, head, 12), head + TRACE_BLOCK_BYTES, (size_t)bytes) !=
		    trace_get(head + 12, 4))
			return REFUSE(text, "damaged: the block at byte %zu has changed", at);
		if (end)
			return check_end(file, at, (size_t)bytes, text);
		at += TRACE_BLOCK_BYTES + (size_t)bytes;
	}
}

/* ------------------------------------------------------------------------------------------------------------------
 * What the records add up to
 */

struct scan {
	struct trace_totals totals;
	uint32_t *sizes; /* of each object; 0: freed */
	size_t room;
	bool out_of_memory;
};

static bool note_object(struct scan *scan, uint64_t size, uint64_t call)
{
	struct trace_totals *totals = &scan->totals;

	if (totals->objects == scan->room) {
		size_t room = scan->room ? 2 * scan->room : 1024;
		uint32_t *sizes = reallocarray(scan->sizes, room, sizeof(*sizes));

		if (!sizes) {
			scan->out_of_memory = true;
			return false;
		}
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
	return true;
}

static bool within(struct scan *scan, uint64_t bytes)
{
	if (bytes > scan->totals.largest)
		scan->totals.largest = bytes;
	return bytes <= TRACE_OBJECT_BYTES_MAX;
}

/* false: the record makes no sense here, or memory ran out. */
static bool note_record(struct scan *scan, const struct trace_record *record)
{
	struct trace_totals *totals = &scan->totals;
	uint64_t call = totals->calls++;

	totals->ns = record->ns;
	if (record->thread > totals->threads)
		totals->threads = record->thread;
	/* The evict callback's refusal is the owner's, not the pool's. */
	if (record->error && record->op != TRACE_EVICTED)
		totals->failed[record->error]++;
	totals->shrinks += record->op == TRACE_SHRINK;
	switch (record->op) {
	case TRACE_MALLOC:
		if (!record->operands[0] || !within(scan, record->operands[0]) || record->operands[1] > UINT32_MAX)
			return false;
		return record->error || note_object(scan, record->operands[0], call);
	case TRACE_FREE:
		if (record->error || !record->known)
			return true;
		if (!scan->sizes[record->object])
			return false;
		totals->bytes_live -= scan->sizes[record->object];
		totals->objects_live--;
		scan->sizes[record->object] = 0;
		return true;
	case TRACE_READ:
	case TRACE_WRITE:
		return within(scan, record->operands[0]) && record->operands[1] <= TRACE_OBJECT_BYTES_MAX;
	case TRACE_MAP:
		return record->operands[0] <= 2;
	case TRACE_SHRINK:
	case TRACE_SHRUNK:
		return record->operands[0] <= UINT32_MAX;
	default:
		return true;
	}
}

static int check_records(struct trace_file *file, char text[TRACE_TEXT])
{
	struct scan scan = { .room = 0 };
	struct trace_cursor cursor;
	struct trace_record record;
	int error = 0;

	trace_begin(file, &cursor);
	while (!error && memcmp(cursor.next_block, TRACE_BLOCK_END, 4) != 0) {
		enter_block(&cursor);
		for (; !error && cursor.records; cursor.records--)
			if (!take_record(&cursor, &record) || !note_record(&scan, &record))
				error = REFUSE(text, "damaged: call %" PRIu64 " makes no sense", scan.totals.calls);
		if (!error && cursor.at != cursor.end)
			error = REFUSE(text, "damaged: a block has more in it than its calls");
	}
	free(scan.sizes);
	if (scan.out_of_memory)
		return REFUSE(text, "out of memory for %" PRIu64 " objects", scan.totals.objects);
	if (error)
		return error;
	if (scan.totals.calls != file->totals.calls)
		return REFUSE(text, "damaged: it has %" PRIu64 " calls, and says %" PRIu64, scan.totals.calls,
			      file->totals.calls);
	scan.totals.lost = file->totals.lost;
	scan.totals.held_peak = file->totals.held_peak;
	scan.totals.held_live = file->totals.held_live;
	file->totals = scan.totals;
	return 0;
}

int trace_file_check(struct trace_file *file, char text[TRACE_TEXT])
{
	int error = check_header(file, text);

	if (!error)
		error = check_blocks(file, text);
	return error ? error : check_records(file, text);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The file
 */

static int read_all(struct trace_file *file, int fd)
{
	size_t room = 0;
	ssize_t got;

	do {
		if (file->size == room) {
			uint8_t *larger = realloc(file->bytes, room = room ? 2 * room : 65536);

			if (!larger)
				return -ENOMEM;
			file->bytes = larger;
		}
		got = read(fd, file->bytes + file->size, room - file->size);
		if (got < 0 && errno != EINTR)
			return -errno;
		file->size += got > 0 ? (size_t)got : 0;
	} while (got);
	return 0;
}

int trace_file_read(struct trace_file *file, const char *path, char text[TRACE_TEXT])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int error = fd < 0 ? -errno : 0;

	*file = (struct trace_file){ .size = 0 };
	if (!error)
		error = read_all(file, fd);
	if (fd >= 0)
		close(fd);
	if (error)
		snprintf(text, TRACE_TEXT, "%s", strerror(-error));
	else
		error = trace_file_check(file, text);
	if (error)
		trace_file_free(file);
	return error;
}

void trace_file_free(struct trace_file *file)
{
	free(file->bytes);
	free(file->spec);
	*file = (struct trace_file){ .size = 0 };
}
