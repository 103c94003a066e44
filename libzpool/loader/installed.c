/* SPDX-License-Identifier: MIT
 *
 * What is there to be loaded, read from the directories and the files, running none of it.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loader/loader.h"
#include "loader/trust.h"

struct listing {
	struct zp_installed *list;
	size_t count;
	size_t room;
};

/* false: out of memory. */
static bool set_fault(struct zp_installed *entry, const char *fault)
{
	entry->fault = strdup(fault);
	return entry->fault != NULL;
}

/*
 * The same judgement as before a load, in the same order, so that what is listed as sound loads.  false: out of memory.
 */
static bool find_fault(struct zp_installed *entry, const char *stem, const struct zp_trust *trust)
{
	char resolved[PATH_MAX], why[PATH_MAX + 160];

	if (!zp_type_parse(stem, strlen(stem), entry->type) || strchr(stem, '-')) {
		entry->type[0] = '\0';
		return set_fault(entry, "its name cannot be a driver's, which is [a-z][a-z0-9_]* and at most 32 long");
	}
	int err = zp_trust_resolve(trust, entry->path, resolved, why, sizeof why);
	if (err == -ENOMEM)
		return false;
	if (err)
		return set_fault(entry, why);
	int fd = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	err = fd < 0 ? -errno : zp_elf_examine(fd, &entry->report);
	if (fd >= 0)
		close(fd);
	if (err == -ENOMEM)
		return false;
	if (err)
		return set_fault(entry, strerror(-err));
	if (entry->report.fault[0])
		return set_fault(entry, entry->report.fault);
	if (entry->report.has_note && strcmp(entry->report.type, entry->type) != 0) {
		snprintf(why, sizeof why, "its note says that it is driver \"%s\"", entry->report.type);
		return set_fault(entry, why);
	}
	return true;
}

static bool is_listed(const struct listing *listing, const char *name)
{
	for (size_t i = 0; i < listing->count; i++)
		if (strcmp(strrchr(listing->list[i].path, '/') + 1, name) == 0)
			return true;
	return false;
}

static int add(struct listing *listing, const char *directory, const char *name, const struct zp_trust *trust)
{
	size_t length = strlen(name);
	char stem[NAME_MAX + 1];

	if (length <= 3 || length > NAME_MAX || strcmp(name + length - 3, ".so") != 0 || is_listed(listing, name))
		return 0;
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 16;
		struct zp_installed *list = realloc(listing->list, room * sizeof *list);
		if (!list)
			return -ENOMEM;
		listing->list = list;
		listing->room = room;
	}
	struct zp_installed *entry = &listing->list[listing->count];
	*entry = (struct zp_installed){ 0 };
	if (asprintf(&entry->path, "%s/%s", directory, name) < 0) {
		entry->path = NULL;
		return -ENOMEM;
	}
	listing->count++;
	memcpy(stem, name, length - 3);
	stem[length - 3] = '\0';
	return find_fault(entry, stem, trust) ? 0 : -ENOMEM;
}

static int add_directory(struct listing *listing, const char *directory, const struct zp_trust *trust)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	int err = 0;

	/* A directory that is not there, or not for us, has no plugins for us either. */
	while (dir && !err && (entry = readdir(dir)))
		err = add(listing, directory, entry->d_name, trust);
	if (dir)
		closedir(dir);
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct zp_installed *x = a, *y = b;
	return strcmp(strrchr(x->path, '/'), strrchr(y->path, '/'));
}

int zp_loader_list_installed(struct zp_installed **list, size_t *count)
{
	struct listing listing = { 0 };
	char directory[PATH_MAX];
	struct zp_trust trust;
	char *path = zp_search_get_path();
	int err = path ? 0 : -ENOMEM;

	zp_trust_self(&trust);
	for (const char *cursor = path; !err && zp_search_next(&cursor, directory);)
		err = add_directory(&listing, directory, &trust);
	free(path);
	if (err) {
		zp_loader_free_installed(listing.list, listing.count);
		return err;
	}
	if (listing.count)
		qsort(listing.list, listing.count, sizeof *listing.list, by_name);
	*list = listing.list;
	*count = listing.count;
	return 0;
}

void zp_loader_free_installed(struct zp_installed *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].path);
		free(list[i].fault);
	}
	free(list);
}
