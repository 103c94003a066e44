/* SPDX-License-Identifier: MIT
 *
 * zpool-kernel.h - the kernel's names for types and flags
 *
 * For callers that were written against the kernel's interface.  zpool.h includes it where ZPOOL_KERNEL_NAMES is
 * defined; do not include it directly.
 */
#ifndef ZPOOL_KERNEL_H
#define ZPOOL_KERNEL_H 1

typedef zpool_gfp_t gfp_t;
typedef uint64_t u64;
#define GFP_KERNEL ZPOOL_GFP_KERNEL
#define GFP_NOIO ZPOOL_GFP_KERNEL
#define GFP_NOWAIT ZPOOL_GFP_NOWAIT
#define GFP_ATOMIC ZPOOL_GFP_NOWAIT
#define __GFP_ZERO ZPOOL_GFP_ZERO
#define __GFP_HIGHMEM ZPOOL_GFP_HIGHMEM
#define __GFP_MOVABLE ZPOOL_GFP_MOVABLE
#define __GFP_NORETRY ZPOOL_GFP_KERNEL
#define __GFP_NOWARN ZPOOL_GFP_KERNEL
#define __GFP_KSWAPD_RECLAIM ZPOOL_GFP_KERNEL

#endif /* ZPOOL_KERNEL_H */
