/* SPDX-License-Identifier: MIT
 *
 * state.h - the state of the process that a driver shares with its host: signals, descriptors, limits, and so on
 */
#ifndef CT_STATE_H
#define CT_STATE_H 1

#include "case.h"

/* What a snapshot can leave out. */
#define CT_STATE_NO_FILES 0x1u /* descriptors */

/* Pairs of a name and a value, such as "the umask" and "0022". */
struct ct_state_entry {
	char *name;
	char *value;
};

struct ct_state {
	struct ct_state_entry *at;
	size_t count, capacity;
};

/* Takes a snapshot of the process.  It starts no thread and leaves no descriptor open. */
void ct_state_take(struct ct_state *state, unsigned int flags);
void ct_state_free(struct ct_state *state);

/* Fails the case and lists all differences if `now` differs from `before`; what: what was done in between. */
void ct_state_compare(const struct ct_state *before, const struct ct_state *now, const char *what);

/* Captures the output of the process. */
struct ct_capture {
	int file;
	int saved[2];
};

void ct_capture_start(struct ct_capture *capture);

/* Fails the case if something was printed. */
void ct_capture_end(struct ct_capture *capture, const char *what);

#endif /* CT_STATE_H */
