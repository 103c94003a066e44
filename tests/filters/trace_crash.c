/* SPDX-License-Identifier: MIT
 *
 * trace_crash.c - after a process is killed at a random moment, its trace has all calls but those in the buffer
 *
 *   trace_crash [ROUNDS]
 *
 * A child makes calls that follow from a seed, and counts the calls that returned in memory that it shares with its
 * parent. The parent kills the child, reads the trace, and makes the same decisions again: record by record, the trace
 * must have the first calls, and at most as many may be missing as fit into the buffer. In the first round and every
 * tenth one after it, zpoolctl also replays the trace.
 */
#include "config.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <zpool.h>

#include "plugins/shipped.h"
#include "tools/trace-file.h"

enum { ROUNDS = 12, OBJECTS = 500, BUFFER_BYTES = 4096, SKIPPED = 77 };

/* A record has an operation, a time and at least one operand, of a byte each. */
enum { BUFFERED_CALLS_MAX = BUFFER_BYTES / 3 };

static const char *const drivers[] = {
#define DRIVER(type) type,
	SHIPPED_DRIVERS(DRIVER)
};
enum { DRIVERS = sizeof(drivers) / sizeof(drivers[0]) };

struct notes {
	_Atomic uint64_t done; /* the calls that have returned */
	_Atomic int err;
};

static char path[64];

static uint64_t draw(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (*state >> 11) % below;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The calls
 */

struct step {
	enum trace_op op;
	unsigned int slot;
	uint64_t bytes; /* of a malloc, or of a write, which begins at the object's start */
};

struct plan {
	uint64_t random;
	uint64_t sizes[OBJECTS]; /* of the object in each slot; 0: none */
};

/* Decides on the next call, which succeeds. */
static struct step next_step(struct plan *plan)
{
	struct step step = { .slot = (unsigned int)draw(&plan->random, OBJECTS) };
	uint64_t *size = &plan->sizes[step.slot];

	if (!*size) {
		step.op = TRACE_MALLOC;
		*size = step.bytes = 1 + draw(&plan->random, 3000);
	} else if (draw(&plan->random, 2)) {
		step.op = TRACE_WRITE;
		step.bytes = 1 + draw(&plan->random, *size);
	} else {
		step.op = TRACE_FREE;
		*size = 0;
	}
	return step;
}

static void make_calls(const char *driver, uint64_t seed, struct notes *notes)
{
	static unsigned long handles[OBJECTS];
	static const char bytes[3000];
	struct plan plan = { .random = seed };
	struct zpool *pool;
	char spec[256];
	int err = 0;

	(void)snprintf(spec, sizeof(spec), "trace:file=%s,overwrite=yes,buffer=%d+%s", path, BUFFER_BYTES, driver);
	pool = zpool_create_pool(spec, ZPOOL_GFP_KERNEL, NULL);
	while (pool && !err) {
		struct step step = next_step(&plan);
		unsigned long *handle = &handles[step.slot];

		if (step.op == TRACE_MALLOC)
			err = zpool_malloc(pool, step.bytes, ZPOOL_GFP_KERNEL, handle);
		else if (step.op == TRACE_WRITE)
			err = zpool_obj_write(pool, *handle, bytes, step.bytes, 0) != (int64_t)step.bytes;
		else
			zpool_free(pool, *handle);
		atomic_fetch_add(&notes->done, err == 0);
	}
	fprintf(stderr, "%s: the child failed with %d: %s\n", spec, err, zpool_last_error());
	atomic_store(&notes->err, 1);
	_exit(1);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The trace
 */

static bool is_recorded(const struct trace_record *record, const struct step *step, const uint64_t numbers[OBJECTS])
{
	if (record->op != step->op || record->error)
		return false;
	if (step->op == TRACE_MALLOC)
		return record->operands[0] == step->bytes;
	if (!record->known || record->object != numbers[step->slot])
		return false;
	return step->op == TRACE_FREE || (record->operands[0] == step->bytes && record->operands[1] == 0);
}

static bool compare(const struct trace_file *file, uint64_t seed, uint64_t done)
{
	struct plan plan = { .random = seed };
	uint64_t numbers[OBJECTS] = { 0 }, calls = 0;
	struct trace_cursor cursor;
	struct trace_record record;

	for (trace_begin(file, &cursor); trace_next(&cursor, &record); calls++) {
		struct step step = next_step(&plan);

		if (!is_recorded(&record, &step, numbers)) {
			fprintf(stderr, "record %" PRIu64 " differs from the call\n", calls);
			return false;
		}
		if (step.op == TRACE_MALLOC)
			numbers[step.slot] = record.object;
	}
	/* The call in which the child was killed may have been recorded. */
	if (calls <= done + 1 && calls + BUFFERED_CALLS_MAX >= done)
		return true;
	fprintf(stderr, "%" PRIu64 " calls had returned, and %" PRIu64 " are in the trace\n", done, calls);
	return false;
}

static bool is_replayed(void)
{
	const char *build = getenv("abs_top_builddir");
	char command[512];

	(void)snprintf(command, sizeof(command), "%s/tools/zpoolctl", build ? build : ".");
	if (access(command, X_OK))
		return true;
	(void)snprintf(command, sizeof(command), "'%s/tools/zpoolctl' replay '%s' >/dev/null 2>&1", build ? build : ".",
		       path);
	return system(command) == 0;
}

static bool check(uint64_t seed, const struct notes *notes, bool replays)
{
	char text[TRACE_TEXT] = "";
	struct trace_file file;
	bool fine;

	/* The child may have been killed before it created the file, or before it wrote the header. */
	if (!atomic_load(&notes->done))
		return true;
	if (trace_file_read(&file, path, text)) {
		fprintf(stderr, "%s: %s\n", path, text);
		return false;
	}
	fine = file.cut_off && compare(&file, seed, atomic_load(&notes->done));
	trace_file_free(&file);
	if (fine && replays && !is_replayed()) {
		fprintf(stderr, "zpoolctl cannot replay %s\n", path);
		fine = false;
	}
	return fine;
}

static bool round_is_fine(uint64_t *state, unsigned int number, struct notes *notes)
{
	const uint64_t seed = draw(state, UINT64_MAX) | 1, calls = draw(state, 40000);
	struct timespec nap = { .tv_nsec = (long)draw(state, 500000) };
	pid_t child;

	atomic_store(&notes->done, 0);
	child = fork();
	if (child < 0)
		return false;
	if (!child)
		make_calls(drivers[number % DRIVERS], seed, notes);
	while (atomic_load(&notes->done) < calls && !atomic_load(&notes->err))
		usleep(500);
	nanosleep(&nap, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return !atomic_load(&notes->err) && check(seed, notes, number % 10 == 0);
}

int main(int argc, char **argv)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL), calls = 0;
	unsigned int rounds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : ROUNDS, done = 0;
	struct notes *notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t state = (seed * 2654435769U) | 1;
	bool fine = notes != MAP_FAILED;

	if (getenv("ZPOOL_TEST_NO_FORK")) {
		puts("skipped: this build cannot fork");
		return SKIPPED;
	}
	printf("ZPOOL_TEST_SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	(void)snprintf(path, sizeof(path), "trace-crash-%ld.trace", (long)getpid());
	for (; fine && done < rounds; done += fine) {
		fine = round_is_fine(&state, done, notes);
		calls += fine ? atomic_load(&notes->done) : 0;
	}
	if (fine)
		(void)unlink(path);
	printf("%u kills, %" PRIu64 " calls\n", done, calls);
	return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
