/* SPDX-License-Identifier: MIT
 *
 * zpool-kernel.h - the kernel's names for types and flags
 *
 * For callers that were written against the kernel's interface.  zpool.h includes it where ZPOOL_KERNEL_NAMES is
 * defined; do not include it directly.
 *
 * The value of ZPOOL_KERNEL_NAMES is the kernel's version, major * 100 + minor, and chooses how zpool_create_pool() is
 * called; the other functions are those of 3.17 in any case.
 *
 *     no value, or less than 400   zpool_create_pool(type, gfp, ops)
 *     400 to 604                   zpool_create_pool(type, name, gfp, ops)
 *     605 and above                zpool_create_pool(type, name, gfp), for pools without eviction
 *
 * A call in another of these forms does not compile, and neither does an integer in place of a pointer or a pointer in
 * place of an integer.  `name` is the pool's name in messages, and may be NULL.  Since 0.2.
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

/* ---- zpool_create_pool() ---- */
#if ZPOOL_KERNEL_NAMES + 0 >= 400
/* Converts the callback to the `user` pointer of zpool_open() and back.  The kernel's callback has no such argument. */
union zpool_kernel_evict_ {
	int (*evict)(struct zpool *pool, unsigned long handle);
	void *user;
};

static inline int zpool_kernel_call_evict_(struct zpool *pool, unsigned long handle, void *user)
{
	union zpool_kernel_evict_ callback;
	callback.user = user;
	return callback.evict(pool, handle);
}

static inline struct zpool *zpool_kernel_create_(const char *type, const char *name, gfp_t gfp,
						 const struct zpool_ops *ops)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	union zpool_kernel_evict_ callback;
	callback.user = NULL;
	args.gfp = gfp;
	args.name = name;
	if (ops && ops->evict) {
		callback.evict = ops->evict;
		args.evict = zpool_kernel_call_evict_;
		args.user = callback.user;
	}
	return zpool_open(type, &args, sizeof(args));
}
#endif

/*
 * These macros make wrong arguments a compile-time error.  In C++ they are errors anyway.  In C, compilers often only
 * warn about an integer in place of a pointer, so the macros select by the argument's type: an argument that is neither
 * a fitting pointer nor a null pointer constant is replaced by a structure, which no parameter accepts, and `|` accepts
 * no pointer.
 */
#if defined(__cplusplus)
#define ZPOOL_KERNEL_FLAGS_(x) x
#define ZPOOL_KERNEL_STRING_(x) x
#define ZPOOL_KERNEL_OPS_(x) x
#elif defined(__GNUC__)
struct zpool_kernel_wrong_argument_ {
	int unused;
};
/* clang-format off */
#define ZPOOL_KERNEL_FLAGS_(x) ((x) | 0u)
#define ZPOOL_KERNEL_POINTER_(x, fits)                                                                                 \
	__extension__ _Generic((1 ? (void *)(uintptr_t)(x) : (char *)0), char *: NULL, default: fits)
#define ZPOOL_KERNEL_WRONG_ (*(struct zpool_kernel_wrong_argument_ *)0)
#define ZPOOL_KERNEL_STRING_(x)                                                                                        \
	ZPOOL_KERNEL_POINTER_(x, _Generic((x), char *: (x), const char *: (x), void *: (x), const void *: (x),         \
					       default: ZPOOL_KERNEL_WRONG_))
#define ZPOOL_KERNEL_OPS_(x)                                                                                           \
	ZPOOL_KERNEL_POINTER_(x, _Generic((x), struct zpool_ops *: (x), const struct zpool_ops *: (x), void *: (x),    \
					       const void *: (x), default: ZPOOL_KERNEL_WRONG_))
/* clang-format on */
#else
#define ZPOOL_KERNEL_FLAGS_(x) (x)
#define ZPOOL_KERNEL_STRING_(x) (x)
#define ZPOOL_KERNEL_OPS_(x) (x)
#endif

#if ZPOOL_KERNEL_NAMES + 0 >= 605
#define zpool_create_pool(type, name, gfp)                                                                             \
	zpool_kernel_create_(ZPOOL_KERNEL_STRING_(type), ZPOOL_KERNEL_STRING_(name), ZPOOL_KERNEL_FLAGS_(gfp), NULL)
#elif ZPOOL_KERNEL_NAMES + 0 >= 400
#define zpool_create_pool(type, name, gfp, ops)                                                                        \
	zpool_kernel_create_(ZPOOL_KERNEL_STRING_(type), ZPOOL_KERNEL_STRING_(name), ZPOOL_KERNEL_FLAGS_(gfp),         \
			     ZPOOL_KERNEL_OPS_(ops))
#elif !defined(__cplusplus)
#define zpool_create_pool(type, gfp, ops)                                                                              \
	zpool_create_pool(ZPOOL_KERNEL_STRING_(type), ZPOOL_KERNEL_FLAGS_(gfp), ZPOOL_KERNEL_OPS_(ops))
#endif

#endif /* ZPOOL_KERNEL_H */
