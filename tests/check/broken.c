/* SPDX-License-Identifier: MIT
 *
 * broken.c - drivers with one fault each, for the test of zpoolctl check
 *
 * All of them are variants of mock_slabs from the conformance suite. FAULT_<name> replaces one callback, or one
 * function that the driver calls, by a faulty version; without it, the driver is correct. TYPE is the driver's name.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handles.h"

/* ---- faults below the driver: it uses something that is wrong ---- */

#ifdef FAULT_mapped_object_moves
static int broken_begin_move(struct zp_handles *handles, uint32_t slot, uint64_t *location)
{
	*location = zp_handles_location(handles, slot);
	return 0;
}
#define zp_handles_begin_move broken_begin_move
#endif

/* This is no fault: the driver gets four megabytes at once, and writes to a few pages of them. */
#ifdef FAULT_coarse
#define zp_pages_get(pages, count, gfp, pgno) zp_pages_get(pages, (count) + 1000, gfp, pgno)
#define zp_pages_put(pages, pgno, count) zp_pages_put(pages, pgno, (count) + 1000)
#endif

#ifdef FAULT_leaks_pages
static void broken_pages_put(struct zp_pages *pages, uint32_t pgno, unsigned int npages)
{
	(void)pages;
	(void)pgno;
	(void)npages;
}
#define zp_pages_put broken_pages_put
#endif

#ifdef FAULT_moves_all_but_a_byte
#include <string.h>
static void *broken_copy(void *to, const void *from, size_t bytes)
{
	return memcpy(to, from, bytes < 256 ? bytes : bytes - 1);
}
#define memcpy broken_copy
#endif

#ifdef FAULT_moves_what_was_mapped_meanwhile
/* The object's state is checked before the move only, so a thread that maps it in between gets the old address. */
static int broken_begin_move(struct zp_handles *handles, uint32_t slot, uint64_t *location)
{
	int err = zp_handles_begin_move(handles, slot, location);

	if (!err) {
		zp_handles_end_move(handles, slot, *location);
		sched_yield();
	}
	return err;
}
#define zp_handles_begin_move broken_begin_move
#endif

#include "pages.h"

#include "../contract/mock_slabs.c"

/* ---- faults of the driver itself: its callbacks do something wrong ---- */

#ifdef FAULT_crashes_in_create
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	raise(SIGSEGV);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_starts_a_thread
static void *linger(void *arg)
{
	pause();
	return arg;
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, linger, NULL) == 0)
		pthread_detach(thread);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_ignores_the_limit
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct zpool_create_args unlimited = *args;

	unlimited.limit_bytes = 0;
	return slabs_create(&unlimited, out);
}
#define BROKEN_CREATE broken_create

static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	(void)pool;
	(void)limit_bytes;
	return 0;
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

#ifdef FAULT_leaks_the_pool
static void broken_destroy(void *pool)
{
	(void)pool;
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_handle_is_zero
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static atomic_uint calls;
	int err = slabs_malloc(pool, size, gfp, handle);

	if (!err && atomic_fetch_add(&calls, 1) % 50 == 49)
		*handle = 0;
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_handle_given_twice
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static unsigned long last;
	static unsigned int calls;

	if (++calls % 50 == 0 && last && slabs_obj_size(pool, last) >= (int64_t)size) {
		*handle = last;
		return 0;
	}
	int err = slabs_malloc(pool, size, gfp, handle);
	if (!err)
		last = *handle;
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_exits
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	static atomic_uint calls;

	if (atomic_fetch_add(&calls, 1) == 100)
		exit(0);
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_refuses_large_sizes
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	return size > 4096 ? -ENOSPC : slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#define BROKEN_OBJECT_BYTES 8192
#endif

#ifdef FAULT_wrong_error_code
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size, gfp, handle);

	return err == -ENOMEM ? -ENOSPC : err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_overruns_by_a_byte
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	int err = slabs_malloc(pool, size, gfp, handle);

	if (!err) {
		char *bytes = slabs_map(pool, *handle, ZPOOL_MM_RW);

		bytes[slabs_obj_size(pool, *handle)] = 0;
		slabs_unmap(pool, *handle);
	}
	return err;
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_nowait_calls_the_system
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	if (gfp & ZPOOL_GFP_NOWAIT)
		syscall(SYS_getppid);
	return slabs_malloc(pool, size, gfp & ~ZPOOL_GFP_NOWAIT, handle);
}
#define BROKEN_MALLOC broken_malloc
#define BROKEN_FLAGS ZPOOL_DRIVER_NOWAIT
#endif

