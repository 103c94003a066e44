/* SPDX-License-Identifier: MIT
 *
 * os_pages.h - where pages come from when the host brings no source of its own: anonymous memory of the system
 *
 * A reservation is address space without access.  It counts against RLIMIT_AS alone, and costs nothing where the host
 * has called mlockall(MCL_FUTURE).  Commit makes a range readable and writable, and in such a host locks its pages as
 * they are touched; it may be asked for the same range again.  Decommit takes the memory and leaves the access, so that
 * a pool does not split its mappings: the range reads as zeroes, and a later commit of it needs no system call.
 */
#ifndef ZP_SUPPORT_OS_PAGES_H
#define ZP_SUPPORT_OS_PAGES_H

#include <zpool.h>

extern const struct zpool_page_source zp_os_pages;

/* Take the access, and with it the lock, from a range whose memory was decommitted.  Whole pages of the system. */
void zp_os_pages_close(void *address, size_t bytes);

#endif
