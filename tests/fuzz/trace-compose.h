/* SPDX-License-Identifier: MIT
 *
 * trace-compose.h - a trace file whose blocks and checks are valid, with the calls that an input chooses
 */
#ifndef TESTS_FUZZ_TRACE_COMPOSE_H
#define TESTS_FUZZ_TRACE_COMPOSE_H 1

#include "fuzz.h"

/* Writes at most FUZZ_MAX_BYTES to `buf' and returns the size. */
size_t fuzz_trace_compose(struct fuzz_input *input, uint8_t *buf);

#endif
