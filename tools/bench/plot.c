/* SPDX-License-Identifier: MIT
 *
 * plot.c - draw the times and the memory that zpoolctl bench measured, with gnuplot
 *
 * gnuplot reads its commands and the numbers from a file without a name. It writes the picture to a temporary file,
 * which is renamed when it is complete.
 */
#include <config.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../interrupt.h"
#include "../message.h"
#include "../output.h"
#include "../zpoolctl.h"
#include "bench.h"

#define GNUPLOT "gnuplot"

/* Searches PATH like execvp(). */
static bool has_gnuplot(void)
{
	const char *path = getenv("PATH");
	char file[4096];

	for (const char *at = path ? path : "/usr/bin:/bin"; *at;) {
		size_t length = strcspn(at, ":");

		if (length && snprintf(file, sizeof(file), "%.*s/" GNUPLOT, (int)length, at) < (int)sizeof(file) &&
		    !access(file, X_OK))
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

bool bench_can_plot(const char *path)
{
	if (!output_check(path))
		return false;
	if (has_gnuplot())
		return true;
	warn("--plot needs gnuplot, which is not installed (Debian: gnuplot-nox)");
	return false;
}

/* ---- Commands for gnuplot ---- */

/*
 * Writes a string in single quotes. Characters with a meaning there, and those that are not visible ASCII, become
 * blanks.
 */
static void quote(FILE *to, const char *text)
{
	fputc('\'', to);
	for (; *text; text++)
		fputc(*text < ' ' || *text > '~' || strchr("'\"\\`@$", *text) ? ' ' : *text, to);
	fputc('\'', to);
}

/* The colours of the allocators, which repeat after the last one. */
static const char *const colors[] = { "1f77b4", "ff7f0e", "2ca02c", "d62728", "9467bd", "8c564b", "e377c2",
				      "7f7f7f", "bcbd22", "17becf", "000000", "aec7e8", "98df8a", "ff9896" };

static const struct {
	enum measure measure;
	const char *name;
} bars[] = {
	{ MEASURE_FILL, "fill" },         { MEASURE_CHURN, "churn" }, { MEASURE_LONG_CHURN, "long churn" },
	{ MEASURE_READ, "read" },         { MEASURE_DROP, "drop" },   { MEASURE_PAIR_FULL, "hot pair" },
	{ MEASURE_TRANSFER, "transfer" },
};
enum { BARS = sizeof(bars) / sizeof(bars[0]) };

static bool has_bars(const struct bench_row *row)
{
	for (unsigned int b = 0; b < BARS && row->kind != BENCH_KERNEL; b++)
		if (bench_has(row, 0, bars[b].measure))
			return true;
	return false;
}

/*
 * Writes the numbers: $times has a line for each measure and a column for each allocator, $memoryN has one sample a
 * line.
 */
static void write_data(FILE *to, const struct bench *bench)
{
	fputs("$times << EOD\n", to);
	for (unsigned int b = 0; b < BARS; b++) {
		if (!(bench->options.measures & MEASURE_BIT(bars[b].measure)))
			continue;
		fprintf(to, "\"%s\"", bars[b].name);
		for (size_t r = 0; r < bench->row_count; r++)
			if (has_bars(&bench->rows[r]) && bench_has(&bench->rows[r], 0, bars[b].measure))
				fprintf(to, " %.2f", bench_ns(&bench->rows[r], 0, bars[b].measure));
			else if (has_bars(&bench->rows[r]))
				fputs(" NaN", to);
		fputc('\n', to);
	}
	fputs("EOD\n", to);
	for (size_t r = 0; r < bench->row_count; r++) {
		const struct timeline *timeline = &bench->rows[r].timeline;

		if (!timeline->count)
			continue;
		fprintf(to, "$memory%zu << EOD\n", r);
		for (size_t i = 0; i < timeline->count; i++)
			fprintf(to, "%zu %.3f\n", i,
				(double)(timeline->at[i].rss_bytes + timeline->at[i].page_table_bytes) / 1048576);
		fputs("EOD\n", to);
	}
}

static void write_times(FILE *to, const struct bench *bench)
{
	unsigned int column = 2;

	fprintf(to,
		"set title 'wall time of an operation, %u thread%s (ns)'\nset style data histogram\n"
		"set style histogram clustered gap 1\nset style fill solid 0.8 noborder\nset logscale y\n"
		"set yrange [1:*]\nset grid ytics\nset key outside right top\nset datafile missing NaN\nplot ",
		bench->options.threads[0], bench->options.threads[0] == 1 ? "" : "s");
	for (size_t r = 0; r < bench->row_count; r++) {
		if (!has_bars(&bench->rows[r]))
			continue;
		fprintf(to, "%s$times using %u:xtic(1) title ", column == 2 ? "" : ", ", column);
		quote(to, bench->rows[r].label);
		column++;
	}
	fputs("\n", to);
}

/*
 * Every run takes the same number of samples of a measure, so samples with the same index can be drawn at the same x.
 */
static void write_memory(FILE *to, const struct bench *bench)
{
	const struct timeline *longest = NULL;
	const char *comma = "";

	fputs("unset logscale y\nset yrange [0:*]\nset title 'resident memory and page tables (MiB)'\nset xtics (", to);
	for (size_t r = 0; r < bench->row_count; r++)
		if (!longest || bench->rows[r].timeline.count > longest->count)
			longest = &bench->rows[r].timeline;
	for (size_t i = 0; longest && i < longest->count; i++)
		if (!i || longest->at[i].measure != longest->at[i - 1].measure) {
			fprintf(to, "%s'%s' %zu", comma, measure_name(longest->at[i].measure), i);
			comma = ", ";
		}
	fputs(") left\nplot ", to);
	comma = "";
	for (size_t r = 0; r < bench->row_count; r++) {
		if (!bench->rows[r].timeline.count)
			continue;
		fprintf(to, "%s$memory%zu using 1:2 with lines linewidth 1.5 title ", comma, r);
		quote(to, bench->rows[r].label);
		comma = ", ";
	}
	fputs("\n", to);
}

static void write_commands(FILE *to, const struct bench *bench)
{
	bool times = false, memory = false;
	const char *end = strrchr(bench->options.plot_path, '.');

	for (size_t r = 0; r < bench->row_count; r++) {
		times = times || has_bars(&bench->rows[r]);
		memory = memory || bench->rows[r].timeline.count;
	}
	if (!strcmp(end, ".svg"))
		fprintf(to, "set terminal svg size 860,%d noenhanced font 'sans-serif,11' background 'white'\n",
			times && memory ? 760 : 380);
	else
		fprintf(to, "set terminal png size 1290,%d noenhanced\n", times && memory ? 1140 : 570);
	for (unsigned int i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
		fprintf(to, "set linetype %u linecolor rgb '#%s'\n", i + 1, colors[i]);
	fprintf(to, "set linetype cycle %zu\n", sizeof(colors) / sizeof(colors[0]));
	write_data(to, bench);
	if (times && memory)
		fputs("set multiplot layout 2,1\n", to);
	if (times)
		write_times(to, bench);
	if (memory)
		write_memory(to, bench);
	if (times && memory)
		fputs("unset multiplot\n", to);
}

/* Writes the commands to a file without a name. Returns its descriptor, or -1 if it could not be written. */
static int make_commands(const struct bench *bench)
{
	int fd = memfd_create("zpoolctl-plot", MFD_CLOEXEC);
	FILE *to = fd < 0 ? NULL : fdopen(dup(fd), "w");

	if (!to)
		return -1;
	write_commands(to, bench);
	if (fclose(to) || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Returns the status of wait(2), or -1. `mask` is the signal mask from before the signals were blocked. */
static int run_gnuplot(int commands, int picture, const sigset_t *mask)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		interrupt_default();
		interrupt_unblock(mask);
		dup2(commands, STDIN_FILENO);
		dup2(picture, STDOUT_FILENO);
		execlp(GNUPLOT, GNUPLOT, "-", (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 ? status : -1;
}

int bench_plot(const struct bench *bench)
{
	int commands = make_commands(bench), status = -1;
	struct output output;
	sigset_t mask;

	if (commands < 0) {
		warn("%s: the commands for gnuplot could not be written: %s", bench->options.plot_path,
		     strerror(errno));
		return STATUS_FAILED;
	}
	sigprocmask(SIG_BLOCK, NULL, &mask);
	if (!output_begin(&output, bench->options.plot_path)) {
		close(commands);
		return STATUS_FAILED;
	}
	status = run_gnuplot(commands, fileno(output.stream), &mask);
	close(commands);
	if (status) {
		warn("%s: gnuplot could not draw the picture", bench->options.plot_path);
		output_drop(&output);
		return STATUS_FAILED;
	}
	return output_end(&output) ? 0 : STATUS_FAILED;
}
