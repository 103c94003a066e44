/* SPDX-License-Identifier: MIT
 *
 * failing-memory.h - let a certain allocation of the library fail
 *
 * Programs that use this are linked with $(failing_memory_ldflags), which redirects the library's allocations.
 */
#ifndef UNIT_FAILING_MEMORY_H
#define UNIT_FAILING_MEMORY_H 1

#include <stdbool.h>

/* Makes the calling thread's nth allocation from here on fail, counted from 1, and only that one. */
void memory_fail_at(unsigned int nth);

/* Ends this. Returns true if the allocation was reached and failed. */
bool memory_stop(void);

#endif
