/* SPDX-License-Identifier: MIT
 *
 * locks.c - how long zsmalloc holds each of its locks, in thread CPU time
 *
 *   locks [OBJECTS [ROUNDS [SEED]]]
 *
 * The driver is a copy that records how long its locks are held (timed/timed_lock.h). The program stores objects,
 * replaces them at random and frees three quarters of them. It does this once with automatic compaction, which runs
 * during these calls, and once without, followed by a compaction of the whole pool. Each place in the driver's code
 * that takes a lock has a row in the output.
 *
 * Interrupts and a hypervisor's steal time count as CPU time of a thread. But with the same seed, the driver takes the
 * same locks for the same work in every run. So the program takes the shortest time of each hold over all runs, and the
 * longest of these is the longest hold. The longest time that was measured in any run is printed too.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zpool.h>

#include "bench.h"
#include "timed/timed_lock.h"

enum { OBJECTS = 100000, ROUNDS = 5, REPLACES = 4, LABEL = 64, HOLDS_PER_OBJECT = 32, OBJECT_BYTES_MAX = 4096 };

/* The stages, and the spec that each needs, with or without automatic compaction. */
enum { STORE, REPLACE, FREE, COMPACT, STAGES };
static const struct {
	const char *title;
	const char *spec;
} stages[STAGES] = {
	[STORE] = { "storing", "zsmalloc" },
	[REPLACE] = { "replacing, with automatic compaction", "zsmalloc" },
	[FREE] = { "freeing 75 % at random, with automatic compaction", "zsmalloc" },
	[COMPACT] = { "compaction of the whole pool, 75 % holes", "zsmalloc:compact=no" },
};

/* The longest hold that any lock should have while compaction is automatic. */
static const double aim_us = 100;

/* The holds of one stage of a run, in memory that the child shares with its parent. */
struct record {
	double clock_us;
	uint64_t holds;
	char sites[TIMED_SITES][LABEL];
	struct timed_hold log[];
};

/* The results of all runs of a stage. */
struct result {
	struct record *record;        /* of the latest run */
	struct record *first;         /* of the first run, with the shortest time of each hold */
	double measured[TIMED_SITES]; /* the longest time of each site in any run, in microseconds */
	bool differ;
};

static size_t object_count = OBJECTS;
static uint64_t seed = 1;

static size_t log_room(void)
{
	return object_count * HOLDS_PER_OBJECT;
}

static _Noreturn void fail(const char *what, const char *why)
{
	fprintf(stderr, "locks: %s%s%s\n", what, why ? ": " : "", why ? why : "");
	exit(1);
}

/* ---- In a child ---- */

static struct {
	void (*start)(struct timed_hold *log, size_t room);
	size_t (*count)(void);
	const struct timed_site *(*site)(unsigned int number);
} timed;

static void find_timed(void)
{
	char directory[PATH_MAX - 64] = "", path[PATH_MAX];
	void *module, *start = NULL, *count = NULL, *site = NULL;

	zpool_get_plugin_path(directory, sizeof(directory));
	directory[strcspn(directory, ":")] = '\0';
	snprintf(path, sizeof(path), "%s/zsmalloc.so", directory);
	module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if (module) {
		start = dlsym(module, "timed_start");
		count = dlsym(module, "timed_count");
		site = dlsym(module, "timed_site");
	}
	if (!start || !count || !site)
		fail(path, "does not time its locks; make bench-calls BENCH=locks uses a copy that does");
	memcpy(&timed.start, &start, sizeof(start));
	memcpy(&timed.count, &count, sizeof(count));
	memcpy(&timed.site, &site, sizeof(site));
}

