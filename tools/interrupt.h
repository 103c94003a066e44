/* SPDX-License-Identifier: MIT
 *
 * interrupt.h - clean up on SIGINT, SIGTERM and SIGHUP
 *
 * The tool's temporary files have no name, so only a child and a half-drawn line could be left behind. The handler
 * kills the child, wipes the line and lets the signal end the process, so that the calling shell sees the signal.
 */
#ifndef INTERRUPT_H
#define INTERRUPT_H 1

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

/* Sets the handlers. A signal that is ignored (nohup) stays ignored. */
void interrupt_handle(void);

/* In a forked child: restores the default actions, so that a terminal's Ctrl-C ends it, too. */
void interrupt_default(void);

/* Block and unblock the signals, around operations that must not be interrupted. */
void interrupt_block(sigset_t *previous);
void interrupt_unblock(const sigset_t *previous);

/* Sets the child to kill together with this process; 0: none. */
void interrupt_set_child(pid_t child);

/* Lets the handler know whether there is a line on the terminal to wipe. */
void interrupt_set_line(bool shown);

#endif /* INTERRUPT_H */
