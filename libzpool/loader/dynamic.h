/* SPDX-License-Identifier: MIT
 *
 * dynamic.h - which libraries and directories a shared object names for the dynamic linker
 */
#ifndef ZP_LOADER_DYNAMIC_H
#define ZP_LOADER_DYNAMIC_H 1

#include <stddef.h>
#include <stdint.h>

enum zp_dynamic_kind {
	ZP_DYNAMIC_LIBRARY,   /* DT_NEEDED, DT_FILTER, DT_AUXILIARY: a library */
	ZP_DYNAMIC_LIBRARIES, /* DT_AUDIT, DT_DEPAUDIT: libraries with colons between */
	ZP_DYNAMIC_RPATH,     /* DT_RPATH: directories for the file's own libraries and for the libraries that those
	                       * need */
	ZP_DYNAMIC_RUN_PATH,  /* DT_RUNPATH: directories for the file's own libraries only */
};

/*
 * The largest accepted number of names in a file, and the largest length of one. A file that exceeds them is refused.
 */
enum { ZP_DYNAMIC_MAX_NAMES = 128, ZP_DYNAMIC_MAX_NAME_BYTES = 8 << 10 };

struct zp_dynamic_name {
	enum zp_dynamic_kind kind;
	char *text;
};

struct zp_dynamic {
	size_t count;
	struct zp_dynamic_name *names;
	uint64_t bytes_read; /* valid after an error, too */
};

/*
 * Reads the names from the file behind fd the way the linker does, by the program headers, because the sections may be
 * stripped. A file that the linker will not open has no names. Returns 0; -E2BIG if there are too many names or one is
 * too long; or another -errno. zp_dynamic_clear() frees the names.
 *
 * At most 2.5 MiB are read, whatever sizes the file claims.
 */
int zp_dynamic_read(int fd, struct zp_dynamic *dynamic);
void zp_dynamic_clear(struct zp_dynamic *dynamic);

#endif
