/* SPDX-License-Identifier: MIT
 *
 * replay.c - make the calls of a trace, in recorded order, on a pool of any driver
 *
 * One thread makes the calls of all recorded threads, and no others, so that a filter that counts calls (fault) arrives
 * at the same numbers. An object is therefore filled when it is mapped for writing, and the written part is filled on a
 * write. Contents are compared when an object is mapped for reading, read or evicted, and at the end. If nothing in the
 * stack counts calls, one call is added: an object that was never compared is read before it is freed.
 *
 * Drivers differ in what they refuse and what they evict, so the calls cannot all be the same. If this driver refused
 * or evicted an object, later calls on it are skipped, as is a free that only a mapping prevented. If it accepts or
 * maps an object that the recorded driver refused, the object is freed or unmapped at once, because the trace has no
 * call that would do so. When the pool is shrunk, every object that the driver offers is evicted, except those that the
 * recorded callback refused; before that it is read as often as the recorded callback read it.
 */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "child.h"
#include "clock.h"
#include "object.h"
#include "progress.h"
#include "replay-contents.h"
#include "replay.h"
#include "rss.h"
#include "stats-report.h"
#include "spec.h"

#define REPORT_NS UINT64_C(100000000)

struct replayer {
	const struct trace_file *trace;
	struct replay_result *result;
	struct zpool *pool;
	struct replay_object *objects;
	struct replay_contents contents;
	struct replay_slot *slots; /* NULL: the trace never shrinks the pool */
	size_t slot_mask;
	uint64_t *evicting; /* for each thread: the object that its evict callback is handling, plus 1 */
	uint64_t rss_before;
	uint64_t reported_ns;
	bool reads_unread; /* an object that was never compared is read before it is freed */
	int out;
};

static int replay_fail(struct replayer *replayer, int error, const char *what, const char *why)
{
	struct replay_result *result = replayer->result;

	if (!result->message[0])
		snprintf(result->message, sizeof(result->message), "call %" PRIu64 ": %s: %s", result->calls, what,
			 why);
	result->error = error;
	return error;
}

