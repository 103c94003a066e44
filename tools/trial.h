/* SPDX-License-Identifier: MIT
 *
 * trial.h - the trial of one driver: every unit is stored in libzpool-store, loaded back and compared, in a separate
 * child
 */
#ifndef TRIAL_H
#define TRIAL_H 1

#include <stdbool.h>
#include <stdint.h>

#include "message.h"
#include "trial-stats.h"
#include "units.h"

enum trial_phase { TRIAL_OPENING, TRIAL_WARMING, TRIAL_STORING, TRIAL_LOADING, TRIAL_CLOSING, TRIAL_DONE };

/*
 * The child sends its complete results again and again, and the last ones count. So the parent also has the results of
 * a driver that crashed.
 *
 * stored               units that the driver accepted, including those that it evicted later
 * live_bytes           lengths of the objects in the pool when pool_bytes and rss_growth_bytes were measured
 * rss_growth_bytes     without the store's index and its buffers
 * store_ns, load_ns    time of the store and its driver for all stored units, and for all units `loaded' from the pool.
 *                      Neither includes reading the input, compressing, decompressing or evicting.
 * compared, differing  number of units, including same-filled ones but not refused ones
 */
struct trial_result {
	enum trial_phase phase;
	int error; /* -errno: it could not continue; `message` has the reason */
	uint64_t units_done;
	uint64_t stored;
	uint64_t refused_too_large;
	uint64_t refused_no_memory;
	uint64_t evicted;
	uint64_t live_bytes;
	uint64_t pool_bytes;
	uint64_t rss_growth_bytes;
	uint64_t store_ns;
	uint64_t evict_ns;
	uint64_t loaded;
	uint64_t load_ns;
	uint64_t unpacked;
	uint64_t unpack_ns;
	uint64_t compared;
	uint64_t differing;
	char message[REASON_BYTES];
};

struct trial {
	const char *spec;
	const struct units *units;
	bool evicting; /* evict to make room if the pool is full */
	unsigned int timeout_seconds;
	struct trial_stats *reported; /* filled when everything has been loaded back, or when the trial ended early */
};

/*
 * Returns 0, or -errno after a message if no child could be created. If a child does not end normally, that is an error
 * in the result.
 */
int trial_run(const struct trial *trial, struct trial_result *result);

#endif /* TRIAL_H */
