/* SPDX-License-Identifier: MIT
 *
 * client.c - sends requests that no usual client sends to nbdkit's plugin, and compares the disk with a model
 *
 *   client model URI SEED      random requests of any offset and length, on one connection
 *   client threads URI SEED    the same on eight connections at once, which share units but no bytes
 *   client extents URI         which extents are holes or zero after which requests
 *   client prefetch URI        a request to cache everything
 *   client thin URI            trim every second unit of 4 KiB
 *   client full URI            fill a limited disk with units of 64 KiB, then trim and zero parts of them
 *
 * The disk must be empty, except for prefetch and thin.  The exit status is 0 if all results are as expected, 1 if not,
 * and 2 after a wrong usage or without a connection.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 8
#define REQUEST_BYTES_MAX 40000
#define REQUESTS 4000
#define THREAD_REQUESTS 1500

/* The connections share the disk in strips, whose length is not a multiple of any unit. */
#define STRIP_BYTES 1777

static const char *uri;
static uint64_t disk_bytes;
static unsigned char *model;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
static void
die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAILED: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(1);
}

static struct nbd_handle *open_connection(void)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) ||
	    nbd_set_strict_mode(nbd, LIBNBD_STRICT_MASK & ~LIBNBD_STRICT_ALIGN) || nbd_connect_uri(nbd, uri)) {
		printf("%s\n", nbd_get_error());
		exit(2);
	}
	return nbd;
}

static void close_connection(struct nbd_handle *nbd)
{
	if (nbd_shutdown(nbd, 0))
		die("shutdown: %s", nbd_get_error());
	nbd_close(nbd);
}

/* This is the xorshift64* generator. */
static uint64_t random_below(uint64_t *state, uint64_t limit)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(2685821657736338717) >> 11) % limit;
}

/* In a third of the cases the bytes are random, in another third they are text, and in the last they are all equal. */
static void fill(uint64_t *state, unsigned char *to, size_t bytes)
{
	uint64_t kind = random_below(state, 3);
	unsigned char byte = (unsigned char)random_below(state, 256);

	for (size_t i = 0; i < bytes; i++) {
		if (kind == 0)
			to[i] = (unsigned char)random_below(state, 256);
		else
			to[i] = kind == 1 ? (unsigned char)('a' + (i * i + byte) % 23) : byte;
	}
}

enum kind { READ, WRITE, ZERO, ZERO_ALLOCATED, TRIM, FLUSH, CACHE, KINDS };

/* Sends one random request in a range, and applies it to the model. */
static void request(struct nbd_handle *nbd, uint64_t *state, uint64_t from, uint64_t bytes_max)
{
	static _Thread_local unsigned char buf[REQUEST_BYTES_MAX];
	enum kind kind = (enum kind)random_below(state, KINDS);
	uint64_t at = random_below(state, bytes_max);
	uint64_t rest = bytes_max - at;
	uint64_t bytes = 1 + random_below(state, rest < sizeof(buf) ? rest : sizeof(buf));
	uint32_t fua = random_below(state, 4) ? 0 : LIBNBD_CMD_FLAG_FUA;
	uint64_t offset = from + at;
	int result = 0;

	switch (kind) {
	case READ:
		result = nbd_pread(nbd, buf, bytes, offset, 0);
		if (!result && memcmp(buf, model + offset, bytes))
			die("%" PRIu64 " bytes at %" PRIu64 " differ from what was written", bytes, offset);
		break;
	case WRITE:
		fill(state, buf, bytes);
		result = nbd_pwrite(nbd, buf, bytes, offset, fua);
		memcpy(model + offset, buf, bytes);
		break;
	case ZERO:
		result = nbd_zero(nbd, bytes, offset, fua | LIBNBD_CMD_FLAG_FAST_ZERO);
		memset(model + offset, 0, bytes);
		break;
	case ZERO_ALLOCATED:
		result = nbd_zero(nbd, bytes, offset, fua | LIBNBD_CMD_FLAG_NO_HOLE);
		memset(model + offset, 0, bytes);
		break;
	case TRIM:
		result = nbd_trim(nbd, bytes, offset, fua);
		memset(model + offset, 0, bytes);
		break;
	case FLUSH:
		result = nbd_flush(nbd, 0);
		break;
	default:
		result = nbd_cache(nbd, bytes, offset, 0);
	}
	if (result)
		die("request %d of %" PRIu64 " bytes at %" PRIu64 ": %s", (int)kind, bytes, offset, nbd_get_error());
}