static void count_failure(struct replayer *replayer, int err)
{
	enum trace_error reason = err == -EINVAL       ? TRACE_EINVAL
				  : err == -ENOMEM     ? TRACE_ENOMEM
				  : err == -ENOSPC     ? TRACE_ENOSPC
				  : err == -EAGAIN     ? TRACE_EAGAIN
				  : err == -EBUSY      ? TRACE_EBUSY
				  : err == -EOPNOTSUPP ? TRACE_EOPNOTSUPP
						       : TRACE_EOTHER;

	replayer->result->failed[reason]++;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Calls
 */

static struct replay_slot *find_slot(const struct replayer *replayer, unsigned long handle)
{
	size_t at = (size_t)((uint64_t)handle * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	while (replayer->slots[at & replayer->slot_mask].handle &&
	       replayer->slots[at & replayer->slot_mask].handle != handle)
		at++;
	return &replayer->slots[at & replayer->slot_mask];
}

static void note_peaks(struct replay_result *result, uint64_t held_bytes)
{
	if (result->objects_live > result->objects_peak)
		result->objects_peak = result->objects_live;
	if (result->bytes_live > result->bytes_peak)
		result->bytes_peak = result->bytes_live;
	if (held_bytes > result->held_peak)
		result->held_peak = held_bytes;
}

static void count_compared(struct replay_result *result, const struct replay_object *object)
{
	if (object->compared)
		result->objects_compared++;
	else if (replay_has_contents(object))
		result->objects_unread++;
	else
		result->objects_unwritten++;
}

static void note_gone(struct replayer *replayer, struct replay_object *object)
{
	struct replay_result *result = replayer->result;

	count_compared(result, object);
	replay_forget(&replayer->contents, object);
	object->handle = 0;
	result->objects_live--;
	result->bytes_live -= object->size;
}

/* No driver fails a free with -ENOMEM, but a filter (fault) may; the free can then be repeated. */
static void compare_stored(struct replayer *replayer, struct replay_object *object)
{
	int error = replay_compare_stored(&replayer->contents, object);

	for (int tries = 0; error == -ENOMEM && tries < 20; tries++)
		error = replay_compare_stored(&replayer->contents, object);
	if (error && error != -ENOMEM)
		replay_fail(replayer, error, "reading an object", zpool_last_error());
}

/* This is the last chance to compare the object. */
static void compare_before_free(struct replayer *replayer, struct replay_object *object)
{
	if (replayer->reads_unread && !object->compared && !object->maps && replay_has_contents(object))
		compare_stored(replayer, object);
}

static int call_malloc(struct replayer *replayer, const struct trace_record *record)
{
	struct replay_result *result = replayer->result;
	struct replay_object *object;
	unsigned long handle = 0;
	zpool_gfp_t gfp = (zpool_gfp_t)record->operands[1];
	uint64_t start = clock_ns();
	int error = zpool_malloc(replayer->pool, (size_t)record->operands[0], gfp, &handle);

	result->malloc_ns += clock_ns() - start;
	result->mallocs++;
	if (error) {
		count_failure(replayer, error);
		return 0;
	}
	if (!handle)
		return replay_fail(replayer, -EPROTO, "zpool_malloc", "the driver returned the handle 0");
	if (record->error) {
		result->surplus++;
		zpool_free(replayer->pool, handle);
		return 0;
	}
	object = &replayer->objects[record->object];
	*object = (struct replay_object){ .handle = handle,
					  .size = (uint32_t)record->operands[0],
					  .zero = gfp & ZPOOL_GFP_ZERO };
	if (replayer->slots)
		*find_slot(replayer, handle) = (struct replay_slot){ handle, (size_t)record->object };
	result->objects++;
	result->objects_live++;
	result->bytes += object->size;
	result->bytes_live += object->size;
	note_peaks(result, zpool_get_total_size(replayer->pool));
	return 0;
}

/* zpool_free() returns no result, so the expected effect follows from the object's state. */
static int call_free(struct replayer *replayer, struct replay_object *object)
{
	struct replay_result *result = replayer->result;
	uint64_t start;

	compare_before_free(replayer, object);
	start = clock_ns();
	zpool_free(replayer->pool, object->handle);
	result->free_ns += clock_ns() - start;
	result->frees++;
	if (object->maps)
		count_failure(replayer, -EBUSY);
	else
		note_gone(replayer, object);
	return result->error;
}

/* The driver cannot map objects, only copy them. */
static int copy_mapped(struct replayer *replayer, struct replay_object *object, enum zpool_mapmode mode)
{
	int error = mode == ZPOOL_MM_WO ? 0 : replay_compare_stored(&replayer->contents, object);

	if (error)
		return replay_fail(replayer, error, "reading an object", zpool_last_error());
	error = mode == ZPOOL_MM_RO ? 0 : replay_rewrite_stored(&replayer->contents, object);
	return error ? replay_fail(replayer, error, "writing an object", zpool_last_error()) : 0;
}

static int call_map(struct replayer *replayer, struct replay_object *object, const struct trace_record *record)
{
	struct replay_result *result = replayer->result;
	enum zpool_mapmode mode = (enum zpool_mapmode)record->operands[0];
	uint64_t start = clock_ns();
	void *address = zpool_map_handle(replayer->pool, object->handle, mode);

	result->map_ns += clock_ns() - start;
	result->maps++;
	if (!address && errno == EOPNOTSUPP)
		return copy_mapped(replayer, object, mode);
	if (!address || object->maps == UINT16_MAX)
		count_failure(replayer, address ? -EBUSY : -errno);
	if (!address)
		return 0;
	if (record->error || object->maps == UINT16_MAX) {
		zpool_unmap_handle(replayer->pool, object->handle);
		return 0;
	}
	object->maps++;
	if (mode != ZPOOL_MM_WO)
		replay_compare(&replayer->contents, object, address, 0, object->size);
	if (mode != ZPOOL_MM_RO)
		memcpy(address, replay_renew(&replayer->contents, object), object->size);
	return 0;
}

static void call_unmap(struct replayer *replayer, struct replay_object *object)
{
	if (!object->maps) {
		/* The object could not be mapped here, or the recorded program made an invalid call. */
		replayer->result->skipped++;
		return;
	}
	zpool_unmap_handle(replayer->pool, object->handle);
	object->maps--;
}

/* Only the object's own bytes are compared. The bytes that the recorded driver added by rounding up are not touched. */
static int call_copy(struct replayer *replayer, struct replay_object *object, const struct trace_record *record)
{
	uint64_t length = record->operands[0], offset = record->operands[1];
	int64_t done;

	if (!length || offset >= object->size) {
		replayer->result->skipped++;
		return 0;
	}
	if (length > object->size - offset)
		length = object->size - offset;
	if (record->op == TRACE_WRITE)
		done = replay_write(&replayer->contents, object, offset, length);
	else
		done = replay_read(&replayer->contents, object, offset, length);
	if (done < 0)
		count_failure(replayer, (int)done);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Eviction
 */

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct replayer *replayer = user;
	const struct replay_slot *slot;
	struct replay_object *object;

	if (!replayer->slots)
		return -ENOENT;
	slot = find_slot(replayer, handle);
	object = &replayer->objects[slot->object];
	if (slot->handle != handle || object->handle != handle)
		return -ENOENT;
	for (unsigned int looks = object->offered ? object->looks : 1; looks > 0; looks--) {
		int error = replay_compare_stored(&replayer->contents, object);

		if (error)
			count_failure(replayer, error);
	}
	if (object->refuses_eviction || object->maps)
		return -EAGAIN;
	compare_before_free(replayer, object);
	zpool_free(pool, handle);
	note_gone(replayer, object);
	replayer->result->evicted++;
	return 0;
}

/* Collects what the callback of this shrink call did, up to the record of its end. */
static void mark_offered(struct replayer *replayer, const struct trace_cursor *begin, uint32_t thread, bool begins)
{
	struct trace_cursor cursor = *begin;
	struct replay_object *object = NULL;
	struct trace_record record;

	/* No real program shrinks twice at once in a thread, and such a trace would make the search slow. */
	while (trace_next(&cursor, &record) &&
	       !((record.op == TRACE_SHRUNK || record.op == TRACE_SHRINK) && record.thread == thread)) {
		if (record.thread != thread || !record.known || record.object >= replayer->trace->totals.objects)
			continue;
		if (record.op == TRACE_EVICT) {
			object = &replayer->objects[record.object];
			object->offered = begins;
			object->looks = 0;
			object->refuses_eviction = false;
		} else if (object != &replayer->objects[record.object]) {
			continue;
		} else if (record.op == TRACE_EVICTED) {
			object->refuses_eviction = begins && record.error;
			object = NULL;
		} else if (record.op == TRACE_MAP || record.op == TRACE_READ || record.op == TRACE_WRITE) {
			object->looks += begins && object->looks < UINT16_MAX;
		}
	}
}

static void call_shrink(struct replayer *replayer, const struct trace_cursor *cursor, const struct trace_record *record)
{
	unsigned int reclaimed = 0;
	int error;

	mark_offered(replayer, cursor, record->thread, true);
	error = zpool_shrink(replayer->pool, record->operands[0] ? (unsigned int)record->operands[0] : 1, &reclaimed);
	mark_offered(replayer, cursor, record->thread, false);
	if (error)
		count_failure(replayer, error);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The trace
 */

static int call_on_object(struct replayer *replayer, const struct trace_record *record)
{
	struct replay_object *object = &replayer->objects[record->object];

	if (!record->known) {
		/* No handle can stand for an invalid or freed one, which the pool would refuse. */
		if (record->error)
			replayer->result->failed[record->error]++;
		return 0;
	}
	if (replayer->evicting[record->thread] == record->object + 1)
		return 0;
	if (!object->handle || (record->op == TRACE_FREE && record->error && !object->maps)) {
		replayer->result->skipped++;
		return 0;
	}
	switch (record->op) {
	case TRACE_FREE:
		return call_free(replayer, object);
	case TRACE_MAP:
		return call_map(replayer, object, record);
	case TRACE_UNMAP:
		call_unmap(replayer, object);
		return 0;
	default:
		return call_copy(replayer, object, record);
	}
}

static void call_on_pool(struct replayer *replayer, const struct trace_cursor *cursor,
			 const struct trace_record *record)
{
	uint64_t released;
	int error = 0;

	if (record->op == TRACE_SHRINK)
		call_shrink(replayer, cursor, record);
	else if (record->op == TRACE_COMPACT)
		error = zpool_compact(replayer->pool, record->operands[0], record->operands[1], &released);
	else if (record->op == TRACE_TRIM)
		error = zpool_trim(replayer->pool, &released);
	else if (record->op == TRACE_SET_LIMIT)
		error = zpool_set_limit(replayer->pool, record->operands[0]);
	if (error < 0)
		count_failure(replayer, error);
}

static int replay_record(struct replayer *replayer, const struct trace_cursor *cursor,
			 const struct trace_record *record)
{
	switch (record->op) {
	case TRACE_MALLOC:
		return call_malloc(replayer, record);
	case TRACE_EVICT:
		replayer->evicting[record->thread] = record->known ? record->object + 1 : 0;
		return 0;
	case TRACE_EVICTED:
		replayer->evicting[record->thread] = 0;
		return 0;
	case TRACE_FREE:
	case TRACE_MAP:
	case TRACE_UNMAP:
	case TRACE_READ:
	case TRACE_WRITE:
		return call_on_object(replayer, record);
	default:
		call_on_pool(replayer, cursor, record);
		return 0;
	}
}

/* The parent treats arriving bytes as a sign of progress. */
static void report_alive(struct replayer *replayer)
{
	uint64_t now = clock_ns();

	stats_report_poll();
	if (now - replayer->reported_ns < REPORT_NS)
		return;
	replayer->reported_ns = now;
	child_report(replayer->out, "", 1);
}

static void measure(struct replayer *replayer)
{
	uint64_t rss = rss_bytes();
	struct replay_result *result = replayer->result;

	result->live_at_peak = result->bytes_live;
	result->held_at_peak = zpool_get_total_size(replayer->pool);
	result->rss_growth_bytes = rss > replayer->rss_before ? rss - replayer->rss_before : 0;
	result->measured = true;
}

/* The object stays in the pool; the final numbers have already been taken. */
static void end_object(struct replayer *replayer, struct replay_object *object)
{
	/* A handle that is mapped as often as it can be cannot be read. */
	for (; object->maps; object->maps--)
		zpool_unmap_handle(replayer->pool, object->handle);
	compare_stored(replayer, object);
	count_compared(replayer->result, object);
}

static int replay_all(struct replayer *replayer)
{
	struct replay_result *result = replayer->result;
	struct trace_cursor cursor;
	struct trace_record record;
	int error = 0;

	trace_begin(replayer->trace, &cursor);
	while (!error && !result->error && trace_next(&cursor, &record)) {
		error = replay_record(replayer, &cursor, &record);
		if (result->calls++ == replayer->trace->totals.peak_call)
			measure(replayer);
		if (result->calls % 64 == 0 || record.op > TRACE_WRITE)
			report_alive(replayer);
	}
	result->held_live = zpool_get_total_size(replayer->pool);
	trial_stats_take(&result->reported, replayer->pool);
	for (uint64_t i = 0; !result->error && i < replayer->trace->totals.objects; i++) {
		if (replayer->objects[i].handle)
			end_object(replayer, &replayer->objects[i]);
		report_alive(replayer);
	}
	return result->error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The child and its parent
 */

static struct zpool *open_pool(struct replayer *replayer, const char *spec)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.name = "zpoolctl";
	args.evict = evict;
	args.user = replayer;
	return zpool_open(spec, &args, sizeof(args));
}

/* Everything that the child needs is resident before the pool is created: later growth belongs to the pool. */
static int prepare(struct replayer *replayer)
{
	const struct trace_totals *totals = &replayer->trace->totals;
	size_t pieces = REPLAY_PIECES_PER_WRITE * ((size_t)totals->partial_writes + 1) + 1;
	size_t slots = 2;

	replayer->objects = rss_array((size_t)totals->objects, sizeof(*replayer->objects));
	replayer->evicting = rss_array(TRACE_THREADS_MAX + 1, sizeof(*replayer->evicting));
	replayer->contents = (struct replay_contents){
		.objects = replayer->objects,
		.result = replayer->result,
		.expected = rss_array((size_t)totals->largest, 1),
		.found = rss_array((size_t)totals->largest, 1),
		.pieces = pieces <= UINT32_MAX ? rss_array(pieces, sizeof(struct replay_piece)) : NULL,
		.piece_room = pieces
	};
	if (totals->shrinks) {
		while (slots < 2 * totals->objects)
			slots *= 2;
		replayer->slot_mask = slots - 1;
		replayer->slots = rss_array(slots, sizeof(*replayer->slots));
		if (!replayer->slots)
			return -ENOMEM;
	}
	return replayer->objects && replayer->evicting && replayer->contents.expected && replayer->contents.found &&
			       replayer->contents.pieces
		       ? 0
		       : -ENOMEM;
}

struct replay_job {
	const struct trace_file *trace;
	const char *spec;
	struct replay_result *result;
};

/* Runs the driver's code once, on a separate pool that touches no file, so that its pages are resident. */
static void warm_up(struct replayer *replayer, const char *text)
{
	char *spec = spec_without_files(text);
	struct zpool *pool = spec ? open_pool(replayer, spec) : NULL;
	unsigned long handle;

	free(spec);

	if (pool && !zpool_malloc(pool, 1, ZPOOL_GFP_KERNEL, &handle)) {
		(void)object_put(pool, handle, "", 1);
		zpool_free(pool, handle);
	}
	zpool_destroy_pool(pool);
	rss_bytes();
	rss_settle();
}

static void replay_in_child(int out, void *arg)
{
	const struct replay_job *job = arg;
	struct replayer replayer = {
		.trace = job->trace, .result = job->result, .reads_unread = !replay_counts_calls(job->spec), .out = out
	};
	int error;

	/* The sizes of the calls do not bound what a driver allocates, and a trace may raise its own limit. */
	rss_limit_to_available();
	if (prepare(&replayer)) {
		replay_fail(&replayer, -ENOMEM, "allocating room for the objects", "out of memory");
		return;
	}
	warm_up(&replayer, job->spec);
	replayer.rss_before = rss_bytes();
	replayer.pool = open_pool(&replayer, job->spec);
	if (!replayer.pool) {
		replay_fail(&replayer, errno ? -errno : -EINVAL, "opening the pool", zpool_last_error());
		return;
	}
	replayer.contents.pool = replayer.pool;
	job->result->opened = true;
	error = replay_all(&replayer);
	stats_report_end();
	if (!error) {
		zpool_destroy_pool(replayer.pool);
		job->result->done = true;
	}
}

static void on_message(void *user, const void *bytes, size_t count)
{
	const struct replay_result *result = user;

	(void)bytes;
	(void)count;
	progress_update(result->calls);
}

int replay_run(const struct trace_file *trace, const char *spec, unsigned int timeout_seconds,
	       struct replay_result *result)
{
	struct replay_job job = { trace, spec, result };
	struct child_job child = { .run = replay_in_child,
				   .arg = &job,
				   .sink = on_message,
				   .user = result,
				   .timeout_seconds = timeout_seconds };
	struct child_end end;
	char text[CHILD_TEXT];
	int error;

	progress_start(spec, trace->totals.calls);
	error = child_run(&child, &end);
	progress_end();
	if (error || (child_succeeded(&end) && (result->done || result->error)))
		return error;
	child_describe(&end, text);
	snprintf(result->message, sizeof(result->message), "%s at call %" PRIu64 " of %" PRIu64, text, result->calls,
		 trace->totals.calls);
	result->error = -EPROTO;
	return 0;
}
