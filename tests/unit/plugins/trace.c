/* SPDX-License-Identifier: MIT
 *
 * trace.c - the parts of the trace filter: its table of objects, its numbers, and its file
 */
#include <config.h>

#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

enum { MODEL_OBJECTS = 3000, MODEL_STEPS = 60000 };

static char path[PATH_MAX];

static void setup(void)
{
	const char *parent = getenv("TMPDIR");
	int fd;

	unit_require(snprintf(path, sizeof(path), "%s/zpool-trace-unit.XXXXXX", parent && *parent ? parent : "/tmp") <
		     (int)sizeof(path));
	fd = mkstemp(path);
	unit_require(fd >= 0);
	close(fd);
}

static void teardown(void)
{
	unlink(path);
}

static struct trace_writer *writer_open(size_t buffer_bytes)
{
	struct trace_writer *writer = malloc(sizeof(*writer));

	unit_require(writer);
	ck_assert_int_eq(trace_writer_init(writer, path, true, buffer_bytes, "zbud", 0), 0);
	return writer;
}

static size_t read_file(uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "rbe");
	size_t got;

	unit_require(file);
	got = fread(bytes, 1, size, file);
	fclose(file);
	return got;
}

START_TEST(varints_are_decoded_as_they_were_encoded)
{
	static const uint64_t numbers[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX - 1, UINT64_MAX };
	uint8_t bytes[TRACE_VARINT_BYTES_MAX];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		uint8_t *end = trace_put_varint(bytes, numbers[i]);
		uint64_t number = 5;

		ck_assert_int_le(end - bytes, TRACE_VARINT_BYTES_MAX);
		ck_assert_ptr_eq(trace_get_varint(bytes, end, &number), end);
		ck_assert_uint_eq(number, numbers[i]);
		ck_assert_ptr_null(trace_get_varint(bytes, end - 1, &number));
	}
	/* The tenth byte has room for one bit only. */
	memset(bytes, 0xff, sizeof(bytes));
	bytes[9] = 2;
	ck_assert_ptr_null(trace_get_varint(bytes, bytes + sizeof(bytes), &(uint64_t){ 0 }));
}
END_TEST

START_TEST(table_of_objects_behaves_like_a_list)
{
	static struct trace_slot model[MODEL_OBJECTS];
	struct trace_objects objects;
	struct unit_random rng = { (uint64_t)time(NULL) };
	uint64_t number = 0;
	size_t count = 0;

	printf("seed %llu\n", (unsigned long long)rng.state);
	memset(model, 0, sizeof(model));
	ck_assert_int_eq(trace_objects_init(&objects), 0);
	for (int step = 0; step < MODEL_STEPS; step++) {
		unsigned long handle = (unsigned long)unit_random(&rng) % MODEL_OBJECTS + 1;
		struct trace_slot *expected = &model[handle - 1];
		const struct trace_slot *found = trace_objects_find(&objects, handle);

		ck_assert_int_eq(found != NULL, expected->handle != 0);
		if (found)
			ck_assert(found->number == expected->number && found->size == expected->size);
		count -= expected->handle != 0;
		if (unit_random(&rng) % 2) {
			*expected = (struct trace_slot){ handle, (uint32_t)unit_random(&rng), number++ };
			ck_assert(trace_objects_add(&objects, expected, true));
			count++;
		} else {
			trace_objects_remove(&objects, handle);
			expected->handle = 0;
		}
		ck_assert_uint_eq(objects.used, count);
	}
	trace_objects_fini(&objects);
}
END_TEST

START_TEST(table_that_may_not_grow_becomes_full)
{
	struct trace_objects objects;
	struct trace_slot object = { 1, 1, 0 };
	size_t before;

	ck_assert_int_eq(trace_objects_init(&objects), 0);
	before = objects.mask;
	while (trace_objects_add(&objects, &object, false))
		object.handle++;
	ck_assert_uint_eq(objects.mask, before);
	ck_assert_uint_eq(objects.used, before / 8 * 7);
	ck_assert_ptr_null(trace_objects_find(&objects, object.handle));
	ck_assert(trace_objects_add(&objects, &object, true));
	ck_assert_uint_gt(objects.mask, before);
	for (unsigned long handle = 1; handle <= object.handle; handle++)
		ck_assert_ptr_nonnull(trace_objects_find(&objects, handle));
	trace_objects_fini(&objects);
}
END_TEST

START_TEST(trace_file_matches_its_documented_format)
{
	struct trace_writer *writer = writer_open(4096);
	uint8_t bytes[400];
	const uint8_t *at = bytes + TRACE_HEADER_BYTES + 4;
	uint64_t ns;

	trace_writer_add(writer, TRACE_MALLOC, 0, (uint64_t[]){ 300, 1 }, 2);
	trace_writer_add(writer, TRACE_FREE, -EBUSY, (uint64_t[]){ 1 }, 1);
	writer->held_peak = 8192;
	trace_writer_fini(writer, 4096);
	free(writer);
	size_t size = read_file(bytes, sizeof(bytes));
	ck_assert_mem_eq(bytes, "ZPTRACE\n\1\0\0\0\4\0\0\0", 16);
	ck_assert_mem_eq(bytes + TRACE_HEADER_BYTES, "zbud", 4);
	ck_assert_mem_eq(at, "DATA", 4);
	ck_assert_uint_eq(trace_get(at + 8, 4), 2);
	ck_assert_uint_eq(at[16], TRACE_MALLOC);
	const uint8_t *next = trace_get_varint(at + 17, bytes + size, &ns);
	ck_assert_ptr_nonnull(next);
	ck_assert_mem_eq(next, "\xac\2\1", 3);
	ck_assert_uint_eq(next[3], TRACE_FREE | TRACE_FAILED);
	next = trace_get_varint(next + 4, bytes + size, &ns);
	ck_assert_ptr_nonnull(next);
	ck_assert_mem_eq(next, "\5\1", 2);
	at += TRACE_BLOCK_BYTES + trace_get(at + 4, 4);
	ck_assert_ptr_eq(at, next + 2);
	ck_assert_mem_eq(at, "END\n\40\0\0\0\0\0\0\0", 12);
	ck_assert_uint_eq(trace_get(at + 16, 8), 2);
	ck_assert_uint_eq(trace_get(at + 24, 8), 0);
	ck_assert_uint_eq(trace_get(at + 32, 8), 8192);
	ck_assert_uint_eq(trace_get(at + 40, 8), 4096);
	ck_assert_ptr_eq(at + 48, bytes + size);
}
END_TEST

