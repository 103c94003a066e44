/* SPDX-License-Identifier: MIT
 *
 * stopper.h - interrupts a call at a random instruction and makes another call meanwhile
 *
 * Two threads that merely run in parallel seldom meet within a few instructions.  Here a signal interrupts one thread
 * during its call.  The thread continues when the other thread has made a whole call, or waits for a lock that the
 * interrupted call holds.  So the number of interruptions decides what is found, and not the speed or load of the
 * machine.
 */
#ifndef CT_STOPPER_H
#define CT_STOPPER_H 1

#include "case.h"

/* Start and end the other thread.  ct_stopper_open() returns false under a tool that delays signals. */
bool ct_stopper_open(void);
void ct_stopper_close(void);

/*
 * Makes call(arg) and undo(arg) in turn until one of the calls was interrupted; the other thread runs meanwhile(arg)
 * then.  Both have ended when this function returns, and the last call is not undone.
 */
void ct_stopper_run(void (*call)(void *arg), void (*undo)(void *arg), void (*meanwhile)(void *arg), void *arg);

#endif /* CT_STOPPER_H */
