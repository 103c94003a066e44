/* SPDX-License-Identifier: MIT
 *
 * trial.c - the child that tries a driver, and the parent that watches it
 *
 * Units are processed in batches. A batch is read from the spools into buffers before the clock starts, and the clock
 * runs for the whole batch, so that it measures the driver and not the tool. Everything that the child needs is
 * resident before the pool is created, and a first pool with one object has already run the driver's code, so all
 * growth of resident memory after that belongs to the pool.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "child.h"
#include "clock.h"
#include "evict.h"
#include "object.h"
#include "progress.h"
#include "rss.h"
#include "stats-report.h"
#include "spec.h"
#include "trial.h"

#define REPORT_NS UINT64_C(100000000)
#define SHRINK_REFUSALS_MAX 8

struct tester {
	const struct trial *trial;
	struct evict evict;
	struct zpool *pool;
	unsigned char *packed;    /* a batch as stored, or as loaded back */
	unsigned char *unpacked;  /* loaded back and decompressed */
	unsigned char *originals; /* the original */
	int out;
	uint64_t reported_ns;
	struct trial_result result;
};

static void report_result(struct tester *tester)
{
	tester->reported_ns = clock_ns();
	child_report(tester->out, &tester->result, sizeof(tester->result));
}

static void report_progress(struct tester *tester, enum trial_phase phase, uint64_t units_done)
{
	bool now;

	if (tester->pool)
		stats_report_poll();
	now = tester->result.phase != phase || clock_ns() - tester->reported_ns > REPORT_NS;

	tester->result.phase = phase;
	tester->result.units_done = units_done;
	if (now)
		report_result(tester);
}

/* Only the first error is reported. */
static int trial_fail(struct tester *tester, int error, const char *what, const char *why)
{
	if (!tester->result.message[0])
		snprintf(tester->result.message, sizeof(tester->result.message), "%s: %s", what, why);
	return error;
}

static int trial_fail_system(struct tester *tester, int error, const char *what)
{
	return trial_fail(tester, error, what, strerror(-error));
}

static int trial_fail_zpool(struct tester *tester, int error, const char *what)
{
	return trial_fail(tester, error, what, *zpool_last_error() ? zpool_last_error() : strerror(-error));
}

/* ------------------------------------------------------------------------------------------------------------------
 * Store
 */

/* The pool is full: evicts page by page until the unit fits or nothing more can be evicted. */
static int make_room(struct tester *tester, size_t bytes, unsigned long *handle)
{
	uint64_t start = clock_ns();
	unsigned int refusals = 0;
	int error = -ENOMEM;

	while (error == -ENOMEM && refusals < SHRINK_REFUSALS_MAX) {
		unsigned int reclaimed = 0;
		int shrunk = zpool_shrink(tester->pool, 1, &reclaimed);

		if (tester->evict.error) {
			error = tester->evict.error;
			break;
		}
		if (!reclaimed && shrunk != -EAGAIN)
			break;
		if (!reclaimed) {
			refusals++;
			continue;
		}
		error = zpool_malloc(tester->pool, bytes, ZPOOL_GFP_KERNEL, handle);
	}
	tester->result.evict_ns += clock_ns() - start;
	return error;
}

/*
 * Returns 0 if the unit was stored, or was refused for a reason that is counted. Returns -errno if the driver does not
 * work.
 */
static int store_unit(struct tester *tester, size_t index, const unsigned char *data)
{
	const struct unit *unit = &tester->trial->units->at[index];
	unsigned long handle = 0;
	int error = zpool_malloc(tester->pool, unit->stored_bytes, ZPOOL_GFP_KERNEL, &handle);

	if (error == -ENOMEM && tester->trial->evicting)
		error = make_room(tester, unit->stored_bytes, &handle);
	if (tester->evict.error)
		return trial_fail_system(tester, tester->evict.error, "evicting");
	if (error == -ENOSPC) {
		tester->result.refused_too_large++;
		return 0;
	}
	if (error == -ENOMEM) {
		tester->result.refused_no_memory++;
		return 0;
	}
	if (error)
		return trial_fail_zpool(tester, error, "zpool_malloc");
	if (!handle)
		return trial_fail(tester, -EPROTO, "zpool_malloc", "the driver returned the handle 0");
	error = object_put(tester->pool, handle, data, unit->stored_bytes);
	if (error)
		return trial_fail_zpool(tester, error, "writing an object");
	evict_placed(&tester->evict, index, handle);
	tester->result.stored++;
	tester->result.live_bytes += unit->stored_bytes;
	return 0;
}

