/* SPDX-License-Identifier: MIT
 *
 * launch.h - start a process for a job and receive its answers
 */
#ifndef BENCH_LAUNCH_H
#define BENCH_LAUNCH_H 1

#include <stdint.h>

#include "../child.h"
#include "job.h"

struct launch {
	const struct bench_job *job;
	const uint32_t *sizes; /* job->objects of them */
	const char *preload;   /* a library; NULL: none */
	unsigned int timeout_seconds;
	bool quiet; /* what the dynamic linker has to say is not of interest */
	void (*hear)(void *user, const struct bench_message *message);
	void *user;
};

/* Run it to its end.  0, or -errno after a message: there could be no process. */
int launch(const struct launch *launch, struct child_end *end);

#endif /* BENCH_LAUNCH_H */
