/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "os_pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifdef __linux__
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
enum { MEMORY_POLICY_PREFERRED = 1, NODES_MAX = 1024 };
#endif

/* Pages of the library are 4096 bytes; the system's may be larger, and reservations are made of those. */
static size_t os_page_bytes(void)
{
	long bytes = sysconf(_SC_PAGESIZE);

	return bytes > 0 ? (size_t)bytes : 4096;
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

/* Ask for memory of a node.  Advice: where the node is unknown or the call is forbidden, pages come from anywhere. */
static void os_prefer_node(void *address, size_t bytes, int node)
{
#if defined(__linux__) && defined(SYS_mbind)
	enum { LONG_BITS = 8 * sizeof(unsigned long) };
	unsigned long mask[NODES_MAX / LONG_BITS] = { 0 };

	if (node < 0 || node >= NODES_MAX)
		return;
	mask[node / LONG_BITS] = 1UL << (node % LONG_BITS);
	/* The kernel takes the number of bits plus one. */
	(void)syscall(SYS_mbind, address, bytes, MEMORY_POLICY_PREFERRED, mask, NODES_MAX + 1UL, 0U);
#else
	(void)address;
	(void)bytes;
	(void)node;
#endif
}

static void *os_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	size_t unit = os_page_bytes();
	size_t size = round_up(bytes, unit);
	size_t slack = align_bytes > unit ? align_bytes - unit : 0;
	char *start, *aligned;
	int saved_errno = errno;

	(void)context;
	if (bytes == 0 || size < bytes || size + slack < size)
		return NULL;
	start = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return NULL;
	aligned = start + (round_up((uintptr_t)start, slack + unit) - (uintptr_t)start);
	if (aligned > start)
		munmap(start, (size_t)(aligned - start));
	if (aligned < start + slack)
		munmap(aligned + size, (size_t)(start + slack - aligned));
#ifdef MADV_NOHUGEPAGE
	/* A huge page would make a pool hold memory that no object asked for. */
	(void)madvise(aligned, size, MADV_NOHUGEPAGE);
#endif
	os_prefer_node(aligned, size, node);
	errno = saved_errno;
	return aligned;
}

static int os_commit(void *context, void *address, size_t bytes)
{
	(void)context;
	(void)address;
	(void)bytes;
	return 0;
}

/* Drop whole pages of the system. */
static int os_drop(void *address, size_t bytes)
{
#ifdef __linux__
	int saved_errno = errno, err;

	if (madvise(address, bytes, MADV_DONTNEED) == 0)
		return 0;
	err = errno;
	/* Memory under mlockall() needs to be asked for by another name. */
	if (err == EINVAL && madvise(address, bytes, MADV_DONTNEED_LOCKED) == 0)
		err = 0;
	errno = saved_errno;
	return -err;
#else
	/* Elsewhere MADV_DONTNEED may keep the contents; a fresh mapping in the same place does not. */
	int saved_errno = errno, err = 0;

	if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		err = errno;
	errno = saved_errno;
	return -err;
#endif
}

static int os_decommit(void *context, void *address, size_t bytes)
{
	size_t unit = os_page_bytes();
	uintptr_t start = (uintptr_t)address, end = start + bytes;
	uintptr_t first = round_up(start, unit), last = end & ~(unit - 1);
	int err;

	(void)context;
	if (first >= last) { /* inside one large page of the system: it can only be made to read as zero */
		memset(address, 0, bytes);
		return 0;
	}
	err = os_drop((char *)address + (first - start), last - first);
	if (err)
		return err;
	memset(address, 0, first - start);
	memset((char *)address + (last - start), 0, end - last);
	return 0;
}

static void os_release(void *context, void *address, size_t bytes)
{
	int saved_errno = errno;

	(void)context;
	(void)munmap(address, round_up(bytes, os_page_bytes()));
	errno = saved_errno;
}

const struct zpool_page_source zp_os_pages = {
	.struct_size = sizeof(struct zpool_page_source),
	.reserve = os_reserve,
	.commit = os_commit,
	.decommit = os_decommit,
	.release = os_release,
};
