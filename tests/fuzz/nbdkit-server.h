/* SPDX-License-Identifier: MIT
 *
 * nbdkit-server.h - the functions that nbdkit itself offers to its plugins
 *
 * Errors are counted instead of printed.
 */
#ifndef TESTS_FUZZ_NBDKIT_SERVER_H
#define TESTS_FUZZ_NBDKIT_SERVER_H 1

#include <stdint.h>

/* The extents that a plugin reports, which must follow each other without a gap. */
struct nbdkit_extents {
	uint64_t at, end;
	unsigned int count;
	void (*visit)(void *user, uint64_t offset, uint64_t length, uint32_t type);
	void *user;
};

extern unsigned int nbdkit_server_errors;
extern int nbdkit_server_errno;

#endif
