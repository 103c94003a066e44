/* SPDX-License-Identifier: MIT
 *
 * Measures what a trained dictionary gains: the bytes and the time of values that a store compresses with zstd, without
 * a dictionary and with one that it has trained from them.  The values are JSON documents, and the memory pages of a
 * Python process that has parsed its library, which runs for this purpose.  Files that are named on the command line
 * are measured in units of 4 KiB.
 */
#include "config.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "documents.h"
#include "zpool-store.h"

enum { PAGE = 4096, VALUES_MAX = 16384, ROUNDS = 5 };

struct set {
	const char *name;
	size_t unit_bytes;
	unsigned int count;
	size_t length[VALUES_MAX];
	unsigned char value[VALUES_MAX][PAGE];
};

static struct set set;

/* ------------------------------------------------------------------------------------------------------------------
 * Values
 */

static void make_documents(const char *name, size_t unit_bytes)
{
	set.name = name;
	set.unit_bytes = unit_bytes;
	for (set.count = 0; set.count < VALUES_MAX; set.count++)
		set.length[set.count] = document_make(set.value[set.count], unit_bytes, 0, set.count);
}

static bool is_same_filled(const unsigned char *page)
{
	return !memcmp(page, page + sizeof(uint64_t), PAGE - sizeof(uint64_t));
}

static void add_page(const unsigned char *page)
{
	if (set.count == VALUES_MAX || is_same_filled(page))
		return;
	memcpy(set.value[set.count], page, PAGE);
	set.length[set.count++] = PAGE;
}

static void read_pages(FILE *file, uint64_t bytes)
{
	unsigned char page[PAGE];

	for (; bytes >= PAGE && fread(page, PAGE, 1, file) == 1; bytes -= PAGE)
		add_page(page);
}

static void take_file(const char *path)
{
	FILE *file = fopen(path, "rb");

	if (!file) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	set.name = path;
	set.unit_bytes = PAGE;
	set.count = 0;
	read_pages(file, UINT64_MAX);
	fclose(file);
}

/* Adds the pages of a process that are private and writable. */
static void take_process(pid_t pid)
{
	char path[64], line[1024];
	FILE *maps, *memory;
	uint64_t first, end;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "r");
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	memory = fopen(path, "rb");
	while (maps && memory && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " rw-p", &first, &end) == 2 && strstr(line, " rw-p ") &&
		    !fseeko(memory, (off_t)first, SEEK_SET))
			read_pages(memory, end - first);
	if (maps)
		fclose(maps);
	if (memory)
		fclose(memory);
}

static void make_python_pages(void)
{
	static const char script[] = "import ast, glob, os, sys\n"
				     "files = sorted(glob.glob(os.path.dirname(os.__file__) + '/*.py'))[:60]\n"
				     "trees = [ast.parse(open(file, encoding='utf-8').read()) for file in files]\n"
				     "print('ready', flush=True)\n"
				     "sys.stdin.read()\n";
	int to[2], from[2];
	char answer[8];
	pid_t pid;

	set.name = "pages of Python";
	set.unit_bytes = PAGE;
	set.count = 0;
	if (pipe(to) || pipe(from))
		abort();
	pid = fork();
	if (!pid) {
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		close(to[1]);
		execlp("python3", "python3", "-c", script, (char *)NULL);
		_exit(127);
	}
	close(to[0]);
	close(from[1]);
	if (pid > 0 && read(from[0], answer, sizeof(answer)) > 0)
		take_process(pid);
	close(to[1]);
	close(from[0]);
	waitpid(pid, NULL, 0);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Measurements
 */

struct result {
	uint64_t bytes; /* of the objects */
	double put_us, get_us;
};

static void put_all(struct zpool_store *store)
{
	for (unsigned int i = 0; i < set.count; i++)
		if (zpool_store_put(store, i, set.value[i], set.length[i])) {
			fprintf(stderr, "%s\n", zpool_last_error());
			exit(EXIT_FAILURE);
		}
}

static void get_all(struct zpool_store *store)
{
	unsigned char buf[PAGE];

	for (unsigned int i = 0; i < set.count; i++)
		if (zpool_store_get(store, i, buf, sizeof(buf)) != (int64_t)set.length[i] ||
		    memcmp(buf, set.value[i], set.length[i]) != 0)
			abort();
}

static struct zpool_store_stats stats_of(struct zpool_store *store)
{
	struct zpool_store_stats stats;

	if (zpool_store_get_stats(store, &stats, sizeof(stats)))
		abort();
	return stats;
}

static double us_of(void (*work)(struct zpool_store *), struct zpool_store *store)
{
	double ns[ROUNDS];

	for (int round = 0; round < ROUNDS; round++) {
		double start = bench_now_ns();

		work(store);
		ns[round] = bench_now_ns() - start;
	}
	return bench_median(ns, ROUNDS) / set.count / 1000;
}

static struct result measure(struct zpool_store *store)
{
	struct result result;

	result.put_us = us_of(put_all, store);
	result.get_us = us_of(get_all, store);
	result.bytes = stats_of(store).stored_bytes;
	return result;
}

static void run(const char *compressor)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	struct zpool_store_stats stats;
	struct zpool_store *store;
	struct result plain, trained;
	double start, train_ms;
	int kept;

	args.compressor = compressor;
	args.unit_bytes = set.unit_bytes;
	args.train_bytes = 65536;
	store = zpool_store_open(&args, sizeof(args));
	if (!store) {
		fprintf(stderr, "%s\n", zpool_last_error());
		exit(EXIT_FAILURE);
	}
	put_all(store);
	plain = measure(store);
	start = bench_now_ns();
	kept = zpool_store_train(store);
	train_ms = (bench_now_ns() - start) / 1e6;
	put_all(store);
	trained = measure(store);
	stats = stats_of(store);
	printf("%-20.20s %-8s %6u %6.0f %6.0f %6.0f %5.1f %% %6.0f K %5.0f ms %5.1f %5.1f %5.1f %5.1f%s\n", set.name,
	       compressor, set.count, (double)stats.original_bytes / set.count, (double)plain.bytes / set.count,
	       (double)trained.bytes / set.count, 100.0 - 100.0 * (double)trained.bytes / (double)plain.bytes,
	       (double)stats.dictionary_bytes / 1024, train_ms, plain.put_us, trained.put_us, plain.get_us,
	       trained.get_us, kept == 1 ? "" : "  (not kept)");
	zpool_store_close(store);
}

static void run_all(void)
{
	static const char *const compressors[] = { "zstd:1", "zstd:3" };

	if (set.count < 100) {
		printf("%-20.20s (fewer than 100 values)\n", set.name);
		return;
	}
	for (int i = 0; i < 2; i++)
		run(compressors[i]);
}

int main(int argc, char **argv)
{
	printf("bytes per value (original, without a dictionary, with one), the gain, the memory of the dictionary, the "
	       "time of the training, us per put and get without and with; medians of %d rounds\n\n",
	       ROUNDS);
	printf("%-20s %-8s %6s %6s %6s %6s %7s %8s %8s %11s %11s\n", "values", "", "count", "bytes", "plain", "dict",
	       "gain", "memory", "training", "put", "get");
	make_documents("JSON, up to 512", 512);
	run_all();
	make_documents("JSON, up to 4096", PAGE);
	run_all();
	make_python_pages();
	run_all();
	for (int i = 1; i < argc; i++) {
		take_file(argv[i]);
		run_all();
	}
	return EXIT_SUCCESS;
}
