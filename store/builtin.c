/* SPDX-License-Identifier: MIT
 *
 * builtin.c - LZ4 and zstd as compressors of the table
 */
#include "config.h"

#include <pthread.h>
#include <stdlib.h>

#include <lz4.h>
#include <lz4hc.h>
#include <zstd.h>

#include "compressor.h"

static size_t lz4_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	int length = LZ4_decompress_safe(from, to, (int)bytes, (int)room);

	(void)context;
	return length > 0 ? (size_t)length : 0;
}

static void *lz4_create(int level)
{
	(void)level;
	return malloc((size_t)LZ4_sizeofState());
}

static size_t lz4_bytes(const void *context)
{
	(void)context;
	return (size_t)LZ4_sizeofState();
}

static size_t lz4_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	int length = LZ4_compress_fast_extState(context, from, to, (int)bytes, (int)room, 1);

	return length > 0 ? (size_t)length : 0;
}

const struct zpool_store_compressor zps_lz4 = {
	.struct_size = sizeof(zps_lz4),
	.name = "lz4",
	.create = lz4_create,
	.destroy = free,
	.context_bytes = lz4_bytes,
	.compress = lz4_compress,
	.decompress = lz4_decompress,
};

/* LZ4's state is an opaque block of memory without the level, so the level is kept beside it. */
struct lz4hc {
	void *state;
	int level;
};

static void *lz4hc_create(int level)
{
	struct lz4hc *hc = malloc(sizeof(*hc));

	if (!hc)
		return NULL;
	hc->level = level;
	hc->state = malloc((size_t)LZ4_sizeofStateHC());
	if (!hc->state) {
		free(hc);
		return NULL;
	}
	return hc;
}

static void lz4hc_destroy(void *context)
{
	struct lz4hc *hc = context;

	free(hc->state);
	free(hc);
}

static size_t lz4hc_bytes(const void *context)
{
	(void)context;
	return (size_t)LZ4_sizeofStateHC() + sizeof(struct lz4hc);
}

static size_t lz4hc_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	struct lz4hc *hc = context;
	int length = LZ4_compress_HC_extStateHC(hc->state, from, to, (int)bytes, (int)room, hc->level);

	return length > 0 ? (size_t)length : 0;
}

const struct zpool_store_compressor zps_lz4hc = {
	.struct_size = sizeof(zps_lz4hc),
	.level_min = 1,
	.level_max = LZ4HC_CLEVEL_MAX,
	.level_default = LZ4HC_CLEVEL_DEFAULT,
	.name = "lz4hc",
	.create = lz4hc_create,
	.destroy = lz4hc_destroy,
	.context_bytes = lz4hc_bytes,
	.compress = lz4hc_compress,
	.decompress = lz4_decompress,
};

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

/* The frames omit the content size, because the store knows the length of each value. */
static void *zstd_create(int level)
{
	struct zstd *zstd = calloc(1, sizeof(*zstd));

	if (!zstd)
		return NULL;
	zstd->cctx = ZSTD_createCCtx();
	zstd->dctx = ZSTD_createDCtx();
	if (!zstd->cctx || !zstd->dctx || ZSTD_isError(ZSTD_CCtx_setParameter(zstd->cctx, ZSTD_c_contentSizeFlag, 0)) ||
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
