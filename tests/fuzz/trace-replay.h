/* SPDX-License-Identifier: MIT
 *
 * trace-replay.h - the replay of zpoolctl, in this process instead of a child
 */
#ifndef TESTS_FUZZ_TRACE_REPLAY_H
#define TESTS_FUZZ_TRACE_REPLAY_H 1

#include "stack.h"

#include "../../tools/trace-file.h"

/* Replays a valid trace on the stack and checks the result. A trace that needs much memory is left out. */
void fuzz_trace_replay(const struct trace_file *trace, const struct fuzz_stack *stack);

#endif
