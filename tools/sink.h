/* SPDX-License-Identifier: MIT
 *
 * sink.h - a driver that keeps only the last object, to find out what a store would put into a pool
 */
#ifndef SINK_H
#define SINK_H 1

#include <stddef.h>

/* Returns the spec of the driver, which is available in this process from then on. NULL: it cannot be registered. */
const char *sink_spec(void);

/* Returns the length of the object that was allocated since the last call, or 0 if there was none. */
size_t sink_take_size(void);

#endif /* SINK_H */
