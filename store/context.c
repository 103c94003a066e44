/* SPDX-License-Identifier: MIT */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "backing.h"
#include "context.h"
#include "store.h"
#include "support/cancel.h"

void zps_pause(unsigned int *turn)
{
	static const struct timespec nap = { .tv_nsec = 50000 };

	if (++*turn < 64)
		atomic_signal_fence(memory_order_seq_cst);
	else if (*turn < 256)
		sched_yield();
	else
		nanosleep(&nap, NULL); /* A sleep lets a thread of lower priority run as well. */
}

_Static_assert(ZPS_IO_BYTES % _Alignof(struct zps_context) == 0, "a context behind the buffer is aligned");

/*
 * A context is at the end of a mapping of its own, behind the buffer for the backing, which begins on a page.  Blocks
 * of malloc() with such an alignment would leave holes in the heap, of some 70 KiB for each store that is opened and
 * closed.
 */
static size_t mapping_bytes(const struct zps_contexts *contexts)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = contexts->io_bytes + sizeof(struct zps_context) + 2 * contexts->image_bytes;

	return (bytes + page - 1) & ~(page - 1);
}

static void context_free(const struct zps_contexts *contexts, struct zps_context *context)
{
	if (context->state)
		contexts->choice.compressor->destroy(context->state);
	if (context->second)
		contexts->second.compressor->destroy(context->second);
	munmap((char *)context - contexts->io_bytes, mapping_bytes(contexts));
}

/*
 * Compressing a value once makes the compressor allocate all of its memory, so that its size can be counted.  The value
 * has the length of the image, because zstd needs less memory for a shorter one.  The caller keeps the
 * dictionary of this version from being freed.
 */
static void context_warm_up(const struct zps_contexts *contexts, struct zps_context *context, unsigned int version)
{
	struct zps_packer packer = { &contexts->choice, context->state, version };
	size_t bytes = contexts->image_bytes;

	zps_compress(contexts->store, &packer, context->copy, bytes, context->image, bytes - 1);
}

static bool needs_second(const struct zps_contexts *contexts)
{
	const struct zpool_store_compressor *first = contexts->choice.compressor;
	const struct zpool_store_compressor *second = contexts->second.compressor;

	return second && (!first || !zps_share_state(first, second));
}

/* Allocates the members of a context, and returns 0 or -ENOMEM. */
static int context_set_up(const struct zps_contexts *contexts, struct zps_context *context)
{
	const struct zpool_store_compressor *compressor = contexts->choice.compressor;

	context->copy = context->image + contexts->image_bytes;
	if (needs_second(contexts)) {
		context->second = contexts->second.compressor->create(contexts->second.level);
		if (!context->second)
			return -ENOMEM;
	}
	if (!compressor)
		return 0;
	context->state = compressor->create(contexts->choice.level);
	if (!context->state)
		return -ENOMEM;
	context_warm_up(contexts, context, 0);
	return 0;
}

static struct zps_context *context_new(const struct zps_contexts *contexts)
{
	size_t bytes = mapping_bytes(contexts);
	unsigned char *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct zps_context *context;

	if (mapping == MAP_FAILED)
		return NULL;
	context = (struct zps_context *)(void *)(mapping + contexts->io_bytes);
	context->io = contexts->io_bytes ? mapping : NULL;
	if (!context_set_up(contexts, context))
		return context;
	context_free(contexts, context);
	return NULL;
}

int zps_contexts_init(struct zps_contexts *contexts, size_t image_bytes, size_t io_bytes)
{
	struct zps_context *first;

	contexts->image_bytes = image_bytes;
	contexts->io_bytes = io_bytes;
	first = context_new(contexts);
	if (!first)
		return -ENOMEM;
	contexts->context_bytes = mapping_bytes(contexts);
	if (first->state) {
		context_warm_up(contexts, first, zps_dictionary_begin(contexts->store, first));
		zps_contexts_raise_state(contexts, contexts->choice.compressor->context_bytes(first->state));
	}
	if (first->second)
		contexts->context_bytes += contexts->second.compressor->context_bytes(first->second);
	pthread_mutex_init(&contexts->lock, NULL);
	atomic_store(&contexts->at[0], first);
	atomic_store(&contexts->used, 1);
	return 0;
}

void zps_contexts_fini(struct zps_contexts *contexts)
{
	unsigned int used = atomic_load(&contexts->used);

	if (!used)
		return;
	for (unsigned int i = 0; i < used; i++)
		context_free(contexts, atomic_load(&contexts->at[i]));
	pthread_mutex_destroy(&contexts->lock);
}

/* No other thread raises it at the same time. */
void zps_contexts_raise_state(struct zps_contexts *contexts, uint64_t state_bytes)
{
	if (state_bytes > atomic_load(&contexts->state_bytes))
		atomic_store(&contexts->state_bytes, state_bytes);
}

