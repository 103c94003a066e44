/* SPDX-License-Identifier: MIT
 *
 * stack.h - a stack of filters and a driver that an input chooses, with parameters
 */
#ifndef TESTS_FUZZ_STACK_H
#define TESTS_FUZZ_STACK_H 1

#include "fuzz.h"

#include <zpool.h>

enum { FUZZ_FILTERS_MAX = 3, FUZZ_SPEC_BYTES = 1024 };

/*
 * spec     the text for zpool_open()
 * parts    the number of layers, and their types
 * fails    it has a filter (fault) that makes calls fail
 * traces   descriptors of the memory files that receive the traces of trace filters, in the order of the layers
 */
struct fuzz_stack {
	char spec[FUZZ_SPEC_BYTES];
	unsigned int parts;
	const char *types[FUZZ_FILTERS_MAX + 1];
	bool fails;
	unsigned int trace_count;
	int traces[FUZZ_FILTERS_MAX];
};

/* Makes the shipped drivers and filters available. */
void fuzz_stack_start(void);

void fuzz_stack_choose(struct fuzz_stack *stack, struct fuzz_input *input);

/*
 * Returns true if the stack cannot be opened whatever happens, because the red zones of guard leave no room for an
 * object in the driver below.
 */
bool fuzz_stack_is_refused(const struct fuzz_stack *stack);

/* Chooses a parameter of one of the layers and a value that it accepts; false if the layer has no parameters. */
bool fuzz_stack_choose_param(const struct fuzz_stack *stack, struct fuzz_input *input, const char **key, char *value,
			     size_t value_bytes);

#endif
