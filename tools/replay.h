/* SPDX-License-Identifier: MIT
 *
 * replay.h - replay of a recorded trace on a driver, in a separate child
 */
#ifndef REPLAY_H
#define REPLAY_H 1

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "store.h"
#include "trace-file.h"

/*
 * The child writes this in memory that it shares with the parent, so the parent has the results of a driver that
 * crashed.
 *
 * objects ... bytes_peak   as in struct trace_totals, for the objects that this driver accepted
 * held_at_peak, rss_growth_bytes   at the call at which the recording had the most live bytes; `measured' is set once
 *                           the replay has reached that call
 * surplus   mallocs that failed in the recording but succeeded here; the object was freed at once
 * skipped   calls on objects that this driver had refused or evicted
 * compared, differing   how often contents were compared, and how often they differed
 * objects_compared, objects_unread, objects_unwritten   these add up to `objects': compared at least once; not compared
 *                           before they were freed; never written, so there was nothing to compare
 */
struct replay_result {
	bool opened, done, measured;
	int error; /* -errno if the replay could not continue; `message' has the reason */
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
	struct trial_stats reported;
	char message[REASON_BYTES];
};

/*
 * A slot of the table that finds the object of a handle. The table uses open addressing, and has room for all objects.
 */
struct replay_slot {
	unsigned long handle;
	size_t object;
};

/* The options and results of `zpoolctl replay': for each driver a row of the store and a result. */
struct replay {
	struct store store;
	struct trace_file trace;
	const char *path;
	struct replay_result **results; /* one for each row; NULL if the driver was not tried */
};

/* Returns 0, or -errno after a message if no child could be created. */
int replay_run(const struct trace_file *trace, const char *spec, unsigned int timeout_seconds,
	       struct replay_result *result);

/*
 * replay-needs.c: returns an upper bound of the memory that a replay needs at one time: the tool's own tables, and the
 * objects that were live together in the recording, or as much as the spec's limit allows.
 */
uint64_t replay_needs_bytes(const struct trace_file *trace, const char *text);

/* Returns true if the spec has a filter that counts calls (fault), which must see exactly the recorded calls. */
bool replay_counts_calls(const char *text);

/* replay-report.c: prints the trace and a table, or JSON */
void replay_report(const struct replay *replay);

/* The names of the reasons for which calls fail, indexed by enum trace_error. */
extern const char *const replay_reasons[TRACE_EOTHER + 1];

#endif /* REPLAY_H */
