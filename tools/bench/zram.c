/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../message.h"
#include "zram.h"

#define DEVICE "/dev/zram0"
#define SYSFS "/sys/block/zram0/"
enum { PAGE_BYTES = 4096 };

/* The state while the device is claimed; the signal handler reads it. */
static volatile sig_atomic_t device = -1, claimed;
static char algorithm_before[32];
static const int ending_signals[] = { SIGHUP, SIGINT, SIGTERM };
enum { ENDING_SIGNALS = sizeof(ending_signals) / sizeof(ending_signals[0]) };
static struct sigaction actions_before[ENDING_SIGNALS];

/* Safe in a signal handler, like its callers. */
static bool write_attribute(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool read_attribute(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static void release_device(void)
{
	if (device >= 0)
		close(device);
	device = -1;
	if (claimed) {
		write_attribute(SYSFS "reset", "1");
		if (*algorithm_before)
			write_attribute(SYSFS "comp_algorithm", algorithm_before);
	}
	claimed = 0;
}

/* After this, the tool's own handler runs and ends the tool. */
static void release_device_and_end(int number)
{
	release_device();
	for (int i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &actions_before[i], NULL);
	raise(number);
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = release_device_and_end };

	/* A signal that is ignored, as under nohup(1), stays ignored. */
	for (int i = 0; i < ENDING_SIGNALS; i++)
		if (!sigaction(ending_signals[i], NULL, &actions_before[i]) && actions_before[i].sa_handler != SIG_IGN)
			sigaction(ending_signals[i], &action, NULL);
}

static void leave_signals(void)
{
	for (int i = 0; i < ENDING_SIGNALS; i++)
		sigaction(ending_signals[i], &actions_before[i], NULL);
}

/* sysfs prints the chosen algorithm in brackets. */
static void remember_algorithm(void)
{
	char text[256];
	const char *from = read_attribute(SYSFS "comp_algorithm", text, sizeof(text)) ? strchr(text, '[') : NULL;
	size_t length = from ? strcspn(++from, "]") : 0;

	if (length < sizeof(algorithm_before))
		memcpy(algorithm_before, from ? from : "", length);
}

const char *zram_problem(const struct sizes *sizes)
{
	char text[256];

	if (geteuid() != 0)
		return "only root may use " DEVICE;
	if (access(DEVICE, F_OK) != 0 || !read_attribute(SYSFS "disksize", text, sizeof(text)))
		return "there is no " DEVICE;
	if (strtoull(text, NULL, 10) != 0)
		return DEVICE " is in use";
	if (!read_attribute(SYSFS "comp_algorithm", text, sizeof(text)) || !strstr(text, "lz4"))
		return DEVICE " cannot compress with lz4";
	return sizes->most > PAGE_BYTES ? "it stores pages, but some objects have more than 4096 bytes" : NULL;
}

/* Returns NULL if the device was claimed, or the reason why not. */
static const char *claim(const struct sizes *sizes)
{
	const char *problem = zram_problem(sizes);
	char text[64];

	if (problem)
		return problem;
	remember_algorithm();
	if (!write_attribute(SYSFS "comp_algorithm", "lz4"))
		return DEVICE " cannot compress with lz4";
	snprintf(text, sizeof(text), "%zu", sizes->count * PAGE_BYTES);
	if (!write_attribute(SYSFS "disksize", text)) {
		write_attribute(SYSFS "comp_algorithm", algorithm_before);
		return DEVICE " did not accept a size";
	}
	claimed = 1;
	device = open(DEVICE, O_WRONLY | O_DIRECT | O_CLOEXEC);
	return device < 0 ? DEVICE " could not be opened" : NULL;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/*
 * Fills a page with random bytes followed by zeros. LZ4 leaves the random bytes as they are, and adds a byte for every
 * 255 bytes of either part and about twelve more.
 */
static void make_page(unsigned char *page, uint32_t compressed, uint64_t *state)
{
	uint32_t overhead = 12 + PAGE_BYTES / 255, bytes = compressed > overhead ? compressed - overhead : 1;

	memset(page, 0, PAGE_BYTES);
	for (uint32_t i = 0; i < bytes; i += (uint32_t)sizeof(uint64_t)) {
		uint64_t word = next_random(state);

		memcpy(page + i, &word, bytes - i < sizeof(word) ? bytes - i : sizeof(word));
	}
}

static bool fill(const struct sizes *sizes, uint64_t *state)
{
	unsigned char *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	bool done = true;

	if (!page)
		out_of_memory();
	for (size_t i = 0; i < sizes->count && done; i++) {
		make_page(page, sizes->at[i], state);
		done = pwrite(device, page, PAGE_BYTES, (off_t)(i * PAGE_BYTES)) == PAGE_BYTES;
	}
	free(page);
	return done;
}

static bool discard(const struct sizes *sizes, uint64_t *state)
{
	for (size_t i = 0; i < sizes->count; i++) {
		uint64_t range[2] = { i * PAGE_BYTES, PAGE_BYTES };

		if (next_random(state) >> 62 && ioctl(device, BLKDISCARD, range) != 0)
			return false;
	}
	return true;
}

/* The first columns of mm_stat are the original size, the compressed size and the used memory. */
static void record_measurement(const struct bench *bench, struct bench_row *row, enum measure measure)
{
	struct figures *figures = &row->figures[0][measure];
	char text[256];
	uint64_t stored, used;

	if (!(bench->options.measures & MEASURE_BIT(measure)) || !read_attribute(SYSFS "mm_stat", text, sizeof(text)) ||
	    sscanf(text, "%*u %" SCNu64 " %" SCNu64, &stored, &used) != 2)
		return;
	figures->rounds = calloc(1, sizeof(*figures->rounds));
	if (!figures->rounds)
		out_of_memory();
	figures->count = 1;
	figures->rounds[0] = (struct measurement){
		.measure = measure, .operations = 1, .live_bytes = stored, .rss_bytes = used, .pool_bytes = used
	};
}

static const char *measure(const struct bench *bench, struct bench_row *row)
{
	uint64_t state = bench->options.seed * 2 + 1;

	if (!fill(&bench->sizes, &state))
		return DEVICE " could not be written";
	record_measurement(bench, row, MEASURE_FILL);
	if (!(bench->options.measures & MEASURE_BIT(MEASURE_DROP)))
		return NULL;
	if (!discard(&bench->sizes, &state))
		return DEVICE " cannot discard pages";
	record_measurement(bench, row, MEASURE_DROP);
	if (!write_attribute(SYSFS "compact", "1"))
		return DEVICE " cannot be compacted";
	record_measurement(bench, row, MEASURE_COMPACT);
	return NULL;
}

void zram_measure(const struct bench *bench, struct bench_row *row)
{
	const char *problem;

	catch_signals();
	problem = claim(&bench->sizes);
	if (!problem)
		problem = measure(bench, row);
	release_device();
	leave_signals();
	if (!problem)
		return;
	row->failed = true;
	row->note = strdup(problem);
	warn("zram: %s", problem);
}
