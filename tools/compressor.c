/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lz4.h>
#include <zstd.h>

#include "compressor.h"
#include "message.h"

struct compressor {
	bool zstd;
	int level;
	void *lz4_state;
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	char name[32];
};

static bool parse_compressor(struct compressor *c, const char *text, char problem[COMPRESSOR_TEXT])
{
	const char *colon = strchr(text, ':');
	size_t name_length = colon ? (size_t)(colon - text) : strlen(text);
	char *end;
	long level;

	c->zstd = name_length == 4 && !strncmp(text, "zstd", 4);
	if (!c->zstd && (name_length != 3 || strncmp(text, "lz4", 3) != 0)) {
		snprintf(problem, COMPRESSOR_TEXT, "there is no compressor \"%.60s\": choose lz4, zstd or zstd:LEVEL",
			 text);
		return false;
	}
	if (!colon) {
		c->level = ZSTD_CLEVEL_DEFAULT;
		return true;
	}
	if (!c->zstd) {
		snprintf(problem, COMPRESSOR_TEXT, "lz4 has no levels: write --compressor lz4");
		return false;
	}
	errno = 0;
	level = strtol(colon + 1, &end, 10);
	if (errno || end == colon + 1 || *end || level < ZSTD_minCLevel() || level > ZSTD_maxCLevel()) {
		snprintf(problem, COMPRESSOR_TEXT, "the level of zstd must be a number from %d to %d, not \"%.60s\"",
			 ZSTD_minCLevel(), ZSTD_maxCLevel(), colon + 1);
		return false;
	}
	c->level = (int)level;
	return true;
}

/* The caller knows the length of each unit, so the frame need not store it. */
static void set_up(struct compressor *c)
{
	if (!c->zstd) {
		c->lz4_state = malloc((size_t)LZ4_sizeofState());
		if (!c->lz4_state)
			out_of_memory();
		snprintf(c->name, sizeof(c->name), "lz4");
		return;
	}
	c->cctx = ZSTD_createCCtx();
	c->dctx = ZSTD_createDCtx();
	if (!c->cctx || !c->dctx || ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_contentSizeFlag, 0)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(c->cctx, ZSTD_c_compressionLevel, c->level)))
		out_of_memory();
	snprintf(c->name, sizeof(c->name), "zstd:%d", c->level);
}

struct compressor *compressor_new(const char *text, char problem[COMPRESSOR_TEXT])
{
	struct compressor *c = calloc(1, sizeof(*c));

	if (!c)
		out_of_memory();
	if (!parse_compressor(c, text, problem)) {
		free(c);
		return NULL;
	}
	set_up(c);
	return c;
}

void compressor_free(struct compressor *c)
{
	if (!c)
		return;
	free(c->lz4_state);
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	free(c);
}

const char *compressor_name(const struct compressor *c)
{
	return c->name;
}

size_t compressor_pack(struct compressor *c, const void *data, size_t bytes, void *packed, size_t room)
{
	size_t size;

	if (!c->zstd)
		return (size_t)LZ4_compress_fast_extState(c->lz4_state, data, packed, (int)bytes, (int)room, 1);
	size = ZSTD_compress2(c->cctx, packed, room, data, bytes);
	return ZSTD_isError(size) ? 0 : size;
}

bool compressor_unpack(struct compressor *c, const void *packed, size_t packed_bytes, void *data, size_t bytes)
{
	if (!c->zstd)
		return LZ4_decompress_safe(packed, data, (int)packed_bytes, (int)bytes) == (int)bytes;
	return ZSTD_decompressDCtx(c->dctx, data, bytes, packed, packed_bytes) == bytes;
}
