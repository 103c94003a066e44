/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "strict_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct strict_range {
	struct strict_range *next;
	char *base, *mapping;
	size_t bytes, mapping_bytes;
	unsigned char committed[]; /* one for each page */
};

static void fault(struct strict_source *source)
{
	atomic_fetch_add(&source->faults, 1);
}

static void *strict_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	struct strict_source *source = context;
	struct strict_range *range;
	size_t mapping_bytes = bytes + align_bytes;
	char *mapping;

	(void)node;
	atomic_fetch_add(&source->reserves, 1);
	if (bytes % 4096 || align_bytes < 4096 || align_bytes & (align_bytes - 1))
		fault(source);
	if (bytes > atomic_load(&source->reserve_bytes_max))
		return NULL;
	mapping = mmap(NULL, mapping_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED)
		return NULL;
	range = calloc(1, sizeof(*range) + bytes / 4096);
	if (!range) {
		munmap(mapping, mapping_bytes);
		return NULL;
	}
	range->mapping = mapping;
	range->mapping_bytes = mapping_bytes;
	range->base = mapping + (align_bytes - (uintptr_t)mapping % align_bytes) % align_bytes;
	range->bytes = bytes;
	pthread_mutex_lock(&source->mutex);
	range->next = source->ranges;
	source->ranges = range;
	pthread_mutex_unlock(&source->mutex);
	atomic_fetch_add(&source->reserved_bytes, bytes);
	return range->base;
}

/* Changes pages from the state `from` to the other one.  The caller holds the mutex. */
static void turn(struct strict_source *source, char *address, size_t bytes, unsigned char from)
{
	struct strict_range *range = source->ranges;

	while (range && (address < range->base || address + bytes > range->base + range->bytes))
		range = range->next;
	if (!range || bytes == 0 || bytes % 4096 || (uintptr_t)address % 4096) {
		fault(source);
		return;
	}
	for (size_t i = 0; i < bytes / 4096; i++) {
		unsigned char *state = &range->committed[(size_t)(address - range->base) / 4096 + i];

		if (*state != from)
			fault(source);
		*state = !from;
	}
}

static int strict_commit(void *context, void *address, size_t bytes)
{
	struct strict_source *source = context;
	int left = atomic_load(&source->commits_left);

	atomic_fetch_add(&source->commits, 1);
	if (left == 0)
		return -ENOMEM;
	if (left > 0)
		atomic_store(&source->commits_left, left - 1);
	pthread_mutex_lock(&source->mutex);
	turn(source, address, bytes, 0);
	pthread_mutex_unlock(&source->mutex);
	atomic_fetch_add(&source->committed_bytes, bytes);
	return mprotect(address, bytes, PROT_READ | PROT_WRITE) ? -errno : 0;
}

static int strict_decommit(void *context, void *address, size_t bytes)
{
	struct strict_source *source = context;

	atomic_fetch_add(&source->decommits, 1);
	if (atomic_load(&source->refuse_decommit))
		return -EAGAIN;
	pthread_mutex_lock(&source->mutex);
	turn(source, address, bytes, 1);
	pthread_mutex_unlock(&source->mutex);
	atomic_fetch_sub(&source->committed_bytes, bytes);
	if (madvise(address, bytes, MADV_DONTNEED))
		return -errno;
	return mprotect(address, bytes, PROT_NONE) ? -errno : 0;
}

static void strict_release(void *context, void *address, size_t bytes)
{
	struct strict_source *source = context;
	struct strict_range **at, *range;

	atomic_fetch_add(&source->releases, 1);
	pthread_mutex_lock(&source->mutex);
	for (at = &source->ranges; *at && (*at)->base != address; at = &(*at)->next)
		continue;
	range = *at;
	if (range)
		*at = range->next;
	pthread_mutex_unlock(&source->mutex);
	if (!range || range->bytes != bytes) {
		fault(source);
		return;
	}
	for (size_t i = 0; i < bytes / 4096; i++)
		if (range->committed[i])
			atomic_fetch_sub(&source->committed_bytes, 4096);
	atomic_fetch_sub(&source->reserved_bytes, bytes);
	munmap(range->mapping, range->mapping_bytes);
	free(range);
}

void strict_source_init(struct strict_source *source)
{
	memset(source, 0, sizeof(*source));
	pthread_mutex_init(&source->mutex, NULL);
	atomic_store(&source->reserve_bytes_max, SIZE_MAX);
	atomic_store(&source->commits_left, -1);
	source->table.struct_size = sizeof(source->table);
	source->table.context = source;
	source->table.reserve = strict_reserve;
	source->table.commit = strict_commit;
	source->table.decommit = strict_decommit;
	source->table.release = strict_release;
}

bool strict_source_fini(struct strict_source *source)
{
	bool clean = !source->ranges && atomic_load(&source->reserved_bytes) == 0 &&
		     atomic_load(&source->committed_bytes) == 0 && atomic_load(&source->faults) == 0;

	while (source->ranges) {
		struct strict_range *range = source->ranges;

		source->ranges = range->next;
		munmap(range->mapping, range->mapping_bytes);
		free(range);
	}
	pthread_mutex_destroy(&source->mutex);
	return clean;
}
