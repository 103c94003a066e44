/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "os_pages.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "cancel.h"
#include "os_unmap.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif
#ifdef __linux__
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* Linux 5.18 */
#endif
enum { MEMORY_POLICY_PREFERRED = 1, NODES_MAX = 1024 };
#endif

/* A reservation up to this size is accessible from the start: that costs little, and splits no mapping. */
enum { SMALL_BYTES = 64 << 10 };

/* Pages of the library have 4096 bytes.  Pages of the system may be larger, and reservations consist of those. */
static size_t os_page_bytes(void)
{
	long bytes = sysconf(_SC_PAGESIZE);

	return bytes > 0 ? (size_t)bytes : 4096;
}

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

/*
 * Asks for memory of a node.  This is only advice: if the node is unknown or the call is forbidden, pages come from
 * anywhere.
 */
static void os_prefer_node(void *address, size_t bytes, int node)
{
#if defined(__linux__) && defined(SYS_mbind)
	enum { LONG_BITS = 8 * sizeof(unsigned long) };
	unsigned long mask[NODES_MAX / LONG_BITS] = { 0 };

	if (node < 0 || node >= NODES_MAX)
		return;
	mask[node / LONG_BITS] = 1UL << (node % LONG_BITS);
	/* The kernel expects the number of bits plus one. */
	(void)syscall(SYS_mbind, address, bytes, MEMORY_POLICY_PREFERRED, mask, NODES_MAX + 1UL, 0U);
#else
	(void)address;
	(void)bytes;
	(void)node;
#endif
}

/* ---- hosts that lock their memory ---- */

/*
 * In a process that called mlockall(MCL_FUTURE), each new mapping is locked and counted against RLIMIT_MEMLOCK, even if
 * it cannot be accessed.  So reservations are unlocked again, and commit locks the range that it makes accessible.
 */
#if defined(__linux__) && defined(MLOCK_ONFAULT)

/* Memcheck reports an error where the range is not accessible, so this is called only where it is necessary. */
static bool mapping_is_locked(void *address, size_t bytes)
{
	ZP_CANCEL_DISABLED_HERE; /* msync() is a cancellation point */

	return msync(address, bytes, MS_ASYNC | MS_INVALIDATE) != 0 && errno == EBUSY;
}

/*
 * Returns true if the process locks its future mappings.  No system call reports that, so this checks how a new mapping
 * is treated.
 */
