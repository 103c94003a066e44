/* SPDX-License-Identifier: MIT
 *
 * cases_meetings.c - calls of two threads on the same object, one during the other
 *
 * The first call is interrupted at many random instructions (see stopper.h), and the second call is made meanwhile.
 * After each interruption every object is checked.
 */
#include "cases.h"
#include "objects.h"
#include "stopper.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* Objects so large that a few dozen fill several pages of any driver. */
enum { OBJECT_BYTES = 1500, FULL = 48, SPARSE = 12, MADE = 12 };

/* How often the first call is interrupted; less often if one of the two calls, or its preparation, takes long. */
enum { STOPS = 300, STOPS_OF_LONG = 80 };

/*
 * What the two calls work on, and their results.
 *
 * others    objects of which most were freed, so that compaction has something to move
 * object    the object that both calls use; may_die: one call tried to free it
 * made      objects that the second call allocated
 * tag       the pattern that a write stores in the object
 * result    the result of the first call; address: of a map; handle: of a malloc
 */
struct scene {
	struct zpool *pool;
	struct ct_set others, made;
	struct ct_object object;
	bool may_die, mapped[SPARSE];
	char *addresses[SPARSE];
	uint64_t tag;
	int64_t result;
	char *address;
	unsigned long handle;
	unsigned char bytes[OBJECT_BYTES];
};

static size_t object_bytes(void)
{
	return ct.max_bytes < OBJECT_BYTES ? ct.max_bytes : OBJECT_BYTES;
}

/* ---- calls that are interrupted: only the call itself ---- */

static void stopped_read(void *arg)
{
	struct scene *scene = arg;

	scene->result = zpool_obj_read(scene->pool, scene->object.handle, scene->bytes, scene->object.size, 0);
}

static void stopped_write(void *arg)
{
	struct scene *scene = arg;

	scene->result = zpool_obj_write(scene->pool, scene->object.handle, scene->bytes, scene->object.size, 0);
}

static void stopped_map(void *arg)
{
	struct scene *scene = arg;

	scene->address = zpool_map_handle(scene->pool, scene->object.handle, ZPOOL_MM_RW);
}

static void stopped_free(void *arg)
{
	struct scene *scene = arg;

	zpool_free(scene->pool, scene->object.handle);
}

static void stopped_malloc(void *arg)
{
	struct scene *scene = arg;

	scene->result = zpool_malloc(scene->pool, object_bytes(), ZPOOL_GFP_KERNEL, &scene->handle);
}

static void stopped_compact(void *arg)
{
	struct scene *scene = arg;

	scene->result = zpool_compact(scene->pool, 0, 0, NULL);
}

static void stopped_trim(void *arg)
{
	struct scene *scene = arg;

	(void)zpool_trim(scene->pool, NULL);
}

/* ---- how each of them is undone, so that it can be repeated ---- */

static void undo_nothing(void *arg)
{
	(void)arg;
}

static void undo_write(void *arg)
{
	struct scene *scene = arg;

	scene->object.tag = scene->tag;
}

static void undo_map(void *arg)
{
	struct scene *scene = arg;

	if (scene->address)
		zpool_unmap_handle(scene->pool, scene->object.handle);
}

static void undo_free(void *arg)
{
	struct scene *scene = arg;

	ct_object_make(scene->pool, &scene->object, scene->object.size, scene->object.tag);
}

static void undo_malloc(void *arg)
{
	struct scene *scene = arg;

	if (scene->result == 0)
		zpool_free(scene->pool, scene->handle);
}

static void thin_others(struct scene *scene)
{
	while (scene->others.count < FULL)
		ct_set_make(scene->pool, &scene->others, object_bytes());
	ct_set_thin(scene->pool, &scene->others, SPARSE, &ct.rng);
}

static void undo_giving_back(void *arg)
{
	thin_others(arg);
}

/* ---- calls that the other thread makes meanwhile ---- */

/* New objects reuse what is freed here, so that a write through a stale address damages them. */
static void make_some(void *arg)
{
	struct scene *scene = arg;

	for (size_t i = 0; i < MADE; i++)
		ct_set_make(scene->pool, &scene->made, object_bytes());
}

