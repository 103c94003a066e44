/* SPDX-License-Identifier: MIT
 *
 * report.c - the means of samples, by cycle and by quarter of the run, and the verdict on them
 */
#include <config.h>

#include <inttypes.h>

#include "soak.h"

/*
 * The footprint is the resident memory beyond that without any pool, divided by the bytes of the objects.  Its mean may
 * change by so much from the second quarter to the last.  The other means may grow by as much and a little more.
 */
static const double CHANGE_MOST = 0.01;
static const double HEAP_SLACK_BYTES = 16384;
static const double MAPPINGS_SLACK = 2;
static const double DESCRIPTORS_SLACK = 0;

struct sums {
	uint64_t samples;
	uint64_t footprints; /* of so many samples */
	double footprint, resident, live, objects, heap, mappings, descriptors;
};

static struct {
	FILE *csv;
	struct sums cycle[SUBJECTS_MAX], quarters[SUBJECTS_MAX][QUARTERS];
} report;

static void add(struct sums *sums, const struct sample *sample)
{
	sums->samples++;
	if (sample->live_bytes) {
		sums->footprint += (double)sample->resident_bytes / (double)sample->live_bytes;
		sums->footprints++;
	}
	sums->resident += (double)sample->resident_bytes;
	sums->live += (double)sample->live_bytes;
	sums->objects += (double)sample->objects;
	sums->heap += (double)sample->heap_bytes;
	sums->mappings += (double)sample->mappings;
	sums->descriptors += (double)sample->descriptors;
}

/* Turns sums into means. */
static struct sums means_of(const struct sums *sums)
{
	double n = sums->samples ? (double)sums->samples : 1;
	struct sums means = *sums;

	means.footprint /= sums->footprints ? (double)sums->footprints : 1;
	means.resident /= n;
	means.live /= n;
	means.objects /= n;
	means.heap /= n;
	means.mappings /= n;
	means.descriptors /= n;
	return means;
}

void report_begin(FILE *csv)
{
	report.csv = csv;
	printf("# Each line has the means of a cycle.  The footprint is resident memory and page tables per live byte.\n"
	       "#%7s %-26s %9s %9s %9s %6s %9s %4s %12s\n",
	       "seconds", "subject", "footprint", "live KiB", "objects", "VMAs", "heap KiB", "fds", "operations");
	if (csv)
		fputs("seconds,subject,cycle,quarter,footprint,resident_bytes,live_bytes,objects,vmas,heap_bytes,"
		      "descriptors,operations\n",
		      csv);
}

static void print_cycle(const struct sample *last, const struct sums *means)
{
	const char *name = soak.subjects[last->subject].name;

	printf("%8.0f %-26s %9.4f %9.0f %9.0f %6.1f %9.1f %4.1f %12" PRIu64 "\n", last->seconds, name, means->footprint,
	       means->live / 1024, means->objects, means->mappings, means->heap / 1024, means->descriptors,
	       last->operations);
	(void)fflush(stdout);
	if (!report.csv)
		return;
	fprintf(report.csv, "%.1f,%s,%u,%u,%.5f,%.0f,%.0f,%.0f,%.2f,%.0f,%.2f,%" PRIu64 "\n", last->seconds, name,
		last->cycle + 1, last->cycle * QUARTERS / soak.cycles + 1, means->footprint, means->resident,
		means->live, means->objects, means->mappings, means->heap, means->descriptors, last->operations);
	(void)fflush(report.csv);
}

void report_sample(const struct sample *sample)
{
	struct sums *cycle = &report.cycle[sample->subject], means;

	add(cycle, sample);
	if (soak.cycles >= QUARTERS)
		add(&report.quarters[sample->subject][sample->cycle * QUARTERS / soak.cycles], sample);
	if (cycle->samples < steps_per_cycle())
		return;
	means = means_of(cycle);
	print_cycle(sample, &means);
	*cycle = (struct sums){ 0 };
}

/* ---- the verdict ---- */

static bool judge(const char *subject, const char *what, double second, double last, double most)
{
	bool good = last <= most;

	if (!good)
		printf("DRIFT: %s: the mean of %s was %.1f in the second quarter and %.1f in the last one\n", subject,
		       what, second, last);
	return good;
}

static bool judge_subject(unsigned int subject)
{
	const char *name = soak.subjects[subject].name;
	struct sums second = means_of(&report.quarters[subject][1]);
	struct sums last = means_of(&report.quarters[subject][QUARTERS - 1]);
	double change = second.footprint > 0 ? last.footprint / second.footprint - 1 : 0;
	bool good = change <= CHANGE_MOST && change >= -CHANGE_MOST;

	printf("%s %-26s footprint %.4f, then %.4f (%+.2f %%); VMAs %.1f, %.1f; heap %.1f, %.1f KiB; fds %.1f, %.1f\n",
	       good ? "ok   " : "DRIFT", name, second.footprint, last.footprint, change * 100, second.mappings,
	       last.mappings, second.heap / 1024, last.heap / 1024, second.descriptors, last.descriptors);
	good = judge(name, "VMAs", second.mappings, last.mappings,
		     second.mappings * (1 + CHANGE_MOST) + MAPPINGS_SLACK) &&
	       good;
	good = judge(name, "heap bytes", second.heap, last.heap, second.heap * (1 + CHANGE_MOST) + HEAP_SLACK_BYTES) &&
	       good;
	return judge(name, "descriptors", second.descriptors, last.descriptors,
		     second.descriptors + DESCRIPTORS_SLACK) &&
	       good;
}

bool report_verdict(void)
{
	bool good = true;

	printf("# The means of the second quarter, and of the last one:\n");
	for (unsigned int i = 0; i < soak.subject_count; i++)
		good = judge_subject(i) && good;
	return good;
}
