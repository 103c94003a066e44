/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "bench.h"

const struct workload workloads[] = {
	{ "fill", "store every object once", MEASURE_BIT(MEASURE_FILL) },
	{ "churn", "replace random objects, 4 replacements per object", MEASURE_BIT(MEASURE_CHURN) },
	{ "long-churn", "replace random objects, 36 more replacements per object", MEASURE_BIT(MEASURE_LONG_CHURN) },
	{ "read", "map, copy and unmap random objects", MEASURE_BIT(MEASURE_READ) },
	{ "drop", "drop a random 75 % of the objects, and compact the pool",
	  MEASURE_BIT(MEASURE_DROP) | MEASURE_BIT(MEASURE_COMPACT) },
	{ "pair", "a hot malloc and free, in each state that a pool can be in",
	  MEASURE_BIT(MEASURE_PAIR_EMPTY) | MEASURE_BIT(MEASURE_PAIR_FULL) | MEASURE_BIT(MEASURE_PAIR_HOLES) |
		  MEASURE_BIT(MEASURE_PAIR_COMPACTED) | MEASURE_BIT(MEASURE_PAIR_TRIMMED) |
		  MEASURE_BIT(MEASURE_PAIR_WORN) },
	{ "transfer", "one thread stores, another one reads and drops", MEASURE_BIT(MEASURE_TRANSFER) },
	{ "evict", "a cache under a limit of half the bytes: read, and store after a miss",
	  MEASURE_BIT(MEASURE_EVICT) },
	{ "stall", "store and drop while another thread compacts", MEASURE_BIT(MEASURE_STALL) },
};
const unsigned int workload_count = sizeof(workloads) / sizeof(workloads[0]);

const struct workload *workload_find(const char *name)
{
	for (unsigned int i = 0; i < workload_count; i++)
		if (!strcmp(workloads[i].name, name))
			return &workloads[i];
	return NULL;
}

enum group measure_group(enum measure measure)
{
	switch (measure) {
	case MEASURE_PAIR_EMPTY:
	case MEASURE_PAIR_FULL:
	case MEASURE_PAIR_HOLES:
	case MEASURE_PAIR_COMPACTED:
	case MEASURE_PAIR_TRIMMED:
		return GROUP_PAIR;
	case MEASURE_TRANSFER:
		return GROUP_TRANSFER;
	case MEASURE_EVICT:
		return GROUP_EVICT;
	case MEASURE_STALL:
		return GROUP_STALL;
	default:
		/* The pair after all other workloads is measured in the same process as they are. */
		return GROUP_SET;
	}
}
