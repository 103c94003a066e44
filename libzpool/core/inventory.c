/* SPDX-License-Identifier: MIT
 *
 * The list of known drivers: those in memory, those linked into the program, and those found in the plugin directories.
 */
#include <config.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/callback.h"
#include "base/error.h"
#include "base/text.h"
#include "core/driver.h"
#include "core/inventory.h"
#include "core/registry.h"
#include "support/cancel.h"

/* A driver's info with copies of its strings, so that visitors run without any lock. */
struct entry {
	struct zpool_driver_info info;
	size_t largest_bytes; /* of its objects; 0: unknown, or a filter, which accepts whatever the driver below it
	                       * accepts */
	char *strings[5];     /* type, path, version, description, fault */
};

struct inventory {
	struct entry *entries;
	size_t count;
	size_t room;
	size_t in_memory; /* the first entries: drivers that are live or linked into the program */
	bool out_of_memory;
	struct zp_listing files;
};

static struct entry *add_entry(struct inventory *inventory, enum zpool_driver_origin origin)
{
	if (inventory->count == inventory->room) {
		size_t room = inventory->room ? 2 * inventory->room : 16;
		struct entry *entries = realloc(inventory->entries, room * sizeof(*entries));
		if (!entries) {
			inventory->out_of_memory = true;
			return NULL;
		}
		inventory->entries = entries;
		inventory->room = room;
	}
	struct entry *entry = &inventory->entries[inventory->count++];
	*entry = (struct entry){ .info = { .struct_size = sizeof(entry->info), .origin = origin } };
	return entry;
}

static void set_strings(struct inventory *inventory, struct entry *entry, const char *type, const char *path,
			const char *version, const char *description, const char *fault)
{
	const char *const given[] = { type, path, version, description, fault };
	for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++) {
		entry->strings[i] = given[i] ? strdup(given[i]) : NULL;
		/*
		 * All strings come from the file and are escaped for display, except the path, which must work with
		 * open().
		 */
		if (entry->strings[i] && given[i] != path)
			entry->strings[i] = zp_text_escape(entry->strings[i]);
		inventory->out_of_memory = inventory->out_of_memory || (given[i] && !entry->strings[i]);
	}
}

static enum zpool_driver_kind kind_of(uint32_t flags_required)
{
	return flags_required & ZPOOL_DRIVER_FILTER ? ZPOOL_KIND_FILTER : ZPOOL_KIND_DRIVER;
}

static void describe_driver(struct entry *entry, const struct zpool_driver *driver)
{
	entry->info.abi_major = driver->abi_major;
	entry->info.abi_minor = driver->abi_minor;
	entry->info.caps = zp_driver_caps(driver);
	entry->info.max_object_bytes = driver->max_object_bytes;
	entry->info.alignment_bytes = driver->alignment_bytes;
	entry->info.loaded = true;
	entry->largest_bytes = driver->flags_required & ZPOOL_DRIVER_FILTER ? 0 : driver->max_object_bytes;
	entry->info.kind = kind_of(driver->flags_required);
}

static void add_live(const struct zp_record *record, void *user)
{
	struct inventory *inventory = user;
	struct entry *entry = add_entry(inventory, record->origin);
	if (!entry)
		return;
	const struct zpool_driver *driver = &record->driver;
	set_strings(inventory, entry, record->type, record->loaded.path, driver->version, driver->description, NULL);
	describe_driver(entry, driver);
	entry->info.pools = record->users;
}

/*
 * Returns the entry of a driver that is in memory. Entries from files are not searched, because a listing of files has
 * no duplicates.
 */
static struct entry *find_in_memory(struct inventory *inventory, const char *type)
{
	for (size_t i = 0; i < inventory->in_memory; i++)
		if (inventory->entries[i].strings[0] && strcmp(inventory->entries[i].strings[0], type) == 0)
			return &inventory->entries[i];
	return NULL;
}

static int add_preloaded(const char *type, const struct zpool_driver *given, void *user)
{
	struct inventory *inventory = user;
	struct zpool_driver own;
	char why[256] = "out of memory";

	inventory->in_memory = inventory->count;
	if (find_in_memory(inventory, type))
		return 0;
	struct entry *entry = add_entry(inventory, ZPOOL_ORIGIN_PRELOADED);
	if (!entry)
		return 1;
	int err = zp_driver_adopt(given, 0, type, &own, why, sizeof(why));
	inventory->out_of_memory = inventory->out_of_memory || err == -ENOMEM;
	if (err) {
		set_strings(inventory, entry, type, NULL, NULL, NULL, why);
		return 0;
	}
	set_strings(inventory, entry, type, NULL, own.version, own.description, NULL);
	describe_driver(entry, &own);
	zp_driver_clear(&own);
	return 0;
}