#ifdef FAULT_zero_is_not_zeroed
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	return slabs_malloc(pool, size, gfp & ~ZPOOL_GFP_ZERO, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_free_is_not_thread_safe
static int broken_free(void *pool, unsigned long handle)
{
	static volatile unsigned long current;

	current = handle;
	sched_yield();
	return slabs_free(pool, current);
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_free_takes_anything
static int broken_free(void *pool, unsigned long handle)
{
	slabs_free(pool, handle);
	return 0;
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_stale_handles_are_mapped
static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	static char instead[4096] __attribute__((aligned(256)));
	void *address = slabs_map(pool, handle, mode);

	return address || errno == EBUSY ? address : instead;
}
#define BROKEN_MAP broken_map
#endif

#ifdef FAULT_loses_a_byte
static int broken_unmap(void *pool, unsigned long handle)
{
	static atomic_uint calls;
	uint64_t location = 0;

	if (atomic_fetch_add(&calls, 1) % 100 == 99 &&
	    zp_handles_lookup(&((struct slabs_pool *)pool)->handles, handle, &location) == 0)
		slot_address(slab_at(pool, location), location)[0] ^= 1;
	return slabs_unmap(pool, handle);
}
#define BROKEN_UNMAP broken_unmap
#endif

#ifdef FAULT_unmap_does_nothing
static int broken_unmap(void *pool, unsigned long handle)
{
	(void)pool;
	(void)handle;
	return 0;
}
#define BROKEN_UNMAP broken_unmap
#endif

#ifdef FAULT_total_size_is_too_small
static uint64_t broken_total_size(void *pool)
{
	return slabs_total_size(pool) / 4;
}
#define BROKEN_TOTAL_SIZE broken_total_size
#endif

#ifdef FAULT_wrong_size
static int64_t broken_obj_size(void *pool, unsigned long handle)
{
	int64_t size = slabs_obj_size(pool, handle);

	return size < 0 ? size : size / 2;
}
#define BROKEN_OBJ_SIZE broken_obj_size
#endif

#ifdef FAULT_forgets_to_evict
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	(void)pool;
	*reclaimed = pages;
	return 0;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_hangs_in_shrink
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	(void)pool;
	(void)pages;
	(void)reclaimed;
	for (;;)
		pause();
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_evicts_with_a_lock_held
static pthread_mutex_t broken_lock = PTHREAD_MUTEX_INITIALIZER;

static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	pthread_mutex_lock(&broken_lock);
	int err = slabs_malloc(pool, size, gfp, handle);
	pthread_mutex_unlock(&broken_lock);
	return err;
}
#define BROKEN_MALLOC broken_malloc

static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	pthread_mutex_lock(&broken_lock);
	int err = slabs_shrink(pool, pages, reclaimed);
	pthread_mutex_unlock(&broken_lock);
	return err;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_loops_in_shrink
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	volatile bool ended = false;

	(void)pool;
	(void)pages;
	while (!ended)
		*reclaimed = 0;
	return 0;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_stops_itself
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	raise(SIGSTOP);
	return slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_prints_and_crashes
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	(void)out;
	fprintf(stderr, "\033[31mI fall.\n");
	for (int i = 2; i <= 2000; i++)
		fprintf(i % 2 ? stderr : stdout, "line %d\n", i);
	fflush(stdout);
	fprintf(stderr, "line 2000\n");
	abort();
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_prints_a_megabyte_and_dies
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static char lines[(1 << 20) - 4096];

	(void)args;
	(void)out;
	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 64 == 63 ? '\n' : '.';
	/* All of it fits into the pipe, so that it is there when the process has ended. */
	fcntl(STDERR_FILENO, F_SETPIPE_SZ, 1 << 20);
	(void)!write(STDERR_FILENO, lines, sizeof(lines));
	(void)!write(STDERR_FILENO, "the end\n", 8);
	return raise(SIGKILL);
}
#define BROKEN_CREATE broken_create
#endif

/* These are no faults: two drivers that are slow. */
#ifdef FAULT_waits_a_moment
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	if (!(gfp & ZPOOL_GFP_NOWAIT))
		usleep(400);
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_computes_a_moment
static int broken_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	volatile unsigned int count = 150000;

	while (count > 0)
		count--;
	return slabs_malloc(pool, size, gfp, handle);
}
#define BROKEN_MALLOC broken_malloc
#endif

#ifdef FAULT_ignores_the_budget
static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	const struct zpool_budget all = { .struct_size = sizeof(all) };

	(void)budget;
	return slabs_compact(pool, &all, released);
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_walks_twice
static int broken_each_object(void *pool, int (*fn)(unsigned long handle, size_t size, void *user), void *user)
{
	int result = slabs_each_object(pool, fn, user);

	return result ? result : slabs_each_object(pool, fn, user);
}
#define BROKEN_EACH_OBJECT broken_each_object
#endif

#ifdef FAULT_trim_tells_too_much
static int broken_trim(void *pool, uint64_t *released)
{
	int err = slabs_trim(pool, released);

	*released += 4096;
	return err;
}
#define BROKEN_TRIM broken_trim
#endif

