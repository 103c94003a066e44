/* SPDX-License-Identifier: MIT
 *
 * forge.c - write a trace that no program recorded:  forge SPEC [LIMIT] <CALLS >TRACE
 *
 * Each line of standard input is a call: its name, followed by the numbers of its record (trace_format.h), for example
 * "malloc 100 0", "write 1 50 0" or "free 1". "times N" before a call repeats it. "failed N" is the reason for which it
 * failed. "bytes XX..." writes these bytes instead of a call, "block" ends a block, "end" ends a block and marks it as
 * the end, and "no-end" leaves out the end. "lost N" is the number of calls that the end reports as missing, and "extra
 * N" by how many its number of calls is wrong. Each "~" in SPEC becomes a NUL. The checksums are correct.
 */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../libzpool/support/trace_format.h"

static const char *const names[] = {
	[TRACE_MALLOC] = "malloc",       [TRACE_FREE] = "free",       [TRACE_MAP] = "map",
	[TRACE_UNMAP] = "unmap",         [TRACE_READ] = "read",       [TRACE_WRITE] = "write",
	[TRACE_SHRINK] = "shrink",       [TRACE_SHRUNK] = "shrunk",   [TRACE_EVICT] = "evict",
	[TRACE_EVICTED] = "evicted",     [TRACE_COMPACT] = "compact", [TRACE_TRIM] = "trim",
	[TRACE_SET_LIMIT] = "set_limit",
};

static uint8_t payload[TRACE_PAYLOAD_BYTES_MAX];
static size_t payload_bytes;
static uint32_t records;
static uint64_t calls, lost, extra;
static bool no_end;

static void put_block(const char *kind)
{
	uint8_t head[TRACE_BLOCK_BYTES];

	for (unsigned int i = 0; i < 4; i++)
		head[i] = (uint8_t)kind[i];
	trace_put(head + 4, payload_bytes, 4);
	trace_put(head + 8, records, 4);
	trace_put(head + 12, trace_check(trace_check(TRACE_CHECK_BEGIN, head, 12), payload, payload_bytes), 4);
	fwrite(head, 1, sizeof(head), stdout);
	fwrite(payload, 1, payload_bytes, stdout);
	payload_bytes = 0;
	records = 0;
}

static void put_header(char *spec, uint64_t limit_bytes)
{
	uint8_t header[TRACE_HEADER_BYTES] = { 0 };
	size_t spec_bytes = strlen(spec);
	uint32_t check;

	for (char *mark; (mark = memchr(spec, '~', spec_bytes));)
		*mark = '\0';
	for (unsigned int i = 0; i < 8; i++)
		header[i] = (uint8_t)TRACE_MAGIC[i];
	trace_put(header + 8, TRACE_VERSION, 4);
	trace_put(header + 12, spec_bytes, 4);
	trace_put(header + 24, limit_bytes, 8);
	check = trace_check(TRACE_CHECK_BEGIN, header, 32);
	trace_put(header + 32, trace_check(check, (const uint8_t *)spec, spec_bytes), 4);
	fwrite(header, 1, sizeof(header), stdout);
	fwrite(spec, 1, spec_bytes, stdout);
}

/* Returns the number of bytes of a call's record after its name; 0 if there is no such call. */
static size_t encode(char *words, uint64_t reason, uint8_t *to)
{
	char *rest, *name = strtok_r(words, " \n", &rest), *word;
	uint8_t *at = to;

	if (name && !strcmp(name, "bytes")) {
		while ((word = strtok_r(NULL, " \n", &rest)))
			*at++ = (uint8_t)strtoul(word, NULL, 16);
		return (size_t)(at - to);
	}
	for (size_t op = TRACE_MALLOC; name && op < sizeof(names) / sizeof(names[0]); op++) {
		if (strcmp(name, names[op]) != 0)
			continue;
		*at++ = (uint8_t)(op | (reason ? TRACE_FAILED : 0u));
		at = trace_put_varint(at, 1);
		if (reason)
			at = trace_put_varint(at, reason);
		while ((word = strtok_r(NULL, " \n", &rest)))
			at = trace_put_varint(at, strtoull(word, NULL, 10));
		return (size_t)(at - to);
	}
	return 0;
}

static bool put_call(char *line, uint64_t times, uint64_t reason)
{
	uint8_t record[256];
	size_t bytes = encode(line, reason, record);

	for (; bytes && times; times--) {
		if (payload_bytes + bytes > 60000)
			put_block(TRACE_BLOCK_DATA);
		memcpy(payload + payload_bytes, record, bytes);
		payload_bytes += bytes;
		records++;
		calls++;
	}
	return bytes != 0;
}

static bool obey(char *line)
{
	uint64_t times = 1, reason = 0;
	char *end;

	if (!strcmp(line, "block\n")) {
		put_block(TRACE_BLOCK_DATA);
		return true;
	}
	if (!strcmp(line, "end\n")) {
		put_block(TRACE_BLOCK_END);
		return true;
	}
	if (!strcmp(line, "no-end\n"))
		return no_end = true;
	if (!strncmp(line, "lost ", 5)) {
		lost = strtoull(line + 5, NULL, 10);
		return true;
	}
	if (!strncmp(line, "extra ", 6)) {
		extra = strtoull(line + 6, NULL, 10);
		return true;
	}
	if (!strncmp(line, "times ", 6)) {
		times = strtoull(line + 6, &end, 10);
		line = end + 1;
	}
	if (!strncmp(line, "failed ", 7)) {
		reason = strtoull(line + 7, &end, 10);
		line = end + 1;
	}
	return put_call(line, times, reason);
}

int main(int argc, char **argv)
{
	char line[512];

	if (argc < 2)
		return 2;
	put_header(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 0);
	while (fgets(line, sizeof(line), stdin))
		if (!obey(line)) {
			fprintf(stderr, "forge: there is no such call: %s\n", line);
			return 2;
		}
	if (records)
		put_block(TRACE_BLOCK_DATA);
	if (!no_end) {
		payload_bytes = TRACE_END_BYTES;
		trace_put(payload, calls + extra, 8);
		trace_put(payload + 8, lost, 8);
		memset(payload + 16, 0, TRACE_END_BYTES - 16);
		put_block(TRACE_BLOCK_END);
	}
	return fflush(stdout) ? 1 : 0;
}
