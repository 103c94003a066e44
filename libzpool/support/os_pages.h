/* SPDX-License-Identifier: MIT
 *
 * os_pages.h - where pages come from when the host brings no source of its own: anonymous memory of the system
 *
 * A reservation is readable and writable from the start and takes memory as it is touched, so commit has nothing to do,
 * and a decommitted range may still be read (as zeroes), which only this source promises.
 */
#ifndef ZP_SUPPORT_OS_PAGES_H
#define ZP_SUPPORT_OS_PAGES_H

#include <zpool.h>

extern const struct zpool_page_source zp_os_pages;

#endif
