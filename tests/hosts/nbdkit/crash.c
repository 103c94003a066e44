/* SPDX-License-Identifier: MIT
 *
 * crash.c - after a kill of the server, all flushed data are on the disk, and no block is only half written
 *
 *   crash write URI SEED STATE     read every block, print "ready", write and flush at random until the connection is
 *                                  lost, and write to STATE what may be in each block
 *   crash verify IMAGE STATE       check that each block of the image has one of these
 *
 * Every 16 bytes of a block contain its number and a version, so verify detects a half-written block.  Each thread has
 * its own blocks and connection.  The exit status is 0 if all blocks are right, 1 if one is wrong, and 2 after a wrong
 * usage or without a connection.
 */
#include "config.h"

#include <inttypes.h>
#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4096
#define THREADS 4
#define FLUSH_EVERY 64

/*
 * Each request has a higher version than all earlier ones.  Zeroing a block counts as a version too, although a zero
 * block cannot show it.
 */
struct block {
	uint64_t flushed; /* the newest version that is certainly on stable storage */
	uint64_t newest;  /* this version and any between the two may be on the disk as well */
	uint32_t is_flushed_zero;
	uint32_t is_newest_zero;
	uint32_t is_zero_since; /* true if a version after the flush zeroed the block */
	uint32_t reserved;
};

struct stamp {
	uint64_t number, version;
};

static const char *uri;
static struct block *blocks;
static uint64_t block_count;
static atomic_int ready_count;

/* This is the xorshift64* generator. */
static uint64_t random_below(uint64_t *state, uint64_t limit)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(2685821657736338717) >> 11) % limit;
}

static void fill(struct stamp *to, uint64_t number, uint64_t version)
{
	for (size_t i = 0; i < BLOCK_BYTES / sizeof(*to); i++)
		to[i] = version ? (struct stamp){ number, version } : (struct stamp){ 0, 0 };
	/* Some blocks are incompressible: the version determines the noise that fills the rest of the block. */
	if (version % 3 == 1) {
		uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + version;

		for (size_t i = 1; i < BLOCK_BYTES / sizeof(*to); i++)
			to[i].number = random_below(&state, UINT64_MAX >> 11);
	}
}

/* Returns the version of a block, or UINT64_MAX if the contents are not valid. */
static uint64_t version_of(const struct stamp *block, uint64_t number)
{
	struct stamp expected[BLOCK_BYTES / sizeof(struct stamp)];

	fill(expected, number, block[0].version);
	return memcmp(block, expected, BLOCK_BYTES) ? UINT64_MAX : block[0].version;
}

static void complain(const struct block *block, uint64_t number, const struct stamp *found)
{
	printf("FAILED: block %" PRIu64 " has version %" PRIu64 " of block %" PRIu64 "%s, but %" PRIu64
	       " was flushed and %" PRIu64 " was written last\n",
	       number, found->version, found->number,
	       version_of(found, number) == UINT64_MAX ? ", and not all of it" : "", block->flushed, block->newest);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Write
 */

static struct nbd_handle *open_connection(void)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_connect_uri(nbd, uri)) {
		printf("%s\n", nbd_get_error());
		exit(2);
	}
	return nbd;
}

static void set_flushed(struct block *block)
{
	block->flushed = block->newest;
	block->is_flushed_zero = block->is_newest_zero;
	block->is_zero_since = 0;
}

struct worker {
	pthread_t thread;
	uint64_t number;
	uint64_t state;
	bool is_wrong;
};

static uint64_t own_block(const struct worker *worker, uint64_t i)
{
	return i * THREADS + worker->number;
}

/* The last server flushed everything when it exited. */
static bool read_all(struct worker *worker, struct nbd_handle *nbd)
{
	struct stamp buf[BLOCK_BYTES / sizeof(struct stamp)];

	for (uint64_t i = 0; i < block_count / THREADS; i++) {
		uint64_t number = own_block(worker, i);
		uint64_t version;

		if (nbd_pread(nbd, buf, BLOCK_BYTES, number * BLOCK_BYTES, 0))
			return false;
		version = version_of(buf, number);
		blocks[number] = (struct block){ version, version, !version, !version, 0, 0 };
		if (version == UINT64_MAX) {
			complain(&blocks[number], number, buf);
			worker->is_wrong = true;
		}
	}
	return !worker->is_wrong;
}

static void set_all_flushed(const struct worker *worker)
{
	for (uint64_t i = 0; i < block_count / THREADS; i++)
		set_flushed(&blocks[own_block(worker, i)]);
}

