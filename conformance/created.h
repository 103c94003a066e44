/* SPDX-License-Identifier: MIT
 *
 * created.h - the files that a process creates and leaves behind
 */
#ifndef CT_CREATED_H
#define CT_CREATED_H 1

#include "case.h"

/*
 * Records every file, directory, link and queue that this thread, and the threads it starts, create from now on,
 * anywhere.  Only for a forked process, because it cannot be undone.  Skips the case if the system does not allow it.
 */
void ct_created_watch(void);

/* Fails the case if one of the files still exists, unless the spec names it. */
void ct_created_expect_none(void);

#endif /* CT_CREATED_H */
