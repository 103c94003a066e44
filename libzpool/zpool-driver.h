/* SPDX-License-Identifier: MIT
 *
 * zpool-driver.h - the interface for authors of drivers
 *
 * A driver is a constant structure, `struct zpool_driver`, that consists mainly of callbacks.  As a plugin it is a
 * shared object named <type>.so in a plugin directory, which exports that structure under the name zpool_driver:
 *
 *     ZPOOL_DRIVER_DEFINE(bump, "1.0", "hands out memory and never takes it back",
 *         .max_object_bytes = 4096, .alignment_bytes = 16,
 *         .create = bump_create, .destroy = bump_destroy, .malloc = bump_malloc, .free = bump_free,
 *         .map = bump_map, .unmap = bump_unmap, .total_size = bump_total_size)
 *
 * A plugin does not link with libzpool and calls none of its functions: the arguments of its create callback contain
 * everything that it needs from the core (struct zpool_host).  The same structure can be linked into a program and
 * passed to zpool_register_driver().
 *
 * The core checks before each call: pool and out pointers are not NULL, handle is not 0, sizes are between 1 and
 * max_object_bytes, flags are known, map modes are known, shrink has pages > 0.  The driver itself must check whether a
 * handle is live, enforce the limit (if it has set_limit), and do its own locking.  Every callback may run in several
 * threads at the same time, except create and destroy of a pool.  No lock of the core is held while a callback runs,
 * except that the core serialises malloc if it enforces a limit; and a driver must not hold a lock of its own when it
 * calls evict, a lower driver's shrink, or any function of another pool that may evict.
 *
 * Cancellation.  The core disables it around its calls, except for malloc, free, map, unmap, read, write, obj_size and
 * total_size.  In these, a driver that may reach a cancellation point (a sleep, file access, a wait on a condition
 * variable) must disable it itself, like the locks of the support library do (zpool-support/cancel.h).  The core's own
 * functions that a driver calls, evict and the page source are not cancellation points.
 *
 * Members are only ever added at the end of these structures.  Each structure contains its own size at the time when it
 * was compiled; the reader copies the smaller of the two sizes into a zeroed structure.  abi_minor increases when
 * members are added, abi_major when a meaning changes.
 *
 * Since 0.1, all of it.
 */
#ifndef ZPOOL_DRIVER_H
#define ZPOOL_DRIVER_H 1

#include <zpool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZPOOL_DRIVER_MAGIC UINT64_C(0x5a504f4f4c445256) /* "ZPOOLDRV" */
#define ZPOOL_ABI_MAJOR 1
#define ZPOOL_ABI_MINOR 1

/* For messages that count: "%u page%s", n, ZPOOL_PLURAL(n). */
#define ZPOOL_PLURAL(n) ((n) == 1 ? "" : "s")

/* Flags that a core must know, or it refuses the driver. */
#define ZPOOL_DRIVER_FILTER 0x1u   /* runs on top of another driver: uses create's lower_spec */
#define ZPOOL_DRIVER_RESIDENT 0x2u /* never unmap: it starts threads, or leaves pointers to its code behind */

/* Flags that a core may ignore. */
#define ZPOOL_DRIVER_SLEEP_MAPPED 0x1u /* a caller may block while it has an object mapped */
#define ZPOOL_DRIVER_MOVABLE 0x2u      /* makes use of ZPOOL_GFP_MOVABLE */
#define ZPOOL_DRIVER_NOWAIT 0x4u       /* ZPOOL_GFP_NOWAIT can succeed */

/* A parameter's value, parsed and checked.  Entries stand in the order of the driver's table, one a parameter. */
struct zpool_value {
	const char *key;
	const char *text; /* as given, with escapes decoded; otherwise the default; NULL: neither */
	uint64_t number;  /* BOOL: 0 or 1; UINT, SIZE: the number; ENUM: which of choices; STRING: its length */
	uint32_t given;   /* 1: given in the spec, 0: the default */
	uint32_t reserved;
};

