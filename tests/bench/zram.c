/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE 1
#include "zram.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"

#define SYSFS "/sys/block/zram0/"
enum { PAGE_BYTES = 4096 };

/* While the device is ours; a signal handler reads them. */
static volatile int device = -1;
static volatile sig_atomic_t claimed;
static char algorithm_before[32];
static const int ending_signals[] = { SIGHUP, SIGINT, SIGTERM, SIGABRT };
enum { ENDING_SIGNALS = sizeof(ending_signals) / sizeof(ending_signals[0]) };
static struct sigaction actions_before[ENDING_SIGNALS];

/* Safe in a signal handler, as is what calls it. */
static bool tell(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool ask(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static void give_back(void)
{
	if (device >= 0)
		close(device);
	device = -1;
	if (claimed) {
		tell(SYSFS "reset", "1");
		if (*algorithm_before)
			tell(SYSFS "comp_algorithm", algorithm_before);
	}
	claimed = 0;
}

static void give_back_and_die(int number)
{
	give_back();
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = give_back_and_die };

	for (int i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &action, &actions_before[i]);
}

static void leave_signals(void)
{
	for (int i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &actions_before[i], NULL);
}

/* The chosen one stands in brackets. */
static void remember_algorithm(void)
{
	char text[256];
	const char *from = ask(SYSFS "comp_algorithm", text, sizeof(text)) ? strchr(text, '[') : NULL;
	size_t length = from ? strcspn(++from, "]") : 0;

	if (length < sizeof(algorithm_before))
		memcpy(algorithm_before, from ? from : "", length);
}

/* NULL: it is ours. */
static const char *claim(size_t pages)
{
	char text[64];

	if (geteuid() != 0)
		return "only root may use it";
	if (access("/dev/zram0", F_OK) != 0 || !ask(SYSFS "disksize", text, sizeof(text)))
		return "there is no /dev/zram0";
	if (strtoull(text, NULL, 10) != 0)
		return "/dev/zram0 is in use";
	remember_algorithm();
	if (!tell(SYSFS "comp_algorithm", "lz4"))
		return "/dev/zram0 knows no lz4";
	snprintf(text, sizeof(text), "%zu", pages * PAGE_BYTES);
	if (!tell(SYSFS "disksize", text)) {
		tell(SYSFS "comp_algorithm", algorithm_before);
		return "/dev/zram0 took no size";
	}
	claimed = 1;
	device = open("/dev/zram0", O_WRONLY | O_DIRECT | O_CLOEXEC);
	return device < 0 ? "/dev/zram0 could not be opened" : NULL;
}

/*
 * Random bytes and then zeros.  LZ4 leaves the first as they are and adds a byte for each 255 of either, and some
 * twelve more.
 */
static void make_page(unsigned char *page, uint32_t compressed, uint64_t content)
{
	uint32_t overhead = 12 + PAGE_BYTES / 255, random = compressed > overhead ? compressed - overhead : 1;

	if (random > PAGE_BYTES)
		random = PAGE_BYTES;
	memcpy(page, draw_bytes(content), random);
	memset(page + random, 0, PAGE_BYTES - random);
	/* No two pages alike, for the device may store such once. */
	memcpy(page, &content, random < sizeof(content) ? random : sizeof(content));
}

static bool fill(const struct draw_trace *trace, size_t pages, struct draw_rng *rng)
{
	unsigned char *page = draw_array(1, PAGE_BYTES);

	for (size_t i = 0; i < pages; i++) {
		make_page(page, draw_size(rng, trace), draw_next(rng));
		if (pwrite(device, page, PAGE_BYTES, (off_t)(i * PAGE_BYTES)) != PAGE_BYTES)
			return false;
	}
	return true;
}

static bool discard(size_t pages, struct draw_rng *rng)
{
	uint32_t *order = draw_array(pages, sizeof(*order));

	draw_shuffle(rng, order, pages);
	for (size_t i = 0; i < pages * 3 / 4; i++) {
		uint64_t range[2] = { (uint64_t)order[i] * PAGE_BYTES, PAGE_BYTES };

		if (ioctl(device, BLKDISCARD, range) != 0)
			return false;
	}
	return true;
}

/* The columns of mm_stat: original, compressed, used. */
static double used_over_stored(void)
{
	char text[256];
	uint64_t stored, used;

	if (!ask(SYSFS "mm_stat", text, sizeof(text)) ||
	    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &stored, &used) != 2 || !stored)
		return 0;
	return (double)used / (double)stored;
}

static const char *measure(const struct draw_trace *trace, size_t pages, uint64_t seed, struct zram_figures *figures)
{
	struct draw_rng rng = { seed };
	double start;

	if (!fill(trace, pages, &rng))
		return "/dev/zram0 could not be written";
	figures->fill = used_over_stored();
	if (!discard(pages, &rng))
		return "/dev/zram0 discards nothing";
	figures->drop = used_over_stored();
	start = bench_now_ns();
	if (!tell(SYSFS "compact", "1"))
		return "/dev/zram0 cannot be compacted";
	figures->compact_ms = (bench_now_ns() - start) / 1e6;
	figures->compacted = used_over_stored();
	return figures->fill > 0 && figures->drop > 0 && figures->compacted > 0 ? NULL : "/dev/zram0 tells nothing";
}

bool zram_measure(const struct draw_trace *trace, size_t pages, uint64_t seed, struct zram_figures *figures)
{
	*figures = (struct zram_figures){ .fill = 0 };
	catch_signals();
	figures->reason = claim(pages);
	if (!figures->reason)
		figures->reason = measure(trace, pages, seed, figures);
	give_back();
	leave_signals();
	return !figures->reason;
}
