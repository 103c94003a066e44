/* SPDX-License-Identifier: MIT
 *
 * replay.c is linked with the following functions instead of the tool's own, so that the fuzzing engine sees which code
 * a trace reaches, and so that everything is freed that a child would leave to its end.
 */
#include "config.h"

#include "trace-replay.h"

#include <errno.h>

#include "../../tools/child.h"
#include "../../tools/progress.h"
#include "../../tools/replay.h"
#include "../../tools/rss.h"
#include "../../tools/stats-report.h"

enum { ARRAYS_MAX = 16, NEEDS_BYTES_MAX = 8 << 20 };

static void *arrays[ARRAYS_MAX];
static size_t array_count;
static struct zpool *last_pool;

/* ------------------------------------------------------------------------------------------------------------------
 * What replay.c calls
 */

int child_run(const struct child_job *job, struct child_end *end)
{
	*end = (struct child_end){ 0 };
	job->run(-1, job->arg);
	return 0;
}

bool child_succeeded(const struct child_end *end)
{
	(void)end;
	return true;
}

void child_describe(const struct child_end *end, char text[CHILD_TEXT])
{
	(void)end;
	text[0] = '\0';
}

void child_report(int out, const void *bytes, size_t count)
{
	(void)out;
	(void)bytes;
	(void)count;
}

void progress_start(const char *label, uint64_t total)
{
	(void)label;
	(void)total;
}

void progress_update(uint64_t done)
{
	(void)done;
}

void progress_end(void)
{
}

uint64_t rss_bytes(void)
{
	return 0;
}

void rss_settle(void)
{
}

void rss_limit_to_available(void)
{
}

void *rss_array(size_t count, size_t size)
{
	fuzz_assert(array_count < ARRAYS_MAX);
	arrays[array_count] = calloc(count ? count : 1, size);
	return arrays[array_count++];
}

void stats_report_poll(void)
{
}

void stats_report_end(void)
{
}

/* A replay that fails leaves its pool to the end of the child. */
void trial_stats_take(struct trial_stats *reported, struct zpool *pool)
{
	(void)reported;
	last_pool = pool;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The replay
 */

static void check_result(const struct trace_file *trace, const struct fuzz_stack *stack,
			 const struct replay_result *result)
{
	fuzz_assert(memchr(result->message, '\0', sizeof(result->message)));
	fuzz_check(!result->differing, "%llu objects differ", (unsigned long long)result->differing);
	if (!result->opened) {
		fuzz_check(result->error < 0 && (strstr(stack->spec, "limit=") || fuzz_stack_is_refused(stack)),
			   "%s: %s", stack->spec, result->message);
		return;
	}
	fuzz_check(result->done || (stack->fails && result->error < 0), "%s: call %llu: %s", stack->spec,
		   (unsigned long long)result->calls, result->message);
	if (!result->done)
		return;
	fuzz_assert(result->calls == trace->totals.calls);
	fuzz_assert(result->objects_live <= result->objects_peak && result->objects_peak <= result->objects);
	fuzz_assert(result->bytes_live <= result->bytes_peak && result->bytes_peak <= result->bytes);
	fuzz_check(result->objects_compared + result->objects_unread + result->objects_unwritten == result->objects,
		   "%llu, %llu and %llu of %llu", (unsigned long long)result->objects_compared,
		   (unsigned long long)result->objects_unread, (unsigned long long)result->objects_unwritten,
		   (unsigned long long)result->objects);
}

void fuzz_trace_replay(const struct trace_file *trace, const struct fuzz_stack *stack)
{
	static struct replay_result results;
	struct replay_result *result = &results;

	if (replay_needs_bytes(trace, stack->spec) > NEEDS_BYTES_MAX)
		return;
	memset(result, 0, sizeof(*result));
	fuzz_assert(replay_run(trace, stack->spec, 1, result) == 0);
	if (result->opened && !result->done)
		zpool_destroy_pool(last_pool);
	check_result(trace, stack, result);
	while (array_count)
		free(arrays[--array_count]);
}
