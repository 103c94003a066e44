/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "image.h"

static int64_t image_size(void *user)
{
	return (int64_t)((struct image *)user)->bytes;
}

static int64_t note_error(struct image *image, int error)
{
	if (!image->error)
		image->error = error;
	return error;
}

static int64_t image_pread(void *user, void *buf, size_t bytes, uint64_t offset)
{
	struct image *image = user;
	int error = spool_read(&image->spool, buf, bytes, offset);

	image->reads++;
	return error ? note_error(image, error) : (int64_t)bytes;
}

static int64_t image_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	struct image *image = user;
	int error = image->ended ? 0 : spool_write(&image->spool, buf, bytes, offset);

	return error ? note_error(image, error) : (int64_t)bytes;
}

/* The file ends with the tool, so its contents need not be on stable storage. */
static int image_flush(void *user)
{
	(void)user;
	return 0;
}

int image_open(struct image *image, uint64_t bytes)
{
	*image = (struct image){
		.bytes = bytes,
		.backing = {
			.struct_size = sizeof(image->backing),
			.user = image,
			.name = "The temporary file",
			.size = image_size,
			.pread = image_pread,
			.pwrite = image_pwrite,
			.flush = image_flush,
		},
	};
	return spool_open(&image->spool);
}

void image_close(struct image *image)
{
	spool_close(&image->spool);
}
