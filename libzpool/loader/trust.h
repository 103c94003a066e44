/* SPDX-License-Identifier: MIT
 *
 * trust.h - may a file's code be run with this process's rights?
 */
#ifndef ZP_LOADER_TRUST_H
#define ZP_LOADER_TRUST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The user for whom files are judged.  Filled by zp_trust_self(); tests make their own. */
struct zp_trust {
	uid_t euid;
	bool secure; /* AT_SECURE: only root's files, and nothing from the environment */
	/*
	 * The user namespace hides owners, and shows all of them as hidden_uid.  That number is never taken for root,
	 * nor for the effective user unless the kernel confirms it for the file.
	 */
	bool hides_owners;
	uid_t hidden_uid;
	/* Hidden owners are accepted in this directory, if nobody in the namespace can write there.  NULL: nowhere. */
	const char *hidden_owner_dir;
	unsigned *components; /* counts the components of paths that are looked at; NULL: nobody asks */
};

/* Hidden owners are accepted in the plugin directory that was compiled into the library, and in no other. */
void zp_trust_self(struct zp_trust *trust);

/* The rules for what a trusted file names: hidden owners are accepted everywhere, if they were for the file. */
struct zp_trust zp_trust_of_named(const struct zp_trust *trust, const char *path);

/*
 * Walks an absolute path from the root, through every symbolic link, and judges each component: nobody but root and
 * the effective user may be able to change it.  The last component must be a regular file, and the directory that it
 * is in must not be writable by others even if sticky.  resolved (PATH_MAX bytes) receives the path without links.
 *
 * 0, or -ENOENT, -EPERM, another -errno of the file system, with the reason in `why` (a sentence without its end).
 */
int zp_trust_resolve(const struct zp_trust *trust, const char *path, char *resolved, char *why, size_t why_bytes);

/*
 * The same for a directory that files are taken from.  -ENOENT: it does not exist, and nobody else can create it; where
 * others could, that is -EPERM.
 */
int zp_trust_resolve_directory(const struct zp_trust *trust, const char *path, char *resolved, char *why,
			       size_t why_bytes);

#endif
