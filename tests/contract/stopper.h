/* SPDX-License-Identifier: MIT
 *
 * stopper.h - stops a call at a random instruction, and makes another call meanwhile
 *
 * Two threads that only run beside each other seldom meet within a few instructions.  Here a signal stops one thread
 * somewhere in its call.  It continues when the other thread has made a whole call, or waits for a lock that the
 * stopped call holds.  The number of stops decides what is found, and not the speed or the load of the machine.
 */
#ifndef CT_STOPPER_H
#define CT_STOPPER_H 1

#include "case.h"

/* Start and end the other thread.  ct_stopper_open() gives false where a tool delays signals. */
bool ct_stopper_open(void);
void ct_stopper_close(void);

/*
 * Make call(arg) and undo(arg) in turn, until one of the calls was stopped; meanwhile(arg) is run in the other thread
 * then.  Both have ended when this returns, and the last call is not undone.
 */
void ct_stopper_run(void (*call)(void *arg), void (*undo)(void *arg), void (*meanwhile)(void *arg), void *arg);

#endif /* CT_STOPPER_H */
