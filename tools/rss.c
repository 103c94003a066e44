/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rss.h"

/*
 * The kernel counts smaps_rollup page by page. The cheaper sums in statm lag behind by some pages for each processor.
 */
uint64_t rss_bytes(void)
{
	static const char key[] = "\nRss:";
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	const char *line;
	char text[2048];
	ssize_t got;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = '\0';
	line = strstr(text, key);
	return line ? strtoull(line + sizeof(key) - 1, NULL, 10) * 1024 : 0;
}

uint64_t rss_available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	uint64_t bytes = 0;
	char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0)
		if (!strncmp(line, "MemAvailable:", 13) || !strncmp(line, "SwapFree:", 9))
			bytes += strtoull(strchr(line, ':') + 1, NULL, 10) * 1024;
	free(line);
	if (file)
		fclose(file);
	return bytes;
}

/* Returns what RLIMIT_DATA limits: the private writable memory of this process. */
static uint64_t data_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (file) {
		if (fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void rss_limit_to_available(void)
{
	const uint64_t available = rss_available_bytes(), held = data_bytes();
	struct rlimit limit;

	if (!available || !held || getrlimit(RLIMIT_DATA, &limit) || available + held >= limit.rlim_cur)
		return;
	limit.rlim_cur = (rlim_t)(available + held);
	(void)setrlimit(RLIMIT_DATA, &limit);
}

void rss_settle(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

void *rss_array(size_t count, size_t size)
{
	void *array;

	if (!count)
		count = 1;
	if (count > SIZE_MAX / size)
		return NULL;
	array = mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return array == MAP_FAILED ? NULL : array;
}
