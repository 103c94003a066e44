/* SPDX-License-Identifier: MIT
 *
 * cases_load.c - how loading a driver, using a pool and unloading the driver affect the process
 *
 * Nothing is loaded before these cases run, so that the effects of constructors are seen.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "cases.h"
#include "created.h"
#include "leftovers.h"
#include "objects.h"
#include "state.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CYCLES_WARM_UP = 4, CYCLES = 24, TRIES = 3 };

/* Returns the names of the spec's parts; the first is the outermost layer. */
static void each_part(void (*fn)(const char *name))
{
	const char *part = ct.spec;

	for (;;) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(part, ":+"), part);
		fn(name);
		part = strchr(part, '+');
		if (!part++)
			return;
	}
}

static void load(const char *name)
{
	/* Another case checks whether a pool can be created. */
	if (!ct_loads(name))
		ct_skip("the driver cannot be loaded");
}

static int first_unload_error;

static void unload(const char *name)
{
	int result = zpool_unload_driver(name);

	/* A type may occur twice in a spec. */
	if (result && result != -ENOENT && !first_unload_error)
		first_unload_error = result;
}

static void need_a_plain_process(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind has threads, files and signal handlers of its own");
}

/* One call before the snapshot, so that what the library does only once is not blamed on the driver. */
static void use_library(void)
{
	need_a_plain_process();
	zpool_unload_driver("NO DRIVER IS CALLED THIS");
	zpool_has_pool("no_driver_is_called_this");
}

static void loading_does_not_change_the_process(void)
{
	struct ct_state before, now;
	struct ct_capture capture;
	pid_t self = getpid();

	use_library();
	ct_capture_start(&capture);
	ct_state_take(&before, 0);
	each_part(load);
	CT_CHECK(getpid() == self, "loading the driver forked the process and returned in the child as well");
	ct_state_take(&now, 0);
	ct_state_compare(&before, &now, "loading the driver");
	ct_capture_end(&capture, "loading the driver");
	ct_state_free(&before);
	ct_state_free(&now);
}

static int visit_object(struct zpool *pool, unsigned long handle, size_t size, void *user)
{
	char byte;

	(void)user;
	(void)zpool_obj_read(pool, handle, &byte, 1, size - 1);
	return 0;
}

static int visit_class(const struct zpool_class_stats *stats, size_t stats_size, void *user)
{
	(void)stats;
	(void)stats_size;
	(void)user;
	return 0;
}

enum { FEW_OBJECTS = 40, MANY_OBJECTS = 1500 };

/* Calls every function on the pool.  Most results do not matter, because other cases check them. */
static void use_pool(struct zpool *pool, size_t objects)
{
	static unsigned long handles[MANY_OBJECTS];
	size_t max_bytes = zpool_max_object_size(pool) < 2000 ? zpool_max_object_size(pool) : 2000;
	struct zpool_stats stats;
	unsigned long another;

	for (size_t i = 0; i < objects; i++) {
		size_t size = 1 + i * 97 % max_bytes;

		CT_CHECK(zpool_malloc(pool, size, i % 2 ? ZPOOL_GFP_ZERO : ZPOOL_GFP_KERNEL, &handles[i]) == 0,
			 "malloc of %zu bytes failed: %s", size, zpool_last_error());
		(void)zpool_obj_write(pool, handles[i], "x", 1, 0);
		if (zpool_map_handle(pool, handles[i], ZPOOL_MM_RO))
			zpool_unmap_handle(pool, handles[i]);
	}
	for (size_t i = 0; i < objects; i += 2)
		zpool_free(pool, handles[i]);
	if (zpool_malloc(pool, 1, ZPOOL_GFP_NOWAIT, &another) == 0)
		zpool_free(pool, another);
	zpool_each_object(pool, visit_object, NULL);
	zpool_each_class(pool, visit_class, NULL);
	zpool_get_stats(pool, &stats, sizeof(stats));
	zpool_set_limit(pool, zpool_get_total_size(pool));
	(void)zpool_malloc(pool, max_bytes, ZPOOL_GFP_KERNEL, &another);
	zpool_set_limit(pool, 0);
	zpool_shrink(pool, 1, NULL);
	zpool_compact(pool, 4096, 0, NULL);
	zpool_compact(pool, 0, 0, NULL);
	zpool_trim(pool, NULL);
}

