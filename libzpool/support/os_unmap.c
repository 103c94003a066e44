/* SPDX-License-Identifier: MIT */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "os_unmap.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

/* If more ranges than this are refused, the address space of the others is lost until the process ends. */
enum { LEFT_MAX = 64 };

/*
 * Ranges that are still mapped.  `start` is EMPTY in an entry that has none, and OWNED while a thread changes it.
 * There is no lock, because a child of fork() would find it held by a thread that does not exist there.
 */
enum { EMPTY = 0, OWNED = 1 };
static struct {
	_Atomic(uintptr_t) start;
	size_t bytes;
} left[LEFT_MAX];
static _Atomic(unsigned int) left_count;

/* Returns the start of the range, or EMPTY if the entry is not for this thread to change. */
static uintptr_t entry_take(unsigned int i)
{
	uintptr_t start = atomic_load_explicit(&left[i].start, memory_order_relaxed);

	if (start == EMPTY || start == OWNED ||
	    !atomic_compare_exchange_strong_explicit(&left[i].start, &start, OWNED, memory_order_acquire,
						     memory_order_relaxed))
		return EMPTY;
	return start;
}

static void entry_put(unsigned int i, uintptr_t start)
{
	atomic_store_explicit(&left[i].start, start, memory_order_release);
}

/* Adds the range to the one of an entry if they are neighbours, as ranges that were mapped one after another are. */
static bool entry_extend(unsigned int i, uintptr_t start, size_t bytes)
{
	uintptr_t first = entry_take(i);
	bool joined = first != EMPTY && (first + left[i].bytes == start || start + bytes == first);

	if (joined)
		left[i].bytes += bytes;
	if (first != EMPTY)
		entry_put(i, joined && start < first ? start : first);
	return joined;
}

static bool entry_use(unsigned int i, uintptr_t start, size_t bytes)
{
	uintptr_t empty = EMPTY;

	if (!atomic_compare_exchange_strong_explicit(&left[i].start, &empty, OWNED, memory_order_acquire,
						     memory_order_relaxed))
		return false;
	left[i].bytes = bytes;
	atomic_fetch_add_explicit(&left_count, 1, memory_order_relaxed);
	entry_put(i, start);
	return true;
}

static void remember(uintptr_t start, size_t bytes)
{
	for (unsigned int i = 0; i < LEFT_MAX; i++)
		if (entry_extend(i, start, bytes))
			return;
	for (unsigned int i = 0; i < LEFT_MAX; i++)
		if (entry_use(i, start, bytes))
			return;
}

static void unmap_left(void)
{
	for (unsigned int i = 0; i < LEFT_MAX; i++) {
		uintptr_t start = entry_take(i);

		if (start == EMPTY)
			continue;
		if (munmap((void *)start, left[i].bytes)) {
			entry_put(i, start);
			return;
		}
		atomic_fetch_sub_explicit(&left_count, 1, memory_order_relaxed);
		entry_put(i, EMPTY);
	}
}

void zp_os_unmap(void *address, size_t bytes)
{
	int saved_errno = errno;

	if (munmap(address, bytes) == 0) {
		if (atomic_load_explicit(&left_count, memory_order_relaxed))
			unmap_left();
	} else {
		(void)munlock(address, bytes);
		(void)madvise(address, bytes, MADV_DONTNEED);
		remember((uintptr_t)address, bytes);
	}
	errno = saved_errno;
}

/* The code may be unmapped before the process ends. */
__attribute__((destructor)) static void unmap_last(void)
{
	if (atomic_load_explicit(&left_count, memory_order_relaxed))
		unmap_left();
}