static void free_and_refill(void *arg)
{
	struct scene *scene = arg;

	scene->may_die = true;
	zpool_free(scene->pool, scene->object.handle);
	make_some(scene);
}

static void compact_all(void *arg)
{
	struct scene *scene = arg;

	CT_MUST(zpool_compact(scene->pool, 0, 0, NULL));
	make_some(scene);
}

static void trim_and_refill(void *arg)
{
	struct scene *scene = arg;

	ct_set_free_all(scene->pool, &scene->others);
	ct_trim(scene->pool);
	make_some(scene);
}

static void write_all(void *arg)
{
	struct scene *scene = arg;
	unsigned char bytes[OBJECT_BYTES];

	for (size_t i = 0; i < scene->others.count; i++) {
		struct ct_object *object = &scene->others.at[i];

		object->tag = ~object->tag;
		ct_pattern_fill(bytes, object->size, object->tag, 0);
		ct_bytes_put(scene->pool, object->handle, bytes, object->size, 0);
	}
}

/* The objects stay mapped until the interrupted call has ended. */
static void map_and_write_all(void *arg)
{
	struct scene *scene = arg;

	for (size_t i = 0; i < scene->others.count; i++) {
		struct ct_object *object = &scene->others.at[i];

		scene->addresses[i] = zpool_map_handle(scene->pool, object->handle, ZPOOL_MM_RW);
		CT_CHECK(scene->addresses[i] != NULL, "mapping a live object during another call returned NULL: %s",
			 zpool_last_error());
		scene->mapped[i] = true;
		object->tag = ~object->tag;
		ct_pattern_fill(scene->addresses[i], object->size, object->tag, 0);
	}
}

static void free_all(void *arg)
{
	struct scene *scene = arg;

	ct_set_free_all(scene->pool, &scene->others);
	make_some(scene);
}

/* ---- the pairs of calls ---- */

static const struct meeting {
	const char *name; /* parts of a message, such as "a read" and "its object was freed" */
	const char *meanwhile_name;
	void (*call)(void *arg);
	void (*undo)(void *arg);
	void (*meanwhile)(void *arg);
	uint32_t caps;
} read_and_free = { "a read", "its object was freed", stopped_read, undo_nothing, free_and_refill, 0 },
  write_and_free = { "a write", "its object was freed", stopped_write, undo_write, free_and_refill, 0 };