static const char *text_or_null(const char *text)
{
	return *text ? text : NULL;
}

static void add_installed(struct inventory *inventory, const struct zp_installed *installed)
{
	const struct zp_elf_report *report = &installed->report;
	struct entry *entry = installed->type[0] ? find_in_memory(inventory, installed->type) : NULL;
	if (entry) {
		/* The driver is already in memory; from the file only the note is added. */
		if (entry->strings[1] && strcmp(entry->strings[1], installed->path) == 0) {
			entry->info.has_note = report->has_note;
			entry->info.file_read = installed->file_read;
		}
		return;
	}
	entry = add_entry(inventory, ZPOOL_ORIGIN_FILE);
	if (!entry)
		return;
	const char *file = strrchr(installed->path, '/') + 1;
	set_strings(inventory, entry, installed->type[0] ? installed->type : file, installed->path,
		    text_or_null(report->version), text_or_null(report->description), installed->fault);
	entry->info.has_note = report->has_note;
	entry->info.file_read = installed->file_read;
	entry->info.abi_major = report->abi_major;
	entry->info.abi_minor = report->abi_minor;
	entry->largest_bytes = report->is_filter || installed->fault ? 0 : report->max_object_bytes;
	if (report->max_object_bytes)
		entry->info.kind = report->is_filter ? ZPOOL_KIND_FILTER : ZPOOL_KIND_DRIVER;
}

static int fail_incomplete(const struct zp_listing *files)
{
	if (files->err == -ENOMEM || !files->problem)
		return zp_fail(ENOMEM, "Out of memory while listing drivers.");
	return zp_fail(-files->err, "%s", files->problem);
}

static int take_inventory(struct inventory *inventory)
{
	struct zp_listing *files = &inventory->files;

	int err = zp_registry_begin_load();
	if (err)
		return err;
	zp_registry_each_live(add_live, inventory);
	zp_loader_each_preloaded(add_preloaded, inventory);
	inventory->in_memory = inventory->count;
	if (zp_registry_files_allowed())
		err = zp_loader_list_installed(files);
	for (size_t i = 0; i < files->count; i++)
		add_installed(inventory, &files->files[i]);
	zp_registry_end_load();
	if (inventory->out_of_memory)
		return zp_fail(ENOMEM, "Out of memory while listing drivers.");
	return err ? fail_incomplete(files) : 0;
}

static void clear(struct inventory *inventory)
{
	for (size_t i = 0; i < inventory->count; i++)
		for (size_t s = 0; s < sizeof(inventory->entries->strings) / sizeof(*inventory->entries->strings); s++)
			free(inventory->entries[i].strings[s]);
	free(inventory->entries);
	zp_loader_free_listing(&inventory->files);
}

static int by_type(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return strcmp(x->strings[0], y->strings[0]);
}

static int call_driver_visitor(int (*fn)(const struct zpool_driver_info *info, void *user),
			       const struct zpool_driver_info *info, void *user)
{
	ZP_CALLBACK_HERE;
	return fn(info, user);
}

int zpool_each_driver(int (*fn)(const struct zpool_driver_info *info, void *user), void *user)
{
	ZP_CANCEL_DISABLED_HERE;
	struct inventory inventory = { 0 };
	if (!fn)
		return zp_fail(EINVAL, "zpool_each_driver() was given no function.");
	int result = take_inventory(&inventory);
	if (!result && inventory.count)
		qsort(inventory.entries, inventory.count, sizeof(*inventory.entries), by_type);
	for (size_t i = 0; i < inventory.count; i++) {
		struct entry *entry = &inventory.entries[i];
		entry->info.type = entry->strings[0];
		entry->info.path = entry->strings[1];
		entry->info.version = entry->strings[2];
		entry->info.description = entry->strings[3];
		entry->info.fault = entry->strings[4];
		if (!result)
			result = call_driver_visitor(fn, &entry->info, user);
	}
	/* A directory that cannot be read hides only its own drivers. */
	if (!result && inventory.files.err)
		result = fail_incomplete(&inventory.files);
	clear(&inventory);
	return result;
}

int zp_inventory_each_size(void (*fn)(const char *type, size_t largest_bytes, void *user), void *user)
{
	struct inventory inventory = { 0 };
	int err = take_inventory(&inventory);

	for (size_t i = 0; !err && i < inventory.count; i++)
		if (inventory.entries[i].largest_bytes)
			fn(inventory.entries[i].strings[0], inventory.entries[i].largest_bytes, user);
	clear(&inventory);
	return err;
}
