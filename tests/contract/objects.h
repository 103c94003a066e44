/* SPDX-License-Identifier: MIT
 *
 * objects.h - objects with known contents, and sets of them
 */
#ifndef CT_OBJECTS_H
#define CT_OBJECTS_H 1

#include "case.h"

/* An object whose `size` bytes are the pattern of `tag`. */
struct ct_object {
	unsigned long handle;
	size_t size;
	uint64_t tag;
};

/* zpool_malloc() and write the pattern.  What zpool_malloc() gave; the object is unchanged on failure. */
int ct_object_try(struct zpool *pool, struct ct_object *object, size_t size, zpool_gfp_t gfp, uint64_t tag);

/* ... that must succeed. */
void ct_object_make(struct zpool *pool, struct ct_object *object, size_t size, uint64_t tag);

/* All bytes are still there, or the case fails with `when` in the message. */
void ct_object_check(struct zpool *pool, const struct ct_object *object, const char *when);

/* Does the pool refuse the handle? */
bool ct_handle_is_dead(struct zpool *pool, unsigned long handle);

/* Copy bytes out of or into an object, by mapping it or by zpool_obj_read() and _write(), whatever the driver has. */
void ct_bytes_get(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset);
void ct_bytes_put(struct zpool *pool, unsigned long handle, const void *buf, size_t len, size_t offset);

/*
 * A set of live objects, found by position or by handle.  Removing one puts the last in its place.
 *
 * index  maps hashes of handles to positions + 1, open addressing; 0 is empty
 */
struct ct_set {
	struct ct_object *at;
	size_t count;
	size_t capacity;
	uint32_t *index;
	size_t index_size;
	uint64_t next_tag;
};

void ct_set_init(struct ct_set *set, size_t capacity);
void ct_set_fini(struct ct_set *set);

/* Note an object.  A handle that is in the set already fails the case: two live objects would share it. */
void ct_set_add(struct ct_set *set, const struct ct_object *object);
void ct_set_remove(struct ct_set *set, size_t position);

/* The position of a handle, or SIZE_MAX. */
size_t ct_set_find(const struct ct_set *set, unsigned long handle);

/* Make objects and add them; free one and remove it. */
int ct_set_try(struct zpool *pool, struct ct_set *set, size_t size, zpool_gfp_t gfp);
void ct_set_make(struct zpool *pool, struct ct_set *set, size_t size);
void ct_set_fill(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);
void ct_set_free(struct zpool *pool, struct ct_set *set, size_t position);
void ct_set_free_all(struct zpool *pool, struct ct_set *set);

/* Free objects chosen at random until `count` are left. */
void ct_set_thin(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);

/*
 * The same, with those that stay mapped until the others are gone: so a driver that moves objects inside free, too,
 * leaves something to zpool_compact().
 */
void ct_set_thin_mapped(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);

void ct_set_check(struct zpool *pool, const struct ct_set *set, const char *when);

#endif /* CT_OBJECTS_H */