static int store_batch(struct tester *tester, const struct units_batch *batch)
{
	const struct units *units = tester->trial->units;
	uint64_t evicting = tester->result.evict_ns;
	uint64_t start;
	int error = spool_read(&units->packed, tester->packed, batch->packed_bytes, batch->packed);

	if (error)
		return trial_fail_system(tester, error, "reading the input");
	start = clock_ns();
	for (size_t i = batch->first; i < batch->first + batch->count && !error; i++)
		if (!unit_is_same_filled(&units->at[i]))
			error = store_unit(tester, i, tester->packed + (units->at[i].stored - batch->packed));
	tester->result.store_ns += clock_ns() - start - (tester->result.evict_ns - evicting);
	return error;
}

static int store_all(struct tester *tester, uint64_t rss_before)
{
	struct trial_result *result = &tester->result;
	struct units_batch batch = { 0 };
	uint64_t rss;
	int error = 0;

	while (!error && units_next_batch(tester->trial->units, &batch)) {
		report_progress(tester, TRIAL_STORING, batch.first);
		error = store_batch(tester, &batch);
	}
	rss = rss_bytes();
	result->rss_growth_bytes = rss > rss_before ? rss - rss_before : 0;
	result->pool_bytes = zpool_get_total_size(tester->pool);
	result->evicted = tester->evict.count;
	result->live_bytes -= tester->evict.bytes;
	if (!error && tester->evict.spool)
		error = spool_flush(tester->evict.spool);
	return error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Load and compare
 */

/*
 * Copies the batch's units that are in the pool to tester->packed, with the clock running, and adds the evicted units.
 */
static int load_batch(struct tester *tester, const struct units_batch *batch)
{
	const struct units *units = tester->trial->units;
	const struct evict *evict = &tester->evict;
	size_t end = batch->first + batch->count;
	uint64_t start;
	int error = 0;

	/* Bytes that fail to load must not look like loaded ones from an earlier batch. */
	memset(tester->packed, 0, batch->packed_bytes);
	for (size_t i = batch->first; i < end && !error; i++)
		if (evict_is_saved(evict, i))
			error = evict_load(evict, i, tester->packed + (units->at[i].stored - batch->packed));
	if (error)
		return trial_fail_system(tester, error, "loading an evicted unit");
	start = clock_ns();
	for (size_t i = batch->first; i < end; i++) {
		const struct unit *unit = &units->at[i];

		if (!evict->handles[i])
			continue;
		error = object_get(tester->pool, evict->handles[i], tester->packed + (unit->stored - batch->packed),
				   unit->stored_bytes);
		if (error)
			trial_fail_zpool(tester, error, "reading an object"); /* the comparison counts it */
		else
			tester->result.loaded++;
	}
	tester->result.load_ns += clock_ns() - start;
	return 0;
}

/* Restores the original unit from what was loaded. Returns false if that is not possible. */
static bool restore_unit(struct tester *tester, const struct unit *unit, const unsigned char *packed)
{
	uint64_t start;
	bool restored;

	if (unit_is_same_filled(unit)) {
		unit_fill(unit, tester->unpacked);
		return true;
	}
	if (unit_is_raw(unit)) {
		memcpy(tester->unpacked, packed, unit->bytes);
		return true;
	}
	start = clock_ns();
	restored = compressor_unpack(tester->trial->units->compressor, packed, unit->stored_bytes, tester->unpacked,
				     unit->bytes);
	tester->result.unpack_ns += clock_ns() - start;
	tester->result.unpacked++;
	return restored;
}

static int compare_batch(struct tester *tester, const struct units_batch *batch)
{
	const struct units *units = tester->trial->units;
	const unsigned char *original = tester->originals;
	int error = spool_read(&units->originals, tester->originals, batch->original_bytes, batch->originals);

	if (error)
		return trial_fail_system(tester, error, "reading the input");
	for (size_t i = batch->first; i < batch->first + batch->count; i++) {
		const struct unit *unit = &units->at[i];
		bool available =
			unit_is_same_filled(unit) || tester->evict.handles[i] || evict_is_saved(&tester->evict, i);

		if (available) {
			const unsigned char *packed =
				unit_is_same_filled(unit) ? NULL : tester->packed + (unit->stored - batch->packed);

			tester->result.compared++;
			if (!restore_unit(tester, unit, packed) || memcmp(tester->unpacked, original, unit->bytes) != 0)
				tester->result.differing++;
		}
		original += unit->bytes;
	}
	return 0;
}

static int load_all(struct tester *tester)
{
	struct units_batch batch = { 0 };
	int error = 0;

	while (!error && units_next_batch(tester->trial->units, &batch)) {
		report_progress(tester, TRIAL_LOADING, batch.first);
		error = load_batch(tester, &batch);
		if (!error)
			error = compare_batch(tester, &batch);
	}
	return error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The child
 */

static struct zpool *open_pool(struct tester *tester, const char *spec)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;

	args.name = "zpoolctl";
	if (tester->trial->evicting) {
		args.evict = evict_callback;
		args.user = &tester->evict;
	}
	return zpool_open(spec, &args, sizeof(args));
}

/*
 * Runs the driver's code once, on a separate pool. That pool touches no file: files are only for the pool of the trial.
 */
static int warm_up(struct tester *tester)
{
	char *spec = spec_without_files(tester->trial->spec);
	struct zpool *pool = spec ? open_pool(tester, spec) : NULL;
	unsigned long handle;

	free(spec);
	if (!spec)
		return 0;
	if (!pool)
		return trial_fail_zpool(tester, errno ? -errno : -EINVAL, "opening");
	report_progress(tester, TRIAL_WARMING, 0);
	if (!zpool_malloc(pool, 64, ZPOOL_GFP_KERNEL, &handle)) {
		memset(tester->packed, 0, 64);
		object_put(pool, handle, tester->packed, 64);
		object_get(pool, handle, tester->packed, 64);
		zpool_free(pool, handle);
	}
	zpool_destroy_pool(pool);
	rss_bytes();
	rss_settle();
	return 0;
}

static int prepare(struct tester *tester, struct spool *evicted)
{
	const struct units *units = tester->trial->units;
	int error = evict_init(&tester->evict, units, evicted);

	tester->packed = rss_array(UNITS_BATCH_BYTES, 1);
	tester->unpacked = rss_array(units->unit_bytes, 1);
	tester->originals = rss_array(UNITS_BATCH_BYTES, 1);
	if (error || !tester->packed || !tester->unpacked || !tester->originals)
		return trial_fail_system(tester, -ENOMEM, "allocating room for the units");
	return warm_up(tester);
}

struct trial_job {
	const struct trial *trial;
	struct spool *evicted; /* created by the parent, written by the child; NULL: no eviction */
};

static void try_in_child(int out, void *arg)
{
	const struct trial_job *job = arg;
	static struct tester tester;
	uint64_t rss_before;
	int error;

	tester.trial = job->trial;
	tester.out = out;
	report_result(&tester);
	error = prepare(&tester, job->evicted);
	if (!error) {
		rss_before = rss_bytes();
		tester.pool = open_pool(&tester, tester.trial->spec);
		error = tester.pool ? 0 : trial_fail_zpool(&tester, errno ? -errno : -EINVAL, "opening");
	}
	if (!error)
		error = store_all(&tester, rss_before);
	if (!error)
		error = load_all(&tester);
	report_progress(&tester, error ? tester.result.phase : TRIAL_CLOSING, tester.result.units_done);
	if (tester.pool) {
		trial_stats_take(job->trial->reported, tester.pool);
		stats_report_end();
	}
	zpool_destroy_pool(tester.pool);
	if (!error)
		tester.result.phase = TRIAL_DONE;
	tester.result.error = error;
	report_result(&tester);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The parent
 */

struct listener {
	struct trial_result *result;
	struct trial_result partial;
	size_t have;
	uint64_t units;
};

static void show_progress(const struct listener *listener)
{
	const struct trial_result *result = listener->result;

	if (result->phase == TRIAL_STORING)
		progress_update(result->units_done);
	else if (result->phase == TRIAL_LOADING)
		progress_update(listener->units + result->units_done);
}

static void on_message(void *user, const void *bytes, size_t count)
{
	struct listener *listener = user;
	const char *from = bytes;

	while (count) {
		size_t part = sizeof(listener->partial) - listener->have;

		if (part > count)
			part = count;
		memcpy((char *)&listener->partial + listener->have, from, part);
		listener->have += part;
		from += part;
		count -= part;
		if (listener->have == sizeof(listener->partial)) {
			*listener->result = listener->partial;
			listener->have = 0;
			show_progress(listener);
		}
	}
}

/* If the child did not end normally, puts the reason and what it was doing into the result. */
static void judge_end(const struct child_end *end, struct trial_result *result)
{
	static const char *const about[] = { "opening a pool", "storing a first object", "storing",
					     "loading",        "closing the pool",       "leaving" };
	char text[CHILD_TEXT];

	if (child_succeeded(end) && (result->phase == TRIAL_DONE || result->error))
		return;
	child_describe(end, text);
	snprintf(result->message, sizeof(result->message), "%s while %s", text, about[result->phase]);
	result->error = -EPROTO;
}

int trial_run(const struct trial *trial, struct trial_result *result)
{
	struct spool evicted = { .fd = -1 };
	struct trial_job job = { trial, trial->evicting ? &evicted : NULL };
	struct listener listener = { .result = result, .units = trial->units->count };
	struct child_job child = { .run = try_in_child,
				   .arg = &job,
				   .sink = on_message,
				   .user = &listener,
				   .timeout_seconds = trial->timeout_seconds };
	struct child_end end;
	int error = 0;

	memset(result, 0, sizeof(*result));
	if (trial->evicting)
		error = spool_open(&evicted);
	if (!error) {
		progress_start(trial->spec, 2 * (uint64_t)trial->units->count);
		error = child_run(&child, &end);
		progress_end();
	}
	if (!error)
		judge_end(&end, result);
	spool_close(&evicted);
	return error;
}