static void pool_life(void)
{
	struct zpool *pool = ct_pool_evicting(ct_evict_nothing, NULL);

	use_pool(pool, FEW_OBJECTS);
	zpool_destroy_pool(pool);
}

/* A pool may have descriptors, but programs that the host starts must not inherit them. */
static void expect_closed_by_exec(const struct ct_state *before)
{
	struct ct_state now;

	ct_state_take(&now, 0);
	for (size_t i = 0; i < now.count; i++) {
		bool known = false;

		if (strncmp(now.at[i].name, "descriptor ", 11) != 0)
			continue;
		for (size_t k = 0; k < before->count; k++)
			known = known || (strcmp(before->at[k].name, now.at[i].name) == 0 &&
					  strcmp(before->at[k].value, now.at[i].value) == 0);
		CT_CHECK(
			known || strstr(now.at[i].value, "close-on-exec"),
			"the pool has %s (%s), which is inherited by every program that the host starts: use O_CLOEXEC",
			now.at[i].name, now.at[i].value);
	}
	ct_state_free(&now);
}

static void pool_does_not_change_the_process(void)
{
	struct ct_state before, settings, now;
	struct ct_capture capture;
	struct zpool *pool;
	pid_t self = getpid();
	int first, second;

	use_library();
	each_part(load);
	srand(4711);
	first = rand();
	second = rand();
	srand(4711);
	ct_capture_start(&capture);
	ct_state_take(&settings, CT_STATE_NO_FILES);
	ct_state_take(&before, 0);
	pool = ct_pool_evicting(ct_evict_nothing, NULL);
	CT_CHECK(getpid() == self, "creating a pool forked the process and returned in the child as well");
	use_pool(pool, MANY_OBJECTS);
	CT_CHECK(getpid() == self, "a call on a pool forked the process and returned in the child as well");
	ct_state_take(&now, CT_STATE_NO_FILES);
	ct_state_compare(&settings, &now, "creating and using a pool");
	ct_state_free(&now);
	expect_closed_by_exec(&before);
	zpool_destroy_pool(pool);
	CT_CHECK(rand() == first && rand() == second,
		 "the driver changed the state of rand(), which belongs to the host");
	ct_state_take(&now, 0);
	ct_state_compare(&before, &now, "the life of a pool");
	ct_capture_end(&capture, "the life of a pool");
	ct_state_free(&before);
	ct_state_free(&settings);
	ct_state_free(&now);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Unloading
 */

static void cycle(void)
{
	each_part(load);
	pool_life();
	each_part(unload);
}

static unsigned int free_thread_keys(void)
{
	static pthread_key_t keys[PTHREAD_KEYS_MAX];
	unsigned int count = 0;

	while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0)
		count++;
	for (unsigned int i = 0; i < count; i++)
		pthread_key_delete(keys[i]);
	return count;
}

/* What leaks only once may belong to the C library; what leaks every time is the driver's fault. */
static void expect_no_growth(void)
{
	for (int tries = 1; tries <= TRIES; tries++) {
		unsigned int keys = free_thread_keys(), keys_now;
		struct ct_leftovers before;

		ct_leftovers_look(&before);
		for (int i = 0; i < CYCLES; i++)
			cycle();
		keys_now = free_thread_keys();
		CT_CHECK(keys_now + CYCLES / 2 > keys, "%d loads and unloads left %u thread-specific keys behind",
			 CYCLES, keys - keys_now);
		if (ct_leftovers_compare(&before, CYCLES, "cycles of loading and unloading the driver", tries == TRIES))
			return;
	}
}

/* Visits the shared objects that are mapped. */
struct objects {
	uintptr_t addresses[256];
	size_t count;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *user)
{
	struct objects *objects = user;

	(void)size;
	if (objects->count < sizeof(objects->addresses) / sizeof(objects->addresses[0]))
		objects->addresses[objects->count++] = (uintptr_t)info->dlpi_phdr;
	return 0;
}

/* The C++ library, and libraries linked with -z nodelete, stay loaded. */
static bool is_linked_to_stay(const struct dl_phdr_info *info)
{
	if (strstr(info->dlpi_name, "/libstdc++."))
		return true;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Dyn) *dynamic = (const void *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);

		for (; info->dlpi_phdr[i].p_type == PT_DYNAMIC && dynamic->d_tag != DT_NULL; dynamic++)
			if (dynamic->d_tag == DT_FLAGS_1 && dynamic->d_un.d_val & DF_1_NODELETE)
				return true;
	}
	return false;
}