static double clock_us(void)
{
	double samples[101];

	for (int i = 0; i < 101; i++) {
		double before = bench_clock_ns(CLOCK_THREAD_CPUTIME_ID);

		samples[i] = (bench_clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / 1e3;
	}
	return bench_median(samples, 101);
}

static void fill_record(struct record *record)
{
	record->holds = timed.count();
	record->clock_us = clock_us();
	for (unsigned int i = 0; i < TIMED_SITES; i++) {
		const struct timed_site *site = timed.site(i);

		if (site)
			snprintf(record->sites[i], LABEL, "%s:%d %s", site->function, site->line,
				 site->lock + (site->lock[0] == '&'));
	}
}

struct work {
	struct zpool *pool;
	uint64_t random;
	unsigned long *objects;
	const uint32_t *sizes;
	size_t size_count;
};

static size_t below(struct work *work, size_t bound)
{
	work->random ^= work->random << 13;
	work->random ^= work->random >> 7;
	work->random ^= work->random << 17;
	return (size_t)((work->random >> 32) * bound >> 32);
}

static void store(struct work *work, size_t at)
{
	static const char bytes[OBJECT_BYTES_MAX];
	size_t size = work->sizes[below(work, work->size_count)];

	if (zpool_malloc(work->pool, size, ZPOOL_GFP_KERNEL, &work->objects[at]) ||
	    zpool_obj_write(work->pool, work->objects[at], bytes, size, 0) < 0)
		fail("an object could not be stored", zpool_last_error());
}

/* Runs one stage, which needs the stages before it. */
static void run_stage(struct work *work, unsigned int stage)
{
	switch (stage) {
	case STORE:
		for (size_t i = 0; i < object_count; i++)
			store(work, i);
		break;
	case REPLACE:
		for (size_t i = 0; i < REPLACES * object_count; i++) {
			size_t at = below(work, object_count);

			zpool_free(work->pool, work->objects[at]);
			store(work, at);
		}
		break;
	case FREE:
		for (size_t i = 0; i < object_count; i++)
			if (below(work, 4))
				zpool_free(work->pool, work->objects[i]);
		break;
	default:
		(void)zpool_compact(work->pool, 0, 0, NULL);
		break;
	}
}

/* Runs all stages, because most need those before them, but logs only the stages of this spec. */
static void run(const char *spec, const uint32_t *sizes, size_t size_count, struct result *results)
{
	struct work work = { .random = seed * 2 + 1, .sizes = sizes, .size_count = size_count };

	work.pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	work.objects = calloc(object_count, sizeof(*work.objects));
	if (!work.pool || !work.objects)
		fail(spec, work.pool ? "no memory" : zpool_last_error());
	find_timed();
	for (unsigned int stage = 0; stage < STAGES; stage++) {
		bool wanted = !strcmp(stages[stage].spec, spec);

		if (wanted)
			timed.start(results[stage].record->log, log_room());
		if (wanted || stage < COMPACT)
			run_stage(&work, stage);
		if (wanted)
			fill_record(results[stage].record);
	}
	zpool_destroy_pool(work.pool);
}

/* ---- In the parent ---- */

static struct record *new_record(int flags)
{
	size_t bytes = sizeof(struct record) + log_room() * sizeof(struct timed_hold);
	void *record = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (record == MAP_FAILED)
		fail("no memory for the holds", NULL);
	return record;
}

/* Returns true if this run took the same locks as the first one. */
static bool same_work(const struct record *first, const struct record *record)
{
	if (record->holds != first->holds || memcmp(record->sites, first->sites, sizeof(record->sites)) != 0)
		return false;
	for (uint64_t i = 0; i < record->holds; i++)
		if (record->log[i].site != first->log[i].site)
			return false;
	return true;
}

static void merge(struct result *result, bool is_first)
{
	struct record *first = result->first, *record = result->record;

	if (is_first)
		memcpy(first, record, sizeof(*record) + record->holds * sizeof(record->log[0]));
	if (!same_work(first, record)) {
		result->differ = true;
		return;
	}
	for (uint64_t i = 0; i < record->holds; i++) {
		uint32_t site = record->log[i].site < TIMED_SITES ? record->log[i].site : 0;

		if (record->log[i].ns < first->log[i].ns)
			first->log[i].ns = record->log[i].ns;
		if (record->log[i].ns / 1e3 > result->measured[site])
			result->measured[site] = record->log[i].ns / 1e3;
	}
}

/* Makes each run in a new process, so that the driver starts with no memory. */
static void run_in_child(const char *spec, const uint32_t *sizes, size_t size_count, struct result *results,
			 bool is_first)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		run(spec, sizes, size_count, results);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		exit(1);
	for (unsigned int stage = 0; stage < STAGES; stage++)
		if (!strcmp(stages[stage].spec, spec))
			merge(&results[stage], is_first);
}

