/* SPDX-License-Identifier: MIT
 *
 * leftovers.h - memory and files of the process, to find what pools, objects and drivers leave behind
 */
#ifndef CT_LEFTOVERS_H
#define CT_LEFTOVERS_H 1

#include "case.h"

/*
 * heap_bytes     bytes in use according to the C library; 0 if it does not report them
 * address_pages  pages of mapped address space, whether touched or not
 */
struct ct_leftovers {
	uint64_t heap_bytes;
	uint64_t address_pages;
	unsigned int files;
};

void ct_leftovers_look(struct ct_leftovers *now);

/*
 * Compares with the current state, after something was done a number of times.  Fails the case if something was left
 * behind.  Returns false if it may be memory cached by the C library, and the caller should try again.
 */
bool ct_leftovers_compare(const struct ct_leftovers *before, unsigned int times, const char *what, bool last_try);

#endif /* CT_LEFTOVERS_H */
