/* SPDX-License-Identifier: MIT
 *
 * mocks.c - test drivers that lack all optional features, to test the suite itself
 *
 * mock_maps and mock_copies have only the required callbacks, one with map and unmap, the other with read and write;
 * they enforce the limit themselves.  mock_pass is a filter that forwards all calls it can, with its own handles.
 * mock_slabs has its own file.
 *
 * The drivers are linked into the program, and register before main() runs.  The suite must work with them as with any
 * driver, and skip the cases about what they lack.
 */
#include "mocks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handles.h"

/* ------------------------------------------------------------------------------------------------------------------
 * mock_maps and mock_copies: an object is a block of malloc()
 */

enum { MOCK_OBJECT_BYTES_MAX = 5000, MOCK_LARGE_BYTES_MAX = 4 << 20, MOCK_ALIGNMENT_BYTES = 8, MOCK_BLOCK_BYTES = 16 };

struct mock_pool {
	struct zp_handles handles; /* location: the requested size; payload: the block */
	struct zp_pages pages;
};

static void **mock_block(struct mock_pool *pool, uint32_t slot)
{
	return zp_handles_payload(&pool->handles, slot);
}

static int mock_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct mock_pool *pool = calloc(1, sizeof(*pool));
	int err = pool ? zp_pages_init(&pool->pages, args->page_source, args->node, args->limit_bytes) : -ENOMEM;

	if (!err) {
		err = zp_handles_init(&pool->handles, &pool->pages, sizeof(uint64_t), 0);
		if (err)
			zp_pages_fini(&pool->pages);
	}
	if (err) {
		free(pool);
		return err;
	}
	out->pool = pool;
	return 0;
}

static int mock_free_block(unsigned long handle, uint64_t size, void *pool)
{
	(void)size;
	free(*mock_block(pool, zp_handle_slot(handle)));
	return 0;
}

static void mock_destroy(void *context)
{
	struct mock_pool *pool = context;

	zp_handles_each(&pool->handles, mock_free_block, pool);
	zp_handles_fini(&pool->handles);
	zp_pages_fini(&pool->pages);
	free(pool);
}

static int mock_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct mock_pool *pool = context;
	uint32_t slot;
	void *block;
	int err;

	if (gfp & ZPOOL_GFP_NOWAIT)
		return -ENOMEM;
	err = zp_pages_charge(&pool->pages, size + MOCK_BLOCK_BYTES, gfp);
	if (err)
		return err;
	block = gfp & ZPOOL_GFP_ZERO ? calloc(1, size) : malloc(size);
	err = block ? zp_handles_bind(&pool->handles, gfp, &slot, 1) : -ENOMEM;
	if (err < 0) {
		free(block);
		zp_pages_refund(&pool->pages, size + MOCK_BLOCK_BYTES);
		return err;
	}
	*mock_block(pool, slot) = block;
	*handle = zp_handles_publish(&pool->handles, slot, size);
	return 0;
}

static int mock_free(void *context, unsigned long handle)
{
	struct mock_pool *pool = context;
	uint64_t size = 0;
	uint32_t slot;
	int err = zp_handles_begin_free(&pool->handles, handle, &slot, &size);

	if (err)
		return err;
	free(*mock_block(pool, slot));
	zp_pages_refund(&pool->pages, size + MOCK_BLOCK_BYTES);
	zp_handles_release(&pool->handles, slot);
	return 0;
}

static uint64_t mock_total_size(void *context)
{
	struct mock_pool *pool = context;

	return zp_pages_held_bytes(&pool->pages);
}

static int mock_set_limit(void *context, uint64_t limit_bytes)
{
	struct mock_pool *pool = context;

	zp_pages_set_limit(&pool->pages, limit_bytes);
	return 0;
}

static void *mock_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct mock_pool *pool = context;
	uint64_t size = 0;
	int err = zp_handles_pin(&pool->handles, handle, &size);

	(void)mode;
	if (err) {
		errno = -err;
		return NULL;
	}
	return *mock_block(pool, zp_handle_slot(handle));
}

