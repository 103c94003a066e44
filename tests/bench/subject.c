/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>

/* The peers are found by name in the running process, so that none has to be there to compile this. */
static bool find(const char *name, void *function_pointer)
{
	void *symbol = dlsym(RTLD_DEFAULT, name);

	memcpy(function_pointer, &symbol, sizeof(symbol));
	return symbol;
}

static void purge_glibc(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static void purge_jemalloc(void)
{
	int (*control)(const char *, void *, size_t *, void *, size_t);

	/* 4096 stands for all arenas. */
	if (find("mallctl", &control)) {
		control("thread.tcache.flush", NULL, NULL, NULL, 0);
		control("arena.4096.purge", NULL, NULL, NULL, 0);
	}
}

static void purge_mimalloc(void)
{
	void (*collect)(bool force);

	if (find("mi_collect", &collect))
		collect(true);
}

static void purge_tcmalloc(void)
{
	void (*idle)(void), (*release)(void);

	if (find("MallocExtension_MarkThreadIdle", &idle))
		idle();
	if (find("MallocExtension_ReleaseFreeMemory", &release))
		release();
}

const struct subject_malloc subject_mallocs[] = {
	{ "glibc", NULL, NULL, purge_glibc },
	{ "jemalloc", "libjemalloc.so.2", "mallctl", purge_jemalloc },
	{ "mimalloc", "libmimalloc.so.2", "mi_collect", purge_mimalloc },
	{ "tcmalloc", "libtcmalloc_minimal.so.4", "MallocExtension_ReleaseFreeMemory", purge_tcmalloc },
};
const size_t subject_malloc_count = sizeof(subject_mallocs) / sizeof(subject_mallocs[0]);

static const struct subject_malloc *find_malloc(const char *name)
{
	for (size_t i = 0; i < subject_malloc_count; i++)
		if (!strcmp(subject_mallocs[i].name, name))
			return &subject_mallocs[i];
	return NULL;
}

static const char *malloc_name(const char *name)
{
	return strncmp(name, SUBJECT_MALLOC, strlen(SUBJECT_MALLOC)) == 0 ? name + strlen(SUBJECT_MALLOC) : NULL;
}

static void give_up(const char *name, const char *why)
{
	fprintf(stderr, "%s: %s\n", name, why);
	exit(1);
}

void subject_prepare(const char *name)
{
	const char *peer = malloc_name(name);
	const struct subject_malloc *which = peer ? find_malloc(peer) : NULL;
	void (*function)(void);

	if (!peer) {
		if (!zpool_has_pool(name))
			give_up(name, zpool_last_error());
		return;
	}
	for (size_t i = 1; i < subject_malloc_count; i++)
		if ((&subject_mallocs[i] == which) != find(subject_mallocs[i].symbol, &function))
			give_up(peer, "another malloc is in its place");
	if (!which)
		give_up(peer, "no such malloc");
}

void subject_open(struct subject *subject, const char *name)
{
	const char *peer = malloc_name(name);
	const struct subject_malloc *which = peer ? find_malloc(peer) : NULL;

	*subject = (struct subject){ .purge = which ? which->purge : NULL };
	if (peer)
		return;
	subject->pool = zpool_create_pool(name, ZPOOL_GFP_KERNEL, NULL);
	if (!subject->pool)
		give_up(name, zpool_last_error());
}

void subject_close(struct subject *subject)
{
	zpool_destroy_pool(subject->pool);
}

void subject_purge(struct subject *subject)
{
	if (!subject->pool)
		subject->purge();
	else if (zpool_compact(subject->pool, 0, 0, NULL) < 0)
		(void)zpool_trim(subject->pool, NULL);
}

void subject_fail(const struct subject *subject, const char *what)
{
	fprintf(stderr, "%s failed%s%s\n", what, subject->pool ? ": " : "", subject->pool ? zpool_last_error() : "");
	exit(1);
}
