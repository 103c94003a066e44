/* SPDX-License-Identifier: MIT
 *
 * name.h - which names drivers and their parameters may have
 */
#ifndef ZP_BASE_NAME_H
#define ZP_BASE_NAME_H 1

#include <stdbool.h>
#include <stddef.h>

enum { ZP_TYPE_MAX = 32, ZP_TYPE_BYTES = ZP_TYPE_MAX + 1 };

/*
 * Type names and the keys of parameters match [a-z][a-z0-9_]{0,31}. A dash is read as an underscore, which is also used
 * in the file name. Returns false if `name` is not valid, and leaves `type` unchanged.
 */
bool zp_type_parse(const char *name, size_t length, char type[ZP_TYPE_BYTES]);

#endif
