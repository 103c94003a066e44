/* SPDX-License-Identifier: MIT
 *
 * stats.c - the members of struct zpool_stats, described for programs that show them
 */
#include <config.h>

#include <stddef.h>

#include "zpool.h"

#define COUNT(name, label)                                                                                             \
	{                                                                                                              \
#name, label, offsetof(struct zpool_stats, name), ZPOOL_UNIT_COUNT                                     \
	}
#define BYTES(name, label)                                                                                             \
	{                                                                                                              \
#name, label, offsetof(struct zpool_stats, name), ZPOOL_UNIT_BYTES                                     \
	}

static const struct zpool_stats_member members[] = {
	COUNT(objects, "objects"),
	BYTES(stored_bytes, "stored in them"),
	BYTES(pool_bytes, "held"),
	BYTES(pool_bytes_peak, "held at most"),
	COUNT(pages, "pages"),
	COUNT(free_slots, "free slots"),
	COUNT(mapped_handles, "handles mapped"),
	COUNT(compactions, "compactions"),
	BYTES(compact_moved_bytes, "moved by compaction"),
	BYTES(compact_released_bytes, "released by compaction"),
	COUNT(evictions, "evictions"),
	COUNT(evict_refused, "evictions refused"),
	COUNT(malloc_failed_limit, "mallocs failed: limit"),
	COUNT(malloc_failed_memory, "mallocs failed: no memory"),
	COUNT(malloc_failed_again, "mallocs failed: lock taken"),
	COUNT(refused_handles, "handles refused"),
	COUNT(errors, "errors found"),
};
enum { MEMBER_COUNT = sizeof(members) / sizeof(*members) };

_Static_assert(MEMBER_COUNT * sizeof(uint64_t) == sizeof(struct zpool_stats),
	       "each member of struct zpool_stats needs its line in this table");

const struct zpool_stats_member *zpool_stats_member(unsigned int index)
{
	return index < MEMBER_COUNT ? &members[index] : NULL;
}