/* Returns the first version that is higher than all others; blocks that are zero had a lower one. */
static uint64_t first_version(const struct worker *worker)
{
	uint64_t version = 0;

	for (uint64_t i = 0; i < block_count / THREADS; i++)
		if (blocks[own_block(worker, i)].newest > version)
			version = blocks[own_block(worker, i)].newest;
	for (uint64_t i = 0; i < block_count / THREADS; i++)
		if (blocks[own_block(worker, i)].is_flushed_zero)
			blocks[own_block(worker, i)].flushed = version;
	return version + 1;
}

/* Returns false if the connection is lost. */
static bool write_one(struct worker *worker, struct nbd_handle *nbd, uint64_t version)
{
	struct stamp buf[BLOCK_BYTES / sizeof(struct stamp)];
	uint64_t number = own_block(worker, random_below(&worker->state, block_count / THREADS));
	struct block *block = &blocks[number];
	bool is_forced = random_below(&worker->state, 32) == 0;
	uint32_t flags = is_forced ? LIBNBD_CMD_FLAG_FUA : 0;
	bool is_zero = random_below(&worker->state, 8) == 0;
	int result;

	block->newest = version;
	block->is_newest_zero = is_zero;
	block->is_zero_since |= is_zero;
	if (!is_zero) {
		fill(buf, number, version);
		result = nbd_pwrite(nbd, buf, BLOCK_BYTES, number * BLOCK_BYTES, flags);
	} else {
		result = nbd_zero(nbd, BLOCK_BYTES, number * BLOCK_BYTES, flags);
	}
	if (!result && is_forced)
		set_flushed(block);
	return !result;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct nbd_handle *nbd = open_connection();
	uint64_t version;

	if (read_all(worker, nbd)) {
		if (atomic_fetch_add(&ready_count, 1) == THREADS - 1) {
			printf("ready\n");
			fflush(stdout);
		}
		for (version = first_version(worker); write_one(worker, nbd, version); version++) {
			if (version % FLUSH_EVERY)
				continue;
			if (nbd_flush(nbd, 0))
				break;
			set_all_flushed(worker);
		}
	}
	nbd_close(nbd);
	return NULL;
}

static int run_write(uint64_t seed, const char *state_path)
{
	struct worker workers[THREADS];
	struct nbd_handle *nbd = open_connection();
	bool is_wrong = false;
	FILE *to = fopen(state_path, "wb");

	block_count = (uint64_t)nbd_get_size(nbd) / BLOCK_BYTES;
	nbd_close(nbd);
	blocks = calloc(block_count, sizeof(*blocks));
	if (!to || !blocks)
		return 2;
	/* Before a block is read, its contents are unknown. */
	for (uint64_t i = 0; i < block_count; i++)
		blocks[i] = (struct block){ 0, UINT64_MAX - 1, 1, 1, 1, 0 };
	for (uint64_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .number = i, .state = seed + i * UINT64_C(0x9e3779b97f4a7c15) + 1 };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 2;
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		is_wrong |= workers[i].is_wrong;
	}
	is_wrong |= fwrite(blocks, sizeof(*blocks), block_count, to) != block_count;
	is_wrong |= fclose(to) != 0;
	return is_wrong;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Verify
 */

static bool may_be(const struct block *block, uint64_t version)
{
	if (!version)
		return block->is_flushed_zero || block->is_zero_since;
	if (version == block->flushed)
		return !block->is_flushed_zero;
	return version > block->flushed && version <= block->newest;
}

static int run_verify(const char *image_path, const char *state_path)
{
	struct stamp buf[BLOCK_BYTES / sizeof(struct stamp)];
	FILE *image = fopen(image_path, "rb");
	FILE *state = fopen(state_path, "rb");
	struct block block;
	uint64_t number = 0;
	int wrong = 0;

	if (!image || !state)
		return 2;
	for (; fread(&block, sizeof(block), 1, state) == 1; number++) {
		if (fread(buf, sizeof(buf), 1, image) != 1) {
			printf("FAILED: the image ends before block %" PRIu64 "\n", number);
			wrong++;
			break;
		}
		if (may_be(&block, version_of(buf, number)))
			continue;
		complain(&block, number, buf);
		wrong++;
	}
	printf("%" PRIu64 " blocks, %d wrong\n", number, wrong);
	fclose(image);
	fclose(state);
	return wrong || !number;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "write")) {
		uri = argv[2];
		return run_write(strtoull(argv[3], NULL, 0), argv[4]);
	}
	if (argc == 4 && !strcmp(argv[1], "verify"))
		return run_verify(argv[2], argv[3]);
	return 2;
}
