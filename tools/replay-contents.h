/* SPDX-License-Identifier: MIT
 *
 * replay-contents.h - what zpoolctl replay puts into objects, and finds in them
 *
 * Every write gives the bytes that it writes a new version, and a byte's value follows from the object's number, the
 * byte's version and its offset.  An object knows the version of its last whole write, its base, and has a list of
 * pieces for the parts that were written later or without a whole write.  Bytes that were never written are zeros if
 * the object was asked for so, and otherwise unknown.
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
	uint32_t pieces;  /* number of the first in struct replay_contents; 0: none */
	uint16_t version; /* of the last write; 0: there was none */
	uint16_t base;    /* of the last whole write; 0: there was none */
	uint16_t maps;    /* how often it is mapped */
	uint16_t looks;   /* how often the evict callback maps or copies it */
	bool zero : 1;    /* asked for as zeros, and never written as a whole */
	bool kept : 1;    /* the evict callback refuses */
	bool offered : 1; /* the recorded callback was asked for it, so that `looks' is known */
	bool compared : 1;
};

/* A part of an object, in a list that is sorted by offset and has no overlaps. */
struct replay_piece {
	uint32_t from, to;
	uint32_t next; /* a number; 0: none */
	uint16_t version;
};

struct replay_contents {
	struct zpool *pool;
	const struct replay_object *objects; /* a number is a place in it */
	struct replay_result *result;        /* counts what is compared and what differs */
	uint8_t *expected, *found;           /* room for the largest object */
	struct replay_piece *pieces;         /* [0] is not used */
	size_t piece_room, piece_count;      /* places in it, and those that were ever used */
	uint32_t free_piece;                 /* the first of a list of free ones; 0: none */
};

/* A write needs at most two more: for itself, and for what is left behind it of one that it cuts in two. */
#define REPLAY_PIECES_PER_WRITE 2

/* Does an object have bytes that are known? */
bool replay_has_contents(const struct replay_object *object);

/* Compare a part of what was found with what is known of it. */
void replay_compare(struct replay_contents *contents, struct replay_object *object, const void *found, size_t offset,
		    size_t length);

/* New contents, to be copied into the object. */
const uint8_t *replay_renew(struct replay_contents *contents, struct replay_object *object);

/* The same by way of the pool, for objects that are not mapped.  0 or -errno. */
int replay_compare_stored(struct replay_contents *contents, struct replay_object *object);
int replay_rewrite_stored(struct replay_contents *contents, struct replay_object *object);

/* zpool_obj_write() and zpool_obj_read() of a part. */
int64_t replay_write(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length);
int64_t replay_read(struct replay_contents *contents, struct replay_object *object, size_t offset, size_t length);

/* The object leaves the pool: its pieces are free for others. */
void replay_forget(struct replay_contents *contents, struct replay_object *object);

#endif /* REPLAY_CONTENTS_H */
