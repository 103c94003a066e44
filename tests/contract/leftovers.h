/* SPDX-License-Identifier: MIT
 *
 * leftovers.h - what a process has, so that what pools, objects and drivers leave behind can be told
 */
#ifndef CT_LEFTOVERS_H
#define CT_LEFTOVERS_H 1

#include "case.h"

/*
 * heap_bytes     in use, as the C library counts; 0 where it does not tell
 * address_pages  mapped, whether touched or not
 */
struct ct_leftovers {
	uint64_t heap_bytes;
	uint64_t address_pages;
	unsigned int files;
};

void ct_leftovers_look(struct ct_leftovers *now);

/*
 * Compare with what is there now, after something was done so many times.  Fails the case where something was left.
 * false: it may be what the C library keeps of freed memory, and there is another try.
 */
bool ct_leftovers_compare(const struct ct_leftovers *before, unsigned int times, const char *what, bool last_try);

#endif /* CT_LEFTOVERS_H */