static uint64_t context_bytes(const struct zps_contexts *contexts)
{
	return contexts->context_bytes + atomic_load_explicit(&contexts->state_bytes, memory_order_relaxed);
}

uint64_t zps_contexts_bytes(const struct zps_contexts *contexts)
{
	return atomic_load_explicit(&contexts->used, memory_order_relaxed) * context_bytes(contexts) +
	       atomic_load_explicit(&contexts->extra_bytes, memory_order_relaxed);
}

uint64_t zps_contexts_sum(const struct zps_contexts *contexts, enum zps_count count)
{
	unsigned int used = atomic_load(&contexts->used);
	uint64_t sum = 0;

	for (unsigned int i = 0; i < used; i++)
		sum += atomic_load_explicit(&atomic_load(&contexts->at[i])->count[count], memory_order_relaxed);
	/*
	 * A unit's addition and subtraction are in different contexts, so the sum can be negative while other threads
	 * run.
	 */
	return (int64_t)sum < 0 ? 0 : sum;
}

/* The model keeps thread-local memory from being allocated during a call, which would end the process if it failed. */
static _Thread_local unsigned int last_used __attribute__((tls_model("initial-exec")));

static bool try_take(struct zps_context *context)
{
	uint32_t free_now = 0;

	return !atomic_load_explicit(&context->taken, memory_order_relaxed) &&
	       atomic_compare_exchange_strong_explicit(&context->taken, &free_now, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static struct zps_context *take_any(struct zps_contexts *contexts)
{
	unsigned int used = atomic_load_explicit(&contexts->used, memory_order_acquire);
	unsigned int first = last_used < used ? last_used : 0;

	for (unsigned int i = 0; i < used; i++) {
		unsigned int number = first + i < used ? first + i : first + i - used;
		struct zps_context *context = atomic_load_explicit(&contexts->at[number], memory_order_relaxed);

		if (try_take(context)) {
			last_used = number;
			return context;
		}
	}
	return NULL;
}

/* Adds a context and returns it taken, or returns NULL if the limit or the memory allows no more. */
static struct zps_context *add(struct zps_contexts *contexts)
{
	uint64_t bytes = context_bytes(contexts);
	struct zps_context *context = NULL;
	unsigned int used;
	bool reserved;

	pthread_mutex_lock(&contexts->lock);
	used = atomic_load(&contexts->used);
	reserved = used < ZPS_CONTEXTS_MAX && zps_limit_reserve(contexts->store, bytes, true);
	if (reserved)
		context = context_new(contexts);
	if (context) {
		atomic_store(&context->taken, 1);
		atomic_store(&contexts->at[used], context);
		/* This is sequentially consistent for zps_dictionary_begin(): who frees a version sees this context. */
		atomic_store(&contexts->used, used + 1);
		last_used = used;
	}
	if (reserved)
		zps_limit_release(contexts->store, bytes);
	pthread_mutex_unlock(&contexts->lock);
	return context;
}

struct zps_context *zps_context_get(struct zps_contexts *contexts)
{
	struct zps_context *context;
	unsigned int turn = 0;
	int cancel_state = zp_cancel_disable();

	context = take_any(contexts);
	if (!context)
		context = add(contexts);
	while (!context) {
		zps_pause(&turn);
		context = take_any(contexts);
	}
	context->cancel_state = cancel_state;
	return context;
}

void zps_context_put(struct zps_context *context)
{
	int cancel_state = context->cancel_state;

	if (atomic_load_explicit(&context->dictionary, memory_order_relaxed))
		atomic_store_explicit(&context->dictionary, 0, memory_order_release);
	atomic_store_explicit(&context->taken, 0, memory_order_release);
	zp_cancel_restore(cancel_state);
}

void zps_errors_begin(struct zps_context *context)
{
	context->first_err = 0;
}

void zps_errors_note(struct zps_context *context, int err)
{
	if (!err || context->first_err)
		return;
	context->first_err = err;
	(void)snprintf(context->first_text, sizeof(context->first_text), "%s", zpool_last_error());
}

int zps_errors_end(struct zps_context *context)
{
	int err = context->first_err;

	return err ? zpool_set_error(-err, "%s", context->first_text) : 0;
}

void zps_contexts_wait(struct zps_contexts *contexts)
{
	unsigned int used = atomic_load(&contexts->used);

	for (unsigned int i = 0; i < used; i++) {
		struct zps_context *context = atomic_load(&contexts->at[i]);
		uint32_t section = atomic_load(&context->section);
		unsigned int turn = 0;

		while ((section & 1) && atomic_load(&context->section) == section)
			zps_pause(&turn);
	}
}
