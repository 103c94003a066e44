/* SPDX-License-Identifier: MIT */
#include "footprint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value behind a key at the beginning of a line, in KiB there, in bytes here. */
static uint64_t kib_of(const char *path, const char *key)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *line = NULL;

	if (got > 0) {
		text[got] = '\0';
		line = strstr(text, key);
	}
	if (fd >= 0)
		close(fd);
	if (!line) {
		fprintf(stderr, "%s does not tell of%s\n", path, key);
		exit(1);
	}
	return strtoull(line + strlen(key), NULL, 10) * 1024;
}

/* smaps_rollup rather than statm, which lags behind by some pages for each processor. */
uint64_t footprint_bytes(void)
{
	return kib_of("/proc/self/smaps_rollup", "\nRss:") + kib_of("/proc/self/status", "\nVmPTE:");
}