#include "subtle.h"
#include "counts.h"
#include "orders.h"
#include "large.h"
#include "others.h"
#include "later.h"
#include "finer.h"
#include "rare.h"
#include "tiny.h"
#ifdef FAULT_odd
#include "odd.h"
#endif

/* ---- faults of the plugin file ---- */

#ifdef FAULT_stays_after_unload
static __attribute__((constructor)) void hold_on(void)
{
	Dl_info self;

	if (dladdr((const void *)(uintptr_t)hold_on, &self))
		dlopen(self.dli_fname, RTLD_NOW);
}
#endif

#ifdef FAULT_shows_another_symbol
extern ZPOOL_PUBLIC int broken_shown;
int broken_shown = 1;
#endif

#ifdef FAULT_calls_libzpool
extern __attribute__((weak)) const char *zpool_version(void);
__attribute__((used)) static const char *broken_version(void)
{
	return zpool_version ? zpool_version() : NULL;
}
#endif

/* ---- the driver ---- */

#ifndef TYPE
#define TYPE sound
#endif
#ifndef BROKEN_CREATE
#define BROKEN_CREATE slabs_create
#endif
#ifndef BROKEN_DESTROY
#define BROKEN_DESTROY slabs_destroy
#endif
#ifndef BROKEN_MALLOC
#define BROKEN_MALLOC slabs_malloc
#endif
#ifndef BROKEN_FREE
#define BROKEN_FREE slabs_free
#endif
#ifndef BROKEN_MAP
#define BROKEN_MAP slabs_map
#endif
#ifndef BROKEN_UNMAP
#define BROKEN_UNMAP slabs_unmap
#endif
#ifndef BROKEN_TOTAL_SIZE
#define BROKEN_TOTAL_SIZE slabs_total_size
#endif
#ifndef BROKEN_OBJ_SIZE
#define BROKEN_OBJ_SIZE slabs_obj_size
#endif
#ifndef BROKEN_SHRINK
#define BROKEN_SHRINK slabs_shrink
#endif
#ifndef BROKEN_COMPACT
#define BROKEN_COMPACT slabs_compact
#endif
#ifndef BROKEN_EACH_OBJECT
#define BROKEN_EACH_OBJECT slabs_each_object
#endif
#ifndef BROKEN_EACH_CLASS
#define BROKEN_EACH_CLASS slabs_each_class
#endif
#ifndef BROKEN_STATS
#define BROKEN_STATS slabs_stats
#endif
#ifndef BROKEN_SET_LIMIT
#define BROKEN_SET_LIMIT slabs_set_limit
#endif
#ifndef BROKEN_TRIM
#define BROKEN_TRIM slabs_trim
#endif
#ifndef BROKEN_FORK
#define BROKEN_FORK slabs_fork
#endif
#ifndef BROKEN_COPIES
#define BROKEN_COPIES
#endif
#ifndef BROKEN_PARAMS
#define BROKEN_PARAMS
#endif
#ifndef BROKEN_FLAGS
#define BROKEN_FLAGS 0
#endif
#ifndef BROKEN_OBJECT_BYTES
#define BROKEN_OBJECT_BYTES 4096
#endif
#ifdef FAULT_note_is_another
#define BROKEN_VERSION , .version = "2"
#else
#define BROKEN_VERSION
#endif
#ifdef FAULT_alignment_is_less
#define BROKEN_ALIGNMENT 1024
#elif !defined(BROKEN_ALIGNMENT)
#define BROKEN_ALIGNMENT 256
#endif
/* The extra macro expands TYPE before it becomes a string. */
#define DEFINE(type_, ...) ZPOOL_DRIVER_DEFINE(type_, "1", "a driver with a fault", __VA_ARGS__)

DEFINE(TYPE, .flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_MOVABLE | BROKEN_FLAGS,
       .max_object_bytes = BROKEN_OBJECT_BYTES, .alignment_bytes = BROKEN_ALIGNMENT, .create = BROKEN_CREATE,
       .destroy = BROKEN_DESTROY, .malloc = BROKEN_MALLOC, .free = BROKEN_FREE, .total_size = BROKEN_TOTAL_SIZE,
       .map = BROKEN_MAP, .unmap = BROKEN_UNMAP, .shrink = BROKEN_SHRINK, .compact = BROKEN_COMPACT,
       .obj_size = BROKEN_OBJ_SIZE, .stats = BROKEN_STATS, .each_class = BROKEN_EACH_CLASS,
       .each_object = BROKEN_EACH_OBJECT, .set_limit = BROKEN_SET_LIMIT, .trim = BROKEN_TRIM,
       .fork = BROKEN_FORK BROKEN_COPIES BROKEN_PARAMS BROKEN_VERSION)
