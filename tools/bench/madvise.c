/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "madvise.h"

static _Atomic(uint64_t) calls;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the C library's parameter names are reserved. */
__attribute__((visibility("default"))) int madvise(void *address, size_t bytes, int advice)
{
	atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
	return (int)syscall(SYS_madvise, address, bytes, advice);
}

uint64_t madvise_calls(void)
{
	return atomic_load_explicit(&calls, memory_order_relaxed);
}
