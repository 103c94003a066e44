/* SPDX-License-Identifier: MIT
 *
 * stack.h - create and destroy the layers of a pool
 */
#ifndef ZP_CORE_STACK_H
#define ZP_CORE_STACK_H 1

#include <stdbool.h>

struct zpool;
struct zpool_driver;

/* All parts of a spec but the last one must be filters. Returns 0, or -EINVAL with the error text set. */
int zp_stack_check_place(const struct zpool_driver *driver, bool last);

/* Gets the driver of every part and parses its parameters. Returns 0, or -errno with the error text set. */
int zp_stack_resolve(struct zpool *pool);

/*
 * Creates the layers from the top; each filter creates the layer below it. Returns 0, or -errno with the error text
 * set.
 */
int zp_stack_create(struct zpool *pool);

/* Undoes both calls, however far they came. */
void zp_stack_destroy(struct zpool *pool);

#endif
