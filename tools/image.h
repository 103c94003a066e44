/* SPDX-License-Identifier: MIT
 *
 * image.h - the backing of a store with a limit: a temporary file to which units are evicted
 */
#ifndef IMAGE_H
#define IMAGE_H 1

#include <stdbool.h>
#include <stdint.h>

#include <zpool-store.h>

#include "spool.h"

struct image {
	struct spool spool;
	uint64_t bytes;
	struct zpool_store_backing backing; /* for struct zpool_store_args */
	uint64_t reads;                     /* counts the units that were loaded from the file */
	bool ended;                         /* nothing that is written from now on will be read */
	int error;                          /* the first -errno; the message was printed */
};

/* Creates the file. Returns 0, or -errno after a message. A child may use the image if its parent does not. */
int image_open(struct image *image, uint64_t bytes);
void image_close(struct image *image);

#endif /* IMAGE_H */
