/* SPDX-License-Identifier: MIT
 *
 * acl.h - who may write a file according to its POSIX access control list
 *
 * A file with an access control list shows the list's mask in place of the group's permissions. The list can therefore
 * let other users write only if the group bits of the mode show write permission.
 */
#ifndef ZP_LOADER_ACL_H
#define ZP_LOADER_ACL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A user or group that is named in the list. */
struct zp_acl_writer {
	bool is_group;
	uid_t id;
};

/*
 * Looks for an entry that lets a named group, or a named user other than root and `trusted`, write the file. Returns 1
 * and *writer; 0 if there is no such entry or no list; or -errno if the list cannot be read, with -EINVAL for a damaged
 * list.
 */
int zp_acl_find_writer(const char *path, uid_t trusted, struct zp_acl_writer *writer);

/* Does the same for the bytes of the extended attribute system.posix_acl_access. */
int zp_acl_parse(const void *list, size_t bytes, uid_t trusted, struct zp_acl_writer *writer);

#endif