static bool future_is_locked(void)
{
	size_t unit = os_page_bytes();
	void *probe = mmap(NULL, unit, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool locked;

	if (probe == MAP_FAILED)
		return errno == EAGAIN; /* RLIMIT_MEMLOCK is used up */
	locked = mapping_is_locked(probe, unit);
	zp_os_unmap(probe, unit);
	return locked;
}

/*
 * Returns true if the process may have locked the mappings that it has, with mlockall(MCL_CURRENT): then it has locked
 * the page of this constant, too.
 */
static bool present_may_be_locked(void)
{
	static const char constant = 0;
	size_t unit = os_page_bytes();

	return mapping_is_locked((void *)((uintptr_t)&constant & ~(uintptr_t)(unit - 1)), unit);
}

/*
 * Locks memory that is about to become accessible, page by page as it is touched.  Populating the whole range would
 * make the pool use memory that it does not count.  Returns 0 or -ENOMEM.
 */
static int lock_like_the_process(void *address, size_t bytes)
{
	if (!future_is_locked() && !(present_may_be_locked() && mapping_is_locked(address, bytes)))
		return 0;
	return mlock2(address, bytes, MLOCK_ONFAULT) ? -ENOMEM : 0;
}

/*
 * A reservation may exceed RLIMIT_MEMLOCK.  A mapping that is unlocked while it is small stays unlocked when it grows.
 */
static void *map_unlocked(size_t bytes)
{
	size_t unit = os_page_bytes();
	void *seed = mmap(NULL, unit, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *grown;

	if (seed == MAP_FAILED)
		return MAP_FAILED;
	grown = munlock(seed, unit) ? MAP_FAILED : mremap(seed, unit, bytes, MREMAP_MAYMOVE);
	if (grown == MAP_FAILED)
		zp_os_unmap(seed, unit);
	return grown;
}

static void *map_inaccessible(size_t bytes)
{
	void *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		return errno == EAGAIN ? map_unlocked(bytes) : MAP_FAILED;
	(void)munlock(start, bytes);
	return start;
}

#else

static int lock_like_the_process(void *address, size_t bytes)
{
	(void)address;
	(void)bytes;
	return 0;
}

static void *map_inaccessible(size_t bytes)
{
	return mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

#endif

/* ---- the source ---- */

/* Extends a range to whole pages of the system. */
static char *widen(void *address, size_t *bytes)
{
	size_t unit = os_page_bytes(), before = (uintptr_t)address & (unit - 1);

	*bytes = round_up(*bytes + before, unit);
	return (char *)address - before;
}

static int os_commit(void *context, void *address, size_t bytes)
{
	char *start = widen(address, &bytes);
	int saved_errno = errno, err = lock_like_the_process(start, bytes);

	(void)context;
	if (!err && mprotect(start, bytes, PROT_READ | PROT_WRITE)) {
		err = -ENOMEM;
		(void)munlock(start, bytes);
	}
	errno = saved_errno;
	return err;
}

void zp_os_pages_close(void *address, size_t bytes)
{
	int saved_errno = errno;

	(void)munlock(address, bytes);
	(void)mprotect(address, bytes, PROT_NONE);
	errno = saved_errno;
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
	start = map_inaccessible(size + slack);
	if (start == MAP_FAILED)
		return NULL;
	aligned = start + (round_up((uintptr_t)start, slack + unit) - (uintptr_t)start);
	if (aligned > start)
		zp_os_unmap(start, (size_t)(aligned - start));
	if (aligned < start + slack)
		zp_os_unmap(aligned + size, (size_t)(start + slack - aligned));
#ifdef MADV_NOHUGEPAGE
	/* A huge page would make a pool hold memory that no object needs. */
	(void)madvise(aligned, size, MADV_NOHUGEPAGE);
#endif
	os_prefer_node(aligned, size, node);
	if (size <= SMALL_BYTES)
		(void)os_commit(NULL, aligned, size); /* if it fails, the commit that follows fails too */
	errno = saved_errno;
	return aligned;
}

#ifdef __linux__
/*
 * madvise() refuses locked memory.  Linux 5.18 has a request that works; for earlier kernels the memory is unlocked
 * first.
 */
static int drop_locked(void *address, size_t bytes)
{
	if (madvise(address, bytes, MADV_DONTNEED_LOCKED) == 0)
		return 0;
	if (errno != EINVAL || munlock(address, bytes) || madvise(address, bytes, MADV_DONTNEED))
		return -errno;
#ifdef MLOCK_ONFAULT
	(void)mlock2(address, bytes, MLOCK_ONFAULT);
#endif
	return 0;
}
#endif

/* Discards whole pages of the system. */
static int os_drop(void *address, size_t bytes)
{
	int saved_errno = errno, err = 0;

#ifdef __linux__
	if (madvise(address, bytes, MADV_DONTNEED))
		err = errno == EINVAL ? drop_locked(address, bytes) : -errno;
#else
	/* On other systems MADV_DONTNEED may keep the contents; a new mapping at the same address does not. */
	if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		err = -errno;
#endif
	errno = saved_errno;
	return err;
}

static int os_decommit(void *context, void *address, size_t bytes)
{
	size_t unit = os_page_bytes();
	uintptr_t start = (uintptr_t)address, end = start + bytes;
	uintptr_t first = round_up(start, unit), last = end & ~(unit - 1);
	int err;

	(void)context;
	if (first >= last) { /* inside one large page of the system: it can only be cleared */
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
	(void)context;
	zp_os_unmap(address, round_up(bytes, os_page_bytes()));
}

const struct zpool_page_source zp_os_pages = {
	.struct_size = sizeof(struct zpool_page_source),
	.reserve = os_reserve,
	.commit = os_commit,
	.decommit = os_decommit,
	.release = os_release,
};
