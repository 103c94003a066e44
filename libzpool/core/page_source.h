/* SPDX-License-Identifier: MIT
 *
 * page_source.h - the host's page source, called as callbacks have to be
 */
#ifndef ZP_CORE_PAGE_SOURCE_H
#define ZP_CORE_PAGE_SOURCE_H 1

#include "core/pool.h"

/* What drivers get in place of the host's page source; NULL where the host brings none.  Lives as long as the pool. */
const struct zpool_page_source *zp_page_source_of(struct zpool *pool);

#endif
