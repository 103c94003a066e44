/* SPDX-License-Identifier: MIT
 *
 * zstd.c - zstd as a compressor of the table
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include <zstd.h>

#include "dictionary.h"

struct zstd {
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
};

static void zstd_destroy(void *context)
{
	struct zstd *zstd = context;

	ZSTD_freeCCtx(zstd->cctx);
	ZSTD_freeDCtx(zstd->dctx);
	free(zstd);
}

/*
 * The frames omit the content size and the number of the dictionary, because the store knows the length of each value
 * and the version of its dictionary.
 */
static void *zstd_create(int level)
{
	struct zstd *zstd = calloc(1, sizeof(*zstd));

	if (!zstd)
		return NULL;
	zstd->cctx = ZSTD_createCCtx();
	zstd->dctx = ZSTD_createDCtx();
	if (!zstd->cctx || !zstd->dctx || ZSTD_isError(ZSTD_CCtx_setParameter(zstd->cctx, ZSTD_c_contentSizeFlag, 0)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(zstd->cctx, ZSTD_c_dictIDFlag, 0)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(zstd->cctx, ZSTD_c_compressionLevel, level))) {
		zstd_destroy(zstd);
		return NULL;
	}
	return zstd;
}

static size_t zstd_bytes(const void *context)
{
	const struct zstd *zstd = context;

	return sizeof(*zstd) + ZSTD_sizeof_CCtx(zstd->cctx) + ZSTD_sizeof_DCtx(zstd->dctx);
}

static size_t zstd_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	struct zstd *zstd = context;
	size_t length = ZSTD_compress2(zstd->cctx, to, room, from, bytes);

	return ZSTD_isError(length) ? 0 : length;
}

static size_t zstd_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	struct zstd *zstd = context;
	size_t length = ZSTD_decompressDCtx(zstd->dctx, to, room, from, bytes);

	return ZSTD_isError(length) ? 0 : length;
}

size_t zps_zstd_compress(void *state, const ZSTD_CDict *dictionary, const void *from, size_t bytes, void *to,
			 size_t room)
{
	struct zstd *zstd = state;

	if (ZSTD_isError(ZSTD_CCtx_refCDict(zstd->cctx, dictionary)))
		return 0;
	return zstd_compress(state, from, bytes, to, room);
}

size_t zps_zstd_decompress(void *state, const ZSTD_DDict *dictionary, const void *from, size_t bytes, void *to,
			   size_t room)
{
	struct zstd *zstd = state;
	size_t length;

	if (!dictionary)
		return zstd_decompress(state, from, bytes, to, room);
	length = ZSTD_decompress_usingDDict(zstd->dctx, to, room, from, bytes, dictionary);
	return ZSTD_isError(length) ? 0 : length;
}

static struct zpool_store_compressor zstd_entry = {
	.struct_size = sizeof(zstd_entry),
	.level_default = ZSTD_CLEVEL_DEFAULT,
	.name = "zstd",
	.create = zstd_create,
	.destroy = zstd_destroy,
	.context_bytes = zstd_bytes,
	.compress = zstd_compress,
	.decompress = zstd_decompress,
};

/* The levels are read at run time, because the zstd library may be newer than the header that we were built with. */
static void zstd_set_levels(void)
{
	zstd_entry.level_min = ZSTD_minCLevel();
	zstd_entry.level_max = ZSTD_maxCLevel();
}

const struct zpool_store_compressor *zps_zstd(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, zstd_set_levels);
	return &zstd_entry;
}
