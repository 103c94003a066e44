/* SPDX-License-Identifier: MIT
 *
 * store-plan.c - which drivers zpoolctl store tries
 *
 * Each is opened once, in a child, before any input is read: a name or a parameter that is wrong is told at once.
 */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "message.h"
#include "probe.h"
#include "store.h"
#include "zpoolctl.h"

/* Does any part of the spec set a limit? */
static bool has_limit(const char *spec)
{
	bool keys = false; /* inside a part's keys, not in its name */

	for (const char *c = spec; *c; c++) {
		bool key_begins = *c == ':' ? !keys : keys && *c == ',';

		keys = *c == '+' ? false : keys || *c == ':';
		if (key_begins && !strncmp(c + 1, "limit=", 6))
			return true;
	}
	return false;
}

/* The spec with the limit in its last part; a copy without one.  Free it. */
static char *limited_spec(const char *spec, uint64_t limit_bytes)
{
	const char *part = strrchr(spec, '+');
	char *text;
	int length;

	if (limit_bytes)
		length = asprintf(&text, "%s%climit=%" PRIu64, spec, strchr(part ? part : spec, ':') ? ',' : ':',
				  limit_bytes);
	else
		length = asprintf(&text, "%s", spec);
	if (length < 0)
		out_of_memory();
	return text;
}

static struct store_row *add_row(struct store *store, const char *label, bool named)
{
	struct store_row *row;

	store->rows = reallocarray(store->rows, store->row_count + 1, sizeof(*store->rows));
	if (!store->rows)
		out_of_memory();
	row = &store->rows[store->row_count++];
	*row = (struct store_row){ .named = named, .label = strdup(label) };
	row->spec = limited_spec(label, store->options.limit_bytes);
	if (!row->label)
		out_of_memory();
	return row;
}

static void drop_row(struct store *store)
{
	struct store_row *row = &store->rows[--store->row_count];

	free(row->label);
	free(row->spec);
}

static void set_message(struct store_row *row, enum store_outcome outcome, const char *message)
{
	row->outcome = outcome;
	snprintf(row->result.message, sizeof(row->result.message), "%s", message);
}

/* 0, or STATUS_FAILED after a message. */
static int plan_driver(struct store *store, const char *label, bool named)
{
	const struct store_options *options = &store->options;
	struct store_row *row = add_row(store, label, named);
	struct probe probe;

	if (probe_driver(row->spec, options->limit_bytes != 0, options->timeout_seconds, &probe))
		return STATUS_FAILED;
	row->run = true;
	if (!probe.answered)
		return 0; /* it will crash again, and that is its result */
	if (probe.filter && named) {
		say("%s: a filter stands in front of a driver: write --type %s+DRIVER", label, label);
		return STATUS_FAILED;
	}
	if (probe.filter) {
		drop_row(store);
	} else if (probe.error && named) {
		drivers_complain(label, probe.error, probe.message);
		return STATUS_FAILED;
	} else if (probe.error) {
		row->run = false;
		row->result.error = probe.error;
		set_message(row, STORE_FAILED, probe.message);
	} else if (options->limit_bytes && !probe.evictable) {
		row->run = false;
		set_message(row, STORE_REFUSED, "cannot evict");
	}
	return 0;
}

static int plan_named(struct store *store)
{
	int status = 0;

	for (size_t i = 0; i < store->options.spec_count; i++) {
		const char *spec = store->options.specs[i];

		if (store->options.limit_bytes && has_limit(spec)) {
			say("%s has a limit of its own: take it out, or leave out --limit, which sets one that evicts",
			    spec);
			return STATUS_USAGE;
		}
	}
	for (size_t i = 0; i < store->options.spec_count && !status; i++)
		status = plan_driver(store, store->options.specs[i], true);
	return status;
}

int store_plan(struct store *store)
{
	char **types;
	int status = 0;

	if (store->options.spec_count)
		return plan_named(store);
	types = drivers_usable();
	for (size_t i = 0; types[i] && !status; i++)
		status = plan_driver(store, types[i], false);
	drivers_free(types);
	if (!status && !store->row_count) {
		char path[4096] = "";

		zpool_get_plugin_path(path, sizeof(path));
		say("no driver can be had from %s; ZPOOL_PLUGIN_PATH names other folders", path);
		status = STATUS_FAILED;
	}
	return status;
}
