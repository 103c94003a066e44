/* SPDX-License-Identifier: MIT
 *
 * os_pages.h - the system's page source: anonymous memory, for hosts without a page source of their own
 *
 * A reservation is address space without access.  It counts only against RLIMIT_AS, and costs nothing in a host that
 * has called mlockall(MCL_FUTURE).  Commit makes a range readable and writable, and in such a host locks its pages when
 * they are touched; it may be called for the same range again.  Decommit takes the memory and leaves the access, so
 * that a pool does not split its mappings: the range reads as zeroes, and a later commit of it needs no system call.
 */
#ifndef ZP_SUPPORT_OS_PAGES_H
#define ZP_SUPPORT_OS_PAGES_H

#include <zpool.h>

extern const struct zpool_page_source zp_os_pages;

/*
 * Removes the access, and with it the memory lock, from a range whose memory was decommitted.  The range consists of
 * whole pages of the system.
 */
void zp_os_pages_close(void *address, size_t bytes);

#endif
