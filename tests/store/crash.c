/* SPDX-License-Identifier: MIT
 *
 * crash.c - after a process is killed at a random moment, the file has everything that the process had flushed
 *
 *   crash [ROUNDS]
 *
 * A child puts newer and newer versions into a store with a file as its backing, and flushes from time to time.  In
 * memory that it shares with its parent it records, before a put, which version it is about to put, and after a flush,
 * which versions were flushed.  The parent kills the child.  Then each unit of the file must hold a complete version
 * that is not older than the last one that was flushed, and not newer than the last one that was put.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drivers.h"
#include "zpool-store.h"

#define UNIT 2048
#define KEYS 600
#define ROUNDS 12
#define LIMIT (600 << 10)

struct notes {
	_Atomic uint32_t flushed[KEYS];
	_Atomic uint32_t begun[KEYS];
	_Atomic uint64_t flushes;
	_Atomic int err;
};

static char path[64];
static const char *spec;
static uint64_t state;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

/* A unit has its key and version at both ends, and bytes computed from these in between; version 0 is zero bytes. */
static void make(unsigned char *to, uint32_t key, uint32_t version)
{
	uint32_t seed = key * 2654435761U + version;

	memset(to, 0, UNIT);
	if (!version)
		return;
	for (size_t i = 0; i < UNIT; i++) {
		seed = seed * 1664525 + 1013904223;
		to[i] = (unsigned char)(version % 3 ? seed >> 24 : 'a' + (seed >> 30));
	}
	memcpy(to, &version, sizeof(version));
}

/* Returns the version that a unit holds, or -1 if it holds no complete version. */
static int64_t version_of(const unsigned char *unit, uint32_t key)
{
	unsigned char wanted[UNIT];
	uint32_t version;

	memcpy(&version, unit, sizeof(version));
	make(wanted, key, version);
	return memcmp(unit, wanted, UNIT) ? -1 : (int64_t)version;
}

static struct zpool_store *open_store(void)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = spec;
	args.backing_path = path;
	args.unit_bytes = UNIT;
	args.unit_count = KEYS;
	args.limit_bytes = LIMIT;
	args.flags = ZPOOL_STORE_CREATE;
	return zpool_store_open(&args, sizeof(args));
}

static int flush(struct zpool_store *store, struct notes *notes)
{
	uint32_t before[KEYS];
	int err;

	for (uint32_t key = 0; key < KEYS; key++)
		before[key] = atomic_load(&notes->begun[key]);
	err = zpool_store_flush(store);
	for (uint32_t key = 0; !err && key < KEYS; key++)
		atomic_store(&notes->flushed[key], before[key]);
	if (!err)
		atomic_fetch_add(&notes->flushes, 1);
	return err;
}

static void work(struct notes *notes)
{
	struct zpool_store *store = open_store();
	unsigned char unit[UNIT];
	int err = store ? 0 : -errno;

	while (!err) {
		for (unsigned int i = 0; i < 200 && !err; i++) {
			uint32_t key = (uint32_t)draw(KEYS);
			uint32_t version = atomic_load(&notes->begun[key]) + 1;

			make(unit, key, version);
			atomic_store(&notes->begun[key], version);
			err = zpool_store_put(store, key, unit, UNIT);
			if (!err && i % 4 == 0)
				err = zpool_store_get(store, draw(KEYS), unit, UNIT) < 0;
		}
		if (!err)
			err = flush(store, notes);
	}
	fprintf(stderr, "The child failed with %d: %s\n", err, zpool_last_error());
	atomic_store(&notes->err, err);
	_exit(1);
}

static bool check(struct notes *notes)
{
	unsigned char unit[UNIT];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool fine = fd >= 0;

	for (uint32_t key = 0; fine && key < KEYS; key++) {
		uint32_t flushed = atomic_load(&notes->flushed[key]), begun = atomic_load(&notes->begun[key]);
		int64_t found = -1;

		if (pread(fd, unit, UNIT, (off_t)key * UNIT) == UNIT)
			found = version_of(unit, key);
		fine = found >= flushed && found <= begun;
		if (!fine)
			fprintf(stderr,
				"key %u holds version %lld, but version %u was flushed and version %u was put last\n",
				key, (long long)found, flushed, begun);
		/* The next round starts with the version that the file holds now. */
		atomic_store(&notes->flushed[key], (uint32_t)found);
		atomic_store(&notes->begun[key], (uint32_t)found);
	}
	if (fd >= 0)
		close(fd);
	return fine;
}

/* Kills the child some milliseconds after its first flush, or in every fourth round after its start. */
static bool round_is_fine(struct notes *notes, unsigned int number)
{
	struct timespec nap = { .tv_nsec = (long)draw(15000000) };
	uint64_t flushes = atomic_load(&notes->flushes);
	pid_t child = fork();

	if (child < 0)
		return false;
	if (!child)
		work(notes);
	while (number % 4 && atomic_load(&notes->flushes) == flushes && !atomic_load(&notes->err))
		usleep(500);
	nanosleep(&nap, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return !atomic_load(&notes->err) && check(notes);
}

int main(int argc, char **argv)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	unsigned int rounds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : ROUNDS;
	struct notes *notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	bool fine = notes != MAP_FAILED;

	printf("ZPOOL_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	state = (seed * 2654435769U) | 1;
	snprintf(path, sizeof(path), "store-crash-%ld.img", (long)getpid());
	spec = specs[0];
	zpool_store_close(open_store()); /* This creates the file before any child can be killed. */
	for (unsigned int i = 0; fine && i < rounds; i++) {
		(void)draw(2); /* A child inherits the generator, so each round needs a new state. */
		spec = specs[i % SPECS];
		fine = round_is_fine(notes, i);
	}
	(void)unlink(path);
	if (fine)
		printf("%u kills, %llu flushes\n", rounds, (unsigned long long)atomic_load(&notes->flushes));
	return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
