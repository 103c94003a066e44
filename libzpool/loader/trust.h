/* SPDX-License-Identifier: MIT
 *
 * trust.h - may the code in a file be run with this process's privileges?
 */
#ifndef ZP_LOADER_TRUST_H
#define ZP_LOADER_TRUST_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The user for whom files are checked. Filled by zp_trust_self(); tests fill it themselves. */
struct zp_trust {
	uid_t euid;
	bool secure; /* AT_SECURE: only root's files are accepted, and nothing from the environment */
	/*
	 * The user namespace hides some owners, and shows all of them as hidden_uid. That number never counts as root,
	 * and counts as the effective user only if the kernel confirms it for the file.
	 */
	bool hides_owners;
	uid_t hidden_uid;
	/* -EMFILE, -ENFILE or -ENOMEM: the namespace could not be read, so that hidden_uid may be a visible user. */
	int userns_err;
	/* Hidden owners are accepted in this directory if no user of the namespace can write there. NULL: nowhere. */
	const char *hidden_owner_dir;
	unsigned int *components; /* counts the path components that are checked; NULL: not counted */
};

/* Hidden owners are accepted in the plugin directory that was compiled into the library, and in no other. */
void zp_trust_self(struct zp_trust *trust);

/*
 * Sets the rules for files that a trusted file names: hidden owners are accepted everywhere if they were accepted for
 * that file.
 */
struct zp_trust zp_trust_of_named(const struct zp_trust *trust, const char *path);

/*
 * Walks an absolute path from the root, through every symbolic link, and checks that only root and the effective
 * user can change any component. The last component must be a regular file, and others must not be able to write the
 * directory that contains it, even if it is sticky. resolved (PATH_MAX bytes) receives the path without links.
 *
 * Returns 0, or -ENOENT, -EPERM or another -errno of the file system, with the reason in `why` (a sentence without a
 * full stop). -ENOENT means that the file does not exist and no other user can create it; if one could, the result is
 * -EPERM.
 */
int zp_trust_resolve(const struct zp_trust *trust, const char *path, char *resolved, char *why, size_t why_bytes);

/* Does the same for a directory that files are loaded from. */
int zp_trust_resolve_directory(const struct zp_trust *trust, const char *path, char *resolved, char *why,
			       size_t why_bytes);

#endif
