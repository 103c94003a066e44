/* SPDX-License-Identifier: MIT
 *
 * Each record takes a byte for the call, whose upper bits choose flags, and a few for its operands.
 */
#include "config.h"

#include "trace-compose.h"

#include "../../tools/trace-file.h"

enum { BLOCK_RECORDS = 80, PAYLOAD_BYTES = 8192, ROOM_BYTES = FUZZ_MAX_BYTES - 4 * PAYLOAD_BYTES };

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

static uint8_t *put_header(uint8_t *to, struct fuzz_input *input)
{
	memcpy(to, TRACE_MAGIC, 8);
	trace_put(to + 8, TRACE_VERSION, 4);
	trace_put(to + 12, sizeof(spec) - 1, 4);
	trace_put(to + 16, 1, 8);
	trace_put(to + 24, (uint64_t)fuzz_byte(input) << 14, 8);
	memcpy(to + TRACE_HEADER_BYTES, spec, sizeof(spec) - 1);
	trace_put(to + 32, trace_check(trace_check(TRACE_CHECK_BEGIN, to, 32), (const uint8_t *)spec, sizeof(spec) - 1),
		  4);
	return to + TRACE_HEADER_BYTES + sizeof(spec) - 1;
}

/* Now and then a number of any size. */
static uint64_t any_number(struct fuzz_input *input)
{
	return fuzz_number(input, 1 + fuzz_choose(input, 8));
}

static uint64_t operand(struct fuzz_input *input, uint8_t op, int index, uint64_t objects)
{
	uint8_t choice = fuzz_byte(input);

	if (choice == 255)
		return any_number(input);
	if (op == TRACE_MALLOC)
		return index ? choice & 0x0f : 1 + (uint64_t)choice * choice;
	if (op == TRACE_COMPACT || op == TRACE_SET_LIMIT)
		return (uint64_t)choice << 12;
	if (op >= TRACE_SHRINK && op != TRACE_EVICT && op != TRACE_EVICTED)
		return choice;
	if (index == 0)
		return choice % (objects + 1);
	return op == TRACE_MAP ? choice % 3 : choice;
}

/* The result is nearly always a valid record. */
static uint8_t *put_record(uint8_t *to, struct fuzz_input *input, uint64_t *objects)
{
	static const uint8_t operands[] = { 0, 2, 1, 2, 1, 3, 3, 1, 1, 1, 1, 3, 1, 1 };
	uint8_t choice = fuzz_byte(input), op = (uint8_t)(1 + (choice & 0x3f) % 13);
	uint8_t flags = choice < 0xc0 ? 0 : (uint8_t)(1 + fuzz_choose(input, 3)) * TRACE_THREAD;

	*to++ = op | flags;
	to = trace_put_varint(to, choice);
	if (flags & TRACE_THREAD)
		to = trace_put_varint(to, fuzz_byte(input));
	if (flags & TRACE_FAILED)
		to = trace_put_varint(to, 1 + fuzz_choose(input, TRACE_EOTHER));
	for (int i = 0; i < operands[op]; i++)
		to = trace_put_varint(to, operand(input, op, i, *objects));
	*objects += op == TRACE_MALLOC && !(flags & TRACE_FAILED);
	return to;
}

size_t fuzz_trace_compose(struct fuzz_input *input, uint8_t *buf)
{
	uint8_t payload[PAYLOAD_BYTES], end[TRACE_END_BYTES] = { 0 }, *to = put_header(buf, input);
	uint8_t options = fuzz_byte(input);
	uint64_t objects = 0, calls = 0;

	while (!fuzz_ended(input) && to < buf + ROOM_BYTES) {
		uint8_t *at = payload;
		uint32_t records = 0;

		for (; records < BLOCK_RECORDS && !fuzz_ended(input); records++)
			at = put_record(at, input, &objects);
		calls += records;
		to = put_block(to, TRACE_BLOCK_DATA, payload, (size_t)(at - payload), records);
	}
	trace_put(end, options == 2 ? calls + 1 : calls, 8);
	if (options != 1)
		to = put_block(to, TRACE_BLOCK_END, end, sizeof(end), 0);
	return (size_t)(to - buf);
}
