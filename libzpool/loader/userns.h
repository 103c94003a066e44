/* SPDX-License-Identifier: MIT
 *
 * userns.h - which owners of files a user namespace hides
 *
 * Users without a mapping into the process's user namespace are all shown as one number, the overflow uid.  Two files
 * with that owner may belong to root and to an attacker; nothing that the kernel shows in the namespace tells them
 * apart.
 */
#ifndef ZP_LOADER_USERNS_H
#define ZP_LOADER_USERNS_H 1

#include <stdbool.h>
#include <sys/types.h>

struct zp_userns {
	bool known;    /* the map could be read */
	bool complete; /* every user of the system has a number of their own here */
	uid_t overflow_uid;
};

/*
 * Reads the map of the process's own namespace.  If it cannot be read (no /proc), the namespace is neither known nor
 * complete.
 */
void zp_userns_read(struct zp_userns *userns);

/* The same with the files named, for tests. */
void zp_userns_read_files(struct zp_userns *userns, const char *map_path, const char *overflow_path);

/* May this number stand for a user who has no mapping? */
bool zp_userns_hides(const struct zp_userns *userns, uid_t uid);

#endif
