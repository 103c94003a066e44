/* SPDX-License-Identifier: MIT
 *
 * loader.h - from a type name to a driver's structure in memory, and back
 *
 * The loader holds no lock while code of a plugin runs, and remembers nothing. The registry decides which thread loads
 * a driver, and when a failed load is tried again.
 */
#ifndef ZP_LOADER_LOADER_H
#define ZP_LOADER_LOADER_H 1

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"
#include "loader/elf.h"
#include "loader/inside.h"
#include "loader/judge.h"

struct zp_module;
struct zpool_driver;

/* The result of a load; the receiver frees the strings. */
struct zp_loaded {
	struct zp_module *module;
	const struct zpool_driver *driver;
	size_t symbol_bytes; /* 0: unknown */
	char *path;          /* NULL: linked into the program */
	struct zp_file_id id;
};

/* A failure, in a form that can be remembered and reported to other threads. */
struct zp_load_failure {
	int err;              /* positive errno; 0: none */
	char *message;        /* NULL: out of memory */
	bool content;         /* the file's content is at fault, so the failure lasts until the file changes */
	struct zp_file_id id; /* valid if `content` is set */
	char *reason;         /* not NULL if `content` is set: the fault alone, because the file may be found by another
	                       * path the next time */
};

void zp_load_failure_clear(struct zp_load_failure *failure);

/*
 * Records a fault in the content of the file that was found at this path. If there is no memory for the reason, the
 * failure is not remembered. Returns -ENOEXEC.
 */
int zp_load_failure_set_content(struct zp_load_failure *failure, const char *type, const char *path,
				const struct zp_file_id *id, const char *reason);

/*
 * Loads the driver of this type from the modules that are linked into the program, or else, if files are allowed, from
 * the first directory of the path that has <type>.so. `remembered` is an earlier failure of this type: if the search
 * finds the very same file, it is not opened again, and fails for the same reason.
 *
 * Returns 0 and *loaded, or -errno and *failure.
 */
int zp_loader_load(const char *type, bool files_allowed, const struct zp_load_failure *remembered,
		   struct zp_loaded *loaded, struct zp_load_failure *failure);

/* Unloads a module whose driver was refused, without a way back. */
void zp_loader_discard(struct zp_loaded *loaded);

/* Prevents a loaded driver from ever being unloaded. */
void zp_loader_make_resident(struct zp_loaded *loaded);

/*
 * Unloads a driver that was loaded from a file. Returns 1 if its code is out of memory; *loaded is then empty. Returns
 * 0 if something keeps the code mapped; the driver stays usable. Returns -EDEADLK if another thread has been inside a
 * load or an unload for too long; the driver stays usable, and the reason is in *why, which the caller frees (NULL: out
 * of memory).
 */
int zp_loader_unload(struct zp_loaded *loaded, char **why);

/* Calls fn with the name and driver of every module that is linked into the program, until fn returns nonzero. */
void zp_loader_each_preloaded(int (*fn)(const char *type, const struct zpool_driver *driver, void *user), void *user);

/* The loads and unloads of the parent's other threads do not exist in the child of fork(2). */
void zp_loader_fork_child(void);

/* What can be learned about an installed plugin without running it. */
struct zp_installed {
	char type[ZP_TYPE_BYTES]; /* "" if the file's name is not a valid driver name */
	char *path;
	char *fault;            /* NULL: no fault was found */
	unsigned int directory; /* the position of its directory in the path */
	bool file_read;         /* `report` describes the file; otherwise nothing was read, and it is empty */
	struct zp_elf_report report;
};

struct zp_listing {
	struct zp_installed *files;
	size_t count;
	int err;       /* 0, or the -errno that makes the list incomplete */
	char *problem; /* the sentence for err; NULL: out of memory */
};

/*
 * Lists every <name>.so in the directories of the path, the first of each name, sorted by name. Returns 0; a directory
 * that could not be read is then reported in listing->err and does not affect the others. Or returns -errno, which is
 * also listing->err, with an empty list: after a shortage of memory or of file descriptors, and -E2BIG if there are too
 * many files. In both cases the caller releases the listing with zp_loader_free_listing().
 */
int zp_loader_list_installed(struct zp_listing *listing);
void zp_loader_free_listing(struct zp_listing *listing);

#endif
