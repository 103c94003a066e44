/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/thread_exit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/callback.h"

struct hook {
	struct hook *next;
	const void *core; /* the layer that added it; NULL: the driver did not name one */
	void (*fn)(void *arg);
	void *arg;
};

/* The hooks of a thread, and the one that is running. */
struct thread {
	struct thread *next, *previous;
	pthread_t id;
	struct hook *hooks;
	struct hook running;
};

/*
 * Guards the list of threads and all their hooks. The lock is not held while a hook runs; cancelling a running hook
 * waits for `idle`.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static struct thread *threads;

/* The key is created by the first thread that needs it. `lock` guards that. */
static pthread_key_t key;
static bool key_exists;

static void unlink_thread(struct thread *thread)
{
	if (thread->previous)
		thread->previous->next = thread->next;
	else
		threads = thread->next;
	if (thread->next)
		thread->next->previous = thread->previous;
}

/* Hooks are driver code and read memory that other threads wrote, so the thread sanitizer must ignore them. */
static void call_hook(const struct hook *hook)
{
	bool watched = zp_sanitizer_watches();

	if (watched)
		zp_sanitizer_look_away();
	hook->fn(hook->arg);
	if (watched)
		zp_sanitizer_look_again();
}

/* Runs when a thread with hooks ends. A hook may add another hook. */
static void run_hooks(void *value)
{
	ZP_CANCEL_DISABLED_HERE;
	struct thread *thread = value;
	struct hook *hook;

	/*
	 * The system has already cleared the key's value. Without setting it again, a hook that is added now would
	 * create a second record.
	 */
	(void)pthread_setspecific(key, thread);
	pthread_mutex_lock(&lock);
	while ((hook = thread->hooks)) {
		thread->hooks = hook->next;
		thread->running = *hook;
		free(hook);
		pthread_mutex_unlock(&lock);
		call_hook(&thread->running);
		pthread_mutex_lock(&lock);
		thread->running = (struct hook){ 0 };
		pthread_cond_broadcast(&idle);
	}
	unlink_thread(thread);
	pthread_mutex_unlock(&lock);
	(void)pthread_setspecific(key, NULL);
	free(thread);
}

/* Tried again where it failed, because the program may free a key. */
static bool create_key(void)
{
	pthread_mutex_lock(&lock);
	if (!key_exists)
		key_exists = pthread_key_create(&key, run_hooks) == 0;
	bool exists = key_exists;
	pthread_mutex_unlock(&lock);
	return exists;
}

static struct thread *this_thread(void)
{
	if (!create_key())
		return NULL;
	struct thread *thread = pthread_getspecific(key);
	if (thread)
		return thread;
	thread = calloc(1, sizeof(*thread));
	if (!thread || pthread_setspecific(key, thread) != 0) {
		free(thread);
		return NULL;
	}
	thread->id = pthread_self();
	pthread_mutex_lock(&lock);
	thread->next = threads;
	if (threads)
		threads->previous = thread;
	threads = thread;
	pthread_mutex_unlock(&lock);
	return thread;
}

int zp_thread_exit_add(const void *core, void (*fn)(void *arg), void *arg)
{
	struct hook *hook = malloc(sizeof(*hook));
	struct thread *thread = hook ? this_thread() : NULL;
	if (!thread) {
		free(hook);
		return -ENOMEM;
	}
	pthread_mutex_lock(&lock);
	*hook = (struct hook){ thread->hooks, core, fn, arg };
	thread->hooks = hook;
	pthread_mutex_unlock(&lock);
	return 0;
}

static void drop_hooks(struct thread *thread, void (*fn)(void *arg), void *arg)
{
	for (struct hook **link = &thread->hooks; *link;) {
		struct hook *hook = *link;
		if (hook->fn == fn && hook->arg == arg) {
			*link = hook->next;
			free(hook);
		} else {
			link = &hook->next;
		}
	}
}

static bool runs_elsewhere(void (*fn)(void *arg), void *arg)
{
	for (const struct thread *thread = threads; thread; thread = thread->next)
		if (thread->running.fn == fn && thread->running.arg == arg &&
		    !pthread_equal(thread->id, pthread_self()))
			return true;
	return false;
}

void zp_thread_exit_cancel(void (*fn)(void *arg), void *arg)
{
	ZP_CANCEL_DISABLED_HERE;
	pthread_mutex_lock(&lock);
	for (struct thread *thread = threads; thread; thread = thread->next)
		drop_hooks(thread, fn, arg);
	while (runs_elsewhere(fn, arg))
		pthread_cond_wait(&idle, &lock);
	pthread_mutex_unlock(&lock);
}

void zp_thread_exit_lock(void)
{
	pthread_mutex_lock(&lock);
}

/* The other threads do not exist in the child: their hooks never run, and a hook that was running never ends. */
static void forget_other_threads(void)
{
	for (struct thread *thread = threads, *next; thread; thread = next) {
		next = thread->next;
		if (pthread_equal(thread->id, pthread_self()))
			continue;
		unlink_thread(thread);
		for (struct hook *hook; (hook = thread->hooks);) {
			thread->hooks = hook->next;
			free(hook);
		}
		free(thread);
	}
}

void zp_thread_exit_unlock(bool child)
{
	if (child) {
		(void)pthread_cond_init(&idle, NULL);
		forget_other_threads();
	}
	pthread_mutex_unlock(&lock);
}

unsigned int zp_thread_exit_drop(bool (*wanted)(const void *core, const void *context), const void *context)
{
	unsigned int dropped = 0;

	pthread_mutex_lock(&lock);
	for (struct thread *thread = threads; thread; thread = thread->next)
		for (struct hook **link = &thread->hooks; *link;) {
			struct hook *hook = *link;
			if (wanted(hook->core, context)) {
				*link = hook->next;
				free(hook);
				dropped++;
			} else {
				link = &hook->next;
			}
		}
	pthread_mutex_unlock(&lock);
	return dropped;
}
