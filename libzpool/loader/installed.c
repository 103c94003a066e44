/* SPDX-License-Identifier: MIT
 *
 * The list of installed plugins, read from the directories and the files without running any of them.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"
#include "loader/judge.h"
#include "loader/loader.h"
#include "loader/search.h"

/*
 * Limits of one listing, so that a directory full of forged files cannot block the caller for long. Reading a real
 * plugin takes about ten KiB.
 */
#define MAX_FILES 65536u
#define MAX_READ_BYTES (UINT64_C(1) << 30)

/*
 * A listing in progress. It is on the heap, because several path buffers are too large for the stack of a small thread.
 */
struct walk {
	struct zp_listing *listing;
	size_t room;              /* the capacity of listing->files */
	uint64_t bytes_read;      /* read from all files so far */
	unsigned int directories; /* number of files visited */
	char directory[PATH_MAX];
	struct zp_judgement judgement;
};

/* Returns true if every further file would fail with this error too, so that it is not a fault of this file. */
static bool ends_listing(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -E2BIG;
}

/* Records why the listing is incomplete. The first problem is kept, unless the new one ends the listing. */
__attribute__((format(printf, 3, 4))) static int note_problem(struct walk *walk, int err, const char *format, ...)
{
	struct zp_listing *listing = walk->listing;
	va_list args;
	if (listing->err && !ends_listing(err))
		return err;
	free(listing->problem);
	va_start(args, format);
	if (vasprintf(&listing->problem, format, args) < 0)
		listing->problem = NULL;
	va_end(args);
	listing->err = err;
	return err;
}

static int note_unread(struct walk *walk, const char *path, int err)
{
	return note_problem(walk, err, "The plugin directories cannot be listed completely: %s: %s.", path,
			    strerror(-err));
}

static int set_fault(struct walk *walk, struct zp_installed *entry, const char *fault)
{
	entry->fault = strdup(fault);
	return entry->fault ? 0 : note_unread(walk, entry->path, -ENOMEM);
}

/*
 * The same judgement as before a load, so that a file that is listed without a fault can be loaded. Returns 0, with or
 * without a fault, or the -errno that ends the listing.
 */
static int judge(struct walk *walk, struct zp_installed *entry)
{
	struct zp_judgement *judgement = &walk->judgement;
	const char *name = strrchr(entry->path, '/') + 1;
	size_t stem_length = strlen(name) - strlen(".so");

	if (!zp_type_parse(name, stem_length, entry->type) || memchr(name, '-', stem_length)) {
		entry->type[0] = '\0';
		return set_fault(
			walk, entry,
			"its name cannot be a driver's name, which must match [a-z][a-z0-9_]* and have at most 32 characters");
	}
	int err = zp_judge_path(judgement, entry->path);
	if (!err && walk->bytes_read > MAX_READ_BYTES)
		return set_fault(walk, entry,
				 "it was not examined: more than 1 GiB of other files in the plugin path was read");
	if (!err)
		err = zp_judge_content(judgement, entry->path, entry->type);
	walk->bytes_read += judgement->bytes_read;
	entry->file_read = judgement->file_read;
	if (entry->file_read)
		entry->report = judgement->report;
	if (ends_listing(err))
		return note_unread(walk, entry->path, err);
	return err ? set_fault(walk, entry, judgement->why) : 0;
}

