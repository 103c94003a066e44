/* SPDX-License-Identifier: MIT
 *
 * module.h - open and close code; only the code behind this header knows dlopen(3) and libltdl
 *
 * While one of these calls runs code of a plugin, zp_loader_inside() is true (inside.h).
 */
#ifndef ZP_LOADER_MODULE_H
#define ZP_LOADER_MODULE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct zp_module;
struct zpool_driver;

/*
 * Opens the file at an absolute, resolved path. Returns 0 and *out; -ENOEXEC if the linker refuses the file; -EDEADLK
 * if another thread has been inside a load or an unload for too long; or -ENOMEM. The reason is in *why, which the
 * caller frees (NULL: out of memory).
 */
int zp_module_open(const char *path, struct zp_module **out, char **why);

/*
 * Opens a driver that was linked into the program (libtool's -dlpreopen). Returns -ENOENT if there is none of that
 * name.
 */
int zp_module_open_preloaded(const char *type, struct zp_module **out);

/*
 * Returns the symbol zpool_driver of the module itself, and its size in the file (0: unknown), or NULL if it has none.
 */
const struct zpool_driver *zp_module_driver(const struct zp_module *module, size_t *symbol_bytes);

/*
 * Returns 1 if the module was already mapped from a file that has been replaced since. In that case the linker, which
 * compares names, has returned the old code for the new file. Returns 0 if not, or if there is no /proc; or -errno.
 */
int zp_module_is_outdated(const struct zp_module *module, ino_t inode);

/* Prevents the module from ever being unmapped. */
void zp_module_make_resident(struct zp_module *module);

/*
 * Closes the module. Returns 1 if its code is out of memory; `module` is then invalid. Returns 0 if something keeps the
 * code mapped; the module stays open and usable. Returns -EDEADLK if another thread has been inside a load or an unload
 * for too long; the module stays open, and the reason is in *why, which the caller frees (NULL: out of memory).
 */
int zp_module_close(struct zp_module *module, char **why);

/* Closes a module whose load failed, without a way back. */
void zp_module_discard(struct zp_module *module);

/* Calls fn with the name and driver of every module that is linked into the program, until fn returns nonzero. */
void zp_module_each_preloaded(int (*fn)(const char *type, const struct zpool_driver *driver, void *user), void *user);

#endif
