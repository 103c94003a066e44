/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - leaving on SIGINT, SIGTERM and SIGHUP without leaving anything behind
 *
 * The tool's temporary files have no name, so nothing but a child and a half-drawn line can be left.  The handler ends
 * the one, wipes the other and dies of the signal, so that the shell that started us sees what happened.
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H 1

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Set the handlers.  A signal that is ignored (nohup) stays ignored. */
void interrupt_handle(void);

/* In a forked child: back to the default actions, so that a terminal's Ctrl-C ends it by itself. */
void interrupt_default(void);

/* Hold the signals back, and let them come again: around what must not be cut in two. */
void interrupt_block(sigset_t *former);
void interrupt_unblock(const sigset_t *former);

/* Send a signal on to the child that is to be killed.  false: there is none.  Async-signal-safe. */
bool interrupt_forward(int number);

/* The child to kill with us; 0: none. */
void interrupt_set_child(pid_t child);

/* Is there a line on the terminal to wipe? */
void interrupt_set_line(bool shown);

#endif /* INTERRUPT_H */
