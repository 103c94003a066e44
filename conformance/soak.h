/* SPDX-License-Identifier: MIT
 *
 * soak.h - the soak test, as a case of the contract suite's kind
 */
#ifndef CT_SOAK_H
#define CT_SOAK_H 1

#include "contract.h"

/* Beside the workers: one thread that shrinks, one that walks, trims, compacts and changes the limit. */
enum { CT_SOAK_SIDE_THREADS = 2 };

/* How to soak, to be set before the run.  operations 0: as many as the seconds allow. */
struct ct_soak {
	unsigned int threads_least, threads_most;
	unsigned int seconds;
	unsigned long long operations;
	size_t objects;
	size_t largest;
};
extern struct ct_soak ct_soak;

extern const struct ct_group ct_groups_soak[];

#endif /* CT_SOAK_H */
