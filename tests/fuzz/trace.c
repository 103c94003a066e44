/* SPDX-License-Identifier: MIT
 *
 * Fuzzes trace_file_check() with any bytes. The result must be either a reason why they are not a trace, or a trace
 * that can be walked and whose totals are correct.
 */
#include "config.h"

#include "fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "../../tools/trace-file.h"

static void check_walk(const struct trace_file *file)
{
	struct trace_cursor cursor;
	struct trace_record record;
	uint64_t calls = 0, ns = 0;

	trace_begin(file, &cursor);
	for (; trace_next(&cursor, &record); calls++) {
		fuzz_assert(record.op >= TRACE_MALLOC && record.op <= TRACE_SET_LIMIT);
		fuzz_assert(record.ns >= ns && record.thread <= TRACE_THREADS_MAX && record.error <= TRACE_EOTHER);
		fuzz_assert(!record.known || record.object < cursor.objects);
		if (record.op == TRACE_MALLOC)
			fuzz_assert(record.operands[0] > 0 && record.operands[0] <= file->totals.largest);
		ns = record.ns;
	}
	fuzz_assert(calls == file->totals.calls && cursor.objects == file->totals.objects);
	fuzz_assert(file->totals.objects_live <= file->totals.objects_peak);
	fuzz_assert(file->totals.bytes_live <= file->totals.bytes_peak);
	fuzz_assert(file->totals.largest <= TRACE_OBJECT_BYTES_MAX);
	fuzz_assert(!calls || file->totals.peak_call < calls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace_file file = { .size = size, .bytes = malloc(size ? size : 1) };
	char text[TRACE_TEXT] = "";
	int err;

	if (!file.bytes)
		return EXIT_FAILURE;
	memcpy(file.bytes, data, size);
	err = trace_file_check(&file, text);
	fuzz_assert((err != 0) == (text[0] != '\0'));
	if (!err)
		check_walk(&file);
	trace_file_free(&file);
	return EXIT_SUCCESS;
}

#ifndef FUZZ_WITHOUT_MAIN

static const char spec[] = "zsmalloc:chain=8";

static uint8_t *put_block(uint8_t *to, const char *kind, const uint8_t *payload, size_t bytes, uint32_t records)
{
	uint32_t check;

	memcpy(to, kind, 4);
	trace_put(to + 4, bytes, 4);
	trace_put(to + 8, records, 4);
	memcpy(to + TRACE_BLOCK_BYTES, payload, bytes);
	check = trace_check(trace_check(TRACE_CHECK_BEGIN, to, 12), payload, bytes);
	trace_put(to + 12, check, 4);
	return to + TRACE_BLOCK_BYTES + bytes;
}

static uint64_t any_number(void)
{
	return fuzz_below(8) ? fuzz_below(300) : fuzz_random() >> fuzz_below(64);
}

/* Writes a record that is nearly always valid as long as there are few objects. */
static uint8_t *put_record(uint8_t *to, uint64_t *objects)
{
	static const uint8_t operands[] = { 0, 2, 1, 2, 1, 3, 3, 1, 1, 1, 1, 3, 1, 1 };
	uint8_t op = (uint8_t)(1 + fuzz_below(13));
	bool malloc_op = op == TRACE_MALLOC;
	uint8_t flags = fuzz_below(4) ? 0 : (uint8_t)(fuzz_below(4) << 4);

	*to++ = op | flags;
	to = trace_put_varint(to, fuzz_below(100000));
	if (flags & TRACE_THREAD)
		to = trace_put_varint(to, fuzz_below(TRACE_THREADS_MAX + 1));
	if (flags & TRACE_FAILED)
		to = trace_put_varint(to, 1 + fuzz_below(TRACE_EOTHER));
	for (int i = 0; i < operands[op]; i++) {
		uint64_t number = i ? fuzz_below(3) : malloc_op ? 1 + fuzz_below(4000) : fuzz_below(*objects + 1);

		to = trace_put_varint(to, fuzz_below(400) ? number : any_number());
	}
	*objects += malloc_op && !(flags & TRACE_FAILED);
	return to;
}

/* Makes a trace with valid blocks and checksums, so that damaged records reach the checks of records. */
static size_t make_trace(uint8_t *buf)
{
	uint8_t payload[8192], end[TRACE_END_BYTES], *to = buf + TRACE_HEADER_BYTES;
	uint64_t objects = 0, calls = 0;
	size_t size;

	memcpy(buf, TRACE_MAGIC, 8);
	trace_put(buf + 8, TRACE_VERSION, 4);
	trace_put(buf + 12, sizeof spec - 1, 4);
	trace_put(buf + 16, fuzz_random(), 8);
	trace_put(buf + 24, fuzz_below(2), 8);
	memcpy(to, spec, sizeof spec - 1);
	trace_put(buf + 32, trace_check(trace_check(TRACE_CHECK_BEGIN, buf, 32), to, sizeof spec - 1), 4);
	to += sizeof spec - 1;
	for (size_t blocks = fuzz_below(4); blocks; blocks--) {
		uint32_t records = (uint32_t)fuzz_below(80);
		uint8_t *at = payload;

		for (uint32_t i = 0; i < records; i++)
			at = put_record(at, &objects);
		if (fuzz_below(20) == 0)
			payload[fuzz_below(64)] ^= (uint8_t)(1 << fuzz_below(8));
		calls += records;
		to = put_block(to, TRACE_BLOCK_DATA, payload, (size_t)(at - payload), records);
	}
	memset(end, 0, sizeof end);
	trace_put(end, fuzz_below(50) ? calls : calls + 1, 8);
	to = put_block(to, TRACE_BLOCK_END, end, sizeof end, 0);
	size = (size_t)(to - buf);
	while (fuzz_below(3) == 0)
		buf[fuzz_below(size)] = (uint8_t)fuzz_random();
	return fuzz_below(4) ? size : fuzz_below(size + 1);
}

int main(int argc, char **argv)
{
	return fuzz_main(argc, argv, make_trace);
}

#endif
