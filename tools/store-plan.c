/* SPDX-License-Identifier: MIT
 *
 * store-plan.c - which drivers zpoolctl store tries
 *
 * Each driver is opened in a child before any input is read, so that a wrong name or parameter is reported at once.
 * Parts of the spec that name a file are left out for this: only the trial itself opens the file.
 */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "message.h"
#include "probe.h"
#include "spec.h"
#include "store.h"
#include "zpoolctl.h"

static struct store_row *add_row(struct store *store, const char *label, bool named)
{
	struct store_row *row;

	store->rows = reallocarray(store->rows, store->row_count + 1, sizeof(*store->rows));
	if (!store->rows)
		out_of_memory();
	row = &store->rows[store->row_count++];
	*row = (struct store_row){ .named = named, .label = strdup(label) };
	row->spec = store->options.limit_bytes ? spec_add_limit(label, store->options.limit_bytes) : strdup(label);
	if (!row->label || !row->spec)
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

/* Returns 0, or STATUS_FAILED after a message. */
static int plan_driver(struct store *store, const char *label, bool named)
{
	const struct store_options *options = &store->options;
	struct store_row *row = add_row(store, label, named);
	const struct probe_question question = { .spec = row->spec,
						 .evicting = options->limit_bytes != 0,
						 .foreign = options->foreign_specs };
	struct probe probe;

	if (probe_driver(&question, options->timeout_seconds, &probe))
		return STATUS_FAILED;
	row->run = true;
	if (!probe.answered && options->foreign_specs) {
		warn("%s: %s before it could be determined whether the spec names a file; give --type SPEC to choose the driver",
		     label, probe.message);
		return STATUS_FAILED;
	}
	if (!probe.answered)
		return 0; /* it will crash again in the trial, which reports that */
	if (probe.filter && named) {
		warn("%s: a filter needs a driver below it: write --type %s+DRIVER", label, label);
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

		if (store->options.limit_bytes && spec_is_limited(spec)) {
			warn("%s has a limit of its own: remove it, or leave out --limit, which sets a limit with eviction",
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
		char *path = drivers_path();

		warn("no driver found in %s; set ZPOOL_PLUGIN_PATH to search other directories", path);
		free(path);
		status = STATUS_FAILED;
	}
	return status;
}
