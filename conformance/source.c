/* SPDX-License-Identifier: MIT
 *
 * source.c - a page source that checks how a pool uses it, and can be made to fail
 */
#include "source.h"

#include "objects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *source_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	struct ct_source *source = context;
	struct ct_reservation *r;
	char *area, *address;

	(void)node;
	CT_CHECK(bytes > 0 && bytes % CT_SOURCE_PAGE == 0, "reserve was asked for %zu bytes", bytes);
	CT_CHECK(align_bytes >= CT_SOURCE_PAGE && (align_bytes & (align_bytes - 1)) == 0,
		 "reserve was asked to align to %zu", align_bytes);
	atomic_fetch_add(&source->reserves, 1);
	if (atomic_load(&source->refuse_reserve)) {
		atomic_fetch_add(&source->refused, 1);
		return NULL;
	}
	area = mmap(NULL, bytes + align_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return NULL;
	address = area + (align_bytes - (uintptr_t)area % align_bytes) % align_bytes;
	if (address > area)
		munmap(area, (size_t)(address - area));
	if (address < area + align_bytes)
		munmap(address + bytes, (size_t)(area + align_bytes - address));
	pthread_mutex_lock(&source->lock);
	CT_CHECK(source->count < CT_SOURCE_RESERVATIONS_MAX, "the pool reserved %zu times", source->count);
	r = &source->reservations[source->count++];
	r->address = address;
	r->bytes = bytes;
	r->committed = calloc(bytes / CT_SOURCE_PAGE, 1);
	CT_CHECK(r->committed != NULL, "the test suite is out of memory");
	pthread_mutex_unlock(&source->lock);
	return address;
}

/* Returns the reservation that contains the whole range.  The caller holds the lock. */
static struct ct_reservation *find(struct ct_source *source, const char *address, size_t bytes)
{
	for (size_t i = 0; i < source->count; i++) {
		struct ct_reservation *r = &source->reservations[i];

		if (address >= r->address && address < r->address + r->bytes &&
		    bytes <= (size_t)(r->address + r->bytes - address))
			return r;
	}
	return NULL;
}

/* Checks the range, and returns the index of its first page in `committed`.  The lock is held. */
static unsigned char *range_pages(struct ct_source *source, const char *call, char *address, size_t bytes)
{
	struct ct_reservation *r = find(source, address, bytes);

	CT_CHECK(bytes > 0 && bytes % CT_SOURCE_PAGE == 0 && (uintptr_t)address % CT_SOURCE_PAGE == 0,
		 "%s was asked for %zu bytes at %p", call, bytes, (void *)address);
	CT_CHECK(r != NULL, "%s was asked for %zu bytes at %p, outside of every reservation", call, bytes,
		 (void *)address);
	return r->committed + (size_t)(address - r->address) / CT_SOURCE_PAGE;
}

static int source_commit(void *context, void *address, size_t bytes)
{
	struct ct_source *source = context;
	unsigned char *pages;

	pthread_mutex_lock(&source->lock);
	pages = range_pages(source, "commit", address, bytes);
	atomic_fetch_add(&source->commits, 1);
	if (atomic_load(&source->refuse_commit)) {
		atomic_fetch_add(&source->refused, 1);
		pthread_mutex_unlock(&source->lock);
		return -ENOMEM;
	}
	for (size_t i = 0; i < bytes / CT_SOURCE_PAGE; i++)
		CT_CHECK(pages[i] == 0, "commit was asked for %zu bytes at %p, of which page %zu is committed already",
			 bytes, address, i);
	memset(pages, 1, bytes / CT_SOURCE_PAGE);
	CT_CHECK(mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0, "mprotect: %s", strerror(errno));
	if (source->touch)
		memset(address, 0, bytes);
	pthread_mutex_unlock(&source->lock);
	return 0;
}

static int source_decommit(void *context, void *address, size_t bytes)
{
	struct ct_source *source = context;
	unsigned char *pages;

	pthread_mutex_lock(&source->lock);
	pages = range_pages(source, "decommit", address, bytes);
	for (size_t i = 0; i < bytes / CT_SOURCE_PAGE; i++)
		CT_CHECK(pages[i] != 0, "decommit was asked for %zu bytes at %p, of which page %zu is not committed",
			 bytes, address, i);
	atomic_fetch_add(&source->decommits, 1);
	if (atomic_load(&source->refuse_decommit)) {
		atomic_fetch_add(&source->refused, 1);
		pthread_mutex_unlock(&source->lock);
		return -ENOMEM;
	}
	memset(pages, 0, bytes / CT_SOURCE_PAGE);
	CT_CHECK(madvise(address, bytes, MADV_DONTNEED) == 0 && mprotect(address, bytes, PROT_NONE) == 0, "madvise: %s",
		 strerror(errno));
	pthread_mutex_unlock(&source->lock);
	return 0;
}

static void source_release(void *context, void *address, size_t bytes)
{
	struct ct_source *source = context;
	struct ct_reservation *r;

	pthread_mutex_lock(&source->lock);
	r = find(source, address, bytes);
	CT_CHECK(r && r->address == address && r->bytes == bytes,
		 "release was asked for %zu bytes at %p, which is no reservation", bytes, address);
	free(r->committed);
	*r = source->reservations[--source->count];
	munmap(address, bytes);
	pthread_mutex_unlock(&source->lock);
}

void ct_source_init(struct ct_source *source)
{
	memset(source, 0, sizeof(*source));
	pthread_mutex_init(&source->lock, NULL);
	source->table.struct_size = sizeof(source->table);
	source->table.context = source;
	source->table.reserve = source_reserve;
	source->table.commit = source_commit;
	source->table.decommit = source_decommit;
	source->table.release = source_release;
}

struct zpool *ct_source_pool(struct ct_source *source)
{
	struct ct_object object;
	struct zpool *pool;

	ct_source_init(source);
	pool = ct_pool_from(&source->table);
	ct_object_make(pool, &object, ct.max_bytes, 1);
	if (atomic_load(&source->reserves) == 0)
		ct_skip("%s takes no pages from a page source", ct.spec);
	zpool_free(pool, object.handle);
	return pool;
}

bool ct_source_holds_objects(void)
{
	static struct ct_source source;
	size_t stored = 0;
	struct ct_object object;
	struct zpool *pool;
	bool holds;

	ct_source_init(&source);
	pool = ct_pool_from(&source.table);
	for (uint64_t tag = 0; stored < (2u << 20); tag++, stored += ct.max_bytes)
		ct_object_make(pool, &object, ct.max_bytes, tag);
	holds = ct_source_committed_bytes(&source) >= stored;
	zpool_destroy_pool(pool);
	return holds;
}

bool ct_source_has(struct ct_source *source, const void *address, size_t bytes)
{
	bool has;

	pthread_mutex_lock(&source->lock);
	has = find(source, address, bytes) != NULL;
	pthread_mutex_unlock(&source->lock);
	return has;
}

size_t ct_source_committed_bytes(struct ct_source *source)
{
	size_t bytes = 0;

	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < source->count; i++)
		for (size_t page = 0; page < source->reservations[i].bytes / CT_SOURCE_PAGE; page++)
			bytes += source->reservations[i].committed[page] ? CT_SOURCE_PAGE : 0;
	pthread_mutex_unlock(&source->lock);
	return bytes;
}

size_t ct_source_reserved_bytes(struct ct_source *source)
{
	size_t bytes = 0;

	pthread_mutex_lock(&source->lock);
	for (size_t i = 0; i < source->count; i++)
		bytes += source->reservations[i].bytes;
	pthread_mutex_unlock(&source->lock);
	return bytes;
}
