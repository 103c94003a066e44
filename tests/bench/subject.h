/* SPDX-License-Identifier: MIT
 *
 * subject.h - what is measured: a pool, named by its spec, or a malloc, as its peer
 *
 * The malloc is that of the process: peer.h starts a process for each.  An object is known by a number, which is a
 * handle or an address.
 */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H 1

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zpool.h>

struct subject {
	struct zpool *pool; /* NULL: a malloc */
	void (*purge)(void);
};

/* A spec, or the name of one of the mallocs below with "malloc=" before it. */
#define SUBJECT_MALLOC "malloc="

/* The mallocs, glibc first; library is what to preload, NULL: nothing. */
struct subject_malloc {
	const char *name;
	const char *library;
	const char *symbol; /* which nobody else has */
	void (*purge)(void);
};
extern const struct subject_malloc subject_mallocs[];
extern const size_t subject_malloc_count;

/* Load the driver's code, or look whether the malloc is the one of that name.  Exits after a message. */
void subject_prepare(const char *name);

/* Exits after a message. */
void subject_open(struct subject *subject, const char *name);
void subject_close(struct subject *subject);

/* Give back all that can be: compaction, or trim where there is none; or the malloc's own way. */
void subject_purge(struct subject *subject);

static inline bool subject_malloc(const struct subject *subject, size_t size, unsigned long *object)
{
	void *address;

	if (subject->pool)
		return zpool_malloc(subject->pool, size, ZPOOL_GFP_KERNEL, object) == 0;
	address = malloc(size);
	/* Or the compiler may leave out a malloc whose memory nobody uses. */
	__asm__ __volatile__("" : "+r"(address));
	*object = (unsigned long)address;
	return address;
}

static inline void subject_free(const struct subject *subject, unsigned long object)
{
	if (subject->pool)
		zpool_free(subject->pool, object);
	else
		free((void *)object);
}

static inline void *subject_map(const struct subject *subject, unsigned long object)
{
	return subject->pool ? zpool_map_handle(subject->pool, object, ZPOOL_MM_RW) : (void *)object;
}

static inline void subject_unmap(const struct subject *subject, unsigned long object)
{
	if (subject->pool)
		zpool_unmap_handle(subject->pool, object);
}

/* Exits after a message of what failed, and why where libzpool knows. */
_Noreturn void subject_fail(const struct subject *subject, const char *what);

/* Take an object and copy its contents in; or fail. */
static inline unsigned long subject_store(const struct subject *subject, size_t size, const void *bytes)
{
	unsigned long object;
	void *to;

	if (!subject_malloc(subject, size, &object))
		subject_fail(subject, "malloc");
	to = subject_map(subject, object);
	if (!to)
		subject_fail(subject, "map");
	memcpy(to, bytes, size);
	subject_unmap(subject, object);
	return object;
}

#endif
