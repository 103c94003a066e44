/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "child.h"
#include "probe.h"
#include "spec.h"

/*
 * Returns true if the spec has only this driver and it is a filter. A driver's flags are known only once it is loaded.
 */
static int find_filter(const struct zpool_driver_info *info, void *user)
{
	const struct probe_question *question = user;
	const char *spec = question->spec;
	size_t length = strcspn(spec, ":+");

	return info->caps & ZPOOL_CAP_FILTER && !strchr(spec, '+') && strlen(info->type) == length &&
	       !strncmp(info->type, spec, length);
}

static int never_evict(struct zpool *pool, unsigned long handle, void *user)
{
	(void)pool;
	(void)handle;
	(void)user;
	return -EPERM;
}

static void probe_fail(struct probe *probe, int error, const char *message)
{
	probe->error = error;
	snprintf(probe->message, sizeof(probe->message), "%s", message);
}

/* Returns true, with the answer in `probe`, if the spec may name a file or if that cannot be determined. */
static bool refuse_files(const char *text, struct probe *probe)
{
	const char *key = NULL;
	struct spec spec;

	if (!spec_parse(&spec, text)) {
		probe_fail(probe, -EINVAL, "the spec is not valid");
		return true;
	}
	for (size_t i = 0; i < spec.part_count && !probe->error; i++) {
		int error = spec_find_file_key(&spec.parts[i], &key);

		if (error)
			probe_fail(probe, error, zpool_last_error());
		if (!key)
			continue;
		probe->error = -EPERM;
		snprintf(
			probe->message, sizeof(probe->message),
			"the parameter \"%s\" of %s may name a file, which a spec from a file must not do; give --type SPEC to choose the driver",
			key, spec.parts[i].type);
	}
	spec_free(&spec);
	return probe->error != 0;
}

static void probe_pool(const char *spec, bool evicting, struct probe *probe)
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool *pool;

	if (evicting)
		args.evict = never_evict;
	pool = zpool_open(spec, &args, sizeof(args));
	if (!pool) {
		probe_fail(probe, errno ? -errno : -EINVAL, zpool_last_error());
		return;
	}
	probe->evictable = zpool_evictable(pool);
	zpool_destroy_pool(pool);
}

static void probe_in_child(int out, void *arg)
{
	const struct probe_question *question = arg;
	static struct probe probe;
	char *bare;

	probe.answered = true;
	/* This loads a filter, too, although it alone cannot have a pool. */
	(void)zpool_has_pool(question->spec);
	probe.filter = zpool_each_driver(find_filter, arg) > 0;
	if (!probe.filter && !(question->foreign && refuse_files(question->spec, &probe))) {
		bare = spec_without_files(question->spec);
		if (bare)
			probe_pool(bare, question->evicting, &probe);
		else
			probe.evictable = true;
		free(bare);
	}
	child_report(out, &probe, sizeof(probe));
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

int probe_driver(const struct probe_question *question, unsigned int timeout_seconds, struct probe *probe)
{
	struct probe_question copy = *question;
	struct probe_answer answer = { probe, 0 };
	struct child_job child = { .run = probe_in_child,
				   .arg = &copy,
				   .sink = take_answer,
				   .user = &answer,
				   .timeout_seconds = timeout_seconds };
	struct child_end end;
	int error;

	memset(probe, 0, sizeof(*probe));
	error = child_run(&child, &end);
	probe->message[sizeof(probe->message) - 1] = '\0';
	if (!error && answer.have < sizeof(*probe)) {
		memset(probe, 0, sizeof(*probe));
		child_describe(&end, probe->message);
	}
	return error;
}
