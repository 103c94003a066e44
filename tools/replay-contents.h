/* SPDX-License-Identifier: MIT
 *
 * replay-contents.h - the bytes that zpoolctl replay puts into objects and expects to find in them
 *
 * Every write gives the bytes that it writes a new version. The value of a byte follows from the object's number, the
 * byte's version and its offset. An object has the version of its last whole write, its base, and a list of pieces for
 * the parts that were written later, or without any whole write. Bytes that were never written are zero if the object
 * was allocated with ZPOOL_GFP_ZERO, and otherwise unknown.
 */
#ifndef REPLAY_CONTENTS_H
#define REPLAY_CONTENTS_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <zpool.h>

#include "replay.h"

struct replay_object {
	unsigned long handle; /* 0 if the object is not in the pool */
	uint32_t size;
	uint32_t pieces;           /* number of the first piece in struct replay_contents; 0 if there is none */
	uint16_t version;          /* version of the last write; 0 if there was none */
	uint16_t base;             /* version of the last whole write; 0 if there was none */
	uint16_t maps;             /* how often it is mapped now */
	uint16_t looks;            /* how often the evict callback maps or copies it */
	bool zero : 1;             /* allocated with ZPOOL_GFP_ZERO, and never written as a whole */
	bool refuses_eviction : 1; /* the evict callback must refuse this object */
	bool offered : 1;          /* the recorded callback was asked to evict it, so `looks' is known */
	bool compared : 1;
};

/* A part of an object, in a list that is sorted by offset and has no overlaps. */
struct replay_piece {
	uint32_t from, to;
	uint32_t next; /* number of the next piece; 0 if there is none */
	uint16_t version;
};

struct replay_contents {
	struct zpool *pool;
	const struct replay_object *objects; /* an object's number is its index */
	struct replay_result *result;        /* receives the counts of compared and differing objects */
	uint8_t *expected, *found;           /* buffers, each as large as the largest object */
	struct replay_piece *pieces;         /* [0] is not used */
	size_t piece_room, piece_count;      /* size of the array, and number of pieces ever used */
	uint32_t free_piece;                 /* number of the first free piece; 0 if there is none */
};

/* A write needs at most two more pieces: one for itself, and one for the rest of a piece that it cuts in two. */
#define REPLAY_PIECES_PER_WRITE 2

/* Returns true if the value of any byte of the object is known. */
bool replay_has_contents(const struct replay_object *object);

/* Compares a part of an object's contents with the bytes that are known. */
void replay_compare(struct replay_contents *contents, struct replay_object *object, const void *found, size_t offset,
		    size_t length);

/* Returns new contents, which the caller copies into the object. */
const uint8_t *replay_renew(struct replay_contents *contents, struct replay_object *object);

/* Do the same through the pool, for objects that are not mapped. Return 0 or -errno. */
int replay_compare_stored(struct replay_contents *contents, struct replay_object *object);
int replay_rewrite_stored(struct replay_contents *contents, struct replay_object *object);

/* Write or read a part of an object with zpool_obj_write() or zpool_obj_read(). */
int64_t replay_write(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length);
int64_t replay_read(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length);

/* Frees the pieces of an object that leaves the pool. */
void replay_forget(struct replay_contents *contents, struct replay_object *object);

#endif /* REPLAY_CONTENTS_H */
