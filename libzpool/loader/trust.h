/* SPDX-License-Identifier: MIT
 *
 * trust.h - may a file's code be run with this process's rights?
 */
#ifndef ZP_LOADER_TRUST_H
#define ZP_LOADER_TRUST_H 1

#include <stdbool.h>
#include <sys/types.h>

/* Who is asking.  Filled by zp_trust_self(); tests make their own. */
struct zp_trust {
	uid_t euid;
	bool secure; /* AT_SECURE: only root's files, and nothing from the environment */
	/* Asked of owners that are neither root nor euid, because the answer is slow to find. */
	bool (*stands_for_root)(uid_t uid);
};

void zp_trust_self(struct zp_trust *trust);

/* In a user namespace that the outer root is not mapped to, its files show as the overflow uid's. */
bool zp_trust_uid_stands_for_root(uid_t uid);

/*
 * Walks an absolute path from the root, through every symbolic link, and judges each component: nobody but root and
 * the effective user may be able to change it.  The last component must be a regular file, and the directory that it
 * is in must not be writable by others even if sticky.  resolved (PATH_MAX bytes) receives the path without links.
 *
 * 0, or -ENOENT, -EPERM, another -errno of the file system, with the reason in `why` (a sentence without its end).
 */
int zp_trust_resolve(const struct zp_trust *trust, const char *path, char *resolved, char *why, size_t why_bytes);

#endif
