/* SPDX-License-Identifier: MIT
 *
 * userns.h - which file owners a user namespace hides
 *
 * Users without a mapping into the process's user namespace are all shown as the same number, the overflow uid. Of two
 * files with that owner, one may belong to root and the other to an attacker, and nothing that the kernel shows in the
 * namespace distinguishes them.
 */
#ifndef ZP_LOADER_USERNS_H
#define ZP_LOADER_USERNS_H 1

#include <stdbool.h>
#include <sys/types.h>

struct zp_userns {
	bool known;    /* the map could be read */
	bool complete; /* every user of the system has a number of its own here */
	uid_t overflow_uid;
	int err; /* the shortage that kept the map from being read: -EMFILE, -ENFILE or -ENOMEM; else 0 */
};

/*
 * Reads the map of the process's own namespace. Without /proc the map cannot be read, and the namespace is neither
 * known nor complete.
 */
void zp_userns_read(struct zp_userns *userns);

/* Does the same with the given files, for tests. */
void zp_userns_read_files(struct zp_userns *userns, const char *map_path, const char *overflow_path);

/* Returns true if this number may stand for a user who has no mapping. */
bool zp_userns_hides(const struct zp_userns *userns, uid_t uid);

#endif
