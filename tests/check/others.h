/* SPDX-License-Identifier: MIT
 *
 * others.h - faults that show next to another pool, in a forked child, with unusual arguments, or in large pools.
 * broken.c includes this file after the driver and before the driver's structure.
 */

/* All pools use the page source of the pool that was created last. */
#ifdef FAULT_pools_share_a_source
static const struct zpool_page_source *broken_source;

static void *broken_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	(void)context;
	return broken_source->reserve(broken_source->context, bytes, align_bytes, node);
}

static int broken_commit(void *context, void *address, size_t bytes)
{
	(void)context;
	return broken_source->commit(broken_source->context, address, bytes);
}

static int broken_decommit(void *context, void *address, size_t bytes)
{
	(void)context;
	return broken_source->decommit(broken_source->context, address, bytes);
}

static void broken_release(void *context, void *address, size_t bytes)
{
	(void)context;
	broken_source->release(broken_source->context, address, bytes);
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static const struct zpool_page_source shared = {
		sizeof(shared), 0, NULL, broken_reserve, broken_commit, broken_decommit, broken_release
	};
	struct zpool_create_args other = *args;

	if (args->page_source) {
		broken_source = args->page_source;
		other.page_source = &shared;
	}
	return slabs_create(&other, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_commits_twice
static const struct zpool_page_source *broken_source;

static int broken_commit(void *context, void *address, size_t bytes)
{
	int err = broken_source->commit(context, address, bytes);

	return err ? err : broken_source->commit(context, address, bytes);
}

static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	static struct zpool_page_source twice;
	struct zpool_create_args other = *args;

	if (args->page_source) {
		broken_source = args->page_source;
		twice = *args->page_source;
		twice.commit = broken_commit;
		other.page_source = &twice;
	}
	return slabs_create(&other, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_the_first_pool_has_the_limit
static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	static void *first;

	if (!first)
		first = pool;
	return slabs_set_limit(first, limit_bytes);
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

#ifdef FAULT_limits_have_32_bits
static int broken_set_limit(void *pool, uint64_t limit_bytes)
{
	return slabs_set_limit(pool, (uint32_t)limit_bytes);
}
#define BROKEN_SET_LIMIT broken_set_limit
#endif

#ifdef FAULT_children_have_no_limit
static void broken_fork(void *pool, enum zpool_fork_phase phase)
{
	slabs_fork(pool, phase);
	if (phase == ZPOOL_FORK_CHILD)
		slabs_set_limit(pool, 0);
}
#define BROKEN_FORK broken_fork
#endif

/* Every third free loses a slot of the handle table. */
#ifdef FAULT_freed_slots_stay_taken
static int broken_free(void *pool, unsigned long handle)
{
	static atomic_uint frees;
	uint32_t index;
	int err = slabs_free(pool, handle);

	if (!err && atomic_fetch_add(&frees, 1) % 3 == 0)
		zp_handles_bind(&((struct slabs_pool *)pool)->handles, 0, &index, 1);
	return err;
}
#define BROKEN_FREE broken_free
#endif

#ifdef FAULT_compacts_small_pools_only
static int broken_compact(void *pool, const struct zpool_budget *budget, uint64_t *released)
{
	if (((struct slabs_pool *)pool)->slabs < 800)
		return slabs_compact(pool, budget, released);
	*released = 0;
	return 0;
}
#define BROKEN_COMPACT broken_compact
#endif

#ifdef FAULT_evicts_from_small_pools_only
static int broken_shrink(void *pool, unsigned int pages, unsigned int *reclaimed)
{
	if (((struct slabs_pool *)pool)->objects < 20000)
		return slabs_shrink(pool, pages, reclaimed);
	*reclaimed = 0;
	return -EAGAIN;
}
#define BROKEN_SHRINK broken_shrink
#endif

#ifdef FAULT_large_pools_leak
static void broken_destroy(void *pool)
{
	static char *volatile table;

	if (((struct slabs_pool *)pool)->objects > 20000)
		table = calloc(1, 1 << 20);
	slabs_destroy(pool);
}
#define BROKEN_DESTROY broken_destroy
#endif

#ifdef FAULT_refuses_hints
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	return args->gfp ? -EINVAL : slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_refuses_long_names
static int broken_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	return strlen(args->name) > 63 ? -ENAMETOOLONG : slabs_create(args, out);
}
#define BROKEN_CREATE broken_create
#endif

#ifdef FAULT_maps_without_end
static void *broken_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	void *address = slabs_map(pool, handle, mode);
	uint64_t location = 0;

	if (address || errno != EBUSY || zp_handles_lookup(&((struct slabs_pool *)pool)->handles, handle, &location))
		return address;
	return slot_address(slab_at(pool, location), location);
}
#define BROKEN_MAP broken_map
#endif
