/* SPDX-License-Identifier: MIT
 *
 * module.h - opening and closing code; all that the project knows of dlopen(3) and libltdl is behind this header
 *
 * A thread that is inside one of these calls may be running a plugin's constructor or destructor, which may call us
 * back: zp_module_inside() tells.  Waiting for another load from there deadlocks, because the C library holds its
 * loader lock around constructors.
 */
#ifndef ZP_LOADER_MODULE_H
#define ZP_LOADER_MODULE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct zp_module;
struct zpool_driver;

/* Is the calling thread inside a load or an unload? */
bool zp_module_inside(void);

/*
 * Between these two it is, with what a load does around the module's own code: that may call back too, by way of a log
 * handler.
 */
void zp_module_enter(void);
void zp_module_leave(void);

/*
 * Open the file at an absolute, resolved path.  0 and *out; or -ENOEXEC when the linker refuses it, -EDEADLK when
 * another thread is inside a load or an unload for too long, -ENOMEM; the reason is in *why, to be freed (NULL: out of
 * memory).
 */
int zp_module_open(const char *path, struct zp_module **out, char **why);

/* Open a driver that was linked into the program (libtool's -dlpreopen).  -ENOENT: there is none of that name. */
int zp_module_open_preloaded(const char *type, struct zp_module **out);

/* The symbol zpool_driver of the module itself, and its size in the file (0: unknown).  NULL: it has none. */
const struct zpool_driver *zp_module_driver(const struct zp_module *module, size_t *symbol_bytes);

/*
 * Was the module mapped before we opened it, from a file that has been replaced since?  The linker goes by name and
 * then gives the old code for the new file.  1: yes; 0: no, or there is no /proc that would show it; or -errno.
 */
int zp_module_is_outdated(const struct zp_module *module, ino_t inode);

/* Never unmap it, whoever closes it. */
void zp_module_make_resident(struct zp_module *module);

/*
 * Close it.  1: its code is out of memory and `module` is gone.  0: something keeps the code mapped, and the module
 * stays open and usable.  -EDEADLK: it stays open, because another thread is inside a load or an unload for too long;
 * the reason is in *why, to be freed (NULL: out of memory).
 */
int zp_module_close(struct zp_module *module, char **why);

/* Close it for good, for loads that failed. */
void zp_module_discard(struct zp_module *module);

/* Calls fn with the name and driver of every module linked into the program, until it returns other than 0. */
void zp_module_each_preloaded(int (*fn)(const char *type, const struct zpool_driver *driver, void *user), void *user);

#endif
