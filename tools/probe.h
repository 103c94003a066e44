/* SPDX-License-Identifier: MIT
 *
 * probe.h - would a pool of this spec work?  Asked in a child, before anything costly is done.
 */
#ifndef PROBE_H
#define PROBE_H 1

#include <stdbool.h>

#include "message.h"

struct probe {
	bool answered; /* false: the child did not live to tell; message says how it ended */
	bool filter;   /* it cannot stand alone; nothing below is set */
	bool evictable;
	int error; /* -errno: no pool can be made, message says why */
	char message[REASON_BYTES];
};

struct probe_question {
	const char *spec;
	bool evicting; /* give the pool an evict callback */
	bool foreign;  /* the spec comes from a file: refuse one that names a file itself */
};

/*
 * Open a pool of the spec, without the filters that would write to a file; where the driver itself is given a file,
 * nothing is opened and the answer is that it works and evicts.  0, or -errno after a message: there was no child.
 */
int probe_driver(const struct probe_question *question, unsigned int timeout_seconds, struct probe *probe);

#endif /* PROBE_H */
