/* SPDX-License-Identifier: MIT
 *
 * mocks.h - test drivers for the suite itself, linked into the program
 */
#ifndef CT_MOCKS_H
#define CT_MOCKS_H 1

#include <zpool-driver.h>

/* Replaces ZPOOL_DRIVER_DEFINE, whose exported name would be defined several times in one program. */
#define MOCK_HEAD(type_, description_)                                                                                 \
	.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .abi_minor = ZPOOL_ABI_MINOR,                       \
	.struct_size = sizeof(struct zpool_driver), .param_size = sizeof(struct zpool_param), .type = type_,           \
	.version = "1", .description = description_

extern const struct zpool_driver mock_slabs;

#endif /* CT_MOCKS_H */
