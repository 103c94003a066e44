/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/linker.h"

#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/patience.h"

/*
 * Guards the variables below. It is taken inside dl_iterate_phdr(), so a thread that holds it must not call that
 * function.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER; /* signalled when end_count grew */
static struct zp_linker_call *calls;
static unsigned long end_count;

/*
 * The linker writes the names of files while it holds a lock, which dl_iterate_phdr() also takes.  The thread sanitizer
 * does not see that lock; therefore this function is not instrumented and calls no function that the sanitizer watches.
 */
__attribute__((no_sanitize("thread"))) static bool is_named(const struct dl_phdr_info *info, const char *path)
{
	const char *name = info->dlpi_name;

	if (!name)
		return false;
	for (; *name && *name == *path; name++)
		path++;
	return *name == *path;
}

static int name_is(struct dl_phdr_info *info, size_t size, void *path)
{
	(void)size;
	return is_named(info, path);
}

bool zp_linker_has_mapped(const char *path)
{
	return dl_iterate_phdr(name_is, (void *)(uintptr_t)path) != 0;
}

/* A call that may be running code of a plugin. */
struct blocker {
	bool found;
	char *path;              /* a copy, because the call may end meanwhile; NULL: out of memory */
	unsigned long end_count; /* the time of the check */
};

static void take_blocker(struct blocker *blocker, const struct zp_linker_call *call)
{
	blocker->found = true;
	free(blocker->path);
	blocker->path = strdup(call->path);
}

/*
 * A file that is being opened is in memory before the first constructor runs, its own or that of a library it needs. If
 * the file of a call is not in memory, that call does not have the linker's lock yet, or will not hold it for long.
 * Waiting for such a call is unnecessary. It could even deadlock, if the calling thread is inside a constructor of the
 * host and holds the lock itself.
 */
static int is_being_opened(struct dl_phdr_info *info, size_t size, void *user)
{
	struct blocker *blocker = user;
	(void)size;
	pthread_mutex_lock(&lock);
	for (const struct zp_linker_call *call = calls; call && !blocker->found; call = call->next)
		if (call->maps && is_named(info, call->path))
			take_blocker(blocker, call);
	pthread_mutex_unlock(&lock);
	return blocker->found;
}

static void find_blocker(struct blocker *blocker)
{
	blocker->found = false;
	pthread_mutex_lock(&lock);
	blocker->end_count = end_count;
	bool any = calls != NULL;
	for (const struct zp_linker_call *call = calls; call && !blocker->found; call = call->next)
		if (call->closes)
			take_blocker(blocker, call);
	pthread_mutex_unlock(&lock);
	if (any && !blocker->found)
		(void)dl_iterate_phdr(is_being_opened, blocker);
}

int zp_linker_begin(struct zp_linker_call *call, char **why)
{
	const struct timespec until = zp_patience_deadline();
	struct blocker blocker = { .path = NULL };
	int err = 0;

	*why = NULL;
	for (find_blocker(&blocker); blocker.found && !err; find_blocker(&blocker)) {
		pthread_mutex_lock(&lock);
		while (end_count == blocker.end_count && !err)
			err = pthread_cond_timedwait(&ended, &lock, &until);
		pthread_mutex_unlock(&lock);
	}
	if (blocker.found) {
		if (asprintf(
			    why,
			    "another thread has been loading or unloading %s for %u seconds; its initialisation may be waiting for this thread",
			    blocker.path ? blocker.path : "a plugin", zp_patience_s()) < 0)
			*why = NULL;
		free(blocker.path);
		return -EDEADLK;
	}
	free(blocker.path);
	pthread_mutex_lock(&lock);
	call->next = calls;
	calls = call;
	pthread_mutex_unlock(&lock);
	return 0;
}

void zp_linker_end(struct zp_linker_call *call)
{
	pthread_mutex_lock(&lock);
	struct zp_linker_call **link = &calls;
	while (*link && *link != call)
		link = &(*link)->next;
	if (*link)
		*link = call->next;
	end_count++;
	pthread_cond_broadcast(&ended);
	pthread_mutex_unlock(&lock);
}

void zp_linker_forget_calls(void)
{
	(void)pthread_mutex_init(&lock, NULL);
	(void)pthread_cond_init(&ended, NULL);
	calls = NULL;
}
