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

/*
 * Calls zpool_malloc() and writes the pattern.  Returns the result of zpool_malloc(); on failure the object is
 * unchanged.
 */
int ct_object_try(struct zpool *pool, struct ct_object *object, size_t size, zpool_gfp_t gfp, uint64_t tag);

/* The same, but fails the case if it does not succeed. */
void ct_object_make(struct zpool *pool, struct ct_object *object, size_t size, uint64_t tag);

/* Fails the case, with `when` in the message, unless the object has all its bytes. */
void ct_object_check(struct zpool *pool, const struct ct_object *object, const char *when);

/* Returns true if the pool refuses the handle. */
bool ct_handle_is_dead(struct zpool *pool, unsigned long handle);

/*
 * Copies bytes out of or into an object, by mapping it or with zpool_obj_read() and zpool_obj_write(), depending on the
 * driver.
 */
void ct_bytes_get(struct zpool *pool, unsigned long handle, void *buf, size_t len, size_t offset);
void ct_bytes_put(struct zpool *pool, unsigned long handle, const void *buf, size_t len, size_t offset);

/*
 * A set of live objects, found by position or by handle.  Removing one moves the last to its position.
 *
 * index  maps hashes of handles to positions + 1, with open addressing; 0 is empty
 */
struct ct_set {
	struct ct_object *at;
	size_t count;
	size_t capacity;
	uint32_t *index;
	size_t index_size;
	uint64_t next_tag;
};

/* With all that a driver keeps for an object, it takes at least so many bytes of the pool, even if it has only one. */
enum { CT_TAKEN_BYTES_MIN = 7 };

/* Returns a capacity for sets that are filled until a limit of ct_limit() is reached. */
size_t ct_set_to_limit(void);

void ct_set_init(struct ct_set *set, size_t capacity);
void ct_set_fini(struct ct_set *set);

/* Adds an object.  Fails the case if its handle is already in the set, because two live objects would share it. */
void ct_set_add(struct ct_set *set, const struct ct_object *object);
void ct_set_remove(struct ct_set *set, size_t position);

/* Returns the position of a handle, or SIZE_MAX. */
size_t ct_set_find(const struct ct_set *set, unsigned long handle);

/* Allocate objects and add them; free one and remove it. */
int ct_set_try(struct zpool *pool, struct ct_set *set, size_t size, zpool_gfp_t gfp);
void ct_set_make(struct zpool *pool, struct ct_set *set, size_t size);
void ct_set_fill(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);
/* Adds at least `count` objects, and more until the pool has grown by so many pages or the set is full. */
void ct_set_fill_pages(struct zpool *pool, struct ct_set *set, size_t count, unsigned int pages, struct ct_rng *rng);
void ct_set_free(struct zpool *pool, struct ct_set *set, size_t position);
void ct_set_free_all(struct zpool *pool, struct ct_set *set);

/* Frees random objects until `count` are left. */
void ct_set_thin(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);

/*
 * The same, but keeps the remaining objects mapped until the others are freed, so that even a driver that moves objects
 * during free leaves work for zpool_compact().
 */
void ct_set_thin_mapped(struct zpool *pool, struct ct_set *set, size_t count, struct ct_rng *rng);

void ct_set_check(struct zpool *pool, const struct ct_set *set, const char *when);

#endif /* CT_OBJECTS_H */
