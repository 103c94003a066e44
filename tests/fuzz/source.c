/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "source.h"

#include <errno.h>
#include <sys/mman.h>

enum { PAGE = 4096 };

/* Returns true if it is the turn of this call to fail. The caller holds the lock. */
static bool fails(struct fuzz_source *source, enum fuzz_source_call call)
{
	if (source->skip[call]) {
		source->skip[call]--;
		return false;
	}
	if (!source->fail[call])
		return false;
	source->fail[call]--;
	source->failed = true;
	return true;
}

static void *map_aligned(size_t bytes, size_t align_bytes)
{
	char *all = mmap(NULL, bytes + align_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start;

	if (all == MAP_FAILED)
		return NULL;
	start = all + (align_bytes - (uintptr_t)all % align_bytes) % align_bytes;
	if (start > all)
		munmap(all, (size_t)(start - all));
	munmap(start + bytes, align_bytes - (size_t)(start - all));
	return start;
}

static void *source_reserve(void *context, size_t bytes, size_t align_bytes, int node)
{
	struct fuzz_source *source = context;
	void *address = NULL;

	fuzz_assert(bytes && bytes % PAGE == 0 && align_bytes >= PAGE && !(align_bytes & (align_bytes - 1)));
	fuzz_assert(node >= -1);
	pthread_mutex_lock(&source->lock);
	if (!fails(source, FUZZ_RESERVE) && source->count < FUZZ_RESERVATIONS_MAX)
		address = map_aligned(bytes, align_bytes);
	if (address) {
		source->reservations[source->count].address = address;
		source->reservations[source->count++].bytes = bytes;
	}
	pthread_mutex_unlock(&source->lock);
	return address;
}

/* The caller holds the lock. */
static bool is_inside(const struct fuzz_source *source, const char *address, size_t bytes)
{
	for (unsigned int i = 0; i < source->count; i++)
		if (address >= source->reservations[i].address &&
		    address + bytes <= source->reservations[i].address + source->reservations[i].bytes)
			return true;
	return false;
}

static int change(struct fuzz_source *source, enum fuzz_source_call call, void *address, size_t bytes)
{
	int err = 0;

	fuzz_assert(bytes && bytes % PAGE == 0 && (uintptr_t)address % PAGE == 0);
	pthread_mutex_lock(&source->lock);
	fuzz_assert(is_inside(source, address, bytes));
	if (fails(source, call)) {
		err = -ENOMEM;
	} else if (call == FUZZ_COMMIT) {
		fuzz_assert(mprotect(address, bytes, PROT_READ | PROT_WRITE) == 0);
	} else {
		fuzz_assert(madvise(address, bytes, MADV_DONTNEED) == 0);
		fuzz_assert(mprotect(address, bytes, PROT_NONE) == 0);
	}
	pthread_mutex_unlock(&source->lock);
	return err;
}

static int source_commit(void *context, void *address, size_t bytes)
{
	return change(context, FUZZ_COMMIT, address, bytes);
}

static int source_decommit(void *context, void *address, size_t bytes)
{
	return change(context, FUZZ_DECOMMIT, address, bytes);
}

static void source_release(void *context, void *address, size_t bytes)
{
	struct fuzz_source *source = context;
	unsigned int i = 0;

	pthread_mutex_lock(&source->lock);
	while (i < source->count && source->reservations[i].address != address)
		i++;
	fuzz_assert(i < source->count && source->reservations[i].bytes == bytes);
	source->reservations[i] = source->reservations[--source->count];
	munmap(address, bytes);
	pthread_mutex_unlock(&source->lock);
}

void fuzz_source_init(struct fuzz_source *source)
{
	*source = (struct fuzz_source){
		.table = { .struct_size = sizeof(source->table),
			   .context = source,
			   .reserve = source_reserve,
			   .commit = source_commit,
			   .decommit = source_decommit,
			   .release = source_release },
	};
	pthread_mutex_init(&source->lock, NULL);
}

void fuzz_source_fini(struct fuzz_source *source)
{
	fuzz_check(source->count == 0, "%u reservations were not released", source->count);
	pthread_mutex_destroy(&source->lock);
}

void fuzz_source_fail(struct fuzz_source *source, enum fuzz_source_call call, unsigned int skip, unsigned int fail)
{
	pthread_mutex_lock(&source->lock);
	source->skip[call] = skip;
	source->fail[call] = fail;
	pthread_mutex_unlock(&source->lock);
}