/* The driver below a filter. */
struct zpool_lower {
	uint32_t struct_size;
	uint32_t caps;                     /* ZPOOL_CAP_*, of this pool */
	const struct zpool_driver *driver; /* the core's own record of it: optional callbacks may be NULL */
	void *pool;                        /* first argument of its callbacks */
	size_t max_object_bytes;
	size_t alignment_bytes;
};

/*
 * The functions of the core that a driver may call.  `core` is the member of create's args.  The table is valid as long
 * as the pool lives.
 *
 * log                 logs a message, printf style.  It may be called anywhere.  But a log handler that uses the pool
 *                     waits for ever if the driver holds a lock that this call needs, or if a filter above it does,
 *                     which may be during free, map, unmap and NOWAIT mallocs.
 * error               sets the sentence that zpool_last_error() returns for the failure that is about to be returned
 * thread_exit_add     registers fn(arg) to be called when the calling thread ends; 0 or -ENOMEM.  The hook is stored in
 *                     the core, so it is safe even if the plugin is no longer mapped by then, as long as destroy
 *                     cancels it.  After destroy, the core drops the hooks that remain, and logs an error.
 * thread_exit_cancel  removes fn(arg) from every thread; when it returns, no such call is running (except one that the
 *                     caller itself runs inside of)
 * lower_create        for filters only, inside create: creates the pool of lower_spec.  evict and evict_context are
 *                     passed to the lower driver; NULL: it cannot evict.  0 or -errno.
 * lower_destroy       for filters only, inside destroy or a failed create: destroys that pool
 * malloc_caller       inside malloc: the address in the program that the zpool_malloc() call returns to, for reports
 * opened              returns 1 once the owner has the pool; 0 inside create, and inside a destroy because another part
 *                     of the stack failed.  The driver must then also undo its effects outside of the process, such as
 *                     a file that it created.  Since ABI 1.1.
 */
struct zpool_host {
	uint32_t struct_size;
	uint32_t abi_minor;
	void (*log)(void *core, enum zpool_log_level level, const char *format, ...)
#if defined(__GNUC__)
		__attribute__((format(printf, 3, 4)))
#endif
		;
	void (*error)(void *core, const char *format, ...)
#if defined(__GNUC__)
		__attribute__((format(printf, 2, 3)))
#endif
		;
	int (*thread_exit_add)(void *core, void (*fn)(void *arg), void *arg);
	void (*thread_exit_cancel)(void *core, void (*fn)(void *arg), void *arg);
	int (*lower_create)(void *core, int (*evict)(void *evict_context, unsigned long handle), void *evict_context,
			    struct zpool_lower *lower, size_t lower_size);
	void (*lower_destroy)(void *core, struct zpool_lower *lower);
	const void *(*malloc_caller)(void *core);
	int (*opened)(void *core);
};

/*
 * The arguments of create.  The structure and its strings are invalid after create has returned; host, core,
 * page_source and evict_context are valid as long as the pool.
 *
 * limit_bytes    the limit of total_size; 0: none.  For a driver without set_limit the core enforces it: while there is
 *                a limit, the core serialises malloc calls and frees an object that exceeds it, so total_size may
 *                exceed the limit for the duration of one malloc.
 * evict          asks the owner to free an object (see struct zpool_ops); NULL: the pool has no eviction.  In a NOWAIT
 *                malloc of a pool whose limit the core enforces, it returns -EAGAIN
 * page_source    the host's page source, or NULL: the driver gets pages from the system
 * values         count entries, value_size bytes apart
 * lower_spec     filters: the parts of the spec below this one
 */
struct zpool_create_args {
	uint32_t struct_size;
	uint32_t value_size;
	const struct zpool_host *host;
	void *core;
	const char *name;
	zpool_gfp_t gfp;
	int32_t node;
	uint64_t limit_bytes;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
	const struct zpool_page_source *page_source;
	const struct zpool_value *values;
	uint32_t value_count;
	uint32_t reserved;
	const char *lower_spec;
};

