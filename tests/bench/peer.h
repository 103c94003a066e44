/* SPDX-License-Identifier: MIT
 *
 * peer.h - a process of its own for each subject
 *
 * The program starts itself again with its own arguments and "--as NAME"; for a malloc with the library preloaded.  The
 * child reads commands from standard input, answers on standard output, and ends with the input.
 * It fails at once where the malloc is not the one that it should be.  So several subjects
 * can be there at the same time and be measured in turn.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "subject.h"

struct peer {
	pid_t pid;
	int to, from;
};

/* Exits after a message. */
void peer_start(struct peer *peer, char **argv, const char *name);

/* Can the malloc be had?  Its process is started, and looks. */
bool peer_is_installed(char **argv, const struct subject_malloc *which);

/* Let it do something and wait for the answer.  false: it has died, after a message of its own. */
bool peer_ask(struct peer *peer, const void *command, size_t command_size, void *answer, size_t answer_size);

/* Also of one that has died.  false: it failed. */
bool peer_stop(struct peer *peer);

/* In the child: the next command; false: no more.  And the answer. */
bool peer_next(void *command, size_t size);
void peer_answer(const void *answer, size_t size);

#endif
