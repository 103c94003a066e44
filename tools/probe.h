/* SPDX-License-Identifier: MIT
 *
 * probe.h - find out in a child whether a pool of a spec would work, before expensive work is done
 */
#ifndef PROBE_H
#define PROBE_H 1

#include <stdbool.h>

#include "message.h"

struct probe {
	bool answered; /* false: the child ended before it could answer; `message` describes how */
	bool filter;   /* it cannot be used alone; the members below are not set */
	bool evictable;
	int error; /* -errno: no pool can be created; `message` has the reason */
	char message[REASON_BYTES];
};

struct probe_question {
	const char *spec;
	bool evicting; /* create the pool with an evict callback */
	bool foreign;  /* the spec comes from a file, so it must not name files itself */
};

/*
 * Opens a pool of the spec, without filters that would write to a file. If the driver itself is given a file name,
 * nothing is opened, and the answer is that the spec works and supports eviction. Returns 0, or -errno after a message
 * if there was no child.
 */
int probe_driver(const struct probe_question *question, unsigned int timeout_seconds, struct probe *probe);

#endif /* PROBE_H */
