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
	char *fault;        /* NULL: nothing seen */
	unsigned directory; /* the place of its directory in the path */
	bool file_read;     /* report is what the file says; if not, nothing was read, and it is empty */
	struct zp_elf_report report;
};

struct zp_listing {
	struct zp_installed *files;
	size_t count;
	int err;       /* 0; or the -errno of what keeps it from being complete */
	char *problem; /* the sentence that goes with err; NULL: out of memory */
};

/*
 * Every <name>.so in the directories of the path, the first of each name, sorted by name.  0, where a directory that
 * could not be read is in listing->err and does not keep the others from being listed; or -errno, which is
 * listing->err as well, and an empty list: after a shortage of memory or of file descriptors, and -E2BIG if there are
 * too many files.  Either way the listing goes back through zp_loader_free_listing().
 */
int zp_loader_list_installed(struct zp_listing *listing);
void zp_loader_free_listing(struct zp_listing *listing);

#endif
