/* SPDX-License-Identifier: MIT
 *
 * failing-memory.h - a certain allocation of the library fails
 *
 * Programs that use it are linked with $(failing_memory_ldflags), which sends the library's calls for memory this way.
 */
#ifndef UNIT_FAILING_MEMORY_H
#define UNIT_FAILING_MEMORY_H 1

#include <stdbool.h>

/* From here on the calling thread's nth allocation, counted from 1, fails, and only that one. */
void memory_fail_at(unsigned nth);

/* Ends that.  Did it come so far? */
bool memory_stop(void);

#endif