static int add(struct walk *walk, const char *name)
{
	struct zp_listing *listing = walk->listing;
	size_t length = strlen(name);
	bool is_slashed = walk->directory[strlen(walk->directory) - 1] == '/';

	if (length <= 3 || strcmp(name + length - 3, ".so") != 0)
		return 0;
	if (listing->count == MAX_FILES)
		return note_problem(
			walk, -E2BIG,
			"The plugin directories hold more than %u files whose names end in .so; the last one read is %s.",
			MAX_FILES, walk->directory);
	if (listing->count == walk->room) {
		size_t room = walk->room ? 2 * walk->room : 16;
		struct zp_installed *files = realloc(listing->files, room * sizeof(*files));
		if (!files)
			return note_unread(walk, walk->directory, -ENOMEM);
		listing->files = files;
		walk->room = room;
	}
	struct zp_installed *entry = &listing->files[listing->count];
	*entry = (struct zp_installed){ .directory = walk->directories };
	if (asprintf(&entry->path, "%s%s%s", walk->directory, is_slashed ? "" : "/", name) < 0)
		return note_unread(walk, walk->directory, -ENOMEM);
	listing->count++;
	return 0;
}

/* Adds every file of walk->directory. Returns 0, or the -errno that ends the listing. */
static int add_directory(struct walk *walk)
{
	DIR *dir = opendir(walk->directory);
	const struct dirent *entry;
	int err = 0;

	if (!dir) {
		/* A directory of the plugin path need not exist. */
		if (errno == ENOENT || errno == ENOTDIR)
			return 0;
		err = note_unread(walk, walk->directory, -errno);
		return ends_listing(err) ? err : 0;
	}
	for (errno = 0; !err && (entry = readdir(dir)); errno = 0)
		err = add(walk, entry->d_name);
	if (!err && errno) {
		err = note_unread(walk, walk->directory, -errno);
		err = ends_listing(err) ? err : 0;
	}
	closedir(dir);
	return err;
}

/* Sorts by file name, then by the position of the directory in the path. */
static int by_name(const void *a, const void *b)
{
	const struct zp_installed *x = a, *y = b;
	int order = strcmp(strrchr(x->path, '/'), strrchr(y->path, '/'));
	return order ? order : (x->directory > y->directory) - (x->directory < y->directory);
}

/* Of several files with one name only the first is kept, because that is the one that would be loaded. */
static void drop_hidden(struct zp_listing *listing)
{
	size_t kept = 0;
	for (size_t i = 0; i < listing->count; i++) {
		struct zp_installed *entry = &listing->files[i];
		if (kept && strcmp(strrchr(listing->files[kept - 1].path, '/'), strrchr(entry->path, '/')) == 0)
			free(entry->path);
		else
			listing->files[kept++] = *entry;
	}
	listing->count = kept;
}

static int list_path(struct walk *walk, const char *path)
{
	struct zp_listing *listing = walk->listing;
	char refused[ZP_REFUSED_BYTES];
	const char *at = path;
	int err = 0;

	zp_trust_self(&walk->judgement.trust);
	for (const char *cursor = path; !err && zp_search_next(&cursor, walk->directory); walk->directories++)
		err = add_directory(walk);
	if (err)
		return err;
	if (listing->count)
		qsort(listing->files, listing->count, sizeof(*listing->files), by_name);
	drop_hidden(listing);
	for (size_t i = 0; !err && i < listing->count; i++)
		err = judge(walk, &listing->files[i]);
	if (!err && zp_search_next_refused(&at, refused))
		(void)note_problem(
			walk, -EINVAL,
			"\"%s\" in the plugin path is not searched: give absolute directories, separated by colons.",
			refused);
	return err;
}

static void free_files(struct zp_listing *listing)
{
	for (size_t i = 0; i < listing->count; i++) {
		free(listing->files[i].path);
		free(listing->files[i].fault);
	}
	free(listing->files);
	listing->files = NULL;
	listing->count = 0;
}

int zp_loader_list_installed(struct zp_listing *listing)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	char *path = zp_search_get_path();

	*listing = (struct zp_listing){ 0 };
	int err = -ENOMEM;
	if (walk && path) {
		walk->listing = listing;
		err = list_path(walk, path);
	}
	if (err) {
		free_files(listing);
		listing->err = err;
	}
	free(path);
	free(walk);
	return err;
}

void zp_loader_free_listing(struct zp_listing *listing)
{
	free_files(listing);
	free(listing->problem);
	listing->problem = NULL;
}
