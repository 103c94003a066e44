/* SPDX-License-Identifier: MIT
 *
 * strict_source.h - a page source that records every call and accepts no mistake
 *
 * Uncommitted pages cannot be read or written.  Committing or decommitting pages that are not in the right state, or
 * not inside a reservation, counts as a fault.  Every call can be made to fail.
 */
#ifndef STRICT_SOURCE_H
#define STRICT_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <pthread.h>

#include <zpool.h>

struct strict_range;

struct strict_source {
	struct zpool_page_source table;
	pthread_mutex_t mutex;
	struct strict_range *ranges;
	_Atomic(uint64_t) reserved_bytes, committed_bytes;
	_Atomic(unsigned int) reserves, commits, decommits, releases;
	_Atomic(unsigned int) faults;
	_Atomic(size_t) reserve_bytes_max; /* larger reservations fail */
	_Atomic(int) commits_left;         /* how many more commits succeed; -1: all */
	_Atomic(bool) refuse_decommit;
};

void strict_source_init(struct strict_source *source);

/* Returns true if everything was released and no call was a fault.  Frees what was not released. */
bool strict_source_fini(struct strict_source *source);

#endif
