/* SPDX-License-Identifier: MIT
 *
 * source.h - a page source whose calls can fail, and that makes every use of memory outside its committed pages a fault
 */
#ifndef TESTS_FUZZ_SOURCE_H
#define TESTS_FUZZ_SOURCE_H 1

#include <pthread.h>

#include "fuzz.h"

#include <zpool.h>

enum { FUZZ_RESERVATIONS_MAX = 512, FUZZ_SOURCE_CALLS = 3 };

/* The calls that can fail; release cannot. */
enum fuzz_source_call { FUZZ_RESERVE, FUZZ_COMMIT, FUZZ_DECOMMIT };

/*
 * skip, fail   of each kind of call: so many calls succeed, and then so many fail
 * failed       a call has failed since the flag was last cleared
 * lock         guards everything
 */
struct fuzz_source {
	struct zpool_page_source table;
	pthread_mutex_t lock;
	unsigned int skip[FUZZ_SOURCE_CALLS], fail[FUZZ_SOURCE_CALLS];
	bool failed;
	unsigned int count;
	struct {
		char *address;
		size_t bytes;
	} reservations[FUZZ_RESERVATIONS_MAX];
};

void fuzz_source_init(struct fuzz_source *source);

/* Aborts if a reservation was not released. */
void fuzz_source_fini(struct fuzz_source *source);

void fuzz_source_fail(struct fuzz_source *source, enum fuzz_source_call call, unsigned int skip, unsigned int fail);

#endif
