/* SPDX-License-Identifier: MIT
 *
 * created.h - the files that a process makes and leaves
 */
#ifndef CT_CREATED_H
#define CT_CREATED_H 1

#include "case.h"

/*
 * Note every file, directory, link and queue that this thread and those that it starts make from now on, wherever it
 * lies.  Only for a forked process, which cannot undo it.  Skips the case where the system does not allow it.
 */
void ct_created_watch(void);

/* Fails the case where one of them is still there; those that the spec names may be. */
void ct_created_expect_none(void);

#endif /* CT_CREATED_H */
