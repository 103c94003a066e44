/* SPDX-License-Identifier: MIT
 *
 * replay.h - a recorded trace on a driver, in a child of its own
 */
#ifndef REPLAY_H
#define REPLAY_H 1

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "store.h"
#include "trace-file.h"

/*
 * Written by the child in memory that it shares with the parent: what a driver did before it crashed is known.
 *
 * objects ... bytes_peak   as in struct trace_totals, of what this driver took
 * held_at_peak, rss_growth_bytes   when the most bytes were live in the recording; measured: that was reached
 * surplus   mallocs that failed when recorded, and here did not; the object was freed at once
 * skipped   calls on objects that this driver refused or evicted before
 * compared, differing   how often contents were compared, and found to differ
 * objects_compared, objects_unread, objects_unwritten   together they are `objects': compared at least once; not
 *                       compared before they went; nothing to compare, for nothing was ever written to them
 */
struct replay_result {
	bool opened, done, measured;
	int error; /* -errno: it could not go on, message says why */
	uint64_t calls;
	uint64_t objects, objects_live, objects_peak;
	uint64_t bytes, bytes_live, bytes_peak;
	uint64_t held_peak, held_live;
	uint64_t live_at_peak, held_at_peak, rss_growth_bytes;
	uint64_t surplus, skipped, evicted;
	uint64_t mallocs, frees, maps;
	uint64_t malloc_ns, free_ns, map_ns;
	uint64_t compared, differing;
	uint64_t objects_compared, objects_unread, objects_unwritten;
	uint64_t failed[TRACE_EOTHER + 1];
	struct trial_stats told;
	char message[REASON_BYTES];
};

/* Finds the object of a handle: open addressing, with room for every object that there ever is. */
struct replay_slot {
	unsigned long handle;
	size_t object;
};

/* What `zpoolctl replay' was asked, and what came of it: a row of the store, and a result, for each driver. */
struct replay {
	struct store store;
	struct trace_file trace;
	const char *path;
	struct replay_result **results; /* of each row; NULL: it came to no trial */
};

/* 0, or -errno after a message: no child could be made. */
int replay_run(const struct trace_file *trace, const char *spec, unsigned int timeout_seconds,
	       struct replay_result *result);

/*
 * replay-needs.c: the bytes that a replay needs at once, at most: the objects that were live at once in the recording,
 * or what the spec's limit lets in, and the tool's own tables.
 */
uint64_t replay_needs_bytes(const struct trace_file *trace, const char *text);

/* Does a filter in the spec (fault) count calls, so that it must see those of the recording and no others? */
bool replay_counts_calls(const char *text);

/* replay-report.c: the trace and a table, or JSON */
void replay_report(const struct replay *replay);

/* The names of the reasons for which calls fail, one for each number of enum trace_error. */
extern const char *const replay_reasons[TRACE_EOTHER + 1];

#endif /* REPLAY_H */