/*
 * The result of create.  The core fills in every member except `pool` from the driver's structure; create may change
 * them.
 */
struct zpool_created {
	uint32_t struct_size;
	uint32_t caps;
	void *pool;
	size_t max_object_bytes;
	size_t alignment_bytes;
};

/* The limits of a call of compact; 0: no limit. */
struct zpool_budget {
	uint32_t struct_size;
	uint32_t reserved;
	uint64_t bytes;
	uint64_t ns;
};

enum zpool_fork_phase { ZPOOL_FORK_PREPARE, ZPOOL_FORK_PARENT, ZPOOL_FORK_CHILD };

/*
 * A driver.  The head up to flags_ignorable never changes its layout.
 *
 * Mandatory callbacks:
 *   create      create a pool: 0 and out->pool, or -errno
 *   destroy     destroy it with all its objects
 *   malloc      0 and *handle (never 0, not an address); -ENOMEM, -ENOSPC, -EAGAIN, and *handle is not changed
 *   free        0; -EINVAL: not live; -EBUSY: mapped.  The core logs and reports both.
 *   total_size  bytes held; called often, must be cheap
 *   map, unmap  address or NULL and errno (EINVAL, EBUSY); 0 or -EINVAL: not live, or not mapped
 *   or read, write: bytes copied, or -EINVAL
 *
 * Optional (NULL):
 *   shrink      empty `pages` backing pages, oldest first, through evict; *reclaimed (never NULL) is always set
 *   compact     move objects together; 0: nothing left to gain, 1: the budget ended the work; *released is the number
 *               of bytes by which the pool became smaller; each call does at least one step, and the next call
 *               continues where it stopped
 *   obj_size    usable bytes or -EINVAL
 *   stats       fill the structure, which the core has zeroed; the core adds the calls that it refused itself (limit,
 *               handles)
 *   each_class, each_object   visit, no lock held in fn
 *   set         change a RUNTIME parameter: index in the table, and the value
 *   set_limit   change the limit; a driver with this callback must also enforce args->limit_bytes.  A filter with this
 *               callback must pass the limit on to the driver below, if that has set_limit, less the bytes that the
 *               filter holds itself; the core calls set_limit of a layer only if the layer above it has none
 *   trim        return free pages to the system; *released in bytes
 *   fork        PREPARE takes the pool's locks, PARENT and CHILD release them
 *   verify      check the pool's own invariants: 0, or -EUCLEAN after a call of host->error that describes the broken
 *               one.  Builds with debug checks call it after every call, also while other threads use the pool and
 *               inside evict.
 */
struct zpool_driver {
	uint64_t magic;
	uint32_t abi_major;
	uint32_t abi_minor;
	uint32_t struct_size;
	uint32_t flags_required;
	uint32_t flags_ignorable;
	uint32_t param_size; /* sizeof(struct zpool_param) */
	const char *type;
	const char *version;
	const char *description;
	const struct zpool_param *params;
	uint32_t param_count;
	uint32_t reserved;
	size_t max_object_bytes;
	size_t alignment_bytes; /* a power of two, at least 8 */

	int (*create)(const struct zpool_create_args *args, struct zpool_created *out);
	void (*destroy)(void *pool);
	int (*malloc)(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle);
	int (*free)(void *pool, unsigned long handle);
	uint64_t (*total_size)(void *pool);
	void *(*map)(void *pool, unsigned long handle, enum zpool_mapmode mode);
	int (*unmap)(void *pool, unsigned long handle);
	int64_t (*read)(void *pool, unsigned long handle, void *buf, size_t len, size_t offset);
	int64_t (*write)(void *pool, unsigned long handle, const void *buf, size_t len, size_t offset);

