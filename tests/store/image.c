/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"

/* Counts a call, and returns -errno if it is the turn of this call to fail. */
static int begin(struct image *image)
{
	uint64_t number = atomic_fetch_add(&image->calls, 1) + 1;
	uint64_t from = atomic_load(&image->fail_from);

	if (from && number >= from && number - from < atomic_load(&image->fail_count))
		return -atomic_load(&image->err);
	return image->clumsy && number % 3 == 0 ? -EINTR : 0;
}

static size_t part_of(const struct image *image, size_t bytes)
{
	return image->clumsy && bytes > 1 ? bytes / 2 : bytes;
}

static void check(struct image *image, const void *buf, uint64_t offset, uint64_t bytes)
{
	if (!image->clumsy && ((uintptr_t)buf % 4096 || offset % 512 || bytes % 512))
		atomic_store(&image->misaligned, true);
	if (offset + bytes > image->bytes)
		atomic_store(&image->misaligned, true);
}

static int64_t image_size(void *user)
{
	return (int64_t)((struct image *)user)->bytes;
}

static int64_t image_pread(void *user, void *buf, size_t bytes, uint64_t offset)
{
	struct image *image = user;
	int err = begin(image);

	if (err)
		return err;
	check(image, buf, offset, bytes);
	bytes = part_of(image, bytes);
	memcpy(buf, image->data + offset, bytes);
	atomic_fetch_add(&image->reads, 1);
	atomic_fetch_add(&image->read_bytes, bytes);
	return (int64_t)bytes;
}

static int64_t image_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	struct image *image = user;
	int err = begin(image);

	if (image->tears && err && err != -EINTR)
		memcpy(image->data + offset, buf, bytes / 2);
	if (err)
		return err;
	check(image, buf, offset, bytes);
	bytes = part_of(image, bytes);
	memcpy(image->data + offset, buf, bytes);
	atomic_fetch_add(&image->writes, 1);
	atomic_fetch_add(&image->written_bytes, bytes);
	return (int64_t)bytes;
}

static int image_flush(void *user)
{
	struct image *image = user;
	int err = begin(image);

	if (!err)
		atomic_fetch_add(&image->flushes, 1);
	return err;
}

static int clear(struct image *image, _Atomic uint64_t *count, uint64_t offset, uint64_t bytes)
{
	int err = begin(image);

	if (image->tears && err)
		memset(image->data + offset, 0, bytes / 2);
	if (err)
		return err;
	check(image, NULL, offset, bytes);
	memset(image->data + offset, 0, bytes);
	atomic_fetch_add(count, 1);
	return 0;
}

static int image_discard(void *user, uint64_t offset, uint64_t bytes)
{
	struct image *image = user;

	return clear(image, &image->discards, offset, bytes);
}

static int image_zero(void *user, uint64_t offset, uint64_t bytes)
{
	struct image *image = user;

	return clear(image, &image->zeroes, offset, bytes);
}

/* A block of 512 bytes is a hole if all of them are zero. */
static int64_t image_next_extent(void *user, uint64_t offset, uint64_t bytes, int *is_hole)
{
	static const unsigned char zero[512];
	struct image *image = user;
	uint64_t at = 0;

	*is_hole = !memcmp(image->data + offset, zero, sizeof(zero));
	while (at < bytes && (memcmp(image->data + offset + at, zero, sizeof(zero)) == 0) == *is_hole)
		at += sizeof(zero);
	return (int64_t)at;
}

static void image_close(void *user)
{
	struct image *image = user;

	atomic_fetch_add(&image->closes, 1);
}

void image_init(struct image *image, uint64_t bytes, bool plain)
{
	*image = (struct image){ .data = calloc(1, bytes), .bytes = bytes };
	image->backing = (struct zpool_store_backing){
		.struct_size = sizeof(image->backing),
		.user = image,
		.name = "the test's image",
		.size = image_size,
		.pread = image_pread,
		.pwrite = image_pwrite,
		.flush = image_flush,
		.discard = plain ? NULL : image_discard,
		.zero = plain ? NULL : image_zero,
		.next_extent = plain ? NULL : image_next_extent,
		.close = image_close,
	};
	if (!image->data)
		abort();
}

void image_fini(struct image *image)
{
	free(image->data);
}

void image_fail(struct image *image, uint64_t nth, uint64_t count, int err)
{
	atomic_store(&image->err, err);
	atomic_store(&image->fail_count, count);
	atomic_store(&image->fail_from, nth ? atomic_load(&image->calls) + nth : 0);
}
