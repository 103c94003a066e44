/* SPDX-License-Identifier: MIT
 *
 * cases_handles.c - handles that are not live are refused and never dereferenced
 */
#include "cases.h"
#include "objects.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Every function that takes a handle refuses this one with a message.  zpool_free() and zpool_unmap_handle() also log
 * it.
 */
static void refused_everywhere(struct zpool *pool, unsigned long handle)
{
	char buf[8] = "1234567";
	int64_t done;

	ct_log_open();
	CT_REFUSED_VOID(zpool_free(pool, handle));
	CT_CHECK(ct_log_errors() == 1,
		 "errors logged by zpool_free() of handle %#lx, which is not live: got %u, expected 1", handle,
		 ct_log_errors());
	if (ct_can(ZPOOL_CAP_MAP)) {
		CT_REFUSED_NULL(zpool_map_handle(pool, handle, ZPOOL_MM_RW), EINVAL);
		CT_REFUSED_VOID(zpool_unmap_handle(pool, handle));
		CT_CHECK(ct_log_errors() == 2,
			 "zpool_unmap_handle() of handle %#lx, which is not live, logged %u errors", handle,
			 ct_log_errors() - 1);
	}
	ct_log_close();
	if (ct_can(ZPOOL_CAP_OBJ_SIZE))
		CT_REFUSED(zpool_obj_size(pool, handle), EINVAL);
	ct_message_mark();
	done = zpool_obj_read(pool, handle, buf, 4, 0);
	if (done == -EOPNOTSUPP)
		return;
	CT_CHECK(done == -EINVAL, "reading from handle %#lx, which is not live, returned %s", handle,
		 ct_error_name(done));
	ct_message_expect(__FILE__, __LINE__, "zpool_obj_read()");
	CT_CHECK(buf[0] == '1', "reading from handle %#lx, which is not live, changed the buffer", handle);
	CT_REFUSED(zpool_obj_write(pool, handle, buf, 4, 0), EINVAL);
}

static void handle_zero_is_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object;

	refused_everywhere(pool, 0);
	ct_object_make(pool, &object, ct_size(100), 1);
	refused_everywhere(pool, 0);
	ct_object_check(pool, &object, "after handle 0 was refused");
	zpool_destroy_pool(pool);
}

static void stale_handles_are_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object, next;
	struct ct_set set;

	ct_set_init(&set, 200);
	ct_set_fill(pool, &set, 200, &ct.rng);
	for (int i = 0; i < 50; i++) {
		ct_object_make(pool, &object, 1 + ct_rng_below(&ct.rng, ct_size(1000)), 1);
		zpool_free(pool, object.handle);
		refused_everywhere(pool, object.handle);
		/* Try the stale handle again while another object uses its slot. */
		ct_object_make(pool, &next, object.size, 2);
		CT_CHECK(next.handle != object.handle, "a new object got handle %#lx, which had just been freed",
			 object.handle);
		refused_everywhere(pool, object.handle);
		ct_object_check(pool, &next, "after the stale handle of its slot was refused");
		zpool_free(pool, next.handle);
		refused_everywhere(pool, object.handle);
	}
	ct_set_check(pool, &set, "after stale handles were refused");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static int compare_handles(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return (x > y) - (x < y);
}

/*
 * A handle consists of an index and a generation.  When an index has used up its generations, it must not start over.
 */
static void handles_are_never_reused(void)
{
	size_t given = ct_instrumented() ? 100000 : 1500000;
	unsigned long *handles = malloc(given * sizeof(*handles));
	struct zpool *pool = ct_pool();

	CT_CHECK(handles != NULL, "the test suite is out of memory");
	if (sizeof(unsigned long) < 8)
		ct_skip("guaranteed only where handles have 64 bits");
	for (size_t i = 0; i < given; i++) {
		CT_MUST(zpool_malloc(pool, ct_size(16), ZPOOL_GFP_KERNEL, &handles[i]));
		zpool_free(pool, handles[i]);
	}
	for (size_t i = 0; i < given; i += 997)
		CT_CHECK(ct_handle_is_dead(pool, handles[i]), "handle %#lx, freed %zu mallocs ago, is live", handles[i],
			 given - i);
	qsort(handles, given, sizeof(*handles), compare_handles);
	for (size_t i = 1; i < given; i++)
		CT_CHECK(handles[i] != handles[i - 1], "among %zu successive handles, %#lx was given out twice", given,
			 handles[i]);
	free(handles);
	zpool_destroy_pool(pool);
}

