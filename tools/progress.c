/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <zpool.h>

#include "clock.h"
#include "interrupt.h"
#include "progress.h"

#define DRAW_NS UINT64_C(100000000)
#define LABEL_COLUMNS 24
#define BAR_COLUMNS_MAX 50

static struct {
	char label[LABEL_COLUMNS + 1]; /* empty while no bar is active */
	uint64_t total;
	uint64_t drawn_ns; /* 0 while the bar is not on the terminal */
} progress;

static bool on_terminal(void)
{
	static int known = -1;

	if (known < 0) {
		const char *term = getenv("TERM");

		known = isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb");
	}
	return known;
}

static int terminal_columns(void)
{
	struct winsize size;

	if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		return size.ws_col;
	return 80;
}

static void draw(uint64_t done)
{
	char bar[BAR_COLUMNS_MAX + 1];
	int columns = terminal_columns() - LABEL_COLUMNS - 10;
	int filled;

	if (done > progress.total)
		done = progress.total;
	if (columns > BAR_COLUMNS_MAX)
		columns = BAR_COLUMNS_MAX;
	if (columns < 4 || !progress.total) {
		fprintf(stderr, "\r%s\033[K", progress.label);
		return;
	}
	filled = (int)((double)columns * (double)done / (double)progress.total);
	memset(bar, '#', (size_t)filled);
	memset(bar + filled, '.', (size_t)(columns - filled));
	bar[columns] = '\0';
	fprintf(stderr, "\r%-*s [%s] %3d %%\033[K", LABEL_COLUMNS, progress.label, bar,
		(int)(100.0 * (double)done / (double)progress.total));
}

void progress_start(const char *label, uint64_t total)
{
	if (!on_terminal())
		return;
	zpool_escape(progress.label, sizeof(progress.label), label);
	progress.total = total;
	progress.drawn_ns = 0;
	progress_update(0);
}

void progress_update(uint64_t done)
{
	uint64_t now;

	if (!*progress.label)
		return;
	now = clock_ns();
	if (progress.drawn_ns && now - progress.drawn_ns < DRAW_NS)
		return;
	progress.drawn_ns = now;
	interrupt_set_line(true);
	draw(done);
}

void progress_hide(void)
{
	if (!progress.drawn_ns)
		return;
	fputs("\r\033[K", stderr);
	progress.drawn_ns = 0;
	interrupt_set_line(false);
}

void progress_end(void)
{
	progress_hide();
	*progress.label = '\0';
}
