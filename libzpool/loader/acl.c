/* SPDX-License-Identifier: MIT
 *
 * This is the format in which the kernel returns the list: a 4-byte version, then entries of 8 bytes, all
 * little-endian.
 *
 *      0      2      4              8
 *     | tag  | perm | user or group |
 *
 * The library reads the list itself, so that it does not depend on libacl.
 */
#include <config.h>

#include "loader/acl.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/xattr.h>

#define ACL_ATTRIBUTE "system.posix_acl_access"

enum { HEAD_BYTES = 4, ENTRY_BYTES = 8, LIST_VERSION = 2 };
enum { TAG_USER = 0x02, TAG_GROUP = 0x08, TAG_MASK = 0x10 };
enum { PERM_WRITE = 2 };

/* The size that is read without using the heap: 63 entries. The kernel returns at most MAX_BYTES. */
enum { USUAL_BYTES = HEAD_BYTES + 63 * ENTRY_BYTES, MAX_BYTES = 64 << 10 };

static unsigned int get_u16(const unsigned char *at)
{
	return at[0] | (unsigned int)at[1] << 8;
}

static uint32_t get_u32(const unsigned char *at)
{
	return get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

/* Without write permission in the mask, no named entry grants it. */
static bool mask_permits_writing(const unsigned char *entry, const unsigned char *end)
{
	for (; entry < end; entry += ENTRY_BYTES)
		if (get_u16(entry) == TAG_MASK)
			return get_u16(entry + 2) & PERM_WRITE;
	return true;
}

int zp_acl_parse(const void *list, size_t bytes, uid_t trusted, struct zp_acl_writer *writer)
{
	const unsigned char *at = list, *end = at + bytes;

	if (bytes < HEAD_BYTES || (bytes - HEAD_BYTES) % ENTRY_BYTES != 0 || get_u32(at) != LIST_VERSION)
		return -EINVAL;
	at += HEAD_BYTES;
	if (!mask_permits_writing(at, end))
		return 0;
	for (; at < end; at += ENTRY_BYTES) {
		unsigned int tag = get_u16(at);
		uid_t id = get_u32(at + 4);
		if (!(get_u16(at + 2) & PERM_WRITE))
			continue;
		if (tag == TAG_GROUP || (tag == TAG_USER && id != 0 && id != trusted)) {
			*writer = (struct zp_acl_writer){ tag == TAG_GROUP, id };
			return 1;
		}
	}
	return 0;
}

static int find_in_long_list(const char *path, uid_t trusted, struct zp_acl_writer *writer)
{
	void *list = malloc(MAX_BYTES);
	if (!list)
		return -ENOMEM;
	ssize_t bytes = lgetxattr(path, ACL_ATTRIBUTE, list, MAX_BYTES);
	int result = bytes < 0 ? -errno : zp_acl_parse(list, (size_t)bytes, trusted, writer);
	free(list);
	return result;
}

int zp_acl_find_writer(const char *path, uid_t trusted, struct zp_acl_writer *writer)
{
	unsigned char list[USUAL_BYTES];
	ssize_t bytes = lgetxattr(path, ACL_ATTRIBUTE, list, sizeof(list));

	if (bytes >= 0)
		return zp_acl_parse(list, (size_t)bytes, trusted, writer);
	if (errno == ERANGE)
		return find_in_long_list(path, trusted, writer);
	/* There is no list, or the file system or the kernel does not support extended attributes. */
	return errno == ENODATA || errno == ENOTSUP || errno == ENOSYS ? 0 : -errno;
}
