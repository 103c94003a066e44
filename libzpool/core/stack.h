/* SPDX-License-Identifier: MIT
 *
 * stack.h - making and unmaking the layers of a pool
 */
#ifndef ZP_CORE_STACK_H
#define ZP_CORE_STACK_H 1

struct zpool;

/* Fetch the driver of every part, and read what the spec gives it.  0, or -errno with the error text set. */
int zp_stack_resolve(struct zpool *pool);

/* Create the layers, from the top, each filter creating what is below it.  0, or -errno with the error text set. */
int zp_stack_create(struct zpool *pool);

/* Undo both, whatever of them was done. */
void zp_stack_destroy(struct zpool *pool);

#endif
