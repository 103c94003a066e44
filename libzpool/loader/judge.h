/* SPDX-License-Identifier: MIT
 *
 * judge.h - may a plugin's file be loaded? One answer for the loader and for the list of installed plugins
 */
#ifndef ZP_LOADER_JUDGE_H
#define ZP_LOADER_JUDGE_H 1

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include "loader/elf.h"
#include "loader/trust.h"

/* Distinguishes a file from a later file of the same name. */
struct zp_file_id {
	dev_t device;
	ino_t inode;
	off_t bytes;
	struct timespec modified;
	struct timespec changed;
};

struct zp_file_id zp_file_id_of(const struct stat *st);
bool zp_file_id_equal(const struct zp_file_id *a, const struct zp_file_id *b);

/*
 * The result of examining a file. The structure is too large for the stack of a small thread. In a cold load, each of
 * its pages that is touched costs a page fault. Therefore the large members come last, and the structure is not
 * cleared.
 */
struct zp_judgement {
	struct zp_trust trust;
	struct zp_file_id id;        /* valid if the file was read */
	bool file_read;              /* `report` describes the file */
	bool content;                /* the fault is in the file's content, and lasts until the file changes */
	uint64_t bytes_read;         /* of this file and of the libraries that it names */
	struct zp_elf_report report; /* valid if the file was read */
	char resolved[PATH_MAX];     /* the path without links */
	char why[PATH_MAX +
		 160]; /* the fault, such as "it is not an ELF file": a sentence about the file without a full stop */
};

/*
 * Both return 0, or -errno with the reason in judgement->why. judgement->trust has been filled by the caller, see
 * zp_trust_self(). `path` is where the search found the file.
 *
 * The first call checks that no other user can change the file and that the linker takes its path literally, and sets
 * `resolved`. The second one reads the file and checks what it contains and the libraries that it names; -ENOEXEC if it
 * cannot be the plugin of this type. The file is opened once for this. Its code is opened by path later, and the caller
 * compares `id` then.
 */
int zp_judge_path(struct zp_judgement *judgement, const char *path);
int zp_judge_content(struct zp_judgement *judgement, const char *path, const char *type);

#endif
