/* SPDX-License-Identifier: MIT
 *
 * loader.h - from a type name to a driver's structure in memory
 *
 * Holds no lock across a plugin's code and remembers nothing: who may load what, and when again, is the registry's.
 */
#ifndef ZP_LOADER_LOADER_H
#define ZP_LOADER_LOADER_H 1

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "loader/elf.h"
#include "loader/search.h"

struct zp_module;
struct zpool_driver;

/* What tells a file apart from its successor under the same name. */
struct zp_file_id {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec modified;
	struct timespec changed;
};

bool zp_file_id_equal(const struct zp_file_id *a, const struct zp_file_id *b);

/* What a load gave; strings are the receiver's to free. */
struct zp_loaded {
	struct zp_module *module;
	const struct zpool_driver *driver;
	size_t symbol_bytes; /* 0: unknown */
	char *path;          /* NULL: linked into the program */
	struct zp_file_id id;
};

/* A failure, in the form in which it can be remembered and told to other threads. */
struct zp_load_failure {
	int err;              /* positive errno; 0: none */
	char *message;        /* NULL: out of memory */
	bool content;         /* the file itself is at fault, and will be until it changes */
	struct zp_file_id id; /* if content */
};

void zp_load_failure_clear(struct zp_load_failure *failure);

/*
 * Load the driver of this type: from those linked into the program, else, if files are allowed, from the first
 * directory of the path that has <type>.so.  `remembered` is a former failure of this type: if the search ends at the
 * very same file it is not opened again, and the failure is given as it was.
 *
 * 0 and *loaded; or -errno and *failure.
 */
int zp_loader_load(const char *type, bool files_allowed, const struct zp_load_failure *remembered,
		   struct zp_loaded *loaded, struct zp_load_failure *failure);

/* Undo a load whose driver was refused. */
void zp_loader_discard(struct zp_loaded *loaded);

/* What can be seen of an installed plugin without running it. */
struct zp_installed {
	char type[ZP_TYPE_BYTES]; /* "" if the file's name can be none */
	char *path;
	char *fault; /* NULL: nothing seen */
	struct zp_elf_report report;
};

/*
 * Every <name>.so in the directories of the path, the first of each name, sorted by name.  *list has *count entries and
 * goes back through zp_loader_free_installed().  0 or -ENOMEM.
 */
int zp_loader_list_installed(struct zp_installed **list, size_t *count);
void zp_loader_free_installed(struct zp_installed *list, size_t count);

#endif