static int mock_unmap(void *context, unsigned long handle)
{
	struct mock_pool *pool = context;

	return zp_handles_unpin(&pool->handles, handle);
}

/* Pins an object for a copy.  Returns the address of its bytes at the offset, or NULL with *err. */
static char *mock_copy_begin(struct mock_pool *pool, unsigned long handle, size_t len, size_t offset, int64_t *err)
{
	uint64_t size = 0;

	*err = zp_handles_pin(&pool->handles, handle, &size);
	if (*err)
		return NULL;
	if (len > 0 && offset < size && len <= size - offset)
		return (char *)*mock_block(pool, zp_handle_slot(handle)) + offset;
	zp_handles_unpin(&pool->handles, handle);
	*err = -EINVAL;
	return NULL;
}

static int64_t mock_read(void *context, unsigned long handle, void *buf, size_t len, size_t offset)
{
	int64_t err;
	char *bytes = mock_copy_begin(context, handle, len, offset, &err);

	if (!bytes)
		return err;
	memcpy(buf, bytes, len);
	mock_unmap(context, handle);
	return (int64_t)len;
}

static int64_t mock_write(void *context, unsigned long handle, const void *buf, size_t len, size_t offset)
{
	int64_t err;
	char *bytes = mock_copy_begin(context, handle, len, offset, &err);

	if (!bytes)
		return err;
	memcpy(bytes, buf, len);
	mock_unmap(context, handle);
	return (int64_t)len;
}

static const struct zpool_driver mock_maps = {
	MOCK_HEAD("mock_maps", "only the required callbacks, with map and unmap, and large objects"),
	.max_object_bytes = MOCK_LARGE_BYTES_MAX,
	.alignment_bytes = MOCK_ALIGNMENT_BYTES,
	.create = mock_create,
	.destroy = mock_destroy,
	.malloc = mock_malloc,
	.free = mock_free,
	.total_size = mock_total_size,
	.map = mock_map,
	.unmap = mock_unmap,
	.set_limit = mock_set_limit,
};

/* Parameters that can be changed, and have no defaults. */
static const char *const mock_colours[] = { "red", "green", NULL };
static const struct zpool_param mock_params[] = {
	{ .key = "colour",
	  .help = "a word",
	  .choices = mock_colours,
	  .type = ZPOOL_PARAM_ENUM,
	  .flags = ZPOOL_PARAM_RUNTIME },
	{ .key = "level",
	  .help = "a number",
	  .min = 4,
	  .max = 9,
	  .type = ZPOOL_PARAM_UINT,
	  .flags = ZPOOL_PARAM_RUNTIME },
	{ .key = "name",
	  .help = "a name",
	  .min = 2,
	  .max = 9,
	  .type = ZPOOL_PARAM_STRING,
	  .flags = ZPOOL_PARAM_RUNTIME },
};

static int mock_set(void *context, uint32_t index, const struct zpool_value *value)
{
	(void)context;
	(void)index;
	(void)value;
	return 0;
}

static const struct zpool_driver mock_copies = {
	MOCK_HEAD("mock_copies", "only the required callbacks, with read and write"),
	.params = mock_params,
	.param_count = sizeof(mock_params) / sizeof(mock_params[0]),
	.max_object_bytes = MOCK_OBJECT_BYTES_MAX,
	.alignment_bytes = MOCK_ALIGNMENT_BYTES,
	.create = mock_create,
	.destroy = mock_destroy,
	.malloc = mock_malloc,
	.free = mock_free,
	.total_size = mock_total_size,
	.read = mock_read,
	.write = mock_write,
	.set_limit = mock_set_limit,
	.set = mock_set,
};

/* ------------------------------------------------------------------------------------------------------------------
 * mock_pass: a filter without walks, statistics and size classes, for drivers that can map, trim and report sizes
 */

#define PASS_BITS 0x5a5a0000ul

