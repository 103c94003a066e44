/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../intake.h"
#include "../message.h"
#include "../timed.h"
#include "../trace-file.h"
#include "../units.h"
#include "job.h"
#include "sizes.h"

bool sizes_add(struct sizes *sizes, uint32_t size)
{
	if (sizes->count == SIZES_MAX)
		return false;
	if (sizes->count == sizes->room) {
		sizes->room = sizes->room ? 2 * sizes->room : 4096;
		sizes->at = reallocarray(sizes->at, sizes->room, sizeof(*sizes->at));
		if (!sizes->at)
			out_of_memory();
	}
	sizes->at[sizes->count++] = size;
	return true;
}

static int too_many(const char *name)
{
	warn("%s: has more than %zu sizes; cut it, for instance with head -n 100000", name, SIZES_MAX);
	return -E2BIG;
}

static int out_of_range(const char *name, const char *where, uint64_t number)
{
	warn("%s: %s%llu: the size of an object must be from 1 to %u bytes", name, where, (unsigned long long)number,
	     (unsigned int)BENCH_OBJECT_BYTES_MAX);
	return -ERANGE;
}

/* ---- A list with one size per line ---- */

struct list {
	const char *name;
	FILE *file;
	size_t bytes;                 /* number of bytes read so far */
	unsigned long long line;      /* number of the current line, from 1 */
	unsigned long long size_line; /* line of the size that was read last */
};

static int malformed(const struct list *list)
{
	warn("%s: line %llu is not a size: a list of sizes has one number per line, as zpoolctl store --sizes writes it",
	     list->name, list->line);
	return -EINVAL;
}

/* Returns 1 after reading a size, 0 at the end, or -errno after a message. */
static int next_size(struct list *list, uint64_t *size)
{
	bool digits = false, ended = false;
	int c;

	*size = 0;
	while ((c = getc_unlocked(list->file)) != EOF && list->bytes++ < SIZES_FILE_BYTES_MAX) {
		if (c == '\n') {
			list->size_line = list->line++;
			if (digits)
				return 1;
			ended = false;
		} else if (c == ' ' || c == '\t' || c == '\r') {
			ended = digits;
		} else if (c < '0' || c > '9' || ended || *size > UINT32_MAX) {
			return malformed(list);
		} else {
			digits = true;
			*size = 10 * *size + (uint64_t)(c - '0');
		}
	}
	if (list->bytes > SIZES_FILE_BYTES_MAX) {
		warn("%s: has more than %zu MiB; a list of sizes has at most %zu lines", list->name,
		     SIZES_FILE_BYTES_MAX >> 20, SIZES_MAX);
		return -EFBIG;
	}
	if (ferror(list->file)) {
		warn("%s: cannot be read: %s", list->name, strerror(errno));
		return -EIO;
	}
	list->size_line = list->line;
	return digits;
}

static int take_list(struct sizes *sizes, struct list *list)
{
	uint64_t size;
	int got;

	while ((got = next_size(list, &size)) == 1) {
		char where[48];

		snprintf(where, sizeof(where), "line %llu is ", list->size_line);
		if (!size || size > BENCH_OBJECT_BYTES_MAX)
			return out_of_range(list->name, where, size);
		if (!sizes_add(sizes, (uint32_t)size))
			return too_many(list->name);
	}
	return got;
}

/* ---- A file that the trace filter recorded: the sizes of its objects ---- */

static int take_trace(struct sizes *sizes, const char *path)
{
	char text[TRACE_TEXT] = "";
	struct trace_cursor cursor;
	struct trace_record record;
	struct trace_file file;
	int error = trace_file_read(&file, path, text);

	if (error) {
		warn("%s: %s", path, text);
		return error;
	}
	trace_begin(&file, &cursor);
	while (!error && trace_next(&cursor, &record)) {
		if (record.op != TRACE_MALLOC || record.error)
			continue;
		if (!record.operands[0] || record.operands[0] > BENCH_OBJECT_BYTES_MAX)
			error = out_of_range(path, "has an object of ", record.operands[0]);
		else if (!sizes_add(sizes, (uint32_t)record.operands[0]))
			error = too_many(path);
	}
	trace_file_free(&file);
	return error;
}

static int take_file(struct sizes *sizes, const char *path)
{
	bool standard_input = !strcmp(path, "-");
	struct list list = { .name = standard_input ? "standard input" : path,
			     .file = standard_input ? stdin : fopen(path, "re"),
			     .line = 1 };
	struct stat status;
	int error, first;

	if (!list.file) {
		error = -errno;
		if (error == -ENOENT && !strchr(path, '/'))
			warn("%s: there is neither a file nor a distribution of this name: the distributions are %s",
			     path, sizes_distributions);
		else
			warn("%s: %s", path, strerror(-error));
		return error;
	}
	first = getc(list.file);
	ungetc(first, list.file);
	if (first == TRACE_MAGIC[0] && !fstat(fileno(list.file), &status) && S_ISREG(status.st_mode))
		error = take_trace(sizes, standard_input ? "/dev/stdin" : path);
	else
		error = take_list(sizes, &list);
	if (!error && !sizes->count) {
		warn("%s: is empty: it holds no size", list.name);
		error = -ENODATA;
	}
	if (!standard_input)
		fclose(list.file);
	snprintf(sizes->text, sizeof(sizes->text), "%s", list.name);
	return error;
}

/* ---- A process: the compressed sizes of its pages ---- */

static int take_process(struct sizes *sizes, pid_t pid)
{
	struct intake intake = { 0 };
	struct units units;
	int error;

	/* This cannot fail, because every libzpool-store has lz4. */
	(void)timed_choose("lz4");
	error = units_init(&units, UNIT_BYTES_DEFAULT);
	if (!error)
		error = intake_process(&units, pid, &intake);
	for (size_t i = 0; i < units.count && !error; i++)
		if (!unit_is_same_filled(&units.at[i]) && !sizes_add(sizes, units.at[i].stored_bytes)) {
			warn("process %d has more than %zu pages; only the first ones are used", (int)pid, SIZES_MAX);
			break;
		}
	if (!error && !sizes->count) {
		warn("process %d has no page that would be stored", (int)pid);
		error = -ENODATA;
	}
	units_fini(&units);
	snprintf(sizes->text, sizeof(sizes->text), "pages of process %d, compressed with lz4", (int)pid);
	return error;
}

int sizes_take(struct sizes *sizes, const struct size_source *source)
{
	int error;

	*sizes = (struct sizes){ .count = 0 };
	if (source->name) {
		error = sizes_distribution(sizes, source->name);
		if (error == 1)
			error = take_file(sizes, source->name);
	} else {
		error = take_process(sizes, source->pid);
	}
	return error;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

void sizes_spread(struct sizes *sizes, size_t count, uint64_t seed)
{
	uint32_t *at = calloc(count, sizeof(*at));

	if (!at)
		out_of_memory();
	for (size_t i = 0; i < count; i++) {
		size_t other = (size_t)((next_random(&seed) >> 32) * (i + 1) >> 32);

		at[i] = at[other];
		/*
		 * Takes sizes at regular distances, so that every part of the source is represented. Both factors are
		 * at most SIZES_MAX, so the product does not overflow.
		 */
		at[other] = sizes->at[i * sizes->count / count];
		sizes->sum += at[other];
		sizes->most = at[other] > sizes->most ? at[other] : sizes->most;
	}
	free(sizes->at);
	sizes->at = at;
	sizes->count = count;
}

void sizes_free(struct sizes *sizes)
{
	free(sizes->at);
}