static const struct meeting with_a_free[] = {
	{ "a map", "its object was freed", stopped_map, undo_map, free_and_refill, ZPOOL_CAP_MAP },
	{ "a free", "its object was freed by another thread", stopped_free, undo_free, free_and_refill, 0 },
	{ "a malloc", "all objects were freed and trimmed", stopped_malloc, undo_malloc, trim_and_refill, 0 },
	{ "a free", "all other objects were freed and trimmed", stopped_free, undo_free, trim_and_refill, 0 },
	{ "a trim", "all objects were freed and others were allocated", stopped_trim, undo_giving_back, free_all,
	  ZPOOL_CAP_TRIM },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const struct meeting with_a_malloc[] = {
	{ "a malloc", "other objects were allocated", stopped_malloc, undo_malloc, make_some, 0 },
	{ "a free", "objects were allocated", stopped_free, undo_free, make_some, 0 },
	{ "a trim", "objects were allocated", stopped_trim, undo_giving_back, make_some, ZPOOL_CAP_TRIM },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static const struct meeting with_a_move[] = {
	{ "a read", "objects were compacted", stopped_read, undo_nothing, compact_all, ZPOOL_CAP_COMPACT },
	{ "a write", "objects were compacted", stopped_write, undo_write, compact_all, ZPOOL_CAP_COMPACT },
	{ "a map", "objects were compacted", stopped_map, undo_map, compact_all, ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP },
	{ "a free", "objects were compacted", stopped_free, undo_free, compact_all, ZPOOL_CAP_COMPACT },
	{ "a malloc", "objects were compacted", stopped_malloc, undo_malloc, compact_all, ZPOOL_CAP_COMPACT },
	{ "compaction", "objects were written to", stopped_compact, undo_giving_back, write_all, ZPOOL_CAP_COMPACT },
	{ "compaction", "objects were mapped", stopped_compact, undo_giving_back, map_and_write_all,
	  ZPOOL_CAP_COMPACT | ZPOOL_CAP_MAP },
	{ "compaction", "objects were freed", stopped_compact, undo_giving_back, free_all, ZPOOL_CAP_COMPACT },
	{ "compaction", "objects were allocated", stopped_compact, undo_giving_back, make_some, ZPOOL_CAP_COMPACT },
	{ NULL, NULL, NULL, NULL, NULL, 0 },
};

static void set_scene(struct scene *scene)
{
	thin_others(scene);
	scene->object = scene->others.at[ct_rng_below(&ct.rng, SPARSE)];
	ct_set_remove(&scene->others, ct_set_find(&scene->others, scene->object.handle));
	memset(scene->mapped, 0, sizeof(scene->mapped));
	scene->may_die = false;
	scene->address = NULL;
	scene->handle = 0;
	scene->result = 0;
	scene->tag = ct_rng_next(&ct.rng);
	ct_pattern_fill(scene->bytes, scene->object.size, scene->tag, 0);
}

static void check_copy(struct scene *scene, const struct meeting *meeting)
{
	bool done = scene->result == (int64_t)scene->object.size;

	CT_CHECK(done || (scene->may_die && (scene->result == -EINVAL || scene->result == -EBUSY)),
		 "%s of %zu bytes, during which %s, returned %s", meeting->name, scene->object.size,
		 meeting->meanwhile_name, ct_error_name(scene->result));
	if (done && meeting->call == stopped_read)
		CT_CHECK(ct_pattern_differs(scene->bytes, scene->object.size, scene->object.tag, 0) ==
				 scene->object.size,
			 "a read, during which %s, returned bytes that are not the object's", meeting->meanwhile_name);
	else if (done)
		scene->object.tag = scene->tag;
}

static void check_map(struct scene *scene, const struct meeting *meeting)
{
	char *again;

	CT_CHECK(scene->address || scene->may_die, "a map, during which %s, returned NULL: %s", meeting->meanwhile_name,
		 zpool_last_error());
	if (!scene->address)
		return;
	again = zpool_map_handle(scene->pool, scene->object.handle, ZPOOL_MM_RW);
	CT_CHECK(again == scene->address,
		 "a map, during which %s, returned %p, but the object, which is still mapped, is at %p",
		 meeting->meanwhile_name, (void *)scene->address, (void *)again);
	CT_CHECK(ct_pattern_differs(again, scene->object.size, scene->object.tag, 0) == scene->object.size,
		 "a map, during which %s, shows bytes that are not the object's", meeting->meanwhile_name);
	scene->object.tag = scene->tag;
	ct_pattern_fill(again, scene->object.size, scene->tag, 0);
	zpool_unmap_handle(scene->pool, scene->object.handle);
	zpool_unmap_handle(scene->pool, scene->object.handle);
}

static void unmap_others(struct scene *scene)
{
	for (size_t i = 0; i < SPARSE; i++) {
		char *again;

		if (!scene->mapped[i])
			continue;
		again = zpool_map_handle(scene->pool, scene->others.at[i].handle, ZPOOL_MM_RO);
		CT_CHECK(again == scene->addresses[i],
			 "an object that was mapped during compaction was at %p and is now at %p",
			 (void *)scene->addresses[i], (void *)again);
		zpool_unmap_handle(scene->pool, scene->others.at[i].handle);
		zpool_unmap_handle(scene->pool, scene->others.at[i].handle);
	}
}

/* Both calls have ended.  The result must be the same as if one had run after the other. */
static void check_scene(struct scene *scene, const struct meeting *meeting)
{
	char when[200];

	snprintf(when, sizeof(when), "after %s, during which %s", meeting->name, meeting->meanwhile_name);
	if (meeting->call == stopped_read || meeting->call == stopped_write)
		check_copy(scene, meeting);
	if (meeting->call == stopped_map)
		check_map(scene, meeting);
	if (meeting->call == stopped_malloc) {
		struct ct_object object = { scene->handle, object_bytes(), scene->tag };

		CT_CHECK(scene->result == 0, "a malloc, during which %s, returned %s: %s", meeting->meanwhile_name,
			 ct_error_name(scene->result), zpool_last_error());
		ct_bytes_put(scene->pool, object.handle, scene->bytes, object.size, 0);
		ct_set_add(&scene->made, &object);
	}
	unmap_others(scene);
	ct_set_check(scene->pool, &scene->others, when);
	ct_set_check(scene->pool, &scene->made, when);
	if (meeting->call != stopped_free && !ct_handle_is_dead(scene->pool, scene->object.handle)) {
		ct_object_check(scene->pool, &scene->object, when);
		zpool_free(scene->pool, scene->object.handle);
	}
	CT_CHECK(ct_handle_is_dead(scene->pool, scene->object.handle), "%s, an object cannot be freed", when);
	ct_set_free_all(scene->pool, &scene->made);
}

static void expect_no_object(struct zpool *pool, const struct meeting *meeting)
{
	struct zpool_stats stats;

	if (!ct_can(ZPOOL_CAP_STATS))
		return;
	CT_MUST(zpool_get_stats(pool, &stats, sizeof(stats)));
	CT_CHECK(stats.objects == 0,
		 "objects after %s, during which %s, and after all objects were freed: expected 0, got %llu",
		 meeting->name, meeting->meanwhile_name, (unsigned long long)stats.objects);
}

static void meet(const struct meeting *meeting)
{
	static struct scene scene;
	bool is_long = meeting->undo == undo_giving_back || meeting->meanwhile == trim_and_refill;
	unsigned int stops = is_long ? STOPS_OF_LONG : STOPS;

	if ((meeting->caps & ct.caps) != meeting->caps)
		return;
	memset(&scene, 0, sizeof(scene));
	scene.pool = ct_pool();
	ct_set_init(&scene.others, FULL);
	ct_set_init(&scene.made, MADE + 1);
	for (unsigned int i = 0; i < stops; i++) {
		set_scene(&scene);
		ct_stopper_run(meeting->call, meeting->undo, meeting->meanwhile, &scene);
		check_scene(&scene, meeting);
	}
	ct_set_free_all(scene.pool, &scene.others);
	expect_no_object(scene.pool, meeting);
	zpool_destroy_pool(scene.pool);
	ct_set_fini(&scene.others);
	ct_set_fini(&scene.made);
}

static bool can_copy(void)
{
	struct zpool *pool = ct_pool();
	struct ct_object object;
	char byte;
	bool can;

	ct_object_make(pool, &object, object_bytes(), 0);
	can = zpool_obj_read(pool, object.handle, &byte, 1, 0) != -EOPNOTSUPP;
	zpool_destroy_pool(pool);
	return can;
}

static void meet_all(const struct meeting *meetings)
{
	bool copies = can_copy();

	if (!ct_stopper_open())
		ct_skip("a sanitizer or valgrind delays signals, so that no call can be interrupted");
	for (; meetings->call; meetings++)
		if (copies || (meetings->call != stopped_read && meetings->call != stopped_write))
			meet(meetings);
	ct_stopper_close();
}

static void calls_race_with_free(void)
{
	meet_all(with_a_free);
}

static void calls_race_with_malloc(void)
{
	meet_all(with_a_malloc);
}

static void calls_race_with_move(void)
{
	ct_need(ZPOOL_CAP_COMPACT);
	meet_all(with_a_move);
}

/* ------------------------------------------------------------------------------------------------------------------
 * A copy beside a free, both as fast as they can: for machines where no call can be stopped
 */

/*
 * Each object has its own pattern, so that a copy through a stale handle shows up in the bytes read, or in the object
 * that now uses the slot.  Handle and pattern are published together, as one number.
 */
#define COPY_BYTES 192u
#define COPY_ROUNDS 10000u

static unsigned int rounds(unsigned int full)
{
	return ct_instrumented() ? full / 10 : full;
}

struct copies {
	struct zpool *pool;
	atomic_uint current;
	atomic_bool over;
	bool write;
	unsigned long handles[COPY_ROUNDS + 1];
};

/* The free was refused because a copy held the object, which never takes long. */
static void free_for_certain(struct copies *copies, unsigned long handle)
{
	for (zpool_free(copies->pool, handle); !ct_handle_is_dead(copies->pool, handle) && !ct_stopping();
	     zpool_free(copies->pool, handle))
		CT_CHECK(true, "this is a step");
}

static void replace_objects(struct copies *copies)
{
	struct ct_object object, before = { copies->handles[0], COPY_BYTES, 0 };

	for (unsigned int i = 1; i <= rounds(COPY_ROUNDS) && !ct_stopping(); i++) {
		ct_object_make(copies->pool, &object, COPY_BYTES, i);
		copies->handles[i] = object.handle;
		atomic_store(&copies->current, i);
		free_for_certain(copies, before.handle);
		/* A writer may write too, but the bytes are the same if it is this object. */
		if (copies->write)
			ct_object_check(copies->pool, &object, "after its neighbour was freed during a write");
		before = object;
	}
	atomic_store(&copies->over, true);
}

static void copy_objects(struct copies *copies)
{
	unsigned char bytes[COPY_BYTES];

	while (!atomic_load(&copies->over) && !ct_stopping()) {
		unsigned int i = atomic_load(&copies->current);
		int64_t done;

		if (copies->write) {
			ct_pattern_fill(bytes, sizeof(bytes), i, 0);
			done = zpool_obj_write(copies->pool, copies->handles[i], bytes, sizeof(bytes), 0);
		} else {
			done = zpool_obj_read(copies->pool, copies->handles[i], bytes, sizeof(bytes), 0);
		}
		CT_CHECK(done == COPY_BYTES || done == -EINVAL || done == -EBUSY, "a copy during a free returned %s",
			 ct_error_name(done));
		if (done == COPY_BYTES && !copies->write)
			CT_CHECK(
				ct_pattern_differs(bytes, sizeof(bytes), i, 0) == sizeof(bytes),
				"handle %#lx was read while another thread freed it, and the bytes belong to another object",
				copies->handles[i]);
	}
}

static void copy_or_free(struct ct_thread *thread)
{
	if (thread->index == 0)
		replace_objects(thread->arg);
	else
		copy_objects(thread->arg);
}

static void copy_beside_a_free(bool write)
{
	static struct copies copies;
	struct ct_object object;

	if (ct.max_bytes < COPY_BYTES)
		ct_skip("%s cannot store objects of %u bytes", ct.spec, COPY_BYTES);
	memset(&copies, 0, sizeof(copies));
	copies.pool = ct_pool();
	copies.write = write;
	ct_object_make(copies.pool, &object, COPY_BYTES, 0);
	if (zpool_obj_read(copies.pool, object.handle, &(char){ 0 }, 1, 0) == -EOPNOTSUPP)
		ct_skip("%s can neither copy objects nor report their size", ct.spec);
	copies.handles[0] = object.handle;
	if (ct_stopper_open()) {
		meet(write ? &write_and_free : &read_and_free);
		ct_stopper_close();
	}
	ct_threads_run(3, copy_or_free, &copies);
	zpool_destroy_pool(copies.pool);
}

static void read_races_with_free(void)
{
	copy_beside_a_free(false);
}

static void write_races_with_free(void)
{
	if (ct_thread_sanitized())
		ct_skip("two threads write the same bytes to the same object, which the thread sanitizer reports as a race");
	copy_beside_a_free(true);
}

const struct ct_case ct_cases_meetings[] = {
	{ "read_races_with_free", "A read during a free of the same handle returns the object's bytes or -EINVAL.",
	  read_races_with_free, 0 },
	{ "write_races_with_free", "A write during a free of the same handle changes its own object or nothing.",
	  write_races_with_free, 0 },
	{ "calls_race_with_free",
	  "Objects stay intact when a thread frees during another thread's map, malloc, free or trim.",
	  calls_race_with_free, 0 },
	{ "calls_race_with_malloc", "A malloc during another thread's malloc, free or trim gets a slot of its own.",
	  calls_race_with_malloc, 0 },
	{ "calls_race_with_move",
	  "A call finds its object when objects are moved during the call, or when the call happens during a move.",
	  calls_race_with_move, 0 },
	{ NULL, NULL, NULL, 0 },
};