struct pass_pool {
	struct zpool_lower lower;
	const struct zpool_host *host;
	void *core;
	int (*evict)(void *evict_context, unsigned long handle);
	void *evict_context;
};

static int pass_evict(void *context, unsigned long handle)
{
	struct pass_pool *pass = context;

	return pass->evict(pass->evict_context, handle ^ PASS_BITS);
}

static int pass_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	struct pass_pool *pass = calloc(1, sizeof(*pass));
	int err;

	if (!pass)
		return -ENOMEM;
	pass->host = args->host;
	pass->core = args->core;
	pass->evict = args->evict;
	pass->evict_context = args->evict_context;
	err = args->host->lower_create(args->core, args->evict ? pass_evict : NULL, pass, &pass->lower,
				       sizeof(pass->lower));
	if (err) {
		free(pass);
		return err;
	}
	out->pool = pass;
	out->max_object_bytes = pass->lower.max_object_bytes;
	out->alignment_bytes = pass->lower.alignment_bytes;
	return 0;
}

static void pass_destroy(void *context)
{
	struct pass_pool *pass = context;

	pass->host->lower_destroy(pass->core, &pass->lower);
	free(pass);
}

static int pass_malloc(void *context, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	struct pass_pool *pass = context;
	unsigned long below;
	int err = pass->lower.driver->malloc(pass->lower.pool, size, gfp, &below);

	if (!err)
		*handle = below ^ PASS_BITS;
	return err;
}

static int pass_free(void *context, unsigned long handle)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->free(pass->lower.pool, handle ^ PASS_BITS);
}

static uint64_t pass_total_size(void *context)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->total_size(pass->lower.pool);
}

static void *pass_map(void *context, unsigned long handle, enum zpool_mapmode mode)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->map(pass->lower.pool, handle ^ PASS_BITS, mode);
}

static int pass_unmap(void *context, unsigned long handle)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->unmap(pass->lower.pool, handle ^ PASS_BITS);
}

static int pass_shrink(void *context, unsigned int pages, unsigned int *reclaimed)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->shrink(pass->lower.pool, pages, reclaimed);
}

static int64_t pass_obj_size(void *context, unsigned long handle)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->obj_size(pass->lower.pool, handle ^ PASS_BITS);
}

static int pass_set_limit(void *context, uint64_t limit_bytes)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->set_limit ? pass->lower.driver->set_limit(pass->lower.pool, limit_bytes) : 0;
}

static int pass_trim(void *context, uint64_t *released)
{
	struct pass_pool *pass = context;

	return pass->lower.driver->trim(pass->lower.pool, released);
}

static void pass_fork(void *context, enum zpool_fork_phase phase)
{
	(void)context;
	(void)phase;
}

static const struct zpool_driver mock_pass = {
	MOCK_HEAD("mock_pass", "forwards every call"),
	.flags_required = ZPOOL_DRIVER_FILTER,
	.flags_ignorable = ZPOOL_DRIVER_SLEEP_MAPPED | ZPOOL_DRIVER_NOWAIT,
	.max_object_bytes = MOCK_OBJECT_BYTES_MAX,
	.alignment_bytes = MOCK_ALIGNMENT_BYTES,
	.create = pass_create,
	.destroy = pass_destroy,
	.malloc = pass_malloc,
	.free = pass_free,
	.total_size = pass_total_size,
	.map = pass_map,
	.unmap = pass_unmap,
	.shrink = pass_shrink,
	.obj_size = pass_obj_size,
	.set_limit = pass_set_limit,
	.trim = pass_trim,
	.fork = pass_fork,
};

__attribute__((constructor)) static void mocks_register(void)
{
	static const struct zpool_driver *const mocks[] = { &mock_maps, &mock_copies, &mock_pass, &mock_slabs };

	for (size_t i = 0; i < sizeof(mocks) / sizeof(mocks[0]); i++) {
		if (zpool_register_driver(mocks[i]) != 0) {
			fprintf(stderr, "%s\n", zpool_last_error());
			exit(3);
		}
	}
}
