/* SPDX-License-Identifier: MIT
 *
 * Measures what libzpool-store adds to the compressor: the time of a put and a get of 4 KiB with 100,000 units, beside
 * LZ4 alone on the same pages, and how much two threads do in the time of one.  The pages come from 8 MiB, as from a
 * program's buffers, and the keys in random order.
 *
 * What the store adds is a small difference between two large times, so LZ4 and the store take turns, a block of units
 * each: a machine that becomes slower for a while slows both.
 */
#include "config.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>

#include "bench.h"
#include "zpool-store.h"

enum { UNIT = 4096, PAGES = 2048, UNITS = 100000, BLOCK = 100, ROUNDS = 5 };
enum work { LZ4_ALONE, LZ4_BACK, PUT, GET, WORKS };

static unsigned char pages[PAGES][UNIT], packed[PAGES][LZ4_COMPRESSBOUND(UNIT)];
static int packed_bytes[PAGES];
static uint32_t order[UNITS];
static struct zpool_store *store;

/* Words of a small vocabulary, so that a page shrinks to about 45 %. */
static void make_pages(void)
{
	uint32_t seed = 1;

	for (int page = 0; page < PAGES; page++)
		for (int at = 0; at < UNIT; at += 8) {
			seed = seed * 1664525 + 1013904223;
			for (int i = 0; i < 8; i++)
				pages[page][at + i] =
					(unsigned char)(seed >> 29 ? (seed >> 22) % 40 * 7 + i : seed >> (i % 4 * 8));
			if (seed / 64 % 8 == 0) {
				uint64_t noise = seed * UINT64_C(0x9e3779b97f4a7c15);

				memcpy(&pages[page][at], &noise, sizeof(noise));
			}
		}
	for (uint32_t i = 0; i < UNITS; i++)
		order[i] = i;
	for (uint32_t i = UNITS - 1; i; i--) {
		uint32_t other, current = order[i];

		seed = seed * 1664525 + 1013904223;
		other = (uint32_t)(((uint64_t)seed * (i + 1)) >> 32);
		order[i] = order[other];
		order[other] = current;
	}
}

struct worker {
	pthread_t thread;
	enum work work;
	uint32_t first;
	uint32_t step;
	uint64_t sum; /* prevents the compiler from removing the calls */
};

static void do_work(struct worker *worker, enum work work, uint32_t key, void *state, unsigned char *buf)
{
	uint32_t page = key % PAGES;

	switch (work) {
	case LZ4_ALONE:
		worker->sum += (uint64_t)LZ4_compress_fast_extState(state, (const char *)pages[page], (char *)buf, UNIT,
								    UNIT - 1, 1);
		break;
	case LZ4_BACK:
		worker->sum += (uint64_t)LZ4_decompress_safe((const char *)packed[page], (char *)buf,
							     packed_bytes[page], UNIT);
		break;
	case PUT:
		worker->sum += zpool_store_put(store, key, pages[page], UNIT) == 0;
		break;
	default:
		worker->sum += zpool_store_get(store, key, buf, UNIT) == UNIT;
	}
}

static void *run(void *context)
{
	struct worker *worker = context;
	unsigned char buf[LZ4_COMPRESSBOUND(UNIT)];
	void *state = malloc((size_t)LZ4_sizeofState());

	for (uint32_t i = worker->first; i < UNITS; i += worker->step)
		do_work(worker, worker->work, order[i], state, buf);
	free(state);
	return NULL;
}

/* Nanoseconds of wall time for each unit. */
static double measure(enum work work, uint32_t threads)
{
	struct worker worker[2] = { { 0 } };
	double start = bench_now_ns();

	for (uint32_t i = 0; i < threads; i++) {
		worker[i] = (struct worker){ .work = work, .first = i, .step = threads };
		if (pthread_create(&worker[i].thread, NULL, run, &worker[i]))
			abort();
	}
	for (uint32_t i = 0; i < threads; i++)
		pthread_join(worker[i].thread, NULL);
	if (work >= PUT && worker[0].sum + worker[1].sum != UNITS)
		abort();
	return (bench_now_ns() - start) / UNITS;
}

