/* SPDX-License-Identifier: MIT
 *
 * zram DEVICE FILE COMPRESSOR - compares the time of a put and a get of a store with that of a zram device
 *
 * The units of 4 KiB of a file are put into a store and written to the device, and then read from both, each time in a
 * random order.  The two take turns for several rounds.  The device is used with direct I/O, one request at a time, so
 * it compresses in this thread; the times are the processor time of the thread, with the system's part.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* for O_DIRECT */
#endif
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "zpool-store.h"

enum { UNIT = 4096, ROUNDS = 5 };
enum work { STORE_PUT, DEVICE_WRITE, STORE_GET, DEVICE_READ, WORKS };

static struct zpool_store *store;
static int device;
static const unsigned char *data;
static size_t units;
static uint32_t *order;
static _Alignas(UNIT) unsigned char buffer[UNIT];

static void fail(const char *what)
{
	fprintf(stderr, "zram: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void shuffle(void)
{
	uint64_t seed = 1;

	for (size_t i = 0; i < units; i++) {
		size_t other = (size_t)((seed = seed * 6364136223846793005U + 1442695040888963407U) >> 33) % (i + 1);

		order[i] = order[other];
		order[other] = (uint32_t)i;
	}
}

/* Every unit is copied to the same buffer first, because direct I/O needs an aligned one. */
static bool transfer(enum work work, uint32_t unit)
{
	switch (work) {
	case STORE_PUT:
		return zpool_store_put(store, unit, buffer, UNIT) == 0;
	case DEVICE_WRITE:
		return pwrite(device, buffer, UNIT, (off_t)unit * UNIT) == UNIT;
	case STORE_GET:
		return zpool_store_get(store, unit, buffer, UNIT) == UNIT;
	default:
		return pread(device, buffer, UNIT, (off_t)unit * UNIT) == UNIT;
	}
}

/* Returns the ns of one call. */
static double measure(enum work work)
{
	double sum = 0;

	for (size_t i = 0; i < units; i++) {
		double start;

		memcpy(buffer, data + (size_t)order[i] * UNIT, UNIT);
		start = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);
		if (!transfer(work, order[i]))
			fail(work == STORE_PUT || work == STORE_GET ? zpool_last_error() : "the device");
		sum += bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
		if (work >= STORE_GET && memcmp(buffer, data + (size_t)order[i] * UNIT, UNIT) != 0)
			fail("a unit has changed");
	}
	return sum / (double)units;
}

static void map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail(path);
	units = (size_t)st.st_size / UNIT;
	data = units ? mmap(NULL, units * UNIT, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0) : MAP_FAILED;
	if (data == MAP_FAILED)
		fail(path);
	(void)close(fd);
	order = calloc(units, sizeof(*order));
	if (!order)
		fail("the order of the units");
	shuffle();
}

int main(int argc, char **argv)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	double ns[WORKS][ROUNDS], median[WORKS];

	if (argc != 4) {
		fprintf(stderr, "usage: zram DEVICE FILE COMPRESSOR\n");
		return EXIT_FAILURE;
	}
	map_file(argv[2]);
	device = open(argv[1], O_RDWR | O_DIRECT | O_CLOEXEC);
	if (device < 0)
		fail(argv[1]);
	args.compressor = argv[3];
	store = zpool_store_open(&args, sizeof(args));
	if (!store)
		fail(zpool_last_error());
	for (int round = 0; round < ROUNDS; round++)
		for (int work = 0; work < WORKS; work++)
			ns[work][round] = measure((enum work)work);
	for (int work = 0; work < WORKS; work++)
		median[work] = bench_median(ns[work], ROUNDS);
	printf("zram, %s: a put takes %.0f ns here, and a write with direct I/O %.0f ns there: ratio %.2f\n", argv[3],
	       median[STORE_PUT], median[DEVICE_WRITE], median[STORE_PUT] / median[DEVICE_WRITE]);
	printf("zram, %s: a get takes %.0f ns here, and a read with direct I/O %.0f ns there: ratio %.2f\n", argv[3],
	       median[STORE_GET], median[DEVICE_READ], median[STORE_GET] / median[DEVICE_READ]);
	zpool_store_close(store);
	return EXIT_SUCCESS;
}