struct row {
	const char *label;
	size_t holds;
	double p50_us, p99_us, p999_us, longest_us, measured_us;
};

static int compare_rows(const void *a, const void *b)
{
	double x = ((const struct row *)a)->longest_us, y = ((const struct row *)b)->longest_us;

	return (x < y) - (x > y);
}

static void set_row(struct row *row, const struct result *result, uint32_t site, double *us)
{
	size_t count = 0;

	for (uint64_t i = 0; i < result->first->holds; i++)
		if (result->first->log[i].site == site)
			us[count++] = result->first->log[i].ns / 1e3;
	if (!count)
		return;
	qsort(us, count, sizeof(*us), bench_compare);
	*row = (struct row){ result->first->sites[site], count,         us[count / 2],         us[count * 99 / 100],
			     us[count * 999 / 1000],     us[count - 1], result->measured[site] };
}

static void print_stage(unsigned int stage, const struct result *result)
{
	struct row rows[TIMED_SITES] = { { .label = NULL } };
	double *us = calloc(result->first->holds + 1, sizeof(*us));

	if (!us)
		fail("no memory", NULL);
	printf("\n%s (%s); each time includes %.2f us for reading the clock, and twice as much for each lock taken inside%s\n",
	       stages[stage].title, stages[stage].spec, result->first->clock_us,
	       result->differ ? "; the runs did not do the same work" : "");
	printf("%-48s %9s %9s %9s %9s %9s %9s\n", "", "holds", "p50 us", "p99", "p99.9", "longest", "measured");
	for (uint32_t site = 1; site < TIMED_SITES; site++)
		set_row(&rows[site], result, site, us);
	qsort(rows, TIMED_SITES, sizeof(rows[0]), compare_rows);
	for (unsigned int i = 0; i < TIMED_SITES; i++)
		if (rows[i].label)
			printf("%-48s %9zu %9.2f %9.2f %9.2f %9.2f %9.0f%s\n", rows[i].label, rows[i].holds,
			       rows[i].p50_us, rows[i].p99_us, rows[i].p999_us, rows[i].longest_us, rows[i].measured_us,
			       stage != STORE && stage != COMPACT && rows[i].longest_us > aim_us ? "  !" : "");
	free(us);
}

static uint32_t *read_sizes(size_t *count)
{
	static const char path[] = BENCH_TRACES "/py.lz4.sizes";
	FILE *file = fopen(path, "r");
	uint32_t *sizes = calloc(1 << 20, sizeof(*sizes));

	if (!file || !sizes)
		fail(path, "cannot be read");
	for (*count = 0; *count < 1 << 20 && fscanf(file, "%u", &sizes[*count]) == 1; (*count)++)
		if (!sizes[*count] || sizes[*count] > OBJECT_BYTES_MAX)
			fail(path, "has a size that is not from 1 to 4096");
	fclose(file);
	return sizes;
}

int main(int argc, char **argv)
{
	static struct result results[STAGES];
	unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : ROUNDS;
	size_t size_count;
	uint32_t *sizes = read_sizes(&size_count);

	object_count = argc > 1 ? strtoul(argv[1], NULL, 10) : OBJECTS;
	seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	if (!object_count || object_count > 10000000 || !rounds)
		fail("usage: locks [OBJECTS [ROUNDS [SEED]]]", NULL);
	for (unsigned int stage = 0; stage < STAGES; stage++) {
		results[stage].record = new_record(MAP_SHARED);
		results[stage].first = new_record(MAP_PRIVATE);
	}
	for (unsigned long round = 0; round < rounds; round++) {
		run_in_child(stages[STORE].spec, sizes, size_count, results, !round);
		run_in_child(stages[COMPACT].spec, sizes, size_count, results, !round);
	}
	printf("locks: a row ends in `!' if its longest hold is above %.0f us\n", aim_us);
	for (unsigned int stage = 0; stage < STAGES; stage++)
		print_stage(stage, &results[stage]);
	free(sizes);
	return 0;
}