/*
 * Nanoseconds of one thread for each unit, of LZ4 alone and of the store by turns.  While the store has one block, LZ4
 * has the one that the store gets half a round later, so that neither finds pages in the cache that the other one left.
 */
static void compare(enum work alone, enum work stored, double *alone_ns, double *stored_ns)
{
	static unsigned char buf[LZ4_COMPRESSBOUND(UNIT)];
	struct worker worker = { 0 };
	void *state = malloc((size_t)LZ4_sizeofState());

	*alone_ns = *stored_ns = 0;
	for (uint32_t first = 0; first < UNITS; first += BLOCK) {
		double start = bench_now_ns(), between;

		for (uint32_t i = first; i < first + BLOCK; i++)
			do_work(&worker, alone, order[(i + UNITS / 2) % UNITS], state, buf);
		between = bench_now_ns();
		for (uint32_t i = first; i < first + BLOCK; i++)
			do_work(&worker, stored, order[i], state, buf);
		*alone_ns += (between - start) / UNITS;
		*stored_ns += (bench_now_ns() - between) / UNITS;
	}
	free(state);
}

static void print_row(const char *name, const double *alone_ns, const double *stored_ns, double gain)
{
	double added_ns[ROUNDS], alone[ROUNDS], stored[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		alone[round] = alone_ns[round];
		stored[round] = stored_ns[round];
		added_ns[round] = stored_ns[round] - alone_ns[round];
	}
	printf("%-22s %9.0f %9.0f %9.0f %8.2fx\n", name, bench_median(alone, ROUNDS), bench_median(stored, ROUNDS),
	       bench_median(added_ns, ROUNDS), gain);
}

int main(int argc, char **argv)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	double alone_ns[WORKS][ROUNDS], stored_ns[WORKS][ROUNDS], gain[WORKS][ROUNDS], new_alone_ns, new_ns;
	uint64_t sum = 0;

	args.pool = argc > 1 ? argv[1] : "zsmalloc";
	store = zpool_store_open(&args, sizeof(args));
	if (!store) {
		fprintf(stderr, "%s\n", zpool_last_error());
		return EXIT_FAILURE;
	}
	make_pages();
	for (int page = 0; page < PAGES; page++) {
		packed_bytes[page] = LZ4_compress_default((const char *)pages[page], (char *)packed[page], UNIT,
							  sizeof(packed[page]));
		sum += (uint64_t)packed_bytes[page];
	}
	compare(LZ4_ALONE, PUT, &new_alone_ns, &new_ns);
	for (int round = 0; round < ROUNDS; round++) {
		compare(LZ4_ALONE, PUT, &alone_ns[PUT][round], &stored_ns[PUT][round]);
		compare(LZ4_BACK, GET, &alone_ns[GET][round], &stored_ns[GET][round]);
		for (int work = 0; work < WORKS; work++)
			gain[work][round] = measure((enum work)work, 1) / measure((enum work)work, 2);
	}
	printf("%d units of %d bytes, LZ4 shrinks them to %.0f %%, in %s; ns per call, median of %d rounds\n\n", UNITS,
	       UNIT, (double)sum * 100 / PAGES / UNIT, args.pool, ROUNDS);
	printf("%-22s %9s %9s %9s %9s\n", "", "LZ4", "store", "added", "2 threads");
	printf("%-22s %9.0f %9.0f %9.0f\n", "put, new", new_alone_ns, new_ns, new_ns - new_alone_ns);
	print_row("put, in place", alone_ns[PUT], stored_ns[PUT], bench_median(gain[PUT], ROUNDS));
	print_row("get", alone_ns[GET], stored_ns[GET], bench_median(gain[GET], ROUNDS));
	printf("%-22s %8.2fx compressing, %.2fx decompressing\n", "LZ4 alone, 2 threads",
	       bench_median(gain[LZ4_ALONE], ROUNDS), bench_median(gain[LZ4_BACK], ROUNDS));
	zpool_store_close(store);
	return EXIT_SUCCESS;
}
