/* SPDX-License-Identifier: MIT
 *
 * acl.h - who may write a file by its POSIX access control list
 *
 * A file with such a list shows the list's mask in the place of the group's permissions, so a list can let others write
 * only where the mode's group bits show that.
 */
#ifndef ZP_LOADER_ACL_H
#define ZP_LOADER_ACL_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A user or group that the list names. */
struct zp_acl_writer {
	bool is_group;
	uid_t id;
};

/*
 * Looks for an entry that lets a named group, or a named user other than root and `trusted`, write the file.  1 and
 * *writer; 0: there is no such entry, or no list; or -errno: the list could not be read, -EINVAL where it is damaged.
 */
int zp_acl_find_writer(const char *path, uid_t trusted, struct zp_acl_writer *writer);

/* The same for the bytes of the extended attribute system.posix_acl_access. */
int zp_acl_parse(const void *list, size_t bytes, uid_t trusted, struct zp_acl_writer *writer);

#endif