static void compare_all(struct nbd_handle *nbd)
{
	static unsigned char buf[1 << 20];

	for (uint64_t at = 0; at < disk_bytes; at += sizeof(buf)) {
		size_t bytes = disk_bytes - at < sizeof(buf) ? (size_t)(disk_bytes - at) : sizeof(buf);

		if (nbd_pread(nbd, buf, bytes, at, 0))
			die("reading %zu bytes at %" PRIu64 ": %s", bytes, at, nbd_get_error());
		for (size_t i = 0; i < bytes; i++)
			if (buf[i] != model[at + i])
				die("byte %" PRIu64 " is %d, not %d", at + i, buf[i], model[at + i]);
	}
}

static void run_model(uint64_t seed)
{
	struct nbd_handle *nbd = open_connection();
	uint64_t state = seed;

	for (int i = 0; i < REQUESTS; i++)
		request(nbd, &state, 0, disk_bytes);
	compare_all(nbd);
	close_connection(nbd);
}

struct worker {
	pthread_t thread;
	uint64_t number;
	uint64_t state;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct nbd_handle *nbd = open_connection();
	uint64_t rounds = disk_bytes / (STRIP_BYTES * CONNECTIONS);

	for (int i = 0; i < THREAD_REQUESTS; i++) {
		/* Most requests fall into a few units, so that the connections access the same units. */
		uint64_t round = random_below(&worker->state, i % 4 ? 4 : rounds);

		request(nbd, &worker->state, (round * CONNECTIONS + worker->number) * STRIP_BYTES, STRIP_BYTES);
	}
	close_connection(nbd);
	return NULL;
}

