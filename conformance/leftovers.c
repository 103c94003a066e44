/* SPDX-License-Identifier: MIT
 *
 * leftovers.c - memory and files of the process, to find what pools, objects and drivers leave behind
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "leftovers.h"

#include <dirent.h>
#include <stdio.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static uint64_t heap_bytes(void)
{
#if defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	return (uint64_t)info.uordblks + info.hblkhd;
#else
	return 0;
#endif
#else
	return 0;
#endif
}

void ct_leftovers_look(struct ct_leftovers *now)
{
	unsigned long long pages = 0;
	FILE *statm = fopen("/proc/self/statm", "r");
	DIR *files = opendir("/proc/self/fd");

	now->heap_bytes = heap_bytes();
	now->files = 0;
	if (!statm || !files || fscanf(statm, "%llu", &pages) != 1)
		ct_skip("this system does not show which files and memory a process has");
	fclose(statm);
	while (readdir(files))
		now->files++;
	closedir(files);
	now->address_pages = pages;
}

bool ct_leftovers_compare(const struct ct_leftovers *before, unsigned int times, const char *what, bool last_try)
{
	struct ct_leftovers now;
	uint64_t heap, pages;

	ct_leftovers_look(&now);
	heap = now.heap_bytes > before->heap_bytes ? now.heap_bytes - before->heap_bytes : 0;
	pages = now.address_pages > before->address_pages ? now.address_pages - before->address_pages : 0;

	CT_CHECK(now.files <= before->files, "%u %s left %u files open", times, what, now.files - before->files);
	if (!last_try && (heap >= times * UINT64_C(16) || pages >= times / 2))
		return false;
	CT_CHECK(heap < times * UINT64_C(16), "%u %s left %llu bytes of the C library's malloc behind", times, what,
		 (unsigned long long)heap);
	CT_CHECK(pages < times / 2, "%u %s left %llu pages of address space mapped", times, what,
		 (unsigned long long)pages);
	return true;
}
