/* SPDX-License-Identifier: MIT
 *
 * driver-for-tests.h - a small correct driver in memory, and a filter, which tests can make misbehave
 *
 * A test takes a structure, changes the part that it tests (sets a callback to NULL, changes a size), and registers it:
 *
 *     struct zpool_driver driver = driver_for_tests("mock");
 *     driver.obj_size = NULL;
 *     zpool_register_driver(&driver);
 *
 * All pools share one set of knobs, which a test resets at its start with driver_knobs_reset(). Callbacks are counted
 * even if they are overruled.
 */
#ifndef UNIT_DRIVER_FOR_TESTS_H
#define UNIT_DRIVER_FOR_TESTS_H 1

#include <stdbool.h>
#include <stdint.h>

#include "zpool-driver.h"

enum driver_call {
	CALL_CREATE,
	CALL_DESTROY,
	CALL_MALLOC,
	CALL_FREE,
	CALL_TOTAL_SIZE,
	CALL_MAP,
	CALL_UNMAP,
	CALL_READ,
	CALL_WRITE,
	CALL_SHRINK,
	CALL_COMPACT,
	CALL_OBJ_SIZE,
	CALL_STATS,
	CALL_EACH_CLASS,
	CALL_EACH_OBJECT,
	CALL_SET,
	CALL_SET_LIMIT,
	CALL_TRIM,
	CALL_FORK,
	CALL_FILTER_CREATE,
	CALL_FILTER_DESTROY,
	CALLS
};

/* The bytes that an empty pool holds, and the bytes that each object costs in addition to its own. */
enum { DRIVER_EMPTY_BYTES = 4096, DRIVER_OBJECT_BYTES = 16, DRIVER_MAX_OBJECT = 1024, DRIVER_MAX_MAPS = 60 };

struct driver_knobs {
	unsigned int calls[CALLS];

	/*
	 * The next call returns this answer without doing anything else (map returns NULL with that errno). Before
	 * that, it passes `message` to host->error, unless it is NULL.
	 */
	bool overrule[CALLS];
	int64_t answer[CALLS];
	const char *message;

	/*
	 * Values that create puts into *out in addition to a pool, if not 0. With without_pool, create leaves out the
	 * pool.
	 */
	bool without_pool;
	bool change_created;
	size_t created_max, created_alignment;
	uint32_t created_without_caps;

	/* For structures without set_limit. */
	bool leaves_limit_to_core;

	/* The arguments of create, with copies of the strings. */
	struct zpool_create_args args;
	char name[64], lower_spec[128], value_texts[8][64];
	struct zpool_value values[8];
	const struct zpool_host *host;
	void *core, *last_pool;

	/* The arguments of set and compact. */
	uint32_t set_index;
	struct zpool_value set_value;
	char set_text[64];
	struct zpool_budget budget;

	/*
	 * The phases of fork, in order: 'a' (prepare), 'p' (parent), 'c' (child); upper-case letters are those of the
	 * filter.
	 */
	char phases[64];

	/* Faults of the filter. */
	bool filter_makes_no_lower, filter_asks_twice, filter_keeps_lower, filter_fails_after_lower;
	size_t filter_lower_size;
	int filter_second_answer;
	struct zpool_lower filter_lower;
};

extern struct driver_knobs knobs;

void driver_knobs_reset(void);

/*
 * Returns a driver with every callback and these parameters: level (UINT 1..9, default 3, at run time), colour (ENUM
 * red, green), note (STRING, no default).
 */
struct zpool_driver driver_for_tests(const char *type);

/*
 * Returns a filter that passes all calls on, with handles of its own: those of the driver below with inverted bits. It
 * has the parameter depth (UINT 0..99).
 */
struct zpool_driver filter_for_tests(const char *type);

#endif
