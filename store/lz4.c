/* SPDX-License-Identifier: MIT
 *
 * lz4.c - LZ4 and its slower variant as compressors of the table
 */
#include "config.h"

#include <stdlib.h>

#include <lz4.h>
#include <lz4hc.h>

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
