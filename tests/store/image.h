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
	_Atomic uint64_t calls;      /* counts the calls of all functions but size and close */
	_Atomic uint64_t fail_from;  /* is the number of the first call that fails, or 0 */
	_Atomic uint64_t fail_count; /* is how many calls fail from there on */
	_Atomic int err;             /* is the positive errno of the failures */
	bool tears;                  /* makes each write that fails change the first half of its range */
	bool clumsy;                 /* makes transfers short, and some calls fail with -EINTR */
	_Atomic uint64_t reads, writes, flushes, discards, zeroes, closes;
	_Atomic uint64_t read_bytes, written_bytes;
	_Atomic bool misaligned; /* is set if a buffer, offset or length was misaligned or out of range */
	struct zpool_store_backing backing;
};

/* Makes an image of zero bytes, with every function, or if `plain` without discard, zero and next_extent. */
void image_init(struct image *image, uint64_t bytes, bool plain);
void image_fini(struct image *image);

/* Makes `count` calls fail with `err`, starting with the nth call from now on; with nth 0, no call fails. */
void image_fail(struct image *image, uint64_t nth, uint64_t count, int err);

#endif
