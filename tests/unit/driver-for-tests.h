/* SPDX-License-Identifier: MIT
 *
 * driver-for-tests.h - a small correct driver in memory, and a filter, that can be told to misbehave
 *
 * A test takes a structure, changes what it is about (a callback to NULL, another size), and registers it:
 *
 *     struct zpool_driver driver = driver_for_tests("mock");
 *     driver.obj_size = NULL;
 *     zpool_register_driver(&driver);
 *
 * The knobs are one set for all pools; driver_knobs_reset() at the start of a test.  Callbacks are counted whether they
 * are overruled or not.
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

/* Bytes that an empty pool holds, and what each object costs beside its own bytes. */
enum { DRIVER_EMPTY_BYTES = 4096, DRIVER_OBJECT_BYTES = 16, DRIVER_MAX_OBJECT = 1024, DRIVER_MAX_MAPS = 60 };

struct driver_knobs {
	unsigned calls[CALLS];

	/* The next call gives this instead of doing anything (map: NULL with that errno), after telling host->error
	 * what to say, if that is not NULL. */
	bool overrule[CALLS];
	int64_t answer[CALLS];
	const char *message;

	/* What create puts into *out beside a pool, if not 0; without_pool: all but that. */
	bool without_pool;
	bool change_created;
	size_t created_max, created_alignment;
	uint32_t created_without_caps;

	/* For a structure without set_limit. */
	bool leaves_limit_to_core;

	/* What create was given, strings copied. */
	struct zpool_create_args args;
	char name[64], lower_spec[128], value_texts[8][64];
	struct zpool_value values[8];
	const struct zpool_host *host;
	void *core, *last_pool;

	/* What set and compact were given. */
	uint32_t set_index;
	struct zpool_value set_value;
	char set_text[64];
	struct zpool_budget budget;

	/* Phases of fork, in order: 'P', 'p' (parent), 'c' (child), upper case for the filter. */
	char phases[64];

	/* The filter's faults. */
	bool filter_makes_no_lower, filter_asks_twice, filter_keeps_lower, filter_fails_after_lower;
	size_t filter_lower_size;
	int filter_second_answer;
	struct zpool_lower filter_lower;
};

extern struct driver_knobs knobs;

void driver_knobs_reset(void);

/* Has every callback, and parameters: level (UINT 1..9, default 3, at run time), colour (ENUM red, green), note
 * (STRING, no default). */
struct zpool_driver driver_for_tests(const char *type);

/* Passes everything on, under handles of its own: the lower driver's, bits inverted.  Parameter: depth (UINT 0..99). */
struct zpool_driver filter_for_tests(const char *type);

#endif
