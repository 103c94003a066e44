/* SPDX-License-Identifier: MIT
 *
 * image.h - a backing in memory that can fail, transfer less than it was asked for, and be interrupted
 */
#ifndef TESTS_STORE_IMAGE_H
#define TESTS_STORE_IMAGE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "zpool-store.h"

struct image {
	unsigned char *data;
	uint64_t bytes;
	_Atomic uint64_t calls;      /* of all functions but size and close */
	_Atomic uint64_t fail_from;  /* the number of the first call that fails; 0: none */
	_Atomic uint64_t fail_count; /* how many fail from there on */
	_Atomic int err;             /* with this positive errno */
	bool clumsy;                 /* short transfers, and -EINTR in between */
	_Atomic uint64_t reads, writes, flushes, discards, zeroes, closes;
	_Atomic uint64_t read_bytes, written_bytes;
	_Atomic bool misaligned; /* a buffer, offset or length was */
	struct zpool_store_backing backing;
};

/* With every function, or without discard, zero and next_extent.  The image is zero bytes. */
void image_init(struct image *image, uint64_t bytes, bool plain);
void image_fini(struct image *image);

/* Calls fail, from the nth from now on. */
void image_fail(struct image *image, uint64_t nth, uint64_t count, int err);

#endif
