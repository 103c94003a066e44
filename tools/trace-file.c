/* SPDX-License-Identifier: MIT
 *
 * trace-file.c - read and check a whole trace file before anything is done with it
 *
 * The header and the blocks are checked while they are read. A file that is not a trace, such as a device that never
 * ends, is therefore rejected at the first wrong byte. Afterwards trace-records.c checks every record.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace-file.h"

#define READ_BYTES ((size_t)65536)

/* ------------------------------------------------------------------------------------------------------------------
 * Bytes
 */

/* Where the bytes of a file come from. */
struct source {
	struct trace_file *file;
	int fd; /* -1: all of them are in memory */
	size_t room;
	int error; /* errno of the error that ended reading; 0 if there was none */
};

static bool grow(struct source *source, size_t bytes)
{
	size_t room = 2 * source->room > bytes ? 2 * source->room : bytes;
	uint8_t *larger = realloc(source->file->bytes, room);

	if (!larger) {
		source->error = ENOMEM;
		return false;
	}
	source->file->bytes = larger;
	source->room = room;
	return true;
}

/* Returns true if the file has this many bytes; they are in memory then. */
static bool have(struct source *source, size_t bytes)
{
	struct trace_file *file = source->file;

	while (file->size < bytes && source->fd >= 0 && !source->error) {
		ssize_t got;

		if (source->room < bytes + READ_BYTES && !grow(source, bytes + READ_BYTES))
			break;
		got = read(source->fd, file->bytes + file->size, source->room - file->size);
		if (got < 0 && errno != EINTR)
			source->error = errno;
		if (!got)
			break;
		file->size += got > 0 ? (size_t)got : 0;
	}
	return file->size >= bytes;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Header and blocks
 */

static int check_header(struct source *source, char text[TRACE_TEXT])
{
	struct trace_file *file = source->file;
	uint64_t version, spec_bytes;
	uint32_t check;

	if (!have(source, 8) || memcmp(file->bytes, TRACE_MAGIC, 8) != 0)
		return TRACE_REFUSE(text, "not a trace file: it does not begin as one");
	if (!have(source, TRACE_HEADER_BYTES))
		return TRACE_REFUSE(text, "cut off inside its header, after %zu bytes", file->size);
	version = trace_get(file->bytes + 8, 4);
	if (version > TRACE_VERSION)
		return TRACE_REFUSE(text,
				    "written in version %" PRIu64
				    " of the format, but this program only knows versions up to %d",
				    version, TRACE_VERSION);
	spec_bytes = trace_get(file->bytes + 12, 4);
	if (!version)
		return TRACE_REFUSE(text, "damaged: at byte 8, the format version is 0, which does not exist");
	if (spec_bytes > TRACE_SPEC_BYTES_MAX)
		return TRACE_REFUSE(text, "damaged: at byte 12, its spec has %" PRIu64 " bytes, more than %d",
				    spec_bytes, TRACE_SPEC_BYTES_MAX);
	if (!have(source, TRACE_HEADER_BYTES + (size_t)spec_bytes))
		return TRACE_REFUSE(text, "cut off inside its header, after %zu bytes", file->size);
	check = trace_check(TRACE_CHECK_BEGIN, file->bytes, 32);
	check = trace_check(check, file->bytes + TRACE_HEADER_BYTES, spec_bytes);
	if (check != trace_get(file->bytes + 32, 4))
		return TRACE_REFUSE(text, "damaged: at byte 32, the checksum of its header does not match");
	if (memchr(file->bytes + TRACE_HEADER_BYTES, 0, spec_bytes))
		return TRACE_REFUSE(text, "damaged: at byte %d, its spec contains a NUL", TRACE_HEADER_BYTES);
	file->spec = strndup((const char *)file->bytes + TRACE_HEADER_BYTES, spec_bytes);
	if (!file->spec)
		return TRACE_REFUSE(text, "out of memory");
	file->began_ns = trace_get(file->bytes + 16, 8);
	file->limit_bytes = trace_get(file->bytes + 24, 8);
	return 0;
}

static int check_end(struct source *source, size_t at, size_t payload_bytes, char text[TRACE_TEXT])
{
	struct trace_file *file = source->file;
	const size_t end = at + TRACE_BLOCK_BYTES + payload_bytes;
	const uint8_t *payload;

	if (payload_bytes != TRACE_END_BYTES || trace_get(file->bytes + at + 8, 4))
		return TRACE_REFUSE(text, "damaged: at byte %zu, its end record is not valid", at);
	if (have(source, end + 1))
		return TRACE_REFUSE(text, "damaged: at byte %zu, there is data after its end", end);
	payload = file->bytes + at + TRACE_BLOCK_BYTES;
	file->totals.calls = trace_get(payload, 8);
	file->totals.lost = trace_get(payload + 8, 8);
	file->totals.held_peak = trace_get(payload + 16, 8);
	file->totals.held_live = trace_get(payload + 24, 8);
	return 0;
}

/* *partial is the offset of a block that was cut off, or 0 if there is none. */
static int check_blocks(struct source *source, size_t *partial, char text[TRACE_TEXT])
{
	struct trace_file *file = source->file;
	size_t at = TRACE_HEADER_BYTES + strlen(file->spec);
	uint64_t bytes;
	bool end;

	for (;; at += TRACE_BLOCK_BYTES + (size_t)bytes) {
		file->blocks_end = at;
		file->cut_off = !have(source, at + TRACE_BLOCK_BYTES);
		if (file->cut_off)
			return 0;
		bytes = trace_get(file->bytes + at + 4, 4);
		end = !memcmp(file->bytes + at, TRACE_BLOCK_END, 4);
		if (!end && memcmp(file->bytes + at, TRACE_BLOCK_DATA, 4) != 0)
			return TRACE_REFUSE(text, "damaged: at byte %zu, there is no valid block", at);
		if (bytes > TRACE_PAYLOAD_BYTES_MAX)
			return TRACE_REFUSE(text,
					    "damaged: at byte %zu, a block of %" PRIu64 " bytes begins, more than %d",
					    at, bytes, TRACE_PAYLOAD_BYTES_MAX);
		file->cut_off = !have(source, at + TRACE_BLOCK_BYTES + (size_t)bytes);
		*partial = file->cut_off && !end ? at : 0;
		if (file->cut_off)
			return 0;
		if (trace_check(trace_check(TRACE_CHECK_BEGIN, file->bytes + at, 12),
				file->bytes + at + TRACE_BLOCK_BYTES,
				(size_t)bytes) != trace_get(file->bytes + at + 12, 4))
			return TRACE_REFUSE(text, "damaged: the checksum of the block at byte %zu does not match", at);
		if (end)
			return check_end(source, at, (size_t)bytes, text);
	}
}

static int check(struct source *source, char text[TRACE_TEXT])
{
	size_t partial = 0;
	int error = check_header(source, text);

	if (!error)
		error = check_blocks(source, &partial, text);
	if (source->error) {
		snprintf(text, TRACE_TEXT, "%s", strerror(source->error));
		return -source->error;
	}
	return error ? error : trace_records_check(source->file, partial, text);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The file
 */

int trace_file_check(struct trace_file *file, char text[TRACE_TEXT])
{
	struct source source = { .file = file, .fd = -1 };

	return check(&source, text);
}

int trace_file_read(struct trace_file *file, const char *path, char text[TRACE_TEXT])
{
	struct source source = { .file = file, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) };
	int error;

	*file = (struct trace_file){ .size = 0 };
	if (source.fd < 0) {
		error = -errno;
		snprintf(text, TRACE_TEXT, "%s", strerror(-error));
		return error;
	}
	error = check(&source, text);
	close(source.fd);
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
