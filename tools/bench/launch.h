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
	const uint32_t *sizes; /* job->objects elements */
	const char *preload;   /* a library to preload, or NULL */
	unsigned int timeout_seconds;
	bool quiet; /* discard messages of the dynamic linker */
	void (*on_message)(void *user, const struct bench_message *message);
	void *user;
};

/* Runs the process to its end. Returns 0, or -errno after a message if there could be no process. */
int launch(const struct launch *launch, struct child_end *end);

#endif /* BENCH_LAUNCH_H */
