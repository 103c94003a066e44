/* SPDX-License-Identifier: MIT */
#include "footprint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* Returns the value after a key at the start of a line; the file has KiB, the result is in bytes. */
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
		fprintf(stderr, "%s has no line %s\n", path, key + 1);
		exit(1);
	}
	return strtoull(line + strlen(key), NULL, 10) * 1024;
}

void footprint_settle(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to, inode;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx r%*3c %*s %*s %lu", &from, &to, &inode) == 3 && inode)
			(void)madvise((void *)from, to - from, MADV_POPULATE_READ);
	if (maps)
		fclose(maps);
}

uint64_t footprint_page_table_bytes(void)
{
	return kib_of("/proc/self/status", "\nVmPTE:");
}

/* statm may be wrong by some pages for each processor, so smaps_rollup is read. */
uint64_t footprint_bytes(void)
{
	return kib_of("/proc/self/smaps_rollup", "\nRss:") + footprint_page_table_bytes();
}
