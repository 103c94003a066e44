/* SPDX-License-Identifier: MIT
 *
 * Drivers, including those of other authors, call the page source while they hold locks and their records are
 * inconsistent. They therefore get a table of wrappers, which call the host's functions with cancellation disabled.
 */
#include <config.h>

#include "core/page_source.h"

#include <errno.h>

#include "base/callback.h"

static void *source_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	const struct zpool_page_source *host = context;
	ZP_CALLBACK_HERE;
	return host->reserve(host->context, bytes, align_bytes, node);
}

/*
 * Drivers pass the result on as that of zpool_malloc(), where -ENOSPC and -EAGAIN mean something else, and try again
 * after -ENOMEM. The host's errno is not logged, because drivers hold locks and a log handler may call the pool.
 */
static int source_commit(void *context, void *address, size_t bytes)
{
	const struct zpool_page_source *host = context;
	ZP_CALLBACK_HERE;
	return host->commit(host->context, address, bytes) ? -ENOMEM : 0;
}

static int source_decommit(void *context, void *address, size_t bytes)
{
	const struct zpool_page_source *host = context;
	ZP_CALLBACK_HERE;
	return host->decommit(host->context, address, bytes);
}

static void source_release(void *context, void *address, size_t bytes)
{
	const struct zpool_page_source *host = context;
	ZP_CALLBACK_HERE;
	host->release(host->context, address, bytes);
}

const struct zpool_page_source *zp_page_source_of(struct zpool *pool)
{
	const struct zpool_page_source *host = pool->args.page_source;
	if (!host)
		return NULL;
	pool->page_source = (struct zpool_page_source){
		.struct_size = sizeof(pool->page_source),
		.context = (void *)(uintptr_t)host,
		.reserve = source_reserve,
		.commit = source_commit,
		.decommit = source_decommit,
		.release = source_release,
	};
	return &pool->page_source;
}