static void foreign_handles_are_refused(void)
{
	struct zpool *mine = ct_pool(), *theirs = ct_pool();
	struct ct_set my_set, their_set;

	ct_set_init(&my_set, 4000);
	ct_set_init(&their_set, 4000);
	ct_set_fill(mine, &my_set, 4000, &ct.rng);
	ct_set_fill(theirs, &their_set, 4000, &ct.rng);
	for (size_t i = 0; i < my_set.count; i++) {
		if (sizeof(unsigned long) < 8 && ct_set_find(&their_set, my_set.at[i].handle) != SIZE_MAX)
			continue;
		if (i % 100 == 0)
			refused_everywhere(theirs, my_set.at[i].handle);
		zpool_free(theirs, my_set.at[i].handle);
		CT_CHECK(ct_handle_is_dead(theirs, my_set.at[i].handle),
			 "handle %#lx of another pool is accepted as live", my_set.at[i].handle);
	}
	ct_set_check(mine, &my_set, "after its handles were tried on another pool");
	ct_set_check(theirs, &their_set, "after another pool's handles were tried on it");
	/* The handles must also be refused after their own pool was destroyed. */
	zpool_destroy_pool(mine);
	for (size_t i = 0; i < 100; i++)
		refused_everywhere(theirs, my_set.at[i].handle);
	zpool_destroy_pool(theirs);
	ct_set_fini(&my_set);
	ct_set_fini(&their_set);
}

static void invented_handles_are_refused(void)
{
	struct zpool *pool = ct_pool();
	int64_t local = 0;
	const unsigned long special[] = {
		1, 2, 3, ~0ul, ~0ul - 1, ~0ul >> 1, (~0ul >> 1) + 1, 4096, (unsigned long)&local, (unsigned long)pool
	};
	struct ct_set set;

	ct_set_init(&set, 1000);
	ct_set_fill(pool, &set, 1000, &ct.rng);
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (ct_set_find(&set, special[i]) == SIZE_MAX)
			refused_everywhere(pool, special[i]);
	for (size_t i = 0; i < 200000; i++) {
		unsigned long handle = (unsigned long)ct_rng_next(&ct.rng);

		if (ct_set_find(&set, handle) != SIZE_MAX)
			continue;
		CT_CHECK(ct_handle_is_dead(pool, handle), "invented handle %#lx is accepted as live", handle);
		zpool_free(pool, handle);
		zpool_unmap_handle(pool, handle);
	}
	ct_set_check(pool, &set, "after invented handles were refused");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

/* Every bit of a handle is significant: flipping any one must give a handle that is not live. */
static void altered_handles_are_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, 1000);
	ct_set_fill(pool, &set, 1000, &ct.rng);
	for (size_t i = 0; i < set.count; i++) {
		for (unsigned int bit = 0; bit < 8 * sizeof(unsigned long); bit++) {
			unsigned long handle = set.at[i].handle ^ (1ul << bit);

			if (ct_set_find(&set, handle) != SIZE_MAX)
				continue;
			CT_CHECK(ct_handle_is_dead(pool, handle), "handle %#lx is live, but %#lx is accepted too",
				 set.at[i].handle, handle);
			zpool_free(pool, handle);
		}
	}
	ct_set_check(pool, &set, "after altered handles were refused");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

static void double_free_is_refused(void)
{
	struct zpool *pool = ct_pool();
	struct ct_set set;

	ct_set_init(&set, 1000);
	ct_set_fill(pool, &set, 1000, &ct.rng);
	for (int i = 0; i < 3000; i++) {
		unsigned long handle = set.at[ct_rng_below(&ct.rng, set.count)].handle;

		ct_set_free(pool, &set, ct_set_find(&set, handle));
		zpool_free(pool, handle);
		ct_set_fill(pool, &set, 1000, &ct.rng);
		zpool_free(pool, handle);
	}
	ct_set_check(pool, &set, "after 6000 double frees");
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
}

const struct ct_case ct_cases_handles[] = {
	{ "handle_zero_is_refused",
	  "Handle 0 is refused with a message, which zpool_free() and zpool_unmap_handle() also log.",
	  handle_zero_is_refused, 0 },
	{ "stale_handles_are_refused", "A freed handle is always refused, even when its slot is in use again.",
	  stale_handles_are_refused, 0 },
	{ "handles_are_never_reused", "No handle value is given out twice, so that every stale handle is detected.",
	  handles_are_never_reused, 0 },
	{ "foreign_handles_are_refused", "A handle of another pool of the same driver is refused.",
	  foreign_handles_are_refused, 0 },
	{ "invented_handles_are_refused", "A number that was never a handle is refused and never dereferenced.",
	  invented_handles_are_refused, 0 },
	{ "altered_handles_are_refused", "A handle with one bit changed is refused.", altered_handles_are_refused, 0 },
	{ "double_free_is_refused", "A double free is refused and changes nothing.", double_free_is_refused, 0 },
	{ NULL, NULL, NULL, 0 },
};
