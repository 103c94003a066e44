/* SPDX-License-Identifier: MIT
 *
 * mock.h - makes a plugin of the mock driver; a module defines its differences, and then includes this file
 *
 * A module must define MOCK_TYPE, the type's name without quotes.  Everything that it does not define is as in a plugin
 * without a fault.
 */
#ifndef MOCK_H
#define MOCK_H 1

#include "mock_driver.h"

#ifndef MOCK_TYPE_TEXT
#define MOCK_TYPE_TEXT ZPOOL_DRIVER_STR(MOCK_TYPE)
#endif
#ifndef MOCK_NOTE_TYPE
#define MOCK_NOTE_TYPE MOCK_TYPE
#endif
#ifndef MOCK_VERSION
#define MOCK_VERSION "1.0"
#endif
#ifndef MOCK_MAGIC
#define MOCK_MAGIC ZPOOL_DRIVER_MAGIC
#endif
#ifndef MOCK_ABI_MAJOR
#define MOCK_ABI_MAJOR ZPOOL_ABI_MAJOR
#endif
#ifndef MOCK_STRUCT_SIZE
#define MOCK_STRUCT_SIZE sizeof(struct zpool_driver)
#endif
#ifndef MOCK_FLAGS_REQUIRED
#define MOCK_FLAGS_REQUIRED 0
#endif
#ifndef MOCK_PARAM_SIZE
#define MOCK_PARAM_SIZE sizeof(struct zpool_param)
#endif
#ifndef MOCK_PARAMS
#define MOCK_PARAMS NULL
#define MOCK_PARAM_COUNT 0
#endif
#ifndef MOCK_PARAM_COUNT
#define MOCK_PARAM_COUNT (sizeof(MOCK_PARAMS) / sizeof(*MOCK_PARAMS))
#endif
#ifndef MOCK_MAX_OBJECT
#define MOCK_MAX_OBJECT MOCK_MAX_BYTES
#endif
#ifndef MOCK_ALIGNMENT
#define MOCK_ALIGNMENT 16
#endif
#ifndef MOCK_CREATE
#define MOCK_CREATE mock_create
#endif
#ifndef MOCK_DESTROY
#define MOCK_DESTROY mock_destroy
#endif
#ifndef MOCK_MALLOC
#define MOCK_MALLOC mock_malloc
#endif
#ifndef MOCK_FREE
#define MOCK_FREE mock_free
#endif
#ifndef MOCK_TOTAL_SIZE
#define MOCK_TOTAL_SIZE mock_total_size
#endif
#ifndef MOCK_MAP
#define MOCK_MAP mock_map
#endif
#ifndef MOCK_UNMAP
#define MOCK_UNMAP mock_unmap
#endif
/* A module may add further members here, each with a comma in front. */
#ifndef MOCK_MORE
#define MOCK_MORE
#endif

#ifndef MOCK_NO_NOTE
#define MOCK_NOTE(type_, version_) ZPOOL_DRIVER_NOTE(type_, version_, "a mock")
MOCK_NOTE(MOCK_NOTE_TYPE, MOCK_VERSION)
#endif

MOCK_TELL_LIFE(MOCK_TYPE_TEXT)

#define MOCK_SYMBOL MOCK_CAT(MOCK_TYPE, _LTX_zpool_driver)

#ifndef MOCK_NO_DRIVER
extern ZPOOL_PUBLIC const struct zpool_driver MOCK_SYMBOL;
const struct zpool_driver MOCK_SYMBOL = {
	.magic = MOCK_MAGIC,
	.abi_major = MOCK_ABI_MAJOR,
	.abi_minor = ZPOOL_ABI_MINOR,
	.struct_size = MOCK_STRUCT_SIZE,
	.flags_required = MOCK_FLAGS_REQUIRED,
	.param_size = MOCK_PARAM_SIZE,
	.type = MOCK_TYPE_TEXT,
	.version = MOCK_VERSION,
	.description = "a mock",
	.params = MOCK_PARAMS,
	.param_count = MOCK_PARAM_COUNT,
	.max_object_bytes = MOCK_MAX_OBJECT,
	.alignment_bytes = MOCK_ALIGNMENT,
	.create = MOCK_CREATE,
	.destroy = MOCK_DESTROY,
	.malloc = MOCK_MALLOC,
	.free = MOCK_FREE,
	.total_size = MOCK_TOTAL_SIZE,
	.map = MOCK_MAP,
	.unmap = MOCK_UNMAP MOCK_MORE,
};
extern ZPOOL_PUBLIC __attribute__((weak, alias(ZPOOL_DRIVER_STR(MOCK_TYPE) "_LTX_zpool_driver")))
const struct zpool_driver zpool_driver;
#endif

#endif
