/* SPDX-License-Identifier: MIT
 *
 * mocks.h - drivers for the suite itself, linked into the program
 */
#ifndef CT_MOCKS_H
#define CT_MOCKS_H 1

#include <zpool-driver.h>

/* Not ZPOOL_DRIVER_DEFINE: that exports a name of which a program of several drivers would have several. */
#define MOCK_HEAD(type_, description_)                                                                                 \
	.magic = ZPOOL_DRIVER_MAGIC, .abi_major = ZPOOL_ABI_MAJOR, .abi_minor = ZPOOL_ABI_MINOR,                       \
	.struct_size = sizeof(struct zpool_driver), .param_size = sizeof(struct zpool_param), .type = type_,           \
	.version = "1", .description = description_

extern const struct zpool_driver mock_slabs;

#endif /* CT_MOCKS_H */