START_TEST(buffered_text_is_written_when_writing_is_enabled)
{
	struct trace_writer *writer = writer_open(4096);
	static uint8_t bytes[10000];
	uint64_t operand = 1;
	size_t header = read_file(bytes, sizeof(bytes));

	ck_assert_uint_eq(header, TRACE_HEADER_BYTES + 4);
	while (trace_writer_has_room(writer))
		trace_writer_add(writer, TRACE_FREE, 0, &operand, 1);
	ck_assert(writer->at <= writer->end);
	ck_assert_uint_eq(read_file(bytes, sizeof(bytes)), header);
	ck_assert_int_eq(trace_writer_flush(writer), 0);
	ck_assert(trace_writer_has_room(writer));
	ck_assert_uint_gt(read_file(bytes, sizeof(bytes)), header + 4096 / 2);
	trace_writer_fini(writer, 0);
	free(writer);
}
END_TEST

START_TEST(after_a_failed_write_calls_are_counted_as_missing)
{
	struct trace_writer *writer = writer_open(4096);
	uint64_t operand = 1, calls = 0;

	close(writer->fd);
	writer->fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (writer->fd >= 0) {
		for (; calls < 5000; calls++) {
			trace_writer_add(writer, TRACE_FREE, 0, &operand, 1);
			(void)trace_writer_flush(writer);
		}
		ck_assert_int_eq(writer->error, ENOSPC);
		ck_assert_uint_eq(writer->lost, calls);
		ck_assert_uint_eq(writer->calls, 0);
	}
	trace_writer_fini(writer, 0);
	free(writer);
}
END_TEST

START_TEST(write_fails_if_nobody_reads)
{
	static const uint8_t bytes[4096];
	int ends[2], err = 0;

	unit_require(pipe(ends) == 0 && fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
	for (int i = 0; !err && i < 10000; i++)
		err = trace_file_write(ends[1], bytes, sizeof(bytes));
	ck_assert_int_eq(err, ETIMEDOUT);
	close(ends[0]);
	ck_assert_int_eq(trace_file_write(ends[1], bytes, sizeof(bytes)), EPIPE);
	close(ends[1]);
}
END_TEST

START_TEST(only_the_file_that_is_open_is_removed)
{
	char aside[PATH_MAX + 8];
	bool made = true;
	int fd = trace_file_open(path, true, &made);

	ck_assert_int_ge(fd, 0);
	ck_assert(!made);
	ck_assert_int_eq(trace_file_open(path, false, &made), -EEXIST);
	(void)snprintf(aside, sizeof(aside), "%s.aside", path);
	unit_require(rename(path, aside) == 0);
	int other = trace_file_open(path, false, &made);
	ck_assert_int_ge(other, 0);
	ck_assert(made);
	trace_file_remove(fd, path);
	ck_assert_int_eq(access(path, F_OK), 0);
	trace_file_remove(other, path);
	ck_assert_int_ne(access(path, F_OK), 0);
	close(fd);
	close(other);
	unlink(aside);
}
END_TEST

START_TEST(reasons_of_files_that_cannot_be_written_are_told_apart)
{
	const int errors[] = { ENXIO, ENODEV, EBUSY, EPIPE, ETIMEDOUT, ENOSPC };
	const size_t count = sizeof(errors) / sizeof(errors[0]);

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(trace_file_reason(errors[i]), trace_file_reason(errors[j]));
	ck_assert_str_eq(trace_file_reason(ENOSPC), strerror(ENOSPC));
	for (size_t i = 0; i + 1 < count; i++)
		ck_assert_str_ne(trace_file_reason(errors[i]), strerror(errors[i]));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace");
	TCase *tcase = tcase_create("parts");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, varints_are_decoded_as_they_were_encoded);
	tcase_add_test(tcase, table_of_objects_behaves_like_a_list);
	tcase_add_test(tcase, table_that_may_not_grow_becomes_full);
	tcase_add_test(tcase, trace_file_matches_its_documented_format);
	tcase_add_test(tcase, buffered_text_is_written_when_writing_is_enabled);
	tcase_add_test(tcase, after_a_failed_write_calls_are_counted_as_missing);
	tcase_add_test(tcase, write_fails_if_nobody_reads);
	tcase_add_test(tcase, only_the_file_that_is_open_is_removed);
	tcase_add_test(tcase, reasons_of_files_that_cannot_be_written_are_told_apart);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
