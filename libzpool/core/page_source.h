/* SPDX-License-Identifier: MIT
 *
 * page_source.h - the host's page source, wrapped so that its functions run as callbacks
 */
#ifndef ZP_CORE_PAGE_SOURCE_H
#define ZP_CORE_PAGE_SOURCE_H 1

#include "core/pool.h"

/*
 * Returns the table that drivers get in place of the host's page source, or NULL if the host supplies none. It lives as
 * long as the pool.
 */
const struct zpool_page_source *zp_page_source_of(struct zpool *pool);

#endif
