/* SPDX-License-Identifier: MIT
 *
 * create.h - what the create and destroy callbacks of drivers have in common
 *
 * Most drivers keep pages in a struct zp_pages and objects in a struct zp_handles, both members of their pool:
 *
 *     struct shelf_pool *pool = calloc(1, sizeof(*pool));
 *     int err = pool ? zp_create_tables(&pool->pages, &pool->handles, sizeof(*pool), 0, args) : -ENOMEM;
 *
 *     if (err) {
 *             free(pool);
 *             return zp_create_failed(args, "shelf", err);
 *     }
 */
#ifndef ZP_SUPPORT_CREATE_H
#define ZP_SUPPORT_CREATE_H

#include <zpool-driver.h>

#include "handles.h"
#include "pages.h"

/*
 * Returns the value of the parameter with this index in the driver's table.  A newer core may have larger values, so
 * they are not an array of the structure that this driver was compiled with.
 */
static inline const struct zpool_value *zp_create_value(const struct zpool_create_args *args, uint32_t index)
{
	return (const struct zpool_value *)(const void *)((const char *)args->values +
							  (size_t)index * args->value_size);
}

/*
 * Initialises the pages of a pool, with the page source, node and limit of the arguments, charges them pool_bytes for
 * the pool's own structure, and initialises the handle table, whose slots have payload_bytes each.  0, or -errno with
 * nothing to undo.  zp_destroy_tables() ends both.
 */
int zp_create_tables(struct zp_pages *pages, struct zp_handles *handles, size_t pool_bytes, size_t payload_bytes,
		     const struct zpool_create_args *args);
void zp_destroy_tables(struct zp_pages *pages, struct zp_handles *handles);

/* Applies the parameter with this index, which says how many bytes of free pages to keep, if it was given. */
void zp_create_reserve(struct zp_pages *pages, const struct zpool_create_args *args, uint32_t index);

/* Returns err, after setting the sentence for zpool_last_error() if the limit is too low for a pool of this type. */
int zp_create_failed(const struct zpool_create_args *args, const char *type, int err);

#endif
