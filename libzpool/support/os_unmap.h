/* SPDX-License-Identifier: MIT
 *
 * os_unmap.h - munmap(2) that is repeated later where the system refuses it
 */
#ifndef ZP_SUPPORT_OS_UNMAP_H
#define ZP_SUPPORT_OS_UNMAP_H

#include <stddef.h>

/*
 * Unmaps whole pages of the system.  Linux refuses that if the range is the middle of a mapping, which would become
 * two, while the process has as many mappings as it may have (vm.max_map_count).  The memory of the range is given back
 * even then, and its address space by a later call.  Does not change errno.
 */
void zp_os_unmap(void *address, size_t bytes);

#endif