	int (*shrink)(void *pool, unsigned int pages, unsigned int *reclaimed);
	int (*compact)(void *pool, const struct zpool_budget *budget, uint64_t *released);
	int64_t (*obj_size)(void *pool, unsigned long handle);
	int (*stats)(void *pool, struct zpool_stats *stats, size_t stats_size);
	int (*each_class)(void *pool, int (*fn)(const struct zpool_class_stats *stats, size_t size, void *user),
			  void *user);
	int (*each_object)(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user);
	int (*set)(void *pool, uint32_t index, const struct zpool_value *value);
	int (*set_limit)(void *pool, uint64_t limit_bytes);
	int (*trim)(void *pool, uint64_t *released);
	void (*fork)(void *pool, enum zpool_fork_phase phase);
	int (*verify)(void *pool);
};

/*
 * ZPOOL_DRIVER_DEFINE(type, version, description, members...)
 *
 * Defines and exports the driver's structure: `type` is the bare name, the strings are literals, members are designated
 * initialisers.  It emits <type>_LTX_zpool_driver (the name by which libltdl finds a driver linked into a program), its
 * weak alias zpool_driver, and a note, by which tools read type, ABI, version and description without running the file.
 */
/* clang-format off */
#define ZPOOL_DRIVER_STR_(x) #x
#define ZPOOL_DRIVER_STR(x) ZPOOL_DRIVER_STR_(x)
#define ZPOOL_NOTE_OWNER "zpool"
#define ZPOOL_NOTE_TYPE 1u
#define ZPOOL_NOTE_SECTION ".note.zpool"
#define ZPOOL_NOTE_TEXT(type_, version_, description_)                                                                 \
	"type=" #type_                                                                                                 \
	"\0abi=" ZPOOL_DRIVER_STR(ZPOOL_ABI_MAJOR) "." ZPOOL_DRIVER_STR(ZPOOL_ABI_MINOR)                               \
	"\0version=" version_                                                                                          \
	"\0description=" description_

#define ZPOOL_DRIVER_NOTE(type_, version_, description_)                                                               \
	__attribute__((used, section(ZPOOL_NOTE_SECTION), aligned(4))) static const struct {                           \
		uint32_t name_bytes, text_bytes, note_type;                                                            \
		char name[8];                                                                                          \
		char text[(sizeof(ZPOOL_NOTE_TEXT(type_, version_, description_)) + 3) & ~(size_t)3];                  \
	} type_##_zpool_note = { sizeof(ZPOOL_NOTE_OWNER), sizeof(ZPOOL_NOTE_TEXT(type_, version_, description_)),     \
				 ZPOOL_NOTE_TYPE, ZPOOL_NOTE_OWNER,                                                    \
				 ZPOOL_NOTE_TEXT(type_, version_, description_) };

#define ZPOOL_DRIVER_DEFINE(type_, version_, description_, ...)                                                        \
	ZPOOL_DRIVER_NOTE(type_, version_, description_)                                                               \
	extern ZPOOL_PUBLIC const struct zpool_driver type_##_LTX_zpool_driver;                                        \
	const struct zpool_driver type_##_LTX_zpool_driver = {                                                         \
		.magic = ZPOOL_DRIVER_MAGIC,                                                                           \
		.abi_major = ZPOOL_ABI_MAJOR,                                                                          \
		.abi_minor = ZPOOL_ABI_MINOR,                                                                          \
		.struct_size = sizeof(struct zpool_driver),                                                            \
		.param_size = sizeof(struct zpool_param),                                                              \
		.type = #type_,                                                                                        \
		.version = version_,                                                                                   \
		.description = description_,                                                                           \
		__VA_ARGS__                                                                                            \
	};                                                                                                             \
	extern ZPOOL_PUBLIC __attribute__((weak, alias(#type_ "_LTX_zpool_driver")))                                   \
	const struct zpool_driver zpool_driver;
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif /* ZPOOL_DRIVER_H */
