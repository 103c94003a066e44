/* SPDX-License-Identifier: MIT
 *
 * hostile.c - a driver whose texts all try to control the terminal: version, description, parameters, errors, log
 * messages
 */
#include "mock-pool.h"

/*
 * Colours, a title, a cleared line, C1 controls, an override of the text direction, a newline, and bytes that are not
 * UTF-8.
 */
#define HOSTILE                                                                                                        \
	"\x1b[31m\x1b]0;owned\a\b\r\x7f\xc2\x9b"                                                                       \
	"2J\xe2\x80\xae"                                                                                               \
	"drow\xe2\x81\xa6\xe2\x80\xa8\n\xff\xc0\x9b\xed\xa0\x80\x9b\xe6\x97"

struct hostile {
	struct mock_pool mock; /* the first member, so that the mock's functions accept it */
	const struct zpool_host *host;
	void *core;
	bool failing;
};

static const char *const modes[] = { "works", "create", "malloc", "hostile" HOSTILE, NULL };

static const struct zpool_param params[] = {
	{ .key = "mode",
	  .help = "which call fails " HOSTILE,
	  .default_value = "works",
	  .choices = modes,
	  .type = ZPOOL_PARAM_ENUM },
	{ .key = "text", .help = HOSTILE, .default_value = "default" HOSTILE, .type = ZPOOL_PARAM_STRING },
};

static int hostile_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct hostile *hostile;

	args->host->log(args->core, ZPOOL_LOG_ERROR, "logged " HOSTILE);
	if (args->values[0].number == 1) {
		args->host->error(args->core, "create failed " HOSTILE);
		return -EIO;
	}
	hostile = calloc(1, sizeof(*hostile));
	if (!hostile)
		return -ENOMEM;
	hostile->host = args->host;
	hostile->core = args->core;
	hostile->failing = args->values[0].number == 2;
	out->pool = hostile;
	return 0;
}

static int hostile_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct hostile *hostile = pool;

	if (!hostile->failing)
		return mock_malloc(pool, size, gfp, handle);
	hostile->host->error(hostile->core, "malloc failed " HOSTILE);
	return -EIO;
}

ZPOOL_DRIVER_DEFINE(hostile, "1.0" HOSTILE, "description " HOSTILE, MOCK_POOL_MEMBERS, .params = params,
		    .param_count = 2, .create = hostile_create, .malloc = hostile_malloc, .map = mock_map,
		    .unmap = mock_unmap)