static int expect_known_object(struct dl_phdr_info *info, size_t size, void *user)
{
	const struct objects *objects = user;

	(void)size;
	for (size_t i = 0; i < objects->count; i++)
		if (objects->addresses[i] == (uintptr_t)info->dlpi_phdr)
			return 0;
	CT_CHECK(is_linked_to_stay(info), "the driver was unloaded, but %s, which was loaded with it, is still loaded",
		 info->dlpi_name);
	return 0;
}

static void fork_and_exit(void *arg)
{
	(void)arg;
	exit(0);
}

static void unloading_leaks_nothing(void)
{
	struct ct_state before, now;
	struct ct_capture capture;
	struct objects objects = { .count = 0 };
	pid_t self = getpid();

	use_library();
	dl_iterate_phdr(note_object, &objects);
	ct_capture_start(&capture);
	ct_state_take(&before, 0);
	cycle();
	CT_CHECK(getpid() == self, "the driver forked the process and returned in the child as well");
	if (first_unload_error == -EOPNOTSUPP || first_unload_error == -EPERM) {
		ct_capture_end(&capture, "the life of a driver");
		ct_skip("%s cannot be unloaded", ct.spec);
	}
	CT_CHECK(first_unload_error == 0, "unloading returned %s: %s", ct_error_name(first_unload_error),
		 zpool_last_error());
	ct_state_take(&now, 0);
	ct_state_compare(&before, &now, "loading and unloading the driver");
	ct_capture_end(&capture, "unloading the driver");
	dl_iterate_phdr(expect_known_object, &objects);
	for (int i = 0; i < CYCLES_WARM_UP; i++)
		cycle();
	expect_no_growth();
	/* Functions that the driver registered for fork() and exit() must be gone together with its code. */
	ct_in_child(fork_and_exit, NULL);
	ct_state_free(&before);
	ct_state_free(&now);
}

static void live_watched(void *arg)
{
	(void)arg;
	ct_created_watch();
	for (int i = 0; i < 3; i++)
		cycle();
	ct_created_expect_none();
}

static void no_file_remains_after_unloading(void)
{
	use_library();
	ct_in_child(live_watched, NULL);
}

static void load_and_exit(void *arg)
{
	const int *done = arg;
	FILE *witness = fdopen(done[1], "w");

	each_part(load);
	pool_life();
	/* The last thing exit() does, after running the destructors of shared objects, is to flush streams. */
	CT_CHECK(witness && fputc('.', witness) == '.', "the test suite cannot open a stream: %s", strerror(errno));
	exit(0);
}

static void exit_status_and_output_are_unchanged(void)
{
	struct ct_capture capture;
	int done[2];
	char byte;

	use_library();
	CT_CHECK(pipe2(done, O_CLOEXEC | O_NONBLOCK) == 0, "pipe2: %s", strerror(errno));
	ct_capture_start(&capture);
	ct_in_child(load_and_exit, done);
	CT_CHECK(read(done[0], &byte, 1) == 1, "the driver ended the process before exit() was done");
	ct_capture_end(&capture, "the end of a process that had used the driver");
}

const struct ct_case ct_cases_load[] = {
	{ "loading_does_not_change_the_process",
	  "Loading a driver starts no thread or process, prints nothing, and changes no signal, timer, descriptor, limit, environment variable or other setting of the process.",
	  loading_does_not_change_the_process, CT_FILE },
	{ "pool_does_not_change_the_process",
	  "A pool starts no thread or process, prints nothing and changes no setting of the process either; descriptors that it opens are close-on-exec and are closed with the pool.",
	  pool_does_not_change_the_process, CT_FILE },
	{ "unloading_leaks_nothing",
	  "A driver that is unloaded leaves no memory, descriptor, handler or setting behind.", unloading_leaks_nothing,
	  CT_FILE },
	{ "no_file_remains_after_unloading",
	  "Every file or directory that a driver creates is gone when the driver is unloaded.",
	  no_file_remains_after_unloading, CT_FILE | CT_FORKS },
	{ "exit_status_and_output_are_unchanged",
	  "A process that has used a driver exits as it would without it: it prints nothing, and keeps its exit status.",
	  exit_status_and_output_are_unchanged, CT_FILE | CT_FORKS },
	{ NULL, NULL, NULL, 0 },
};