static void run_threads(uint64_t seed)
{
	struct worker workers[CONNECTIONS];
	struct nbd_handle *nbd;

	for (uint64_t i = 0; i < CONNECTIONS; i++) {
		workers[i].number = i;
		workers[i].state = seed + i * UINT64_C(0x9e3779b97f4a7c15) + 1;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die("no thread");
	}
	for (int i = 0; i < CONNECTIONS; i++)
		pthread_join(workers[i].thread, NULL);
	nbd = open_connection();
	compare_all(nbd);
	close_connection(nbd);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Extents
 */

struct extents {
	unsigned int count;
	uint32_t length[16];
	uint32_t type[16];
};

static int keep_extents(void *user, const char *context, uint64_t offset, uint32_t *entries, size_t entry_count,
			int *error)
{
	struct extents *extents = user;

	(void)context;
	(void)offset;
	(void)error;
	for (size_t i = 0; i + 1 < entry_count && extents->count < 16; i += 2) {
		extents->length[extents->count] = entries[i];
		extents->type[extents->count++] = entries[i + 1];
	}
	return 0;
}

/*
 * Checks that the extents of the first 64 KiB are the expected ones: pairs of length and type, ended by a length of 0.
 */
static void expect(struct nbd_handle *nbd, const char *what, const uint32_t *expected)
{
	struct extents extents = { 0 };
	unsigned int i;

	if (nbd_block_status(nbd, 65536, 0, (nbd_extent_callback){ .callback = keep_extents, .user_data = &extents },
			     0))
		die("extents %s: %s", what, nbd_get_error());
	for (i = 0; expected[2 * i]; i++) {
		if (i >= extents.count || extents.length[i] != expected[2 * i] ||
		    extents.type[i] != expected[2 * i + 1])
			die("extents %s: number %u of %u is %" PRIu32 " bytes of type %" PRIu32 ", not %" PRIu32
			    " of type %" PRIu32,
			    what, i, extents.count, i < extents.count ? extents.length[i] : 0,
			    i < extents.count ? extents.type[i] : 0, expected[2 * i], expected[2 * i + 1]);
	}
	printf("ok: extents %s\n", what);
}

#define DATA 0
#define ZERO_STATE LIBNBD_STATE_ZERO
#define HOLE_STATE (LIBNBD_STATE_ZERO | LIBNBD_STATE_HOLE)

static void must(int result)
{
	if (result)
		die("%s", nbd_get_error());
}

static void run_extents(void)
{
	static unsigned char data[65536];
	struct nbd_handle *nbd = open_connection();
	uint64_t state = 1;

	do
		fill(&state, data, sizeof(data));
	while (!memcmp(data, data + 1, sizeof(data) - 1));
	expect(nbd, "of a new disk", (const uint32_t[]){ 65536, HOLE_STATE, 0 });
	must(nbd_pwrite(nbd, data, 8192, 16384, 0));
	expect(nbd, "after a write", (const uint32_t[]){ 16384, HOLE_STATE, 8192, DATA, 40960, HOLE_STATE, 0 });
	must(nbd_zero(nbd, 4096, 16384, LIBNBD_CMD_FLAG_NO_HOLE));
	expect(nbd, "after zeroing without holes",
	       (const uint32_t[]){ 16384, HOLE_STATE, 4096, ZERO_STATE, 4096, DATA, 40960, HOLE_STATE, 0 });
	must(nbd_zero(nbd, 4096, 16384, 0));
	expect(nbd, "after zeroing with holes",
	       (const uint32_t[]){ 20480, HOLE_STATE, 4096, DATA, 40960, HOLE_STATE, 0 });
	must(nbd_trim(nbd, 100, 20480, 0));
	expect(nbd, "after trimming a part of a unit",
	       (const uint32_t[]){ 20480, HOLE_STATE, 4096, DATA, 40960, HOLE_STATE, 0 });
	must(nbd_trim(nbd, 4096, 20480, 0));
	expect(nbd, "after trimming the last data", (const uint32_t[]){ 65536, HOLE_STATE, 0 });
	close_connection(nbd);
}

static void run_prefetch(void)
{
	struct nbd_handle *nbd = open_connection();

	must(nbd_cache(nbd, disk_bytes, 0, 0));
	close_connection(nbd);
}

static void run_thin(void)
{
	struct nbd_handle *nbd = open_connection();

	for (uint64_t at = 0; at + 4096 <= disk_bytes; at += 8192)
		must(nbd_trim(nbd, 4096, at, 0));
	close_connection(nbd);
}

#define FULL_UNIT 65536
#define FULL_PART 4096

/* Writes units until the disk is full, first random ones, and then ones that take less and less room. */
static uint64_t fill_disk(struct nbd_handle *nbd)
{
	uint64_t state = 1;
	uint64_t at = 0;

	for (size_t random_bytes = FULL_UNIT; random_bytes; random_bytes -= FULL_PART)
		for (; at < disk_bytes; at += FULL_UNIT) {
			memset(model + at, 0, FULL_UNIT);
			for (size_t i = 0; i < random_bytes; i++)
				model[at + i] = (unsigned char)random_below(&state, 256);
			if (!nbd_pwrite(nbd, model + at, FULL_UNIT, at, 0))
				continue;
			if (nbd_get_errno() != ENOSPC)
				die("writing to a full disk: %s", nbd_get_error());
			memset(model + at, 0, FULL_UNIT);
			break;
		}
	return at;
}

/* A part that was trimmed is zero or keeps its contents; one that could not be zeroed keeps them. */
static void run_full(void)
{
	static unsigned char part[FULL_PART];
	struct nbd_handle *nbd = open_connection();
	uint64_t end = fill_disk(nbd);

	if (!end || end == disk_bytes)
		die("the disk did not become full");
	for (uint64_t at = 0; at < end; at += FULL_UNIT) {
		if (nbd_trim(nbd, FULL_PART, at, 0))
			die("trimming a part of a unit of a full disk: %s", nbd_get_error());
		must(nbd_pread(nbd, part, FULL_PART, at, 0));
		if (!part[0] && !memcmp(part, part + 1, FULL_PART - 1))
			memset(model + at, 0, FULL_PART);
		if (!nbd_zero(nbd, FULL_PART, at + FULL_PART, 0))
			memset(model + at + FULL_PART, 0, FULL_PART);
		else if (nbd_get_errno() != ENOSPC)
			die("zeroing a part of a unit of a full disk: %s", nbd_get_error());
	}
	compare_all(nbd);
	close_connection(nbd);
}

static void learn_size(void)
{
	struct nbd_handle *nbd = open_connection();
	int64_t bytes = nbd_get_size(nbd);

	if (bytes <= 0)
		die("size: %s", nbd_get_error());
	disk_bytes = (uint64_t)bytes;
	model = calloc(1, (size_t)disk_bytes);
	if (!model)
		die("no memory for a model");
	close_connection(nbd);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : 1;

	if (argc < 3)
		return 2;
	uri = argv[2];
	learn_size();
	if (!strcmp(argv[1], "model"))
		run_model(seed);
	else if (!strcmp(argv[1], "threads"))
		run_threads(seed);
	else if (!strcmp(argv[1], "extents"))
		run_extents();
	else if (!strcmp(argv[1], "prefetch"))
		run_prefetch();
	else if (!strcmp(argv[1], "thin"))
		run_thin();
	else if (!strcmp(argv[1], "full"))
		run_full();
	else
		return 2;
	free(model);
	return 0;
}
