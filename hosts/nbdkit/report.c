/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "nbdkit.h"
#include "report.h"

/* The value that stops the thread when it is added to the eventfd.  A signal adds 1, so signals never add up to it. */
#define WAKE_REPORT UINT64_C(1)
#define WAKE_END (UINT64_C(1) << 32)

static const struct settings *settings;
static struct disk *disk;
static int wake_fd = -1;
static int file_fd = -1;
static struct sigaction old_action;
static bool is_signal_ours;
static bool is_running;
static pthread_t thread;

static void print_number(FILE *to, const char *name, uint64_t value)
{
	fprintf(to, "%s=%" PRIu64 "\n", name, value);
}

static void print_stats(FILE *to, const struct zpool_store_stats *stats)
{
#define PRINT(member) print_number(to, #member, stats->member)
	PRINT(units);
	PRINT(same_filled);
	PRINT(incompressible);
	PRINT(original_bytes);
	PRINT(stored_bytes);
	PRINT(pool_bytes);
	PRINT(index_bytes);
	PRINT(context_bytes);
	PRINT(puts);
	PRINT(hits);
	PRINT(misses);
	PRINT(drops);
	PRINT(refused_limit);
	PRINT(refused_too_large);
	PRINT(refused_other);
	PRINT(damaged);
	PRINT(refused_backing);
	PRINT(dirty);
	PRINT(loaded);
	PRINT(written_back);
	PRINT(written_through);
	PRINT(evicted);
	PRINT(second_chances);
	PRINT(load_errors);
	PRINT(write_errors);
	PRINT(flushes);
	PRINT(dictionaries);
	PRINT(dictionary_bytes);
	PRINT(dictionary_units);
	PRINT(dictionaries_trained);
	PRINT(dictionaries_rejected);
	PRINT(sample_bytes);
	PRINT(sample_before_bytes);
	PRINT(sample_after_bytes);
	PRINT(evict_ns);
	PRINT(through_too_large);
#undef PRINT
}

static void print_report(FILE *to)
{
	struct zpool_store_stats stats;
	uint64_t total_bytes = zpool_store_get_total_size(disk_store(disk));

	if (zpool_store_get_stats(disk_store(disk), &stats, sizeof(stats)))
		return;
	print_number(to, "size_bytes", settings->size_bytes);
	print_number(to, "unit_bytes", settings->unit_bytes);
	print_number(to, "limit_bytes", settings->limit_bytes);
	fprintf(to, "driver=%s\ncompressor=%s\n", settings->driver, settings->compressor);
	print_number(to, "total_bytes", total_bytes);
	fprintf(to, "ratio=%.3f\n", total_bytes ? (double)stats.original_bytes / (double)total_bytes : 0.0);
	print_stats(to, &stats);
	fputc('\n', to);
}

/*
 * Returns the report as a string for free(): one "name=value" for each line, and an empty line at the end.  Returns
 * NULL if there is no memory.
 */
static char *make_text(size_t *length)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, length);

	if (!to)
		return NULL;
	print_report(to);
	if (!fclose(to))
		return text;
	free(text);
	return NULL;
}

static void write_text(int fd, const char *text, size_t length)
{
	while (length) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			nbdkit_error("the statistics could not be written: %m");
			return;
		}
		text += written;
		length -= (size_t)written;
	}
}

static void debug_text(char *text)
{
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n")) && *line;)
		nbdkit_debug("zpool: %s", line);
}

static void report(bool is_last)
{
	size_t length;
	char *text = make_text(&length);

	if (!text) {
		nbdkit_error("there is no memory for the statistics");
		return;
	}
	if (file_fd >= 0 || !is_last)
		write_text(file_fd >= 0 ? file_fd : STDERR_FILENO, text, length);
	if (is_last)
		debug_text(text);
	free(text);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The signal and the thread
 */

static void wake(uint64_t what)
{
	ssize_t written = write(wake_fd, &what, sizeof(what));

	(void)written; /* It cannot fail: no program runs long enough to overflow an eventfd with signals. */
}

static void take_signal(int number)
{
	int saved_errno = errno;

	(void)number;
	wake(WAKE_REPORT);
	errno = saved_errno;
}

static void *wait_for_signals(void *unused)
{
	uint64_t woken = 0;

	(void)unused;
	while (woken < WAKE_END) {
		if (read(wake_fd, &woken, sizeof(woken)) != (ssize_t)sizeof(woken))
			continue; /* A signal interrupted the call. */
		if (woken % WAKE_END)
			report(false);
	}
	return NULL;
}

static int set_handler(void)
{
	struct sigaction action = { .sa_handler = take_signal, .sa_flags = SA_RESTART };

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGUSR1, NULL, &old_action)) {
		nbdkit_error("SIGUSR1: %m");
		return -1;
	}
	if (old_action.sa_handler != SIG_DFL) {
		nbdkit_debug("zpool: SIGUSR1 is in use, so it does not print statistics");
		return 0;
	}
	if (sigaction(SIGUSR1, &action, NULL)) {
		nbdkit_error("SIGUSR1: %m");
		return -1;
	}
	is_signal_ours = true;
	return 0;
}

int report_prepare(const struct settings *of)
{
	settings = of;
	if (settings->stats_path) {
		file_fd = open(settings->stats_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
		if (file_fd < 0) {
			nbdkit_error("the parameter stats=%s: %m", settings->stats_path);
			return -1;
		}
	}
	wake_fd = eventfd(0, EFD_CLOEXEC);
	if (wake_fd < 0) {
		nbdkit_error("eventfd: %m");
		return -1;
	}
	return set_handler();
}

int report_start(struct disk *of)
{
	sigset_t all, before;
	int err;

	disk = of;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, wait_for_signals, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err) {
		errno = err;
		nbdkit_error("the thread for statistics could not be started: %m");
		return -1;
	}
	is_running = true;
	return 0;
}

void report_stop(void)
{
	if (!is_running)
		return;
	wake(WAKE_END);
	pthread_join(thread, NULL);
	is_running = false;
	report(true);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void report_fini(void)
{
	if (is_signal_ours)
		sigaction(SIGUSR1, &old_action, NULL);
	is_signal_ours = false;
	close_fd(&wake_fd);
	close_fd(&file_fd);
}
