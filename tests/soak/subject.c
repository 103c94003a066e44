/* SPDX-License-Identifier: MIT
 *
 * subject.c - the life of a subject: cycles, their phases, and what the process measures after each step
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"
#include "conformance/contract.h"
#include "conformance/footprint.h"

static const struct phase phases[] = {
	{ "burst", 4, 100, SIZES_PAGES, false, false, false, false },
	{ "replace", 12, 100, SIZES_PAGES, false, true, false, false },
	{ "shift", 14, 100, SIZES_SMALL, false, false, true, false },
	{ "drain", 4, 12, SIZES_SMALL, true, false, false, false },
	{ "rest", 6, 12, SIZES_PAGES, true, true, true, false },
	{ "burst again", 4, 100, SIZES_LARGE, false, false, false, false },
	{ "evict", 12, 90, SIZES_LARGE, false, false, true, true },
	{ "drain again", 4, 25, SIZES_LARGE, true, false, true, false },
};
enum { PHASES = sizeof(phases) / sizeof(phases[0]), LINE_BYTES = 65536 };

/*
 * What a process may keep after everything was freed: stacks, arenas and caches of threads, in which freed blocks still
 * count as given out.
 */
enum { RESIDENT_LEFT = 2 << 20, HEAP_LEFT = 512 << 10 };

unsigned int steps_per_cycle(void)
{
	unsigned int steps = 0;

	for (unsigned int i = 0; i < PHASES; i++)
		steps += phases[i].steps;
	return steps;
}

double soak_seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- measuring ---- */

static uint64_t count_mappings(void)
{
	static char text[LINE_BYTES];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t lines = 0;
	ssize_t got = 0;

	while (fd >= 0 && (got = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	soak_check(fd >= 0 && got == 0, "/proc/self/maps: %s", strerror(errno));
	close(fd);
	return lines;
}

/* opendir() allocates memory, so the heap is measured at another time. */
static uint64_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t count = 0;

	soak_check(dir, "/proc/self/fd: %s", strerror(errno));
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1;
}

/* The bytes that malloc() has given out.  A sanitizer's malloc, and that of other C libraries, does not say. */
static uint64_t count_heap(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
#else
	return 0;
#endif
}

static void measure(struct sample *sample)
{
	sample->heap_bytes = count_heap();
	sample->resident_bytes = footprint_bytes();
	sample->mappings = count_mappings();
	sample->descriptors = count_descriptors();
}

/* ---- the run ---- */

static struct {
	const struct subject *subject;
	int samples;
	double start_s;
	struct sample before; /* without any pool */
	struct step step;
	bool working;
} run;

static void wait_for_step(void)
{
	double left_s = run.start_s + run.step.number * soak.step_s - soak_seconds();
	struct timespec pause = { .tv_sec = (time_t)left_s,
				  .tv_nsec = (long)((left_s - (double)(time_t)left_s) * 1e9) };

	if (left_s > 0)
		(void)nanosleep(&pause, NULL);
}

static void send_sample(void)
{
	struct sample sample = { .subject = (uint32_t)(run.subject - soak.subjects) };

	measure(&sample);
	sample.resident_bytes -=
		sample.resident_bytes < run.before.resident_bytes ? sample.resident_bytes : run.before.resident_bytes;
	sample.cycle = run.step.number / steps_per_cycle();
	sample.seconds = soak_seconds() - run.start_s;
	sample.operations = run.step.operations * WORKERS * (run.step.number + 1);
	run.subject->workload->count(&sample.objects, &sample.live_bytes);
	soak_check(write(run.samples, &sample, sizeof(sample)) == (ssize_t)sizeof(sample), "a sample was not sent: %s",
		   strerror(errno));
}

static void run_step(void)
{
	const struct workload *workload = run.subject->workload;

	wait_for_step();
	if (!run.working)
		gang_start(workload->work);
	run.working = true;
	gang_work(&run.step, workload->tend);
	if (run.step.phase->new_threads) {
		gang_end();
		run.working = false;
	}
	workload->rest(&run.step);
	send_sample();
	run.step.number++;
}

static void run_cycle(void)
{
	double from = phases[PHASES - 1].percent;

	for (unsigned int p = 0; p < PHASES; p++) {
		const struct phase *phase = &phases[p];

		run.step.phase = phase;
		for (unsigned int s = 1; s <= phase->steps; s++) {
			run.step.share = (from + (phase->percent - from) * s / phase->steps) / 100;
			run_step();
		}
		from = phase->percent;
		if (run.working)
			gang_end();
		run.working = false;
	}
	run.subject->workload->check();
}

/* A first pool and first threads allocate what the process keeps. */
static void warm_up(void)
{
	static const struct phase nothing = { .name = "warm up" };
	struct step step = { .phase = &nothing };
	const struct workload *workload = run.subject->workload;

	workload->open(run.subject->spec);
	gang_start(workload->work);
	gang_work(&step, workload->tend);
	gang_end();
	workload->close();
	footprint_settle();
	measure(&run.before);
	measure(&run.before);
}

static void check_residue(void)
{
	struct sample after;

	measure(&after);
	soak_check(after.descriptors == run.before.descriptors, "there were %llu descriptors before, and %llu now",
		   (unsigned long long)run.before.descriptors, (unsigned long long)after.descriptors);
	if (ct_instrumented())
		return;
	soak_check(after.heap_bytes <= run.before.heap_bytes + HEAP_LEFT,
		   "without any pool the heap had %llu bytes before, and has %llu now",
		   (unsigned long long)run.before.heap_bytes, (unsigned long long)after.heap_bytes);
	soak_check(after.resident_bytes <= run.before.resident_bytes + RESIDENT_LEFT,
		   "without any pool %llu bytes were resident before, and %llu are now",
		   (unsigned long long)run.before.resident_bytes, (unsigned long long)after.resident_bytes);
}

void subject_run(unsigned int number, int samples)
{
	run.subject = &soak.subjects[number];
	run.samples = samples;
	run.step.operations = soak.operations / run.subject->workload->slowness;
	warm_up();
	run.subject->workload->open(run.subject->spec);
	run.start_s = soak_seconds();
	for (unsigned int i = 0; i < soak.cycles; i++)
		run_cycle();
	run.subject->workload->close();
	check_residue();
}
