/* SPDX-License-Identifier: MIT
 *
 * replay-contents.h - what zpoolctl replay puts into objects, and finds in them
 */
#ifndef REPLAY_CONTENTS_H
#define REPLAY_CONTENTS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zpool.h>

#include "replay.h"

struct replay_object {
	unsigned long handle; /* 0: not in the pool */
	uint32_t size;
	uint16_t version; /* of its contents; 0: never written as a whole */
	uint16_t maps;    /* how often it is mapped */
	uint16_t looks;   /* how often the evict callback maps or copies it */
	bool zero;        /* never written, and asked for as zeros */
	bool kept;        /* the evict callback refuses */
	bool offered;     /* the recorded callback was asked for it, so that `looks' is known */
};

struct replay_contents {
	struct zpool *pool;
	const struct replay_object *objects; /* a number is a place in it */
	struct replay_result *result;        /* counts what is compared and what differs */
	uint8_t *expected, *found;           /* room for the largest object */
};

/* Compare a part of what was found.  Nothing is known of an object that was never written, or only in parts. */
void replay_compare(struct replay_contents *contents, const struct replay_object *object, const void *found,
		    size_t offset, size_t length);

/* New contents, to be copied into the object. */
const uint8_t *replay_renew(struct replay_contents *contents, struct replay_object *object);

/* The same by way of the pool, for objects that are not mapped.  0 or -errno. */
int replay_compare_stored(struct replay_contents *contents, const struct replay_object *object);
int replay_rewrite_stored(struct replay_contents *contents, struct replay_object *object);

/* zpool_obj_write() and zpool_obj_read() of a part.  Of what was written before, a write changes nothing. */
int64_t replay_write(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length);
int64_t replay_read(struct replay_contents *contents, const struct replay_object *object, size_t offset, size_t length);

#endif /* REPLAY_CONTENTS_H */
