/* SPDX-License-Identifier: MIT
 *
 * trace.c - trace files, checked as zpoolctl does and then replayed
 *
 * An input that begins with the magic number of traces is a file as it is.  Any other input is a stack and then choices
 * from which a file with valid checks is composed (trace-compose.c), because hardly any change of a file would keep
 * them valid.  The file must either be refused with a reason, or be a trace that can be walked and whose totals are
 * correct.
 */
#include "config.h"

#include "trace-compose.h"
#include "trace-replay.h"

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

static void check_file(const uint8_t *data, size_t size, const struct fuzz_stack *stack)
{
	struct trace_file file = { .size = size, .bytes = malloc(size ? size : 1) };
	char text[TRACE_TEXT] = "";
	int err;

	fuzz_assert(file.bytes);
	memcpy(file.bytes, data, size);
	err = trace_file_check(&file, text);
	fuzz_assert((err != 0) == (text[0] != '\0'));
	if (!err) {
		check_walk(&file);
#ifdef FUZZ_REPLAY
		fuzz_trace_replay(&file, stack);
#endif
	}
	trace_file_free(&file);
}

static bool is_file(const uint8_t *data, size_t size)
{
	return size >= 4 && !memcmp(data, TRACE_MAGIC, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t first_stack[1] = { 0 };
	struct fuzz_input input = { data, data + size };
	static uint8_t buf[FUZZ_MAX_BYTES];
	struct fuzz_stack stack;

	if (is_file(data, size)) {
		input = (struct fuzz_input){ first_stack, first_stack + 1 };
		fuzz_stack_choose(&stack, &input);
		check_file(data, size, &stack);
		return 0;
	}
	fuzz_stack_choose(&stack, &input);
	check_file(buf, fuzz_trace_compose(&input, buf), &stack);
	return 0;
}

/* Half of the inputs are whole files, most of them damaged. */
static size_t make_trace(uint8_t *buf)
{
	uint8_t choices[512];
	struct fuzz_input input = { choices, choices + 1 + fuzz_below(sizeof(choices)) };
	size_t size;

	for (size_t i = 0; i < sizeof(choices); i++)
		choices[i] = (uint8_t)fuzz_random();
	if (fuzz_below(2)) {
		memcpy(buf, choices, (size_t)(input.end - input.at));
		return (size_t)(input.end - input.at);
	}
	size = fuzz_trace_compose(&input, buf);
	while (fuzz_below(3) == 0)
		buf[fuzz_below(size)] = (uint8_t)fuzz_random();
	return fuzz_below(4) ? size : fuzz_below(size + 1);
}

const struct fuzz_target fuzz_target = {
	.name = "trace", .runs = 1000, .start = fuzz_stack_start, .generate = make_trace
};
