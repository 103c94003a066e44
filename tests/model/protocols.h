/* SPDX-License-Identifier: MIT */
#ifndef MODEL_PROTOCOLS_H
#define MODEL_PROTOCOLS_H 1

#include "machine.h"

extern const struct protocol biased_protocols[], handle_protocols[], leaf_protocols[];
extern const unsigned int biased_count, handle_count, leaf_count;

#endif
