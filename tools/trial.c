/* SPDX-License-Identifier: MIT
 *
 * trial.c - the child that tries a driver in a store of libzpool-store, and the parent that watches it
 *
 * Units are read from the spool in batches before the clock starts, and the time of the compressor is subtracted, so
 * that the clock measures the store and its driver. Everything that the child needs is resident before the first unit
 * is stored, and a first store with one unit has already run the driver's code, so all growth of resident memory after
 * that belongs to the store.
 */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool-store.h>

#include "child.h"
#include "clock.h"
#include "image.h"
#include "progress.h"
#include "rss.h"
#include "stats-report.h"
#include "spec.h"
#include "timed.h"
#include "trial.h"

#define REPORT_NS UINT64_C(100000000)
#define CLOCK_READS 1000

struct tester {
	const struct trial *trial;
	struct image *image; /* NULL: no eviction */
	struct zpool_store *store;
	struct zpool_store_stats stats; /* after the last unit, if there is an image */
	unsigned char *originals;       /* a batch of the input */
	unsigned char *unit;            /* one unit, to be stored or loaded */
	unsigned char *refused;         /* for each unit: 1 if the driver did not accept it */
	uint64_t clock_ns;              /* what it takes to read the clock */
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

	if (tester->store)
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
 * Time
 */

/* Returns the least time between two readings of the clock. */
static uint64_t clock_cost(void)
{
	uint64_t least = UINT64_MAX, before = clock_ns();

	for (unsigned int i = 0; i < CLOCK_READS; i++) {
		uint64_t now = clock_ns();

		if (now - before < least)
			least = now - before;
		before = now;
	}
	return least;
}

/*
 * Returns the time since `start`, without that of the compressor and without that of reading the clock, which is read
 * once for this and once more for a compressor that ran.
 */
static uint64_t time_beside(const struct tester *tester, uint64_t start, uint64_t other_ns)
{
	uint64_t elapsed = clock_ns() - start;

	other_ns += tester->clock_ns * (other_ns ? 2 : 1);
	return elapsed > other_ns ? elapsed - other_ns : 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Store
 */

/*
 * Takes what the store did for the last unit, and returns -ENOSPC or -ENOMEM if it wrote the unit to the file at once.
 */
static int take_stats(struct tester *tester, uint64_t *evict_ns)
{
	const struct zpool_store_stats before = tester->stats;
	const struct zpool_store_stats *after = &tester->stats;

	(void)zpool_store_get_stats(tester->store, &tester->stats, sizeof(tester->stats));
	*evict_ns = after->evict_ns - before.evict_ns;
	if (after->through_too_large > before.through_too_large)
		return -ENOSPC;
	return after->written_through > before.written_through ? -ENOMEM : 0;
}

/* A store with a backing takes whole units only, so a shorter one is filled up with zeroes, as on a disk. */
static int put(struct tester *tester, size_t index, const unsigned char *data)
{
	uint32_t bytes = tester->trial->units->at[index].bytes, unit_bytes = tester->trial->units->unit_bytes;

	if (tester->image && bytes < unit_bytes) {
		memcpy(tester->unit, data, bytes);
		memset(tester->unit + bytes, 0, unit_bytes - bytes);
		data = tester->unit;
	}
	return zpool_store_put(tester->store, index, data, tester->image ? unit_bytes : bytes);
}

/*
 * Returns 0 if the unit was stored, or was refused for a reason that is counted. Returns -errno if the driver does not
 * work.
 */
static int store_unit(struct tester *tester, size_t index, const unsigned char *data)
{
	const bool is_counted = !unit_is_same_filled(&tester->trial->units->at[index]);
	uint64_t compress_ns = timed_totals()->compress_ns;
	uint64_t start = clock_ns();
	int error = put(tester, index, data);
	uint64_t elapsed = time_beside(tester, start, timed_totals()->compress_ns - compress_ns);
	uint64_t evict_ns = 0;

	if (tester->image && tester->image->error)
		return trial_fail_system(tester, tester->image->error, "evicting");
	if (tester->image && !error)
		error = take_stats(tester, &evict_ns);
	tester->result.evict_ns += evict_ns;
	if (!error && is_counted) {
		tester->result.stored++;
		tester->result.store_ns += elapsed > evict_ns ? elapsed - evict_ns : 0;
	}
	if (!error)
		return 0;
	tester->refused[index] = 1;
	if (error == -ENOSPC)
		tester->result.refused_too_large++;
	else if (error == -ENOMEM)
		tester->result.refused_no_memory++;
	else
		return trial_fail_zpool(tester, error, "zpool_store_put");
	return 0;
}

static int store_batch(struct tester *tester, const struct units_batch *batch)
{
	const struct units *units = tester->trial->units;
	const unsigned char *data = tester->originals;
	int error = spool_read(&units->originals, tester->originals, batch->bytes, batch->offset);

	if (error)
		return trial_fail_system(tester, error, "reading the input");
	for (size_t i = batch->first; i < batch->first + batch->count && !error; i++) {
		error = store_unit(tester, i, data);
		data += units->at[i].bytes;
	}
	return error;
}

/* The compressor's memory is resident before the first unit, and the index's size is known, so neither is counted. */
static int store_all(struct tester *tester)
{
	struct trial_result *result = &tester->result;
	struct zpool_store_stats before, after;
	struct units_batch batch = { 0 };
	uint64_t rss_before, rss, others;
	int error = 0;

	(void)zpool_store_get_stats(tester->store, &before, sizeof(before));
	rss_before = rss_bytes();
	while (!error && units_next_batch(tester->trial->units, &batch)) {
		report_progress(tester, TRIAL_STORING, batch.first);
		error = store_batch(tester, &batch);
	}
	rss = rss_bytes();
	(void)zpool_store_get_stats(tester->store, &after, sizeof(after));
	others = rss_before + (after.index_bytes - before.index_bytes);
	result->rss_growth_bytes = rss > others ? rss - others : 0;
	result->pool_bytes = after.pool_bytes;
	result->live_bytes = after.stored_bytes;
	result->evicted = after.evicted;
	return error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Load and compare
 */

/* Loads a unit and returns its length, or -errno. Units that have to be read from the file are not measured. */
static int64_t load_unit(struct tester *tester, size_t index)
{
	const struct units *units = tester->trial->units;
	const struct timed_totals before = *timed_totals();
	uint64_t reads = tester->image ? tester->image->reads : 0;
	uint64_t start = clock_ns();
	int64_t length = zpool_store_read(tester->store, index, tester->unit, units->unit_bytes, ZPOOL_STORE_NOREUSE);
	uint64_t unpack_ns = timed_totals()->decompress_ns - before.decompress_ns;
	uint64_t elapsed = time_beside(tester, start, unpack_ns);

	if (length < 0) {
		trial_fail_zpool(tester, (int)length, "zpool_store_read"); /* the comparison counts it */
		return length;
	}
	tester->result.unpack_ns += unpack_ns;
	tester->result.unpacked += timed_totals()->decompressed - before.decompressed;
	if (unit_is_same_filled(&units->at[index]) || (tester->image && tester->image->reads != reads))
		return length;
	tester->result.loaded++;
	tester->result.load_ns += elapsed;
	return length;
}

static void compare_unit(struct tester *tester, size_t index, const unsigned char *original)
{
	const struct units *units = tester->trial->units;
	uint32_t bytes = units->at[index].bytes;
	int64_t length;

	if (tester->refused[index])
		return;
	/* Bytes that fail to load must not look like those of an earlier unit. */
	memset(tester->unit, 0, units->unit_bytes);
	length = load_unit(tester, index);
	tester->result.compared++;
	if (length != (int64_t)(tester->image ? units->unit_bytes : bytes) ||
	    memcmp(tester->unit, original, bytes) != 0)
		tester->result.differing++;
}

static int load_batch(struct tester *tester, const struct units_batch *batch)
{
	const struct units *units = tester->trial->units;
	const unsigned char *original = tester->originals;
	int error = spool_read(&units->originals, tester->originals, batch->bytes, batch->offset);

	if (error)
		return trial_fail_system(tester, error, "reading the input");
	for (size_t i = batch->first; i < batch->first + batch->count; i++) {
		compare_unit(tester, i, original);
		original += units->at[i].bytes;
	}
	if (tester->image && tester->image->error)
		return trial_fail_system(tester, tester->image->error, "loading an evicted unit");
	return 0;
}

static int load_all(struct tester *tester)
{
	struct units_batch batch = { 0 };
	int error = 0;

	while (!error && units_next_batch(tester->trial->units, &batch)) {
		report_progress(tester, TRIAL_LOADING, batch.first);
		error = load_batch(tester, &batch);
	}
	return error;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The child
 */

static struct zpool_store *open_store(struct tester *tester, const char *spec, const struct image *image)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = spec;
	args.compressor = timed_in_store(tester->trial->units->unit_bytes);
	args.name = "zpoolctl";
	args.unit_bytes = tester->trial->units->unit_bytes;
	args.unit_count = tester->trial->units->count;
	if (image)
		args.backing = &image->backing;
	return zpool_store_open(&args, sizeof(args));
}

/*
 * Runs the driver's code once, in a separate store. Its pool touches no file: files are only for the pool of the trial.
 */
static int warm_up(struct tester *tester)
{
	char *spec = spec_without_files(tester->trial->spec);
	struct zpool_store *store = spec ? open_store(tester, spec, NULL) : NULL;

	free(spec);
	if (!spec)
		return 0;
	if (!store)
		return trial_fail_zpool(tester, errno ? -errno : -EINVAL, "opening");
	report_progress(tester, TRIAL_WARMING, 0);
	memset(tester->unit, 'x', 64);
	if (!zpool_store_put(store, 0, tester->unit, 64))
		(void)zpool_store_get(store, 0, tester->unit, 64);
	zpool_store_close(store);
	rss_bytes();
	rss_settle();
	return 0;
}

static int prepare(struct tester *tester)
{
	const struct units *units = tester->trial->units;

	tester->originals = rss_array(UNITS_BATCH_BYTES, 1);
	tester->unit = rss_array(units->unit_bytes, 1);
	tester->refused = rss_array(units->count, 1);
	if (!tester->originals || !tester->unit || !tester->refused)
		return trial_fail_system(tester, -ENOMEM, "allocating room for the units");
	tester->clock_ns = clock_cost();
	return warm_up(tester);
}

struct trial_job {
	const struct trial *trial;
	struct image *image; /* created by the parent, used by the child; NULL: no eviction */
};

static void try_in_child(int out, void *arg)
{
	const struct trial_job *job = arg;
	static struct tester tester;
	int error;

	tester.trial = job->trial;
	tester.image = job->image;
	tester.out = out;
	report_result(&tester);
	error = prepare(&tester);
	if (!error) {
		tester.store = open_store(&tester, tester.trial->spec, tester.image);
		error = tester.store ? 0 : trial_fail_zpool(&tester, errno ? -errno : -EINVAL, "opening");
	}
	if (!error)
		error = store_all(&tester);
	if (!error)
		error = load_all(&tester);
	report_progress(&tester, error ? tester.result.phase : TRIAL_CLOSING, tester.result.units_done);
	if (tester.store) {
		trial_stats_take(job->trial->reported, zpool_store_get_pool(tester.store));
		stats_report_end();
	}
	if (tester.image)
		tester.image->ended = true;
	zpool_store_close(tester.store);
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
			listener->result->message[sizeof(listener->result->message) - 1] = '\0';
			listener->have = 0;
			show_progress(listener);
		}
	}
}

/*
 * If the child did not end normally, puts the reason and what it was doing into the result. A driver may write to the
 * pipe by mistake, and then everything that follows in it is shifted.
 */
static void judge_end(const struct child_end *end, struct trial_result *result)
{
	static const char *const about[] = { "opening a pool", "storing a first object", "storing",
					     "loading",        "closing the pool",       "leaving" };
	bool damaged = result->phase > TRIAL_DONE;
	char text[CHILD_TEXT];

	if (!damaged && child_succeeded(end) && (result->phase == TRIAL_DONE || result->error))
		return;
	child_describe(end, text);
	if (damaged)
		memset(result, 0, sizeof(*result));
	snprintf(result->message, sizeof(result->message), "%s %s%s", text, damaged ? "" : "while ",
		 damaged ? "after damaging its results" : about[result->phase]);
	result->error = -EPROTO;
}

int trial_run(const struct trial *trial, struct trial_result *result)
{
	struct image image = { .spool = { .fd = -1 } };
	struct trial_job job = { trial, trial->evicting ? &image : NULL };
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
		error = image_open(&image, (uint64_t)trial->units->count * trial->units->unit_bytes);
	if (!error) {
		progress_start(trial->spec, 2 * (uint64_t)trial->units->count);
		error = child_run(&child, &end);
		progress_end();
	}
	if (!error)
		judge_end(&end, result);
	image_close(&image);
	return error;
}
