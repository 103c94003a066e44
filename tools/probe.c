/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zpool.h>

#include "child.h"
#include "probe.h"

struct probe_job {
	const char *spec;
	bool evicting;
};

/* Is this the driver, and a filter, that stands alone in the spec?  A driver's flags show once it is loaded. */
static int find_filter(const struct zpool_driver_info *info, void *user)
{
	const struct probe_job *job = user;
	size_t length = strcspn(job->spec, ":+");

	return info->caps & ZPOOL_CAP_FILTER && !strchr(job->spec, '+') && strlen(info->type) == length &&
	       !strncmp(info->type, job->spec, length);
}

static int never_evict(struct zpool *pool, unsigned long handle, void *user)
{
	(void)pool;
	(void)handle;
	(void)user;
	return -EPERM;
}

static void probe_in_child(int out, void *arg)
{
	const struct probe_job *job = arg;
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	static struct probe probe;
	struct zpool *pool;

	probe.answered = true;
	if (job->evicting)
		args.evict = never_evict;
	probe.filter = zpool_has_pool(job->spec) && zpool_each_driver(find_filter, arg) > 0;
	if (!probe.filter) {
		pool = zpool_open(job->spec, &args, sizeof(args));
		if (pool) {
			probe.evictable = zpool_evictable(pool);
			zpool_destroy_pool(pool);
		} else {
			probe.error = errno ? -errno : -EINVAL;
			snprintf(probe.message, sizeof(probe.message), "%s", zpool_last_error());
		}
	}
	child_tell(out, &probe, sizeof(probe));
}

struct probe_answer {
	struct probe *probe;
	size_t have;
};

static void take_answer(void *user, const void *bytes, size_t count)
{
	struct probe_answer *answer = user;
	size_t room = sizeof(*answer->probe) - answer->have;

	if (count > room)
		count = room;
	memcpy((char *)answer->probe + answer->have, bytes, count);
	answer->have += count;
}

int probe_driver(const char *spec, bool evicting, unsigned int timeout_seconds, struct probe *probe)
{
	struct probe_job job = { spec, evicting };
	struct probe_answer answer = { probe, 0 };
	struct child_job child = { .run = probe_in_child,
				   .arg = &job,
				   .sink = take_answer,
				   .user = &answer,
				   .timeout_seconds = timeout_seconds };
	struct child_end end;
	int error;

	memset(probe, 0, sizeof(*probe));
	error = child_run(&child, &end);
	if (!error && answer.have < sizeof(*probe)) {
		memset(probe, 0, sizeof(*probe));
		child_describe(&end, probe->message);
	}
	return error;
}
